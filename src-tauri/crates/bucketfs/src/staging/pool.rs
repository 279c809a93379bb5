//! Open files of staged copies, bounded in number.
//!
//! The bug this project was born from lived in such a pool: a READ put a read-only handle in, the next
//! WRITE took it, got EBADF, answered STALE, and the kernel threw its dirty buffers away. The rules here
//! (design.md promise 2):
//! * **Upgrade, then publish.** A WRITE that finds a read-only file opens a writable one of its own, writes
//!   through it, and only then puts it in the pool ([`Lease::publish`]). Nobody else can see it before.
//! * **Nobody pulls a file from under another.** Users hold an `Arc`; eviction and forgetting drop the
//!   pool's own reference and nothing else. A file is closed when its last user lets go.
//! * The writable file is never replaced by a read-only one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::epoch::Epoch;
use super::log::{self, Record};
use crate::attr::FileId;
use crate::durable::{FolderSync, replace_file, sync_data};
use crate::faults::{Faults, Part, Step};

/// Where the two files of a staged copy are.
#[derive(Debug, Clone)]
pub struct Paths {
    pub data: PathBuf,
    pub log: PathBuf,
}

/// The data file open for reading only.
pub struct ReadOnly {
    pub data: File,
}

/// Data for reading and writing, the log for appending. The one place that writes and syncs staged copies.
pub struct Writable {
    id: FileId,
    faults: Faults,
    pub data: File,
    log: File,
}

impl Writable {
    /// On return the bytes are in the page cache.
    pub fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.faults.check(Step::Write, Part::Data, self.id)?;
        self.data.write_all_at(bytes, offset)
    }

    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.faults.check(Step::Write, Part::Data, self.id)?;
        self.data.set_len(size)
    }

    /// On return the records are in the page cache, whole. On error none is: a torn one would hide every record
    /// after it. Callers take turns.
    pub fn append(&self, records: &[Record]) -> io::Result<()> {
        self.faults.check(Step::Write, Part::Log, self.id)?;
        let end = self.log.metadata()?.len();
        log::append(&self.log, records).inspect_err(|_| {
            if let Err(error) = self.log.set_len(end) {
                tracing::error!(file = %self.id, %error, "a torn record was left in a sidecar");
            }
        })
    }

    /// Length of the log in bytes.
    pub fn log_len(&self) -> io::Result<u64> {
        Ok(self.log.metadata()?.len())
    }

    /// On return every byte written before is on stable storage.
    pub fn sync_data(&self) -> io::Result<()> {
        self.faults.check(Step::Sync, Part::Data, self.id)?;
        sync_data(&self.data)
    }

    /// On return every record appended before is on stable storage.
    pub fn sync_log(&self) -> io::Result<()> {
        self.faults.check(Step::Sync, Part::Log, self.id)?;
        sync_data(&self.log)
    }
}

/// Any open data file that can be read.
#[derive(Clone)]
pub enum Readable {
    ReadOnly(Arc<ReadOnly>),
    Writable(Arc<Writable>),
}

impl Readable {
    pub fn data(&self) -> &File {
        match self {
            Readable::ReadOnly(file) => &file.data,
            Readable::Writable(file) => &file.data,
        }
    }

    fn is_writable(&self) -> bool {
        matches!(self, Readable::Writable(_))
    }
}

struct Slot {
    file: Readable,
    used: u64,
}

#[derive(Default)]
struct Slots {
    open: HashMap<FileId, Slot>,
    clock: u64,
}

/// The pool; cheap to ask, one short lock, no I/O under it.
pub struct FilePool {
    slots: Mutex<Slots>,
    capacity: usize,
    faults: Faults,
    pub epoch: Epoch,
    /// Of the folder that holds all copies.
    pub folder: FolderSync,
}

/// A writable file for one WRITE. Not in the pool before [`Lease::publish`] unless it came from there.
pub struct Lease<'a> {
    pool: &'a FilePool,
    id: FileId,
    pub file: Arc<Writable>,
    pooled: bool,
}

impl FilePool {
    /// `capacity` counts slots; a writable slot has two descriptors.
    pub fn new(capacity: usize, faults: Faults, epoch: Epoch) -> Self {
        let (slots, capacity) = (Mutex::default(), capacity.max(1));
        FilePool { slots, capacity, faults, epoch, folder: FolderSync::default() }
    }

