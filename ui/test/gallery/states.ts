// Every state worth looking at. Times are near a fixed moment, so that pictures are the same each day.
import type { Account, ActivityEntry, AppState, AppStatus, Bucket, BucketSync, Mount, OwnerGroup, QueueRow, Removed, RowState, SavedRow, Settings } from "../../src/api/engine";
import type { Script } from "./scripted-host";

const NOW = Date.now();
const MINUTE = 60_000;
const GB = 1_000_000_000;
const MB = 1_000_000;

const settings: Settings = {
  mount_folder: "/Users/alice/Buckets",
  start_at_login: true,
  mount_at_login: ["alice/experiments"],
  cache_bytes: 20 * GB,
  reserve_bytes: null,
  upload_bytes_per_s: 5 * MB,
  parallel_uploads: 3,
  read_only_by_default: false,
  notifications: { recovered: false },
  snooze_until_ms: null,
  client_id: null,
  telemetry: false,
  log_level: "info",
};

const alice: Account = {
  id: "a1",
  name: "alice",
  full_name: "Alice Liddell",
  organizations: ["wonderland", "tea-party"],
  kind: "browser",
  health: "good",
  kept_in: "your keychain",
  is_default: true,
};

const sync = (change: Partial<BucketSync> = {}): BucketSync => ({
  all_saved: true,
  queued: 0,
  uploading: 0,
  waiting: 0,
  failed: 0,
  held_deletes: 0,
  conflicts: 0,
  local_only: 0,
  unsent_bytes: 0,
  online: true,
  offline_cause: null,
  last_saved_ms: NOW - 3 * MINUTE,
  ...change,
});

const at = (id: string): Mount => ({ state: "mounted", mount_point: `/Users/alice/Buckets/${id.split("/")[1]}`, read_only: null, since_ms: NOW - 60 * MINUTE });

const bucket = (id: string, change: Partial<Bucket> = {}): Bucket => ({
  id,
  owner: id.split("/")[0] ?? "",
  name: id.split("/").slice(1).join("/"),
  account: "a1",
  private: true,
  size: 38 * GB,
  files: 1204,
  last_used_ms: NOW - MINUTE,
  mount: { state: "off" },
  sync: null,
  ...change,
});

const status = (change: Partial<AppStatus> = {}): AppStatus => ({
  icon: "idle",
  line: "All saved · 14:02",
  details: [],
  all_saved: true,
  signed_in: true,
  mounted: 2,
  files_left: 0,
  bytes_left: 0,
  bytes_per_s: null,
  seconds_left: null,
  failed: 0,
  conflicts: 0,
  held_deletes: 0,
  local_only: 0,
  need_you: 0,
  paused: false,
  paused_until_ms: null,
  offline: false,
  offline_cause: null,
  last_saved_ms: NOW - 3 * MINUTE,
  ...change,
});

const group = (owner: string, kind: OwnerGroup["kind"], buckets: Bucket[]): OwnerGroup => ({ owner, kind, account: "a1", buckets });

const usualBuckets = (): OwnerGroup[] => [
  group("alice", "user", [
    bucket("alice/experiments", { mount: at("alice/experiments"), sync: sync() }),
    bucket("alice/photos", { mount: at("alice/photos"), sync: sync(), size: 812 * MB, files: 310 }),
    bucket("alice/public-demos", { private: false, files: 12, size: 4_200_000 }),
  ]),
  group("wonderland", "organization", [bucket("wonderland/checkpoints", { size: 4_800 * GB, files: 92_411 }), bucket("wonderland/datasets", { size: null, files: null })]),
];

const appState = (change: Partial<AppState> = {}): AppState => ({
  revision: 1,
  status: status(),
  accounts: [alice],
  sign_in: { step: "none" },
  hf_cli: { place: "the file ~/.cache/huggingface/token", there: true },
  token_variable: null,
  buckets: usualBuckets(),
  bucket_list: { asked_ms: NOW - MINUTE, asking: false, error: null },
  conflicts: [],
  held_deletes: [],
  activity: [],
  settings,
  about: { version: "0.1.0", hub: "https://huggingface.co", os: "macos", machine: "this Mac", can_mount: true, mount_problem: null, can_oauth: true, started_ms: NOW - 100 * MINUTE },
  ...change,
});

