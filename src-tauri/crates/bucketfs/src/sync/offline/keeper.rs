//! The one loop that keeps files and folders offline: it looks what is wanted, downloads what is missing, gives up
//! what nobody wants any more, and sleeps until something changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::downloads::Downloads;
use super::plan::{Tree, Wanted, contents};
use super::refresh::refresh;
use super::resolve::{Moves, recall_pins};
use crate::bucket_fs::{BucketFs, blocking};
use crate::content::ContentKey;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::names::pins;

/// What changes meanwhile is gathered into one look.
const GATHER: Duration = Duration::from_millis(300);
/// Looks take a tenth of the time at most, as long as that is still prompt.
const REST: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(10);
/// What nobody wants any more stays this long: a program may be saving, a person may drag it back.
const GRACE: Duration = Duration::from_secs(30);
/// A look that failed is made again.
const AGAIN: Duration = Duration::from_secs(10);
/// Progress is shown this often.
const SHOWN: Duration = Duration::from_millis(500);

struct Keeper {
    fs: Arc<BucketFs>,
    /// Changes on the Hub, and of the pins.
    stirs: watch::Receiver<u64>,
    /// Changes here.
    local: watch::Receiver<u64>,
    downloads: Downloads,
    moves: Moves,
    unwanted: HashMap<ContentKey, Instant>,
    /// The last look ended then, and took so long.
    looked: (Instant, Duration),
    /// Look again then, whatever happens.
    due: Option<Instant>,
    shown: Instant,
    told: HashMap<String, String>,
}

/// Runs until the bucket is shut down.
pub async fn run(fs: Arc<BucketFs>) {
    let scan = fs.content.kept().clone();
    let scanned =
        blocking(move || scan.scan().map_err(|error| Error::disk("reading what is kept offline", &error)));
    if let Err(error) = scanned.await {
        tracing::error!(%error, "what is kept offline cannot be read; it is downloaded again where it has to be");
    }
    if let Err(error) = recall_pins(&fs).await {
        tracing::error!(%error, "what was to be kept offline could not be recalled");
    }
    let mut keeper = Keeper::new(fs);
    loop {
        tokio::select! {
            () = keeper.fs.stop.clone().cancelled_owned() => break,
            more = keeper.turn() => if !more { break },
        }
    }
    keeper.downloads.end().await;
}

impl Keeper {
    fn new(fs: Arc<BucketFs>) -> Keeper {
        Keeper {
            stirs: fs.offline.stirred.subscribe(),
            local: fs.queue.stirs(),
            downloads: Downloads::new(fs.clone()),
            moves: Moves::default(),
            unwanted: HashMap::new(),
            looked: (Instant::now(), Duration::ZERO),
            due: Some(Instant::now()),
            shown: Instant::now(),
            told: HashMap::new(),
            fs,
        }
    }

