//! The queue's memory: who waits until when and why, what has failed, whether the Hub answers.
//!
//! *What* is to be done is not kept here: it follows from the tree and the staged copies (`work.rs`), so a
//! crash cannot make the two disagree.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::attr::{FileId, Timestamp};
use crate::error::Error;

/// One thing the queue may have to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// Bring a file to its place, with its content.
    File(FileId),
    /// Move what the Hub has below a folder.
    Folder(FileId),
    /// Delete a key.
    Delete(String),
}

#[derive(Debug, Clone, Default)]
pub struct Trouble {
    pub attempts: u32,
    /// Not tried before this moment.
    pub not_before: Option<(Instant, i64)>,
    pub why: String,
    pub advice: String,
    /// Not tried again before the person says so.
    pub stopped: bool,
    /// Stopped because nobody is signed in: goes on by itself at the next sign-in.
    pub signed_out: bool,
}

/// How the queue treats a failure.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    /// It may heal by itself.
    pub may_retry: bool,
    /// Not before this is over, if the server said so.
    pub after: Option<Duration>,
    pub signed_out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
    pub committing: bool,
}

#[derive(Default)]
struct State {
    paused: bool,
    /// Callers of `sync` that wait: no debounce while there is one.
    hurry: u32,
    offline: Option<String>,
    offline_tries: u32,
    offline_until: Option<Instant>,
    trouble: HashMap<Key, Trouble>,
    progress: HashMap<FileId, Progress>,
    last_saved_ms: Option<i64>,
}

pub struct Queue {
    wake: Notify,
    changed: watch::Sender<u64>,
    /// Like `changed`, and at every write and change of a name.
    stirred: watch::Sender<u64>,
    state: Mutex<State>,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const LONGEST_OFFLINE_WAIT: Duration = Duration::from_secs(20);

impl Queue {
    pub fn new() -> Self {
        Queue {
            wake: Notify::new(),
            changed: watch::Sender::new(0),
            stirred: watch::Sender::new(0),
            state: Mutex::default(),
        }
    }

    /// Something may be to do: the syncer looks.
    pub fn wake(&self) {
        self.wake.notify_one();
        self.stir();
    }

    /// Fires at everything that may change what is saved and what is not, each write included.
    pub fn stirs(&self) -> watch::Receiver<u64> {
        self.stirred.subscribe()
    }

    fn stir(&self) {
        self.stirred.send_modify(|version| *version += 1);
    }

    fn tell(&self) {
        self.changed.send_modify(|version| *version += 1);
        self.stir();
    }

    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Fires whenever an answer of `status` may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub fn set_paused(&self, paused: bool) {
        self.state.lock().paused = paused;
        self.moved();
    }

    pub fn is_paused(&self) -> bool {
        self.state.lock().paused
    }

    /// No debounce, no waiting for a back-off, until [`Queue::calm`].
    pub fn hurry(&self) {
        let mut state = self.state.lock();
        state.hurry += 1;
        state.offline_until = None;
        for trouble in state.trouble.values_mut() {
            trouble.not_before = None;
        }
        drop(state);
        self.moved();
    }

    pub fn calm(&self) {
        let mut state = self.state.lock();
        state.hurry = state.hurry.saturating_sub(1);
    }

    pub fn hurried(&self) -> bool {
        self.state.lock().hurry > 0
    }

    /// The Hub answered.
    pub fn online(&self) -> bool {
        let mut state = self.state.lock();
        let was_offline = state.offline.take().is_some();
        state.offline_tries = 0;
        state.offline_until = None;
        drop(state);
        if was_offline {
            self.moved();
        }
        was_offline
    }

    /// The Hub cannot be reached; `true` when that is news.
    pub fn offline(&self, cause: &str) -> bool {
        let mut state = self.state.lock();
        let news = state.offline.replace(cause.to_owned()).is_none();
        let wait = backoff(state.offline_tries, LONGEST_OFFLINE_WAIT);
        state.offline_tries += 1;
        state.offline_until = Some(Instant::now() + wait);
        drop(state);
        self.moved();
        news
    }

    pub fn offline_cause(&self) -> Option<String> {
        self.state.lock().offline.clone()
    }

    /// When the Hub is tried again, if it is known to be out of reach.
    pub fn offline_until(&self) -> Option<Instant> {
        self.state.lock().offline_until.filter(|until| *until > Instant::now())
    }

    pub fn trouble(&self, key: &Key) -> Option<Trouble> {
        self.state.lock().trouble.get(key).cloned()
    }