const script = (app: Partial<AppState> = {}, rest: Partial<Script> = {}): Script => ({ app: appState(app), queue: [], saved: [], removed: [], ...rest });

const row = (path: string, bytes: number, state: RowState, change: Partial<QueueRow> = {}): QueueRow => ({ bucket: "alice/experiments", path, action: "upload", bytes, attempts: 0, state, ...change });

const uploading = (done: number, total: number, rate: number | null): RowState => ({
  kind: "uploading",
  done,
  total,
  bytes_per_s: rate,
  seconds_left: rate === null ? null : Math.round((total - done) / rate),
});

const busyQueue = (): QueueRow[] => [
  row("runs/2026-11-24/checkpoint-004500.safetensors", 4_812 * MB, uploading(3_360 * MB, 4_812 * MB, 31 * MB)),
  row("runs/2026-11-24/optimizer.bin", 1_920 * MB, uploading(240 * MB, 1_920 * MB, 14 * MB)),
  row("runs/2026-11-24/trainer_state.json", 48_211, { kind: "committing" }),
  row("IMG_4211.HEIC", 3_400_000, { kind: "queued" }, { bucket: "alice/photos" }),
  row("IMG_4212.HEIC", 3_100_000, { kind: "queued" }, { bucket: "alice/photos" }),
  row("Trip/old name", 0, { kind: "queued" }, { bucket: "alice/photos", action: "move" }),
  row("notes/paper.tex", 88_120, { kind: "waiting", why: "it was changed a moment ago", until_ms: null }),
  row("logs/train.log", 12_400_000, { kind: "waiting", why: "the Hub asked to slow down", until_ms: NOW + 4 * MINUTE }),
  row("latest", 0, { kind: "local_only", why: "symbolic links cannot be kept in a bucket" }, { action: "none" }),
];

const entry = (id: number, change: Partial<ActivityEntry> & Pick<ActivityEntry, "kind" | "what">): ActivityEntry => ({
  id,
  bucket: "alice/experiments",
  path: null,
  advice: "",
  count: 1,
  first_ms: NOW - 12 * MINUTE,
  last_ms: NOW - 5 * MINUTE,
  solved: false,
  actions: [],
  ...change,
});

const busyBuckets = (change: Partial<BucketSync>): OwnerGroup[] => {
  const groups = usualBuckets();
  const first = groups[0]?.buckets[0];
  if (first) first.sync = sync({ all_saved: false, ...change });
  return groups;
};

const attention = (): Script =>
  script(
    {
      status: status({
        icon: "attention",
        line: "5 files need you",
        details: ["2 uploads failed", "1 conflict", "240 deletes wait for your answer"],
        all_saved: false,
        need_you: 5,
        failed: 2,
        conflicts: 1,
        held_deletes: 240,
        files_left: 3,
      }),
      buckets: busyBuckets({ failed: 2, conflicts: 1 }),
      held_deletes: [{ bucket: "alice/photos", count: 240, of: 310, since_ms: NOW - MINUTE, paths: Array.from({ length: 240 }, (_, i) => `Trip/IMG_${4000 + i}.HEIC`) }],
      conflicts: [
        {
          bucket: "alice/experiments",
          id: 7,
          path: "notes/results.md",
          kept_as: "notes/results (conflict 2026-11-24 13.58.02).md",
          at_ms: NOW - 4 * MINUTE,
          mine: { size: 18_211, mtime_ms: NOW - 6 * MINUTE },
          theirs: { size: 17_904, mtime_ms: NOW - 9 * MINUTE },
        },
      ],
      activity: [
        entry(1, {
          kind: "write_failed",
          path: "runs/dump.bin",
          what: "A part of the file was not taken: the disk has less than its reserve left.",
          advice: "Make room and save the file again; until then it is not uploaded.",
          actions: ["show"],
        }),
        entry(2, { kind: "recovered", bucket: "alice/photos", what: "3 files of the last run (41 MB) were found and are uploaded now.", advice: "" }),
        entry(3, { kind: "upload_failed", path: "old.bin", what: "The Hub could not be reached for a while.", solved: true, count: 4 }),
        entry(4, { kind: "mount_lost", bucket: "wonderland/checkpoints", what: "The bucket was ejected in Finder.", solved: true }),
      ],
    },
    {
      queue: [
        row("data/embargoed.parquet", 912 * MB, {
          kind: "failed",
          class: "forbidden",
          why: "the Hub did not allow it: your token may only read this bucket.",
          advice: "Ask an owner of alice/experiments for write access, then retry.",
        }),
        row("data/huge.tar", 71 * GB, { kind: "failed", class: "quota", why: "the storage of alice is full (1 TB of 1 TB).", advice: "Make room on the Hub or buy storage, then retry." }),
      ],
      question: {
        question: "Your change of data/embargoed.parquet is not on the Hub. It would be gone for good, and the file be as it is on the Hub.",
        facts: ["912 MB changed at 13:51"],
        possible: true,
      },
    },
  );

