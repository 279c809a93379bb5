//! How fast content arrives, over all fetches of a bucket: what read-ahead may ask for at once.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The clock is read once for so many bytes.
const STRIDE: u64 = 1 << 20;

/// Shorter samples say more about buffers than about the line.
const SAMPLE: Duration = Duration::from_millis(50);

/// What a line is taken for until it has shown itself, in bytes a second.
const UNKNOWN: u64 = 64 << 20;

/// The speed of the line while it is in use.
pub struct Pace(Mutex<State>);

struct State {
    since: Instant,
    bytes: u64,
    unclocked: u64,
    rate: u64,
}

impl Pace {
    pub fn new() -> Pace {
        Pace(Mutex::new(State { since: Instant::now(), bytes: 0, unclocked: 0, rate: UNKNOWN }))
    }

    /// The line begins to be used after a rest, which doesn't count.
    pub fn begin(&self) {
        let mut state = self.0.lock();
        (state.since, state.bytes, state.unclocked) = (Instant::now(), 0, 0);
    }

    pub fn arrived(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.bytes += bytes;
        state.unclocked += bytes;
        if state.unclocked < STRIDE {
            return;
        }
        state.unclocked = 0;
        let elapsed = state.since.elapsed();
        if elapsed < SAMPLE {
            return;
        }
        let sample = (state.bytes as f64 / elapsed.as_secs_f64()) as u64;
        // A faster line is believed at once: more was asked of it. A slower moment is averaged in.
        state.rate = sample.max(state.rate / 4 * 3 + sample / 4);
        (state.since, state.bytes) = (Instant::now(), 0);
    }

    /// Bytes a second.
    pub fn rate(&self) -> u64 {
        self.0.lock().rate
    }
}
