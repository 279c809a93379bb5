//! The read side of a bucket: content by hash, from the block cache on disk or from the Hub.
//!
//! A read looks at each of its blocks once: under way (wait for that fetch), on disk (read it there), or
//! missing (fetch it, neighbours in one request, with what the file's pattern says comes next). No lock
//! is held over a fetch or a disk access, and a reader waits for its own blocks only. Fetches belong to
//! the bucket, not to the reader: a reader that goes away leaves its fetch to those who also wait, and its
//! bytes to the cache.

mod block;
mod fetch;
mod flight;
mod gathering;
mod keeping;
mod kept;
mod pace;
mod pattern;
mod source;
mod store;
mod tally;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;
use hub::{ErrorClass, HubError};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::block::{BLOCK, ContentKey};
use self::block::{BlockId, LONGEST_FILE, blocks_of, part_in};
use self::fetch::{Carrier, Errand, MEMORY};
use self::flight::{Flight, HOMELESS_BYTES, Table};
use self::gathering::Gathering;
pub use self::keeping::{KEEP_PIECE, KeepError};
pub use self::kept::Kept;
use self::pattern::{LARGEST_WINDOW, Pattern};
pub use self::source::Source;
use self::store::{Known, Store};
pub use self::tally::ContentStats;
use self::tally::Tally;

/// Fetches that somebody waits for, at once.
const DEMAND_FETCHES: usize = 32;

/// Fetches ahead of any reader, at once: they never take a waiting reader's turn.
const AHEAD_FETCHES: usize = 6;

/// Blocks of one range request: 1 to 128 MiB.
const MIN_FETCH_BLOCKS: u64 = 16;
const MAX_FETCH_BLOCKS: u64 = 2048;

/// Files whose pattern is remembered.
const PATTERNS: usize = 1024;

/// A read tries this often: a block may vanish from disk, or a fetch it joined may fail, in between.
const ATTEMPTS: usize = 4;

/// Content of one bucket, cached. Cheap to share behind an `Arc`.
pub struct Content {
    carrier: Arc<Carrier>,
    access: Cache<ContentKey, Arc<Mutex<Access>>>,
    /// What is kept offline: asked before the cache.
    kept: Arc<Kept>,
    demand: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// How one content is being read.
struct Access {
    pattern: Pattern,
    gathering: Option<Gathering>,
}

/// A content as one read names it.
struct Subject {
    key: ContentKey,
    hash: Arc<str>,
    file_size: u64,
}

/// Where the blocks of a read are found, in one look.
#[derive(Default)]
struct Found {
    here: Vec<(u32, Bytes)>,
    on_disk: Vec<(u32, store::Place)>,
    /// Under way, and whether by a fetch of somebody else.
    awaited: Vec<(u32, Arc<Flight>, bool)>,
}

impl Content {
    /// Opens the cache in `dir`, which belongs to it alone and holds at most `limit_bytes`; what an earlier
    /// run cached there is served again. What is kept offline lies in `kept`. Missing content comes from `source`.
    pub async fn open(
        dir: &Path,
        kept: &Path,
        limit_bytes: u64,
        source: Arc<dyn Source>,
    ) -> Result<Content, crate::Error> {
        let (place, kept_place) = (dir.to_owned(), kept.to_owned());
        let opening = tokio::task::spawn_blocking(move || {
            let failed = |error| crate::Error::disk("opening what is kept offline", &error);
            Ok::<_, crate::Error>((
                Store::open(&place, limit_bytes)?,
                Kept::open(&kept_place).map_err(failed)?,
            ))
        });
        let (store, kept) = opening.await.map_err(|_| {
            crate::Error::new(crate::ErrorKind::LocalDisk, "Opening the read cache failed unexpectedly.")
        })??;
        let carrier = Carrier {
            source,
            store,
            flights: Arc::default(),
            memory: Arc::new(Semaphore::new(MEMORY)),
            tally: Arc::new(Tally::new()),
        };
        Ok(Content {
            carrier: Arc::new(carrier),
            access: Cache::new(PATTERNS),
            kept: Arc::new(kept),
            demand: Arc::new(Semaphore::new(DEMAND_FETCHES)),
            ahead: Arc::new(Semaphore::new(AHEAD_FETCHES)),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
        })
    }

