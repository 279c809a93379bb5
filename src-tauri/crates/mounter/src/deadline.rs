//! A file-system call that may hang for ever, waited for only so long.

use std::time::Duration;

use tokio::sync::oneshot;

/// How long a touch of a folder may take before it is taken for dead.
pub(crate) const TOUCH: Duration = Duration::from_secs(5);

/// Runs `work` on a thread of its own and gives its result, or `None` after `limit`.
///
/// Not `spawn_blocking`: a thread stuck in a dead mount would then hold up the end of the runtime. This
/// one is simply left behind.
pub(crate) async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let started = std::thread::Builder::new().name("touch".into()).spawn(move || {
        // Nobody listens any more after the deadline.
        let _ = tell.send(work());
    });
    if let Err(error) = started {
        tracing::warn!(%error, "no thread for a file-system call");
        return None;
    }
    tokio::time::timeout(limit, told).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_in_time_is_given() {
        assert_eq!(within(TOUCH, || 7).await, Some(7));
    }

    #[tokio::test]
    async fn a_hanging_call_is_left_behind() {
        let hang = || std::thread::sleep(Duration::from_secs(5));
        let started = std::time::Instant::now();
        assert_eq!(within(Duration::from_millis(50), hang).await, None);
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_panicking_call_is_no_answer() {
        assert_eq!(within::<()>(TOUCH, || panic!("on purpose")).await, None);
    }
}
