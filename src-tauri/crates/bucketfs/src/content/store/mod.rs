//! The disk half of the cache: blocks of any content, checksummed, within a limit, kept over restarts.
//!
//! Data lies in append-only segment files, their index in SQLite. The order "data, then row" and a
//! checksum over bytes and identity make a crash at any moment harmless: what is there is right, what is
//! not right is fetched again. Nothing here fails a read: a block that can't be stored just isn't.

mod index;
mod segments;
mod writer;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{mpsc, oneshot};

use self::index::Index;
pub use self::index::Place;
use self::segments::Segments;
use self::writer::Command;
pub use self::writer::{Keep, Stored};
use super::block::{BLOCK, BlockId, ContentKey};
use crate::{Error, ErrorKind};

/// Blocks whose places are kept in memory together: 64 MiB of a content.
const PAGE_BLOCKS: u32 = 1024;

/// Places kept in memory, over all pages: about 10 MiB.
const PLACES_IN_MEMORY: u64 = 256 * 1024;

/// A read of so many blocks takes less time than handing it to another thread and back, where the system has them in
/// memory.
const AT_ONCE: usize = 2;

/// Stretches of segments that were read lately, so that the system very likely still has them in memory: 4 GiB.
const WARM: usize = 4096;
const WARM_STRETCH: u32 = 1 << 20;

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
}

struct Shared {
    index: Mutex<Index>,
    segments: Segments,
    pages: Cache<PageKey, Arc<Page>, PageWeight>,
    /// Segment and stretch of it.
    warm: Cache<(u32, u32), ()>,
    /// Segment bytes may not exceed this.
    room: u64,
    limit: u64,
    dir: PathBuf,
    damaged: AtomicU64,
    not_kept: AtomicU64,
    keeping: AtomicBool,
    /// The index was found damaged: the writer begins a new one.
    index_damaged: AtomicBool,
}

type PageKey = (ContentKey, u32);

/// The places of the blocks of one page that are on disk, by number.
pub struct Page(Box<[(u32, Place)]>);

impl Page {
    fn place(&self, index: u32) -> Option<Place> {
        let at = self.0.binary_search_by_key(&index, |(number, _)| *number).ok()?;
        Some(self.0[at].1)
    }
}

#[derive(Clone)]
struct PageWeight;

impl Weighter<PageKey, Arc<Page>> for PageWeight {
    fn weight(&self, _: &PageKey, page: &Arc<Page>) -> u64 {
        8 + page.0.len() as u64
    }
}

/// What the store knows about some blocks of one content.
pub struct Known {
    first_page: u32,
    pages: Vec<Arc<Page>>,
}

impl Known {
    /// Where the block is on disk, if it is.
    pub fn place(&self, index: u32) -> Option<Place> {
        let page = (index / PAGE_BLOCKS).checked_sub(self.first_page)?;
        self.pages.get(page as usize)?.place(index)
    }
}

/// A block read from disk, or none when what is there is not the block any more.
pub type Loaded = (u32, Option<Bytes>);

impl Store {
    /// Opens the store in `dir`, which belongs to it alone, with at most `limit` bytes on disk. One that is
    /// damaged or of another version is emptied. Blocks on the disk.
    pub fn open(dir: &Path, limit: u64) -> Result<Store, Error> {
        let failed = |error: io::Error| Error::disk("opening the read cache", &error);
        fs::create_dir_all(dir).map_err(failed)?;
        let (index, segments) = match open_parts(dir) {
            Ok(parts) => parts,
            Err(cause) => {
                tracing::warn!(%cause, "the read cache is damaged and begins empty");
                empty(dir).map_err(failed)?;
                open_parts(dir).map_err(|cause| {
                    Error::new(ErrorKind::LocalDisk, format!("The read cache can't be opened: {cause}."))
                        .advise("Check the disk that holds BucketBar's state.")
                })?
            }
        };
        let shared = Arc::new(Shared {
            index: Mutex::new(index),
            segments,
            warm: Cache::new(WARM),
            pages: Cache::with_weighter(8 * 1024, PLACES_IN_MEMORY, PageWeight),
            room: room_for_segments(limit),
            limit,
            dir: dir.to_owned(),
            damaged: AtomicU64::new(0),
            not_kept: AtomicU64::new(0),
            keeping: AtomicBool::new(limit > 0),
            index_damaged: AtomicBool::new(false),
        });
        let commands = writer::start(shared.clone()).map_err(failed)?;
        Ok(Store { shared, commands })
    }

