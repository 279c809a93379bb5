//! One bucket of the app: served or not, mounted or not. Its changes come one after the other.

use std::path::PathBuf;
use std::sync::Arc;

use bucketfs::BucketFs;
use parking_lot::Mutex;

use super::api::Ms;
use super::api::buckets::{Mount, ReadOnlyReason};
use super::api::error::AppError;
use crate::bucket_path::BucketPath;
use crate::notices::Notices;
use crate::serving::{ReadOnly, Served};

/// What the app holds of a bucket that it served or is about to.
pub(super) struct Slot {
    pub id: String,
    pub path: BucketPath,
    pub state_dir: PathBuf,
    /// Held by whoever mounts, unmounts, starts or ends it.
    pub ops: tokio::sync::Mutex<()>,
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    served: Option<Served>,
    live: Option<Live>,
    phase: Phase,
    /// Where the kernel has it mounted, as far as we know.
    mount_point: Option<(PathBuf, Ms)>,
    failed: Option<AppError>,
    lost: Option<String>,
    /// A UMNT came in since the last look at the mounts.
    umnt: bool,
    /// Number of the last notice taken over.
    seen: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Still,
    Mounting,
    Unmounting,
}

/// What is asked of a served bucket without ending it.
#[derive(Clone)]
pub(super) struct Live {
    pub fs: Arc<BucketFs>,
    pub notices: Arc<Notices>,
    pub mount_token: String,
    pub read_only: Option<ReadOnlyReason>,
}

impl Slot {
    pub fn new(path: BucketPath, state_dir: PathBuf) -> Arc<Slot> {
        let id = path.to_string();
        Arc::new(Slot { id, path, state_dir, ops: tokio::sync::Mutex::default(), state: Mutex::default() })
    }

    pub fn live(&self) -> Option<Live> {
        self.state.lock().live.clone()
    }

    pub fn mount_point(&self) -> Option<PathBuf> {
        self.state.lock().mount_point.as_ref().map(|(place, _)| place.clone())
    }

    pub fn is_mounted(&self) -> bool {
        self.state.lock().mount_point.is_some()
    }

    /// How it is shown.
    pub fn mount(&self) -> Mount {
        let state = self.state.lock();
        match (&state.mount_point, &state.live, state.phase) {
            (_, _, Phase::Mounting) => Mount::Mounting,
            (_, _, Phase::Unmounting) => Mount::Unmounting,
            (Some((place, since)), Some(live), _) => Mount::Mounted {
                mount_point: place.display().to_string(),
                read_only: live.read_only,
                since_ms: *since,
            },
            (Some(_), None, _) => Mount::Lost {
                why: state.lost.clone().unwrap_or_else(|| "It is mounted, but not served.".to_owned()),
            },
            (None, _, _) if state.failed.is_some() => {
                state.failed.clone().map_or(Mount::Off, |error| Mount::Failed { error })
            }
            (None, Some(_), _) => Mount::Finishing,
            (None, None, _) => Mount::Off,
        }
    }

    pub fn set_phase(&self, phase: Phase) {
        let mut state = self.state.lock();
        state.phase = phase;
        if phase != Phase::Still {
            state.failed = None;
        }
    }

    pub fn set_served(&self, served: Served) -> Live {
        let read_only = served.read_only().map(|why| match why {
            ReadOnly::Asked => ReadOnlyReason::Asked,
            ReadOnly::Token | ReadOnly::Repo => ReadOnlyReason::Account,
        });
        let live = Live {
            fs: Arc::clone(served.fs()),
            notices: Arc::clone(served.notices()),
            mount_token: served.mount_token().to_owned(),
            read_only,
        };
        let mut state = self.state.lock();
        state.served = Some(served);
        state.live = Some(live.clone());
        state.lost = None;
        state.seen = 0;
        live
    }

    pub fn with_served<T>(&self, ask: impl FnOnce(&Served) -> T) -> Option<T> {
        self.state.lock().served.as_ref().map(ask)
    }

    /// Takes the server out, to end it.
    pub fn take_served(&self) -> Option<Served> {
        let mut state = self.state.lock();
        state.live = None;
        state.served.take()
    }

    pub fn set_mounted(&self, place: Option<(PathBuf, Ms)>) {
        let mut state = self.state.lock();
        state.mount_point = place;
        state.failed = None;
        state.umnt = false;
    }

    pub fn set_failed(&self, error: AppError) {
        self.state.lock().failed = Some(error);
    }

    pub fn set_lost(&self, why: String) {
        self.state.lock().lost = Some(why);
    }

    pub fn note_umnt(&self) {
        self.state.lock().umnt = true;
    }

    /// Whether a UMNT came in since the last call.
    pub fn take_umnt(&self) -> bool {
        std::mem::take(&mut self.state.lock().umnt)
    }

    /// Notices not taken over yet.
    pub fn new_notices(&self) -> Vec<crate::notices::Notice> {
        let mut state = self.state.lock();
        let Some(live) = &state.live else { return Vec::new() };
        let new = live.notices.after(state.seen);
        if let Some(last) = new.last() {
            state.seen = last.seq;
        }
        new
    }
}
