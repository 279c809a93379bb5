//! One staged copy: a sparse data file, its sidecar, and the layout that says which bytes count.
//!
//! Every method here blocks on the local disk and belongs on a blocking thread. Locks, in the order in
//! which they may be taken: `committing`, then `gate`, then `layout`. None is held over the network.
//!
//! What is where, when:
//! * after [`Staged::write`] returned: data and extent record in the page cache; both survive kill -9;
//! * after a durable write or [`Staged::commit`] returned: both on stable storage;
//! * a write that failed leaves a hole, in the layout and (when the disk still takes it) in the sidecar.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rangemap::RangeSet;

use super::layout::{Layout, Piece};
use super::log::{self, Birth, Record};
use super::pool::{FilePool, Lease, Paths};
use super::snapshot::Side;
use crate::attr::{FileId, Timestamp};
use crate::names::Content;

/// A commit that fails is answered with a new verifier, and the client sends again. So often in a row; after
/// that it is told the error (design.md promise 3).
pub const MOST_ROTATIONS: u32 = 3;
/// A log shorter than this is never written anew for its length.
pub(super) const LOG_LOOK: u64 = 256 << 10;

pub struct Staged {
    pub id: FileId,
    pub birth: Birth,
    pub(super) paths: Paths,
    pub(super) pool: Arc<FilePool>,
    /// Shared by I/O on the files; exclusive while the data file is cut or the copy is retired.
    pub(super) gate: RwLock<Gate>,
    pub(super) layout: Mutex<Layout>,
    /// One commit at a time; who waited finds the work done.
    pub(super) committing: Mutex<()>,
    /// Ranges written since the running commit began.
    pub(super) recent: Mutex<RangeSet<u64>>,
    /// Something was recorded that no sync covers yet.
    pub(super) unsynced: AtomicBool,
    /// A sync of the log failed, or it has grown out of proportion: it is written anew before the next commit.
    pub(super) log_outworn: AtomicBool,
    /// Commits that failed since the last that did not.
    pub(super) failed_commits: AtomicU32,
    /// What the log's notes say, for a log written anew.
    pub(super) notes: Mutex<Vec<Record>>,
    /// The log is looked at again when it is longer than this.
    pub(super) next_look: AtomicU64,
    /// The names of the two files are on stable storage.
    pub(super) named: AtomicBool,
    changed: Mutex<Instant>,
    /// The last write that failed did so because the disk was full.
    was_full: AtomicBool,
    /// Snapshots whose old bytes writers have to keep.
    pub(super) sides: Mutex<Vec<Weak<Side>>>,
    session: Mutex<Option<Session>>,
}

/// Since when the file has been written to, and what of it has gone up in between.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    pub since: Instant,
    pub size_then: u64,
    pub sent_at: Option<Instant>,
    pub sent: u64,
}

pub(super) struct Gate {
    pub(super) retired: bool,
}

/// Size and mtime just before and just after, taken in one step with the change.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    pub before: (u64, Timestamp),
    pub after: (u64, Timestamp),
}

/// Why an operation on a staged copy did not happen.
#[derive(Debug)]
pub enum Refusal {
    /// The copy has been given up (evicted or deleted) meanwhile: look the file up again.
    Retired,
    /// An earlier write failed and left a hole.
    Hole,
    /// The same, and the cause was a full disk: the program is to hear that, it says so in its own words.
    HoleForWantOfRoom,
    /// The disk failed to sync so often that the client has to be told.
    Lost(io::Error),
    Disk(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Disk(error)
    }
}

/// A piece of a read: bytes at hand, or a range to be had from the Hub.
#[derive(Debug)]
pub enum ReadPiece {
    Bytes(Bytes),
    Base(Content, Range<u64>),
}

/// What a read found; the attributes belong to the same moment as the layout.
pub struct ReadPlan {
    pub pieces: Vec<ReadPiece>,
    pub size: u64,
    pub mtime: Timestamp,
}