    /// What memory knows about `blocks` of `content`; none when the index has to be asked (`look_up`).
    pub fn recall(&self, content: &ContentKey, blocks: &Range<u32>) -> Option<Known> {
        let numbers = pages_of(blocks);
        let first_page = numbers.start;
        let pages =
            numbers.map(|number| self.shared.pages.get(&(*content, number))).collect::<Option<_>>()?;
        Some(Known { first_page, pages })
    }

    /// What the index knows about `blocks` of `content`. An index that can't be read knows nothing.
    pub async fn look_up(&self, content: ContentKey, blocks: Range<u32>) -> Known {
        let shared = self.shared.clone();
        let numbers = pages_of(&blocks);
        let first_page = numbers.start;
        let pages = tokio::task::spawn_blocking(move || {
            numbers.map(|number| shared.load_page((content, number))).collect()
        });
        Known { first_page, pages: pages.await.unwrap_or_default() }
    }

    /// Reads blocks of one content, given by rising number, off the runtime's threads unless they are few and were read
    /// lately. One that fails its checksum comes back as none and is forgotten.
    pub async fn read(&self, content: ContentKey, blocks: Vec<(u32, Place)>) -> Vec<Loaded> {
        let stretch = |place: &Place| (place.segment, place.offset / WARM_STRETCH);
        if blocks.len() <= AT_ONCE
            && blocks.iter().all(|(_, place)| self.shared.warm.get(&stretch(place)).is_some())
        {
            return self.read_now(content, &blocks);
        }
        let stretches: Vec<(u32, u32)> = blocks.iter().map(|(_, place)| stretch(place)).collect();
        let numbers: Vec<u32> = blocks.iter().map(|(number, _)| *number).collect();
        let store = self.clone();
        let loaded = tokio::task::spawn_blocking(move || store.read_now(content, &blocks));
        match loaded.await {
            Ok(loaded) => {
                for stretch in stretches.chunk_by(PartialEq::eq) {
                    self.shared.warm.insert(stretch[0], ());
                }
                loaded
            }
            Err(_) => numbers.into_iter().map(|number| (number, None)).collect(),
        }
    }

    fn read_now(&self, content: ContentKey, blocks: &[(u32, Place)]) -> Vec<Loaded> {
        let mut loaded = Vec::with_capacity(blocks.len());
        for run in adjacent_runs(blocks) {
            let start = run[0].1;
            let len: usize = run.iter().map(|(_, place)| place.len as usize).sum();
            let (bytes, evicted) =
                match self.shared.segments.read(start.segment, u64::from(start.offset), len) {
                    Ok(bytes) => (Some(bytes), false),
                    Err(error) => (None, error.kind() == io::ErrorKind::NotFound),
                };
            for (number, place) in run {
                let id = BlockId { content, index: *number };
                let from = (place.offset - start.offset) as usize;
                let block = bytes.as_ref().and_then(|bytes| checked(&id, place, bytes, from));
                if block.is_none() {
                    self.shared.damaged.fetch_add(u64::from(!evicted), Ordering::Relaxed);
                    self.shared.forget(&id, place);
                }
                loaded.push((*number, block));
            }
        }
        loaded
    }

    /// Stores a block in the background; `keep.stored` is told when it is on disk or given up.
    pub fn keep(&self, keep: Keep) {
        if let Err(mpsc::error::SendError(Command::Keep(keep))) = self.commands.send(Command::Keep(keep)) {
            keep.stored.stored(&[(keep.id, false)]);
        }
    }

    /// Removes the least recently used content until about `bytes` are free; answers how many it freed.
    pub async fn free(&self, bytes: u64) -> u64 {
        let (answer, freed) = oneshot::channel();
        let _ = self.commands.send(Command::Free { bytes, answer });
        freed.await.unwrap_or(0)
    }

    /// Bytes of content on disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.shared.segments.total()
    }

    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    /// Blocks that failed their checksum since the start.
    pub fn damaged(&self) -> u64 {
        self.shared.damaged.load(Ordering::Relaxed)
    }

    /// Whether the last blocks handed over could be stored.
    pub fn is_keeping(&self) -> bool {
        self.shared.keeping.load(Ordering::Relaxed)
    }

    /// Blocks that could not be stored since the start.
    pub fn not_kept(&self) -> u64 {
        self.shared.not_kept.load(Ordering::Relaxed)
    }

    /// The disk takes nothing, as one that hangs, until the sender is dropped.
    #[cfg(test)]
    pub fn stop_disk(&self) -> std::sync::mpsc::Sender<()> {
        let (guard, until) = std::sync::mpsc::channel();
        let _ = self.commands.send(Command::Halt { until });
        guard
    }

    /// Stores what was handed over before and ends the writer. Later blocks are not stored.
    pub async fn close(&self) {
        let (answer, done) = oneshot::channel();
        let _ = self.commands.send(Command::Close { answer });
        let _ = done.await;
    }
}

