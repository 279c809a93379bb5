//! The duplicate-request cache: a call that must not run twice runs once, and every retransmission of it
//! gets the first answer.
//!
//! Kernels retransmit after a reconnect, from another port, with the same xid (macos-nfs.md B5). So an entry
//! is known by what the call *is* ([`call_key`]), never by where it came from. The key is the same in every
//! life of the server: answers that were stored with their change are put back by [`ReplyCache::seed`].
//!
//! A call that is running already makes its duplicates wait for its answer. WRITE and COMMIT are here only
//! for that: once answered they may run again, and an old answer must not hide a new verifier.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::file_system::CallKey;
use crate::limits::Limits;
use crate::rpc::Call;

/// Bytes of arguments hashed in full; of longer ones samples of this total are.
const SAMPLED: usize = 2 << 10;
const SAMPLE: usize = 64;

/// Identity of a call: xid, program, procedure, credential and arguments.
///
/// Of a WRITE's payload only samples count: two different WRITEs with one xid, handle, offset and length
/// can't be in flight at once for one client, and nothing is kept of an answered one.
pub fn call_key(cache_key: &[u8; 32], call: &Call) -> CallKey {
    let mut hasher = blake3::Hasher::new_keyed(cache_key);
    for word in [call.xid, call.program, call.version, call.procedure, call.credential_bytes.len() as u32] {
        hasher.update(&word.to_be_bytes());
    }
    hasher.update(&call.credential_bytes);
    let args = call.args.rest();
    hasher.update(&(args.len() as u64).to_be_bytes());
    if args.len() <= SAMPLED {
        hasher.update(args);
    } else {
        sample(&mut hasher, args);
    }
    *hasher.finalize().as_bytes()
}

fn sample(hasher: &mut blake3::Hasher, args: &[u8]) {
    let pieces = SAMPLED / SAMPLE / 2;
    // The front holds handle, offset and count.
    let (front, payload) = args.split_at(SAMPLED / 2);
    hasher.update(front);
    let step = payload.len() / pieces;
    for piece in payload.chunks(step.max(1)) {
        hasher.update(&piece[..piece.len().min(SAMPLE)]);
    }
    hasher.update(&payload[payload.len().saturating_sub(SAMPLE)..]);
}

/// Answers by call. Bounded in count, bytes and age.
pub struct ReplyCache {
    state: Mutex<State>,
    kept: Duration,
    replies: usize,
    bytes: usize,
}

#[derive(Default)]
struct State {
    entries: HashMap<CallKey, Entry>,
    /// Answered entries, in the order of their answers. May name entries that are gone.
    order: VecDeque<(CallKey, u64)>,
    bytes: usize,
    serial: u64,
}

enum Entry {
    Running(Vec<oneshot::Sender<Bytes>>),
    Answered { reply: Bytes, until: Instant, serial: u64 },
}

/// What to do with a call.
pub enum Begin {
    /// Run it, then [`Ticket::answer`].
    First(Ticket),
    /// It is running: its answer comes here (or an error, if it died without one).
    Running(oneshot::Receiver<Bytes>),
    /// It was answered with this.
    Answered(Bytes),
}

impl ReplyCache {
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(ReplyCache {
            state: Mutex::default(),
            kept: limits.replies_kept,
            replies: limits.replies,
            bytes: limits.reply_bytes,
        })
    }

    /// Puts back answers of an earlier life, newest last.
    pub fn seed(&self, stored: Vec<(CallKey, Vec<u8>)>) {
        let mut state = self.state.lock();
        for (key, reply) in stored {
            state.insert(key, reply.into(), Instant::now() + self.kept);
        }
        state.evict(self.replies, self.bytes, Instant::now());
    }

    pub fn begin(self: &Arc<Self>, key: CallKey) -> Begin {
        let mut state = self.state.lock();
        let now = Instant::now();
        match state.entries.get_mut(&key) {
            Some(Entry::Answered { reply, until, .. }) if *until > now => Begin::Answered(reply.clone()),
            Some(Entry::Running(waiting)) => {
                let (sender, receiver) = oneshot::channel();
                waiting.push(sender);
                Begin::Running(receiver)
            }
            _ => {
                state.forget(&key);
                state.entries.insert(key, Entry::Running(Vec::new()));
                Begin::First(Ticket { cache: Arc::clone(self), key, open: true })
            }
        }
    }

    fn finish(&self, key: CallKey, reply: Option<(Bytes, Keep)>) {
        let mut state = self.state.lock();
        let Some(Entry::Running(waiting)) = state.entries.remove(&key) else { return };
        let Some((reply, keep)) = reply else { return };
        let now = Instant::now();
        let lifetime = match keep {
            Keep::No => None,
            Keep::Usual => Some(self.kept),
            Keep::AtMost(time) => Some(time.min(self.kept)),
        };
        if let Some(lifetime) = lifetime {
            state.insert(key, reply.clone(), now + lifetime);
            state.evict(self.replies, self.bytes, now);
        }
        drop(state);
        for waiter in waiting {
            // A duplicate whose connection is gone waits no more.
            let _ = waiter.send(reply.clone());
        }
    }

    #[cfg(test)]
    fn held(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.entries.len(), state.bytes)
    }
}

impl State {
    fn insert(&mut self, key: CallKey, reply: Bytes, until: Instant) {
        self.forget(&key);
        self.serial += 1;
        self.bytes += reply.len();
        self.order.push_back((key, self.serial));
        // A copy of its own: a slice would keep the buffer it was cut from.
        let reply = Bytes::copy_from_slice(&reply);
        self.entries.insert(key, Entry::Answered { reply, until, serial: self.serial });
    }