    /// Copies that are open now.
    pub fn open(&self) -> usize {
        self.slots.lock().open.len()
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Puts a copy just made on the disk and into the pool: `head` is what its log begins with. On error neither
    /// file is there.
    pub fn create(&self, id: FileId, paths: &Paths, size: u64, head: &[Record]) -> io::Result<()> {
        match self.create_files(id, paths, size, head) {
            Ok(file) => {
                self.insert(id, Readable::Writable(Arc::new(file)));
                Ok(())
            }
            Err(error) => {
                let _ = std::fs::remove_file(&paths.data);
                let _ = std::fs::remove_file(&paths.log);
                Err(error)
            }
        }
    }

    fn create_files(&self, id: FileId, paths: &Paths, size: u64, head: &[Record]) -> io::Result<Writable> {
        self.faults.check(Step::Write, Part::Data, id)?;
        let mut new = OpenOptions::new();
        let data = new.read(true).write(true).create(true).truncate(true).mode(0o600).open(&paths.data)?;
        if size > 0 {
            data.set_len(size)?;
        }
        self.faults.check(Step::Write, Part::Log, id)?;
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&paths.log)?;
        if log.metadata()?.len() > 0 {
            log.set_len(0)?; // of a copy that an earlier life gave up halfway
        }
        log::begin(&log, head)?;
        Ok(Writable { id, faults: self.faults.clone(), data, log })
    }

    /// Puts a log of these records in the place of the old one. On return it is there, with its name, on stable
    /// storage; on error the old one is. Nobody else may have the copy open for writing.
    pub fn replace_log(&self, id: FileId, paths: &Paths, records: &[Record]) -> io::Result<()> {
        self.faults.check(Step::Write, Part::Log, id)?;
        self.faults.check(Step::Sync, Part::Log, id)?;
        replace_file(&paths.log, &log::encoded(log::MAGIC.to_vec(), records))?;
        self.forget(id); // who opens it next appends to the new one
        Ok(())
    }

    /// An open file to read from: whatever the pool has, else a read-only one.
    pub fn for_read(&self, id: FileId, paths: &Paths) -> io::Result<Readable> {
        self.faults.check(Step::Read, Part::Data, id)?;
        if let Some(file) = self.slots.lock().used(id) {
            return Ok(file);
        }
        let opened = Readable::ReadOnly(Arc::new(ReadOnly { data: File::open(&paths.data)? }));
        Ok(self.insert(id, opened))
    }

    /// An open file to write through. A read-only file in the pool is left to its readers.
    pub fn for_write(&self, id: FileId, paths: &Paths) -> io::Result<Lease<'_>> {
        if let Some(Readable::Writable(file)) = self.slots.lock().used(id) {
            return Ok(Lease { pool: self, id, file, pooled: true });
        }
        let data = OpenOptions::new().read(true).write(true).open(&paths.data)?;
        let log = OpenOptions::new().append(true).open(&paths.log)?;
        let file = Arc::new(Writable { id, faults: self.faults.clone(), data, log });
        Ok(Lease { pool: self, id, file, pooled: false })
    }

    /// Drops the pool's reference: the names or contents behind the paths are about to change.
    pub fn forget(&self, id: FileId) {
        let forgotten = self.slots.lock().open.remove(&id);
        drop(forgotten); // closed outside the lock, if ours was the last reference
    }

    /// Publishes; a writable file that somebody else published meanwhile stays, both lead to the same inode.
    fn insert(&self, id: FileId, file: Readable) -> Readable {
        let mut slots = self.slots.lock();
        slots.clock += 1;
        let used = slots.clock;
        let mut dropped = Vec::new();
        let kept = match slots.open.get_mut(&id) {
            Some(slot) if slot.file.is_writable() || !file.is_writable() => {
                slot.used = used;
                dropped.push(file);
                slot.file.clone()
            }
            Some(slot) => {
                slot.used = used;
                dropped.push(std::mem::replace(&mut slot.file, file.clone()));
                file
            }
            None => {
                slots.open.insert(id, Slot { file: file.clone(), used });
                file
            }
        };
        if slots.open.len() > self.capacity {
            // Several at once: to find the oldest, all are looked at.
            let mut ages: Vec<u64> =
                slots.open.iter().filter(|(other, _)| **other != id).map(|(_, slot)| slot.used).collect();
            let surplus = slots.open.len() - self.capacity + self.capacity / 8;
            ages.sort_unstable();
            if let Some(youngest) = ages.get(surplus.min(ages.len()).saturating_sub(1)).copied() {
                let old = slots.open.extract_if(|other, slot| *other != id && slot.used <= youngest);
                dropped.extend(old.map(|(_, slot)| slot.file));
            }
        }
        drop(slots);
        drop(dropped); // close(2) outside the lock
        kept
    }
}

impl Slots {
    fn used(&mut self, id: FileId) -> Option<Readable> {
        self.clock += 1;
        let clock = self.clock;
        let slot = self.open.get_mut(&id)?;
        slot.used = clock;
        Some(slot.file.clone())
    }
}

