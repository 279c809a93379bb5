//! Notifications on the desktop. What is told, gathered and held back is the engine's choice; here is only which
//! bubble belongs to which key, so that a later one replaces it, and a click finds its row.
//!
//! A bubble that cannot be shown is a line in the log and nothing else: the row is in the Activity anyway.

use std::collections::{HashMap, HashSet};

use engine::app::api::activity::{ActivityKind, Notification};

/// What the desktop calls a bubble.
pub type BubbleId = u32;

/// A bubble as the desktop is to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bubble {
    pub title: String,
    pub body: String,
    /// It stays until somebody has seen it.
    pub urgent: bool,
    /// Put in the place of this one, without a sound.
    pub replaces: Option<BubbleId>,
}

/// The desktop's notification service.
pub trait Desktop: Send {
    /// # Errors
    /// In words, when there is no such service or it refuses.
    fn show(&self, bubble: &Bubble) -> Result<BubbleId, String>;
    fn close(&self, id: BubbleId);
}

/// What came back from the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Clicked(BubbleId),
    /// The person put it away: it changes nothing, but updates of it do not bring it back.
    Dismissed(BubbleId),
    /// It is not there any more; perhaps nobody saw it.
    Gone(BubbleId),
}

/// Which bubbles are there.
pub struct Board<D> {
    desktop: D,
    shown: HashMap<String, Shown>,
    /// Put away by the person; a new happening (no update) is told again.
    dismissed: HashSet<String>,
}

struct Shown {
    id: BubbleId,
    entry: u64,
}

impl<D: Desktop> Board<D> {
    pub fn new(desktop: D) -> Board<D> {
        Board { desktop, shown: HashMap::new(), dismissed: HashSet::new() }
    }

    pub fn show(&mut self, notification: &Notification) {
        let replaces = self.shown.get(&notification.key).map(|shown| shown.id);
        if notification.update && self.dismissed.contains(&notification.key) {
            return;
        }
        self.dismissed.remove(&notification.key);
        let bubble = Bubble {
            title: notification.title.clone(),
            body: notification.body.clone(),
            urgent: urgent(notification.kind),
            replaces,
        };
        match self.desktop.show(&bubble) {
            Ok(id) => {
                self.shown.insert(notification.key.clone(), Shown { id, entry: notification.entry });
            }
            Err(error) => tracing::warn!("a notification could not be shown, it is in the Activity: {error}"),
        }
    }

    pub fn withdraw(&mut self, key: &str) {
        self.dismissed.remove(key);
        if let Some(shown) = self.shown.remove(key) {
            self.desktop.close(shown.id);
        }
    }

    /// The row to open, after a click.
    pub fn heard(&mut self, heard: Heard) -> Option<u64> {
        let (Heard::Clicked(id) | Heard::Dismissed(id) | Heard::Gone(id)) = heard;
        let key = self.shown.iter().find(|(_, shown)| shown.id == id).map(|(key, _)| key.clone())?;
        let entry = self.shown.remove(&key).map(|shown| shown.entry);
        if matches!(heard, Heard::Dismissed(_)) {
            self.dismissed.insert(key);
        }
        entry.filter(|_| matches!(heard, Heard::Clicked(_)))
    }
}

/// Something may be lost if nobody looks.
fn urgent(kind: ActivityKind) -> bool {
    use ActivityKind as K;
    match kind {
        K::WriteFailed | K::SyncFailed | K::Stale | K::MountLost | K::DiskFull => true,
        K::UploadFailed | K::Conflict | K::DeletesHeld | K::SignInEnded | K::Recovered | K::Trouble => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use super::*;

    #[derive(Default)]
    struct Recorded {
        shown: Vec<Bubble>,
        closed: Vec<BubbleId>,
        broken: bool,
    }

    #[derive(Clone, Default)]
    struct Double(Arc<Mutex<Recorded>>);

    impl Double {
        fn seen(&self) -> MutexGuard<'_, Recorded> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Desktop for Double {
        fn show(&self, bubble: &Bubble) -> Result<BubbleId, String> {
            let mut recorded = self.seen();
            if recorded.broken {
                return Err("no service".into());
            }
            recorded.shown.push(bubble.clone());
            Ok(bubble.replaces.unwrap_or(recorded.shown.len() as u32))
        }

        fn close(&self, id: BubbleId) {
            self.seen().closed.push(id);
        }
    }

    fn notification(key: &str, entry: u64, update: bool) -> Notification {
        Notification {
            key: key.into(),
            kind: ActivityKind::UploadFailed,
            title: "t".into(),
            body: format!("row {entry}"),
            count: 1,
            entry,
            update,
        }
    }

    #[test]
    fn one_cause_is_one_bubble_and_a_click_opens_its_latest_row() {
        let desktop = Double::default();
        let mut board = Board::new(desktop.clone());
        board.show(&notification("quota", 7, false));
        board.show(&notification("quota", 8, true));
        let shown = desktop.seen().shown.clone();
        assert_eq!(shown.iter().map(|bubble| bubble.replaces).collect::<Vec<_>>(), [None, Some(1)]);
        assert_eq!(board.heard(Heard::Clicked(1)), Some(8));
        assert_eq!(board.heard(Heard::Clicked(1)), None, "it is gone with the click");
    }

    #[test]
    fn dismissing_changes_nothing_and_an_update_does_not_bring_it_back() {
        let desktop = Double::default();
        let mut board = Board::new(desktop.clone());
        board.show(&notification("quota", 7, false));
        assert_eq!(board.heard(Heard::Dismissed(1)), None);
        board.show(&notification("quota", 7, true));
        assert_eq!(desktop.seen().shown.len(), 1);
        board.show(&notification("quota", 9, false));
        assert_eq!(desktop.seen().shown.len(), 2, "a new happening is told");
    }

    #[test]
    fn one_that_nobody_may_have_seen_comes_again_with_its_next_update() {
        let desktop = Double::default();
        let mut board = Board::new(desktop.clone());
        board.show(&notification("quota", 7, false));
        assert_eq!(board.heard(Heard::Gone(1)), None);
        board.show(&notification("quota", 8, true));
        let replaces: Vec<_> = desktop.seen().shown.iter().map(|bubble| bubble.replaces).collect();
        assert_eq!(replaces, [None, None]);
    }

    #[test]
    fn what_is_solved_is_taken_away() {
        let desktop = Double::default();
        let mut board = Board::new(desktop.clone());
        board.show(&notification("quota", 7, false));
        board.withdraw("quota");
        board.withdraw("never shown");
        assert_eq!(desktop.seen().closed, [1]);
    }

    #[test]
    fn without_a_service_nothing_happens() {
        let desktop = Double::default();
        desktop.seen().broken = true;
        let mut board = Board::new(desktop.clone());
        board.show(&notification("quota", 7, false));
        desktop.seen().broken = false;
        board.show(&notification("quota", 7, false));
        assert_eq!(desktop.seen().shown.len(), 1, "the next one is tried anew");
    }

    #[test]
    fn what_may_lose_data_stays_until_seen() {
        assert!(urgent(ActivityKind::WriteFailed) && urgent(ActivityKind::Stale));
        assert!(!urgent(ActivityKind::Recovered));
    }
}
