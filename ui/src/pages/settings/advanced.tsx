import type { LogLevel } from "../../api/engine";
import { Button } from "../../components/button";
import { Segments } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Group, Line } from "../../components/parts";
import { PendingDialog } from "../../components/pending-dialog";
import { CopyButton } from "../../components/sign-in";
import { useQuestion } from "../../state/actions";
import { useModel } from "../../state/hooks";
import { TextLine } from "./lines";
import type { PaneProps } from "./settings";

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

export function AdvancedPane({ app, change }: PaneProps) {
  const { t } = useTexts();
  const { run } = useModel();
  const question = useQuestion();
  const { settings, about } = app;
  const diagnostics = async () => (await run("diagnostics", {}))?.text ?? null;
  const remove = () => question.ask({ title: t("remove.title"), yes: t("remove.yes") }, (consent) => run("remove_everything", { consent: consent ?? undefined }));
  return (
    <>
      <Group>
        <Line label={t("set.telemetry")} note={t("set.telemetryNote")}>
          <span class="secondary">{t("set.off")}</span>
        </Line>
        <Line label={t("set.log")} note={t("set.logNote")}>
          <Segments label={t("set.log")} value={settings.log_level} options={LEVELS.map((value) => ({ value, label: t(`log.${value}`) }))} onChange={(log_level) => void change({ log_level })} />
        </Line>
        <Line label={t("set.diagnostics")} note={t("set.diagnosticsNote")}>
          <CopyButton text={diagnostics} label={t("set.copyDiagnostics")} />
        </Line>
        <TextLine
          label={t("set.clientId")}
          note={t("set.clientIdNote")}
          value={settings.client_id ?? ""}
          placeholder={t("set.clientIdNone")}
          onSave={(id) => change({ client_id: id === "" ? null : id })}
        />
      </Group>
      <Group title={t("remove.group")}>
        <Line label={t("remove.label")} note={t("remove.note")}>
          <Button kind="danger" onClick={remove}>
            {t("remove.button")}
          </Button>
        </Line>
      </Group>
      <p class="group-note selectable">{t("set.about", { version: about.version, hub: about.hub })}</p>
      <PendingDialog {...question} />
    </>
  );
}
