//! Telling the one loop that something may be new.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::api::event::Part;

/// Cheap to call from anywhere; tellings before the loop looks are one.
#[derive(Default)]
pub(super) struct Wake {
    notify: Notify,
    urgent: AtomicBool,
    parts: Mutex<BTreeSet<Part>>,
}

impl Wake {
    /// Something of `part` may be new; shown within a second.
    pub fn part(&self, part: Part) {
        self.parts.lock().insert(part);
        self.notify.notify_one();
    }

    /// Something of `part` is new because a person did it; shown at once.
    pub fn urgent(&self, part: Part) {
        self.urgent.store(true, Ordering::Relaxed);
        self.part(part);
    }

    pub fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed)
    }

    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    /// The parts told of since the last call.
    pub fn take(&self) -> BTreeSet<Part> {
        self.urgent.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.parts.lock())
    }
}
