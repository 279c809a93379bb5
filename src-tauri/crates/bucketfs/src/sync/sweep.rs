//! A walk through many folders, told from a look into one: what lies below their common parent is listed in one
//! go, and each folder's listing is cut out of it. A walk costs calls by names then, not by folders.
//!
//! A sweep's answer is older than the question. So it counts from the moment the sweep began (marks of `Listings`),
//! and not at all once the bucket has changed meanwhile: then folders are listed one by one, as ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hub::TreeEntry;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::bucket_fs::BucketFs;
use crate::names::query;

/// So many folders beside each other, each listed by itself within `WALKING`, are a walk.
const LOOKS: usize = 3;
const WALKING: Duration = Duration::from_secs(5);
/// Entries kept for who has not come yet.
const KEPT: usize = 50_000;
/// A sweep that nobody takes from ends.
const IDLE: Duration = Duration::from_secs(20);
/// Whoever waits longer for a sweep to come to a folder lists it alone.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many pages in a row of which nothing was kept (they lie in folders that are listed already): the sweep ends, before
/// it reads a million names for three.
const DRY_PAGES: usize = 5;
/// Folders remembered as listed, which a sweep need not keep.
const REMEMBERED: usize = 50_000;

#[derive(Default)]
pub struct Sweeps(Mutex<Book>);

#[derive(Default)]
struct Book {
    /// By parent: when folders in it were listed by themselves, or swept.
    looks: HashMap<String, Vec<Instant>>,
    listed: HashSet<String>,
    running: Vec<Arc<Sweep>>,
    /// The Hub's order is not that of bytes: no sweep knows when it has passed a folder.
    useless: bool,
}

/// Where the listings stood when something was asked of the Hub.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub epoch: u64,
    /// News of the feed so far, of whatever folder.
    pub news: u64,
    /// Keys settled by ourselves so far.
    pub settled: u64,
}

pub struct Sweep {
    place: String,
    pub mark: Mark,
    inner: Mutex<Inner>,
    /// Rung whenever `inner` changes.
    bell: Notify,
}

struct Inner {
    folders: HashMap<String, Vec<TreeEntry>>,
    kept: usize,
    /// Not to be kept, or no more here.
    taken: HashSet<String>,
    /// The key seen last.
    last: String,
    state: State,
    used: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Everything has been seen.
    Whole,
    /// Nothing more comes.
    Broken,
}

impl Sweeps {
    /// The sweep under way over this folder, if there is one.
    pub fn over(&self, place: &str) -> Option<Arc<Sweep>> {
        let book = self.0.lock();
        book.running.iter().find(|sweep| query::is_within(place, &sweep.place)).cloned()
    }

    /// A folder has been listed by itself. Begins a sweep of its parent when this looks like a walk.
    pub fn listed(&self, fs: &Arc<BucketFs>, place: &str, mark: Mark) {
        let mut book = self.0.lock();
        if book.listed.len() >= REMEMBERED {
            book.listed.clear();
        }
        book.listed.insert(place.to_owned());
        let mut from = place.to_owned();
        // A sweep counts as a look at its own parent: a walk through many trees is swept from higher up.
        while let Some(parent) = parent_of(&from).filter(|parent| query::is_within(parent, &fs.config.prefix))
        {
            let now = Instant::now();
            book.looks.retain(|_, looks| {
                looks.retain(|when| now - *when < WALKING);
                !looks.is_empty()
            });
            let swept = book.running.iter().any(|sweep| query::is_within(parent, &sweep.place));
            let looks = book.looks.entry(parent.to_owned()).or_default();
            looks.push(now);
            if looks.len() < LOOKS || swept || book.useless {
                return;
            }
            let sweep = Sweep::new(parent, mark, book.listed.clone());
            book.running.push(sweep.clone());
            fs.tasks.spawn(run(fs.clone(), sweep));
            from = parent.to_owned();
        }
    }

    fn forget(&self, sweep: &Arc<Sweep>, useless: bool) {
        let mut book = self.0.lock();
        book.running.retain(|other| !Arc::ptr_eq(other, sweep));
        book.useless |= useless;
    }
}