const saved = (): SavedRow[] =>
  [
    ["runs/2026-11-24/config.yaml", 2_114, 3],
    ["runs/2026-11-24/checkpoint-004000.safetensors", 4_812 * MB, 9],
    ["notes/paper.tex", 87_001, 31],
    ["figures/loss curve (final).pdf", 412_000, 55],
    ["figures/rocket 🚀.png", 1_240_000, 24 * 60 + 14],
    ["runs/2026-11-23/checkpoint-003500.safetensors", 4_812 * MB, 24 * 60 + 80],
    ["README.md", 3_120, 3 * 24 * 60],
  ].map(([path, bytes, ago]) => ({ bucket: "alice/experiments", path: path as string, action: "upload" as const, bytes: bytes as number, at_ms: NOW - (ago as number) * MINUTE }));

const removed = (): Removed[] => [
  { bucket: "alice/experiments", path: "runs/2026-11-20/checkpoint-000500.safetensors", size: 4_812 * MB, mtime_ms: NOW - 90 * MINUTE, at_ms: NOW - 6 * MINUTE, deleted: true },
  { bucket: "alice/experiments", path: "notes/paper.tex", size: 81_911, mtime_ms: NOW - 90 * MINUTE, at_ms: NOW - 31 * MINUTE, deleted: false },
  { bucket: "alice/photos", path: "Trip/IMG_4001.HEIC", size: 3_410_000, mtime_ms: NOW - 9000 * MINUTE, at_ms: NOW - 26 * 60 * MINUTE, deleted: true },
];

const LONG = "a very long file name that somebody's experiment tracker made out of every hyperparameter lr=0.0003 wd=0.1 bs=4096 seed=1337 — final final (copy 2).safetensors.index.json";

const signedOut = { status: status({ icon: "signed_out", line: "Signed out", signed_in: false, mounted: 0, all_saved: true }), accounts: [], buckets: [] };

const busy = (): Script =>
  script(
    {
      status: status({
        icon: "syncing",
        line: "Uploading 7 files · 3.2 GB left · 2 min",
        details: ["45 MB/s"],
        all_saved: false,
        files_left: 7,
        bytes_left: 3_200 * MB,
      }),
      buckets: busyBuckets({ uploading: 3, queued: 4 }),
    },
    { queue: busyQueue(), saved: saved(), removed: removed() },
  );