    /// One step: a look when it is time, else a download that ends. `false` when the bucket is gone.
    async fn turn(&mut self) -> bool {
        let rest = self.looked.1.saturating_mul(REST).clamp(GATHER, LONGEST_REST);
        let may_look = self.looked.0 + rest;
        let nothing_kept = self.is_empty();
        let due = self.due;
        tokio::select! {
            changed = self.stirs.changed() => if changed.is_err() { return false },
            changed = self.local.changed(), if !nothing_kept => if changed.is_err() { return false },
            () = sleep_until(due) => {}
            () = self.downloads.next() => {
                self.show();
                if !self.downloads.is_idle() {
                    return self.go_on().await;
                }
            }
        }
        // What runs goes on running while this waits.
        let waiting = tokio::time::sleep_until((may_look.max(Instant::now() + GATHER)).into());
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                () = &mut waiting => break,
                () = self.downloads.next() => {
                    self.show();
                    if let Err(error) = self.downloads.start().await {
                        tracing::warn!(%error, "downloads to keep offline wait");
                    }
                }
            }
        }
        self.stirs.mark_unchanged();
        self.local.mark_unchanged();
        let began = Instant::now();
        self.due = None;
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "what is to be kept offline cannot be told yet");
            self.due_in(AGAIN);
        }
        self.looked = (Instant::now(), began.elapsed());
        self.go_on().await
    }

    async fn go_on(&mut self) -> bool {
        if let Err(error) = self.downloads.start().await {
            tracing::warn!(%error, "downloads to keep offline wait");
            self.due_in(AGAIN);
        }
        if let Some(when) = self.downloads.next_try() {
            self.due = Some(self.due.map_or(when, |due| due.min(when)));
        }
        self.tell_failures();
        true
    }

    fn is_empty(&self) -> bool {
        self.fs.offline.state.lock().trees.is_empty() && self.unwanted.is_empty()
    }

    async fn look(&mut self) -> Result<()> {
        let rows = self.fs.names.ask(pins::all)?;
        let (mut trees, mut complete) = (Vec::with_capacity(rows.len()), true);
        let mut failed = None;
        for row in rows {
            let (pin, found) = match self.moves.resolve(&self.fs, row.clone()).await {
                Ok(resolved) => {
                    if resolved.unsettled {
                        self.due_in(Duration::from_secs(2));
                    }
                    if resolved.found && self.fs.queue.offline_cause().is_none() {
                        failed = refresh(&self.fs, resolved.pin.node).await.err().or(failed);
                    }
                    (resolved.pin, resolved.found)
                }
                Err(error) => {
                    // What was there is still wanted.
                    let found = self.fs.names.node(row.node)?.is_some_and(|node| !node.gone);
                    complete = false;
                    failed = Some(error);
                    (row, found)
                }
            };
            let (fs, this) = (self.fs.clone(), pin.clone());
            let tree = blocking(move || Tree::look(&fs, &this, found)).await?;
            complete &= tree.listed;
            trees.push(Arc::new(tree));
        }
        let all = contents(trees.iter().map(Arc::as_ref));
        self.publish(trees, &all);
        self.give_up(&all, complete).await?;
        let mut order: Vec<Wanted> = all.into_values().collect();
        // Small files first: most of what somebody wants is soon here.
        order.sort_by_key(|one| (one.size, one.id));
        self.downloads.plan(order);
        self.tell_kept();
        match failed {
            Some(error) if error.kind != ErrorKind::Offline => Err(error),
            _ => Ok(()),
        }
    }

    fn publish(&mut self, trees: Vec<Arc<Tree>>, all: &HashMap<ContentKey, Wanted>) {
        let kept = self.fs.content.kept();
        let left = all.values().map(|one| one.size - kept.here(&one.key, one.size)).sum();
        self.fs.offline.left.store(left, std::sync::atomic::Ordering::Relaxed);
        let mut state = self.fs.offline.state.lock();
        state.failed.retain(|key, _| all.contains_key(key));
        if left == 0 {
            state.stuck = None;
        }
        state.trees = trees;
        drop(state);
        self.show();
    }

    /// Gives up contents that no pin wants any more: at once when somebody has unpinned, else after a while. As long
    /// as not everything is known nothing is given up.
    async fn give_up(&mut self, wanted: &HashMap<ContentKey, Wanted>, complete: bool) -> Result<()> {
        if !complete {
            return Ok(());
        }
        let now = Instant::now();
        let at_once = std::mem::take(&mut self.fs.offline.state.lock().give_up_now);
        let unwanted: HashSet<ContentKey> =
            self.fs.content.kept().keys().into_iter().filter(|key| !wanted.contains_key(key)).collect();
        self.unwanted.retain(|key, _| unwanted.contains(key));
        for key in unwanted {
            self.unwanted.entry(key).or_insert(now);
        }
        let grace = if at_once { Duration::ZERO } else { GRACE };
        let dead: HashSet<ContentKey> =
            self.unwanted.iter().filter(|(_, since)| now - **since >= grace).map(|(key, _)| *key).collect();
        self.unwanted.retain(|key, _| !dead.contains(key));
        if let Some(oldest) = self.unwanted.values().min() {
            let when = *oldest + GRACE;
            self.due = Some(self.due.map_or(when, |due| due.min(when)));
        }
        if dead.is_empty() {
            return Ok(());
        }
        let kept = self.fs.content.kept().clone();
        let freed = blocking(move || Ok(kept.retain(|key| !dead.contains(key)))).await?;
        tracing::info!(freed, "what nobody wants to keep offline any more was given up");
        self.show();
        Ok(())
    }

    /// Whoever shows the state looks again; that is no reason for a look of ours.
    fn show(&mut self) {
        let news = self.local.has_changed().unwrap_or(false);
        if self.shown.elapsed() < SHOWN && !self.downloads.is_idle() {
            return;
        }
        self.shown = Instant::now();
        self.fs.queue.stir();
        if !news {
            self.local.mark_unchanged();
        }
    }

    fn tell_kept(&self) {
        let (trees, awaited) = {
            let state = self.fs.offline.state.lock();
            (state.trees.clone(), state.awaited.clone())
        };
        for tree in trees.iter().filter(|tree| awaited.contains(&tree.pin.path)) {
            let bytes = tree.bytes();
            if tree.found && tree.listed && tree.bytes_here(&self.fs) == bytes {
                let path = tree.pin.path.clone();
                self.fs.offline.state.lock().awaited.retain(|awaited| *awaited != path);
                self.fs.tell(Event::KeptOffline { path, files: tree.files, bytes });
            }
        }
    }

    /// Each cause once for each pin, until it is over.
    fn tell_failures(&mut self) {
        let (trees, failed, stuck) = {
            let state = self.fs.offline.state.lock();
            if state.stuck.is_none() && state.failed.is_empty() {
                self.told.clear();
                return;
            }
            (state.trees.clone(), state.failed.clone(), state.stuck.clone())
        };
        for tree in trees {
            let trouble = stuck.as_ref().or_else(|| tree.wanted.iter().find_map(|one| failed.get(&one.key)));
            let Some(trouble) = trouble.filter(|_| tree.bytes_here(&self.fs) < tree.bytes()) else {
                continue;
            };
            let path = tree.pin.path.clone();
            // A full disk is one cause, whatever the figures.
            let cause = if trouble.full { "full".to_owned() } else { trouble.why.clone() };
            if self.told.insert(path.clone(), cause.clone()).as_ref() != Some(&cause) {
                let (cause, advice) = (trouble.why.clone(), trouble.advice.clone());
                self.fs.tell(Event::KeepOfflineFailed { path, cause, advice, full: trouble.full });
            }
        }
    }

    fn due_in(&mut self, wait: Duration) {
        let when = Instant::now() + wait;
        self.due = Some(self.due.map_or(when, |due| due.min(when)));
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}
