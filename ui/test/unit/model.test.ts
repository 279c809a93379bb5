import { describe, expect, it, vi } from "vitest";
import type { AppError, AppEvent, AppState, AppStatus, QueueRow } from "../../src/api/engine";
import type { CommandName, Host } from "../../src/host/host";
import { asAppError } from "../../src/host/host";
import { makeSseParser } from "../../src/host/sse";
import { emptyView, makeModel, oneAtATime, takeEvent, takeState } from "../../src/state/model";
import { allStale, emptyQueue, PAGE, pagesToFetch, putPage, rowAtIndex } from "../../src/state/queue-cache";
import { STATES } from "../gallery/states";

const busy = (): AppState => (STATES["busy"] as NonNullable<(typeof STATES)[string]>)().app;
const at = (revision: number): AppState => ({ ...busy(), revision });
const status = (line: string): AppStatus => ({ ...busy().status, line });

const rows = (count: number, from = 0): QueueRow[] =>
  Array.from({ length: count }, (_, index) => ({ bucket: "a/b", path: `f${from + index}`, action: "upload", bytes: 1, attempts: 0, state: { kind: "queued" } }));

describe("snapshots and events", () => {
  it("a snapshot that comes late does not overwrite a later one", () => {
    const view = takeState(takeState(emptyView, at(5)), at(4));
    expect(view.app?.revision).toBe(5);
  });

  it("the status of an event is shown at once, unless it is older than what is shown", () => {
    const view = takeState(emptyView, at(5));
    const event = (revision: number): AppEvent => ({ event: "changed", revision, status: status(`at ${revision}`), parts: ["status"] });
    expect(takeEvent(view, event(6)).app?.status.line).toBe("at 6");
    expect(takeEvent(view, event(4)).app?.status.line).toBe(busy().status.line);
    expect(takeEvent(emptyView, event(6)).app).toBeNull();
  });

  it("news of the queue and missed events make its pages stale, other news do not", () => {
    const view = { ...emptyView, queue: putPage(emptyQueue, { offset: 0, total: 3, rows: rows(3) }) };
    expect(takeEvent(view, { event: "changed", revision: 1, status: status(""), parts: ["settings"] }).queue.fresh.size).toBe(1);
    expect(takeEvent(view, { event: "changed", revision: 1, status: status(""), parts: ["queue"] }).queue.fresh.size).toBe(0);
    expect(takeEvent(view, { event: "missed" }).queue.fresh.size).toBe(0);
    expect(takeEvent(view, { event: "ended" }).ended).toBe(true);
  });
});

describe("the queue in pages", () => {
  it("asks for the first page and those in view, each once", () => {
    let cache = putPage(emptyQueue, { offset: 0, total: 10_000, rows: rows(PAGE) });
    expect(pagesToFetch(cache, 5000, 5010)).toEqual([Math.floor(5000 / PAGE)]);
    cache = putPage(cache, { offset: 5000, total: 10_000, rows: rows(PAGE, 5000) });
    expect(pagesToFetch(cache, 5000, 5010)).toEqual([]);
    expect(rowAtIndex(cache, 5003)?.path).toBe("f5003");
    expect(rowAtIndex(cache, 9000)).toBeNull();
    expect(pagesToFetch(allStale(cache), 5000, 5010)).toEqual([0, 25]);
  });

  it("forgets pages that are not there any more", () => {
    let cache = putPage(emptyQueue, { offset: 800, total: 1000, rows: rows(200, 800) });
    cache = putPage(cache, { offset: 0, total: 10, rows: rows(10) });
    expect(rowAtIndex(cache, 801)).toBeNull();
    expect(cache.total).toBe(10);
    expect(pagesToFetch(cache, 0, 10)).toEqual([]);
  });
});

