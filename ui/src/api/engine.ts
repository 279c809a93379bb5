// Generated from src-tauri/crates/engine/src/app/api by its test `typescript`. Do not edit.

/**
 * The closed set of reasons, for programs that decide by it.
 */
export type ErrorCode = "invalid" | "not_found" | "exists" | "signed_out" | "forbidden" | "offline" | "hub" | "busy" | "unsent" | "system" | "disk" | "timeout" | "cancelled" | "internal";

/**
 * What happened and what to do now. Holds no token.
 */
export type AppError = { code: ErrorCode, 
/**
 * A sentence: what happened.
 */
what: string, 
/**
 * A sentence: what to do; empty when nothing is to be done.
 */
advice: string, 
/**
 * The same call may succeed later without anybody doing anything.
 */
may_retry: boolean, };

/**
 * How an account came to be signed in here.
 */
export type AccountKind = "browser" | "device" | "token" | "hf_cli" | "environment";

/**
 * How good its token is.
 */
export type AccountHealth = "good" | "ended" | "locked";

export type Account = { id: string, 
/**
 * The Hub's user name.
 */
name: string, full_name: string | null, organizations: Array<string>, kind: AccountKind, health: AccountHealth, 
/**
 * For people: "your keychain", "the file …/huggingface/token".
 */
kept_in: string, 
/**
 * What nobody else is asked for is done as this account.
 */
is_default: boolean, };

/**
 * Why a code is to be typed.
 */
export type DeviceReason = "asked" | "no_browser" | "not_renewable";

/**
 * A sign-in under way, or how the last one ended. One at a time.
 */
export type SignIn = { "step": "none" } | { "step": "browser", 
/**
 * To open by hand if no browser came up. Holds no secret.
 */
url: string, 
/**
 * A browser was started.
 */
opened: boolean, until_ms: number, } | { "step": "device", user_code: string, url: string, 
/**
 * The same with the code in it.
 */
url_with_code: string, opened: boolean, until_ms: number, why: DeviceReason, } | { "step": "checking" } | { "step": "done", account: string, } | { "step": "failed", error: AppError, };

/**
 * The `hf` command line's sign-in on this machine, as an offer.
 */
export type HfCliOffer = { 
/**
 * For people: "the file …".
 */
place: string, there: boolean, };

export type UnsentBucket = { bucket: string, files: number, bytes: number, 
/**
 * It could not be asked (not served now): it may have something unsent.
 */
unknown: boolean, };

/**
 * What signing out, quitting or removing would leave on this machine only.
 */
export type Unsent = { files: number, bytes: number, buckets: Array<UnsentBucket>, };

/**
 * The closed set of what is told, by what the person can do about it. Notifications are switched by it.
 */
export type ActivityKind = "write_failed" | "sync_failed" | "stale" | "upload_failed" | "conflict" | "deletes_held" | "mount_lost" | "sign_in_ended" | "disk_full" | "recovered" | "trouble";

/**
 * What a row offers.
 */
export type ActivityAction = "retry" | "show" | "discard" | "resolve" | "answer_deletes" | "sign_in" | "mount";

/**
 * A row of the Activity list, kept over restarts until it is solved.
 */
export type ActivityEntry = { id: number, kind: ActivityKind, bucket: string | null, 
/**
 * The visible path inside the bucket, where it is about one file.
 */
path: string | null, 
/**
 * A sentence: what happened.
 */
what: string, 
/**
 * A sentence: what to do; empty when nothing is to be done.
 */
advice: string, 
/**
 * How often it happened.
 */
count: number, first_ms: number, last_ms: number, 
/**
 * Nothing is to be done about it any more; such rows go after a while.
 */
solved: boolean, actions: Array<ActivityAction>, };

/**
 * To be shown on the desktop. One of the same `key` replaces the one shown before.
 */
export type Notification = { 
/**
 * Of one cause: what is gathered under it is one notification, updated.
 */
key: string, kind: ActivityKind, title: string, body: string, 
/**
 * How many happenings it stands for.
 */
count: number, 
/**
 * The row that a click opens.
 */
entry: number, 
/**
 * It replaces one shown before: update in place, without a sound.
 */
update: boolean, };

export type OwnerKind = "user" | "organization" | "other";

export type ReadOnlyReason = "asked" | "account";