export const STATES: Record<string, () => Script> = {
  busy,
  attention,
  idle: () => script({}, { saved: saved(), removed: removed() }),
  nothing: () => script({ status: status({ line: "No bucket is mounted", mounted: 0, last_saved_ms: null }), buckets: usualBuckets().map((g) => ({ ...g, buckets: g.buckets.map((b) => ({ ...b, mount: { state: "off" as const }, sync: null })) })) }),
  "signed-out": () => script(signedOut),
  paused: () =>
    script(
      { status: status({ icon: "paused", line: "Paused: 5 files wait", all_saved: false, paused: true, paused_until_ms: NOW + 45 * MINUTE, files_left: 5 }), buckets: busyBuckets({ waiting: 5 }) },
      { queue: Array.from({ length: 5 }, (_, i) => row(`shard-${i}.bin`, 120 * MB, { kind: "waiting", why: "uploads are paused", until_ms: NOW + 45 * MINUTE })) },
    ),
  offline: () =>
    script(
      {
        status: status({ icon: "offline", line: "Offline: 2 files waiting", details: ["huggingface.co does not answer"], all_saved: false, offline: true, files_left: 2 }),
        buckets: busyBuckets({ waiting: 2, online: false }),
      },
      { queue: [row("a.bin", 12 * MB, { kind: "waiting", why: "the Hub cannot be reached", until_ms: NOW + MINUTE }), row("b.bin", 90_000, { kind: "waiting", why: "the Hub cannot be reached", until_ms: NOW + MINUTE })] },
    ),
  mounts: () =>
    script({
      status: status({ icon: "attention", line: "2 things need you", need_you: 2, mounted: 2, all_saved: false }),
      activity: [
        entry(21, { kind: "mount_lost", bucket: "alice/photos", what: "The mount does not answer any more.", advice: "Mount it again; nothing was lost.", actions: ["mount"] }),
        entry(22, { kind: "sign_in_ended", bucket: null, what: "The Hub does not accept your sign-in any more.", advice: "Sign in again; 4 files wait for it.", actions: ["sign_in"] }),
        entry(23, { kind: "stale", path: "notes/open.md", what: "A program was told that its open file is gone: it was deleted while open elsewhere.", advice: "Save it under another name.", actions: ["show"] }),
        entry(24, { kind: "sync_failed", path: "db.sqlite", what: "The disk did not take the data when a program asked for it to be safe.", advice: "Check the disk; the program was told.", count: 3, actions: ["show"] }),
        entry(25, { kind: "disk_full", bucket: null, what: "This Mac has less free space than its reserve.", advice: "Make room; writing goes on by itself." }),
      ],
      buckets: [
        group("alice", "user", [
          bucket("alice/experiments", { mount: { state: "mounted", mount_point: "/Users/alice/Buckets/experiments", read_only: "account", since_ms: NOW }, sync: sync() }),
          bucket("alice/photos", { mount: { state: "lost", why: "The mount does not answer any more." } }),
          bucket("alice/new", { mount: { state: "mounting" } }),
          bucket("alice/leaving", { mount: { state: "unmounting" } }),
          bucket("alice/ended", { mount: { state: "finishing" }, sync: sync({ all_saved: false, uploading: 2 }) }),
          bucket("alice/broken", { mount: { state: "failed", error: { code: "system", what: "The folder is not empty.", advice: "Choose another mount folder.", may_retry: false } } }),
        ]),
      ],
    }),
  one: () => {
    const state = busy();
    state.app.buckets = [group("alice", "user", [bucket("alice/experiments", { mount: at("alice/experiments"), sync: sync({ all_saved: false, uploading: 3 }) })])];
    return state;
  },
  long: () => {
    const state = busy();
    state.app.buckets = [
      group("alice", "user", [
        bucket(`alice/${"a-bucket-with-a-rather-long-name-".repeat(3)}end`, { mount: at(`alice/${"a-bucket-with-a-rather-long-name-".repeat(3)}end`), sync: sync({ all_saved: false, uploading: 3 }) }),
        bucket("alice/b", { mount: at("alice/b"), sync: sync() }),
      ]),
    ];
    state.queue = [
      row(`deep/${"folder with a long name/".repeat(6)}${LONG}`, 4 * GB, uploading(1 * GB, 4 * GB, 12 * MB)),
      row(LONG, 88, { kind: "failed", class: "rejected", why: "the Hub refused the name: it is longer than it allows, and it says so at great length in a sentence that does not want to end.", advice: "Rename the file." }),
      row("日本語のとても長いファイル名です".repeat(6) + ".txt", 100, { kind: "queued" }),
      row("cafe\u0301".repeat(30) + ".👩‍👩‍👧‍👦.txt", 100, { kind: "queued" }),
      row("short.txt", 100, { kind: "queued" }),
    ];
    return state;
  },
  thousands: () => {
    const state = busy();
    state.queue = [
      ...Array.from({ length: 60 }, (_, i) => row(`refused/file-${i}.bin`, i * 1000, { kind: "failed", class: "quota", why: "the storage is full.", advice: "Make room, then retry." })),
      ...busyQueue().slice(0, 2),
      ...Array.from({ length: 9938 }, (_, i) => row(`dataset/shard-${String(Math.floor(i / 100)).padStart(3, "0")}/sample-${String(i).padStart(5, "0")}.bin`, 1000 + i * 37, { kind: "queued" })),
    ];
    state.app.status = { ...state.app.status, line: "Uploading 10,000 files · 412 GB left · 3 hr", failed: 60, need_you: 60 };
    return state;
  },
  problem: () => script({}, { fail: { pause: { code: "internal", what: "Pausing did not work: the engine is busy.", advice: "Try again in a moment.", may_retry: true } } }),
  lost: () => script({}, { connected: false }),
  ended: () => script({}, { ended: true }),
  broken: () => script({}, { broken: true }),
  dead: () => script({}, { fail: { snapshot: { code: "offline", what: "The engine does not answer.", advice: "Start BucketBar again.", may_retry: true } } }),
  "sign-in-browser": () => script({ ...signedOut, sign_in: { step: "browser", url: "https://huggingface.co/oauth/authorize?client_id=x", opened: true, until_ms: NOW + 10 * MINUTE } }),
  "sign-in-device": () =>
    script({
      ...signedOut,
      sign_in: { step: "device", user_code: "WXYZ-1234", url: "https://huggingface.co/device", url_with_code: "https://huggingface.co/device?code=WXYZ-1234", opened: false, until_ms: NOW + 5 * MINUTE, why: "not_renewable" },
    }),
  "sign-in-checking": () => script({ ...signedOut, sign_in: { step: "checking" } }),
  "sign-in-failed": () =>
    script({ ...signedOut, sign_in: { step: "failed", error: { code: "cancelled", what: "The sign-in was declined in the browser.", advice: "Try again, or use a token.", may_retry: false } } }),
  "no-oauth": () => script({ ...signedOut, about: { ...appState().about, can_oauth: false, os: "linux", machine: "this computer" }, hf_cli: { place: "", there: false } }),
  "helper-missing": () => script({ about: { ...appState().about, can_mount: false } }, { helper: "not_registered" }),
  "helper-approval": () => script({ about: { ...appState().about, can_mount: false } }, { helper: "requires_approval" }),
  "cannot-mount": () =>
    script({
      about: {
        ...appState().about,
        os: "linux",
        can_mount: false,
        mount_problem: { code: "system", what: "This system has no NFS client.", advice: "Install nfs-common, then check again.", may_retry: false },
      },
    }),
  "no-buckets": () => script({ buckets: [], status: status({ mounted: 0 }) }),
  "list-failed": () => script({ buckets: [], bucket_list: { asked_ms: null, asking: false, error: { code: "offline", what: "The Hub cannot be reached.", advice: "Check the network.", may_retry: true } }, status: status({ mounted: 0 }) }),
  accounts: () =>
    script({
      accounts: [
        alice,
        { ...alice, id: "a2", name: "bob-the-builder", full_name: null, organizations: [], kind: "token", health: "ended", is_default: false },
        { ...alice, id: "a3", name: "ci", full_name: null, organizations: [], kind: "hf_cli", health: "locked", kept_in: "the file ~/.cache/huggingface/token", is_default: false },
      ],
      token_variable: "HF_TOKEN",
    }, { question: { question: "3 files are not on the Hub yet. They wait on this Mac until you sign in again.", facts: ["alice/experiments: 3 files, 41 MB"], possible: true } }),
  snoozing: () => script({ settings: { ...settings, snooze_until_ms: NOW + 50 * MINUTE } }),
  refused: () => script({}, { question: { question: "Not everything is on the Hub, and removing would lose it.", facts: ["alice/experiments: 3 files, 41 MB"], possible: false } }),
  taken: () => script({}, { fail: { create_bucket: { code: "exists", what: "You have a bucket of that name already.", advice: "Choose another name.", may_retry: false } } }),
};
