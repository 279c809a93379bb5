//! The queue's memory: who waits until when and why, what has failed, whether the Hub answers.
//!
//! *What* is to be done is not kept here: it follows from the tree and the staged copies (`work.rs`), so a
//! crash cannot make the two disagree.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::pace::Pace;
use super::report::{FailureClass, Saved, SyncLimits};
use crate::attr::{FileId, Timestamp};
use crate::error::Error;
use crate::names::kept::StoredTrouble;

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
    pub class: FailureClass,
    pub why: String,
    pub advice: String,
    /// Not tried again before the person says so.
    pub stopped: bool,
    /// The version that was refused: another one may be taken.
    generation: Option<u64>,
}

impl Trouble {
    /// Stopped because nobody is signed in: goes on by itself at the next sign-in.
    fn signed_out(&self) -> bool {
        self.stopped && self.class == FailureClass::SignIn
    }
}

/// How the queue treats a failure.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    /// It may heal by itself.
    pub may_retry: bool,
    /// Not before this is over, if the server said so.
    pub after: Option<Duration>,
    pub class: FailureClass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
    pub committing: bool,
}

/// What is kept over restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub paused: bool,
    /// The pause ends by itself.
    #[serde(default)]
    pub paused_until_ms: Option<i64>,
    #[serde(default)]
    pub limits: SyncLimits,
}

#[derive(Default)]
struct State {
    settings: Settings,
    /// Callers of `sync` that wait: no debounce while there is one.
    hurry: u32,
    offline: Option<String>,
    offline_tries: u32,
    offline_until: Option<Instant>,
    trouble: HashMap<Key, Trouble>,
    /// What is stopped has changed since it was stored.
    stopped_moved: bool,
    /// Files that failed in company: with how many others they may be tried again.
    apart: HashMap<FileId, usize>,
    progress: HashMap<FileId, Progress>,
    recent: VecDeque<Saved>,
    looking: Duration,
    last_saved_ms: Option<i64>,
}

pub struct Queue {
    wake: Notify,
    pub pace: Pace,
    changed: watch::Sender<u64>,
    /// Like `changed`, and at every write and change of a name.
    stirred: watch::Sender<u64>,
    state: Mutex<State>,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Saved items remembered.
const RECENT: usize = 200;
const MOST_PARALLEL: usize = 16;
const LONGEST_OFFLINE_WAIT: Duration = Duration::from_secs(20);

impl Queue {
    pub fn new() -> Self {
        Queue {
            wake: Notify::new(),
            pace: Pace::new(),
            changed: watch::Sender::new(0),
            stirred: watch::Sender::new(0),
            state: Mutex::default(),
        }
    }

    /// Takes up what an earlier life knew.
    pub fn restore(&self, settings: Settings, stopped: Vec<(Key, Trouble)>) {
        let mut state = self.state.lock();
        state.settings = settings;
        state.trouble.extend(stopped);
        drop(state);
        self.pace.set(settings.limits.upload_bytes_per_s);
    }

    pub fn settings(&self) -> Settings {
        self.state.lock().settings
    }

    /// What is stopped, when that has changed since it was asked for last.
    pub fn stopped_if_moved(&self) -> Option<Vec<StoredTrouble>> {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.stopped_moved) {
            return None;
        }
        let stopped = state.trouble.iter().filter(|(_, trouble)| trouble.stopped);
        Some(stopped.map(|(key, trouble)| stored(key, trouble)).collect())
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

