//! All staged copies of a bucket: made on the first change, found again after a crash, given up when the
//! Hub has their content and space is wanted.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::epoch::Epoch;
use super::layout::Layout;
use super::log::{Birth, Record};
use super::pool::{FilePool, Paths};
use super::refused::Refused;
use super::staged::{Refusal, Staged, reopen_log};
use crate::attr::FileId;
use crate::durable::sync_folder_of;
use crate::error::{Error, Result};
use crate::faults::Faults;

/// Descriptors: two a slot.
const OPEN_SLOTS: usize = 256;
const TURNS: usize = 64;

pub struct StagingArea {
    folder: PathBuf,
    pool: Arc<FilePool>,
    files: RwLock<HashMap<FileId, Arc<Staged>>>,
    /// Copies of removed files, whose removal may not be on stable storage yet.
    condemned: Mutex<Vec<Arc<Staged>>>,
    /// A file's copy is made, refused, condemned or given up by one at a time, so that two first WRITEs share one. Files
    /// share a lock by their number.
    turns: [Mutex<()>; TURNS],
    /// Holes of files that have no copy.
    pub refused: Refused,
}

/// A copy found after a restart.
pub struct Found {
    pub staged: Arc<Staged>,
    /// The last path it was known by.
    pub path: String,
    /// The boot in which it was staged or taken up last.
    pub boot: String,
    /// Set when the epoch was still open: acknowledged UNSTABLE, no COMMIT after it.
    pub epoch_open: bool,
}

impl StagingArea {
    /// Opens the folder with a new epoch: no verifier of an earlier life is given again.
    pub fn open(folder: &Path, faults: Faults) -> Result<Self> {
        Ok(StagingArea {
            refused: Refused::open(&folder.join("refused")),
            folder: folder.to_owned(),
            pool: Arc::new(FilePool::new(OPEN_SLOTS, faults, Epoch::open()?)),
            files: RwLock::new(HashMap::new()),
            condemned: Mutex::new(Vec::new()),
            turns: std::array::from_fn(|_| Mutex::new(())),
        })
    }

    /// The write verifier of this epoch (RFC 1813 3.3.21): non-zero, the same for every file.
    pub fn verifier(&self) -> u64 {
        self.pool.epoch.verifier()
    }

    /// Begins a new epoch: a sync failed, the client must send everything uncommitted again.
    pub fn new_epoch(&self) -> u64 {
        self.pool.epoch.begin()
    }

    pub fn open_copies(&self) -> usize {
        self.pool.open()
    }

    pub fn get(&self, id: FileId) -> Option<Arc<Staged>> {
        self.files.read().get(&id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Staged>> {
        self.files.read().values().cloned().collect()
    }

    /// The file's staged copy, made from what `begin` says when it has none. `begin` is asked while no copy is given
    /// up: what an earlier one has left in the row is there. Blocks on the local disk.
    pub fn get_or_create(
        &self,
        id: FileId,
        begin: impl FnOnce() -> Result<(Birth, Layout)>,
    ) -> Result<Arc<Staged>> {
        if let Some(staged) = self.get(id) {
            return Ok(staged);
        }
        let _one = self.turn(id);
        if let Some(staged) = self.get(id) {
            return Ok(staged);
        }
        let (birth, mut layout) = begin()?;
        let path = birth.path.clone();
        layout.holes = self.refused.holes_of(id);
        layout.dirty |= !layout.holes.is_empty();
        let staged = Staged::create(self.paths(id), self.pool.clone(), birth, layout)
            .map_err(|error| Error::disk(format!("staging {path}"), &error))?;
        if matches!(self.refused.hole_of(id), Some(Refusal::HoleForWantOfRoom)) {
            staged.note_full();
        }
        let staged = Arc::new(staged);
        self.files.write().insert(id, staged.clone());
        self.refused.forget(id);
        Ok(staged)
    }

    /// A WRITE was refused before it reached a copy, `full` for want of room: its range is a hole, in the copy if there
    /// is one. No copy is made or given up meanwhile, so that the hole is in the one that counts.
    pub fn refuse(&self, id: FileId, range: Range<u64>, full: bool) {
        let _one = self.turn(id);
        match self.get(id) {
            Some(staged) => staged.refuse(range, full),
            None => self.refused.add(id, range, full),
        }
    }

    /// The file was removed for good: nobody can reach its copy any more. The two files stay until the removal is
    /// on stable storage ([`StagingArea::bury`]): after a power cut before that the name is back, and so must be
    /// what was committed. `true` when this is the first to wait.
    pub fn condemn(&self, id: FileId) -> bool {
        let _one = self.turn(id);
        self.refused.forget(id);
        let Some(staged) = self.files.write().remove(&id) else { return false };
        staged.retire(|_| true);
        let mut condemned = self.condemned.lock();
        condemned.push(staged);
        condemned.len() == 1
    }

    /// The copies condemned up to now.
    pub fn condemned(&self) -> Vec<Arc<Staged>> {
        self.condemned.lock().clone()
    }

    /// Deletes condemned copies whose removal is on stable storage.
    pub fn bury(&self, dead: &[Arc<Staged>]) {
        dead.iter().for_each(|staged| staged.delete_files());
        // Else a power cut may bring the files back, and recovery makes a row for them.
        if let Err(error) = sync_folder_of(&self.folder.join("any")) {
            tracing::warn!(%error, "the staging folder was not synced");
        }
        self.condemned.lock().retain(|staged| !dead.iter().any(|one| Arc::ptr_eq(one, staged)));
    }

    /// Gives a copy up when `allowed` still says so, and deletes it; `true` when it is gone. What the row says of the
    /// file must be on stable storage.
    pub fn retire(&self, id: FileId, allowed: impl FnOnce(&Layout) -> bool) -> bool {
        let Some(staged) = self.get(id) else {
            self.refused.forget(id);
            return true;
        };
        let _one = self.turn(id);
        if !staged.retire(allowed) {
            return false;
        }
        staged.delete_files();
        let mut files = self.files.write();
        if files.get(&id).is_some_and(|current| Arc::ptr_eq(current, &staged)) {
            files.remove(&id);
        }
        true
    }

    /// Reads every sidecar of an earlier life. Files that are not ours are kept aside, never deleted.
    pub fn recover(&self) -> Result<Vec<Found>> {
        let entries = fs::read_dir(&self.folder)
            .map_err(|error| Error::disk(format!("reading {}", self.folder.display()), &error))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| Error::disk("reading the staging folder", &error))?.path();
            if path.extension().is_some_and(|extension| extension == "log")
                && let Some(one) = self.recover_one(&path)?
            {
                self.files.write().insert(one.staged.id, one.staged.clone());
                found.push(one);
            }
        }
        found.sort_by_key(|one| one.staged.id);
        Ok(found)
    }

