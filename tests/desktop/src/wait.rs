//! Waiting with a deadline, and what was seen last when it was in vain.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// The guest's kernel is slow, and a cold web view is as well.
pub const LONG: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(150);

/// What `look` gives as soon as it is `Ok`.
///
/// # Panics
/// After the deadline, with the last error.
pub async fn until<T, E: Debug, F: Future<Output = Result<T, E>>>(what: &str, look: impl FnMut() -> F) -> T {
    until_within(LONG, what, look).await
}

/// The same with a deadline of its own.
///
/// # Panics
/// After it, with the last error.
pub async fn until_within<T, E: Debug, F: Future<Output = Result<T, E>>>(
    long: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + long;
    let mut last = "no answer".to_owned();
    while Instant::now() < end {
        match tokio::time::timeout(long, look()).await {
            Ok(Ok(seen)) => return seen,
            Ok(Err(error)) => last = format!("{error:?}"),
            Err(_) => break,
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("{what}: not within {long:?}; at last {last}")
}
