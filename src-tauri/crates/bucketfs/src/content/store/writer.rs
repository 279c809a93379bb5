//! The one thread that changes the store: appends blocks, records them, evicts, and tells when done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::index::Place;
use super::{PAGE_BLOCKS, Shared, segment_size};
use crate::content::block::{BLOCK, BlockId};

/// Bytes written and recorded in one go, if a segment holds as many.
const BATCH: u64 = 4 << 20;

/// Hears what became of blocks handed to the store.
pub trait Stored: Send + Sync + 'static {
    /// Each block and whether it is on disk now.
    fn stored(&self, blocks: &[(BlockId, bool)]);
}

/// A block to store.
pub struct Keep {
    pub id: BlockId,
    pub bytes: Bytes,
    pub stored: Arc<dyn Stored>,
    /// Its room in memory, given back when it is on disk or given up.
    pub _room: OwnedSemaphorePermit,
}

pub enum Command {
    Keep(Keep),
    Free {
        bytes: u64,
        answer: oneshot::Sender<u64>,
    },
    Close {
        answer: oneshot::Sender<()>,
    },
    #[cfg(test)]
    Halt {
        until: std::sync::mpsc::Receiver<()>,
    },
}

/// Starts the thread. It ends after `Close` or when nobody can send any more.
pub fn start(shared: Arc<Shared>) -> io::Result<UnboundedSender<Command>> {
    // Unbounded, but every block in it holds its share of the memory semaphore.
    let (commands, inbox) = mpsc::unbounded_channel();
    let mut writer = Writer { segment_size: segment_size(shared.room), shared, complained: false };
    writer.respect_limit();
    thread::Builder::new().name("read-cache".into()).spawn(move || writer.run(inbox))?;
    Ok(commands)
}

struct Writer {
    shared: Arc<Shared>,
    segment_size: u64,
    complained: bool,
}

