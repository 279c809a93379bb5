//! Space on the local disk: promised before a WRITE is answered, given back where it is only a convenience,
//! and told as what can really be taken (design.md promise 15).
//!
//! What can be taken is what the file system says is free, less the reserve, less what was promised to WRITEs
//! that are under way. Nothing else has to be counted: when `write(2)` returns, the file system has taken the
//! blocks off its free count (ext4, XFS and btrfs do so at the write, long before they choose the blocks), so a
//! byte is counted in exactly one of the two places at any moment. The reserve is for what is not counted:
//! sidecars, the state database and its WAL, Xet's shards, old bytes kept for an upload, blocks that a clone
//! shared until they were overwritten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::attr::FileId;
use crate::bucket_fs::BucketFs;
use crate::error::{Error, ErrorKind, Result};
use crate::names::Layer;
use crate::sync::saved_copies;

/// What can really be taken, in bytes, and how many files there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub files: u64,
}

/// More than anybody will store; some clients take 0 for "full".
const FILES: u64 = 1 << 40;
/// One WRITE waits this long for space, then the client is told to ask again.
const ONE_WAIT: Duration = Duration::from_millis(2500);
/// How often a waiting WRITE looks.
const LOOK: Duration = Duration::from_millis(200);
/// Given back beyond what one WRITE wants: the next one comes at once.
const AHEAD: u64 = 64 << 20;

/// Bytes promised to WRITEs under way.
#[derive(Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    promised: u64,
    /// Since when nothing could be promised to somebody who asked.
    short_since: Option<Instant>,
}

/// A promise; over when it is dropped, after the bytes were written or were not.
pub struct Promise {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut state = self.ledger.state.lock();
        state.promised = state.promised.saturating_sub(self.bytes);
    }
}

impl Ledger {
    /// Asks for `bytes`; `available` is asked for while no other promise can be made.
    fn promise(
        self: &Arc<Self>,
        bytes: u64,
        available: impl FnOnce() -> Result<u64>,
    ) -> Result<Option<Promise>> {
        let mut state = self.state.lock();
        if bytes > 0 && available()? < state.promised.saturating_add(bytes) {
            state.short_since.get_or_insert_with(Instant::now);
            return Ok(None);
        }
        state.promised += bytes;
        if bytes > 0 {
            state.short_since = None;
        }
        Ok(Some(Promise { ledger: self.clone(), bytes }))
    }

    fn promised(&self) -> u64 {
        self.state.lock().promised
    }

    fn short_for(&self) -> Duration {
        self.state.lock().short_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl BucketFs {
    /// Space for the part of a WRITE that has none yet. Clean caches are given back first; while uploads may
    /// free some, the caller waits.
    ///
    /// Errors: `Slow` (ask again, nothing was refused) as long as uploads go on, for `Config::full_patience`
    /// since space was found last; then, or when no upload can help, `NoSpace`.
    pub(crate) async fn promise_space(&self, id: FileId, offset: u64, length: u64) -> Result<Promise> {
        let wanted = self.staging.get(id).map_or(length, |staged| {
            staged.with_layout(|layout| layout.not_local(offset..offset.saturating_add(length)))
        });
        let until = Instant::now() + ONE_WAIT;
        loop {
            if let Some(promise) = self.ledger.promise(wanted, || self.available())? {
                return Ok(promise);
            }
            // Copies of removed files wait for their removal to be on stable storage: now it is worth a sync.
            let buried = !self.staging.condemned().is_empty() && self.sync_names().await.is_ok();
            if (self.make_room(wanted).await > 0 || buried)
                && let Some(promise) = self.ledger.promise(wanted, || self.available())?
            {
                return Ok(promise);
            }
            if self.ledger.short_for() >= self.config.full_patience || !self.uploads_may_free(id) {
                return Err(Error::new(ErrorKind::NoSpace, "The disk that holds BucketBar's state is full.")
                    .advise("Free some space on this machine and try again."));
            }
            if Instant::now() >= until {
                return Err(Error::new(ErrorKind::Slow, "The disk is full; uploads are freeing space."));
            }
            self.queue.wake();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Space for `bytes` of what is to be kept offline, for a moment: clean caches are given back for it. The answer is
    /// what is missing, 0 when there is enough.
    pub(crate) async fn short_of_room(&self, bytes: u64) -> Result<u64> {
        let short = |available: u64| bytes.saturating_add(self.ledger.promised()).saturating_sub(available);
        if short(self.available()?) > 0 {
            self.make_room(bytes).await;
        }
        Ok(short(self.available()?))
    }

    /// Free bytes that staging may take, promised or not.
    fn available(&self) -> Result<u64> {
        let (_, free) = self.disk()?;
        Ok(free.saturating_sub(self.config.reserve_bytes))
    }

    /// Size of the disk, and what this user may take of it.
    fn disk(&self) -> Result<(u64, u64)> {
        if let Some(limit) = self.config.faults.disk_size() {
            return Ok((limit, limit.saturating_sub(crate::faults::used_below(self.state.path()))));
        }
        let stat = rustix::fs::statvfs(self.state.path())
            .map_err(|error| Error::disk("asking for free space", &error.into()))?;
        Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    }

    /// Gives back what can be had again from the Hub: cached blocks, then copies of saved files. Answers how
    /// many bytes.
    async fn make_room(&self, wanted: u64) -> u64 {
        let short = wanted.saturating_add(self.ledger.promised()).saturating_add(AHEAD);
        let mut freed = self.content.free(short).await;
        if freed < short
            && let Ok(fs) = self.this()
        {
            match saved_copies::free(&fs, short - freed).await {
                Ok(more) => freed += more,
                Err(error) => tracing::warn!(%error, "saved copies could not be given up"),
            }
        }
        freed
    }

    /// Something else than this file is on its way to the Hub, and will be given up when it is there.
    fn uploads_may_free(&self, id: FileId) -> bool {
        if self.config.read_only || self.queue.is_paused() || self.queue.offline_cause().is_some() {
            return false;
        }
        self.staging.all().iter().any(|staged| {
            staged.id != id
                && staged.with_layout(|layout| {
                    layout.dirty
                        && layout.local_bytes() > 0
                        && layout.unstable.is_empty()
                        && layout.holes.is_empty()
                })
                && matches!(self.names.node(staged.id), Ok(Some(node)) if node.layer == Layer::Bucket)
                && !self.queue.trouble(&crate::sync::queue::Key::File(staged.id)).is_some_and(|t| t.stopped)
        })
    }

    /// The local disk's figures: what a copy can really take, with what would be given back for it.
    pub fn space(&self) -> Result<Space> {
        let (total, free) = self.disk()?;
        let taken = self.config.reserve_bytes.saturating_add(self.ledger.promised());
        let clean = self.content.stats().bytes_on_disk.saturating_add(saved_copies::bytes(self));
        let available = free.saturating_add(clean).saturating_sub(taken).min(total);
        Ok(Space { total, free: free.saturating_add(clean).min(total), available, files: FILES })
    }
}
