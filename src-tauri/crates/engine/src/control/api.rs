//! Every request and answer. A failure is answered with a status of 400 or more and [`Refusal`].

use serde::{Deserialize, Serialize};

use crate::notices::Notice;

/// Raised when an answer changes its meaning.
pub const API_VERSION: u32 = 1;

/// GET `/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub api: u32,
    /// Of the program.
    pub version: String,
    pub pid: u32,
}

/// GET `/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// `OWNER/BUCKET[/PREFIX]`.
    pub bucket: String,
    /// The Hub's origin.
    pub hub: String,
    pub port: u16,
    pub pid: u32,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// It ends by itself as soon as everything is on the Hub.
    pub finishing: bool,
    /// FOR TESTS ONLY: everybody on this machine is served.
    #[serde(default)]
    pub any_uid: bool,
    #[serde(default)]
    pub gauges: bucketfs::Gauges,
    #[serde(flatten)]
    pub sync: bucketfs::Status,
}

/// GET `/queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    pub items: Vec<bucketfs::QueueItem>,
}

/// POST `/sync`; answered with [`bucketfs::SyncReport`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// How long to wait, at most [`MAX_SYNC_MS`]; 0 starts the uploads and does not wait.
    pub wait_ms: u64,
}

/// Longer waits are made of several.
pub const MAX_SYNC_MS: u64 = 20_000;

/// POST `/pause`; answered with [`EngineStatus`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// When it ends by itself, milliseconds since 1970.
    #[serde(default)]
    pub until_ms: Option<i64>,
}

/// POST `/retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequest {
    /// One file, or everything that failed.
    pub path: Option<String>,
}

/// Answer to `/retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    pub retried: u64,
}

/// GET `/events?after=SEQ`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsRequest {
    #[serde(default)]
    pub after: u64,
}

/// Answer to `/events`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    pub events: Vec<Notice>,
}

/// POST `/mount-window`: lets one MNT in. Answered with an empty object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountWindowRequest {
    pub seconds: u64,
}

/// POST `/finish` (go on without a mount until everything is on the Hub, then end), `/shutdown` (end now,
/// the rest waits on disk), `/resume`: no request body, answered with [`EngineStatus`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The body of every failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub what: String,
    pub advice: String,
}
