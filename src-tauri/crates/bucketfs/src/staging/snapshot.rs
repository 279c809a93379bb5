//! A staged copy as it was at one moment, to be read at leisure while programs go on writing (design.md
//! promise 7): an upload reads one, writers never wait for it and never end it.
//!
//! Where the disk can share blocks (reflink: btrfs, XFS, APFS) the data file is cloned. Elsewhere a writer
//! copies the bytes it is about to overwrite into a *side file* first, once for each range, as long as a
//! snapshot is open. A reader reads the data file and then looks which of that range has been put aside: a
//! range is put aside before its first new byte is written, so whatever was not put aside by then is old.
//!
//! Both files have no name: they are gone with the snapshot, a crash included. A cut (a smaller size) would
//! have to copy everything cut off; without a clone it ends the snapshot instead.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rangemap::RangeSet;

use super::layout::{Layout, Piece};
use super::staged::{ReadPiece, Refusal, Staged};
use crate::attr::FileId;
use crate::faults::{Faults, Part, Step};

/// Copied aside at once.
const PIECE: u64 = 1 << 20;

/// A file as it was. Reading blocks on the local disk.
pub struct Snapshot {
    /// Frozen; of a committed prefix it ends where that ended.
    pub layout: Layout,
    /// `false`: only a prefix of the file, which is not clean when this is saved.
    pub whole: bool,
    id: FileId,
    faults: Faults,
    source: Source,
    buffers: Arc<Buffers>,
}

/// What a snapshot is read into, again and again: as much memory as is in use at once, and none of it new each time.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A buffer that goes home when its last reader has done with it.
struct Lent {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl Buffers {
    fn lend(self: &Arc<Buffers>, length: usize) -> Lent {
        let mut bytes = self.0.lock().pop().unwrap_or_default();
        bytes.resize(length, 0);
        Lent { bytes, home: self.clone() }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.0.lock().push(std::mem::take(&mut self.bytes));
    }
}

enum Source {
    Clone(File),
    Side { data: File, side: Arc<Side> },
}

/// Old bytes that writers have put aside for one snapshot.
pub(super) struct Side {
    file: File,
    /// What the snapshot needs of the data file.
    wanted: RangeSet<u64>,
    state: Mutex<SideState>,
}

#[derive(Default)]
struct SideState {
    aside: RangeSet<u64>,
    /// The file was cut, or the old bytes could not be kept.
    broken: bool,
}

impl Snapshot {
    /// Bytes at hand and ranges of the base, in order; cut at the end of the snapshot.
    ///
    /// Errors: `Retired` when the snapshot ended because the file was cut.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<ReadPiece>, Refusal> {
        let mut pieces = Vec::new();
        for piece in self.layout.pieces(range) {
            pieces.push(match (piece, &self.layout.base) {
                (Piece::Base(range), Some(base)) => ReadPiece::Base(base.clone(), range),
                (Piece::Local(range), _) => ReadPiece::Bytes(self.read_local(range)?),
                (Piece::Zero(range) | Piece::Base(range), _) => {
                    ReadPiece::Bytes(Bytes::from(vec![0; (range.end - range.start) as usize]))
                }
            });
        }
        Ok(pieces)
    }

    fn read_local(&self, range: Range<u64>) -> Result<Bytes, Refusal> {
        self.faults.check(Step::Read, Part::Data, self.id)?;
        let mut lent = self.buffers.lend((range.end - range.start) as usize);
        match &self.source {
            Source::Clone(file) => file.read_exact_at(&mut lent.bytes, range.start)?,
            Source::Side { data, side } => {
                let read = data.read_exact_at(&mut lent.bytes, range.start);
                side.correct(&mut lent.bytes, range)?; // a cut is the better reason than a short read
                read?;
            }
        }
        Ok(Bytes::from_owner(lent))
    }

    /// The file was cut meanwhile: what is left to be read of this version is gone.
    pub fn is_broken(&self) -> bool {
        matches!(&self.source, Source::Side { side, .. } if side.state.lock().broken)
    }
}

