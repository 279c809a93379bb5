// The chosen bucket: where it is, and what can be done with it.
import type { Bucket } from "../../api/engine";
import { Button } from "../../components/button";
import { useTexts } from "../../components/context";
import { FileName } from "../../components/file-name";
import { Menu, type MenuItem } from "../../components/popup";
import { bucketWords, canMount } from "../../state/buckets";
import { useModel } from "../../state/hooks";
import type { RowDeeds } from "./deeds";

export function BucketBar({ bucket, deeds }: { bucket: Bucket; deeds: RowDeeds }) {
  const texts = useTexts();
  const { t } = texts;
  const { run } = useModel();
  const { mount } = bucket;
  const words = bucketWords(bucket, texts);
  const more: MenuItem[] = [{ label: t("mount.onHub"), icon: "link", run: () => void deeds.reveal(bucket.id, null) }];
  const readOnly = mount.state === "mounted" ? mount.read_only : null;
  if (mount.state === "mounted") {
    more.push({ label: t("mount.syncNow"), icon: "transfer", run: () => void run("sync_now", { bucket: bucket.id }) });
    if (readOnly !== "account")
      more.push({
        label: t(readOnly ? "mount.makeWritable" : "mount.makeReadOnly"),
        icon: "lock",
        run: () => void run("set_read_only", { bucket: bucket.id, read_only: readOnly === null }),
      });
  }
  const leave: MenuItem[] = mount.state === "mounted" || mount.state === "lost" ? [{ label: t("mount.unmount"), icon: "eject", run: () => void deeds.unmount(bucket.id) }] : [];
  return (
    <section class="bucket-bar" aria-label={t("mount.about", { bucket: bucket.id })}>
      <div class="bucket-words">
        <FileName name={bucket.id} className="bucket-name" />
        {mount.state === "mounted" ? (
          <FileName name={mount.mount_point} className="secondary small" />
        ) : (
          <span class="secondary small" data-user={words.engine}>
            {words.text}
          </span>
        )}
        {mount.state === "failed" && mount.error.advice !== "" && (
          <span class="secondary small" data-user>
            {mount.error.advice}
          </span>
        )}
      </div>
      {readOnly && <span class="chip">{t(readOnly === "account" ? "mount.readOnlyAccount" : "mount.readOnly")}</span>}
      {mount.state === "mounted" && (
        <Button icon="folder" onClick={() => deeds.show(bucket.id, null)}>
          {t("mount.open")}
        </Button>
      )}
      {canMount(bucket) && (
        <Button icon="bucket" onClick={() => deeds.mount(bucket.id)}>
          {t("mount.mount")}
        </Button>
      )}
      <Menu label={t("mount.moreOf", { bucket: bucket.id })} icon="more" compact items={leave.length > 0 ? [more, leave] : [more]} />
    </section>
  );
}
