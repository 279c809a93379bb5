//! Everything a face shows, but the long lists.

use serde::{Deserialize, Serialize};

use super::Ms;
use super::accounts::{Account, HfCliOffer, SignIn};
use super::activity::ActivityEntry;
use super::buckets::{Conflict, HeldDeletes, OwnerGroup};
use super::error::AppError;
use super::settings::Settings;

/// The whole state at one moment. A larger `revision` is a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AppState {
    pub revision: u64,
    pub status: AppStatus,
    pub accounts: Vec<Account>,
    pub sign_in: SignIn,
    pub hf_cli: HfCliOffer,
    /// `HF_TOKEN` or `HUGGING_FACE_HUB_TOKEN`, when set in the app's environment: it comes first.
    pub token_variable: Option<String>,
    pub buckets: Vec<OwnerGroup>,
    pub bucket_list: BucketList,
    pub conflicts: Vec<Conflict>,
    pub held_deletes: Vec<HeldDeletes>,
    /// Unsolved first, then solved; newest first. At most 500.
    pub activity: Vec<ActivityEntry>,
    pub settings: Settings,
    pub about: About,
}

/// How fresh the list of buckets is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BucketList {
    pub asked_ms: Option<Ms>,
    pub asking: bool,
    /// Why the last try brought nothing; the list is that of before.
    pub error: Option<AppError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct About {
    pub version: String,
    /// The Hub's origin, without a slash at its end.
    pub hub: String,
    /// `linux` or `macos`.
    pub os: String,
    /// "this Mac", "this computer".
    pub machine: String,
    /// False: nothing can be mounted here, and `mount_problem` says why.
    pub can_mount: bool,
    pub mount_problem: Option<AppError>,
    /// An OAuth application is known, so that signing in with the browser can be offered.
    pub can_oauth: bool,
    pub started_ms: Ms,
}

/// What the icon shows. Held at least a second each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Icon {
    /// Everything that can leave this machine is on the Hub, and nothing needs anybody.
    #[default]
    Idle,
    Syncing,
    Paused,
    Attention,
    Offline,
    SignedOut,
}

/// The one truth about everything together: icon, menu, windows, command line and notifications read this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AppStatus {
    pub icon: Icon,
    /// "All saved · 14:02", "Uploading 12 files · 3.4 GB left · 4 min", "2 files need you", …
    pub line: String,
    /// More of the same, one fact a line; for the menu's tooltip and the Activity's head.
    pub details: Vec<String>,
    /// Nothing is dirty, queued, failed or held. `icon` is `idle` only then.
    pub all_saved: bool,
    pub signed_in: bool,
    pub mounted: u64,
    /// Changes that are under way or wait.
    pub files_left: u64,
    pub bytes_left: u64,
    pub bytes_per_s: Option<u64>,
    pub seconds_left: Option<u64>,
    pub failed: u64,
    pub conflicts: u64,
    pub held_deletes: u64,
    pub local_only: u64,
    /// What the person is asked to look at: failed, conflicts, held deletes, and the like.
    pub need_you: u64,
    pub paused: bool,
    /// Absent while paused: until resumed.
    pub paused_until_ms: Option<Ms>,
    pub offline: bool,
    pub offline_cause: Option<String>,
    pub last_saved_ms: Option<Ms>,
}
