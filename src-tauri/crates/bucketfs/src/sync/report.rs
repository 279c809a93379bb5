//! What the queue says of itself: for status, queue and sync commands.

use serde::{Deserialize, Serialize};

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
        why: String,
        advice: String,
    },
    /// Stays on this machine only (symlink, empty folder, a name the Hub refuses).
    LocalOnly {
        why: String,
    },
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

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Nothing is unsent, failed or dirty.
    pub all_saved: bool,
    pub paused: bool,
    pub online: bool,
    pub read_only: bool,
    pub queued: u64,
    pub uploading: u64,
    pub waiting: u64,
    pub failed: u64,
    pub local_only: u64,
    pub unsent_bytes: u64,
    pub last_saved_ms: Option<i64>,
    /// Cause of the last contact failure, when offline.
    pub offline_cause: Option<String>,
}

/// Outcome of waiting for everything to reach the Hub.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SyncReport {
    /// True when everything that can leave this machine is on the Hub.
    pub complete: bool,
    /// What is not, and why.
    pub left: Vec<QueueItem>,
}
