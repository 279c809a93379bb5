//! The live change feed (hub-api.md 2.8): who listens, what is replayed, gaps on demand.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::clock::now_ms;
use crate::store::ChangeSet;

/// How many change sets a slow listener may be behind before it is told to list again.
const BACKLOG: usize = 4096;

/// What a listener gets.
#[derive(Clone, Debug)]
pub enum News {
    Changes(ChangeSet),
    /// The server ends the stream.
    Reconnect,
}

/// Everybody who listens, on every bucket.
pub struct Feed {
    sender: broadcast::Sender<News>,
    /// Resume points before these are too old: sequence number, instant in ms.
    oldest_seq: AtomicU64,
    oldest_instant: AtomicI64,
}

impl Feed {
    pub fn new() -> Self {
        Self {
            sender: broadcast::channel(BACKLOG).0,
            oldest_seq: AtomicU64::new(0),
            oldest_instant: AtomicI64::new(0),
        }
    }

    pub fn publish(&self, changes: ChangeSet) {
        // Nobody listening is fine.
        let _ = self.sender.send(News::Changes(changes));
    }

    pub fn listen(&self) -> broadcast::Receiver<News> {
        self.sender.subscribe()
    }

    /// Ends every open stream with `reconnect`.
    pub fn reconnect(&self) {
        let _ = self.sender.send(News::Reconnect);
    }

    /// From now on nothing up to change `seq` can be replayed.
    pub fn forget(&self, seq: u64) {
        self.oldest_seq.store(seq, Ordering::Relaxed);
        self.oldest_instant.store(now_ms(), Ordering::Relaxed);
    }

    pub fn remembers_seq(&self, seq: u64) -> bool {
        seq >= self.oldest_seq.load(Ordering::Relaxed)
    }

    pub fn remembers_instant(&self, at: i64) -> bool {
        at >= self.oldest_instant.load(Ordering::Relaxed)
    }
}
