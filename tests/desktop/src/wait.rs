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
pub async fn until<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + LONG;
    let mut last = "no answer".to_owned();
    while Instant::now() < end {
        match tokio::time::timeout(LONG, look()).await {
            Ok(Ok(seen)) => return seen,
            Ok(Err(error)) => last = format!("{error:?}"),
            Err(_) => break,
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("{what}: not within {LONG:?}; at last {last}")
}