impl Staged {
    /// Makes the two files. Nobody else knows the copy before the caller publishes it.
    pub fn create(paths: Paths, pool: Arc<FilePool>, birth: Birth, layout: Layout) -> io::Result<Self> {
        let mut head = vec![Record::Born(birth.clone()), Record::Timed { mtime: layout.mtime }];
        head.extend(
            layout
                .holes
                .iter()
                .map(|hole| Record::Hole { offset: hole.start, length: hole.end - hole.start }),
        );
        pool.create(birth.id, &paths, layout.size, &head)?;
        Ok(Self::assemble(paths, pool, birth, layout))
    }

    /// The holes it was made with came of a full disk.
    pub(super) fn note_full(&self) {
        self.was_full.store(true, Ordering::Relaxed);
    }

    /// Takes up a copy that an earlier life left, after its log was replayed.
    pub fn adopt(
        paths: Paths,
        pool: Arc<FilePool>,
        birth: Birth,
        layout: Layout,
        notes: Vec<Record>,
    ) -> Self {
        let staged = Self::assemble(paths, pool, birth, layout);
        *staged.notes.lock() = notes;
        staged.unsynced.store(true, Ordering::Relaxed);
        staged
    }

    fn assemble(paths: Paths, pool: Arc<FilePool>, birth: Birth, layout: Layout) -> Self {
        Staged {
            id: birth.id,
            birth,
            paths,
            pool,
            gate: RwLock::new(Gate { retired: false }),
            layout: Mutex::new(layout),
            committing: Mutex::new(()),
            recent: Mutex::new(RangeSet::new()),
            unsynced: AtomicBool::new(true),
            log_outworn: AtomicBool::new(false),
            failed_commits: AtomicU32::new(0),
            notes: Mutex::new(Vec::new()),
            next_look: AtomicU64::new(LOG_LOOK),
            named: AtomicBool::new(false),
            changed: Mutex::new(Instant::now()),
            was_full: AtomicBool::new(false),
            sides: Mutex::default(),
            session: Mutex::new(None),
        }
    }

    /// A look at the layout; keep it short, writers wait.
    pub fn with_layout<T>(&self, look: impl FnOnce(&Layout) -> T) -> T {
        look(&self.layout.lock())
    }

    /// Since when it has been written to without having been clean.
    pub fn session(&self) -> Option<Session> {
        *self.session.lock()
    }

    /// So many bytes of it have gone up while it is written to.
    pub fn sent_in_between(&self, bytes: u64) {
        if let Some(session) = &mut *self.session.lock() {
            session.sent_at = Some(Instant::now());
            session.sent = bytes;
        }
    }

    /// How long nothing has changed.
    pub fn quiet_for(&self) -> Duration {
        self.changed.lock().elapsed()
    }

    /// Takes the bytes, or leaves a hole.
    ///
    /// A durable write of a file that has a hole elsewhere takes its bytes and is refused all the same: it is what
    /// Apple's client sends after the COMMIT failed because of the hole, and the last call whose error reaches a
    /// program that changes no attributes (macos-nfs.md B2, B3).
    pub fn write(&self, offset: u64, data: &[u8], durable: bool) -> Result<Moved, Refusal> {
        // One sync at a time: the kernel tells the failure of lost pages once, and another's sync would find them clean.
        let _one = durable.then(|| self.committing.lock());
        let renewed = if durable { self.renew_log() } else { Ok(()) };
        let gate = self.gate.read();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let range = offset..offset + data.len() as u64;
        self.begin_change();
        let outcome = match renewed {
            Ok(()) => self.write_through(range.clone(), data, durable),
            Err(error) => Err(Refusal::Disk(error)), // what it records would not outlive a power cut
        };
        let mut layout = self.layout.lock();
        layout.in_flight -= 1;
        if let Err(refusal) = &outcome {
            self.remember_cause(refusal);
            layout.failed(range.clone());
            drop(layout);
            if durable {
                self.sync_broke(); // its sync may have been to bring other bytes too
            }
            self.record_hole(range);
        } else if durable && !layout.holes.is_empty() {
            return Err(self.hole());
        }
        outcome
    }

