//! Buckets, their mounts, and what a person may decide about them.

use serde::{Deserialize, Serialize};

use super::error::AppError;
use super::{AccountId, BucketId, Ms};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum OwnerKind {
    User,
    Organization,
    /// Somebody else's bucket that was mounted here.
    Other,
}

/// The buckets of one owner: the signed-in users first, then organisations, then others; by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OwnerGroup {
    pub owner: String,
    pub kind: OwnerKind,
    /// As whom they are seen.
    pub account: Option<AccountId>,
    /// Recently used first, then by name.
    pub buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Bucket {
    pub id: BucketId,
    pub owner: String,
    /// Name, or name and folder.
    pub name: String,
    pub account: Option<AccountId>,
    pub private: bool,
    /// Bytes on the Hub; absent while the Hub was not asked.
    pub size: Option<u64>,
    pub files: Option<u64>,
    pub last_used_ms: Option<Ms>,
    pub mount: Mount,
    /// Figures of what moves; absent while it is not served.
    pub sync: Option<BucketSync>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Mount {
    Off,
    /// Being started or mounted.
    Mounting,
    Mounted {
        mount_point: String,
        read_only: Option<ReadOnlyReason>,
        since_ms: Ms,
    },
    Unmounting,
    /// Not mounted, but uploads of what is unsent go on.
    Finishing,
    /// Mounted as far as the system says, but not served; or gone without having been asked.
    Lost {
        why: String,
    },
    /// The last try failed.
    Failed {
        error: AppError,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ReadOnlyReason {
    /// The person wanted it so.
    Asked,
    /// The account may not write to it.
    Account,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BucketSync {
    pub all_saved: bool,
    pub queued: u64,
    pub uploading: u64,
    pub waiting: u64,
    pub failed: u64,
    pub held_deletes: u64,
    pub conflicts: u64,
    pub local_only: u64,
    pub unsent_bytes: u64,
    pub online: bool,
    pub offline_cause: Option<String>,
    pub last_saved_ms: Option<Ms>,
}

/// Answer to `unmount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Unmounted {
    Done,
    /// Programs use it. `unmount` again with `consent` cuts them off: what they have not saved is lost.
    InUse {
        by: Vec<Program>,
        question: String,
        consent: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Program {
    pub pid: u32,
    pub name: String,
}

/// Deletes that wait for a yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HeldDeletes {
    pub bucket: BucketId,
    pub count: u64,
    /// Files of the bucket in all.
    pub of: u64,
    pub since_ms: Ms,
    /// The first thousand.
    pub paths: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeletesAnswer {
    /// Delete them on the Hub too.
    Send,
    /// Bring them back here.
    Restore,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Conflict {
    pub bucket: BucketId,
    pub id: u64,
    pub path: String,
    /// The path of the copy made here.
    pub kept_as: String,
    pub at_ms: Ms,
    pub mine: Option<Version>,
    pub theirs: Option<Version>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Version {
    pub size: u64,
    pub mtime_ms: Ms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    KeepMine,
    KeepTheirs,
    KeepBoth,
}

/// A deleted or overwritten version that can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Removed {
    pub bucket: BucketId,
    pub path: String,
    pub size: u64,
    pub mtime_ms: Ms,
    pub at_ms: Ms,
    /// False: overwritten.
    pub deleted: bool,
}
