// The rows of the Activity list: what needs somebody, what moves, what waits, what stays here, what is over.
// One thing is one row: an upload that failed is in the engine's queue and among its entries, and is shown once.
import type { ActivityEntry, AppState, Conflict, HeldDeletes, QueueRow, Removed, SavedRow } from "../api/engine";
import { splitPath } from "../text/middle";
import { rowAtIndex, type QueueCache } from "./queue-cache";

export type Section = "needs" | "news" | "moving" | "waiting" | "local" | "solved";

export type ListRow = { key: string; estimate: number } & (
  | { kind: "section"; section: Section }
  | { kind: "day"; ms: number }
  | { kind: "entry"; entry: ActivityEntry }
  | { kind: "conflict"; conflict: Conflict }
  | { kind: "held"; held: HeldDeletes }
  | { kind: "queue"; row: QueueRow }
  | { kind: "saved"; row: SavedRow }
  | { kind: "removed"; row: Removed }
  | { kind: "blank" }
);

const HEIGHT = { section: 34, tall: 104, entry: 72, plain: 52 };

export function sectionOf(row: QueueRow): Section {
  switch (row.state.kind) {
    case "failed":
      return "needs";
    case "uploading":
    case "committing":
      return "moving";
    case "local_only":
      return "local";
    default:
      return "waiting";
  }
}

const place = (bucket: string | null, path: string | null) => `${bucket ?? ""}\n${path ?? ""}`;

/** Entries that tell what another row shows better are left out. */
function openEntries(app: AppState, failedRows: ReadonlySet<string>): ActivityEntry[] {
  const conflicts = new Set(app.conflicts.flatMap((c) => [place(c.bucket, c.path), place(c.bucket, c.kept_as)]));
  const held = new Set(app.held_deletes.map((h) => h.bucket));
  return app.activity.filter((entry) => {
    if (entry.solved) return false;
    if (entry.kind === "upload_failed") return !failedRows.has(place(entry.bucket, entry.path));
    if (entry.kind === "conflict") return !conflicts.has(place(entry.bucket, entry.path));
    if (entry.kind === "deletes_held") return !held.has(entry.bucket ?? "");
    return true;
  });
}

export interface Shown {
  bucket: string | null;
  filter: string;
}

const contains = (text: string | null, filter: string) => (text ?? "").toLocaleLowerCase().includes(filter);

/** All rows of the Activity list. With a filter only rows that are loaded and contain it. */
export function activityRows(app: AppState, queue: QueueCache, shown: Shown): ListRow[] {
  const filter = shown.filter.trim().toLocaleLowerCase();
  const ofBucket = (bucket: string | null) => shown.bucket === null || bucket === null || bucket === shown.bucket;
  const wanted = (bucket: string | null, ...texts: (string | null)[]) =>
    ofBucket(bucket) && (filter === "" || texts.some((text) => contains(text, filter)));

  const queueRows = queueInSections(queue, filter);
  const failed = new Set((queueRows.get("needs") ?? []).flatMap((row) => (row.kind === "queue" ? [place(row.row.bucket, row.row.path)] : [])));
  const open = openEntries(app, failed).filter((entry) => wanted(entry.bucket, entry.path, entry.what));
  const needs: ListRow[] = [
    ...app.held_deletes.filter((held) => wanted(held.bucket, ...held.paths)).map(heldRow),
    ...app.conflicts.filter((c) => wanted(c.bucket, c.path, c.kept_as)).map(conflictRow),
    ...open.filter(needsSomebody).map(entryRow),
    ...(queueRows.get("needs") ?? []),
  ];
  const solved = app.activity.filter((entry) => entry.solved && wanted(entry.bucket, entry.path, entry.what));
  return [
    ...section("needs", needs),
    ...section("news", open.filter((entry) => !needsSomebody(entry)).map(entryRow)),
    ...section("moving", queueRows.get("moving") ?? []),
    ...section("waiting", queueRows.get("waiting") ?? []),
    ...section("local", queueRows.get("local") ?? []),
    ...section("solved", solved.map(entryRow)),
  ];
}

/** News are read and put away; everything else asks for a deed. */
export const needsSomebody = (entry: ActivityEntry) => entry.kind !== "recovered";