export type Mount = { "state": "off" } | { "state": "mounting" } | { "state": "mounted", mount_point: string, read_only: ReadOnlyReason | null, since_ms: number, } | { "state": "unmounting" } | { "state": "finishing" } | { "state": "lost", why: string, } | { "state": "failed", error: AppError, };

export type BucketSync = { all_saved: boolean, queued: number, uploading: number, waiting: number, failed: number, held_deletes: number, conflicts: number, local_only: number, unsent_bytes: number, online: boolean, offline_cause: string | null, last_saved_ms: number | null, };

export type Bucket = { id: string, owner: string, 
/**
 * Name, or name and folder.
 */
name: string, account: string | null, private: boolean, 
/**
 * Bytes on the Hub; absent while the Hub was not asked.
 */
size: number | null, files: number | null, last_used_ms: number | null, mount: Mount, 
/**
 * Figures of what moves; absent while it is not served.
 */
sync: BucketSync | null, };

/**
 * The buckets of one owner: the signed-in users first, then organisations, then others; by name.
 */
export type OwnerGroup = { owner: string, kind: OwnerKind, 
/**
 * As whom they are seen.
 */
account: string | null, 
/**
 * Recently used first, then by name.
 */
buckets: Array<Bucket>, };

export type Program = { pid: number, name: string, };

/**
 * Answer to `unmount`.
 */
export type Unmounted = { "outcome": "done" } | { "outcome": "in_use", by: Array<Program>, question: string, consent: string, };

/**
 * Deletes that wait for a yes.
 */
export type HeldDeletes = { bucket: string, count: number, 
/**
 * Files of the bucket in all.
 */
of: number, since_ms: number, 
/**
 * The first thousand.
 */
paths: Array<string>, };

export type DeletesAnswer = "send" | "restore";

export type Version = { size: number, mtime_ms: number, };

export type Conflict = { bucket: string, id: number, path: string, 
/**
 * The path of the copy made here.
 */
kept_as: string, at_ms: number, mine: Version | null, theirs: Version | null, };

export type Resolution = "keep_mine" | "keep_theirs" | "keep_both";

/**
 * A deleted or overwritten version that can come back.
 */
export type Removed = { bucket: string, path: string, size: number, mtime_ms: number, at_ms: number, 
/**
 * False: overwritten.
 */
deleted: boolean, };

/**
 * Deleted or overwritten versions.
 */
export type RemovedList = { rows: Array<Removed>, };

/**
 * How far keeping a file or folder offline is.
 */
export type KeptState = { "state": "looking" } | { "state": "downloading" } | { "state": "waiting", why: string, } | { "state": "failed", why: string, advice: string, } | { "state": "kept" } | { "state": "gone" };

/**
 * A file or folder that is kept offline.
 */
export type KeptItem = { 
/**
 * Inside the bucket; empty is everything.
 */
path: string, folder: boolean, files: number, bytes: number, bytes_here: number, since_ms: number, } & ({ "state": "looking" } | { "state": "downloading" } | { "state": "waiting", why: string, } | { "state": "failed", why: string, advice: string, } | { "state": "kept" } | { "state": "gone" });

/**
 * What of one bucket lies on this machine, and why.
 */
export type BucketStorage = { bucket: string, 
/**
 * Kept offline; never given up by itself.
 */
kept_bytes: number, 
/**
 * To be downloaded still.
 */
to_keep_bytes: number, 
/**
 * Read lately, and saved lately and on the Hub: given up when space runs short.
 */
cached_bytes: number, cache_limit: number, 
/**
 * Not on the Hub yet; never given up.
 */
unsent_bytes: number, 
/**
 * Where it is mounted, if it is.
 */
mount_point: string | null, items: Array<KeptItem>, };

/**
 * Of every bucket in use.
 */
export type Storage = { buckets: Array<BucketStorage>, 
/**
 * What the disk can still take.
 */
available_bytes: number | null, };

/**
 * What keeping something offline would take.
 */
export type KeepCost = { path: string, folder: boolean, files: number, bytes: number, 
/**
 * Not on this machine yet.
 */
download_bytes: number, available_bytes: number, 
/**
 * The disk has room for it.
 */
fits: boolean, 
/**
 * It is kept already, by itself or with a folder around it.
 */
kept: boolean, };

export type RowAction = "upload" | "delete" | "move" | "none";

/**
 * Why an upload stopped.
 */
