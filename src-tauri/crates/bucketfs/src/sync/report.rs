//! What the queue says of itself: for status, queue and sync commands.

use serde::{Deserialize, Serialize};

/// What kind of failure stopped an item: what a person has to do follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Nobody is signed in, or the Hub does not accept the token.
    SignIn,
    /// This account may not do it.
    Forbidden,
    NotFound,
    /// The account's storage is used up, or the file is too large.
    Quota,
    /// The Hub understood and refuses.
    Rejected,
    /// This machine's disk.
    Local,
    #[default]
    Other,
}

impl FailureClass {
    pub(crate) fn of(error: &hub::HubError) -> Self {
        use hub::ErrorClass as C;
        match error.class {
            C::SignIn => FailureClass::SignIn,
            C::Forbidden => FailureClass::Forbidden,
            C::NotFound => FailureClass::NotFound,
            C::Quota => FailureClass::Quota,
            C::Rejected => FailureClass::Rejected,
            C::Local => FailureClass::Local,
            C::Offline | C::Busy { .. } | C::Broken | C::Cancelled => FailureClass::Other,
        }
    }
}

/// Where a file that is not yet on the Hub stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ItemState {
    /// Ready, waiting for its turn.
    Queued,
    /// Not before a moment or an event; `why` is a sentence.
    Waiting {
        why: String,
        until_ms: Option<i64>,
    },
    Uploading {
        done: u64,
        total: u64,
    },
    Committing,
    /// Stopped until the person does something.
    Failed {
        class: FailureClass,
        why: String,
        advice: String,
    },
    /// A deletion that waits for the person's word: many at once ask first.
    Held {
        why: String,
        advice: String,
    },
    /// Stays on this machine only (symlink, empty folder, a name the Hub refuses).
    LocalOnly {
        why: String,
    },
}

impl ItemState {
    /// It does not move before the person does something.
    pub fn needs_somebody(&self) -> bool {
        matches!(self, ItemState::Failed { .. } | ItemState::Held { .. })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueItem {
    pub path: String,
    /// "upload", "delete", "move".
    pub action: String,
    pub bytes: u64,
    pub attempts: u32,
    #[serde(flatten)]
    pub state: ItemState,
}

/// Something that has reached the Hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub path: String,
    /// "upload", "delete", "move".
    pub action: String,
    pub bytes: u64,
    pub at_ms: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Nothing is unsent, failed or dirty.
    pub all_saved: bool,
    pub paused: bool,
    /// When the pause ends by itself.
    #[serde(default)]
    pub paused_until_ms: Option<i64>,
    pub online: bool,
    pub read_only: bool,
    /// Of a repo: the branch, tag or commit that is mounted, and the commit it means now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    pub queued: u64,
    pub uploading: u64,
    pub waiting: u64,
    pub failed: u64,
    pub local_only: u64,
    /// Deletions that wait for the person's word.
    #[serde(default)]
    pub held_deletes: u64,
    /// Pairs of files that are two versions of one.
    #[serde(default)]
    pub conflicts: u64,
    pub unsent_bytes: u64,
    /// Bytes kept offline, and bytes that are still to be downloaded for that.
    #[serde(default)]
    pub kept_bytes: u64,
    #[serde(default)]
    pub to_keep_bytes: u64,
    pub last_saved_ms: Option<i64>,
    /// Cause of the last contact failure, when offline.
    pub offline_cause: Option<String>,
}

/// What is held for work under way: each goes back to where it began when the work is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Staged copies that are open, at most the pool's bound.
    pub open_copies: u64,
    pub staged_copies: u64,
    /// Bytes in staged copies, of files that are saved too.
    pub staged_bytes: u64,
    /// Tasks of this bucket.
    pub tasks: u64,
}

/// Outcome of waiting for everything to reach the Hub.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SyncReport {
    /// True when everything that can leave this machine is on the Hub.
    pub complete: bool,
    /// What is not, and why.
    pub left: Vec<QueueItem>,
}

/// How much of the machine's line uploads may take. Kept over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncLimits {
    /// Uploads beside each other, 1 to 16.
    pub parallel: usize,
    /// Bytes a second, all uploads together; `None`: no limit.
    #[serde(default)]
    pub upload_bytes_per_s: Option<u64>,
}

impl Default for SyncLimits {
    fn default() -> Self {
        SyncLimits { parallel: 3, upload_bytes_per_s: None }
    }
}

/// Deletions that ask first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldDeletes {
    pub count: u64,
    /// Files there were, as far as is known.
    pub of: u64,
    /// When the first of them was removed.
    pub since_ms: i64,
    /// Keys, the first 1,000.
    pub paths: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletesAnswer {
    /// They leave now.
    Send,
    /// The files come back.
    Restore,
}

/// A version of a file in a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub size: u64,
    pub mtime_ms: i64,
}

/// Two files that came from one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub id: u64,
    /// Where the one is now that has the name.
    pub path: String,
    /// Where the other one is now.
    pub kept_as: String,
    pub at_ms: i64,
    /// This machine's version.
    pub mine: Option<Version>,
    /// The Hub's version.
    pub theirs: Option<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    KeepMine,
    KeepTheirs,
    KeepBoth,
}