impl Side {
    /// Replaces what was overwritten since in `bytes`, which were just read from the data file.
    fn correct(&self, bytes: &mut [u8], range: Range<u64>) -> Result<(), Refusal> {
        let aside: Vec<Range<u64>> = {
            let state = self.state.lock();
            if state.broken {
                return Err(Refusal::Retired);
            }
            state.aside.overlapping(range.clone()).cloned().collect()
        };
        for old in aside {
            let cut = old.start.max(range.start)..old.end.min(range.end);
            let at = (cut.start - range.start) as usize..(cut.end - range.start) as usize;
            self.file.read_exact_at(&mut bytes[at], cut.start)?;
        }
        Ok(())
    }

    /// Called before `range` of the data file is overwritten. A writer never fails for it.
    pub(super) fn keep(&self, data: &File, range: &Range<u64>) {
        let mut state = self.state.lock();
        if state.broken {
            return;
        }
        let missing: Vec<Range<u64>> = self
            .wanted
            .overlapping(range.clone())
            .map(|wanted| wanted.start.max(range.start)..wanted.end.min(range.end))
            .flat_map(|wanted| state.aside.gaps(&wanted).collect::<Vec<_>>())
            .collect();
        for part in missing {
            if let Err(error) = self.copy(data, &part) {
                tracing::warn!(%error, "old bytes could not be kept for an upload; it begins anew");
                state.broken = true;
                return;
            }
            state.aside.insert(part);
        }
    }

