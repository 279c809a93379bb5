//! What the person can choose. Kept in a file; no secret is among it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::activity::ActivityKind;
use super::{BucketId, Ms};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Each mount is a folder in here. Absolute.
    pub mount_folder: String,
    pub start_at_login: bool,
    /// Mounted when the app starts.
    pub mount_at_login: Vec<BucketId>,
    /// Limit of the block cache of each bucket; absent: by the size of the disk.
    pub cache_bytes: Option<u64>,
    /// Free space of the disk that is left alone; absent: by the size of the disk.
    pub reserve_bytes: Option<u64>,
    /// Absent: as fast as it goes.
    pub upload_bytes_per_s: Option<u64>,
    /// 1 to 16.
    pub parallel_uploads: u8,
    pub read_only_by_default: bool,
    /// Kinds that are off; absent ones are on.
    pub notifications: BTreeMap<ActivityKind, bool>,
    /// No notification before this moment.
    pub snooze_until_ms: Option<Ms>,
    /// The OAuth application to sign in with; absent: that of the build.
    pub client_id: Option<String>,
    /// Nothing is measured or sent; it cannot be switched on.
    pub telemetry: bool,
    pub log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}
