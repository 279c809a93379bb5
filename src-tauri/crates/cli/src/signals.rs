//! SIGTERM, SIGINT and SIGHUP all mean: end tidily.

use engine::{EngineError, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn listen() -> Result<Signals> {
        let listen = |kind: SignalKind| {
            signal(kind).map_err(|error| {
                EngineError::new(format!("Signals cannot be listened to ({error})."), "Try again.")
            })
        };
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
