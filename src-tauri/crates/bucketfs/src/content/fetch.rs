//! One range fetch: from the source's stream into blocks, each landed and handed to the disk as soon as
//! it is whole.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hub::{ErrorClass, HubError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::block::{BlockId, bytes_of};
use super::flight::{Delivery, Flights};
use super::source::Source;
use super::store::{Keep, Store};
use super::tally::Tally;

/// A fetch that brings nothing for this long has failed.
const STALL: Duration = Duration::from_secs(60);

/// Bytes of blocks in memory, arrived or arriving and not yet on disk, whatever the number of fetches.
pub const MEMORY: usize = 32 << 20;

/// What every fetch of a bucket shares.
pub struct Carrier {
    pub source: Arc<dyn Source>,
    pub store: Store,
    pub flights: Arc<Flights>,
    pub memory: Arc<Semaphore>,
    pub tally: Arc<Tally>,
}

/// A fetch to be made: the blocks `delivery` owes, which are consecutive.
pub struct Errand {
    pub hash: Arc<str>,
    pub file_size: u64,
    pub blocks: Range<u32>,
    /// Somebody waits for the blocks below.
    pub demand: u32,
    /// Where a fetch that somebody waits for gets its turn. It gives it back as soon as nobody does.
    pub turn: Option<Arc<Semaphore>>,
    /// The turn of one that brings more than is waited for.
    pub spare: Option<OwnedSemaphorePermit>,
    pub delivery: Delivery,
}

impl Carrier {
    /// Makes the fetch. Every block of the errand has landed on return.
    pub async fn carry(&self, errand: Errand) {
        let Errand { hash, file_size, blocks, demand, turn, spare: _spare, mut delivery } = errand;
        let mut turn = match turn {
            None => None,
            Some(line) => match timeout(STALL, line.acquire_owned()).await {
                Ok(Ok(turn)) => Some(turn),
                _ => return delivery.fail(stalled("No download could begin for a minute.")),
            },
        };
        let mut fetch = self.tally.fetch_begins();
        let range = bytes_of(blocks.start, file_size).start..bytes_of(blocks.end - 1, file_size).end;
        let mut stream = Incoming { stream: self.source.fetch(&hash, file_size, range), rest: Bytes::new() };
        while let Some(id) = delivery.next() {
            if id.index >= demand {
                turn = None;
            }
            match self.next_block(&mut stream, &id, file_size).await {
                Ok((bytes, room)) => {
                    fetch.fetched(bytes.len() as u64);
                    self.deliver(&mut delivery, id, bytes, room);
                }
                Err(error) => return delivery.fail(error),
            }
        }
        drop(turn);
    }

    async fn next_block(
        &self,
        stream: &mut Incoming,
        id: &BlockId,
        file_size: u64,
    ) -> Result<(Bytes, OwnedSemaphorePermit), HubError> {
        let range = bytes_of(id.index, file_size);
        let len = (range.end - range.start) as usize;
        let room = timeout(STALL, self.memory.clone().acquire_many_owned(len as u32)).await;
        let Ok(Ok(room)) = room else {
            return Err(stalled("The local disk took no data for a minute."));
        };
        Ok((stream.take(len).await?, room))
    }

    fn deliver(&self, delivery: &mut Delivery, id: BlockId, bytes: Bytes, room: OwnedSemaphorePermit) {
        delivery.land(bytes.clone());
        self.store.keep(Keep { id, bytes, stored: self.flights.clone(), _room: room });
    }
}

/// The source's stream, cut to measure.
struct Incoming {
    stream: BoxStream<'static, Result<Bytes, HubError>>,
    rest: Bytes,
}

impl Incoming {
    /// The next `len` bytes, in memory of their own: a block never keeps a larger buffer alive.
    async fn take(&mut self, len: usize) -> Result<Bytes, HubError> {
        let mut block = BytesMut::with_capacity(len);
        while block.len() < len {
            if self.rest.is_empty() {
                self.rest = self.more().await?;
            }
            let part = self.rest.len().min(len - block.len());
            block.extend_from_slice(&self.rest[..part]);
            self.rest.advance(part);
        }
        Ok(block.freeze())
    }

    async fn more(&mut self) -> Result<Bytes, HubError> {
        match timeout(STALL, self.stream.next()).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => Err(HubError::broken("The Hub sent less of a file than it should.")),
            Err(_) => Err(stalled("The Hub sent nothing of a file for a minute.")),
        }
    }
}

fn stalled(what: &str) -> HubError {
    HubError::new(ErrorClass::Busy { retry_after: None }, what)
}