impl Shared {
    /// The page from memory or the index. Reading the index and publishing the page happen under the
    /// index's lock, as the writer's changes do: a page in memory is never older than the index.
    fn load_page(&self, key: PageKey) -> Arc<Page> {
        let index = self.index.lock();
        if let Some(page) = self.pages.get(&key) {
            return page;
        }
        let from = key.1 * PAGE_BLOCKS;
        let places = index.places(&key.0, from, u64::from(from) + u64::from(PAGE_BLOCKS));
        let places = places.unwrap_or_else(|error| {
            tracing::warn!(%error, "the read cache's index can't be read");
            self.suspect(&error);
            Vec::new()
        });
        let page = Arc::new(Page(places.into_boxed_slice()));
        self.pages.insert(key, page.clone());
        page
    }

    /// Brings the page in memory, if it is there, up to `changes` (a place, or none for a forgotten block).
    /// The index's lock is held.
    fn amend_page(&self, key: PageKey, changes: &[(u32, Option<Place>)]) {
        let Some(page) = self.pages.peek(&key) else { return };
        let mut places = page.0.to_vec();
        for (number, place) in changes {
            match (places.binary_search_by_key(number, |(known, _)| *known), place) {
                (Ok(at), Some(place)) => places[at].1 = *place,
                (Ok(at), None) => drop(places.remove(at)),
                (Err(at), Some(place)) => places.insert(at, (*number, *place)),
                (Err(_), None) => {}
            }
        }
        self.pages.insert(key, Arc::new(Page(places.into_boxed_slice())));
    }

    fn suspect(&self, error: &rusqlite::Error) {
        if index::is_damage(error) {
            self.index_damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Begins anew, empty. What is being read meanwhile is right or found wrong by its checksum.
    fn start_over(&self) -> Result<(), rusqlite::Error> {
        let mut index = self.index.lock();
        // Closed before its files go: closing removes the log by name.
        *index = Index::nowhere()?;
        self.segments.remove_all();
        if let Err(error) = empty(&self.dir) {
            tracing::warn!(%error, "the damaged read cache can't be removed");
        }
        *index = Index::open(&self.dir.join("index.db"))?;
        self.pages.clear();
        self.index_damaged.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn forget(&self, id: &BlockId, place: &Place) {
        let index = self.index.lock();
        if let Err(error) = index.forget(id, place) {
            tracing::debug!(%error, "a damaged block stays in the index");
        }
        let key = (id.content, id.index / PAGE_BLOCKS);
        if self.pages.peek(&key).and_then(|page| page.place(id.index)) == Some(*place) {
            self.amend_page(key, &[(id.index, None)]);
        }
    }
}

fn checked(id: &BlockId, place: &Place, run: &Bytes, from: usize) -> Option<Bytes> {
    let block = run.slice(from..from + place.len as usize);
    (id.checksum(&block) == place.checksum).then_some(block)
}

/// Splits `blocks` where one doesn't follow the one before in its segment.
fn adjacent_runs(blocks: &[(u32, Place)]) -> impl Iterator<Item = &[(u32, Place)]> {
    blocks.chunk_by(|(_, before), (_, after)| {
        before.segment == after.segment && before.offset + before.len == after.offset
    })
}

fn pages_of(blocks: &Range<u32>) -> Range<u32> {
    if blocks.is_empty() {
        return 0..0;
    }
    blocks.start / PAGE_BLOCKS..(blocks.end - 1) / PAGE_BLOCKS + 1
}

/// What is left of `limit` for data when the index has its part (rows of small files weigh most).
fn room_for_segments(limit: u64) -> u64 {
    limit.saturating_sub(limit / 32)
}

fn segment_size(room: u64) -> u64 {
    (room / 16).clamp(4 * BLOCK, 64 << 20)
}

fn open_parts(dir: &Path) -> Result<(Index, Segments), Box<dyn std::error::Error>> {
    let mut index = Index::open(&dir.join("index.db"))?;
    let (segments, missing) = Segments::open(dir.join("segments"), &index.segments()?)?;
    for id in missing {
        index.remove_segment(id)?;
    }
    Ok((index, segments))
}

/// Removes everything a store keeps in `dir`.
fn empty(dir: &Path) -> io::Result<()> {
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        gone(fs::remove_file(dir.join(name)))?;
    }
    gone(fs::remove_dir_all(dir.join("segments")))?;
    fs::create_dir_all(dir.join("segments"))
}

/// The result of a removal, content with what is not there.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
