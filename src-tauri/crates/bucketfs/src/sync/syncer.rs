//! The queue's one loop. Contents go up on tasks beside each other; names are written by one task at a time,
//! so that no two changes of the Hub's names race, and none of them holds up an upload.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub::HubError;
use tokio::task::{Id, JoinSet};

use super::queue::{Key, Progress};
use super::schedule::{self, SMALL, Size, Slots};
use super::upload::{self, Outcome, Stored};
use super::work::{FileWork, FolderMove, Means, Work, delete_due_in, hold_back, names_settle_in};
use super::{deletes, folders, save};
use crate::attr::{FileId, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::Result;
use crate::event::Event;
use crate::names::query::PendingDelete;

/// Every WRITE wakes the queue; looks are this far apart at least.
const GATHER: Duration = Duration::from_millis(30);
/// A look takes as long as much is unsent: looks take a tenth of the time at most, as long as that is still
/// prompt.
const REST: u32 = 10;
/// The same while somebody waits for everything to be on the Hub.
const SHORT_REST: u32 = 2;
const LONGEST_REST: Duration = Duration::from_secs(3);
/// Without any news the queue looks again after this long.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Keys named or deleted by one task: many in one call, and the others get their turn.
const NAMES_AT_ONCE: usize = 500;

struct Syncer {
    fs: Arc<BucketFs>,
    uploads: JoinSet<Vec<Outcome>>,
    running: HashMap<Id, Running>,
    small_in_a_row: u32,
    /// Stored contents that wait for their name.
    to_name: VecDeque<Stored>,
    /// One task at most.
    naming: JoinSet<()>,
    in_naming: HashSet<FileId>,
    /// The last task of `naming` wrote names; deletions are next if there are any.
    saved_last: bool,
    /// The person has been asked about many deletions.
    asked: bool,
    /// When something that waits will be due.
    next: Option<Instant>,
    /// The last look ended then, and took so long.
    looked: Option<(Instant, Duration)>,
}

/// An upload's task.
struct Running {
    ids: Vec<FileId>,
    size: Size,
}

/// Runs until the bucket is shut down. Uploads under way are dropped then: nothing of theirs is named yet. A
/// batch that is dropped was noted before it was sent.
pub async fn run(fs: Arc<BucketFs>) {
    let stop = fs.stop.clone();
    let mut syncer = Syncer::new(fs);
    loop {
        let sleep = syncer.next.map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = stop.cancelled() => break,
            () = syncer.fs.queue.woken() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(sleep.clamp(Duration::from_millis(10), LONGEST_SLEEP)) => {}
            Some(done) = syncer.uploads.join_next_with_id() => match done {
                Ok((id, outcomes)) => syncer.settle_upload(id, outcomes),
                Err(error) => syncer.settle_upload(error.id(), Vec::new()), // it panicked
            },
            Some(_) = syncer.naming.join_next() => syncer.in_naming.clear(),
        }
        tokio::select! {
            () = syncer.rest() => {}
            () = stop.cancelled() => break,
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
    syncer.naming.shutdown().await;
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
    fn new(fs: Arc<BucketFs>) -> Self {
        Syncer {
            fs,
            uploads: JoinSet::new(),
            running: HashMap::new(),
            small_in_a_row: 0,
            to_name: VecDeque::new(),
            naming: JoinSet::new(),
            in_naming: HashSet::new(),
            saved_last: false,
            asked: false,
            next: Some(Instant::now()), // what an earlier life left waits for no news
            looked: None,
        }
    }

    /// One look at what is to be done: starts what is ready, notes when the rest will be.
    async fn round(&mut self) -> Result<()> {
        self.next = None;
        self.keep_stopped().await?;
        if let Some(until) = self.fs.queue.offline_until() {
            self.due_at(until);
            return Ok(());
        }
        if self.fs.queue.is_paused() {
            if let Some(until) = self.fs.queue.paused_until_ms() {
                let left = until.saturating_sub(Timestamp::now().as_ms()).max(0) as u64;
                self.due_in(Duration::from_millis(left + 1));
            }
            return Ok(());
        }
        let fs = self.fs.clone();
        let began = Instant::now();
        let work = blocking(move || Work::find(&fs)).await?;
        self.looked = Some((Instant::now(), began.elapsed()));
        self.fs.queue.looked(began.elapsed());
        for id in &work.edited_but_gone {
            self.fs.revive(*id).await?;
            self.fs.queue.wake();
        }
        self.ask(&work);
        let folder = self.due_folder(&work.folders);
        let deletes = self.due_deletes(&work);
        let (copies, uploads) = self.ready_files(work.files);
        self.name(folder, copies, deletes);
        self.start_uploads(uploads);
        Ok(())
    }

    /// What happens meanwhile is gathered into the next look.
    async fn rest(&self) {
        let Some((ended, took)) = self.looked else { return };
        let times = if self.fs.queue.hurried() { SHORT_REST } else { REST };
        let rest = took.saturating_mul(times).min(LONGEST_REST);
        tokio::time::sleep(rest.saturating_sub(ended.elapsed())).await;
    }

    /// Told once for every time that there is something to ask.
    fn ask(&mut self, work: &Work) {
        if let Some(asks) = &work.asks
            && !self.asked
        {
            self.fs.tell(Event::DeletesHeld { count: asks.count, of: asks.of });
        }
        self.asked = work.asks.is_some();
    }

    /// What had failed for good is known after a restart, without asking the Hub again.
    async fn keep_stopped(&mut self) -> Result<()> {
        match self.fs.queue.stopped_if_moved() {
            Some(all) => self.fs.names.change(move |tx| tx.keep_troubles(&all)).await,
            None => Ok(()),
        }
    }

    /// One folder whose turn it is, and whether it has to go by a detour: when each waits for another.
    fn due_folder(&mut self, folders: &[FolderMove]) -> Option<(FolderMove, bool)> {
        let waits = |one: &FolderMove| folders.iter().any(|other| one.waits_for(other));
        let in_a_ring = !folders.is_empty() && folders.iter().all(waits);
        let mut due = None;
        for one in folders.iter().filter(|one| in_a_ring || !waits(one)) {
            let settle = names_settle_in(&self.fs, one.folder.ctime.as_ms());
            if !settle.is_zero() {
                self.due_in(settle);
            } else if due.is_none() && self.is_due(&Key::Folder(one.folder.id)) {
                due = Some((one.clone(), in_a_ring));
            }
        }
        due
    }

    fn due_deletes(&mut self, work: &Work) -> Vec<PendingDelete> {
        let mut due = Vec::new();
        for delete in &work.deletes {
            if work.asks.is_some() && delete.is_held() {
                continue; // until somebody answers
            }
            let wait = delete_due_in(&self.fs, delete);
            if !wait.is_zero() {
                self.due_in(wait);
            } else if due.len() < NAMES_AT_ONCE && self.is_due(&Key::Delete(delete.path.clone())) {
                due.push(delete.clone());
            }
        }
        due
    }

    /// Splits what is ready into copies by hash and uploads.
    fn ready_files(&mut self, files: Vec<FileWork>) -> (Vec<Stored>, Vec<FileWork>) {
        let busy = self.busy();
        let (mut copies, mut uploads) = (Vec::new(), Vec::new());
        for file in files {
            if busy.contains(&file.node.id) || !self.is_due(&Key::File(file.node.id)) {
                continue;
            }
            if self.fs.staging.refused.has(file.node.id) {
                continue; // what is there is not what the program wrote
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

    /// Files that some task has in hand.
    fn busy(&self) -> HashSet<FileId> {
        let running = self.running.values().flat_map(|running| running.ids.iter().copied());
        let waiting = self.to_name.iter().map(|stored| stored.work.node.id);
        running.chain(waiting).chain(self.in_naming.iter().copied()).collect()
    }

    /// Starts the one task that writes names, when it is free: folders, then files and deletions in turn.
    fn name(&mut self, folder: Option<(FolderMove, bool)>, copies: Vec<Stored>, deletes: Vec<PendingDelete>) {
        if !self.naming.is_empty() {
            return; // its end wakes the loop
        }
        let fs = self.fs.clone();
        if let Some((one, detour)) = folder {
            self.naming.spawn(async move { note_local(folders::move_folder(&fs, &one, detour).await) });
        } else if !deletes.is_empty() && (self.saved_last || (self.to_name.is_empty() && copies.is_empty())) {
            self.saved_last = false;
            self.naming.spawn(async move { note_local(deletes::delete(&fs, deletes).await) });
        } else {
            self.to_name.extend(copies);
            let part = self.next_to_name();
            if !part.is_empty() {
                self.saved_last = true;
                self.in_naming = part.iter().map(|stored| stored.work.node.id).collect();
                self.naming.spawn(async move { save::save(&fs, part).await });
            }
        }
    }

    /// The next contents that go into one batch: of one company (see [`Queue::part`](super::queue::Queue)).
    fn next_to_name(&mut self) -> Vec<Stored> {
        let Some(first) = self.to_name.front() else { return Vec::new() };
        let most = self.fs.queue.apart(first.work.node.id);
        let limit = most.unwrap_or(NAMES_AT_ONCE).min(NAMES_AT_ONCE);
        let (mut part, mut rest) = (Vec::new(), VecDeque::new());
        for stored in self.to_name.drain(..) {
            if part.len() < limit && self.fs.queue.apart(stored.work.node.id) == most {
                part.push(stored);
            } else {
                rest.push_back(stored);
            }
        }
        self.to_name = rest;
        part
    }

    fn start_uploads(&mut self, files: Vec<FileWork>) {
        let (small, mut large): (Vec<FileWork>, Vec<FileWork>) =
            files.into_iter().partition(|file| file.size <= SMALL);
        // Small ones are sorted by size; a large one has its turn by the time it waits.
        large.sort_by_key(|file| file.node.ctime);
        let mut small = VecDeque::from(schedule::groups(small, |id| self.fs.queue.apart(id)));
        let mut large = VecDeque::from(large);
        let count = |size| self.running.values().filter(|running| running.size == size).count();
        let mut slots = Slots {
            parallel: self.fs.queue.settings().limits.parallel,
            running_small: count(Size::Small),
            running_large: count(Size::Large),
            small_in_a_row: self.small_in_a_row,
        };
        while let Some(size) = slots.next(!small.is_empty(), !large.is_empty()) {
            let group = match size {
                Size::Small => small.pop_front(),
                Size::Large => large.pop_front().map(|file| vec![file]),
            };
            let Some(group) = group else { break };
            slots.started(size);
            let ids = group.iter().map(|file| file.node.id).collect();
            let task = self.uploads.spawn(upload::store(self.fs.clone(), group));
            self.running.insert(task.id(), Running { ids, size });
        }
        self.small_in_a_row = slots.small_in_a_row;
    }

    /// Takes a finished upload over; what is stored goes on to be named.
    fn settle_upload(&mut self, id: Id, outcomes: Vec<Outcome>) {
        for file in self.running.remove(&id).into_iter().flat_map(|running| running.ids) {
            self.fs.queue.progress(file, None); // also of a task that panicked
        }
        for outcome in outcomes {
            match outcome {
                Outcome::Stored(one) => {
                    note_online(&self.fs);
                    let total = one.content.size;
                    let committing = Progress { done: total, total, committing: true };
                    self.fs.queue.progress(one.work.node.id, Some(committing));
                    self.to_name.push_back(*one);
                }
                Outcome::Changed => self.due_in(self.fs.config.debounce),
                Outcome::Apart(ids, error) => {
                    tracing::warn!(files = ids.len(), %error, "files that failed together are tried apart");
                    self.fs.queue.part(&ids);
                }
                Outcome::Failed(id, error) => {
                    // Whoever stands still alone stays alone; a Hub in trouble is nobody's fault.
                    match error.status {
                        Some(500..) => self.fs.queue.join(id),
                        _ => self.fs.queue.part(&[id]),
                    }
                    save::note_failure(&self.fs, id, &error);
                }
            }
        }
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

fn note_local(outcome: Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "a change of the Hub's names could not be noted; it is looked at again");
    }
}