    /// The bytes `range`, which lies in `0..file_size`, of the content the Hub calls `hash`: never wrong
    /// ones, an error otherwise. Dropping the future doesn't end a fetch it began.
    ///
    /// Waits as long as the Hub takes (each fetch has its own deadline of a minute without data); a caller
    /// with less patience drops the future and asks again later: the bytes will have been kept.
    pub async fn read(&self, hash: &str, file_size: u64, range: Range<u64>) -> Result<Vec<Bytes>, HubError> {
        if range.start > range.end || range.end > file_size || file_size > LONGEST_FILE {
            return Err(HubError::broken(format!(
                "Bytes {}..{} were asked of a file that has {file_size}.",
                range.start, range.end
            )));
        }
        let Some(key) = ContentKey::parse(hash) else {
            return Err(HubError::broken(format!(
                "The Hub named a file's content `{hash}`, which is no Xet hash."
            )));
        };
        if let Some(bytes) = self.kept.read(key, file_size, range.clone()).await {
            return Ok(vec![bytes]);
        }
        let subject = Subject { key, hash: hash.into(), file_size };
        let blocks = blocks_of(&range);
        let bytes = self.blocks(&subject, &range, blocks.clone()).await?;
        Ok(blocks.zip(bytes).map(|(index, bytes)| part_in(index, &bytes, &range)).collect())
    }

    /// What was done since the start.
    pub fn stats(&self) -> ContentStats {
        let store = &self.carrier.store;
        ContentStats {
            bytes_on_disk: store.bytes_on_disk(),
            limit: store.limit(),
            damaged: store.damaged() + self.kept.damaged(),
            not_kept: store.not_kept(),
            kept_offline: self.kept.bytes(),
            downloaded_to_keep: self.kept.downloaded(),
            ..self.carrier.tally.snapshot()
        }
    }

    /// Gives up the least recently used content until about `bytes` of disk are free; answers how many.
    pub async fn free(&self, bytes: u64) -> u64 {
        self.carrier.store.free(bytes).await
    }

    /// Ends every fetch and stores what has arrived. Reads after it fail unless what they want is cached.
    pub async fn close(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.carrier.store.close().await;
    }

    /// The blocks of `blocks`, whole, in order.
    async fn blocks(
        &self,
        subject: &Subject,
        range: &Range<u64>,
        blocks: Range<u32>,
    ) -> Result<Vec<Bytes>, HubError> {
        let gathered = self.gather(subject, range, &blocks).await;
        let mut ahead = if gathered.is_none() { self.ahead_of(subject, range) } else { 0..0 };
        let mut own = gathered.unwrap_or_default();
        let mut have: Vec<Option<Bytes>> = vec![None; blocks.len()];
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let lacks = |index: &u32| have[(index - blocks.start) as usize].is_none();
            let own: Vec<(u32, Arc<Flight>)> = std::mem::take(&mut own);
            let is_own = |index: &u32| own.binary_search_by_key(index, |(own, _)| *own).is_ok();
            let missing: Vec<u32> = blocks.clone().filter(|index| lacks(index) && !is_own(index)).collect();
            if missing.is_empty() && own.is_empty() {
                return Ok(have.into_iter().flatten().collect());
            }
            let mut found = self.find(subject, &missing, std::mem::take(&mut ahead)).await;
            self.carrier.tally.looked_for(0, own.len());
            found.awaited.extend(own.into_iter().map(|(index, flight)| (index, flight, false)));
            let (loaded, landed) =
                join(self.load(subject, found.on_disk), self.await_flights(found.awaited)).await;
            for (index, bytes) in found.here.into_iter().chain(loaded).chain(landed.landed) {
                have[(index - blocks.start) as usize] = Some(bytes);
            }
            match landed.failed {
                Some((error, false)) => return Err(error),
                Some((error, true)) => failure = Some(error),
                None => {}
            }
        }
        if have.iter().all(Option::is_some) {
            return Ok(have.into_iter().flatten().collect());
        }
        Err(failure
            .unwrap_or_else(|| HubError::broken("The read cache lost blocks as often as they were fetched.")))
    }

