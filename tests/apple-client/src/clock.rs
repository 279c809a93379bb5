//! The client's clock, faster than ours: a JUKEBOX wait of 30 s must not take a test 30 s.

use std::time::{Duration, Instant};

/// Virtual time: `scale` seconds of it pass in one of ours.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    scale: f64,
}

impl Clock {
    pub fn new(scale: f64) -> Self {
        Clock { start: Instant::now(), scale }
    }

    /// Virtual time since the mount began; rises always.
    pub fn now(&self) -> Duration {
        self.start.elapsed().mul_f64(self.scale)
    }

    /// How long `virtually` takes for us.
    pub fn real(&self, virtually: Duration) -> Duration {
        virtually.div_f64(self.scale)
    }

    pub async fn sleep(&self, virtually: Duration) {
        tokio::time::sleep(self.real(virtually)).await;
    }
}
