// What the pages show, and how it is kept up to date: one snapshot of the engine's state, the lists beside it, and the
// last command that failed. The engine decides what is true; nothing is reckoned here that it already says.
import type { AppError, AppEvent, AppState, Commands, Part, Removed, SavedRow } from "../api/engine";
import { asAppError, type CommandName, type Host } from "../host/host";
import { allStale, emptyQueue, PAGE, pagesToFetch, putPage, type QueueCache } from "./queue-cache";
import { makeStore, type Store } from "./store";

export interface View {
  /** Null until the first answer. */
  app: AppState | null;
  /** The engine answers commands. */
  answering: boolean;
  /** Its events arrive. */
  linked: boolean;
  /** The app said that it ends. */
  ended: boolean;
  /** Why there is nothing to show. */
  fatal: AppError | null;
  /** The last command that failed, until it is put away or another does well. */
  problem: AppError | null;
  queue: QueueCache;
  saved: readonly SavedRow[] | null;
  removed: readonly Removed[] | null;
}

export const emptyView: View = {
  app: null,
  answering: true,
  linked: true,
  ended: false,
  fatal: null,
  problem: null,
  queue: emptyQueue,
  saved: null,
  removed: null,
};

/** Takes a snapshot in, unless a later one is there already. */
export function takeState(view: View, app: AppState): View {
  if (view.app && view.app.revision > app.revision) return view;
  return { ...view, app, fatal: null };
}

/** Takes an event in; what must be asked for anew is told by [`partsOf`]. */
export function takeEvent(view: View, event: AppEvent): View {
  switch (event.event) {
    case "changed": {
      const app = view.app && event.revision >= view.app.revision ? { ...view.app, status: event.status } : view.app;
      const queue = event.parts.includes("queue") ? allStale(view.queue) : view.queue;
      return { ...view, app, queue };
    }
    case "missed":
      return { ...view, queue: allStale(view.queue) };
    case "ended":
      return { ...view, ended: true };
    default:
      return view;
  }
}

const EVERYTHING: readonly Part[] = ["status", "accounts", "buckets", "decisions", "activity", "settings", "queue"];

export function partsOf(event: AppEvent): readonly Part[] {
  return event.event === "changed" ? event.parts : event.event === "missed" ? EVERYTHING : [];
}

export type RunCommand = <C extends CommandName>(command: C, args: Commands[C]["args"]) => Promise<Commands[C]["answer"] | null>;

export interface Model {
  store: Store<View>;
  host: Host;
  /** Calls a command; null when it failed, and the failure is shown on the page. */
  run: RunCommand;
  /** As `run`, but the caller shows the failure. */
  call: Host["call"];
  clearProblem(): void;
  /** The rows of the queue that are in view; null when no list of it is shown. */
  lookAtQueue(range: { from: number; to: number; bucket: string | null } | null): void;
  /** The lists are wanted, or not any more. */
  lookAtSaved(wanted: boolean): void;
  lookAtRemoved(buckets: readonly string[] | null): void;
  start(): () => void;
}

const RETRY_MS = 2000;

export function makeModel(host: Host): Model {
  const store = makeStore<View>(emptyView);
  let looking: { from: number; to: number; bucket: string | null } | null = null;
  let savedWanted = false;
  let removedOf: readonly string[] | null = null;
  let stopped = false;

  const snapshot = oneAtATime(async () => {
    try {
      const app = await host.call("snapshot", {});
      store.set((view) => takeState({ ...view, answering: true }, app));
    } catch (thrown) {
      const fatal = asAppError(thrown);
      store.set((view) => ({ ...view, answering: false, fatal: view.app ? null : fatal }));
      if (!stopped) setTimeout(snapshot, RETRY_MS);
    }
  });

  const queue = oneAtATime(async () => {
    const range = looking;
    if (!range) return;
    for (const page of pagesToFetch(store.get().queue, range.from, range.to)) {
      const { overtaken } = store.get().queue;
      const answer = await quietly(host.call("queue", { offset: page * PAGE, limit: PAGE, bucket: range.bucket ?? undefined }));
      // The person may have chosen another bucket meanwhile.
      if (!answer || looking?.bucket !== range.bucket) return;
      store.set((view) => ({ ...view, queue: putPage(view.queue, answer, overtaken) }));
    }
  });

  const saved = oneAtATime(async () => {
    const answer = savedWanted ? await quietly(host.call("saved", {})) : null;
    if (answer) store.set((view) => ({ ...view, saved: answer.rows }));
  });

  const removed = oneAtATime(async () => {
    const wanted = removedOf;
    if (!wanted) return;
    const lists = await Promise.all(wanted.map((bucket) => quietly(host.call("recent_deletes", { bucket }))));
    if (removedOf !== wanted) return;
    const rows = lists.flatMap((list) => list?.rows ?? []).sort((a, b) => b.at_ms - a.at_ms);
    store.set((view) => ({ ...view, removed: rows }));
  });

  const refresh = (parts: readonly Part[]) => {
    if (parts.some((part) => part !== "status" && part !== "queue")) snapshot();
    if (parts.includes("queue")) {
      queue();
      saved();
      removed();
    }
  };

  const call: Host["call"] = (command, args) => host.call(command, args);
  return {
    store,
    host,
    call,
    async run(command, args) {
      try {
        const answer = await host.call(command, args);
        store.set((view) => (view.problem ? { ...view, problem: null } : view));
        return answer;
      } catch (thrown) {
        const problem = asAppError(thrown);
        store.set((view) => ({ ...view, problem }));
        return null;
      }
    },
    clearProblem: () => store.set((view) => ({ ...view, problem: null })),
    lookAtQueue(range) {
      if (range && range.bucket !== looking?.bucket) store.set((view) => ({ ...view, queue: emptyQueue }));
      looking = range;
      if (range) queue();
    },
    lookAtSaved(wanted) {
      savedWanted = wanted;
      saved();
    },
    lookAtRemoved(buckets) {
      if (buckets?.join("\n") !== removedOf?.join("\n")) store.set((view) => ({ ...view, removed: null }));
      removedOf = buckets;
      removed();
    },
    start() {
      const unlisten = host.listen(
        (event) => {
          store.set((view) => takeEvent(view, event));
          refresh(partsOf(event));
        },
        (linked) => {
          // Whatever happened while nobody listened is asked for.
          if (linked) refresh(EVERYTHING);
          store.set((view) => ({ ...view, linked }));
        },
      );
      snapshot();
      return () => {
        stopped = true;
        unlisten();
      };
    },
  };
}

async function quietly<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise;
  } catch {
    // The snapshot asks the same engine and tells when it does not answer.
    return null;
  }
}

/** Runs `work` once at a time; what was asked for while it ran is done by one more run. */
export function oneAtATime(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async () => {
    running = true;
    do {
      again = false;
      await work();
    } while (again);
    running = false;
  };
  return () => {
    if (running) again = true;
    else void run();
  };
}
