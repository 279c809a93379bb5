//! A task that must not end while its bucket is served: a panic in it is told, and it begins anew.
//!
//! State that matters is in the database and the staged copies, so a loop that starts over finds its work again.
//! (A sort by a live clock once ended the sync queue in silence: nothing was uploaded until the next start.)

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// After a panic, so that one that always comes back does not spin.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });

/// Runs what `begin` gives until it ends by itself.
pub async fn guarded<F: Future<Output = ()>>(what: &'static str, begin: impl Fn() -> F) {
    while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
        tracing::error!("{what} met a programming error and begins anew");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_loop_that_panics_begins_anew_and_one_that_ends_has_ended() {
        let runs = AtomicU32::new(0);
        guarded("a test", || async {
            if runs.fetch_add(1, Ordering::Relaxed) < 3 {
                panic!("on purpose");
            }
        })
        .await;
        assert_eq!(runs.load(Ordering::Relaxed), 4);
    }
}