export type FailureClass = "sign_in" | "forbidden" | "not_found" | "quota" | "rejected" | "local" | "other";

export type RowState = { "kind": "failed", class: FailureClass, why: string, advice: string, } | { "kind": "held", why: string, advice: string, } | { "kind": "uploading", done: number, total: number, bytes_per_s: number | null, seconds_left: number | null, } | { "kind": "committing" } | { "kind": "queued" } | { "kind": "waiting", why: string, until_ms: number | null, } | { "kind": "local_only", why: string, };

export type QueueRow = { bucket: string, path: string, action: RowAction, bytes: number, attempts: number, state: RowState, };

/**
 * Part of the queue of all buckets: what needs somebody, then what moves, then what waits.
 */
export type QueuePage = { offset: number, total: number, rows: Array<QueueRow>, };

export type SavedRow = { bucket: string, path: string, action: RowAction, bytes: number, at_ms: number, };

export type SavedList = { rows: Array<SavedRow>, };

export type LogLevel = "error" | "warn" | "info" | "debug";

export type Settings = { 
/**
 * Each mount is a folder in here. Absolute.
 */
mount_folder: string, start_at_login: boolean, 
/**
 * Mounted when the app starts.
 */
mount_at_login: Array<string>, 
/**
 * Limit of the block cache of each bucket; absent: by the size of the disk.
 */
cache_bytes: number | null, 
/**
 * Free space of the disk that is left alone; absent: by the size of the disk.
 */
reserve_bytes: number | null, 
/**
 * Absent: as fast as it goes.
 */
upload_bytes_per_s: number | null, 
/**
 * 1 to 16.
 */
parallel_uploads: number, read_only_by_default: boolean, 
/**
 * Kinds that are off; absent ones are on.
 */
notifications: { [key in ActivityKind]?: boolean }, 
/**
 * No notification before this moment.
 */
snooze_until_ms: number | null, 
/**
 * The OAuth application to sign in with; absent: that of the build.
 */
client_id: string | null, 
/**
 * Nothing is measured or sent; it cannot be switched on.
 */
telemetry: boolean, log_level: LogLevel, };

/**
 * How fresh the list of buckets is.
 */
export type BucketList = { asked_ms: number | null, asking: boolean, 
/**
 * Why the last try brought nothing; the list is that of before.
 */
error: AppError | null, };

export type About = { version: string, 
/**
 * The Hub's origin, without a slash at its end.
 */
hub: string, 
/**
 * `linux` or `macos`.
 */
os: string, 
/**
 * "this Mac", "this computer".
 */
machine: string, 
/**
 * False: nothing can be mounted here, and `mount_problem` says why.
 */
can_mount: boolean, mount_problem: AppError | null, 
/**
 * An OAuth application is known, so that signing in with the browser can be offered.
 */
can_oauth: boolean, started_ms: number, };

/**
 * What the icon shows. Held at least a second each.
 */
export type Icon = "idle" | "syncing" | "paused" | "attention" | "offline" | "signed_out";

/**
 * The one truth about everything together: icon, menu, windows, command line and notifications read this.
 */
export type AppStatus = { icon: Icon, 
/**
 * "All saved · 14:02", "Uploading 12 files · 3.4 GB left · 4 min", "2 files need you", …
 */
line: string, 
/**
 * More of the same, one fact a line; for the menu's tooltip and the Activity's head.
 */
details: Array<string>, 
/**
 * Nothing is dirty, queued, failed or held. `icon` is `idle` only then.
 */
all_saved: boolean, signed_in: boolean, mounted: number, 
/**
 * Changes that are under way or wait.
 */
files_left: number, bytes_left: number, bytes_per_s: number | null, seconds_left: number | null, failed: number, conflicts: number, held_deletes: number, local_only: number, 
/**
 * What the person is asked to look at: failed, conflicts, held deletes, and the like.
 */
need_you: number, paused: boolean, 
/**
 * Absent while paused: until resumed.
 */
paused_until_ms: number | null, offline: boolean, offline_cause: string | null, last_saved_ms: number | null, };

/**
 * The whole state at one moment. A larger `revision` is a later one.
 */