impl Lease<'_> {
    /// The write succeeded: others may use this file from now on.
    pub fn publish(self) {
        if !self.pooled {
            self.pool.insert(self.id, Readable::Writable(self.file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn staged(dir: &std::path::Path, content: &[u8]) -> Paths {
        let paths = Paths { data: dir.join("data"), log: dir.join("log") };
        std::fs::write(&paths.data, content).unwrap();
        std::fs::write(&paths.log, b"").unwrap();
        paths
    }

    const ID: FileId = FileId(9);

    #[test]
    fn read_then_write_upgrades_the_handle_instead_of_answering_stale() {
        let dir = tempfile::tempdir().unwrap();
        let paths = staged(dir.path(), b"remote bytes");
        let pool = FilePool::new(4, Faults::default(), Epoch::open().unwrap());
        let read = pool.for_read(ID, &paths).unwrap();
        assert!(!read.is_writable(), "a READ alone opens read-only");
        let lease = pool.for_write(ID, &paths).unwrap();
        lease.file.data.write_all_at(b"LOCAL", 0).expect("the WRITE after a READ is accepted");
        assert!(!pool.for_read(ID, &paths).unwrap().is_writable(), "unpublished: nobody else sees it yet");
        lease.publish();
        assert!(pool.for_read(ID, &paths).unwrap().is_writable());
        let mut old = [0u8; 5];
        read.data().read_exact_at(&mut old, 0).expect("the reader's file was not pulled away");
        assert_eq!(&old, b"LOCAL");
    }

    #[test]
    fn a_second_write_reuses_the_writable_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = staged(dir.path(), b"");
        let pool = FilePool::new(4, Faults::default(), Epoch::open().unwrap());
        let first = pool.for_write(ID, &paths).unwrap();
        let file = first.file.clone();
        first.publish();
        let second = pool.for_write(ID, &paths).unwrap();
        assert!(Arc::ptr_eq(&file, &second.file));
        drop(pool.for_read(ID, &paths).unwrap());
        assert!(
            Arc::ptr_eq(&file, &pool.for_write(ID, &paths).unwrap().file),
            "a READ does not downgrade it"
        );
    }

    #[test]
    fn a_write_without_a_prior_read_opens_writable_directly() {
        let dir = tempfile::tempdir().unwrap();
        let paths = staged(dir.path(), b"");
        let pool = FilePool::new(4, Faults::default(), Epoch::open().unwrap());
        let lease = pool.for_write(ID, &paths).unwrap();
        assert!(pool.slots.lock().open.is_empty(), "nothing is published before the write");
        lease.file.data.write_all_at(b"x", 0).unwrap();
        lease.publish();
        assert_eq!(pool.slots.lock().open.len(), 1);
    }

    /// The seed's race: two writers upgrade at once, an evictor and a reader between them.
    #[test]
    fn two_writers_an_evictor_and_a_reader_lose_no_byte() {
        for seed in 0..20u64 {
            let dir = tempfile::tempdir().unwrap();
            let paths = staged(dir.path(), &[0u8; 4096]);
            let pool = FilePool::new(1, Faults::default(), Epoch::open().unwrap());
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let writers: Vec<_> = (0..2u64)
                    .map(|writer| {
                        let (pool, paths) = (&pool, &paths);
                        scope.spawn(move || {
                            let mut random = seed * 31 + writer + 1;
                            for step in 0..1000u64 {
                                random = random
                                    .wrapping_mul(6364136223846793005)
                                    .wrapping_add(1442695040888963407);
                                let lease = pool.for_write(ID, paths).expect("no ESTALE, no ENOENT");
                                let at = writer * 2048 + step % 2048;
                                lease.file.data.write_all_at(&[writer as u8 + 1], at).expect("no EBADF");
                                if random >> 62 == 0 {
                                    std::thread::yield_now();
                                }
                                lease.publish();
                            }
                        })
                    })
                    .collect();
                scope.spawn(|| {
                    let mut other = 100u64;
                    while !stop.load(Ordering::Relaxed) {
                        pool.forget(ID);
                        other += 1;
                        drop(pool.for_read(FileId(other), &paths).unwrap()); // pushes ID out as well
                    }
                });
                scope.spawn(|| {
                    let mut byte = [0u8; 1];
                    while !stop.load(Ordering::Relaxed) {
                        pool.for_read(ID, &paths).unwrap().data().read_exact_at(&mut byte, 7).unwrap();
                    }
                });
                let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
                stop.store(true, Ordering::Relaxed); // also when a writer failed: the others must end
                assert!(ended.iter().all(Result::is_ok), "seed {seed}: a writer failed");
            });
            let bytes = std::fs::read(&paths.data).unwrap();
            for writer in 0..2usize {
                let written = &bytes[writer * 2048..writer * 2048 + 1000];
                assert!(written.iter().all(|byte| *byte == writer as u8 + 1), "seed {seed}: a byte was lost");
            }
        }
    }
}
