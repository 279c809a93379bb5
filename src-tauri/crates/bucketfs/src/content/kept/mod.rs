//! Contents that are kept offline: whole, checksummed, never evicted.
//!
//! Each content is a file of its own, so that it is given up by one unlink and exactly its bytes come back. While
//! it is incomplete its name ends in `.part` and a map says which blocks are there; what a crash leaves of it is
//! checked block by block before it counts. A whole one is synced before it gets its name. Nothing here fails a
//! read: a block that is not right is not there, and is fetched again.

mod blocks;
mod file;

use std::collections::{HashMap, hash_map};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use self::blocks::Blocks;
use self::file::KeptFile;
use super::block::{BLOCK, ContentKey, blocks_of, bytes_of};

/// Kept files open for reading. A GUI process on macOS has 256 file descriptors in all.
const OPEN_FILES: usize = 16;

const PART: &str = "part";

/// All contents kept offline by one bucket.
pub struct Kept {
    dir: PathBuf,
    contents: RwLock<HashMap<ContentKey, Entry>>,
    open: Cache<ContentKey, Arc<KeptFile>>,
    /// The directory has been read: what is not in `contents` is not there.
    scanned: AtomicBool,
    bytes: AtomicU64,
    downloaded: AtomicU64,
    damaged: AtomicU64,
    /// Held to write by whoever gives contents up: no block is put meanwhile.
    giving_up: RwLock<()>,
}

#[derive(Clone)]
enum Entry {
    Whole { size: u64 },
    Part(Arc<Part>),
}

struct Part {
    size: u64,
    here: Mutex<Blocks>,
}

impl Kept {
    /// Opens the directory and reads nothing of it yet (`scan` does): a mount does not wait for a million names.
    pub fn open(dir: &Path) -> io::Result<Kept> {
        fs::create_dir_all(dir)?;
        let empty = fs::read_dir(dir)?.next().is_none();
        Ok(Kept {
            dir: dir.to_owned(),
            contents: RwLock::default(),
            open: Cache::new(OPEN_FILES),
            scanned: AtomicBool::new(empty),
            bytes: AtomicU64::new(0),
            downloaded: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            giving_up: RwLock::new(()),
        })
    }

