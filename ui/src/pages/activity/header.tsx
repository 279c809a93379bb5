// The head of the Activity: the one state line, and pausing.
import type { AppStatus, Icon as StateIcon } from "../../api/engine";
import { Button, IconButton } from "../../components/button";
import { useTexts } from "../../components/context";
import { Icon, type IconName, type Tone } from "../../components/icons";
import { Menu } from "../../components/popup";
import { useModel } from "../../state/hooks";
import { clock } from "../../text/format";

const LOOK: Record<StateIcon, { icon: IconName; tone: Tone }> = {
  idle: { icon: "saved", tone: "good" },
  syncing: { icon: "upload", tone: "accent" },
  paused: { icon: "pause", tone: "warn" },
  attention: { icon: "attention", tone: "bad" },
  offline: { icon: "offline", tone: "warn" },
  signed_out: { icon: "person", tone: "quiet" },
};

const DAY_MS = 24 * 3600 * 1000;

export function StatusHead({ status }: { status: AppStatus }) {
  const { t, locale } = useTexts();
  const { run, host } = useModel();
  const look = LOOK[status.icon];
  const until = status.paused_until_ms;
  return (
    <header class="status-head">
      <span class={`status-icon tone-${look.tone}`}>
        <Icon name={look.icon} size={28} />
      </span>
      <div class="status-words">
        <h1 class="status-line" data-user aria-live="polite">
          {status.line}
        </h1>
        {status.details.length > 0 && (
          <p class="secondary status-details" data-user>
            {status.details.join(" · ")}
          </p>
        )}
      </div>
      <div class="status-deeds">
        {status.paused ? (
          <>
            {until !== null && until - Date.now() < DAY_MS && <span class="secondary small">{t("pause.until", { time: clock(until, locale) })}</span>}
            <Button icon="play" onClick={() => run("resume", {})}>
              {t("pause.resume")}
            </Button>
          </>
        ) : (
          (status.mounted > 0 || status.files_left > 0) && (
            <Menu
              label={t("pause.pause")}
              icon="pause"
              items={[
                [
                  { label: t("pause.quarter"), run: () => void run("pause", { minutes: 15 }) },
                  { label: t("pause.hour"), run: () => void run("pause", { minutes: 60 }) },
                  { label: t("pause.resumeMyself"), run: () => void run("pause", {}) },
                ],
              ]}
            />
          )
        )}
        <IconButton icon="settings" label={t("nav.settings")} onClick={() => host.openPage("settings")} />
      </div>
    </header>
  );
}
