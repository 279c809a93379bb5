// New bucket…: a name, whose it is, who may see it; then it is made and can be mounted at once.
import { useState } from "preact/hooks";
import type { AppError, AppState, Bucket } from "../api/engine";
import { Button } from "../components/button";
import { RadioRows } from "../components/choices";
import { useTexts } from "../components/context";
import { Empty, ErrorBanner } from "../components/parts";
import { PopupList } from "../components/popup";
import { Problem } from "../components/problem";
import { Icon } from "../components/icons";
import { asAppError } from "../host/host";
import { owners } from "../state/buckets";
import { useModel } from "../state/hooks";
import { nameFault } from "../state/bucket-name";

export function NewBucketPage({ app }: { app: AppState }) {
  const { t } = useTexts();
  const { host } = useModel();
  const [made, setMade] = useState<Bucket | null>(null);
  if (!app.status.signed_in)
    return (
      <main class="sheet">
        <Empty
          alone
          icon="person"
          title={t("new.signedOut")}
          actions={
            <Button kind="primary" onClick={() => host.openPage("welcome")}>
              {t("signIn.signIn")}
            </Button>
          }
        />
      </main>
    );
  return <main class="sheet">{made ? <Made bucket={made} onAnother={() => setMade(null)} /> : <Form app={app} onMade={setMade} />}</main>;
}

function Form({ app, onMade }: { app: AppState; onMade: (bucket: Bucket) => void }) {
  const { t } = useTexts();
  const { call, host } = useModel();
  const choices = owners(app);
  const first = app.accounts.find((account) => account.is_default)?.name ?? choices[0] ?? "";
  const [owner, setOwner] = useState(first);
  const [name, setName] = useState("");
  const [access, setAccess] = useState<"private" | "public">("private");
  const [left, setLeft] = useState(false);
  const [error, setError] = useState<AppError | null>(null);
  const fault = nameFault(name);
  const shownFault = fault && (left || fault !== "empty") && !(fault === "empty" && !left) ? fault : null;
  const submit = async () => {
    setLeft(true);
    if (fault) {
      document.getElementById("bucket-name")?.focus();
      return;
    }
    setError(null);
    try {
      onMade(await call("create_bucket", { owner, name, private: access === "private" }));
    } catch (thrown) {
      setError(asAppError(thrown));
    }
  };
  return (
    <form
      class="sheet-form"
      aria-labelledby="new-title"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h1 id="new-title">{t("new.title")}</h1>
      <div class="field">
        <span class="label" id="owner-label">
          {t("new.owner")}
        </span>
        <PopupList label={t("new.owner")} placeholder={t("new.owner")} options={choices.map((one) => ({ value: one, label: one }))} value={owner} onChange={setOwner} />
      </div>
      <div class="field">
        <label htmlFor="bucket-name">{t("new.name")}</label>
        <input
          id="bucket-name"
          class="input"
          value={name}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-invalid={shownFault ? "true" : undefined}
          aria-describedby="bucket-name-note"
          onInput={(event) => setName(event.currentTarget.value)}
          onBlur={() => setLeft(name !== "")}
        />
        <p id="bucket-name-note" class={shownFault ? "field-error" : "field-note"} role={shownFault ? "alert" : undefined}>
          {shownFault ? t(`new.fault.${shownFault}`) : t("new.nameNote", { place: `${app.about.hub.replace(/^https?:\/\//, "")}/buckets/${owner}/${name || "…"}` })}
        </p>
      </div>
      <div class="field">
        <span class="label">{t("new.access")}</span>
        <RadioRows
          label={t("new.access")}
          value={access}
          onChange={setAccess}
          options={[
            { value: "private", label: t("bucket.private"), note: t("new.privateNote") },
            { value: "public", label: t("bucket.public"), note: t("new.publicNote") },
          ]}
        />
      </div>
      <ErrorBanner error={error} />
      <div class="button-row end">
        <Button onClick={() => host.closePage()}>{t("common.cancel")}</Button>
        <Button kind="primary" onClick={submit}>
          {t("new.create")}
        </Button>
      </div>
    </form>
  );
}

function Made({ bucket, onAnother }: { bucket: Bucket; onAnother: () => void }) {
  const { t } = useTexts();
  const { run, host } = useModel();
  const mount = async () => {
    if (await run("mount", { bucket: bucket.id, open: true })) host.closePage();
  };
  return (
    <div class="made" role="status">
      <Icon name="saved" size={44} tone="good" />
      <h1>{t("new.made")}</h1>
      <p class="secondary">{t("new.madeText", { bucket: bucket.id })}</p>
      <Problem />
      <div class="button-row">
        <Button onClick={onAnother}>{t("new.another")}</Button>
        <Button kind="primary" onClick={mount}>
          {t("new.mount")}
        </Button>
      </div>
    </div>
  );
}