    /// Takes up what an earlier life kept. Blocks on the disk; what is incomplete is read through.
    pub fn scan(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let (hash, part) = match name.split_once('.') {
                None => (name, false),
                Some((hash, PART)) => (hash, true),
                Some(_) => continue,
            };
            let Some(key) = ContentKey::parse(hash) else { continue };
            if self.contents.read().contains_key(&key) {
                continue;
            }
            match part {
                false => drop(self.probe(&key)),
                true => self.take_up_part(key, &path),
            }
        }
        self.scanned.store(true, Ordering::Release);
        Ok(())
    }

    fn take_up_part(&self, key: ContentKey, path: &Path) {
        match KeptFile::resume(path, &key) {
            Ok((size, here)) => {
                let bytes = here.bytes(size);
                let mut contents = self.contents.write();
                if let hash_map::Entry::Vacant(place) = contents.entry(key) {
                    place.insert(Entry::Part(Arc::new(Part { size, here: Mutex::new(here) })));
                    self.bytes.fetch_add(bytes, Ordering::Relaxed);
                }
            }
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "an unfinished download begins anew");
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Bytes of content on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes fetched from the Hub since the start.
    pub fn downloaded(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    /// Blocks that failed their checksum since the start.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    pub fn count_download(&self, bytes: u64) {
        self.downloaded.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes of the content are here.
    pub fn here(&self, key: &ContentKey, size: u64) -> u64 {
        match self.contents.read().get(key) {
            Some(Entry::Whole { size: known }) if *known == size => size,
            Some(Entry::Part(part)) if part.size == size => part.here.lock().bytes(size),
            _ => 0,
        }
    }

    /// The bytes `range` of the content when all of them are here and right.
    pub async fn read(self: &Arc<Self>, key: ContentKey, size: u64, range: Range<u64>) -> Option<Bytes> {
        if range.is_empty() || !self.has(&key, size, &range) {
            return None;
        }
        let kept = self.clone();
        tokio::task::spawn_blocking(move || kept.read_now(&key, size, &range)).await.ok().flatten()
    }

    fn has(&self, key: &ContentKey, size: u64, range: &Range<u64>) -> bool {
        let entry = self.contents.read().get(key).cloned();
        match entry {
            Some(Entry::Whole { size: known }) => known == size,
            Some(Entry::Part(part)) => part.size == size && part.here.lock().has_all(blocks_of(range)),
            None => !self.scanned.load(Ordering::Acquire) && self.probe(key) == Some(size),
        }
    }

    /// Looks for a whole content that nobody has named yet.
    fn probe(&self, key: &ContentKey) -> Option<u64> {
        let len = fs::metadata(self.path(key)).ok()?.len();
        let size = file::size_of(len)?;
        if self.contents.write().insert(*key, Entry::Whole { size }).is_none() {
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
        Some(size)
    }

    fn read_now(&self, key: &ContentKey, size: u64, range: &Range<u64>) -> Option<Bytes> {
        let opened = self.open.get_or_insert_with(key, || {
            let whole = KeptFile::open(&self.path(key), *key, size);
            let opened = whole.or_else(|_| KeptFile::open(&self.part_path(key), *key, size))?;
            Ok::<_, io::Error>(Arc::new(opened))
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "a content that is kept offline cannot be opened");
                self.lose(key, size);
                return None;
            }
        };
        match opened.read(range) {
            Ok(bytes) => Some(bytes),
            Err(bad) => {
                self.damaged.fetch_add(bad.len() as u64, Ordering::Relaxed);
                tracing::warn!(
                    blocks = bad.len(),
                    "what is kept offline was damaged on disk; it is fetched again"
                );
                self.lose_blocks(key, size, &bad);
                None
            }
        }
    }

    /// Blocks that are not here, by rising number, in runs of at most `longest`.
    pub fn missing(&self, key: &ContentKey, size: u64, longest: u32) -> Vec<Range<u32>> {
        let all = blocks_of(&(0..size));
        match self.contents.read().get(key) {
            Some(Entry::Whole { size: known }) if *known == size => Vec::new(),
            Some(Entry::Part(part)) if part.size == size => part.here.lock().missing(longest),
            _ => Blocks::none(all.end).missing(longest),
        }
    }

    /// Keeps blocks from `first` on, whole ones (the file's last may be shorter), from `bytes`. Blocks on the disk.
    /// On return they are read from here; once none is missing the content is on stable storage.
    pub fn put(&self, key: &ContentKey, size: u64, first: u32, bytes: &[u8]) -> io::Result<()> {
        let _gate = self.giving_up.read();
        let part = match self.part(key, size)? {
            Some(part) => part,
            None => return Ok(()), // whole already
        };
        let file = KeptFile::open_for_writing(&self.part_path(key), *key, size)?;
        let blocks = first..first + bytes.len().div_ceil(BLOCK as usize) as u32;
        file.write(first, bytes)?;
        let (added, complete) = {
            let mut here = part.here.lock();
            let before = here.bytes(size);
            here.add(blocks);
            (here.bytes(size) - before, here.is_complete() && here.bytes(size) > before)
        };
        self.bytes.fetch_add(added, Ordering::Relaxed);
        if complete {
            file.sync()?;
            let mut contents = self.contents.write();
            fs::rename(self.part_path(key), self.path(key))?;
            contents.insert(*key, Entry::Whole { size });
        }
        Ok(())
    }

    /// The content's map, begun now if there is none; none when the content is whole.
    fn part(&self, key: &ContentKey, size: u64) -> io::Result<Option<Arc<Part>>> {
        let mut contents = self.contents.write();
        match contents.get(key) {
            Some(Entry::Whole { size: known }) if *known == size => return Ok(None),
            Some(Entry::Part(part)) if part.size == size => return Ok(Some(part.clone())),
            _ => {}
        }
        let _ = fs::remove_file(self.path(key));
        KeptFile::create(&self.part_path(key), size)?;
        let blocks = blocks_of(&(0..size)).end;
        let part = Arc::new(Part { size, here: Mutex::new(Blocks::none(blocks)) });
        contents.insert(*key, Entry::Part(part.clone()));
        Ok(Some(part))
    }

    /// Gives up every content that is not among `wanted`; answers how many bytes that freed. Blocks on the disk.
    pub fn retain(&self, wanted: impl Fn(&ContentKey) -> bool) -> u64 {
        let _gate = self.giving_up.write();
        let all = self.keys();
        all.iter().filter(|key| !wanted(key)).map(|key| self.give_up(key)).sum()
    }

    /// The contents that are here, whole or in part.
    pub fn keys(&self) -> Vec<ContentKey> {
        self.contents.read().keys().copied().collect()
    }

    fn give_up(&self, key: &ContentKey) -> u64 {
        let mut contents = self.contents.write();
        let Some(entry) = contents.remove(key) else { return 0 };
        self.open.remove(key);
        for path in [self.path(key), self.part_path(key)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, file = %path.display(), "what is no longer kept offline stays on disk");
                }
                _ => {}
            }
        }
        let bytes = match entry {
            Entry::Whole { size } => size,
            Entry::Part(part) => part.here.lock().bytes(part.size),
        };
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        bytes
    }

    /// The file is not there any more.
    fn lose(&self, key: &ContentKey, size: u64) {
        let blocks: Vec<u32> = blocks_of(&(0..size)).collect();
        self.lose_blocks(key, size, &blocks);
    }

    /// These blocks are not right: they count as missing from now on.
    fn lose_blocks(&self, key: &ContentKey, size: u64, bad: &[u32]) {
        let mut contents = self.contents.write();
        let part = match contents.get(key) {
            Some(Entry::Part(part)) => part.clone(),
            Some(Entry::Whole { .. }) => {
                if let Err(error) = fs::rename(self.path(key), self.part_path(key))
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::warn!(%error, "a damaged content keeps its name");
                }
                let here = Blocks::all(blocks_of(&(0..size)).end);
                let part = Arc::new(Part { size, here: Mutex::new(here) });
                contents.insert(*key, Entry::Part(part.clone()));
                part
            }
            None => return,
        };
        drop(contents);
        self.open.remove(key);
        let lost = {
            let mut here = part.here.lock();
            let before = here.bytes(size);
            bad.iter().for_each(|block| here.remove(*block));
            before - here.bytes(size)
        };
        self.bytes.fetch_sub(lost, Ordering::Relaxed);
        let forgotten = KeptFile::open_for_writing(&self.part_path(key), *key, size)
            .and_then(|file| bad.iter().try_for_each(|block| file.forget(*block)));
        if let Err(error) = forgotten {
            tracing::warn!(%error, "a damaged content is fetched again from its beginning");
            let _ = fs::remove_file(self.part_path(key));
            self.give_up(key);
        }
    }

    fn path(&self, key: &ContentKey) -> PathBuf {
        self.dir.join(key.hex())
    }

    fn part_path(&self, key: &ContentKey) -> PathBuf {
        self.dir.join(format!("{}.{PART}", key.hex()))
    }
}

/// Bytes of block `index`.
fn len_of(index: u32, size: u64) -> u64 {
    let range = bytes_of(index, size);
    range.end - range.start
}

#[cfg(test)]
mod tests;
