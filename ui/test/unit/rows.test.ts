import { describe, expect, it } from "vitest";
import { layOut, rowAt, visible } from "../../src/components/offsets";
import { arrowTarget, nearest } from "../../src/components/choices";
import { typeAhead } from "../../src/components/popup";
import { rowKey } from "../../src/components/virtual-list";
import { emptyQueue, PAGE, putPage } from "../../src/state/queue-cache";
import { activityRows, queueRange, savedRows, type ListRow } from "../../src/state/rows";
import { STATES } from "../gallery/states";

const of = (name: string) => (STATES[name] as NonNullable<(typeof STATES)[string]>)();
const all = { bucket: null, filter: "" };
const queueOf = (rows: ReturnType<typeof of>["queue"]) => {
  let queue = { ...emptyQueue, total: rows.length };
  for (let offset = 0; offset < rows.length; offset += PAGE) queue = putPage(queue, { offset, total: rows.length, rows: rows.slice(offset, offset + PAGE) });
  return queue;
};
const kinds = (rows: ListRow[]) => rows.map((row) => (row.kind === "section" ? `# ${row.section}` : row.kind));

describe("the Activity list", () => {
  it("begins with what needs somebody, and shows each thing once", () => {
    const script = of("attention");
    const failed = script.queue[0];
    if (!failed) throw new Error("the state has no failed row");
    // The same failure is among the engine's entries too.
    script.app.activity.push({ ...(script.app.activity[0] as (typeof script.app.activity)[0]), id: 99, kind: "upload_failed", bucket: failed.bucket, path: failed.path, solved: false });
    expect(kinds(activityRows(script.app, queueOf(script.queue), all))).toEqual([
      "# needs", "held", "conflict", "entry", "queue", "queue", "# news", "entry", "# solved", "entry", "entry",
    ]);
  });

  it("an entry of a failure whose row is not in the queue is shown", () => {
    const script = of("attention");
    script.app.activity.push({ ...(script.app.activity[0] as (typeof script.app.activity)[0]), id: 99, kind: "upload_failed", path: "elsewhere.bin", solved: false });
    const rows = activityRows(script.app, queueOf([]), all);
    expect(rows.some((row) => row.kind === "entry" && row.entry.id === 99)).toBe(true);
  });

  it("keys are unique, so that no row takes another's place", () => {
    for (const name of Object.keys(STATES)) {
      const script = of(name);
      const keys = activityRows(script.app, queueOf(script.queue), all).map((row) => row.key);
      expect(new Set(keys).size, name).toBe(keys.length);
    }
  });

  it("shows one bucket, or what the filter says", () => {
    const script = of("busy");
    const queue = queueOf(script.queue);
    expect(activityRows(script.app, queue, { bucket: null, filter: " CHECKPOINT " }).filter((row) => row.kind === "queue").length).toBe(1);
    const attention = of("attention");
    const rows = activityRows(attention.app, queueOf([]), { bucket: "alice/photos", filter: "" });
    expect(rows.some((row) => row.kind === "conflict")).toBe(false);
    expect(rows.some((row) => row.kind === "held")).toBe(true);
  });

  it("ten thousand rows of which one page is loaded have all their places", () => {
    const script = of("thousands");
    const queue = putPage(emptyQueue, { offset: 0, total: 10_000, rows: script.queue.slice(0, PAGE) });
    const rows = activityRows(script.app, queue, all);
    expect(rows.filter((row) => row.kind === "queue" || row.kind === "blank").length).toBe(10_000);
    expect(queueRange(rows, 5000, 5020, 10_000, false).from).toBeGreaterThan(4990);
    expect(queueRange(rows, 5000, 5020, 10_000, true)).toEqual({ from: 0, to: 10_000 });
  });

  it("saved files come with a heading for each day", () => {
    const noon = new Date(2026, 10, 24, 12).getTime();
    const row = (hoursAgo: number) => ({ bucket: "a/b", path: `f${hoursAgo}`, action: "upload" as const, bytes: 1, at_ms: noon - hoursAgo * 3_600_000 });
    expect(savedRows([row(0), row(1), row(24), row(49)], all).map((one) => one.kind)).toEqual(["day", "saved", "saved", "day", "saved", "day", "saved"]);
  });
});

describe("where rows stand", () => {
  const rows = Array.from({ length: 1000 }, (_, index) => ({ key: `${index}`, estimate: 10 }));

  it("measured rows push the others down", () => {
    const offsets = layOut(rows, new Map([["1", 50]]));
    expect([offsets[0], offsets[1], offsets[2], offsets[1000]]).toEqual([0, 10, 60, 10_040]);
  });

  it("the row at a position is found, at edges and beyond them", () => {
    const offsets = layOut(rows, new Map());
    for (const [position, row] of [[-5, 0], [0, 0], [9.9, 0], [10, 1], [9999, 999], [1e9, 999]] as const) expect(rowAt(offsets, position)).toBe(row);
    expect(visible(layOut([], new Map()), 0, 100, 5)).toEqual({ from: 0, to: 0 });
    expect(visible(offsets, 100, 50, 2)).toEqual({ from: 8, to: 18 });
    expect(visible(offsets, 1e9, 50, 2).to).toBe(1000);
  });
});

describe("keys", () => {
  it("move in lists and stop at their ends", () => {
    expect(rowKey("ArrowDown", 9, 10, 5)).toBe(9);
    expect(rowKey("PageUp", 3, 10, 5)).toBe(0);
    expect(rowKey("End", 0, 10, 5)).toBe(9);
    expect(rowKey("x", 0, 10, 5)).toBeNull();
  });

  it("go round in menus and tabs", () => {
    expect(arrowTarget("ArrowDown", 2, 3)).toBe(0);
    expect(arrowTarget("ArrowUp", 0, 3)).toBe(2);
    expect(arrowTarget("ArrowUp", 0, 0)).toBeNull();
  });

  it("find the next entry by its first letters", () => {
    expect(typeAhead(["alice", "bob", "Anna"], "a", 0)).toBe(2);
    expect(typeAhead(["alice", "bob"], "z", 0)).toBe(-1);
  });

  it("a slider shows the stop next to a value of elsewhere", () => expect(nearest([1, 5, 10], 8)).toBe(2));
});