    fn remember_cause(&self, refusal: &Refusal) {
        let full = matches!(refusal, Refusal::Disk(error) if error.kind() == io::ErrorKind::StorageFull);
        self.was_full.store(full, Ordering::Relaxed);
    }

    /// What is answered while there is a hole.
    pub(super) fn hole(&self) -> Refusal {
        match self.was_full.load(Ordering::Relaxed) {
            true => Refusal::HoleForWantOfRoom,
            false => Refusal::Hole,
        }
    }

    fn write_through(&self, range: Range<u64>, data: &[u8], durable: bool) -> Result<Moved, Refusal> {
        let lease = self.pool.for_write(self.id, &self.paths)?;
        self.keep_for_snapshots(&lease.file.data, &range);
        lease.file.write(data, range.start)?;
        let moved = self.note_extent(&lease, range.clone(), durable)?;
        if durable {
            self.sync_files(&lease.file)?;
        }
        lease.publish();
        Ok(moved)
    }

    /// Appends the extent and makes it visible in one step: what the sidecar promises about mtime is what
    /// a GETATTR can have shown.
    fn note_extent(&self, lease: &Lease<'_>, range: Range<u64>, durable: bool) -> io::Result<Moved> {
        let mut layout = self.layout.lock();
        let before = (layout.size, layout.mtime);
        let mtime = Timestamp::after(layout.mtime);
        let record = Record::Extent { offset: range.start, length: range.end - range.start, mtime, durable };
        lease.file.append(&[record])?;
        layout.wrote(range.clone(), durable);
        layout.mtime = mtime;
        if !durable && !range.is_empty() {
            self.recent.lock().insert(range);
        }
        self.unsynced.store(true, Ordering::Relaxed);
        Ok(Moved { before, after: (layout.size, layout.mtime) })
    }

    /// Appends a record that belongs to no change of bytes. One writer of the log at a time: the layout's lock.
    fn note(&self, record: Record) -> io::Result<()> {
        let _one = self.layout.lock(); // before the file is opened: the log may just be written anew
        let lease = self.pool.for_write(self.id, &self.paths)?;
        lease.file.append(&[record])
    }

    /// A note that a log written anew has to repeat; the latest of its kind counts.
    fn note_for_good(&self, record: Record) -> io::Result<()> {
        let mut notes = self.notes.lock();
        notes.retain(|known| std::mem::discriminant(known) != std::mem::discriminant(&record));
        notes.push(record.clone());
        drop(notes);
        self.note(record)
    }

    pub(super) fn record_hole(&self, range: Range<u64>) {
        let record = Record::Hole { offset: range.start, length: range.end - range.start };
        if let Err(error) = self.note(record) {
            tracing::error!(file = %self.id, %error, "a failed write could not be noted in the sidecar");
        }
    }

    /// Cuts or grows the file; zeros show where it grew.
    pub fn resize(&self, size: u64) -> Result<Moved, Refusal> {
        let gate = self.gate.write();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let mut layout = self.layout.lock();
        if size != 0 && !layout.holes.is_empty() {
            return Err(self.hole());
        }
        let lease = self.pool.for_write(self.id, &self.paths)?;
        let before = (layout.size, layout.mtime);
        let mtime = Timestamp::after(layout.mtime);
        layout.generation += 1;
        lease.file.append(&[Record::Resized { size, mtime }])?;
        // A full disk gets its space back at once. The record goes first, to stable storage: a cut that reached the
        // disk alone would take committed bytes along. Where it cannot, the next COMMIT cuts.
        if size < before.0 && self.sync_log(&lease.file).is_ok() {
            self.cut_snapshots(size);
            // The record counts from here on, in this life and after a restart: no error any more.
            if let Err(error) = lease.file.set_len(size) {
                tracing::warn!(file = %self.id, %error, "a staged file is cut by its next COMMIT");
            }
        }
        layout.resized(size);
        layout.mtime = mtime;
        let after = (layout.size, layout.mtime);
        drop(layout);
        lease.publish();
        self.mark_changed();
        Ok(Moved { before, after })
    }

