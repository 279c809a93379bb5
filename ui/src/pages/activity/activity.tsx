// The Activity window: the state in one line, the mounts, and three lists: what goes on, what came to the Hub, and what
// was deleted or overwritten and can come back.
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { AppState } from "../../api/engine";
import { BucketPicker } from "../../components/bucket-picker";
import { Button } from "../../components/button";
import { Tabs } from "../../components/choices";
import { useTexts } from "../../components/context";
import { Dialog } from "../../components/dialog";
import { Banner, Empty } from "../../components/parts";
import { PendingDialog } from "../../components/pending-dialog";
import { Problem } from "../../components/problem";
import { SearchField } from "../../components/search-field";
import { VirtualList } from "../../components/virtual-list";
import { allBuckets, isActive } from "../../state/buckets";
import { useModel, useNow, useView } from "../../state/hooks";
import { activityRows, queueRange, removedRows, savedRows, type ListRow, type Section, type Shown } from "../../state/rows";
import { day } from "../../text/format";
import { BucketBar } from "./bucket-bar";
import { useDeeds, type RowDeeds } from "./deeds";
import { StatusHead } from "./header";
import { ConflictView, EntryView, HeldView, QueueRowView, RemovedView, SavedView } from "./row-views";
import { Sidebar } from "./sidebar";

type Tab = "now" | "saved" | "removed";

export function ActivityPage({ app, reveal }: { app: AppState; reveal: number | null }) {
  const { t } = useTexts();
  const { host, run } = useModel();
  const { deeds, question } = useDeeds();
  const [tab, setTab] = useState<Tab>("now");
  const [chosen, setChosen] = useState<string | null>(null);
  const [filter, setFilter] = useState("");
  const [picking, setPicking] = useState(false);
  const active = allBuckets(app).filter(isActive);
  const bucket = active.find((one) => one.id === chosen) ?? (active.length === 1 ? active[0] : undefined);
  const shown: Shown = { bucket: active.length > 1 ? (bucket?.id ?? null) : null, filter };
  const somethingWaits = app.status.files_left > 0 || app.activity.length > 0;
  useEffect(() => {
    if (reveal !== null) setTab("now");
  }, [reveal]);
  return (
    <div class="activity">
      <Sidebar app={app} chosen={bucket?.id ?? null} onChoose={setChosen} onMount={() => setPicking(true)} />
      <main class="activity-main">
        <StatusHead status={app.status} />
        {!app.status.signed_in && somethingWaits && (
          <div class="pad-inline">
            <Banner
              icon="person"
              title={t("signedOut.title")}
              actions={
                <Button kind="primary" onClick={() => host.openPage("welcome")}>
                  {t("signIn.signIn")}
                </Button>
              }
            >
              <p>{t("signedOut.text")}</p>
            </Banner>
          </div>
        )}
        <Problem />
        {bucket && <BucketBar bucket={bucket} deeds={deeds} />}
        <div class="toolbar">
          <Tabs<Tab>
            label={t("nav.lists")}
            panel="activity-panel"
            value={tab}
            onChange={setTab}
            options={[
              { value: "now", label: t("tab.now"), badge: { count: app.status.need_you, bad: true } },
              { value: "saved", label: t("tab.saved") },
              { value: "removed", label: t("tab.removed") },
            ]}
          />
          <span class="spring" />
          <SearchField label={t("filter.label")} value={filter} onChange={setFilter} />
        </div>
        <div class="panel" id="activity-panel" role="tabpanel" aria-labelledby={`activity-panel-tab-${tab}`}>
          {tab === "now" && <NowList app={app} shown={shown} deeds={deeds} reveal={reveal} onPick={() => setPicking(true)} />}
          {tab === "saved" && <SavedListView shown={shown} deeds={deeds} />}
          {tab === "removed" && <RemovedListView buckets={active.map((one) => one.id)} shown={shown} deeds={deeds} />}
        </div>
      </main>
      {picking && (
        <Dialog title={t("picker.title")} onClose={() => setPicking(false)}>
          <BucketPicker
            app={app}
            onMount={async (id) => {
              if (await run("mount", { bucket: id, open: true })) setPicking(false);
            }}
            onNew={() => host.openPage("new-bucket")}
          />
          <Problem />
          <div class="button-row end">
            <Button onClick={() => setPicking(false)}>{t("common.close")}</Button>
          </div>
        </Dialog>
      )}
      <PendingDialog {...question} />
    </div>
  );
}

function NowList({ app, shown, deeds, reveal, onPick }: { app: AppState; shown: Shown; deeds: RowDeeds; reveal: number | null; onPick: () => void }) {
  const { t } = useTexts();
  const { lookAtQueue } = useModel();
  const { queue } = useView();
  const rows = useMemo(() => activityRows(app, queue, shown), [app, queue, shown.bucket, shown.filter]);
  const filtered = shown.filter.trim() !== "";
  const range = useCallback(
    (from: number, to: number) => lookAtQueue({ ...queueRange(rows, from, to, queue.total, filtered), bucket: shown.bucket }),
    [rows, queue.total, filtered, shown.bucket],
  );
  useEffect(() => {
    if (rows.length === 0) range(0, 1);
  }, [range]);
  useEffect(() => () => lookAtQueue(null), []);
  if (rows.length === 0) return filtered ? <NothingFound /> : <NothingGoesOn app={app} onPick={onPick} />;
  return (
    <VirtualList
      label={t("tab.now")}
      rows={rows}
      onRange={range}
      reveal={reveal === null ? null : `entry ${reveal}`}
      render={(row) => <RowView row={row} deeds={deeds} machine={app.about.machine} retryAll={app.status.failed > 1 ? () => deeds.retry(shown.bucket, null) : undefined} />}
    />
  );
}

