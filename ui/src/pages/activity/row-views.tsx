// How each row of a list looks: an icon, a name over where it is, what is the matter, and what can be done.
import type { ComponentChildren } from "preact";
import type { ActivityEntry, Conflict, HeldDeletes, QueueRow, Removed, SavedRow, Version } from "../../api/engine";
import { Button, IconButton } from "../../components/button";
import { useTexts } from "../../components/context";
import { FileName } from "../../components/file-name";
import { Icon, type IconName, type Tone } from "../../components/icons";
import { ProgressBar } from "../../components/parts";
import { Menu, type MenuItem } from "../../components/popup";
import { useNow } from "../../state/hooks";
import { whereIs } from "../../state/rows";
import { bytes, clock, duration, fullMoment, moment } from "../../text/format";
import type { RowDeeds } from "./deeds";

interface FrameProps {
  icon: IconName;
  tone: Tone;
  /** A sentence for the icon, for screen readers. */
  state: string;
  name: ComponentChildren;
  line: ComponentChildren;
  aside?: ComponentChildren;
  children?: ComponentChildren;
  tall?: boolean;
}

function Frame({ icon, tone, state, name, line, aside, children, tall }: FrameProps) {
  return (
    <div class={tall ? "row tall" : "row"}>
      <span class={`row-icon tone-${tone}`}>
        <Icon name={icon} size={18} />
        <span class="hidden-text">{state}</span>
      </span>
      <div class="row-main">
        <div class="row-name">{name}</div>
        <div class="row-line">{line}</div>
        {children}
      </div>
      {aside && <div class="row-aside">{aside}</div>}
    </div>
  );
}

function Where({ place }: { place: string }) {
  return <FileName name={place} className="row-place" />;
}

/** "weights/ · 3.4 MB · 2 min left": the place may be cut, the facts not. */
function Facts({ place, facts }: { place: string; facts: readonly string[] }) {
  return (
    <>
      <Where place={place} />
      {facts.map((fact) => (
        <span class="row-fact numeric" key={fact}>
          {fact}
        </span>
      ))}
    </>
  );
}

const QUEUE_ICON: Record<QueueRow["action"], IconName> = { upload: "file", delete: "trash", move: "transfer", none: "laptop" };

/** A wait that is over in a minute needs no clock. */
const SOON_MS = 60_000;

export function QueueRowView({ row, deeds }: { row: QueueRow; deeds: RowDeeds }) {
  const { t, locale } = useTexts();
  const now = useNow();
  const { name, place } = whereIs(row.bucket, row.path);
  const file = <FileName name={name} />;
  const state = row.state;
  switch (state.kind) {
    case "failed":
    case "held":
      return (
        <Frame icon="attention" tone="bad" state={t("row.failed")} name={file} line={<Facts place={place} facts={[bytes(row.bytes, locale)]} />} tall>
          <Cause why={state.why} advice={state.advice} />
          <div class="button-row">
            <Button icon="retry" onClick={() => deeds.retry(row.bucket, row.path)} about={name}>
              {t("row.retry")}
            </Button>
            <Button onClick={() => deeds.show(row.bucket, row.path)} about={name}>
              {t("row.show", { browser: deeds.browser })}
            </Button>
            {row.action === "upload" && (
              <Button kind="danger" onClick={() => deeds.discard(row.bucket, row.path)} about={name}>
                {t("row.discard")}
              </Button>
            )}
          </div>
        </Frame>
      );
    case "uploading": {
      const left = state.seconds_left === null ? null : t("row.left", { time: duration(state.seconds_left, locale) });
      const rate = state.bytes_per_s === null ? null : t("row.rate", { rate: bytes(state.bytes_per_s, locale) });
      const done = t("row.done", { done: bytes(state.done, locale), total: bytes(state.total, locale) });
      return (
        <Frame
          icon="upload"
          tone="accent"
          state={t("row.uploading")}
          name={file}
          line={<Facts place={place} facts={[done, rate, left].filter((fact) => fact !== null)} />}
        >
          <ProgressBar label={t("row.progressOf", { name })} share={state.total > 0 ? state.done / state.total : null} text={done} />
        </Frame>
      );
    }
    case "committing":
      return <Frame icon="upload" tone="accent" state={t("row.uploading")} name={file} line={<Facts place={place} facts={[t("row.committing")]} />} />;
    case "queued":
      return (
        <Frame icon={QUEUE_ICON[row.action]} tone="quiet" state={t("row.queued")} name={file} line={<Facts place={place} facts={[t(`row.queued.${row.action}`), ...size(row, locale)]} />} />
      );
    case "waiting":
      return (
        <Frame
          icon="clock"
          tone="quiet"
          state={t("row.waiting")}
          name={file}
          line={
            <>
              <Facts place={place} facts={size(row, locale)} />
              <span class="row-why" data-user>
                {sentence(state.why)}
              </span>
              {state.until_ms !== null && state.until_ms - now > SOON_MS && <span class="row-fact numeric">{t("row.until", { time: clock(state.until_ms, locale) })}</span>}
            </>
          }
        />
      );
    case "local_only":
      return (
        <Frame
          icon="laptop"
          tone="quiet"
          state={t("row.localOnly")}
          name={file}
          line={
            <>
              <Where place={place} />
              <span class="row-why" data-user>
                {sentence(state.why)}
              </span>
            </>
          }
        />
      );
  }
}

