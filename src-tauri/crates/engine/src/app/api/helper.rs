//! The root helper, which makes buckets volumes of their own (macOS).

use serde::{Deserialize, Serialize};

/// Whether the helper can be used, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum HelperStatus {
    /// There is none to be switched on here: this system has none, or it is installed by somebody else.
    Unmanaged,
    /// It works.
    Enabled,
    /// The person has to allow it in the system's settings: `helper_open_settings`.
    RequiresApproval,
    /// Nobody has asked for it: `helper_register`.
    NotRegistered,
    /// The app is damaged, not signed, or not where it is to stay.
    NotFound,
    /// Switched on, but of another version or without an answer: `helper_register` mends it.
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Helper {
    pub status: HelperStatus,
    /// A sentence: how buckets are mounted because of it.
    pub what: String,
    /// A sentence: what to do to have volumes; empty when nothing is to be done.
    pub advice: String,
}
