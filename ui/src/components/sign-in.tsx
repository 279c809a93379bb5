// Signing in: the ways there are, and how the one under way goes. Used by Welcome and by the accounts' settings.
import { useEffect, useState } from "preact/hooks";
import type { AppState, SignIn } from "../api/engine";
import { useModel } from "../state/hooks";
import { clock } from "../text/format";
import { Button } from "./button";
import { useTexts } from "./context";
import { Banner } from "./parts";

export function SignInPanel({ app }: { app: AppState }) {
  const { run } = useModel();
  const course = app.sign_in;
  const cancel = () => run("sign_in_cancel", {});
  switch (course.step) {
    case "browser":
    case "device":
    case "checking":
      return <Course course={course} onCancel={cancel} />;
    default:
      return <Ways app={app} />;
  }
}

function Ways({ app }: { app: AppState }) {
  const { t } = useTexts();
  const { run } = useModel();
  const [pasting, setPasting] = useState(false);
  const course = app.sign_in;
  return (
    <div class="sign-in">
      {course.step === "failed" && (
        <Banner tone="bad" icon="attention" title={t("signIn.failed")}>
          <p class="selectable" data-user>
            {course.error.what} {course.error.advice}
          </p>
        </Banner>
      )}
      {app.about.can_oauth ? (
        <Button kind="primary" size="large" icon="globe" onClick={() => run("sign_in_browser", {})}>
          {t("signIn.browser")}
        </Button>
      ) : (
        <p class="secondary">{t("signIn.noApplication")}</p>
      )}
      <div class="other-ways">
        {app.about.can_oauth && (
          <Button kind="plain" icon="key" onClick={() => run("sign_in_device", {})}>
            {t("signIn.device")}
          </Button>
        )}
        {app.hf_cli.there && (
          <Button kind="plain" icon="terminal" onClick={() => run("sign_in_hf_cli", {})}>
            {t("signIn.hf")}
          </Button>
        )}
        <Button kind="plain" icon="lock" onClick={() => setPasting(!pasting)}>
          {t("signIn.token")}
        </Button>
      </div>
      {app.hf_cli.there && <p class="field-note">{t("signIn.hfNote", { place: app.hf_cli.place })}</p>}
      {pasting && <TokenForm hub={app.about.hub} />}
    </div>
  );
}

function TokenForm({ hub }: { hub: string }) {
  const { t } = useTexts();
  const { run } = useModel();
  const [token, setToken] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    const given = token.trim();
    if (given === "") return;
    // It leaves the page whatever becomes of it.
    setToken("");
    await run("sign_in_token", { token: given });
  };
  return (
    <form class="field token-form" onSubmit={submit}>
      <label htmlFor="token">{t("signIn.tokenLabel")}</label>
      <div class="with-button">
        <input
          id="token"
          class="input"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={token}
          aria-describedby="token-note"
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <Button submit disabled={token.trim() === ""}>
          {t("signIn.signIn")}
        </Button>
      </div>
      <p class="field-note" id="token-note">
        {t("signIn.tokenNote", { place: `${hub}/settings/tokens` })}
      </p>
    </form>
  );
}

function Course({ course, onCancel }: { course: Extract<SignIn, { step: "browser" | "device" | "checking" }>; onCancel: () => Promise<unknown> }) {
  const { t, locale } = useTexts();
  const { host } = useModel();
  if (course.step === "checking")
    return (
      <div class="course" role="status">
        <span class="spinner" />
        <p>{t("signIn.checking")}</p>
      </div>
    );
  const address = course.step === "device" ? course.url_with_code : course.url;
  const open = host.openSignIn;
  return (
    <div class="course" role="status">
      {course.step === "device" ? (
        <>
          {course.why === "not_renewable" && <p>{t("signIn.notRenewable")}</p>}
          <p>{t("signIn.typeCode")}</p>
          <p class="code selectable" data-user>
            {course.user_code}
          </p>
        </>
      ) : (
        <div class="waiting">
          <span class="spinner" />
          <p>{t(course.opened ? "signIn.inBrowser" : "signIn.noBrowser")}</p>
        </div>
      )}
      <p class="field-note numeric">{t("signIn.until", { time: clock(course.until_ms, locale) })}</p>
      <div class="button-row">
        {open && (
          <Button kind={course.opened ? "normal" : "primary"} onClick={() => open(address)}>
            {t("signIn.openPage")}
          </Button>
        )}
        <CopyButton text={address} label={t("signIn.copy")} />
        <Button onClick={onCancel}>{t("common.cancel")}</Button>
      </div>
    </div>
  );
}

const SHOWN_MS = 2000;

export function CopyButton({ text, label }: { text: string | (() => Promise<string | null>); label: string }) {
  const { t } = useTexts();
  const [copied, setCopied] = useState<boolean | null>(null);
  useEffect(() => {
    if (copied === null) return undefined;
    const timer = setTimeout(() => setCopied(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const words = typeof text === "string" ? text : await text();
    if (words === null) return;
    const well = await navigator.clipboard.writeText(words).then(
      () => true,
      () => copyByHand(words),
    );
    setCopied(well);
  };
  return (
    <Button onClick={copy}>
      <span aria-live="polite">{copied === null ? label : t(copied ? "common.copied" : "common.notCopied")}</span>
    </Button>
  );
}

/** Web views of some systems have no clipboard interface for pages that are not https. */
function copyByHand(words: string): boolean {
  const area = document.createElement("textarea");
  area.value = words;
  area.className = "hidden-text";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const well = document.execCommand("copy");
  area.remove();
  return well;
}
