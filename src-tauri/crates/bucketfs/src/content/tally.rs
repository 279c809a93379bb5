//! What the read side counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::pace::Pace;

/// A snapshot of what the read side did since the start, in blocks, bytes and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContentStats {
    /// Bytes of content on disk, of all buckets that share the cache.
    pub bytes_on_disk: u64,
    pub limit: u64,
    /// Blocks served without waiting for the Hub.
    pub hits: u64,
    /// Blocks a reader waited for.
    pub misses: u64,
    /// Range fetches begun.
    pub fetches: u64,
    pub fetches_in_flight: u64,
    pub bytes_fetched: u64,
    /// Blocks on disk that failed their checksum and were fetched again.
    pub damaged: u64,
    /// Blocks that could not be kept on disk.
    pub not_kept: u64,
    /// Bytes of contents that are kept offline, beside the cache and its limit.
    pub kept_offline: u64,
    /// Bytes fetched to keep them offline, beside `bytes_fetched`.
    pub downloaded_to_keep: u64,
}

pub struct Tally {
    hits: AtomicU64,
    misses: AtomicU64,
    fetches: AtomicU64,
    in_flight: AtomicU64,
    bytes_fetched: AtomicU64,
    pub pace: Pace,
}

impl Tally {
    pub fn new() -> Tally {
        let zero = || AtomicU64::new(0);
        Tally {
            hits: zero(),
            misses: zero(),
            fetches: zero(),
            in_flight: zero(),
            bytes_fetched: zero(),
            pace: Pace::new(),
        }
    }

    /// Counts the blocks of a read: those at hand and those it waits for.
    pub fn looked_for(&self, hits: usize, misses: usize) {
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.misses.fetch_add(misses as u64, Ordering::Relaxed);
    }

    /// Counts a fetch; it is in flight until the guard is dropped.
    pub fn fetch_begins(self: &Arc<Self>) -> FetchGuard {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        FetchGuard { tally: self.clone(), arriving: false }
    }

    /// Fetches for readers are under way.
    pub fn is_fetching(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    pub fn snapshot(&self) -> ContentStats {
        ContentStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            fetches: self.fetches.load(Ordering::Relaxed),
            fetches_in_flight: self.in_flight.load(Ordering::Relaxed),
            bytes_fetched: self.bytes_fetched.load(Ordering::Relaxed),
            ..ContentStats::default()
        }
    }
}

pub struct FetchGuard {
    tally: Arc<Tally>,
    /// It has its first bytes.
    arriving: bool,
}

impl FetchGuard {
    pub fn fetched(&mut self, bytes: u64) {
        self.tally.bytes_fetched.fetch_add(bytes, Ordering::Relaxed);
        self.tally.pace.arrived(bytes);
        if !self.arriving {
            self.arriving = true;
            self.tally.pace.begin();
        }
    }
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.tally.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.arriving {
            self.tally.pace.end();
        }
    }
}
