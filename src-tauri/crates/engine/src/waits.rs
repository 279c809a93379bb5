//! How long the kernel has been waiting for what: about a minute in all, then an error (design.md promise 16).
//!
//! "Ask again" (JUKEBOX) has no end of its own: a hard mount asks for ever. What is waited for is noted here at
//! the first such answer and forgotten with the first other one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bucketfs::{Error, ErrorKind};
use parking_lot::Mutex;

/// From the first "ask again" to the error.
const IN_ALL: Duration = Duration::from_secs(60);
/// Nobody has asked again for so long: a later question begins a minute of its own. More than the longest
/// pause between two tries of a kernel (30 s on macOS).
const FORGOTTEN: Duration = Duration::from_secs(120);

/// Something that may have to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thing {
    /// The names in this folder.
    Names(u64),
    /// Bytes of this file from this offset on.
    Bytes(u64, u64),
}

#[derive(Clone, Copy)]
struct Wait {
    since: Instant,
    asked: Instant,
}

#[derive(Default)]
pub struct Waits(Mutex<HashMap<Thing, Wait>>);

impl Waits {
    /// It came, or failed: nobody waits for it any more.
    pub fn over(&self, thing: Thing) {
        let mut waits = self.0.lock();
        if !waits.is_empty() {
            waits.remove(&thing);
        }
    }

    /// It has not come yet. What to answer: [`ErrorKind::Slow`], or an error when that took too long in all.
    pub fn still(&self, thing: Thing) -> Error {
        self.still_at(thing, Instant::now())
    }

    fn still_at(&self, thing: Thing, now: Instant) -> Error {
        let mut waits = self.0.lock();
        waits.retain(|_, wait| now.saturating_duration_since(wait.asked) < FORGOTTEN);
        let wait = waits.entry(thing).or_insert(Wait { since: now, asked: now });
        if now.saturating_duration_since(wait.since) >= IN_ALL {
            waits.remove(&thing);
            return Error::new(ErrorKind::Offline, "The Hub did not answer for a minute.")
                .advise("Try again when the connection is better.");
        }
        wait.asked = now;
        Error::new(ErrorKind::Slow, "The Hub takes its time; the fetch goes on.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_in_all_for_each_thing_then_an_error_and_a_new_minute() {
        let waits = Waits::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let names = Thing::Names(7);
        for seconds in [0, 7, 18, 37, 59] {
            assert_eq!(waits.still_at(names, at(seconds)).kind, ErrorKind::Slow, "{seconds}");
        }
        assert_eq!(waits.still_at(Thing::Bytes(7, 0), at(59)).kind, ErrorKind::Slow, "a minute of its own");
        assert_eq!(waits.still_at(names, at(63)).kind, ErrorKind::Offline);
        assert_eq!(waits.still_at(names, at(64)).kind, ErrorKind::Slow, "the next program waits anew");
        waits.over(names);
        assert_eq!(waits.still_at(names, at(130)).kind, ErrorKind::Slow, "it had come meanwhile");
        // Given up by whoever asked; somebody else asks an hour later.
        assert_eq!(waits.still_at(names, at(3730)).kind, ErrorKind::Slow);
        assert_eq!(waits.0.lock().len(), 1, "what nobody asks for is forgotten");
    }
}