function NothingFound() {
  const { t } = useTexts();
  return <Empty icon="search" title={t("filter.none")} />;
}

function NothingGoesOn({ app, onPick }: { app: AppState; onPick: () => void }) {
  const { t } = useTexts();
  const { host } = useModel();
  if (!app.status.signed_in)
    return (
      <Empty
        icon="person"
        title={t("signedOut.title")}
        actions={
          <Button kind="primary" onClick={() => host.openPage("welcome")}>
            {t("signIn.signIn")}
          </Button>
        }
      >
        <p>{t("signedOut.text")}</p>
      </Empty>
    );
  if (app.status.mounted === 0)
    return (
      <Empty
        icon="bucket"
        title={t("empty.noMount")}
        actions={
          <Button kind="primary" onClick={onPick}>
            {t("mount.choose")}
          </Button>
        }
      >
        <p>{t("empty.noMountText")}</p>
      </Empty>
    );
  if (!app.status.all_saved) return <Empty icon="clock" title={t("empty.looking")} />;
  return (
    <Empty icon="saved" title={t("empty.saved")}>
      <p>{t("empty.savedText")}</p>
    </Empty>
  );
}

function SavedListView({ shown, deeds }: { shown: Shown; deeds: RowDeeds }) {
  const { t } = useTexts();
  const { lookAtSaved } = useModel();
  const { saved } = useView();
  useEffect(() => {
    lookAtSaved(true);
    return () => lookAtSaved(false);
  }, []);
  const rows = useMemo(() => savedRows(saved ?? [], shown), [saved, shown.bucket, shown.filter]);
  if (saved === null) return null;
  if (rows.length > 0) return <VirtualList label={t("tab.saved")} rows={rows} render={(row) => <RowView row={row} deeds={deeds} machine="" />} />;
  return shown.filter ? (
    <NothingFound />
  ) : (
    <Empty icon="upload" title={t("empty.noneSaved")}>
      <p>{t("empty.noneSavedText")}</p>
    </Empty>
  );
}

function RemovedListView({ buckets, shown, deeds }: { buckets: readonly string[]; shown: Shown; deeds: RowDeeds }) {
  const { t } = useTexts();
  const { lookAtRemoved } = useModel();
  const { removed } = useView();
  const wanted = buckets.join("\n");
  useEffect(() => {
    lookAtRemoved(buckets);
    return () => lookAtRemoved(null);
  }, [wanted]);
  const rows = useMemo(() => removedRows(removed ?? [], shown), [removed, shown.bucket, shown.filter]);
  if (removed === null) return null;
  if (rows.length > 0) return <VirtualList label={t("tab.removed")} rows={rows} render={(row) => <RowView row={row} deeds={deeds} machine="" />} />;
  return shown.filter ? (
    <NothingFound />
  ) : (
    <Empty icon="restore" title={t("empty.noneRemoved")}>
      <p>{t("empty.noneRemovedText")}</p>
    </Empty>
  );
}

const SECTION_TEXT = {
  needs: "section.needs",
  news: "section.news",
  moving: "section.moving",
  waiting: "section.waiting",
  local: "section.local",
  solved: "section.solved",
} as const satisfies Record<Section, string>;

interface RowViewProps {
  row: ListRow;
  deeds: RowDeeds;
  machine: string;
  /** Offered beside the heading when there is more than one. */
  retryAll?: (() => Promise<unknown>) | undefined;
}

function RowView({ row, deeds, machine, retryAll }: RowViewProps) {
  const { t, locale } = useTexts();
  const now = useNow();
  switch (row.kind) {
    case "section":
      return (
        <div class="section-head">
          <h2 class="section-title">{row.section === "local" ? t("section.local", { machine }) : t(SECTION_TEXT[row.section])}</h2>
          {row.section === "needs" && retryAll && (
            <Button kind="plain" onClick={retryAll}>
              {t("row.retryAll")}
            </Button>
          )}
        </div>
      );
    case "day":
      return <h2 class="section-title">{day(row.ms, now, locale)}</h2>;
    case "entry":
      return <EntryView entry={row.entry} deeds={deeds} />;
    case "conflict":
      return <ConflictView conflict={row.conflict} deeds={deeds} />;
    case "held":
      return <HeldView held={row.held} deeds={deeds} />;
    case "queue":
      return <QueueRowView row={row.row} deeds={deeds} />;
    case "saved":
      return <SavedView row={row.row} deeds={deeds} />;
    case "removed":
      return <RemovedView row={row.row} deeds={deeds} />;
    case "blank":
      return <div class="row blank" aria-busy="true" />;
  }
}
