//! How fast content arrives, over all fetches of a bucket: what read-ahead may ask for at once.
//!
//! Time in which every fetch waits for its first byte is the latency's, not the line's, and does not count.

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
    /// Fetches that are past their first byte.
    arriving: usize,
    /// The clock runs since then, while something arrives.
    since: Instant,
    /// What it showed before it stood last.
    before: Duration,
    bytes: u64,
    unclocked: u64,
    rate: u64,
}

impl Pace {
    pub fn new() -> Pace {
        Pace(Mutex::new(State {
            arriving: 0,
            since: Instant::now(),
            before: Duration::ZERO,
            bytes: 0,
            unclocked: 0,
            rate: UNKNOWN,
        }))
    }

    /// A fetch has its first bytes.
    pub fn begin(&self) {
        let mut state = self.0.lock();
        state.arriving += 1;
        if state.arriving == 1 {
            state.since = Instant::now();
        }
    }

    /// A fetch that had begun ends.
    pub fn end(&self) {
        let mut state = self.0.lock();
        state.arriving -= 1;
        if state.arriving == 0 {
            let ran = state.since.elapsed();
            state.before += ran;
        }
    }

    pub fn arrived(&self, bytes: u64) {
        let mut state = self.0.lock();
        if state.arriving == 0 {
            return;
        }
        state.bytes += bytes;
        state.unclocked += bytes;
        if state.unclocked < STRIDE {
            return;
        }
        state.unclocked = 0;
        let elapsed = state.before + state.since.elapsed();
        if elapsed < SAMPLE {
            return;
        }
        let sample = (state.bytes as f64 / elapsed.as_secs_f64()) as u64;
        // A faster line is believed at once: more was asked of it. A slower moment is averaged in.
        state.rate = sample.max(state.rate / 4 * 3 + sample / 4);
        (state.since, state.before, state.bytes) = (Instant::now(), Duration::ZERO, 0);
    }

    /// Bytes a second.
    pub fn rate(&self) -> u64 {
        self.0.lock().rate
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn waiting_for_the_first_byte_is_not_the_lines_speed() {
        let pace = Pace::new();
        for _ in 0..10 {
            // 80 ms for an answer, then 2 MiB at once.
            sleep(Duration::from_millis(80));
            pace.begin();
            pace.arrived(2 << 20);
            pace.end();
        }
        assert!(pace.rate() >= UNKNOWN, "{} bytes a second", pace.rate());
        pace.begin();
        for _ in 0..20 {
            sleep(Duration::from_millis(60));
            pace.arrived(1 << 20);
        }
        assert!(pace.rate() < UNKNOWN / 2, "{} bytes a second", pace.rate());
    }
}