export type AppState = { revision: number, status: AppStatus, accounts: Array<Account>, sign_in: SignIn, hf_cli: HfCliOffer, 
/**
 * `HF_TOKEN` or `HUGGING_FACE_HUB_TOKEN`, when set in the app's environment: it comes first.
 */
token_variable: string | null, buckets: Array<OwnerGroup>, bucket_list: BucketList, conflicts: Array<Conflict>, held_deletes: Array<HeldDeletes>, 
/**
 * Unsolved first, then solved; newest first. At most 500.
 */
activity: Array<ActivityEntry>, settings: Settings, about: About, };

/**
 * Parts of [`AppState`](super::state::AppState) and the lists beside it.
 */
export type Part = "status" | "accounts" | "buckets" | "decisions" | "activity" | "settings" | "queue";

export type AppEvent = { "event": "changed", revision: number, status: AppStatus, parts: Array<Part>, } | { "event": "notify", notification: Notification, } | { "event": "withdraw", key: string, } | { "event": "missed" } | { "event": "ended" };

/**
 * Whether the helper can be used, and why not.
 */
export type HelperStatus = "unmanaged" | "enabled" | "requires_approval" | "not_registered" | "not_found" | "broken";

export type Helper = { status: HelperStatus, 
/**
 * A sentence: how buckets are mounted because of it.
 */
what: string, 
/**
 * A sentence: what to do to have volumes; empty when nothing is to be done.
 */
advice: string, };

/**
 * Takes nothing, or answers nothing but that it is done.
 */
export type Nothing = Record<string, never>;

export type Count = { count: number, };

export type Place = { path: string, };

export type Link = { url: string, };

export type Text = { text: string, };

/**
 * A step that cannot be taken back asks once: the answer's `consent` given with the same command is the yes.
 * It holds for two minutes, for these very arguments, once.
 */
export type Asked = { "outcome": "done" } | { "outcome": "question", question: string, 
/**
 * One fact a line: what would go, what is unsent.
 */
facts: Array<string>, unsent: Unsent, consent: string, 
/**
 * False: it is refused while this is so (something is unsent); `consent` is empty then.
 */
possible: boolean, };

