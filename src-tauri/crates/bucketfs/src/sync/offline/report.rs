//! What is said of keeping offline: for commands, the app's pages and events.

use serde::{Deserialize, Serialize};

/// Where a file or folder that is to be kept offline stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PinState {
    /// Its names are being looked up on the Hub; the figures still grow.
    Looking,
    Downloading,
    /// It goes on by itself; `why` is a sentence.
    Waiting {
        why: String,
    },
    /// Something has to be done, or it is tried again later; both are sentences.
    Failed {
        why: String,
        advice: String,
    },
    /// Everything is on this machine, as the Hub has it.
    Kept,
    /// Nothing of this name is in the bucket any more. Should it come back, it is kept again.
    Gone,
}

/// A file or folder that is kept offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReport {
    /// The visible path inside the bucket; `""` is everything.
    pub path: String,
    pub folder: bool,
    pub files: u64,
    /// Of all its files.
    pub bytes: u64,
    /// On this machine already.
    pub bytes_here: u64,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    #[serde(flatten)]
    pub state: PinState,
}

/// What keeping a file or folder offline would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinCost {
    pub path: String,
    pub folder: bool,
    pub files: u64,
    pub bytes: u64,
    /// Not on this machine yet: the download.
    pub download_bytes: u64,
    /// What the disk can take, caches given back.
    pub available_bytes: u64,
    /// It is kept already, by itself or with a folder around it.
    pub kept: bool,
}

impl PinCost {
    pub fn fits(&self) -> bool {
        self.download_bytes <= self.available_bytes
    }
}

/// What of a bucket lies on this machine, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheReport {
    /// Kept offline because somebody asked for it. Never given up by itself.
    pub kept_bytes: u64,
    /// Of what is to be kept offline, not here yet.
    pub to_keep_bytes: u64,
    /// Read lately; given up when the limit is reached or the disk gets full.
    pub read_bytes: u64,
    pub read_limit: u64,
    /// Saved lately and on the Hub; given up likewise.
    pub saved_bytes: u64,
    pub saved_limit: u64,
    /// Written here and not on the Hub yet. Never given up.
    pub unsent_bytes: u64,
    /// What the disk can still take.
    pub available_bytes: u64,
}
