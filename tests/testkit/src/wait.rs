//! Waiting with a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Asks until `condition` answers `Ok`, and returns what it brought.
///
/// # Panics
/// At the deadline, with the last `Err`: let the closure say what it saw, not only that it failed.
pub fn eventually<T, E: Debug>(deadline: Duration, mut condition: impl FnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match condition() {
            Ok(value) => return value,
            Err(seen) if started.elapsed() >= deadline => {
                panic!("still not so after {:.1} s; last seen: {seen:?}", deadline.as_secs_f64())
            }
            Err(_) => std::thread::sleep(pause.min(deadline.saturating_sub(started.elapsed()))),
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Asks for the whole of `duration` and wants `Ok` each time: for what must *not* happen.
///
/// # Panics
/// At the first `Err`.
pub fn holds_for<E: Debug>(duration: Duration, mut condition: impl FnMut() -> Result<(), E>) {
    let started = Instant::now();
    while started.elapsed() < duration {
        if let Err(seen) = condition() {
            panic!("no longer so after {:.1} s: {seen:?}", started.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(20).min(duration));
    }
}
