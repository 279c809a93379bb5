// All buckets by owner, with a filter and a button each to mount them. Used by Welcome and by "Mount a bucket…".
import { useId, useState } from "preact/hooks";
import type { AppState, Bucket } from "../api/engine";
import { canMount } from "../state/buckets";
import { useModel } from "../state/hooks";
import { bytes } from "../text/format";
import { Button, IconButton } from "./button";
import { useTexts } from "./context";
import { FileName } from "./file-name";
import { Icon } from "./icons";
import { Banner, Empty } from "./parts";
import { SearchField } from "./search-field";

const SEARCH_FROM = 6;

export function BucketPicker({ app, onMount, onNew }: { app: AppState; onMount: (bucket: string) => Promise<unknown>; onNew: () => void }) {
  const { t } = useTexts();
  const { run } = useModel();
  const id = useId();
  const refresh = () => run("refresh_buckets", {});
  const [filter, setFilter] = useState("");
  const wanted = filter.trim().toLocaleLowerCase();
  const groups = app.buckets
    .map((group) => ({ ...group, buckets: group.buckets.filter((bucket) => bucket.id.toLocaleLowerCase().includes(wanted)) }))
    .filter((group) => group.buckets.length > 0);
  const count = app.buckets.reduce((sum, group) => sum + group.buckets.length, 0);
  const { error, asking } = app.bucket_list;
  return (
    <div class="picker">
      {count >= SEARCH_FROM && (
        <div class="picker-head">
          <SearchField label={t("picker.filter")} value={filter} onChange={setFilter} />
        </div>
      )}
      {error && (
        <Banner tone="warn" icon="offline" actions={<Button onClick={refresh}>{t("common.tryAgain")}</Button>}>
          <p data-user>
            {error.what} {error.advice}
          </p>
        </Banner>
      )}
      {count === 0 && asking && <Empty icon="bucket" title={t("picker.asking")} />}
      {count === 0 && !asking && !error && (
        <Empty
          icon="bucket"
          title={t("picker.none")}
          actions={
            <>
              <Button onClick={refresh}>{t("picker.refresh")}</Button>
              <Button kind="primary" onClick={onNew}>
                {t("new.open")}
              </Button>
            </>
          }
        >
          <p>{t("picker.noneText")}</p>
        </Empty>
      )}
      {count > 0 && groups.length === 0 && <Empty icon="search" title={t("filter.none")} />}
      {groups.map((group, index) => (
        <section class="group" key={group.owner} aria-labelledby={`${id}-${index}`}>
          <div class="group-head">
            <h2 data-user id={`${id}-${index}`}>
              {group.owner}
            </h2>
            {index === 0 && <IconButton icon="retry" label={t("picker.refresh")} onClick={() => void refresh()} />}
          </div>
          <ul class="group-box">
            {group.buckets.map((bucket) => (
              <PickerLine key={bucket.id} bucket={bucket} onMount={onMount} />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

function PickerLine({ bucket, onMount }: { bucket: Bucket; onMount: (bucket: string) => Promise<unknown> }) {
  const { t, locale } = useTexts();
  const facts = [
    t(bucket.private ? "bucket.private" : "bucket.public"),
    ...(bucket.files === null ? [] : [t("bucket.files", { count: bucket.files })]),
    ...(bucket.size === null ? [] : [bytes(bucket.size, locale)]),
  ];
  return (
    <li class="line picker-line">
      <Icon name={bucket.private ? "lock" : "globe"} size={18} tone="quiet" />
      <div class="line-text">
        <FileName name={bucket.name} />
        <p class="secondary numeric">{facts.join(" · ")}</p>
        {bucket.mount.state === "failed" && (
          <p class="field-error" data-user>
            {bucket.mount.error.what} {bucket.mount.error.advice}
          </p>
        )}
      </div>
      {canMount(bucket) ? (
        <Button onClick={() => onMount(bucket.id)} about={bucket.id}>
          {t("mount.mount")}
        </Button>
      ) : (
        <span class={bucket.mount.state === "mounted" ? "chip tone-good" : "chip"} role="status">
          {t(bucket.mount.state === "mounted" ? "mount.mounted" : "mount.busy")}
        </span>
      )}
    </li>
  );
}
