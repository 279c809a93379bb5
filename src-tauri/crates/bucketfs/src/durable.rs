//! Small files that must be whole: written aside, synced, renamed, folder synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Replaces `path` with `bytes` (mode 0600). On return the new content and its name are on stable
/// storage; on error the old content is still there.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    sync_all(&file)?;
    fs::rename(&aside, path)?;
    sync_folder_of(path)
}

/// Syncs the folder that holds `path`, so that a name made or changed there survives a power cut.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => sync_all(&File::open(folder)?),
        None => Ok(()),
    }
}

/// Syncs one folder for many who made names in it at the same time.
#[derive(Default)]
pub struct FolderSync {
    asked: AtomicU64,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    /// Who asked up to this number is served.
    done: u64,
    /// Whom a sync that failed was to serve, and how it failed. The kernel says so once: who asks again finds all clean.
    broken: u64,
    error: Option<io::Error>,
}

impl FolderSync {
    /// On return the names made in the folder of `path` before the call are on stable storage. Blocks.
    pub fn sync(&self, path: &Path) -> io::Result<()> {
        self.sync_by(|| sync_folder_of(path))
    }

    fn sync_by(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mine = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut turn = self.turn.lock();
        if mine <= turn.broken
            && let Some(error) = &turn.error
        {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        if mine <= turn.done {
            return Ok(());
        }
        // Whoever has asked by now has made his name before.
        let served = self.asked.load(Ordering::Acquire);
        match sync() {
            Ok(()) => {
                turn.done = served;
                Ok(())
            }
            Err(error) => {
                turn.broken = served;
                turn.error = Some(io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
        }
    }
}

/// Data and metadata on stable storage. `File::sync_all` is F_FULLFSYNC on macOS already.
pub fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Data, and what is needed to find it, on stable storage.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// How many of eight who ask together are served by how many syncs, of which the first fails when `broken`.
    fn eight(broken: bool) -> (u64, usize) {
        let (folder, syncs, release) = (FolderSync::default(), AtomicU64::new(0), AtomicBool::new(false));
        let served = std::thread::scope(|scope| {
            let ask = || {
                folder.sync_by(|| {
                    let first = syncs.fetch_add(1, Ordering::SeqCst) == 0;
                    while first && !release.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    if broken { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
                })
            };
            let first = scope.spawn(ask);
            while syncs.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let others: Vec<_> = (0..7).map(|_| scope.spawn(ask)).collect();
            while folder.asked.load(Ordering::SeqCst) < 8 {
                std::thread::yield_now();
            }
            release.store(true, Ordering::SeqCst);
            let all = std::iter::once(first).chain(others);
            all.map(|one| one.join().unwrap()).filter(Result::is_ok).count()
        });
        (syncs.load(Ordering::SeqCst), served)
    }

    #[test]
    fn who_waits_for_a_folders_sync_shares_the_next_one_and_its_failure() {
        assert_eq!(eight(false), (2, 8), "one was under way: what is new needs another, and one only");
        assert_eq!(
            eight(true),
            (2, 0),
            "nobody is told that his name is safe by a kernel that has spoken already"
        );
    }
}