describe("the model", () => {
  function hostOf(answers: Partial<Record<CommandName, () => unknown>>) {
    const calls: CommandName[] = [];
    let tell: (event: AppEvent) => void = () => undefined;
    const host = {
      async call(command: CommandName) {
        calls.push(command);
        return answers[command]?.();
      },
      listen(onEvent: (event: AppEvent) => void) {
        tell = onEvent;
        return () => undefined;
      },
    } as unknown as Host;
    return { host, calls, tell: (event: AppEvent) => tell(event) };
  }

  it("shows the failure of a command until another one does well", async () => {
    const error: AppError = { code: "busy", what: "No.", advice: "", may_retry: true };
    let fail = true;
    const { host } = hostOf({
      pause: () => {
        if (fail) throw error;
        return {};
      },
    });
    const model = makeModel(host);
    expect(await model.run("pause", {})).toBeNull();
    expect(model.store.get().problem).toEqual(error);
    fail = false;
    await model.run("pause", {});
    expect(model.store.get().problem).toBeNull();
  });

  it("asks for the queue only while somebody looks at it", async () => {
    const { host, calls, tell } = hostOf({ snapshot: () => at(1), queue: () => ({ offset: 0, total: 1, rows: rows(1) }) });
    const model = makeModel(host);
    model.start();
    await vi.waitFor(() => expect(model.store.get().app).not.toBeNull());
    tell({ event: "changed", revision: 2, status: status(""), parts: ["queue"] });
    expect(calls).not.toContain("queue");
    model.lookAtQueue({ from: 0, to: 10, bucket: null });
    await vi.waitFor(() => expect(model.store.get().queue.total).toBe(1));
    const before = calls.filter((name) => name === "queue").length;
    tell({ event: "changed", revision: 3, status: status(""), parts: ["queue"] });
    await vi.waitFor(() => expect(calls.filter((name) => name === "queue").length).toBe(before + 1));
  });

  it("an answer that was overtaken by an event is asked for again", async () => {
    const answers: ((page: unknown) => void)[] = [];
    const { host, tell } = hostOf({ snapshot: () => at(1), queue: () => new Promise((resolve) => answers.push(resolve)) });
    const model = makeModel(host);
    model.start();
    model.lookAtQueue({ from: 0, to: 10, bucket: null });
    await vi.waitFor(() => expect(answers.length).toBe(1));
    // The row is done while the list with it is on its way.
    tell({ event: "changed", revision: 2, status: status(""), parts: ["queue"] });
    answers[0]?.({ offset: 0, total: 1, rows: rows(1) });
    await vi.waitFor(() => expect(answers.length).toBe(2));
    answers[1]?.({ offset: 0, total: 0, rows: [] });
    await vi.waitFor(() => expect(model.store.get().queue.total).toBe(0));
  });

  it("an answer for a bucket that is not looked at any more is dropped", async () => {
    let give: (page: unknown) => void = () => undefined;
    const { host } = hostOf({ queue: () => new Promise((resolve) => (give = resolve)) });
    const model = makeModel(host);
    model.lookAtQueue({ from: 0, to: 10, bucket: "a/b" });
    await Promise.resolve();
    const late = give;
    model.lookAtQueue({ from: 0, to: 10, bucket: "c/d" });
    late({ offset: 0, total: 1, rows: rows(1) });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(model.store.get().queue.total).toBe(0);
  });
});

describe("one at a time", () => {
  it("what was asked for meanwhile is done by one more run", async () => {
    let runs = 0;
    let open: () => void = () => undefined;
    const run = oneAtATime(async () => {
      runs += 1;
      await new Promise<void>((resolve) => (open = resolve));
    });
    run();
    run();
    run();
    expect(runs).toBe(1);
    open();
    await vi.waitFor(() => expect(runs).toBe(2));
    open();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(runs).toBe(2);
  });
});

describe("server-sent events", () => {
  it("are cut where they end, however the pieces come", () => {
    const text = 'data: {"a":1}\n\n: ping\n\nevent: message\ndata: {"b":\ndata: 2}\r\n\r\ndata: x';
    const whole: string[] = [];
    makeSseParser((data) => whole.push(data))(text);
    expect(whole).toEqual(['{"a":1}', '{"b":\n2}']);
    const byLetter: string[] = [];
    const parse = makeSseParser((data) => byLetter.push(data));
    for (const letter of text) parse(letter);
    expect(byLetter).toEqual(whole);
  });
});

describe("what was thrown", () => {
  it("becomes an error with sentences", () => {
    expect(asAppError(new TypeError("nope"))).toMatchObject({ code: "internal", what: "nope", advice: "" });
    expect(asAppError({ code: "offline", what: "w" })).toEqual({ code: "offline", what: "w", advice: "", may_retry: false });
    expect(asAppError("text").what).toBe("text");
  });
});