async fn run(fs: Arc<BucketFs>, sweep: Arc<Sweep>) {
    let ordered = tokio::select! {
        ordered = sweep.fill(&fs) => ordered,
        () = fs.stop.cancelled() => true,
    };
    while !sweep.is_idle() && !fs.stop.is_cancelled() {
        tokio::time::sleep(IDLE / 10).await;
    }
    fs.listings.sweeps.forget(&sweep, !ordered);
}

impl Sweep {
    fn new(place: &str, mark: Mark, taken: HashSet<String>) -> Arc<Sweep> {
        let inner = Inner {
            folders: HashMap::new(),
            kept: 0,
            taken,
            last: String::new(),
            state: State::Running,
            used: Instant::now(),
        };
        Arc::new(Sweep { place: place.to_owned(), mark, inner: Mutex::new(inner), bell: Notify::new() })
    }

    /// What is directly in a folder below this sweep's, once the sweep has passed it; `None` when the folder is to be
    /// listed by itself.
    pub async fn entries_of(&self, place: &str) -> Option<Vec<TreeEntry>> {
        tokio::time::timeout(PATIENCE, self.passed(place)).await.ok().flatten()
    }

    async fn passed(&self, place: &str) -> Option<Vec<TreeEntry>> {
        loop {
            // Made before the look, so that a change in between rings it.
            let rung = self.bell.notified();
            {
                let mut inner = self.inner.lock();
                if inner.taken.contains(place) {
                    return None;
                }
                if inner.has_passed(place) {
                    inner.used = Instant::now();
                    inner.taken.insert(place.to_owned());
                    let entries = inner.folders.remove(place).unwrap_or_default();
                    inner.kept -= entries.len();
                    self.bell.notify_waiters();
                    return Some(entries);
                }
                if inner.state == State::Broken || inner.kept >= KEPT {
                    return None;
                }
            }
            rung.await;
        }
    }

    /// `false` when the Hub's order is of no use.
    async fn fill(&self, fs: &BucketFs) -> bool {
        let mut pages = fs.bucket.list_all(&self.place);
        let mut dry = 0;
        loop {
            if dry >= DRY_PAGES || self.is_idle() || !self.room().await {
                self.end(State::Broken);
                return true;
            }
            match pages.next().await {
                Some(Ok(page)) => {
                    let (ordered, fruitless) = {
                        let mut inner = self.inner.lock();
                        let before = inner.kept;
                        (inner.take_in(&self.place, page), inner.kept == before)
                    };
                    dry = if fruitless { dry + 1 } else { 0 };
                    if !ordered {
                        self.end(State::Broken);
                        return false;
                    }
                    self.bell.notify_waiters();
                }
                Some(Err(error)) => {
                    tracing::info!(%error, "a walk's folders are listed one by one");
                    self.end(State::Broken);
                    return true;
                }
                None => {
                    self.end(State::Whole);
                    return true;
                }
            }
        }
    }

    /// Waits until somebody has taken of what is kept; `false` when nobody does.
    async fn room(&self) -> bool {
        loop {
            let rung = self.bell.notified();
            if self.inner.lock().kept < KEPT {
                return true;
            }
            if tokio::time::timeout(IDLE, rung).await.is_err() {
                return false;
            }
        }
    }

    fn end(&self, state: State) {
        self.inner.lock().state = state;
        self.bell.notify_waiters();
    }

    fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        inner.state == State::Broken || inner.used.elapsed() >= IDLE
    }
}

impl Inner {
    /// Sorts a page of files into their folders. `false` when its order is not that of bytes.
    fn take_in(&mut self, place: &str, page: Vec<TreeEntry>) -> bool {
        for entry in page {
            let path = entry.path().to_owned();
            if path <= self.last {
                return false;
            }
            let below = if place.is_empty() { 0 } else { place.len() + 1 };
            for (at, _) in path.match_indices('/').filter(|(at, _)| *at > below) {
                let folder = &path[..at];
                let known = self.last.starts_with(folder) && self.last.as_bytes().get(at) == Some(&b'/');
                if !known {
                    self.keep(TreeEntry::Directory { path: folder.to_owned(), uploaded_at_ms: None });
                }
            }
            self.last = path;
            self.keep(entry);
        }
        true
    }

