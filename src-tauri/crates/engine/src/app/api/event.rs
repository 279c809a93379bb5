//! What the app tells its faces without being asked.

use serde::{Deserialize, Serialize};

use super::activity::Notification;
use super::state::AppStatus;

/// Parts of [`AppState`](super::state::AppState) and the lists beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Status,
    /// `accounts`, `sign_in`, `hf_cli`.
    Accounts,
    /// `buckets`, `bucket_list`, and the mounts in them.
    Buckets,
    /// `conflicts`, `held_deletes`.
    Decisions,
    Activity,
    Settings,
    /// The lists of `queue` and `saved`.
    Queue,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AppEvent {
    /// Something of these parts is new: ask for it. At most one a second unless a person did something.
    Changed { revision: u64, status: AppStatus, parts: Vec<Part> },
    /// To be shown on the desktop.
    Notify { notification: Notification },
    /// The notification of this key has no cause any more: take it away.
    Withdraw { key: String },
    /// Events were lost on the way: ask for everything.
    Missed,
    /// The app ends: no event follows.
    Ended,
}
