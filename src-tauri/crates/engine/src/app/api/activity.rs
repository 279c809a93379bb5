//! What happened that a person may have to know, and what becomes a notification.

use serde::{Deserialize, Serialize};

use super::{BucketId, Ms};

/// The closed set of what is told, by what the person can do about it. Notifications are switched by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ActivityKind {
    /// Data a program wrote was not taken: the file has a hole until it is saved again.
    WriteFailed,
    /// fsync (COMMIT) did not reach the disk.
    SyncFailed,
    /// A program was told that its open file is gone.
    Stale,
    UploadFailed,
    Conflict,
    /// Deletes that wait for an answer before they leave.
    DeletesHeld,
    /// A mount is not there any more, or its server does not answer.
    MountLost,
    SignInEnded,
    /// The local disk is full.
    DiskFull,
    /// Files of an earlier run were taken up again.
    Recovered,
    /// Something else broke; the app goes on.
    Trouble,
}

/// What a row offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ActivityAction {
    /// `retry` of its bucket and path.
    Retry,
    /// `show` of its bucket and path.
    Show,
    /// `discard` of its bucket and path.
    Discard,
    /// `resolve` of its conflict.
    Resolve,
    /// `answer_deletes` of its bucket.
    AnswerDeletes,
    SignIn,
    /// `mount` of its bucket.
    Mount,
}

/// A row of the Activity list, kept over restarts until it is solved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ActivityEntry {
    pub id: u64,
    pub kind: ActivityKind,
    pub bucket: Option<BucketId>,
    /// The visible path inside the bucket, where it is about one file.
    pub path: Option<String>,
    /// A sentence: what happened.
    pub what: String,
    /// A sentence: what to do; empty when nothing is to be done.
    pub advice: String,
    /// How often it happened.
    pub count: u64,
    pub first_ms: Ms,
    pub last_ms: Ms,
    /// Nothing is to be done about it any more; such rows go after a while.
    pub solved: bool,
    pub actions: Vec<ActivityAction>,
}

/// To be shown on the desktop. One of the same `key` replaces the one shown before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Notification {
    /// Of one cause: what is gathered under it is one notification, updated.
    pub key: String,
    pub kind: ActivityKind,
    pub title: String,
    pub body: String,
    /// How many happenings it stands for.
    pub count: u64,
    /// The row that a click opens.
    pub entry: u64,
    /// It replaces one shown before: update in place, without a sound.
    pub update: bool,
}