/** Every command: what it takes, what it answers. A failure is an AppError. */
export interface Commands {
  /** Everything at this moment, but `queue` and `saved`. */
  snapshot: { args: Record<string, never>; answer: AppState };
  /** Part of the queue of all buckets, or of one. */
  queue: { args: { offset?: number, 
/**
 * At most 1000.
 */
limit: number, bucket?: string, }; answer: QueuePage };
  /** What came to the Hub lately, newest first. */
  saved: { args: Record<string, never>; answer: SavedList };
  /** Asks the Hub for the list of buckets again. */
  refresh_buckets: { args: Record<string, never>; answer: Nothing };
  /** Mounts (a mounted one stays as it is) and, if asked, opens it. */
  mount: { args: { bucket: string, 
/**
 * Open it in the file browser when it is mounted.
 */
open?: boolean, 
/**
 * Absent: as last time, else as the settings say.
 */
read_only?: boolean, 
/**
 * As whom; absent: as last time, else whoever sees it.
 */
account?: string, }; answer: Bucket };
  /** Unmounts politely; names who is in the way. */
  unmount: { args: { bucket: string, 
/**
 * From [`Unmounted::InUse`](super::buckets::Unmounted::InUse).
 */
consent?: string, }; answer: Unmounted };
  /** Mounts anew with or without the right to write. */
  set_read_only: { args: { bucket: string, read_only: boolean, }; answer: Bucket };
  /** Uploads now what waits, without the pause after a change. */
  sync_now: { args: { bucket?: string, }; answer: Nothing };
  /** Opens the bucket, or shows one of its files, in the file browser. */
  show: { args: { bucket: string, path?: string, }; answer: Nothing };
  /** The page of a bucket or a file at the Hub, opened in the browser. */
  reveal: { args: { bucket: string, path?: string, }; answer: Link };
  /** No upload until resumed, or for some minutes; kept over restarts. */
  pause: { args: { 
/**
 * Absent: until `resume`.
 */
minutes?: number, }; answer: Nothing };
  resume: { args: Record<string, never>; answer: Nothing };
  /** Tries again what failed: one file, one bucket's, or all. */
  retry: { args: { 
/**
 * Absent: everything that failed, of all buckets.
 */
bucket?: string, path?: string, }; answer: Count };
  /** Gives the local change of one file up; asks first. */
  discard: { args: { bucket: string, path: string, consent?: string, }; answer: Asked };
  resolve: { args: { bucket: string, id: number, how: Resolution, }; answer: Nothing };
  answer_deletes: { args: { bucket: string, answer: DeletesAnswer, }; answer: Count };
  /** Deleted or overwritten versions of a bucket that can come back, newest first. */
  recent_deletes: { args: { bucket: string, }; answer: RemovedList };
  restore: { args: { bucket: string, path: string, as_name?: string, }; answer: Place };
  /** What lies on this machine and why, and what is kept offline and how far it is. */
  storage: { args: Record<string, never>; answer: Storage };
  /** What keeping a file or folder offline would take; may ask the Hub for long. */
  keep_cost: { args: { bucket: string, 
/**
 * Inside the bucket, or absolute in its mount; empty is everything.
 */
path: string, }; answer: KeepCost };
  /** Keeps a file or folder offline from now on. */
  keep_offline: { args: { bucket: string, 
/**
 * Inside the bucket, or absolute in its mount; empty is everything.
 */
path: string, }; answer: Storage };
  keep_no_longer: { args: { bucket: string, 
/**
 * Inside the bucket, or absolute in its mount; empty is everything.
 */
path: string, }; answer: Storage };
  create_bucket: { args: { 
/**
 * A user or organisation of one of the accounts.
 */
owner: string, name: string, private: boolean, }; answer: Bucket };
  /** Changes some settings; answers with all. */
  set_settings: { args: { 
/**
 * Some of the settings' fields.
 */
change: Partial<Settings>, }; answer: Settings };
  /** No notification for some minutes. */
  snooze: { args: { 
/**
 * 0: notifications come again.
 */
minutes: number, }; answer: Settings };
  /** Begins signing in with the browser; how it goes is in the state's `sign_in`. */
  sign_in_browser: { args: Record<string, never>; answer: SignIn };
  /** Begins signing in with a code. */
  sign_in_device: { args: Record<string, never>; answer: SignIn };
  /** Ends a sign-in under way, or forgets how the last one ended. */
  sign_in_cancel: { args: Record<string, never>; answer: Nothing };
  /** Uses the `hf` command line's token, from where it lives. */
  sign_in_hf_cli: { args: Record<string, never>; answer: Account };
  /** Signs in with a pasted access token. */
  sign_in_token: { args: { token: string, }; answer: Account };
  set_default_account: { args: { account: string, }; answer: Nothing };
  /** Deletes the account's token here; says first what is unsent. */
  sign_out: { args: { account: string, consent?: string, }; answer: Asked };
  /** The row is seen; one that still needs somebody stays. */
  dismiss: { args: { entry: number, }; answer: Nothing };
  /** Lists what would go, refuses while something is unsent; with consent it goes, and the app ends. */
  remove_everything: { args: { consent?: string, }; answer: Asked };
  /** Whether the root helper can be used (macOS: buckets as volumes). */
  helper_status: { args: Record<string, never>; answer: Helper };
  /** Registers the helper, or mends it; the person may have to allow it in the system's settings. */
  helper_register: { args: Record<string, never>; answer: Helper };
  /** Opens the system's settings where the helper is allowed. */
  helper_open_settings: { args: Record<string, never>; answer: Nothing };
  /** Versions, mounts and the last events as text; no token, no content. */
  diagnostics: { args: Record<string, never>; answer: Text };
  /** Something may be different outside (awake, network, a window opened): look now. */
  check: { args: Record<string, never>; answer: Nothing };
  /** Says what is unsent and who is in the way; with consent the app ends within seconds. */
  quit: { args: { consent?: string, }; answer: Asked };
}

export const COMMANDS = ["snapshot", "queue", "saved", "refresh_buckets", "mount", "unmount", "set_read_only", "sync_now", "show", "reveal", "pause", "resume", "retry", "discard", "resolve", "answer_deletes", "recent_deletes", "restore", "storage", "keep_cost", "keep_offline", "keep_no_longer", "create_bucket", "set_settings", "snooze", "sign_in_browser", "sign_in_device", "sign_in_cancel", "sign_in_hf_cli", "sign_in_token", "set_default_account", "sign_out", "dismiss", "remove_everything", "helper_status", "helper_register", "helper_open_settings", "diagnostics", "check", "quit"] as const satisfies readonly (keyof Commands)[];