    /// The blocks to fetch ahead of this read.
    fn ahead_of(&self, subject: &Subject, range: &Range<u64>) -> Range<u32> {
        if range.is_empty() {
            return 0..0;
        }
        let access = self.access(&subject.key);
        let ahead = access.lock().pattern.note(range, subject.file_size, self.largest_window());
        blocks_of(&ahead)
    }

    /// What may be fetched ahead of one stream: what the line brings in a second, as far as the cache
    /// holds it until it is read.
    fn largest_window(&self) -> u64 {
        let store = &self.carrier.store;
        let room = if store.is_keeping() { store.limit() / 8 } else { HOMELESS_BYTES / 4 };
        self.carrier.tally.pace.rate().clamp(1 << 20, LARGEST_WINDOW).min(room)
    }

    fn access(&self, key: &ContentKey) -> Arc<Mutex<Access>> {
        if let Some(access) = self.access.get(key) {
            return access;
        }
        let fresh = Arc::new(Mutex::new(Access { pattern: Pattern::new(), gathering: None }));
        self.access.insert(*key, fresh.clone());
        fresh
    }

    /// Finds each of `missing` (rising) and begins fetches for those that are nowhere, together
    /// with those of `ahead`.
    async fn find(&self, subject: &Subject, missing: &[u32], ahead: Range<u32>) -> Found {
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Found::default() };
        let demanded = *first..last + 1;
        let scope = demanded.start..demanded.end.max(ahead.end);
        let known = self.known(subject, scope.clone()).await;
        let ahead = ahead.start.max(demanded.end)..ahead.end;
        let (found, errands) = self.carrier.flights.with(|table| {
            // Under the table's lock the newest knowledge counts: a flight leaves the table only after its
            // block's place is published.
            let known = self.carrier.store.recall(&subject.key, &scope).unwrap_or(known);
            let look = Look { content: subject.key, table, known };
            let (mut found, mut absent) = look.at(missing);
            let demand = absent.last().map_or(0, |last| last + 1);
            absent.extend(ahead.filter(|index| look.is_absent(*index)));
            let errands = self.errands(subject, table, &absent, demand);
            for errand in &errands {
                let waited_for = errand.delivery.flights().take_while(|(id, _)| id.index < demand);
                found.awaited.extend(waited_for.map(|(id, flight)| (id.index, flight.clone(), false)));
            }
            (found, errands)
        });
        let hits = found.here.len() + found.on_disk.len();
        self.carrier.tally.looked_for(hits, found.awaited.len());
        self.send_all(errands);
        found
    }

    /// Fetches for the blocks `absent`, of which those below `demand` are waited for. Those ahead come along with them,
    /// and are left out when no fetch ahead is free.
    fn errands(&self, subject: &Subject, table: &mut Table, absent: &[u32], demand: u32) -> Vec<Errand> {
        let mut errands = Vec::new();
        let longest = self.longest_fetch();
        for mut run in runs_of(absent, longest) {
            let turn = (run.start < demand).then(|| self.demand.clone());
            let spare = if run.end > demand { self.ahead.clone().try_acquire_owned().ok() } else { None };
            if run.end > demand && spare.is_none() {
                // What lies ahead is left out.
                run.end = demand.max(run.start);
                self.access(&subject.key).lock().pattern.pull_back(u64::from(run.end) * BLOCK);
            }
            if run.is_empty() {
                break;
            }
            let ids = run.clone().map(|index| BlockId { content: subject.key, index });
            let delivery = table.depart(&self.carrier.flights, ids);
            let (hash, file_size) = (subject.hash.clone(), subject.file_size);
            errands.push(Errand { hash, file_size, blocks: run, demand, turn, spare, delivery });
        }
        errands
    }

    /// Blocks of one request: what the line brings in half a second, so that a reader who wants its end doesn't wait
    /// for long.
    fn longest_fetch(&self) -> usize {
        let blocks = self.carrier.tally.pace.rate() / 2 / BLOCK;
        blocks.clamp(MIN_FETCH_BLOCKS, MAX_FETCH_BLOCKS) as usize
    }

    async fn known(&self, subject: &Subject, blocks: Range<u32>) -> Known {
        match self.carrier.store.recall(&subject.key, &blocks) {
            Some(known) => known,
            None => self.carrier.store.look_up(subject.key, blocks).await,
        }
    }

    fn send_all(&self, errands: Vec<Errand>) {
        for errand in errands {
            let (carrier, end) = (self.carrier.clone(), self.end.clone());
            self.tasks.spawn(async move {
                // A cancelled errand lands its blocks as cancelled when it is dropped.
                end.run_until_cancelled(carrier.carry(errand)).await;
            });
        }
    }

    async fn load(&self, subject: &Subject, places: Vec<(u32, store::Place)>) -> Vec<(u32, Bytes)> {
        if places.is_empty() {
            return Vec::new();
        }
        let loaded = self.carrier.store.read(subject.key, places).await;
        loaded.into_iter().filter_map(|(index, bytes)| Some((index, bytes?))).collect()
    }

    async fn await_flights(&self, awaited: Vec<(u32, Arc<Flight>, bool)>) -> Landed {
        let mut landed = Landed::default();
        for (index, flight, joined) in awaited {
            match flight.wait().await {
                Ok(bytes) => landed.landed.push((index, bytes)),
                Err(error) => {
                    // Our own failure is final; somebody else's (a fetch ahead, a closed reader) is not.
                    let may_retry = joined && error.class != ErrorClass::NotFound;
                    landed.failed = Some((error, may_retry));
                    break;
                }
            }
        }
        landed
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

#[derive(Default)]
struct Landed {
    landed: Vec<(u32, Bytes)>,
    /// Why some didn't land, and whether this read may try by itself.
    failed: Option<(HubError, bool)>,
}

/// One look at the blocks of a content while the table of flights is locked.
struct Look<'a> {
    content: ContentKey,
    table: &'a Table,
    known: Known,
}

