// Welcome: three steps, each with one thing to do. The step follows from the state; the person may go back.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AppState } from "../../api/engine";
import { BucketPicker } from "../../components/bucket-picker";
import { Button } from "../../components/button";
import { useTexts } from "../../components/context";
import { Icon, type IconName } from "../../components/icons";
import { Banner } from "../../components/parts";
import { Problem } from "../../components/problem";
import { SignInPanel } from "../../components/sign-in";
import { allBuckets } from "../../state/buckets";
import { useModel } from "../../state/hooks";
import type { HelperState } from "../../host/host";

type Step = 1 | 2 | 3;
const STEPS: readonly Step[] = [1, 2, 3];
const HELPER_POLL_MS = 2000;

export function WelcomePage({ app }: { app: AppState }) {
  const { t } = useTexts();
  const { run } = useModel();
  const [step, setStep] = useState<Step>(1);
  const [signedInBefore] = useState(app.status.signed_in);
  const signedIn = app.status.signed_in;
  useEffect(() => {
    // A sign-in that was just done leads on by itself; its end is seen.
    if (app.sign_in.step !== "done" || step !== 1) return;
    void run("sign_in_cancel", {});
    setStep(2);
  }, [app.sign_in.step]);
  useEffect(() => {
    if (signedIn && !signedInBefore && step === 1) setStep(2);
  }, [signedIn]);
  return (
    <main class="welcome">
      <div class="welcome-body">
        {step === 1 && <SignInStep app={app} />}
        {step === 2 && <PermissionStep app={app} />}
        {step === 3 && <MountStep app={app} />}
        <Problem />
      </div>
      <footer class="welcome-foot">
        <Button onClick={() => setStep((step - 1) as Step)} disabled={step === 1}>
          {t("common.back")}
        </Button>
        <ol class="dots" aria-label={t("welcome.steps")}>
          {STEPS.map((one) => (
            <li key={one} class={one === step ? "dot on" : "dot"} aria-current={one === step ? "step" : undefined}>
              <span class="hidden-text">{t("welcome.step", { number: one })}</span>
            </li>
          ))}
        </ol>
        {step < 3 ? (
          <Button kind={(step === 1 && !signedIn) || (step === 2 && !app.about.can_mount) ? "normal" : "primary"} onClick={() => setStep((step + 1) as Step)} disabled={step === 1 && !signedIn}>
            {t("common.continue")}
          </Button>
        ) : (
          <DoneButton app={app} />
        )}
      </footer>
    </main>
  );
}

function DoneButton({ app }: { app: AppState }) {
  const { t } = useTexts();
  const { host } = useModel();
  return (
    <Button
      kind={app.status.mounted > 0 ? "primary" : "normal"}
      onClick={() => {
        host.openPage("activity");
        host.closePage();
      }}
    >
      {t(app.status.mounted > 0 ? "welcome.done" : "welcome.later")}
    </Button>
  );
}

function StepFrame({ icon, title, text, children }: { icon: IconName; title: string; text: string; children?: ComponentChildren }) {
  return (
    <section class="step">
      <span class="step-icon">
        <Icon name={icon} size={40} />
      </span>
      <h1>{title}</h1>
      <p class="step-text">{text}</p>
      {children}
    </section>
  );
}

function SignInStep({ app }: { app: AppState }) {
  const { t } = useTexts();
  const account = app.accounts[0];
  return (
    <StepFrame icon="bucket" title={t(app.about.os === "macos" ? "welcome.title" : "welcome.titleLinux")} text={t("welcome.text")}>
      {app.status.signed_in && account ? (
        <p class="done-line">
          <Icon name="saved" tone="good" size={18} />
          <span data-user-in>{t("welcome.signedInAs", { name: account.name })}</span>
        </p>
      ) : (
        <SignInPanel app={app} />
      )}
      <p class="step-note">{t("welcome.keychain", { machine: app.about.machine })}</p>
    </StepFrame>
  );
}

/** The helper's state, asked again while the person is in the system's settings; null where there is no helper. */
function useHelper(): { state: HelperState | null; ask: () => void } {
  const { host } = useModel();
  const [state, setState] = useState<HelperState | null>(null);
  const ask = () => {
    host.helper?.state().then(setState, () => setState(null));
  };
  useEffect(() => {
    ask();
    const timer = setInterval(ask, HELPER_POLL_MS);
    return () => clearInterval(timer);
  }, []);
  return { state, ask };
}

function PermissionStep({ app }: { app: AppState }) {
  const { t } = useTexts();
  const { run, host } = useModel();
  const { state, ask } = useHelper();
  const { can_mount: canMount, mount_problem: problem, os } = app.about;
  const points = (os === "macos" ? ["permission.point1", "permission.point2", "permission.point3"] : ["permission.linux1", "permission.point2", "permission.point3"]) as (
    | "permission.point1"
    | "permission.point2"
    | "permission.point3"
    | "permission.linux1"
  )[];
  const register = async () => {
    await host.helper?.register().catch(() => undefined);
    ask();
  };
  const ready = canMount && (state === null || state === "enabled");
  return (
    <StepFrame icon="shield" title={t("permission.title")} text={t(os === "macos" ? "permission.text" : "permission.textLinux")}>
      <ul class="points">
        {points.map((point) => (
          <li key={point}>
            <Icon name="check" size={14} tone="good" />
            <span>{t(point)}</span>
          </li>
        ))}
      </ul>
      {ready && (
        <p class="done-line" role="status">
          <Icon name="saved" tone="good" size={18} />
          {t("permission.ready")}
        </p>
      )}
      {state !== null && state !== "enabled" && (
        <Banner
          icon="shield"
          title={t(state === "requires_approval" ? "permission.approve" : "permission.missing")}
          actions={
            state === "requires_approval" ? (
              <Button kind="primary" onClick={() => host.helper?.openSettings().catch(() => undefined)}>
                {t("permission.openSettings")}
              </Button>
            ) : (
              <Button kind="primary" onClick={register}>
                {t("permission.allow")}
              </Button>
            )
          }
        >
          <p>{t(state === "requires_approval" ? "permission.approveText" : "permission.missingText")}</p>
        </Banner>
      )}
      {!canMount && problem && (
        <Banner tone="warn" icon="attention" title={t("permission.cannot")} actions={<Button onClick={() => run("check", {})}>{t("permission.checkAgain")}</Button>}>
          <p class="selectable" data-user>
            {problem.what} {problem.advice}
          </p>
        </Banner>
      )}
    </StepFrame>
  );
}

function MountStep({ app }: { app: AppState }) {
  const { t } = useTexts();
  const { run, host } = useModel();
  const mounted = allBuckets(app).find((bucket) => bucket.mount.state === "mounted");
  useEffect(() => void run("refresh_buckets", {}), []);
  return (
    <StepFrame icon="folder" title={t(mounted ? "welcome.mounted" : "welcome.mountTitle")} text={mounted ? t("welcome.mountedText", { bucket: mounted.name }) : t("welcome.mountText")}>
      <BucketPicker app={app} onMount={(bucket) => run("mount", { bucket, open: true })} onNew={() => host.openPage("new-bucket")} />
    </StepFrame>
  );
}