    /// `true` when the item may be tried now.
    pub fn may_try(&self, key: &Key) -> bool {
        self.state.lock().trouble.get(key).is_none_or(|trouble| {
            !trouble.stopped && trouble.not_before.is_none_or(|(when, _)| when <= Instant::now())
        })
    }

    /// Notes a failure; returns the trouble as it is now. What can heal is tried again later.
    pub fn failed(&self, key: &Key, error: &Error, judgement: Judgement) -> Trouble {
        let Judgement { may_retry, after, signed_out } = judgement;
        let mut state = self.state.lock();
        let trouble = state.trouble.entry(key.clone()).or_default();
        let wait = after.unwrap_or_else(|| backoff(trouble.attempts, LONGEST_WAIT));
        trouble.attempts += 1;
        trouble.why = error.what.clone();
        trouble.advice = error.advice.clone();
        trouble.stopped = !may_retry;
        trouble.signed_out = signed_out;
        trouble.not_before =
            may_retry.then(|| (Instant::now() + wait, Timestamp::now().as_ms() + wait.as_millis() as i64));
        let now = trouble.clone();
        drop(state);
        self.moved();
        now
    }

    /// Something waits for a sign-in.
    pub fn is_signed_out(&self) -> bool {
        self.state.lock().trouble.values().any(|trouble| trouble.signed_out)
    }

    /// The account may write again: what waited for that is tried.
    pub fn signed_in(&self) {
        self.state.lock().trouble.retain(|_, trouble| !trouble.signed_out);
        self.moved();
    }

    pub fn succeeded(&self, key: &Key) {
        self.state.lock().trouble.remove(key);
        self.moved();
    }

    /// Tries again what has failed: everything, or the keys given. Returns how many.
    pub fn retry(&self, which: impl Fn(&Key) -> bool) -> u64 {
        let mut state = self.state.lock();
        let before = state.trouble.len();
        state.trouble.retain(|key, _| !which(key));
        let retried = (before - state.trouble.len()) as u64;
        state.offline_until = None;
        drop(state);
        self.moved();
        retried
    }

    pub fn progress(&self, id: FileId, progress: Option<Progress>) {
        let mut state = self.state.lock();
        match progress {
            Some(progress) => state.progress.insert(id, progress),
            None => state.progress.remove(&id),
        };
        drop(state);
        self.tell();
    }

    pub fn progress_of(&self, id: FileId) -> Option<Progress> {
        self.state.lock().progress.get(&id).copied()
    }

    pub fn saved_now(&self) {
        self.state.lock().last_saved_ms = Some(Timestamp::now().as_ms());
        self.tell();
    }

    pub fn last_saved_ms(&self) -> Option<i64> {
        self.state.lock().last_saved_ms
    }

    fn moved(&self) {
        self.tell();
        self.wake.notify_one();
    }
}

/// Doubling from a second, with jitter so that many machines do not come back at once.
fn backoff(attempts: u32, longest: Duration) -> Duration {
    let full = FIRST_WAIT.saturating_mul(1 << attempts.min(10)).min(longest);
    let jitter = getrandom::u32().unwrap_or(0) % 256;
    full.mul_f64(0.75 + f64::from(jitter) / 1024.0)
}

/// How the queue treats a Hub error.
pub fn judge(error: &hub::HubError) -> Judgement {
    use hub::ErrorClass as C;
    let after = match error.class {
        C::Busy { retry_after } => retry_after,
        _ => None,
    };
    let may_retry = matches!(error.class, C::Cancelled | C::Local) || error.class.may_retry();
    Judgement { may_retry, after, signed_out: error.class == C::SignIn }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_can_heal_waits_longer_each_time_and_what_cannot_stops() {
        let queue = Queue::new();
        let key = Key::Delete("a".into());
        let error = Error::new(ErrorKind::Slow, "busy");
        let can_heal = Judgement { may_retry: true, after: None, signed_out: false };
        for attempt in 1..=12 {
            let trouble = queue.failed(&key, &error, can_heal);
            assert_eq!(trouble.attempts, attempt);
            let (when, _) = trouble.not_before.unwrap();
            assert!(when.duration_since(Instant::now()) <= LONGEST_WAIT);
            assert!(!queue.may_try(&key));
        }
        queue.failed(&key, &error, Judgement { may_retry: false, ..can_heal });
        assert!(queue.trouble(&key).unwrap().stopped);
        queue.hurry();
        assert!(!queue.may_try(&key), "hurry does not wake what was stopped");
        assert_eq!(queue.retry(|_| true), 1);
        assert!(queue.may_try(&key));
    }
}
