//! COMMIT of one staged copy: what a sync covers, and what happens when it fails.
//!
//! The order is data, then the log: a record that is on stable storage never promises bytes that are not. A
//! sync that failed is not simply tried again: the kernel calls the pages it could not write clean, so the
//! next sync would succeed without them. Bytes are therefore *suspect* until the client has sent them again
//! (it does, because the answer carries a new verifier), and the log is written anew.

use std::io;
use std::sync::atomic::Ordering;

use super::log::Record;
use super::pool::Writable;
use super::staged::{LOG_LOOK, MOST_ROTATIONS, Refusal, Staged};

impl Staged {
    /// On `Ok` everything acknowledged before the call is on stable storage, data and extents.
    ///
    /// Errors: `Disk` when the sync failed and a new epoch will make the client send again; `Lost` when that
    /// happened too often, and what was not on stable storage is a hole now; `Hole` while there is one.
    pub fn commit(&self) -> Result<(), Refusal> {
        let _one = self.committing.lock();
        if let Err(error) = self.renew_log() {
            return Err(self.commit_failed(error));
        }
        let gate = self.gate.read();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        if self.with_layout(|layout| !layout.holes.is_empty()) {
            return Err(self.hole());
        }
        // First the flag, then the ranges: a write between the two is covered by this sync and makes the
        // next one sync again for nothing; the other way round its range would stay open for ever.
        if !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.recent.lock().clear();
        match self.sync_and_close() {
            Ok(()) => {
                if self.with_layout(|layout| layout.suspect.is_empty()) {
                    self.failed_commits.store(0, Ordering::Relaxed);
                }
                Ok(())
            }
            Err(error) => Err(self.commit_failed(error)),
        }
    }

    /// Makes everything acknowledged durable and leaves the epoch open: this process ends, the client has not
    /// said that it is done (a file is no version before its COMMIT).
    pub fn make_durable(&self) -> Result<(), Refusal> {
        let _one = self.committing.lock();
        self.renew_log()?;
        let gate = self.gate.read();
        if gate.retired {
            return Err(Refusal::Retired);
        }
        let lease = self.pool.for_write(self.id, &self.paths)?;
        self.sync_files(&lease.file).inspect_err(|_| self.sync_broke())?;
        lease.publish();
        Ok(())
    }

    fn commit_failed(&self, error: io::Error) -> Refusal {
        self.sync_broke();
        if self.failed_commits.fetch_add(1, Ordering::Relaxed) < MOST_ROTATIONS {
            return Refusal::Disk(error);
        }
        let lost = self.layout.lock().give_up_suspect();
        for range in lost {
            self.record_hole(range);
        }
        Refusal::Lost(error)
    }

    /// A sync failed: what it was to bring counts only when it has been sent again. Whoever syncs next must find the
    /// new verifier, so this comes before `committing` is let go.
    pub(super) fn sync_broke(&self) {
        self.pool.epoch.begin();
        self.unsynced.store(true, Ordering::Release);
        self.layout.lock().sync_failed();
    }

    fn sync_and_close(&self) -> io::Result<()> {
        let lease = self.pool.for_write(self.id, &self.paths)?;
        lease.file.sync_data()?;
        {
            let mut layout = self.layout.lock();
            // Extents that came in meanwhile, or whose sync failed once, are not covered: then the epoch stays
            // open in the log.
            let later = self.recent.lock().clone();
            if layout.synced(later) {
                lease.file.append(&[Record::Closed])?;
            }
        }
        self.sync_log(&lease.file)?;
        self.look_at_log(&lease.file);
        self.cut_surplus(&lease.file);
        lease.publish();
        Ok(())
    }

    /// The log says on stable storage how long the file is: what lies behind in the data file is of no use.
    fn cut_surplus(&self, file: &Writable) {
        let layout = self.layout.lock();
        let surplus = file.data.metadata().is_ok_and(|meta| meta.len() > layout.size);
        if layout.in_flight > 0 || !surplus {
            return;
        }
        self.cut_snapshots(layout.size);
        if let Err(error) = file.set_len(layout.size) {
            tracing::warn!(file = %self.id, %error, "a staged file was not cut");
        }
    }

    pub(super) fn sync_files(&self, file: &Writable) -> io::Result<()> {
        file.sync_data()?;
        self.sync_log(file)
    }

    pub(super) fn sync_log(&self, file: &Writable) -> io::Result<()> {
        let synced = file.sync_log().and_then(|()| {
            if !self.named.load(Ordering::Acquire) {
                self.pool.folder.sync(&self.paths.log)?;
                self.named.store(true, Ordering::Release);
            }
            Ok(())
        });
        if synced.is_err() {
            self.log_outworn.store(true, Ordering::Release);
        }
        synced
    }

    /// A file that is written for ever must not have a log that grows for ever.
    fn look_at_log(&self, file: &Writable) {
        let Ok(length) = file.log_len() else { return };
        if length <= self.next_look.load(Ordering::Relaxed) {
            return;
        }
        let records = self.with_layout(|layout| layout.local.iter().count() + layout.unstable.iter().count());
        if (records as u64).saturating_mul(64 * 4) < length {
            self.log_outworn.store(true, Ordering::Release);
        }
        self.next_look.store(length.saturating_mul(2), Ordering::Relaxed);
    }

    /// Writes the log anew where the old one is no longer to be relied on. Writers wait a moment.
    pub(super) fn renew_log(&self) -> io::Result<()> {
        if !self.log_outworn.load(Ordering::Acquire) {
            return Ok(());
        }
        let gate = self.gate.write();
        if gate.retired {
            return Ok(());
        }
        let layout = self.layout.lock();
        let mut records = layout.records(&self.birth);
        drop(records.splice(1..1, self.notes.lock().iter().cloned()));
        self.pool.replace_log(self.id, &self.paths, &records)?;
        self.log_outworn.store(false, Ordering::Release);
        self.next_look.store(LOG_LOOK.max(records.len() as u64 * 128), Ordering::Relaxed);
        Ok(())
    }
}