const size = (row: QueueRow, locale: string) => (row.action === "upload" ? [bytes(row.bytes, locale)] : []);

/** Sentences beside one another each have an end. */
const ended = (text: string) => (/[.!?…]$/.test(text) ? text : `${text}.`);

/** The reasons why a row waits are parts of sentences in places; here they stand alone. */
function sentence(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

function Cause({ why, advice }: { why: string; advice: string }) {
  return (
    <p class="row-cause selectable" data-user>
      {ended(why)} {advice !== "" && <span class="secondary">{ended(advice)}</span>}
    </p>
  );
}

const ENTRY_ICON: Record<ActivityEntry["kind"], IconName> = {
  write_failed: "attention",
  sync_failed: "disk",
  stale: "attention",
  upload_failed: "attention",
  conflict: "conflict",
  deletes_held: "trash",
  mount_lost: "eject",
  sign_in_ended: "person",
  disk_full: "disk",
  recovered: "restore",
  trouble: "attention",
};

export function EntryView({ entry, deeds }: { entry: ActivityEntry; deeds: RowDeeds }) {
  const { t, locale } = useTexts();
  const now = useNow();
  const { bucket, path } = entry;
  const title = t(`entry.${entry.kind}`);
  const named = path !== null && bucket !== null ? whereIs(bucket, path) : null;
  const facts = [moment(entry.last_ms, now, locale), ...(entry.count > 1 ? [t("entry.times", { count: entry.count })] : [])];
  const name = named?.name ?? bucket ?? "";
  return (
    <Frame
      icon={entry.solved ? "check" : ENTRY_ICON[entry.kind]}
      tone={entry.solved ? "good" : entry.kind === "recovered" ? "accent" : "bad"}
      state={entry.solved ? t("entry.solved") : title}
      name={named ? <FileName name={named.name} /> : <span class="row-title">{title}</span>}
      line={
        <>
          {(named?.place ?? bucket) !== null && <Where place={named?.place ?? bucket ?? ""} />}
          {named && <span class="row-fact">{title}</span>}
          {facts.map((fact) => (
            <span class="row-fact numeric" key={fact} title={fullMoment(entry.last_ms, locale)}>
              {fact}
            </span>
          ))}
        </>
      }
      aside={
        !entry.solved && entry.kind === "recovered" ? (
          <IconButton icon="close" label={t("entry.dismiss")} onClick={() => deeds.dismiss(entry.id)} />
        ) : undefined
      }
      tall={!entry.solved}
    >
      <Cause why={entry.what} advice={entry.solved ? "" : entry.advice} />
      {!entry.solved && <EntryButtons entry={entry} name={name} deeds={deeds} />}
    </Frame>
  );
}

function EntryButtons({ entry, name, deeds }: { entry: ActivityEntry; name: string; deeds: RowDeeds }) {
  const { t } = useTexts();
  const { bucket, path } = entry;
  const can = new Set(entry.actions);
  const offers: ComponentChildren[] = [];
  if (can.has("retry") && bucket)
    offers.push(
      <Button key="retry" icon="retry" onClick={() => deeds.retry(bucket, path)} about={name}>
        {t("row.retry")}
      </Button>,
    );
  if (can.has("sign_in"))
    offers.push(
      <Button key="sign_in" kind="primary" onClick={deeds.signIn}>
        {t("signIn.again")}
      </Button>,
    );
  if (can.has("mount") && bucket)
    offers.push(
      <Button key="mount" onClick={() => deeds.mount(bucket)} about={bucket}>
        {t("mount.again")}
      </Button>,
    );
  if (can.has("show") && bucket)
    offers.push(
      <Button key="show" onClick={() => deeds.show(bucket, path)} about={name}>
        {t("row.show", { browser: deeds.browser })}
      </Button>,
    );
  if (can.has("discard") && bucket && path)
    offers.push(
      <Button key="discard" kind="danger" onClick={() => deeds.discard(bucket, path)} about={name}>
        {t("row.discard")}
      </Button>,
    );
  return offers.length === 0 ? null : <div class="button-row">{offers}</div>;
}

export function ConflictView({ conflict, deeds }: { conflict: Conflict; deeds: RowDeeds }) {
  const { t, locale } = useTexts();
  const { name, place } = whereIs(conflict.bucket, conflict.path);
  const kept = whereIs(conflict.bucket, conflict.kept_as).name;
  const resolve = (how: "keep_mine" | "keep_theirs" | "keep_both") => deeds.resolve(conflict.bucket, conflict.id, how);
  return (
    <Frame
      icon="conflict"
      tone="warn"
      state={t("entry.conflict")}
      name={<FileName name={name} />}
      line={<Facts place={place} facts={[t("conflict.title")]} />}
      tall
    >
      <p class="row-cause">{t("conflict.text")}</p>
      <dl class="versions">
        <VersionView label={t("conflict.mine")} name={kept} version={conflict.mine} locale={locale} />
        <VersionView label={t("conflict.theirs")} name={name} version={conflict.theirs} locale={locale} />
      </dl>
      <div class="button-row">
        <Button onClick={() => resolve("keep_both")} about={name}>
          {t("conflict.keepBoth")}
        </Button>
        <Button onClick={() => resolve("keep_mine")} about={name}>
          {t("conflict.keepMine")}
        </Button>
        <Button onClick={() => resolve("keep_theirs")} about={name}>
          {t("conflict.keepTheirs")}
        </Button>
      </div>
    </Frame>
  );
}

function VersionView({ label, name, version, locale }: { label: string; name: string; version: Version | null; locale: string }) {
  const { t } = useTexts();
  const now = useNow();
  return (
    <div class="version">
      <dt>{label}</dt>
      <dd>
        <FileName name={name} />
        <span class="secondary small numeric">
          {version ? t("conflict.version", { size: bytes(version.size, locale), time: moment(version.mtime_ms, now, locale) }) : t("conflict.gone")}
        </span>
      </dd>
    </div>
  );
}

const SHOWN_DELETES = 3;

export function HeldView({ held, deeds }: { held: HeldDeletes; deeds: RowDeeds }) {
  const { t } = useTexts();
  const more = held.count - Math.min(SHOWN_DELETES, held.paths.length);
  return (
    <Frame icon="trash" tone="warn" state={t("entry.deletes_held")} name={<span class="row-title">{t("held.title", { count: held.count })}</span>} line={<Where place={held.bucket} />} tall>
      <p class="row-cause">{t("held.text", { count: held.count, of: held.of })}</p>
      <ul class="held-names">
        {held.paths.slice(0, SHOWN_DELETES).map((path) => (
          <li key={path}>
            <FileName name={path} />
          </li>
        ))}
        {more > 0 && <li class="secondary">{t("held.more", { count: more })}</li>}
      </ul>
      <div class="button-row">
        <Button icon="restore" onClick={() => deeds.answerDeletes(held.bucket, "restore")}>
          {t("held.restore")}
        </Button>
        <Button kind="danger" onClick={() => deeds.answerDeletes(held.bucket, "send")}>
          {t("held.send")}
        </Button>
      </div>
    </Frame>
  );
}

export function SavedView({ row, deeds }: { row: SavedRow; deeds: RowDeeds }) {
  const { t, locale } = useTexts();
  const { name, place } = whereIs(row.bucket, row.path);
  const facts = row.action === "upload" ? [bytes(row.bytes, locale)] : [t(`saved.${row.action}`)];
  const onHub: MenuItem[] = row.action === "delete" ? [] : [{ label: t("row.openHub"), icon: "link", run: () => void deeds.reveal(row.bucket, row.path) }];
  const show: MenuItem[] = row.action === "delete" ? [] : [{ label: t("row.show", { browser: deeds.browser }), icon: "folder", run: () => void deeds.show(row.bucket, row.path) }];
  return (
    <Frame
      icon={row.action === "delete" ? "trash" : "saved"}
      tone={row.action === "delete" ? "quiet" : "good"}
      state={t("row.saved")}
      name={<FileName name={name} />}
      line={<Facts place={place} facts={facts} />}
      aside={
        <>
          <time class="row-time numeric" dateTime={new Date(row.at_ms).toISOString()} title={fullMoment(row.at_ms, locale)}>
            {clock(row.at_ms, locale)}
          </time>
          {onHub.length > 0 && <Menu label={t("row.moreOf", { name })} icon="more" compact items={[[...onHub, ...show]]} />}
        </>
      }
    />
  );
}

export function RemovedView({ row, deeds }: { row: Removed; deeds: RowDeeds }) {
  const { t, locale } = useTexts();
  const { name, place } = whereIs(row.bucket, row.path);
  return (
    <Frame
      icon={row.deleted ? "trash" : "clock"}
      tone="quiet"
      state={t(row.deleted ? "removed.deleted" : "removed.overwritten")}
      name={<FileName name={name} />}
      line={<Facts place={place} facts={[bytes(row.size, locale), t(row.deleted ? "removed.deletedAt" : "removed.overwrittenAt", { time: clock(row.at_ms, locale) })]} />}
      aside={
        <Button icon="restore" onClick={() => deeds.restore(row)} about={name}>
          {t("removed.restore")}
        </Button>
      }
    />
  );
}
