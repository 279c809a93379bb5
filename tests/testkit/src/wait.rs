//! Waiting with a deadline.
//!
//! These block their thread. A worker of a tokio runtime that blocks may be the one that was about to poll the
//! sockets: everything else in this process (a server under test, its uploads) then stands still until the wait is
//! over. So a worker hands its work on first.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Asks until `condition` answers `Ok`, and returns what it brought.
///
/// # Panics
/// At the deadline, with the last `Err`: let the closure say what it saw, not only that it failed.
pub fn eventually<T, E: Debug>(deadline: Duration, condition: impl FnMut() -> Result<T, E>) -> T {
    off_the_workers(|| ask_until_ok(deadline, condition))
}

fn ask_until_ok<T, E: Debug>(deadline: Duration, mut condition: impl FnMut() -> Result<T, E>) -> T {
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
    off_the_workers(|| {
        let started = Instant::now();
        while started.elapsed() < duration {
            if let Err(seen) = condition() {
                panic!("no longer so after {:.1} s: {seen:?}", started.elapsed().as_secs_f64());
            }
            std::thread::sleep(Duration::from_millis(20).min(duration));
        }
    });
}

fn off_the_workers<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    static DONE: AtomicBool = AtomicBool::new(false);

    /// A server in the same process, waited for by a spawned task, once stood still for the whole wait.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_waits_on_a_worker_does_not_stop_the_others() {
        let waiting = tokio::spawn(async {
            tokio::spawn(async { DONE.store(true, Ordering::Relaxed) });
            eventually(Duration::from_secs(5), || {
                DONE.load(Ordering::Relaxed).then_some(()).ok_or("not done")
            });
        });
        waiting.await.expect("the other task runs meanwhile");
    }
}