    pub fn set_mtime(&self, mtime: Timestamp) -> Result<Moved, Refusal> {
        let gate = self.gate.read();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let lease = self.pool.for_write(self.id, &self.paths)?;
        let mut layout = self.layout.lock();
        if !layout.holes.is_empty() {
            return Err(self.hole());
        }
        lease.file.append(&[Record::Timed { mtime }])?;
        let before = (layout.size, layout.mtime);
        layout.mtime = mtime;
        drop(layout);
        lease.publish();
        self.unsynced.store(true, Ordering::Relaxed);
        Ok(Moved { before, after: (before.0, mtime) })
    }

    /// Notes that this boot has taken the copy up. Without the note the copy counts as another boot's: its
    /// open epoch would be kept apart, nothing would be lost.
    pub fn note_boot(&self, boot: &str) {
        let record = Record::Taken { boot: boot.to_owned() };
        if let Err(error) = self.note_for_good(record) {
            tracing::warn!(file = %self.id, %error, "this boot was not noted in the sidecar");
        }
    }

    /// Notes the visible path for a rebuild of the tree. Losing this note loses no byte.
    pub fn note_path(&self, path: &str) {
        let record = Record::Named { path: path.to_owned() };
        if let Err(error) = self.note_for_good(record) {
            tracing::warn!(file = %self.id, %error, "the new path was not noted in the sidecar");
        }
    }

    /// Reads what is local and says what is to be had from the base.
    pub fn read(&self, range: Range<u64>) -> Result<ReadPlan, Refusal> {
        let gate = self.gate.read();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let (pieces, base, size, mtime) =
            self.with_layout(|layout| (layout.pieces(range), layout.base.clone(), layout.size, layout.mtime));
        let mut plan = ReadPlan { pieces: Vec::with_capacity(pieces.len()), size, mtime };
        for piece in pieces {
            plan.pieces.push(match (piece, &base) {
                (Piece::Base(range), Some(base)) => ReadPiece::Base(base.clone(), range),
                (Piece::Local(range), _) => ReadPiece::Bytes(self.read_local(range)?),
                (Piece::Zero(range) | Piece::Base(range), _) => {
                    ReadPiece::Bytes(Bytes::from(vec![0; (range.end - range.start) as usize]))
                }
            });
        }
        Ok(plan)
    }

    fn read_local(&self, range: Range<u64>) -> io::Result<Bytes> {
        let file = self.pool.for_read(self.id, &self.paths)?;
        let mut buffer = vec![0; (range.end - range.start) as usize];
        file.data().read_exact_at(&mut buffer, range.start)?;
        Ok(Bytes::from(buffer))
    }

    /// The Hub has the content of `generation`. `true` when nothing changed since: the copy is clean now.
    /// Not synced: after a power cut the file is compared with the Hub once more.
    pub fn mark_saved(&self, generation: u64, content: Content) -> Result<bool, Refusal> {
        let gate = self.gate.read();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let lease = self.pool.for_write(self.id, &self.paths)?;
        let mut layout = self.layout.lock();
        // The Hub has it, whether or not the log can be told: the next save finds it there.
        layout.identity = Some(content.hash.clone());
        if layout.generation != generation || layout.in_flight > 0 {
            lease.file.append(&[Record::Saved { hash: content.hash }])?;
            return Ok(false);
        }
        let record = Record::Rebased { hash: content.hash.clone(), size: content.size };
        lease.file.append(&[record])?;
        layout.rebased(content);
        *self.session.lock() = None;
        drop(layout);
        lease.publish();
        Ok(true)
    }

