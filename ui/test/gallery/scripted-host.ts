// A host that answers from a script.
import type { AppEvent, AppError, AppState, Commands, KeptItem, KeptState, QueueRow, Removed, SavedRow, Settings, Storage } from "../../src/api/engine";
import type { CommandName, HelperState, Host } from "../../src/host/host";

export interface Script {
  app: AppState;
  queue: QueueRow[];
  saved: SavedRow[];
  removed: Removed[];
  /** Commands that fail, and how. */
  fail?: Partial<Record<CommandName, AppError>>;
  /** What a command that asks first says. */
  question?: { question: string; facts: string[]; possible: boolean };
  helper?: HelperState;
  /** The lists are nonsense, so that drawing them fails. */
  broken?: boolean;
  connected?: boolean;
  ended?: boolean;
}

export interface Call {
  command: CommandName;
  args: unknown;
}

export interface ScriptedHost extends Host {
  calls: Call[];
  /** The first rows of the queue are done. */
  finish(count: number): void;
}

const item = (path: string, files: number, bytes: number, here: number, state: KeptState): KeptItem => ({ path, folder: files > 1, files, bytes, bytes_here: here, since_ms: 0, ...state });

const storage: Storage = {
  available_bytes: 310_000_000_000,
  buckets: [
    {
      bucket: "alice/photos",
      kept_bytes: 21_300_000_000,
      to_keep_bytes: 29_600_000_000,
      cached_bytes: 3_400_000_000,
      cache_limit: 12_000_000_000,
      unsent_bytes: 128_000_000,
      mount_point: "/Volumes/photos",
      items: [
        item("2024/Norway", 812, 14_200_000_000, 14_200_000_000, { state: "kept" }),
        item("2025/A week in the mountains with everybody we could find, day by day and in raw", 1620, 36_700_000_000, 7_100_000_000, { state: "downloading" }),
        item("index.sqlite", 1, 22_000_000, 0, { state: "failed", why: "The disk is full: 22 MB are still to be downloaded.", advice: "Free some space on this machine; it goes on by itself." }),
        item("old/scan.tif", 0, 0, 0, { state: "gone" }),
      ],
    },
    {
      bucket: "acme/models",
      kept_bytes: 0,
      to_keep_bytes: 0,
      cached_bytes: 870_000_000,
      cache_limit: 12_000_000_000,
      unsent_bytes: 0,
      mount_point: null,
      items: [],
    },
  ],
};

export function scriptedHost(script: Script): ScriptedHost {
  const calls: Call[] = [];
  let tell: (event: AppEvent) => void = () => undefined;
  const changed = () => {
    script.app = { ...script.app, revision: script.app.revision + 1 };
    tell({ event: "changed", revision: script.app.revision, status: script.app.status, parts: ["settings", "queue"] });
  };
  const answers: Partial<{ [C in CommandName]: (args: never) => unknown }> = {
    snapshot: () => script.app,
    queue: ({ offset = 0, limit, bucket }: Commands["queue"]["args"]) => {
      const rows = script.queue.filter((row) => bucket === undefined || row.bucket === bucket);
      return { offset, total: rows.length, rows: rows.slice(offset, offset + limit) };
    },
    saved: () => ({ rows: script.broken ? [null] : script.saved }),
    recent_deletes: ({ bucket }: Commands["recent_deletes"]["args"]) => ({ rows: script.removed.filter((row) => row.bucket === bucket) }),
    set_settings: ({ change }: { change: Partial<Settings> }) => {
      script.app = { ...script.app, settings: { ...script.app.settings, ...change } };
      changed();
      return script.app.settings;
    },
    storage: () => storage,
    keep_cost: ({ path }: Commands["keep_cost"]["args"]) => ({ path, folder: true, files: 1284, bytes: 42_700_000_000, download_bytes: 42_100_000_000, available_bytes: path === "huge" ? 12_000_000_000 : 310_000_000_000, fits: path !== "huge", kept: false }),
    keep_offline: () => storage,
    keep_no_longer: () => storage,
    diagnostics: () => ({ text: "diagnostics" }),
    retry: () => ({ count: 1 }),
    answer_deletes: () => ({ count: 1 }),
    reveal: () => ({ url: "https://huggingface.co" }),
    restore: () => ({ path: "restored" }),
  };
  const asking = new Set<CommandName>(["discard", "sign_out", "remove_everything", "quit"]);
  return {
    calls,
    finish(count) {
      script.queue = script.queue.slice(count);
      changed();
    },
    async call<C extends CommandName>(command: C, args: Commands[C]["args"]) {
      if (command !== "check") calls.push({ command, args });
      const failure = script.fail?.[command];
      if (failure) throw failure;
      if (asking.has(command) && script.question && !(args as { consent?: string }).consent)
        return { outcome: "question", consent: "yes", unsent: { files: 0, bytes: 0, buckets: [] }, ...script.question } as unknown as Commands[C]["answer"];
      const answer = answers[command] as ((given: Commands[C]["args"]) => unknown) | undefined;
      return (answer ? answer(args) : { outcome: "done" }) as Commands[C]["answer"];
    },
    listen(onEvent, onLink) {
      tell = onEvent;
      onLink(script.connected ?? true);
      if (script.ended) setTimeout(() => onEvent({ event: "ended" }), 0);
      return () => undefined;
    },
    listenOpenEntry: () => () => undefined,
    openPage: (page) => {
      location.hash = `#/${page}`;
    },
    closePage: () => {
      location.hash = "#/activity";
    },
    openSignIn: () => undefined,
    ...(script.helper ? { helper: { state: async () => script.helper ?? "enabled", register: async () => undefined, openSettings: async () => undefined } } : {}),
  };
}