    fn copy(&self, data: &File, range: &Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let mut piece = vec![0; PIECE.min(range.end - at) as usize];
            data.read_exact_at(&mut piece, at)?;
            self.file.write_all_at(&piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Called before the data file is cut to `size`.
    pub(super) fn cut(&self, size: u64) {
        if self.wanted.overlapping(size..u64::MAX).next().is_some() {
            self.state.lock().broken = true;
        }
    }
}

impl Staged {
    /// The file as it is now: all of it, or of one that is written for ever what is committed without a gap.
    /// Writers wait for the moment this takes, never for the one who reads.
    pub fn snapshot(&self, prefix: Option<u64>) -> Result<Snapshot, Refusal> {
        self.take_snapshot(prefix, clone_of)
    }

    fn take_snapshot(
        &self,
        prefix: Option<u64>,
        clone_of: impl FnOnce(&File, &Path) -> Option<File>,
    ) -> Result<Snapshot, Refusal> {
        let gate = self.gate.write(); // no WRITE is under way
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let mut layout = self.with_layout(Layout::clone);
        if !layout.holes.is_empty() {
            return Err(Refusal::Hole);
        }
        let whole = prefix.is_none();
        if let Some(size) = prefix {
            layout.resized(size.min(layout.size));
        }
        if layout.unstable.overlapping(0..layout.size).next().is_some() {
            return Err(Refusal::Retired); // written to again since somebody looked
        }
        let data = File::open(&self.paths.data)?;
        let nameless = self.paths.data.with_extension("snapshot");
        let source = match clone_of(&data, &nameless) {
            Some(file) => Source::Clone(file),
            None => {
                let file = make_nameless(&nameless)?;
                let wanted = layout.local.clone();
                let side = Arc::new(Side { file, wanted, state: Mutex::default() });
                let mut sides = self.sides.lock();
                sides.retain(|side| side.strong_count() > 0);
                sides.push(Arc::downgrade(&side));
                Source::Side { data, side }
            }
        };
        drop(gate);
        Ok(Snapshot {
            layout,
            whole,
            id: self.id,
            faults: self.pool.faults().clone(),
            source,
            buffers: Arc::default(),
        })
    }

    /// Before bytes of the data file are overwritten.
    pub(super) fn keep_for_snapshots(&self, data: &File, range: &Range<u64>) {
        let sides: Vec<Arc<Side>> = self.sides.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
        for side in sides {
            side.keep(data, range);
        }
    }

    /// Before the data file is cut.
    pub(super) fn cut_snapshots(&self, size: u64) {
        for side in self.sides.lock().iter().filter_map(std::sync::Weak::upgrade) {
            side.cut(size);
        }
    }
}

fn make_nameless(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// A clone that shares the blocks, or `None` where the disk has none.
#[cfg(target_os = "linux")]
fn clone_of(data: &File, nameless: &Path) -> Option<File> {
    let file = make_nameless(nameless).ok()?;
    rustix::fs::ioctl_ficlone(&file, data).ok()?;
    Some(file)
}

#[cfg(target_os = "macos")]
fn clone_of(data: &File, nameless: &Path) -> Option<File> {
    let _ = fs::remove_file(nameless);
    rustix::fs::fclonefileat(data, rustix::fs::CWD, nameless, rustix::fs::CloneFlags::empty()).ok()?;
    let file = File::open(nameless).ok();
    let _ = fs::remove_file(nameless);
    file
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn clone_of(_data: &File, _nameless: &Path) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Timestamp;
    use crate::staging::StagingArea;
    use crate::staging::log::Birth;
    use std::sync::atomic::{AtomicBool, Ordering};

    const SIZE: usize = 3 << 20;

    fn staged(dir: &Path) -> Arc<Staged> {
        let area = StagingArea::open(dir, Faults::default()).unwrap();
        let birth = || Birth {
            id: FileId(70),
            path: "f".into(),
            mode: 0o600,
            local: false,
            base_hash: None,
            base_size: 0,
            boot: "b".into(),
        };
        area.get_or_create(FileId(70), || Ok((birth(), Layout::of_base(None, 0, Timestamp(1))))).unwrap()
    }

    fn bytes(snapshot: &Snapshot, range: Range<u64>) -> Vec<u8> {
        let mut all = Vec::new();
        for piece in snapshot.read(range).unwrap() {
            match piece {
                ReadPiece::Bytes(bytes) => all.extend_from_slice(&bytes),
                ReadPiece::Base(..) => panic!("there is no base"),
            }
        }
        all
    }

    /// By a clone where the disk of this test has them, and by a side file everywhere.
    #[test]
    fn a_snapshot_stays_as_it_was_whatever_is_written_and_no_writer_waits() {
        for side in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let file = staged(dir.path());
            let before: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8).collect();
            file.write(0, &before, false).unwrap();
            assert!(file.snapshot(None).is_err(), "not before it is committed");
            file.commit().unwrap();
            let snapshot = if side {
                file.take_snapshot(None, |_, _| None).unwrap()
            } else {
                file.snapshot(None).unwrap()
            };
            let (stop, mut same) = (AtomicBool::new(false), true);
            std::thread::scope(|scope| {
                for writer in 0..3u64 {
                    let (file, stop) = (&file, &stop);
                    scope.spawn(move || {
                        let mut random = writer + 1;
                        while !stop.load(Ordering::Relaxed) {
                            random =
                                random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                            let at = (random >> 33) % (SIZE as u64 + 5000);
                            file.write(at, &vec![0xEE; 1 + (random >> 50) as usize], false).unwrap();
                        }
                    });
                }
                for round in 0..60u64 {
                    let at = (round * 65_537) % (SIZE as u64 - 70_000);
                    let read = bytes(&snapshot, at..at + 70_000);
                    same &= read == before[at as usize..at as usize + 70_000];
                }
                same &= bytes(&snapshot, 0..u64::MAX) == before;
                stop.store(true, Ordering::Relaxed); // before anything is asserted: the writers must end
            });
            assert!(same, "side {side}: as it was, and no longer than it was");
            file.resize(10).unwrap();
            match snapshot.read(0..100) {
                Ok(_) => assert!(!snapshot.is_broken(), "a clone outlives the cut"),
                Err(_) => assert!(snapshot.is_broken(), "what a cut took is not made up"),
            }
            assert!(!side || snapshot.is_broken(), "a cut ends what has no clone");
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(left, 3, "data, log, refused: a snapshot leaves nothing behind");
        }
    }

    #[test]
    fn a_prefix_ends_where_something_is_not_committed() {
        let dir = tempfile::tempdir().unwrap();
        let file = staged(dir.path());
        file.write(0, &[1; 100], false).unwrap();
        file.commit().unwrap();
        file.write(100, &[2; 100], false).unwrap();
        let prefix = file.with_layout(Layout::committed_prefix);
        assert_eq!(prefix, 100);
        let snapshot = file.snapshot(Some(prefix)).unwrap();
        assert_eq!(bytes(&snapshot, 0..u64::MAX), [1; 100]);
        assert!(!snapshot.whole);
        file.write(50, &[3; 10], false).unwrap();
        assert!(matches!(file.snapshot(Some(prefix)), Err(Refusal::Retired)), "a middle that is open again");
        file.refuse(10..20, false);
        assert_eq!(file.with_layout(Layout::committed_prefix), 0, "no version with a hole");
        assert!(matches!(file.snapshot(None), Err(Refusal::Hole)));
    }
}
