//! The limit on what uploads send a second, for all of them together.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A bucket of tokens that may go into debt: who takes waits until the debt is paid, so that the average is
/// the limit whatever the pieces' size. The limit may change while somebody waits.
pub struct Pace {
    state: Mutex<State>,
}

struct State {
    bytes_per_s: Option<u64>,
    balance: f64,
    at: Instant,
}

/// A new limit is felt within this.
const STEP: Duration = Duration::from_millis(250);

impl Pace {
    pub fn new() -> Self {
        Pace { state: Mutex::new(State { bytes_per_s: None, balance: 0.0, at: Instant::now() }) }
    }

    /// `None` or 0: no limit.
    pub fn set(&self, bytes_per_s: Option<u64>) {
        let mut state = self.state.lock();
        state.settle();
        state.bytes_per_s = bytes_per_s.filter(|rate| *rate > 0);
        if state.bytes_per_s.is_none() {
            state.balance = 0.0;
        }
    }

    /// Returns when `bytes` may go.
    pub async fn take(&self, bytes: u64) {
        {
            let mut state = self.state.lock();
            state.settle();
            if state.bytes_per_s.is_none() {
                return;
            }
            state.balance -= bytes as f64;
        }
        while let Some(wait) = self.wait() {
            tokio::time::sleep(wait.min(STEP)).await;
        }
    }

    fn wait(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        state.settle();
        let rate = state.bytes_per_s?;
        (state.balance < 0.0).then(|| Duration::from_secs_f64((-state.balance / rate as f64).max(0.001)))
    }
}

impl State {
    fn settle(&mut self) {
        let now = Instant::now();
        if let Some(rate) = self.bytes_per_s {
            // Nothing is saved up beyond a quarter of a second: no burst after a rest.
            let earned = now.duration_since(self.at).as_secs_f64() * rate as f64;
            self.balance = (self.balance + earned).min(rate as f64 / 4.0);
        }
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_average_is_the_limit_and_no_limit_does_not_wait() {
        let pace = Pace::new();
        pace.take(u64::MAX).await;
        pace.set(Some(1_000_000));
        let began = Instant::now();
        tokio::join!(pace.take(200_000), pace.take(200_000), pace.take(200_000));
        assert!(began.elapsed() >= Duration::from_millis(500), "600 kB at 1 MB/s: {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_limit_that_is_lifted_lets_go_who_waits() {
        let pace = Pace::new();
        pace.set(Some(1));
        let waiting = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pace.set(None);
        };
        let taken = tokio::time::timeout(Duration::from_secs(5), async {
            tokio::join!(pace.take(1_000_000), waiting)
        });
        taken.await.expect("it would have waited eleven days");
    }
}
