//! The queue's one loop. Contents go up on tasks beside each other; names are written here, one batch after
//! the other, so that no two changes of the Hub's names race.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub::HubError;
use tokio::task::JoinSet;

use super::queue::Key;
use super::upload::{self, Outcome, Stored};
use super::work::{FileWork, Means, Work, hold_back, names_settle_in};
use super::{deletes, folders, save};
use crate::attr::FileId;
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::Result;
use crate::event::Event;

/// Uploads beside each other; each may be a session of many small files.
const PARALLEL: usize = 3;
/// Every WRITE wakes the queue; looks are this far apart at least.
const GATHER: Duration = Duration::from_millis(30);
/// Without any news the queue looks again after this long.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

struct Syncer {
    fs: Arc<BucketFs>,
    uploads: JoinSet<Vec<Outcome>>,
    going_up: HashSet<FileId>,
    /// When something that waits will be due.
    next: Option<Instant>,
}

/// Runs until the bucket is shut down. Uploads under way are dropped then: nothing of theirs is named yet.
pub async fn run(fs: Arc<BucketFs>) {
    let stop = fs.stop.clone();
    let mut syncer = Syncer { fs, uploads: JoinSet::new(), going_up: HashSet::new(), next: None };
    loop {
        let sleep = syncer.next.map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = stop.cancelled() => break,
            () = syncer.fs.queue.woken() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(sleep.clamp(Duration::from_millis(10), LONGEST_SLEEP)) => {}
            Some(done) = syncer.uploads.join_next() => {
                let stored = syncer.settle_uploads(done.unwrap_or_default());
                tokio::select! {
                    () = save::save(&syncer.fs, stored) => {}
                    () = stop.cancelled() => break,
                }
            }
        }
        tokio::select! {
            outcome = syncer.round() => if let Err(error) = outcome {
                tracing::error!(%error, "the sync queue met a local failure; it goes on in a while");
                syncer.due_in(Duration::from_secs(5));
            },
            () = stop.cancelled() => break,
        }
    }
    syncer.uploads.shutdown().await;
}

/// The Hub cannot be reached: everything waits, nothing has failed.
pub fn note_offline(fs: &BucketFs, error: &HubError) {
    if fs.queue.offline(&error.what) {
        fs.tell(Event::Online { online: false, cause: error.what.clone() });
    }
}

pub fn note_online(fs: &BucketFs) {
    if fs.queue.online() {
        fs.tell(Event::Online { online: true, cause: String::new() });
    }
}

impl Syncer {
    /// One look at what is to be done: starts what is ready, notes when the rest will be.
    async fn round(&mut self) -> Result<()> {
        self.next = None;
        if let Some(until) = self.fs.queue.offline_until() {
            self.due_at(until);
            return Ok(());
        }
        if self.fs.queue.is_paused() {
            return Ok(());
        }
        let fs = self.fs.clone();
        let work = blocking(move || Work::find(&fs)).await?;
        for id in &work.edited_but_gone {
            self.fs.revive(*id).await?;
            self.fs.queue.wake();
        }
        self.move_folders(&work).await?;
        let (copies, uploads) = self.ready_files(work.files);
        if !copies.is_empty() {
            save::save(&self.fs, copies).await;
        }
        self.start_uploads(uploads);
        self.delete(work.deletes).await
    }

    async fn move_folders(&mut self, work: &Work) -> Result<()> {
        for folder in &work.folders {
            let key = Key::Folder(folder.id);
            let settle = names_settle_in(&self.fs, folder.ctime.as_ms());
            if settle.is_zero() && self.is_due(&key) {
                folders::move_folder(&self.fs, folder).await?;
            } else if !settle.is_zero() {
                self.due_in(settle);
            }
        }
        Ok(())
    }

    /// Splits what is ready into copies by hash and uploads.
    fn ready_files(&mut self, files: Vec<FileWork>) -> (Vec<Stored>, Vec<FileWork>) {
        let (mut copies, mut uploads) = (Vec::new(), Vec::new());
        for file in files {
            if self.going_up.contains(&file.node.id) || !self.is_due(&Key::File(file.node.id)) {
                continue;
            }
            match &file.means {
                Means::Copy(content) => {
                    let settle = names_settle_in(&self.fs, file.node.ctime.as_ms());
                    if settle.is_zero() {
                        let (content, mtime) = (content.clone(), file.node.mtime);
                        copies.push(Stored { work: file, content, generation: 0, mtime });
                    } else {
                        self.due_in(settle);
                    }
                }
                Means::Empty => {
                    let settle =
                        names_settle_in(&self.fs, file.node.ctime.as_ms()).min(self.fs.config.debounce);
                    if settle.is_zero() { uploads.push(file) } else { self.due_in(settle) }
                }
                Means::Upload(_) => match hold_back(&self.fs, &file) {
                    None => uploads.push(file),
                    Some((_, Some(wait))) => self.due_in(wait),
                    Some((_, None)) => {}
                },
            }
        }
        (copies, uploads)
    }

    fn start_uploads(&mut self, files: Vec<FileWork>) {
        for group in upload::groups(files) {
            if self.uploads.len() >= PARALLEL {
                break; // the end of one wakes the loop
            }
            self.going_up.extend(group.iter().map(|file| file.node.id));
            self.uploads.spawn(upload::store(self.fs.clone(), group));
        }
    }

    /// Takes finished uploads over; what is stored goes on to be named.
    fn settle_uploads(&mut self, outcomes: Vec<Outcome>) -> Vec<Stored> {
        let mut stored = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Stored(one) => {
                    note_online(&self.fs);
                    self.going_up.remove(&one.work.node.id);
                    stored.push(*one);
                }
                Outcome::Changed(id) => {
                    self.going_up.remove(&id);
                    self.due_in(self.fs.config.debounce);
                }
                Outcome::Failed(id, error) => {
                    self.going_up.remove(&id);
                    save::note_failure(&self.fs, id, &error);
                }
            }
        }
        if self.uploads.is_empty() {
            self.going_up.clear(); // also after a task that panicked
        }
        stored
    }

    async fn delete(&mut self, all: Vec<crate::names::query::PendingDelete>) -> Result<()> {
        let mut due = Vec::new();
        for delete in all {
            let settle = names_settle_in(&self.fs, delete.since_ms);
            if !settle.is_zero() {
                self.due_in(settle);
            } else if self.is_due(&Key::Delete(delete.path.clone())) {
                due.push(delete);
            }
        }
        deletes::delete(&self.fs, due).await
    }

    /// `true` when the item may be tried; else its time is noted.
    fn is_due(&mut self, key: &Key) -> bool {
        if self.fs.queue.may_try(key) {
            return true;
        }
        if let Some((when, _)) = self.fs.queue.trouble(key).filter(|t| !t.stopped).and_then(|t| t.not_before)
        {
            self.due_at(when);
        }
        false
    }

    fn due_in(&mut self, wait: Duration) {
        self.due_at(Instant::now() + wait);
    }

    fn due_at(&mut self, when: Instant) {
        self.next = Some(self.next.map_or(when, |next| next.min(when)));
    }
}