const section = (name: Section, rows: ListRow[]): ListRow[] =>
  rows.length === 0 ? [] : [{ kind: "section", section: name, key: `section ${name}`, estimate: HEIGHT.section }, ...rows];

const entryRow = (entry: ActivityEntry): ListRow => ({ kind: "entry", entry, key: `entry ${entry.id}`, estimate: entry.solved ? HEIGHT.plain : HEIGHT.entry });

const conflictRow = (conflict: Conflict): ListRow => ({ kind: "conflict", conflict, key: `conflict ${conflict.bucket} ${conflict.id}`, estimate: HEIGHT.tall });

const heldRow = (held: HeldDeletes): ListRow => ({ kind: "held", held, key: `held ${held.bucket}`, estimate: HEIGHT.tall });

/** The queue comes sorted by section; a row that is not loaded yet stands in the section of the one before. */
function queueInSections(queue: QueueCache, filter: string): Map<Section, ListRow[]> {
  const sections = new Map<Section, ListRow[]>();
  // Pages of two moments may both have a row that moved from one to the other.
  const seen = new Set<string>();
  let current: Section = "waiting";
  for (let index = 0; index < queue.total; index += 1) {
    const row = rowAtIndex(queue, index);
    if (row) {
      // Held deletes are asked about once, in a row of their own.
      if (row.state.kind === "held" || (filter !== "" && !contains(row.path, filter))) continue;
      current = sectionOf(row);
    } else if (filter !== "") continue;
    const list = sections.get(current) ?? [];
    sections.set(current, list);
    const made: ListRow = row ? queueRow(row) : { kind: "blank", key: `blank ${index}`, estimate: HEIGHT.plain };
    if (seen.has(made.key)) continue;
    seen.add(made.key);
    list.push(made);
  }
  return sections;
}

const queueRow = (row: QueueRow): ListRow => ({
  kind: "queue",
  row,
  key: `queue ${row.bucket} ${row.path} ${row.action}`,
  estimate: row.state.kind === "failed" ? HEIGHT.tall : HEIGHT.plain,
});

/** Which rows of the queue a range of the list shows, as indices of the queue; everything while a filter is on. */
export function queueRange(rows: readonly ListRow[], from: number, to: number, total: number, filtered: boolean): { from: number; to: number } {
  if (filtered) return { from: 0, to: total };
  const before = countQueue(rows, 0, from);
  return { from: before, to: before + Math.max(1, countQueue(rows, from, to)) };
}

function countQueue(rows: readonly ListRow[], from: number, to: number): number {
  let count = 0;
  for (let index = from; index < Math.min(to, rows.length); index += 1) {
    const kind = rows[index]?.kind;
    if (kind === "queue" || kind === "blank") count += 1;
  }
  return count;
}

/** Rows with a heading for each day, newest first. */
function byDay<R extends { at_ms: number }>(rows: readonly R[], make: (row: R, index: number) => ListRow): ListRow[] {
  const list: ListRow[] = [];
  let day = "";
  rows.forEach((row, index) => {
    const of = new Date(row.at_ms).toDateString();
    if (of !== day) list.push({ kind: "day", ms: row.at_ms, key: `day ${of}`, estimate: HEIGHT.section });
    day = of;
    list.push(make(row, index));
  });
  return list;
}

const matches = (bucket: string, path: string, shown: Shown) =>
  (shown.bucket === null || bucket === shown.bucket) && contains(path, shown.filter.trim().toLocaleLowerCase());

export const savedRows = (rows: readonly SavedRow[], shown: Shown): ListRow[] =>
  byDay(
    rows.filter((row) => matches(row.bucket, row.path, shown)),
    (row) => ({ kind: "saved", row, key: `saved ${row.bucket} ${row.path} ${row.at_ms}`, estimate: HEIGHT.plain }),
  );

export const removedRows = (rows: readonly Removed[], shown: Shown): ListRow[] =>
  byDay(
    rows.filter((row) => matches(row.bucket, row.path, shown)),
    (row) => ({ kind: "removed", row, key: `removed ${row.bucket} ${row.path} ${row.at_ms}`, estimate: HEIGHT.plain }),
  );

/** "weights/a.bin" in "demo/models": the name, and where it is. */
export function whereIs(bucket: string, path: string): { name: string; place: string } {
  const { folder, name } = splitPath(path);
  return { name, place: folder === "" ? bucket : `${bucket}/${folder}` };
}