    /// Something that is shown has changed, and the queue has nothing to do.
    pub fn stir(&self) {
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

    pub fn set_paused(&self, paused: bool, until_ms: Option<i64>) {
        let mut state = self.state.lock();
        state.settings.paused = paused;
        state.settings.paused_until_ms = until_ms.filter(|_| paused);
        drop(state);
        self.moved();
    }

    pub fn is_paused(&self) -> bool {
        let Settings { paused, paused_until_ms, .. } = self.settings();
        paused && paused_until_ms.is_none_or(|until| Timestamp::now().as_ms() < until)
    }

    /// When a pause that is on ends by itself.
    pub fn paused_until_ms(&self) -> Option<i64> {
        self.settings().paused_until_ms.filter(|_| self.is_paused())
    }

    pub fn set_limits(&self, limits: SyncLimits) {
        let parallel = limits.parallel.clamp(1, MOST_PARALLEL);
        self.state.lock().settings.limits = SyncLimits { parallel, ..limits };
        self.pace.set(limits.upload_bytes_per_s);
        self.moved();
    }

    /// These files failed together: one of them may be the reason, so they are tried again in groups of an
    /// eighth, down to each alone.
    pub fn part(&self, ids: &[FileId]) {
        let mut state = self.state.lock();
        let most = (ids.len() / 8).max(1);
        state.apart.extend(ids.iter().map(|id| (*id, most)));
        drop(state);
        self.moved();
    }

    /// In how large a company the file may be tried.
    pub fn apart(&self, id: FileId) -> Option<usize> {
        self.state.lock().apart.get(&id).copied()
    }

    /// It was not the file: it goes with the others again.
    pub fn join(&self, id: FileId) {
        self.state.lock().apart.remove(&id);
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
        let Judgement { may_retry, after, class } = judgement;
        let mut state = self.state.lock();
        let trouble = state.trouble.entry(key.clone()).or_default();
        let wait = after.unwrap_or_else(|| backoff(trouble.attempts, LONGEST_WAIT));
        trouble.attempts += 1;
        trouble.why = error.what.clone();
        trouble.advice = error.advice.clone();
        trouble.stopped = !may_retry;
        trouble.class = class;
        trouble.generation = None;
        trouble.not_before =
            may_retry.then(|| (Instant::now() + wait, Timestamp::now().as_ms() + wait.as_millis() as i64));
        let now = trouble.clone();
        state.stopped_moved |= now.stopped;
        drop(state);
        self.moved();
        now
    }

    /// The file's content is of this generation now: a version that was refused as such is another file's
    /// trouble once it has been saved anew. What the account may not do stays stopped.
    pub fn is_now(&self, id: FileId, generation: u64) {
        let mut state = self.state.lock();
        let Some(trouble) = state.trouble.get_mut(&Key::File(id)).filter(|trouble| trouble.stopped) else {
            return;
        };
        let of_the_account = matches!(trouble.class, FailureClass::SignIn | FailureClass::Forbidden);
        match trouble.generation {
            Some(refused) if refused != generation && !of_the_account => {
                state.trouble.remove(&Key::File(id));
                state.stopped_moved = true;
            }
            Some(_) => {}
            None => trouble.generation = Some(generation),
        }
    }

    /// Something waits for a sign-in.
    pub fn is_signed_out(&self) -> bool {
        self.state.lock().trouble.values().any(Trouble::signed_out)
    }

    /// The account may write again: what waited for that is tried.
    pub fn signed_in(&self) {
        let mut state = self.state.lock();
        state.trouble.retain(|_, trouble| !trouble.signed_out());
        state.stopped_moved = true;
        drop(state);
        self.moved();
    }

    pub fn succeeded(&self, key: &Key) {
        let mut state = self.state.lock();
        let had = state.trouble.remove(key);
        state.stopped_moved |= had.is_some_and(|trouble| trouble.stopped);
        if let Key::File(id) = key {
            state.apart.remove(id);
        }
        drop(state);
        self.moved();
    }

    /// Tries again what has failed: everything, or the keys given. Returns how many.
    pub fn retry(&self, which: impl Fn(&Key) -> bool) -> u64 {
        let mut state = self.state.lock();
        let before = state.trouble.len();
        state.trouble.retain(|key, _| !which(key));
        let retried = (before - state.trouble.len()) as u64;
        state.stopped_moved |= retried > 0;
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

    /// Something has reached the Hub.
    pub fn saved(&self, path: String, action: &str, bytes: u64) {
        let at_ms = Timestamp::now().as_ms();
        let mut state = self.state.lock();
        state.last_saved_ms = Some(at_ms);
        state.recent.truncate(RECENT - 1);
        state.recent.push_front(Saved { path, action: action.to_owned(), bytes, at_ms });
        drop(state);
        self.tell();
    }

    /// The syncer has looked at everything unsent.
    pub fn looked(&self, took: Duration) {
        self.state.lock().looking += took;
    }

    /// Time spent so, since the start.
    pub fn looking(&self) -> Duration {
        self.state.lock().looking
    }

    /// Newest first.
    pub fn recent(&self) -> Vec<Saved> {
        self.state.lock().recent.iter().cloned().collect()
    }

    pub fn last_saved_ms(&self) -> Option<i64> {
        self.state.lock().last_saved_ms
    }

    fn moved(&self) {
        self.tell();
        self.wake.notify_one();
    }
}

fn stored(key: &Key, trouble: &Trouble) -> StoredTrouble {
    let (kind, what) = match key {
        Key::File(id) => ("file", id.0.to_string()),
        Key::Folder(id) => ("folder", id.0.to_string()),
        Key::Delete(path) => ("delete", path.clone()),
    };
    let class = serde_json::to_value(trouble.class).ok().and_then(|value| value.as_str().map(str::to_owned));
    StoredTrouble {
        kind: kind.to_owned(),
        what,
        class: class.unwrap_or_default(),
        why: trouble.why.clone(),
        advice: trouble.advice.clone(),
        attempts: trouble.attempts,
        signed_out: trouble.signed_out(),
    }
}

/// A failure as it was stored; `None` when it is not understood (then it is simply tried again).
pub fn restored(one: StoredTrouble) -> Option<(Key, Trouble)> {
    let id = || one.what.parse().ok().map(FileId);
    let key = match one.kind.as_str() {
        "file" => Key::File(id()?),
        "folder" => Key::Folder(id()?),
        "delete" => Key::Delete(one.what.clone()),
        _ => return None,
    };
    let class = serde_json::from_value(one.class.into()).unwrap_or_default();
    let (attempts, why, advice) = (one.attempts, one.why, one.advice);
    Some((key, Trouble { attempts, not_before: None, class, why, advice, stopped: true, generation: None }))
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
    Judgement { may_retry, after, class: FailureClass::of(error) }
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
        let can_heal = Judgement { may_retry: true, after: None, class: FailureClass::Other };
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
        let kept = queue.stopped_if_moved().unwrap();
        assert!(queue.stopped_if_moved().is_none(), "once");
        let later = Queue::new();
        later.restore(Settings::default(), kept.into_iter().filter_map(restored).collect());
        assert_eq!(later.trouble(&key).unwrap().why, "busy");
        assert!(!later.may_try(&key), "what had failed for good is known after a restart");
        assert_eq!(queue.retry(|_| true), 1);
        assert!(queue.may_try(&key));
        assert_eq!(queue.stopped_if_moved(), Some(Vec::new()));
    }

    #[test]
    fn a_pause_ends_by_itself() {
        let queue = Queue::new();
        queue.set_paused(true, Some(Timestamp::now().as_ms() + 60_000));
        assert!(queue.is_paused());
        queue.set_paused(true, Some(Timestamp::now().as_ms() - 1));
        assert!(!queue.is_paused() && queue.paused_until_ms().is_none());
    }
}
