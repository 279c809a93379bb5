//! What a bucket tells the engine out of band: failures, conflicts, recovery, progress.

use serde::Serialize;

/// One thing worth telling. `path` is the visible path inside the bucket.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A WRITE could not be taken: its range is a hole until written again.
    WriteFailed {
        path: String,
        cause: String,
        /// The disk had no room.
        full: bool,
    },
    /// Local disk could not be synced: a new epoch began, the client sends again.
    SyncToDiskFailed {
        path: String,
        cause: String,
    },
    UploadFailed {
        path: String,
        cause: String,
        advice: String,
        will_retry: bool,
    },
    Saved {
        path: String,
        bytes: u64,
    },
    /// Both versions are kept; ours is now `kept_as`.
    Conflict {
        path: String,
        kept_as: String,
    },
    /// Somebody changed `path` in the very moment it was saved or deleted here; their version is back at
    /// `kept_as`.
    Overwrote {
        path: String,
        kept_as: String,
    },
    /// So many deletions at once that the person is asked first: `count` of `of` files.
    DeletesHeld {
        count: u64,
        of: u64,
    },
    /// Staged files of an earlier life were taken up again.
    Recovered {
        files: u64,
        bytes: u64,
    },
    /// Data that no client will commit any more; the Hub's version keeps the name.
    KeptApart {
        path: String,
        kept_as: String,
    },
    /// The state database was damaged, kept aside at `kept_at` and rebuilt from the sidecars.
    DatabaseRebuilt {
        kept_at: String,
        files: u64,
    },
    /// Everything of a file or folder that is to be kept offline is on this machine.
    KeptOffline {
        path: String,
        files: u64,
        bytes: u64,
    },
    /// It is not, and does not get there by itself.
    KeepOfflineFailed {
        path: String,
        cause: String,
        advice: String,
        /// The disk had no room.
        full: bool,
    },
    /// The Hub cannot be reached, or can again.
    Online {
        online: bool,
        cause: String,
    },
}

/// Where events go. Called from any task; must not block.
pub trait Events: Send + Sync + 'static {
    fn tell(&self, event: Event);
}

/// For callers that have no use for events.
pub struct NoEvents;

impl Events for NoEvents {
    fn tell(&self, event: Event) {
        tracing::debug!(?event, "event without a listener");
    }
}