    fn forget(&mut self, key: &CallKey) {
        if let Some(Entry::Answered { reply, .. }) = self.entries.remove(key) {
            self.bytes -= reply.len();
        }
    }

    fn evict(&mut self, replies: usize, bytes: usize, now: Instant) {
        while let Some((key, listed)) = self.order.front().copied() {
            let current = match self.entries.get(&key) {
                Some(Entry::Answered { until, serial, .. }) if *serial == listed => Some(*until),
                _ => None,
            };
            let over = self.order.len() > replies || self.bytes > bytes;
            if current.is_some_and(|until| until > now && !over) {
                return;
            }
            self.order.pop_front();
            if current.is_some() {
                self.forget(&key);
            }
        }
    }
}

/// How long an answer is good for retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Only for the duplicates waiting now.
    No,
    /// [`Limits::replies_kept`].
    Usual,
    /// Shorter than usual.
    AtMost(Duration),
}

/// The right, and the duty, to answer a call. Dropped without an answer it lets the next duplicate run.
pub struct Ticket {
    cache: Arc<ReplyCache>,
    key: CallKey,
    open: bool,
}

impl Ticket {
    /// Hands the answer (everything after the xid) to all who wait, and keeps it.
    pub fn answer(mut self, reply: Bytes, keep: Keep) {
        self.open = false;
        self.cache.finish(self.key, Some((reply, keep)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.cache.finish(self.key, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Credential;
    use crate::xdr::Args;

    fn cache(limits: Limits) -> Arc<ReplyCache> {
        ReplyCache::new(&limits)
    }

    fn answer(cache: &Arc<ReplyCache>, key: u8, reply: &'static [u8], keep: Keep) {
        let Begin::First(ticket) = cache.begin([key; 32]) else { panic!("{key} is known already") };
        ticket.answer(Bytes::from_static(reply), keep);
    }

    fn answered(cache: &Arc<ReplyCache>, key: u8) -> Option<Bytes> {
        match cache.begin([key; 32]) {
            Begin::Answered(reply) => Some(reply),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_duplicate_of_a_running_call_waits_for_its_answer() {
        let cache = cache(Limits::default());
        let Begin::First(ticket) = cache.begin([1; 32]) else { panic!() };
        let Begin::Running(first) = cache.begin([1; 32]) else { panic!() };
        let Begin::Running(second) = cache.begin([1; 32]) else { panic!() };
        ticket.answer(Bytes::from_static(b"done"), Keep::No);
        assert_eq!(first.await.unwrap(), "done");
        assert_eq!(second.await.unwrap(), "done");
        assert!(answered(&cache, 1).is_none(), "not kept");
    }

    #[tokio::test]
    async fn a_call_that_died_lets_its_duplicate_run() {
        let cache = cache(Limits::default());
        let Begin::First(ticket) = cache.begin([1; 32]) else { panic!() };
        let Begin::Running(waiting) = cache.begin([1; 32]) else { panic!() };
        drop(ticket);
        assert!(waiting.await.is_err());
        assert!(matches!(cache.begin([1; 32]), Begin::First(_)));
    }

    #[test]
    fn count_bytes_and_age_are_bounded() {
        let few = cache(Limits { replies: 2, ..Limits::default() });
        let small = cache(Limits { reply_bytes: 10, ..Limits::default() });
        for key in 1..=3 {
            answer(&few, key, b"abcd", Keep::Usual);
            answer(&small, key, b"abcd", Keep::Usual);
        }
        for cache in [&few, &small] {
            assert_eq!(cache.held(), (2, 8));
            assert!(answered(cache, 3).is_some() && answered(cache, 2).is_some());
            assert!(answered(cache, 1).is_none(), "the oldest went");
        }
        let brief = cache(Limits { replies_kept: Duration::ZERO, ..Limits::default() });
        answer(&brief, 1, b"abcd", Keep::Usual);
        assert!(answered(&brief, 1).is_none(), "too old");
    }

    #[test]
    fn seeded_answers_are_given_and_bounded_newest_kept() {
        let cache = cache(Limits { replies: 2, ..Limits::default() });
        cache.seed((1..=3).map(|key| ([key; 32], vec![key])).collect());
        assert_eq!(answered(&cache, 3).unwrap(), [3][..]);
        assert_eq!(answered(&cache, 2).unwrap(), [2][..]);
        assert!(answered(&cache, 1).is_none());
    }

    fn call(xid: u32, procedure: u32, args: Vec<u8>) -> Call {
        let credential_bytes = Bytes::from_static(b"me");
        let credential = Credential::Uid(1);
        Call {
            xid,
            program: 1,
            version: 3,
            procedure,
            credential,
            credential_bytes,
            args: Args::new(args.into()),
        }
    }

    #[test]
    fn the_key_tells_calls_apart_by_every_part() {
        let base = call(1, 2, vec![0; 100]);
        let key = |call: &Call| call_key(&[9; 32], call);
        let mut other_credential = base.clone();
        other_credential.credential_bytes = Bytes::from_static(b"you");
        let mut last_byte = vec![0; 1 << 20];
        let long = call(1, 2, last_byte.clone());
        *last_byte.last_mut().unwrap() = 1;
        let others = [
            call(2, 2, vec![0; 100]),
            call(1, 3, vec![0; 100]),
            call(1, 2, vec![1; 100]),
            call(1, 2, vec![0; 104]),
            other_credential,
            long.clone(),
        ];
        for other in &others {
            assert_ne!(key(&base), key(other));
        }
        assert_ne!(key(&long), key(&call(1, 2, last_byte)));
        assert_eq!(key(&base), key(&base.clone()));
        assert_ne!(key(&base), call_key(&[8; 32], &base), "another server's key");
    }
}
