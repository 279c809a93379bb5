// The mounts at the side (above, where it is narrow): choosing one shows only its files.
import type { AppState, Bucket } from "../../api/engine";
import { useTexts } from "../../components/context";
import { FileName } from "../../components/file-name";
import { Icon } from "../../components/icons";
import { allBuckets, bucketWords, isActive } from "../../state/buckets";
import { useModel } from "../../state/hooks";

interface SidebarProps {
  app: AppState;
  chosen: string | null;
  onChoose: (bucket: string | null) => void;
  onMount: () => void;
}

export function Sidebar({ app, chosen, onChoose, onMount }: SidebarProps) {
  const { t } = useTexts();
  const { host } = useModel();
  const active = allBuckets(app).filter(isActive);
  return (
    <nav class="sidebar" aria-label={t("nav.mounts")}>
      <h2 class="sidebar-title">{t("nav.mounts")}</h2>
      <ul class="sidebar-list">
        {active.length > 1 && (
          <li>
            <button type="button" class="side-item" aria-current={chosen === null ? "true" : undefined} onClick={() => onChoose(null)}>
              <Icon name="queue" size={18} tone="quiet" />
              <span class="side-name">{t("nav.all")}</span>
            </button>
          </li>
        )}
        {active.map((bucket) => (
          <SideItem key={bucket.id} bucket={bucket} chosen={chosen === bucket.id || active.length === 1} onChoose={() => onChoose(chosen === bucket.id ? null : bucket.id)} />
        ))}
        {active.length === 0 && <li class="side-none secondary small">{t("nav.noMounts")}</li>}
      </ul>
      {app.status.signed_in && <div class="side-foot">
        <button type="button" class="side-item" onClick={onMount}>
          <Icon name="plus" size={18} tone="accent" />
          <span class="side-name">{t("mount.choose")}</span>
        </button>
        <button type="button" class="side-item" onClick={() => host.openPage("new-bucket")}>
          <Icon name="bucket" size={18} tone="accent" />
          <span class="side-name">{t("new.open")}</span>
        </button>
      </div>}
    </nav>
  );
}

function SideItem({ bucket, chosen, onChoose }: { bucket: Bucket; chosen: boolean; onChoose: () => void }) {
  const texts = useTexts();
  const words = bucketWords(bucket, texts);
  return (
    <li>
      <button type="button" class="side-item" aria-current={chosen ? "true" : undefined} onClick={onChoose}>
        <Icon name={words.icon} size={18} tone={words.tone} />
        <span class="side-words">
          <FileName name={bucket.name} className="side-name" />
          <span class="side-state" data-user={words.engine} data-may-cut title={words.text}>
            {words.text}
          </span>
        </span>
      </button>
    </li>
  );
}
