//! What lies on this machine, and what is kept offline.

use serde::{Deserialize, Serialize};

use super::{BucketId, Ms};

/// How far keeping a file or folder offline is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KeptState {
    /// Its names are being looked up; the figures still grow.
    Looking,
    Downloading,
    /// It goes on by itself; a sentence.
    Waiting {
        why: String,
    },
    /// Two sentences.
    Failed {
        why: String,
        advice: String,
    },
    Kept,
    /// Nothing of this name is in the bucket any more.
    Gone,
}

/// A file or folder that is kept offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KeptItem {
    /// Inside the bucket; empty is everything.
    pub path: String,
    pub folder: bool,
    pub files: u64,
    pub bytes: u64,
    pub bytes_here: u64,
    pub since_ms: Ms,
    #[serde(flatten)]
    pub state: KeptState,
}

/// What of one bucket lies on this machine, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BucketStorage {
    pub bucket: BucketId,
    /// Kept offline; never given up by itself.
    pub kept_bytes: u64,
    /// To be downloaded still.
    pub to_keep_bytes: u64,
    /// Read lately, and saved lately and on the Hub: given up when space runs short.
    pub cached_bytes: u64,
    pub cache_limit: u64,
    /// Not on the Hub yet; never given up.
    pub unsent_bytes: u64,
    /// Where it is mounted, if it is.
    pub mount_point: Option<String>,
    pub items: Vec<KeptItem>,
}

/// Of every bucket in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Storage {
    pub buckets: Vec<BucketStorage>,
    /// What the disk can still take.
    pub available_bytes: Option<u64>,
}

/// What keeping something offline would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KeepCost {
    pub path: String,
    pub folder: bool,
    pub files: u64,
    pub bytes: u64,
    /// Not on this machine yet.
    pub download_bytes: u64,
    pub available_bytes: u64,
    /// The disk has room for it.
    pub fits: bool,
    /// It is kept already, by itself or with a folder around it.
    pub kept: bool,
}
