import { useTexts } from "../../components/context";
import { Group } from "../../components/parts";
import { allBuckets } from "../../state/buckets";
import { useModel } from "../../state/hooks";
import { SwitchLine, TextLine } from "./lines";
import type { PaneProps } from "./settings";
import { VolumesLine } from "./volumes";

export function GeneralPane({ app, change }: PaneProps) {
  const { t } = useTexts();
  const { host } = useModel();
  const { settings } = app;
  const chosen = new Set(settings.mount_at_login);
  // One that is chosen stays in the list, also when it cannot be seen now.
  const ids = [...new Set([...allBuckets(app).map((bucket) => bucket.id), ...settings.mount_at_login])];
  const choose = (id: string, on: boolean) => change({ mount_at_login: on ? [...settings.mount_at_login, id] : settings.mount_at_login.filter((other) => other !== id) });
  return (
    <>
      <Group>
        <SwitchLine label={t("set.startAtLogin")} note={t("set.startAtLoginNote")} on={settings.start_at_login} onChange={(on) => change({ start_at_login: on })} />
        <TextLine label={t("set.mountFolder")} note={t("set.mountFolderNote")} value={settings.mount_folder} pick={host.pickFolder} onSave={(path) => change({ mount_folder: path })} />
        <VolumesLine />
        <SwitchLine label={t("set.readOnly")} note={t("set.readOnlyNote")} on={settings.read_only_by_default} onChange={(on) => change({ read_only_by_default: on })} />
      </Group>
      <Group title={t("set.mountAtLogin")} note={t("set.mountAtLoginNote")}>
        {ids.length === 0 ? (
          <p class="line secondary">{t("set.noBuckets")}</p>
        ) : (
          <div class="scroll-box">
            {ids.map((id) => (
              <SwitchLine key={id} named label={id} on={chosen.has(id)} onChange={(on) => choose(id, on)} />
            ))}
          </div>
        )}
      </Group>
    </>
  );
}
