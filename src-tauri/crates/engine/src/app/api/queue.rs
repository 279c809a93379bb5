//! What is not on the Hub yet, and what came there lately: rows in pages, for lists of any length.

use serde::{Deserialize, Serialize};

use super::{BucketId, Ms};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct QueueRow {
    pub bucket: BucketId,
    pub path: String,
    pub action: RowAction,
    pub bytes: u64,
    pub attempts: u32,
    pub state: RowState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RowAction {
    Upload,
    Delete,
    Move,
    /// Nothing: it stays on this machine.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RowState {
    /// Needs the person. Such rows come first.
    Failed {
        class: FailureClass,
        why: String,
        advice: String,
    },
    /// A delete that waits for an answer.
    Held {
        why: String,
        advice: String,
    },
    Uploading {
        done: u64,
        total: u64,
        bytes_per_s: Option<u64>,
        seconds_left: Option<u64>,
    },
    /// Its bytes are there; its name is being written.
    Committing,
    Queued,
    /// `until_ms` absent: until something happens.
    Waiting {
        why: String,
        until_ms: Option<Ms>,
    },
    /// Cannot leave this machine.
    LocalOnly {
        why: String,
    },
}

/// Why an upload stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    SignIn,
    Forbidden,
    NotFound,
    Quota,
    Rejected,
    Local,
    Other,
}

/// Part of the queue of all buckets: what needs somebody, then what moves, then what waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct QueuePage {
    pub offset: u64,
    pub total: u64,
    pub rows: Vec<QueueRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SavedRow {
    pub bucket: BucketId,
    pub path: String,
    pub action: RowAction,
    pub bytes: u64,
    pub at_ms: Ms,
}
