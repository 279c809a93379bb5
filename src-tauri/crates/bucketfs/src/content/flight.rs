//! Blocks under way: single flight. Whoever wants a block that is being fetched waits for that fetch; a
//! block that has arrived is served from here until it is on disk.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hub::{ErrorClass, HubError};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Notify;

use super::block::BlockId;
use super::store::Stored;

/// Bytes kept in memory of blocks that could not be stored on disk, so that a full disk doesn't turn
/// small sequential reads into one fetch each.
const HOMELESS_BYTES: u64 = 16 << 20;

/// One block under way. Set once, to its bytes or to why they didn't come.
pub struct Flight {
    landed: OnceLock<Result<Bytes, HubError>>,
    bell: Notify,
}

impl Flight {
    fn new() -> Arc<Flight> {
        Arc::new(Flight { landed: OnceLock::new(), bell: Notify::new() })
    }

    fn land(&self, outcome: Result<Bytes, HubError>) {
        let _ = self.landed.set(outcome);
        self.bell.notify_waiters();
    }

    /// The bytes, if they are here already.
    pub fn bytes(&self) -> Option<Bytes> {
        self.landed.get()?.as_ref().ok().cloned()
    }

    /// The block's bytes or why they didn't come. Ends when the fetch does, which has deadlines of its own.
    pub async fn wait(&self) -> Result<Bytes, HubError> {
        loop {
            // Made before the look, so that a landing in between rings it.
            let rung = self.bell.notified();
            if let Some(outcome) = self.landed.get() {
                return outcome.clone();
            }
            rung.await;
        }
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<BlockId, Bytes> for ByLength {
    fn weight(&self, _: &BlockId, bytes: &Bytes) -> u64 {
        64 + bytes.len() as u64
    }
}

/// All blocks under way.
pub struct Flights {
    table: Mutex<HashMap<BlockId, Arc<Flight>>>,
    homeless: Cache<BlockId, Bytes, ByLength>,
}

impl Flights {
    pub fn new() -> Flights {
        let homeless = Cache::with_weighter(256, HOMELESS_BYTES, ByLength);
        Flights { table: Mutex::new(HashMap::new()), homeless }
    }

    /// Looks at and changes the table in one step. `act` must not wait for anything.
    pub fn with<T>(&self, act: impl FnOnce(&mut Table<'_>) -> T) -> T {
        act(&mut Table { flying: &mut self.table.lock(), homeless: &self.homeless })
    }

    /// Blocks whose bytes are not here yet or not on disk yet.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }
}

/// The table while it is locked.
pub struct Table<'a> {
    flying: &'a mut HashMap<BlockId, Arc<Flight>>,
    homeless: &'a Cache<BlockId, Bytes, ByLength>,
}

impl Table<'_> {
    pub fn flight(&self, id: &BlockId) -> Option<&Arc<Flight>> {
        self.flying.get(id)
    }

    /// The bytes of a block that could not be stored.
    pub fn homeless(&self, id: &BlockId) -> Option<Bytes> {
        self.homeless.get(id)
    }

    /// Announces a fetch of `ids`, none of which is under way.
    pub fn depart(&mut self, flights: &Arc<Flights>, ids: impl Iterator<Item = BlockId>) -> Delivery {
        let mut pending = VecDeque::new();
        for id in ids {
            let flight = Flight::new();
            self.flying.insert(id, flight.clone());
            pending.push_back((id, flight));
        }
        Delivery { flights: flights.clone(), pending }
    }
}

impl Stored for Flights {
    fn stored(&self, blocks: &[(BlockId, bool)]) {
        let mut table = self.table.lock();
        for (id, kept) in blocks {
            let bytes = table.remove(id).and_then(|flight| flight.bytes());
            if let (false, Some(bytes)) = (kept, bytes) {
                self.homeless.insert(*id, bytes);
            }
        }
    }
}

/// The duty to land every block of one fetch. Dropped early (a cancelled or panicked fetch), it lands the
/// rest as cancelled.
pub struct Delivery {
    flights: Arc<Flights>,
    pending: VecDeque<(BlockId, Arc<Flight>)>,
}

impl Delivery {
    /// The next block to land.
    pub fn next(&self) -> Option<BlockId> {
        self.pending.front().map(|(id, _)| *id)
    }

    /// Lands the next block. Its flight stays in the table until `Flights` hears that it is stored.
    pub fn land(&mut self, bytes: Bytes) {
        if let Some((_, flight)) = self.pending.pop_front() {
            flight.land(Ok(bytes));
        }
    }

    /// Tells everybody who waits for the rest that it doesn't come.
    pub fn fail(mut self, error: HubError) {
        self.land_rest(error);
    }

    fn land_rest(&mut self, error: HubError) {
        {
            // Out of the table first: who asks again begins a new fetch.
            let mut table = self.flights.table.lock();
            for (id, _) in &self.pending {
                table.remove(id);
            }
        }
        for (_, flight) in self.pending.drain(..) {
            flight.land(Err(error.clone()));
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            self.land_rest(HubError::new(ErrorClass::Cancelled, "A download was ended before it was complete."));
        }
    }
}
