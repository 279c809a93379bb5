//! Who may ask, and how much at a time. One caller's flood must not keep another's request out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::protocol::{Code, Refusal};

/// System accounts are below it: macOS gives people 501 and up, Linux 1000 and up.
pub const FIRST_PERSON: u32 = if cfg!(target_os = "macos") { 500 } else { 1000 };
/// The accounts called `nobody`: -2 on macOS, 65534 on Linux.
const NOBODY: [u32; 2] = [u32::MAX - 1, 65534];
/// Connections of one caller, and of all.
const OF_ONE: usize = 4;
const OF_ALL: usize = 64;

/// The uid rule: people may ask. Root needs no helper, and a system account has no desktop.
///
/// # Errors
/// `not-allowed`.
pub fn may_ask(uid: u32) -> Result<(), Refusal> {
    if uid < FIRST_PERSON || NOBODY.contains(&uid) {
        let what = format!("The helper works for people's accounts only, not for uid {uid}.");
        return Err(Refusal::new(Code::NotAllowed, what));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Counts {
    connections: HashMap<u32, usize>,
    working: HashMap<u32, ()>,
}

/// The connections that are open and the callers that are served.
#[derive(Debug, Clone, Default)]
pub struct Admission(Arc<Mutex<Counts>>);

impl Admission {
    /// A place for a connection of `uid`, given back on drop; `None` when it has too many or all are taken.
    pub fn connection(&self, uid: u32) -> Option<Place> {
        let mut counts = self.counts();
        let all: usize = counts.connections.values().sum();
        let own = counts.connections.entry(uid).or_default();
        if *own >= OF_ONE || all >= OF_ALL {
            return None;
        }
        *own += 1;
        Some(Place { admission: self.clone(), uid, what: What::Connection })
    }

    /// The right of `uid` to have a request carried out, given back on drop; `None` while it has one.
    pub fn request(&self, uid: u32) -> Option<Place> {
        match self.counts().working.insert(uid, ()) {
            None => Some(Place { admission: self.clone(), uid, what: What::Request }),
            Some(()) => None,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.counts().connections.is_empty()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Connection,
    Request,
}

/// Held while it is used.
#[derive(Debug)]
pub struct Place {
    admission: Admission,
    uid: u32,
    what: What,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        match self.what {
            What::Request => {
                counts.working.remove(&self.uid);
            }
            What::Connection => {
                let left = counts.connections.get(&self.uid).map_or(0, |own| own.saturating_sub(1));
                if left == 0 {
                    counts.connections.remove(&self.uid);
                } else {
                    counts.connections.insert(self.uid, left);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_ask_and_system_accounts_may_not() {
        assert!(may_ask(FIRST_PERSON).is_ok() && may_ask(100_000).is_ok());
        for uid in [0, 1, FIRST_PERSON - 1, 65534, u32::MAX - 1] {
            assert_eq!(may_ask(uid).unwrap_err().code, Code::NotAllowed);
        }
    }

    #[test]
    fn a_flood_of_one_leaves_room_for_another() {
        let admission = Admission::default();
        let flood: Vec<Place> = (0..100).filter_map(|_| admission.connection(1001)).collect();
        assert_eq!(flood.len(), OF_ONE);
        let other = admission.connection(1002);
        assert!(other.is_some());
        drop((flood, other));
        assert!(admission.is_idle());
    }

    #[test]
    fn one_request_at_a_time_for_each() {
        let admission = Admission::default();
        let first = admission.request(1001);
        assert!(first.is_some() && admission.request(1001).is_none() && admission.request(1002).is_some());
        drop(first);
        assert!(admission.request(1001).is_some());
    }

    #[test]
    fn all_together_are_bounded() {
        let admission = Admission::default();
        let places: Vec<Place> = (0..1000).filter_map(|n| admission.connection(1000 + n)).collect();
        assert_eq!(places.len(), OF_ALL);
    }
}
