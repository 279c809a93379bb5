//! The files that hold cached blocks: append-only segments, removed whole when the cache is full. Many
//! small contents share one segment; a removed one gives its disk space back at once.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use rustix::buffer::spare_capacity;

use super::index::SegmentRow;

/// Segments kept open for reading. A GUI process on macOS has 256 file descriptors in all.
const OPEN_FILES: usize = 24;

/// All segments. Readers use it from anywhere; only the writer thread adds, grows and removes.
pub struct Segments {
    dir: PathBuf,
    known: RwLock<BTreeMap<u32, Arc<Segment>>>,
    open: Cache<u32, Arc<File>>,
    total: AtomicU64,
    clock: AtomicU64,
}

struct Segment {
    size: AtomicU64,
    used: AtomicU64,
}

impl Segments {
    /// Takes over the directory: files that no row names are removed. Returns the rows whose file is
    /// missing too; they are not part of the set.
    pub fn open(dir: PathBuf, rows: &[SegmentRow]) -> io::Result<(Segments, Vec<u32>)> {
        fs::create_dir_all(&dir)?;
        let mut present: BTreeMap<u32, PathBuf> = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            match id_of(&path).filter(|id| rows.iter().any(|row| row.id == *id)) {
                Some(id) => drop(present.insert(id, path)),
                None => fs::remove_file(&path)?,
            }
        }
        let (kept, missing): (Vec<&SegmentRow>, Vec<&SegmentRow>) =
            rows.iter().partition(|row| present.contains_key(&row.id));
        let known = kept
            .iter()
            .map(|row| {
                let segment = Segment { size: AtomicU64::new(row.size), used: AtomicU64::new(row.used) };
                (row.id, Arc::new(segment))
            })
            .collect();
        let segments = Segments {
            dir,
            known: RwLock::new(known),
            open: Cache::new(OPEN_FILES),
            total: AtomicU64::new(kept.iter().map(|row| row.size).sum()),
            clock: AtomicU64::new(rows.iter().map(|row| row.used).max().unwrap_or(0) + 1),
        };
        Ok((segments, missing.iter().map(|row| row.id).collect()))
    }

    /// Bytes in all segments.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// A later time than any given before.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// What the index should know of the segment now.
    pub fn row(&self, id: u32) -> Option<SegmentRow> {
        let segment = self.known.read().get(&id).cloned()?;
        let size = segment.size.load(Ordering::Relaxed);
        Some(SegmentRow { id, size, used: segment.used.load(Ordering::Relaxed) })
    }

    pub fn rows(&self) -> Vec<SegmentRow> {
        let ids: Vec<u32> = self.known.read().keys().copied().collect();
        ids.into_iter().filter_map(|id| self.row(id)).collect()
    }

    /// The newest segment: the only one that may still grow.
    pub fn newest(&self) -> Option<u32> {
        self.known.read().last_key_value().map(|(id, _)| *id)
    }

    /// The segment other than `spared` whose last use is longest ago.
    pub fn coldest(&self, spared: Option<u32>) -> Option<u32> {
        let known = self.known.read();
        let others = known.iter().filter(|(id, _)| Some(**id) != spared);
        others.min_by_key(|(_, segment)| segment.used.load(Ordering::Relaxed)).map(|(id, _)| *id)
    }

    /// Creates the file of the new segment `id`.
    pub fn create(&self, id: u32, used: u64) -> io::Result<()> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(id))?;
        self.open.insert(id, Arc::new(file));
        let segment = Segment { size: AtomicU64::new(0), used: AtomicU64::new(used) };
        self.known.write().insert(id, Arc::new(segment));
        Ok(())
    }

    /// Appends `parts` to the segment and returns where the first one begins. After an error the segment
    /// is as before.
    pub fn append(&self, id: u32, parts: &[Bytes]) -> io::Result<u64> {
        let segment = self.segment(id)?;
        let file = self.file(id)?;
        let start = segment.size.load(Ordering::Relaxed);
        let mut at = start;
        for part in parts {
            if let Err(error) = file.write_all_at(part, at) {
                // What was written lies behind the end and is overwritten next time; give its space back.
                let _ = file.set_len(start);
                return Err(error);
            }
            at += part.len() as u64;
        }
        segment.size.store(at, Ordering::Relaxed);
        segment.used.store(self.tick(), Ordering::Relaxed);
        self.total.fetch_add(at - start, Ordering::Relaxed);
        Ok(start)
    }

    /// Removes the segment and its file.
    pub fn remove(&self, id: u32) -> io::Result<()> {
        if let Some(segment) = self.known.write().remove(&id) {
            self.total.fetch_sub(segment.size.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.open.remove(&id);
        super::gone(fs::remove_file(self.path(id)))
    }

    /// Forgets every segment; the files are removed by the caller.
    pub fn remove_all(&self) {
        self.known.write().clear();
        self.open.clear();
        self.total.store(0, Ordering::Relaxed);
    }

    /// Reads `len` bytes at `offset` and notes the use. Blocks on the disk.
    pub fn read(&self, id: u32, offset: u64, len: usize) -> io::Result<Bytes> {
        self.segment(id)?.used.store(self.tick(), Ordering::Relaxed);
        let file = self.file(id)?;
        let mut buffer = Vec::with_capacity(len);
        while buffer.len() < len {
            let at = offset + buffer.len() as u64;
            match rustix::io::pread(&*file, spare_capacity(&mut buffer), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        buffer.truncate(len);
        Ok(Bytes::from(buffer))
    }

    fn segment(&self, id: u32) -> io::Result<Arc<Segment>> {
        self.known.read().get(&id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, id: u32) -> io::Result<Arc<File>> {
        self.open.get_or_insert_with(&id, || {
            let file = OpenOptions::new().read(true).write(true).open(self.path(id))?;
            Ok(Arc::new(file))
        })
    }

    fn path(&self, id: u32) -> PathBuf {
        self.dir.join(format!("{id:08x}.segment"))
    }
}

fn id_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".segment")?;
    u32::from_str_radix(name, 16).ok()
}
