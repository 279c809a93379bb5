//! The network this Hub pretends to be behind: latency for every answer, one bandwidth for all bodies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

/// What a test asks for. Zero is: no latency, no limit.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Profile {
    latency_ms: u64,
    bytes_per_second: u64,
}

/// The profile in force, and when the shared line is free again.
#[derive(Default)]
pub struct Network {
    latency_ms: AtomicU64,
    line: Line,
}

/// A line of limited bandwidth that several bodies share.
#[derive(Default)]
pub struct Line {
    bytes_per_second: AtomicU64,
    free_at: Mutex<Option<Instant>>,
}

impl Network {
    pub fn set(&self, profile: Profile) {
        self.latency_ms.store(profile.latency_ms, Ordering::Relaxed);
        self.line.bytes_per_second.store(profile.bytes_per_second, Ordering::Relaxed);
        *self.line.free_at.lock() = None;
    }

    /// Waits as long as the way takes.
    pub async fn latency(&self) {
        let ms = self.latency_ms.load(Ordering::Relaxed);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    pub fn line(&self) -> &Line {
        &self.line
    }
}

impl Line {
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: AtomicU64::new(bytes_per_second), free_at: Mutex::new(None) }
    }

    /// Returns when `bytes` have passed over the line.
    pub async fn pass(&self, bytes: usize) {
        if let Some(done) = self.reserve(bytes) {
            tokio::time::sleep_until(done).await;
        }
    }

    fn reserve(&self, bytes: usize) -> Option<Instant> {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if rate == 0 {
            return None;
        }
        let mut free_at = self.free_at.lock();
        let start = free_at.unwrap_or_else(Instant::now).max(Instant::now());
        let done = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free_at = Some(done);
        Some(done)
    }
}