    fn keep(&mut self, entry: TreeEntry) {
        let folder = parent_of(entry.path()).unwrap_or_default();
        if self.taken.contains(folder) {
            return;
        }
        self.kept += 1;
        match self.folders.get_mut(folder) {
            Some(entries) => entries.push(entry),
            None => drop(self.folders.insert(folder.to_owned(), vec![entry])),
        }
    }

    fn has_passed(&self, place: &str) -> bool {
        if self.state == State::Whole {
            return true;
        }
        // All keys in a folder lie beside each other in the order of bytes.
        let first = format!("{place}/");
        !place.is_empty() && self.last > first && !self.last.starts_with(&first)
    }
}

/// The folder a key lies in; the root is "".
fn parent_of(place: &str) -> Option<&str> {
    (!place.is_empty()).then(|| place.rsplit_once('/').map_or("", |(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> TreeEntry {
        let path = path.to_owned();
        let xet_hash = "0".repeat(64);
        TreeEntry::File(hub::FileEntry { path, size: 1, xet_hash, mtime_ms: None, uploaded_at_ms: None })
    }

    fn names(entries: Option<Vec<TreeEntry>>) -> Vec<String> {
        entries.unwrap().iter().map(|entry| entry.path().to_owned()).collect()
    }

    #[tokio::test]
    async fn each_folder_gets_what_is_directly_in_it_once_it_is_passed() {
        let mark = Mark { epoch: 0, news: 0, settled: 0 };
        let sweep = Sweep::new("a", mark, HashSet::from(["a/seen".to_owned()]));
        let page =
            ["a/1", "a/b.txt", "a/b/1", "a/b/c/1", "a/b/c/2", "a/d/e/1", "a/seen/1"].map(file).to_vec();
        assert!(sweep.inner.lock().take_in("a", page));
        assert_eq!(names(sweep.entries_of("a/b").await), ["a/b/1", "a/b/c"]);
        assert_eq!(names(sweep.entries_of("a/b/c").await), ["a/b/c/1", "a/b/c/2"]);
        assert!(sweep.entries_of("a/b").await.is_none(), "once only: the next time it is out of date");
        assert!(sweep.entries_of("a/seen").await.is_none());
        assert!(!sweep.inner.lock().has_passed("a/seen"), "more of it may come");
        assert!(!sweep.inner.lock().has_passed("a"));
        sweep.end(State::Whole);
        assert_eq!(names(sweep.entries_of("a").await), ["a/1", "a/b.txt", "a/b", "a/d", "a/seen"]);
        assert!(names(sweep.entries_of("a/x").await).is_empty(), "the Hub has no such folder");
        assert_eq!(sweep.inner.lock().kept, 2, "a/d and a/d/e");
    }

    #[test]
    fn another_order_than_that_of_bytes_is_noticed() {
        let sweep = Sweep::new("", Mark { epoch: 0, news: 0, settled: 0 }, HashSet::new());
        assert!(!sweep.inner.lock().take_in("", ["b/1", "a/1"].map(file).to_vec()));
    }

    #[tokio::test]
    async fn whoever_waits_too_long_lists_the_folder_alone_and_an_ended_sweep_lets_go_at_once() {
        let sweep = Sweep::new("", Mark { epoch: 0, news: 0, settled: 0 }, HashSet::new());
        let begun = Instant::now();
        assert!(tokio::time::timeout(2 * PATIENCE, sweep.entries_of("late")).await.unwrap().is_none());
        assert!(begun.elapsed() >= PATIENCE);
        let waiting = tokio::spawn({
            let sweep = sweep.clone();
            async move { sweep.entries_of("late").await.is_none() }
        });
        tokio::task::yield_now().await;
        let ended = Instant::now();
        sweep.end(State::Broken);
        assert!(waiting.await.unwrap());
        assert!(ended.elapsed() < PATIENCE);
    }
}
