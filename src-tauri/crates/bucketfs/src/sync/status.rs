//! What a person is told: one status, one report of a sync.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Key;
use super::report::{ItemState, QueueItem, Status, SyncReport};
use crate::bucket_fs::BucketFs;

/// Answers are looked at again after this long even without news.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl BucketFs {
    /// The state of the whole bucket in figures.
    pub fn status(&self) -> Status {
        let mut status = Status {
            paused: self.queue.is_paused(),
            online: self.queue.offline_cause().is_none(),
            offline_cause: self.queue.offline_cause(),
            read_only: self.config.read_only,
            last_saved_ms: self.queue.last_saved_ms(),
            ..Status::default()
        };
        for item in self.queue() {
            match item.state {
                ItemState::LocalOnly { .. } => {
                    status.local_only += 1;
                    continue;
                }
                ItemState::Queued => status.queued += 1,
                ItemState::Waiting { .. } => status.waiting += 1,
                ItemState::Uploading { .. } | ItemState::Committing => status.uploading += 1,
                ItemState::Failed { .. } => status.failed += 1,
            }
            status.unsent_bytes += item.bytes;
        }
        status.all_saved = status.queued + status.waiting + status.uploading + status.failed == 0;
        status
    }

    /// Sends everything without debounce and waits until it is on the Hub, has failed for good, or `timeout`
    /// is over.
    pub async fn sync(self: &Arc<Self>, timeout: Option<Duration>) -> SyncReport {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut news = self.queue.changes();
        let hurry = Hurry::begin(self);
        let left = loop {
            let left = self.left();
            let still_moving = left.iter().any(|item| !matches!(item.state, ItemState::Failed { .. }));
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if !still_moving || late || self.stop.is_cancelled() {
                break left;
            }
            let look_again = deadline
                .map_or(Instant::now() + LOOK_AGAIN, |deadline| deadline.min(Instant::now() + LOOK_AGAIN));
            let _ = tokio::time::timeout_at(look_again, news.changed()).await;
        };
        drop(hurry);
        SyncReport { complete: left.is_empty(), left }
    }

    /// Moves whenever [`BucketFs::queue`] or [`BucketFs::status`] may answer differently, and at every write:
    /// for whoever shows them. Look at most so often as is needed.
    pub fn news(&self) -> tokio::sync::watch::Receiver<u64> {
        self.queue.stirs()
    }

    /// Stops uploads (not writes) until [`BucketFs::resume`].
    pub fn pause(&self) {
        self.queue.set_paused(true);
    }

    pub fn resume(&self) {
        self.queue.set_paused(false);
    }

    /// Tries failed items again: all, or those at this path. Returns how many.
    pub fn retry(&self, path: Option<&str>) -> u64 {
        let path = path.map(|path| path.trim_matches('/'));
        self.queue.retry(|key| match (path, key) {
            (None, _) => true,
            (Some(path), Key::Delete(key)) => key == path,
            (Some(path), Key::File(id) | Key::Folder(id)) => self.work_key_path(*id) == path,
        })
    }

    fn left(&self) -> Vec<QueueItem> {
        self.queue().into_iter().filter(|item| !matches!(item.state, ItemState::LocalOnly { .. })).collect()
    }
}

/// Ends the hurry also when the caller stops waiting.
struct Hurry(Arc<BucketFs>);

impl Hurry {
    fn begin(fs: &Arc<BucketFs>) -> Self {
        fs.queue.hurry();
        Hurry(fs.clone())
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.queue.calm();
    }
}