    fn recover_one(&self, log: &Path) -> Result<Option<Found>> {
        let disk = |error: std::io::Error| Error::disk(format!("reading {}", log.display()), &error);
        let records = reopen_log(log).map_err(disk)?.unwrap_or_default();
        let Some(Record::Born(birth)) = records.first().cloned() else {
            return self.keep_aside(log).map(|()| None);
        };
        let paths = self.paths(birth.id);
        if paths.log != log {
            return self.keep_aside(log).map(|()| None);
        }
        if !paths.data.exists() {
            // `retire` removes the data first: this copy had been given up.
            fs::remove_file(log).map_err(disk)?;
            return Ok(None);
        }
        let (mut path, mut boot) = (birth.path.clone(), birth.boot.clone());
        let (mut named, mut taken) = (None, None);
        for record in &records {
            match record {
                Record::Named { path: newer } => {
                    path.clone_from(newer);
                    named = Some(record.clone());
                }
                Record::Taken { boot: newer } => {
                    boot.clone_from(newer);
                    taken = Some(record.clone());
                }
                _ => {}
            }
        }
        let notes = named.into_iter().chain(taken).collect();
        let layout = Layout::replay(&records);
        let data = fs::File::options().write(true).open(&paths.data).map_err(disk)?;
        // Longer: the record of what lies behind was lost. Shorter: bytes were lost that nobody had committed.
        data.set_len(layout.size).map_err(disk)?;
        let epoch_open = !layout.unstable.is_empty();
        let staged = Arc::new(Staged::adopt(paths, self.pool.clone(), birth, layout, notes));
        Ok(Some(Found { staged, path, boot, epoch_open }))
    }

    fn keep_aside(&self, log: &Path) -> Result<()> {
        let aside = self.folder.join("unreadable");
        tracing::error!(file = %log.display(), "a sidecar cannot be read; it is kept in {}", aside.display());
        fs::create_dir_all(&aside).map_err(|error| Error::disk("keeping a damaged sidecar aside", &error))?;
        for extension in ["log", "data"] {
            let from = log.with_extension(extension);
            let Some(name) = from.file_name() else { continue };
            if from.exists() {
                fs::rename(&from, aside.join(name))
                    .map_err(|error| Error::disk("keeping a damaged sidecar aside", &error))?;
            }
        }
        Ok(())
    }

    fn turn(&self, id: FileId) -> MutexGuard<'_, ()> {
        self.turns[id.0 as usize % TURNS].lock()
    }

    fn paths(&self, id: FileId) -> Paths {
        Paths { data: self.folder.join(format!("{id}.data")), log: self.folder.join(format!("{id}.log")) }
    }
}
