//! Every command with what it takes and what it answers.

use serde::{Deserialize, Serialize};

use super::accounts::Unsent;
use super::buckets::{DeletesAnswer, Resolution};
use super::queue::SavedRow;
use super::{AccountId, BucketId};

/// Takes nothing, or answers nothing but that it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "Record<string, never>"))]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

macro_rules! arguments {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }
    )*};
}

arguments! {
    OfBucket { bucket: BucketId }
    OfFile { bucket: BucketId, #[serde(default)] path: Option<String> }
    MountArgs {
        bucket: BucketId,
        /// Open it in the file browser when it is mounted.
        #[serde(default)] #[cfg_attr(test, ts(optional, as = "Option<bool>"))] open: bool,
        /// Absent: as last time, else as the settings say.
        #[serde(default)] read_only: Option<bool>,
        /// As whom; absent: as last time, else whoever sees it.
        #[serde(default)] account: Option<AccountId>,
    }
    UnmountArgs {
        bucket: BucketId,
        /// From [`Unmounted::InUse`](super::buckets::Unmounted::InUse).
        #[serde(default)] consent: Option<String>,
    }
    ReadOnlyArgs { bucket: BucketId, read_only: bool }
    SyncArgs { #[serde(default)] bucket: Option<BucketId> }
    PauseArgs {
        /// Absent: until `resume`.
        #[serde(default)] minutes: Option<u32>,
    }
    QueueArgs {
        #[serde(default)] #[cfg_attr(test, ts(optional, as = "Option<u64>"))] offset: u64,
        /// At most 1000.
        limit: u64,
        #[serde(default)] bucket: Option<BucketId>,
    }
    RetryArgs {
        /// Absent: everything that failed, of all buckets.
        #[serde(default)] bucket: Option<BucketId>,
        #[serde(default)] path: Option<String>,
    }
    DiscardArgs { bucket: BucketId, path: String, #[serde(default)] consent: Option<String> }
    ResolveArgs { bucket: BucketId, id: u64, how: Resolution }
    AnswerDeletesArgs { bucket: BucketId, answer: DeletesAnswer }
    RestoreArgs { bucket: BucketId, path: String, #[serde(default)] as_name: Option<String> }
    KeepArgs {
        bucket: BucketId,
        /// Inside the bucket, or absolute in its mount; empty is everything.
        path: String,
    }
    CreateBucketArgs {
        /// A user or organisation of one of the accounts.
        owner: String,
        name: String,
        private: bool,
    }
    SettingsArgs {
        /// Some of the settings' fields.
        #[cfg_attr(test, ts(type = "Partial<Settings>"))]
        change: serde_json::Value,
    }
    TokenArgs { token: String }
    AccountArgs { account: AccountId }
    SignOutArgs { account: AccountId, #[serde(default)] consent: Option<String> }
    EntryArgs { entry: u64 }
    ConsentArgs { #[serde(default)] consent: Option<String> }
    SnoozeArgs {
        /// 0: notifications come again.
        minutes: u32,
    }

    Count { count: u64 }
    Place { path: String }
    Link { url: String }
    Text { text: String }
    SavedList { rows: Vec<SavedRow> }
}

/// A step that cannot be taken back asks once: the answer's `consent` given with the same command is the yes.
/// It holds for two minutes, for these very arguments, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Asked {
    Done,
    Question {
        question: String,
        /// One fact a line: what would go, what is unsent.
        facts: Vec<String>,
        unsent: Unsent,
        consent: String,
        /// False: it is refused while this is so (something is unsent); `consent` is empty then.
        possible: bool,
    },
}

/// All commands: `$each!` is called with the whole table, `name(Arguments) -> Answer;` for each.
macro_rules! all_commands {
    ($each:ident) => {
        $each! {
            /// Everything at this moment, but `queue` and `saved`.
            snapshot(Nothing) -> AppState;
            /// Part of the queue of all buckets, or of one.
            queue(QueueArgs) -> QueuePage;
            /// What came to the Hub lately, newest first.
            saved(Nothing) -> SavedList;
            /// Asks the Hub for the list of buckets again.
            refresh_buckets(Nothing) -> Nothing;
            /// Mounts (a mounted one stays as it is) and, if asked, opens it.
            mount(MountArgs) -> Bucket;
            /// Unmounts politely; names who is in the way.
            unmount(UnmountArgs) -> Unmounted;
            /// Mounts anew with or without the right to write.
            set_read_only(ReadOnlyArgs) -> Bucket;
            /// Uploads now what waits, without the pause after a change.
            sync_now(SyncArgs) -> Nothing;
            /// Opens the bucket, or shows one of its files, in the file browser.
            show(OfFile) -> Nothing;
            /// The page of a bucket or a file at the Hub, opened in the browser.
            reveal(OfFile) -> Link;
            /// No upload until resumed, or for some minutes; kept over restarts.
            pause(PauseArgs) -> Nothing;
            resume(Nothing) -> Nothing;
            /// Tries again what failed: one file, one bucket's, or all.
            retry(RetryArgs) -> Count;
            /// Gives the local change of one file up; asks first.
            discard(DiscardArgs) -> Asked;
            resolve(ResolveArgs) -> Nothing;
            answer_deletes(AnswerDeletesArgs) -> Count;
            /// Deleted or overwritten versions of a bucket that can come back, newest first.
            recent_deletes(OfBucket) -> RemovedList;
            restore(RestoreArgs) -> Place;
            /// What lies on this machine and why, and what is kept offline and how far it is.
            storage(Nothing) -> Storage;
            /// What keeping a file or folder offline would take; may ask the Hub for long.
            keep_cost(KeepArgs) -> KeepCost;
            /// Keeps a file or folder offline from now on.
            keep_offline(KeepArgs) -> Storage;
            keep_no_longer(KeepArgs) -> Storage;
            create_bucket(CreateBucketArgs) -> Bucket;
            /// Changes some settings; answers with all.
            set_settings(SettingsArgs) -> Settings;
            /// No notification for some minutes.
            snooze(SnoozeArgs) -> Settings;
            /// Begins signing in with the browser; how it goes is in the state's `sign_in`.
            sign_in_browser(Nothing) -> SignIn;
            /// Begins signing in with a code.
            sign_in_device(Nothing) -> SignIn;
            /// Ends a sign-in under way, or forgets how the last one ended.
            sign_in_cancel(Nothing) -> Nothing;
            /// Uses the `hf` command line's token, from where it lives.
            sign_in_hf_cli(Nothing) -> Account;
            /// Signs in with a pasted access token.
            sign_in_token(TokenArgs) -> Account;
            set_default_account(AccountArgs) -> Nothing;
            /// Deletes the account's token here; says first what is unsent.
            sign_out(SignOutArgs) -> Asked;
            /// The row is seen; one that still needs somebody stays.
            dismiss(EntryArgs) -> Nothing;
            /// Lists what would go, refuses while something is unsent; with consent it goes, and the app ends.
            remove_everything(ConsentArgs) -> Asked;
            /// Whether the root helper can be used (macOS: buckets as volumes).
            helper_status(Nothing) -> Helper;
            /// Registers the helper, or mends it; the person may have to allow it in the system's settings.
            helper_register(Nothing) -> Helper;
            /// Opens the system's settings where the helper is allowed.
            helper_open_settings(Nothing) -> Nothing;
            /// Versions, mounts and the last events as text; no token, no content.
            diagnostics(Nothing) -> Text;
            /// Something may be different outside (awake, network, a window opened): look now.
            check(Nothing) -> Nothing;
            /// Says what is unsent and who is in the way; with consent the app ends within seconds.
            quit(ConsentArgs) -> Asked;
        }
    };
}

/// Deleted or overwritten versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RemovedList {
    pub rows: Vec<super::buckets::Removed>,
}

/// Names only: what may be called.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident($args:ty) -> $answer:ty;)*) => {
        /// Every command's name.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}
all_commands!(names);
pub(crate) use all_commands;