impl Writer {
    fn run(mut self, mut inbox: UnboundedReceiver<Command>) {
        let mut batch: Vec<Keep> = Vec::new();
        let most = BATCH.min(self.segment_size) / BLOCK;
        while let Some(command) = inbox.blocking_recv() {
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    Command::Keep(keep) => batch.push(keep),
                    Command::Free { bytes, answer } => {
                        self.store(&mut batch);
                        let _ = answer.send(self.free(bytes));
                    }
                    Command::Close { answer } => {
                        self.store(&mut batch);
                        self.save_uses();
                        self.shared.index.lock().settle();
                        inbox.close();
                        let _ = answer.send(());
                    }
                    #[cfg(test)]
                    Command::Halt { until } => drop(until.recv()),
                }
                if (batch.len() as u64) < most {
                    next = inbox.try_recv().ok();
                }
            }
            self.store(&mut batch);
        }
        self.save_uses();
    }

    /// Stores the batch, or gives it up, and tells. The batch is empty then.
    fn store(&mut self, batch: &mut Vec<Keep>) {
        if batch.is_empty() {
            return;
        }
        if self.shared.index_damaged.load(Ordering::Relaxed)
            && let Err(error) = self.shared.start_over()
        {
            self.complain(&error.into());
        }
        // Neighbours lie side by side in the segment: one read brings them back.
        batch.sort_by_key(|keep| (keep.id.content.0, keep.id.index));
        let kept = match self.write(batch) {
            Ok(()) => true,
            Err(error) => {
                if let WriteError::Index(error) = &error {
                    self.shared.suspect(error);
                }
                self.complain(&error);
                self.shared.not_kept.fetch_add(batch.len() as u64, Ordering::Relaxed);
                false
            }
        };
        self.shared.keeping.store(kept, Ordering::Relaxed);
        for group in batch.chunk_by(|a, b| Arc::ptr_eq(&a.stored, &b.stored)) {
            let told: Vec<(BlockId, bool)> = group.iter().map(|keep| (keep.id, kept)).collect();
            group[0].stored.stored(&told);
        }
        batch.clear();
    }

    /// Writes and records the batch. An error leaves at most unrecorded bytes in a segment.
    fn write(&mut self, batch: &[Keep]) -> Result<(), WriteError> {
        let parts: Vec<Bytes> = batch.iter().map(|keep| keep.bytes.clone()).collect();
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let (segment, start) = match self.append(&parts, len) {
            // No room on the disk: what the cache itself can give up may make some.
            Err(WriteError::Disk(error)) if is_full(&error) && self.evict_coldest(None)? > 0 => {
                self.append(&parts, len)?
            }
            appended => appended?,
        };
        let mut at = start;
        let mut placed = Vec::with_capacity(batch.len());
        for keep in batch {
            let len = keep.bytes.len() as u32;
            let checksum = keep.id.checksum(&keep.bytes);
            placed.push((keep.id, Place { segment, offset: at as u32, len, checksum }));
            at += u64::from(len);
        }
        self.record(&placed, segment)
    }

    fn append(&mut self, parts: &[Bytes], len: u64) -> Result<(u32, u64), WriteError> {
        let segment = self.segment_with_room(len)?;
        while self.shared.segments.total() + len > self.shared.room {
            if self.evict_coldest(Some(segment))? == 0 {
                return Err(WriteError::Disk(io::ErrorKind::StorageFull.into()));
            }
        }
        Ok((segment, self.shared.segments.append(segment, parts)?))
    }

    /// The newest segment, or a fresh one when `len` more bytes would make that too large.
    fn segment_with_room(&mut self, len: u64) -> Result<u32, WriteError> {
        let segments = &self.shared.segments;
        let newest = segments.newest().and_then(|id| segments.row(id));
        if let Some(row) = newest.filter(|row| row.size + len <= self.segment_size) {
            return Ok(row.id);
        }
        let used = segments.tick();
        let id = self.shared.index.lock().add_segment(used)?;
        segments.create(id, used)?;
        Ok(id)
    }

    fn record(&mut self, placed: &[(BlockId, Place)], segment: u32) -> Result<(), WriteError> {
        let rows: Vec<_> = self.shared.segments.row(segment).into_iter().collect();
        let mut index = self.shared.index.lock();
        index.record(placed, &rows)?;
        for group in placed.chunk_by(|(a, _), (b, _)| page_key(a) == page_key(b)) {
            let changes: Vec<_> = group.iter().map(|(id, place)| (id.index, Some(*place))).collect();
            self.shared.amend_page(page_key(&group[0].0), &changes);
        }
        Ok(())
    }

    fn free(&mut self, bytes: u64) -> u64 {
        let mut freed = 0;
        while freed < bytes {
            match self.evict_coldest(None) {
                Ok(0) => break,
                Ok(more) => freed += more,
                Err(error) => {
                    self.complain(&error);
                    break;
                }
            }
        }
        freed
    }

    /// Evicts the least recently used segment but `spared`; answers the bytes freed, 0 if there is none.
    fn evict_coldest(&mut self, spared: Option<u32>) -> Result<u64, WriteError> {
        match self.shared.segments.coldest(spared) {
            Some(id) => self.evict(id),
            None => Ok(0),
        }
    }

    /// A limit lower than the last time's takes effect at once.
    fn respect_limit(&mut self) {
        let excess = self.shared.segments.total().saturating_sub(self.shared.room);
        self.free(excess);
    }

    /// Removes a segment with its rows; answers the bytes freed.
    fn evict(&mut self, id: u32) -> Result<u64, WriteError> {
        let size = self.shared.segments.row(id).map_or(0, |row| row.size);
        {
            let mut index = self.shared.index.lock();
            index.remove_segment(id)?;
            self.shared.pages.clear();
        }
        self.shared.segments.remove(id)?;
        Ok(size.max(1))
    }

    fn save_uses(&mut self) {
        let rows = self.shared.segments.rows();
        let saved = self.shared.index.lock().record(&[], &rows);
        if let Err(error) = saved {
            self.complain(&error.into());
        }
    }

    /// The first failure is told aloud, those after it to the log's readers only.
    fn complain(&mut self, error: &WriteError) {
        if self.complained {
            tracing::debug!(%error, dir = %self.shared.dir.display(), "blocks were not cached");
        } else {
            tracing::warn!(%error, dir = %self.shared.dir.display(), "blocks were not cached; reads go on without");
            self.complained = true;
        }
    }
}

fn page_key(id: &BlockId) -> super::PageKey {
    (id.content, id.index / PAGE_BLOCKS)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    Index(#[from] rusqlite::Error),
}