impl Look<'_> {
    /// Where the blocks `wanted` are, and those that are nowhere.
    fn at(&self, wanted: &[u32]) -> (Found, Vec<u32>) {
        let mut found = Found::default();
        let mut absent = Vec::new();
        for index in wanted {
            let id = BlockId { content: self.content, index: *index };
            if let Some(flight) = self.table.flight(&id) {
                match flight.bytes() {
                    Some(bytes) => found.here.push((*index, bytes)),
                    None => found.awaited.push((*index, flight.clone(), true)),
                }
            } else if let Some(place) = self.known.place(*index) {
                found.on_disk.push((*index, place));
            } else if let Some(bytes) = self.table.homeless(&id) {
                found.here.push((*index, bytes));
            } else {
                absent.push(*index);
            }
        }
        (found, absent)
    }

    fn is_absent(&self, index: u32) -> bool {
        let id = BlockId { content: self.content, index };
        self.table.flight(&id).is_none()
            && self.known.place(index).is_none()
            && self.table.homeless(&id).is_none()
    }
}

/// The requests for the blocks `absent`: stretches of consecutive numbers, each at most `longest` long.
fn runs_of(absent: &[u32], longest: usize) -> Vec<Range<u32>> {
    let stretches = absent.chunk_by(|before, after| before + 1 == *after);
    let requests = stretches.flat_map(|stretch| in_parts(stretch, longest));
    requests.map(|request| request[0]..request[request.len() - 1] + 1).collect()
}

/// `run` in parts of about one length, none longer than `longest`.
fn in_parts(run: &[u32], longest: usize) -> impl Iterator<Item = &[u32]> {
    run.chunks(run.len().div_ceil(run.len().div_ceil(longest).max(1)).max(1))
}
