//! Blocks under way: single flight. Whoever wants a block that is being fetched waits for that fetch; a
//! block that has arrived is served from here until it is on disk.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hub::{ErrorClass, HubError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::block::BlockId;
use super::store::Stored;

/// Bytes kept in memory of blocks that could not be stored on disk, so that a full disk doesn't turn
/// small sequential reads into one fetch each.
pub const HOMELESS_BYTES: u64 = 16 << 20;

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

/// All blocks under way.
#[derive(Default)]
pub struct Flights {
    table: Mutex<Table>,
}

/// The blocks that are neither on disk nor nowhere.
#[derive(Default)]
pub struct Table {
    flying: HashMap<BlockId, Arc<Flight>>,
    homeless: Homeless,
}

impl Flights {
    /// Looks at and changes the table in one step. `act` must not wait for anything.
    pub fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock())
    }
}

impl Table {
    pub fn flight(&self, id: &BlockId) -> Option<&Arc<Flight>> {
        self.flying.get(id)
    }

    /// Whether every block that was fetched is on disk or given up.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    /// The bytes of a block that could not be stored.
    pub fn homeless(&self, id: &BlockId) -> Option<Bytes> {
        self.homeless.blocks.get(id).cloned()
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

/// Blocks no disk took, first in, first out.
#[derive(Default)]
struct Homeless {
    blocks: HashMap<BlockId, Bytes>,
    order: VecDeque<BlockId>,
    bytes: u64,
}

impl Homeless {
    fn take_in(&mut self, id: BlockId, bytes: Bytes) {
        self.bytes += bytes.len() as u64;
        match self.blocks.insert(id, bytes) {
            Some(before) => self.bytes -= before.len() as u64,
            None => self.order.push_back(id),
        }
        while self.bytes > HOMELESS_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |bytes| bytes.len() as u64);
        }
    }
}

impl Stored for Flights {
    fn stored(&self, blocks: &[(BlockId, bool)]) {
        let mut table = self.table.lock();
        for (id, kept) in blocks {
            let bytes = table.flying.remove(id).and_then(|flight| flight.bytes());
            if let (false, Some(bytes)) = (kept, bytes) {
                table.homeless.take_in(*id, bytes);
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
    /// The blocks to land, in order.
    pub fn flights(&self) -> impl Iterator<Item = &(BlockId, Arc<Flight>)> {
        self.pending.iter()
    }

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
                table.flying.remove(id);
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
            self.land_rest(HubError::new(
                ErrorClass::Cancelled,
                "A download was ended before it was complete.",
            ));
        }
    }
}
