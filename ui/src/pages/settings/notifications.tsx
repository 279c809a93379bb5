import type { ActivityKind } from "../../api/engine";
import { Button } from "../../components/button";
import { useTexts } from "../../components/context";
import { Group, Line } from "../../components/parts";
import { Menu } from "../../components/popup";
import { useModel, useNow } from "../../state/hooks";
import { moment } from "../../text/format";
import { SwitchLine } from "./lines";
import type { PaneProps } from "./settings";

const SAVING: readonly ActivityKind[] = ["write_failed", "sync_failed", "stale", "upload_failed", "conflict", "deletes_held"];
const APP: readonly ActivityKind[] = ["mount_lost", "sign_in_ended", "disk_full", "recovered", "trouble"];
const HOUR = 60;

export function NotificationsPane({ app, change }: PaneProps) {
  const { t, locale } = useTexts();
  const { run } = useModel();
  const now = useNow();
  const { notifications, snooze_until_ms: snooze } = app.settings;
  const snoozing = snooze !== null && snooze > now;
  const kinds = (title: string, list: readonly ActivityKind[]) => (
    <Group title={title}>
      {list.map((kind) => (
        <SwitchLine
          key={kind}
          label={t(`notify.${kind}`)}
          on={notifications[kind] ?? true}
          onChange={(on) => change({ notifications: { ...notifications, [kind]: on } })}
        />
      ))}
    </Group>
  );
  return (
    <>
      <Group note={t("notify.note")}>
        <Line label={snoozing ? t("notify.snoozed", { time: moment(snooze, now, locale) }) : t("notify.snooze")}>
          {snoozing ? (
            <Button onClick={() => run("snooze", { minutes: 0 })}>{t("notify.wake")}</Button>
          ) : (
            <Menu
              label={t("notify.snoozeFor")}
              icon="bell"
              items={[
                [
                  { label: t("pause.hour"), run: () => void run("snooze", { minutes: HOUR }) },
                  { label: t("notify.fourHours"), run: () => void run("snooze", { minutes: 4 * HOUR }) },
                  { label: t("notify.day"), run: () => void run("snooze", { minutes: 24 * HOUR }) },
                ],
              ]}
            />
          )}
        </Line>
      </Group>
      {kinds(t("notify.saving"), SAVING)}
      {kinds(t("notify.app"), APP)}
    </>
  );
}
