//! What a person is told: one status, one report of a sync.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Key, restored};
use super::report::{Gauges, ItemState, QueueItem, Saved, Status, SyncLimits, SyncReport};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::Result;
use crate::names::{conflicts, kept};

/// Answers are looked at again after this long even without news.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Name of the queue's settings in the database.
const SETTINGS: &str = "queue";

impl BucketFs {
    /// The state of the whole bucket in figures.
    pub fn status(&self) -> Status {
        let mut status = Status {
            paused: self.queue.is_paused(),
            paused_until_ms: self.queue.paused_until_ms(),
            conflicts: self.names.ask(conflicts::all).map_or(0, |all| all.len() as u64),
            online: self.queue.offline_cause().is_none(),
            offline_cause: self.queue.offline_cause(),
            read_only: self.config.read_only,
            kept_bytes: self.content.kept().bytes(),
            to_keep_bytes: self.offline.left(),
            revision: self.revision(),
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
                ItemState::Held { .. } => status.held_deletes += 1,
            }
            status.unsent_bytes += item.bytes;
        }
        let left = status.queued + status.waiting + status.uploading + status.failed + status.held_deletes;
        status.all_saved = left == 0;
        status
    }

    /// `main (0123abcd4567)`, of a repo.
    fn revision(&self) -> Option<String> {
        let revision = &self.bucket.name().repo()?.revision;
        match self.bucket.commit() {
            Some(commit) if commit.sha.starts_with(revision) => Some(revision.clone()),
            Some(commit) => Some(format!("{revision} ({})", commit.sha.get(..12).unwrap_or(&commit.sha))),
            None => Some(revision.clone()),
        }
    }

    /// What is held at this moment.
    pub fn gauges(&self) -> Gauges {
        let copies = self.staging.all();
        Gauges {
            open_copies: self.staging.open_copies() as u64,
            staged_copies: copies.len() as u64,
            staged_bytes: copies.iter().map(|copy| copy.with_layout(|layout| layout.local_bytes())).sum(),
            tasks: self.tasks.len() as u64,
        }
    }

    /// Sends everything without debounce and waits until it is on the Hub, has failed for good, or `timeout`
    /// is over.
    pub async fn sync(self: &Arc<Self>, timeout: Option<Duration>) -> SyncReport {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut news = self.queue.changes();
        let hurry = Hurry::begin(self);
        let left = loop {
            let began = Instant::now();
            let fs = self.clone();
            let left = blocking(move || Ok(fs.left())).await.unwrap_or_default();
            let rest = Instant::now() + began.elapsed() * 3;
            let still_moving = left.iter().any(|item| !item.state.needs_somebody());
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if !still_moving || late || self.stop.is_cancelled() {
                break left;
            }
            let look_again = deadline
                .map_or(Instant::now() + LOOK_AGAIN, |deadline| deadline.min(Instant::now() + LOOK_AGAIN));
            let _ = tokio::time::timeout_at(look_again, news.changed()).await;
            tokio::time::sleep_until(deadline.map_or(rest, |deadline| rest.min(deadline))).await;
        };
        drop(hurry);
        SyncReport { complete: left.is_empty(), left }
    }

    /// Moves whenever [`BucketFs::queue`] or [`BucketFs::status`] may answer differently, and at every write:
    /// for whoever shows them. Look at most so often as is needed.
    pub fn news(&self) -> tokio::sync::watch::Receiver<u64> {
        self.queue.stirs()
    }

    /// Stops uploads (not writes) until [`BucketFs::resume`], over restarts too.
    pub fn pause(&self) {
        self.queue.set_paused(true, None);
        self.keep_settings();
    }

    /// The same, until a moment in milliseconds since 1970 at the latest.
    pub fn pause_until(&self, until_ms: i64) {
        self.queue.set_paused(true, Some(until_ms));
        self.keep_settings();
    }

    pub fn resume(&self) {
        self.queue.set_paused(false, None);
        self.keep_settings();
    }

    /// How much of the line uploads may take. Takes effect at once, for uploads under way too.
    pub fn set_limits(&self, limits: SyncLimits) {
        self.queue.set_limits(limits);
        self.keep_settings();
    }

    pub fn limits(&self) -> SyncLimits {
        self.queue.settings().limits
    }

    /// Time the queue has spent looking for what is to be done, since the start.
    pub fn time_spent_looking(&self) -> Duration {
        self.queue.looking()
    }

    /// What has reached the Hub lately, newest first.
    pub fn recently_saved(&self) -> Vec<Saved> {
        self.queue.recent()
    }

    fn keep_settings(&self) {
        let Ok(fs) = self.this() else { return };
        self.tasks.spawn(async move {
            if let Err(error) = fs.keep_what_the_queue_knows().await {
                tracing::error!(%error, "the queue's settings could not be stored");
            }
        });
    }

    /// Stores settings and what had failed for good, as they are when the transaction runs.
    pub(crate) async fn keep_what_the_queue_knows(&self) -> Result<()> {
        let fs = self.this()?;
        self.names
            .change(move |tx| {
                let settings = serde_json::to_string(&fs.queue.settings()).unwrap_or_default();
                tx.keep_setting(SETTINGS, &settings)?;
                match fs.queue.stopped_if_moved() {
                    Some(all) => tx.keep_troubles(&all),
                    None => Ok(()),
                }
            })
            .await
    }

    /// Takes up what an earlier life knew: settings, and what had failed for good.
    pub(crate) fn recall(&self) -> Result<()> {
        let (settings, troubles) =
            self.names.ask(|db| Ok((kept::setting(db, SETTINGS)?, kept::troubles(db)?)))?;
        let settings = settings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        self.queue.restore(settings, troubles.into_iter().filter_map(restored).collect());
        Ok(())
    }

    /// Tries failed items again: all, or those at this path. Returns how many.
    pub fn retry(&self, path: Option<&str>) -> u64 {
        let path = path.map(|path| path.trim_matches('/'));
        self.queue.retry(|key| match (path, key) {
            (None, _) => true,
            (Some(path), Key::Delete(key)) => self.path_of_key(key) == path,
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