    /// The person (or a reboot) says that no client will commit the open epoch any more.
    pub fn close_epoch(&self) -> Result<(), Refusal> {
        self.unsynced.store(true, Ordering::Release);
        self.layout.lock().suspect.clear(); // nobody will send it again
        self.commit()
    }

    /// A WRITE was refused before it reached the disk, `full` for want of room: its range is a hole from now on.
    pub fn refuse(&self, range: Range<u64>, full: bool) {
        let _gate = self.gate.read();
        self.was_full.store(full, Ordering::Relaxed);
        self.layout.lock().failed(range.clone());
        self.record_hole(range);
    }

    /// Keeps bytes of the base at `offset` here, for the Hub may give them up; what has been written there is
    /// left alone. No change of the file: neither times nor generation move. On return they are on stable
    /// storage. Nothing happens to a copy that is clean, has a hole, or stands on another base.
    pub fn keep_base(&self, base: &Content, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let gate = self.gate.write(); // no WRITE between the look and the bytes
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let (missing, mtime) = self.with_layout(|layout| {
            let fits = layout.dirty && layout.holes.is_empty() && layout.base.as_ref() == Some(base);
            let pieces = if fits { layout.pieces(offset..offset + bytes.len() as u64) } else { Vec::new() };
            let missing = pieces.into_iter().filter(|piece| matches!(piece, Piece::Base(_)));
            (missing.map(|piece| piece.range()).collect::<Vec<_>>(), layout.mtime)
        });
        if missing.is_empty() {
            return Ok(());
        }
        let lease = self.pool.for_write(self.id, &self.paths)?;
        for range in &missing {
            let part = &bytes[(range.start - offset) as usize..(range.end - offset) as usize];
            lease.file.write(part, range.start)?;
        }
        // The bytes first: a record of bytes that a power cut took would hide the base behind zeros.
        lease.file.sync_data().inspect_err(|_| self.sync_broke())?;
        {
            let mut layout = self.layout.lock();
            for range in missing {
                let length = range.end - range.start;
                lease.file.append(&[Record::Extent { offset: range.start, length, mtime, durable: true }])?;
                layout.local.insert(range);
            }
        }
        self.sync_log(&lease.file)?;
        lease.publish();
        Ok(())
    }

    /// Gives the copy up if `allowed` still says so with everybody else shut out. Its files stay until
    /// [`Staged::delete_files`].
    pub fn retire(&self, allowed: impl FnOnce(&Layout) -> bool) -> bool {
        let mut gate = self.gate.write();
        if gate.retired || !allowed(&self.layout.lock()) {
            return gate.retired;
        }
        gate.retired = true;
        self.pool.forget(self.id);
        true
    }

    /// Deletes the two files of a copy that was given up.
    pub fn delete_files(&self) {
        // The log last: a data file without one is garbage, a log without data would promise bytes.
        for path in [&self.paths.data, &self.paths.log] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a staged file was not removed");
            }
        }
    }

    pub fn is_retired(&self) -> bool {
        self.gate.read().retired
    }

    fn begin_change(&self) {
        let mut layout = self.layout.lock();
        layout.generation += 1;
        layout.in_flight += 1;
        let size_then = layout.size;
        drop(layout);
        self.session.lock().get_or_insert(Session {
            since: Instant::now(),
            size_then,
            sent_at: None,
            sent: 0,
        });
        *self.changed.lock() = Instant::now();
    }

    fn mark_changed(&self) {
        self.unsynced.store(true, Ordering::Relaxed);
        *self.changed.lock() = Instant::now();
    }
}

/// Opens a log for replay and cuts a torn tail off, so that appending goes on after the last sound record.
pub fn reopen_log(path: &Path) -> io::Result<Option<Vec<Record>>> {
    let file = File::options().read(true).write(true).open(path)?;
    let Some(replay) = log::read(&file)? else { return Ok(None) };
    if file.metadata()?.len() > replay.sound {
        file.set_len(replay.sound)?;
    }
    Ok(Some(replay.records))
}
