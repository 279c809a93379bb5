//! One call for everybody who wants the same thing at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

type Flight<V> = Shared<BoxFuture<'static, V>>;

/// Calls under way, by key. Nobody owns a call: all who wait for it drive it, and when the last one
/// goes away it is cancelled.
pub(crate) struct Flights<K, V> {
    under_way: Arc<Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Flights<K, V> {
        Flights { under_way: Arc::default() }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, V: Clone + Send + Sync + 'static> Flights<K, V> {
    /// The call for `key` under way, else the one `begin` makes. A call that is done is never joined.
    pub fn join(&self, key: K, begin: impl FnOnce() -> BoxFuture<'static, V>) -> Flight<V> {
        let mut under_way = self.under_way.lock();
        if let Some(flight) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        under_way.retain(|_, flight| flight.upgrade().is_some());
        let call = begin();
        let (all, mine) = (self.under_way.clone(), key.clone());
        let landed = async move {
            let value = call.await;
            all.lock().remove(&mine);
            value
        };
        let flight = landed.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key, weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn those_who_come_together_share_and_those_who_come_later_do_not() {
        let flights: Flights<u8, u32> = Flights::default();
        let calls = Arc::new(AtomicU32::new(0));
        let ask = || {
            let calls = calls.clone();
            flights.join(1, move || {
                async move {
                    tokio::task::yield_now().await;
                    calls.fetch_add(1, Ordering::SeqCst) + 1
                }
                .boxed()
            })
        };
        let (a, b) = (ask(), ask());
        assert_eq!(tokio::join!(a, b), (1, 1));
        assert_eq!(ask().await, 2);
    }

    #[tokio::test]
    async fn a_call_nobody_waits_for_is_forgotten() {
        let flights: Flights<u8, u32> = Flights::default();
        drop(flights.join(1, || std::future::pending().boxed()));
        assert_eq!(flights.join(1, || async { 7 }.boxed()).await, 7);
    }
}
