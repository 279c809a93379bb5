//! The tree of one bucket: one writer thread that groups changes into transactions, readers beside it, and
//! a bounded cache of rows before both.
//!
//! A change is acknowledged after its transaction reached the WAL (it survives kill -9). The cache is
//! brought up to date between the commit and the acknowledgement, under `apply`, which readers hold while
//! they fill it: an old row can't be put back after the commit that changed it.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::ids::Ids;
use super::node::Node;
use super::query;
use super::schema;
use super::transaction::{Touched, Tx};
use crate::attr::{FileId, ROOT};
use crate::error::{Error, ErrorKind, Result};
use crate::faults::{Faults, Part, Step};

/// Rows kept in memory, whatever the bucket's size (about 400 bytes each).
const CACHED_NODES: usize = 100_000;
/// Changes that share one transaction at most.
const BATCH: usize = 256;
const READERS: usize = 4;

type Job = Box<dyn FnOnce(&mut Writer) + Send>;
/// Told how the batch's transaction ended: `None` when it is committed.
type Answer = Box<dyn FnOnce(Option<&Error>) + Send>;

pub struct NameStore {
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
}

struct Shared {
    cache: Cache<FileId, Arc<Node>>,
    /// Which row had this name (its hash) in this folder when somebody asked.
    by_name: Cache<(FileId, u64), FileId>,
    hasher: RandomState,
    apply: RwLock<()>,
    /// Transactions committed, and how many of them are on stable storage.
    committed: AtomicU64,
    synced: AtomicU64,
    /// Syncs that failed since the last that did not.
    failed_syncs: AtomicU32,
}

struct Writer {
    db: Connection,
    ids: Ids,
    faults: Faults,
    /// A sync failed: what it was to bring may never reach the disk by a later one.
    suspect: bool,
    /// The batch's transaction has begun, and what came of that.
    begun: bool,
    begin_failed: Option<Error>,
    shared: Arc<Shared>,
    /// Answers to give when the transaction is committed (or has failed).
    waiting: Vec<Answer>,
    /// Who waits for a sync of the transactions up to a number: one sync after the batch serves all.
    syncs: Vec<(u64, oneshot::Sender<Result<()>>)>,
    touched: Vec<Touched>,
}

impl NameStore {
    pub fn open(path: &Path, ids: &Path, faults: Faults) -> Result<Self> {
        let db = schema::open_writer(path)?;
        let ids = Ids::open(ids, query::highest_id(&db)?)?;
        let shared = Arc::new(Shared {
            cache: Cache::new(CACHED_NODES),
            by_name: Cache::new(CACHED_NODES),
            hasher: RandomState::new(),
            apply: RwLock::new(()),
            committed: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            failed_syncs: AtomicU32::new(0),
        });
        let (jobs, inbox) = mpsc::unbounded_channel();
        let writer = Writer {
            db,
            ids,
            faults,
            shared: shared.clone(),
            waiting: Vec::new(),
            syncs: Vec::new(),
            touched: Vec::new(),
            suspect: false,
            begun: false,
            begin_failed: None,
        };
        let thread = std::thread::Builder::new()
            .name("names".into())
            .spawn(move || writer.run(inbox))
            .map_err(|error| Error::disk("starting the thread of the state database", &error))?;
        Ok(NameStore {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            shared,
            path: path.to_owned(),
            readers: Mutex::new(Vec::new()),
        })
    }

    /// Runs `change` in a transaction. On `Ok` it is committed to the WAL; on `Err` nothing of it is.
    /// The change is carried out even when the caller stops waiting.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, wait) = oneshot::channel();
        self.post(Box::new(move |writer| writer.apply(change, answer)))?;
        wait.await.unwrap_or_else(|_| Err(closed()))
    }

    /// On return every change acknowledged before the call is on stable storage.
    pub async fn sync(&self) -> Result<()> {
        let target = self.shared.committed.load(Ordering::Acquire);
        if self.shared.synced.load(Ordering::Acquire) >= target {
            return Ok(());
        }
        let (answer, wait) = oneshot::channel();
        self.post(Box::new(move |writer| writer.syncs.push((target, answer))))?;
        wait.await.unwrap_or_else(|_| Err(closed()))
    }

    /// How often in a row [`NameStore::sync`] has failed.
    pub fn failed_syncs(&self) -> u32 {
        self.shared.failed_syncs.load(Ordering::Relaxed)
    }

    /// The row of `id` as of the last acknowledged change.
    pub fn node(&self, id: FileId) -> Result<Option<Arc<Node>>> {
        if let Some(node) = self.shared.cache.get(&id) {
            return Ok(Some(node));
        }
        let _fill = self.shared.apply.read();
        let found = self.ask(|db| query::node(db, id))?.map(Arc::new);
        if let Some(node) = &found {
            self.shared.cache.insert(id, node.clone());
        }
        Ok(found)
    }

    /// The child called `name`, as [`query::child`] finds it, as of the last acknowledged change.
    pub fn child(&self, parent: FileId, name: &[u8]) -> Result<Option<Arc<Node>>> {
        let place = (parent, self.shared.hasher.hash_one(name));
        // No entry is ever taken back. Names are unique in a folder: the row that has this one now is the child.
        if let Some(id) = self.shared.by_name.get(&place)
            && let Some(node) = self.shared.cache.get(&id)
            && node.parent == parent
            && node.name == name
            && !node.gone
        {
            return Ok(Some(node));
        }
        let _fill = self.shared.apply.read();
        let found = self.ask(|db| query::child(db, parent, name))?.map(Arc::new);
        if let Some(node) = found.as_ref().filter(|node| node.name == name) {
            self.shared.cache.insert(node.id, node.clone());
            self.shared.by_name.insert(place, node.id);
        }
        Ok(found)
    }

    /// Asks the database; sees every acknowledged change.
    pub fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let pooled = self.readers.lock().pop();
        let db = match pooled {
            Some(db) => db,
            None => schema::open_reader(&self.path)?,
        };
        let answer = question(&db);
        let mut readers = self.readers.lock();
        if readers.len() < READERS {
            readers.push(db);
        }
        answer
    }

    /// The same for many questions: all see one state, and the file is locked once for all.
    pub fn ask_at_once<T>(&self, questions: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.ask(|db| {
            let state = db.unchecked_transaction()?;
            questions(&state)
        })
    }

    /// Ends the writer after what was posted before; the database is closed on return.
    pub fn close(&self) {
        self.jobs.lock().take();
        self.readers.lock().clear();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the state database had panicked");
        }
    }

    fn post(&self, job: Job) -> Result<()> {
        match &*self.jobs.lock() {
            Some(jobs) => jobs.send(job).map_err(|_| closed()),
            None => Err(closed()),
        }
    }
}

impl Drop for NameStore {
    fn drop(&mut self) {
        self.close();
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::LocalDisk, "The state database is closed.").advise("BucketBar is shutting down.")
}

impl Writer {
    fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = inbox.blocking_recv() {
            first(&mut self);
            for _ in 1..BATCH {
                match inbox.try_recv() {
                    Ok(job) => job(&mut self),
                    Err(_) => break,
                }
            }
            self.commit();
            self.answer_syncs();
        }
        if let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the state database was not checkpointed at the end");
        }
    }

    /// The batch's first change begins its transaction.
    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.begin_failed = self.execute("BEGIN IMMEDIATE").err();
            if let Some(error) = &self.begin_failed {
                tracing::error!(%error, "the state database took no transaction");
            }
        }
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// One change inside the batch's transaction, in a savepoint of its own: its failure undoes it alone.
    fn apply<T: Send + 'static>(
        &mut self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T>,
        answer: oneshot::Sender<Result<T>>,
    ) {
        self.begin();
        let outcome = self.in_savepoint(change);
        self.waiting.push(Box::new(move |failed| {
            let outcome = match failed {
                Some(error) => Err(error.clone()),
                None => outcome,
            };
            let _ = answer.send(outcome);
        }));
    }

    fn in_savepoint<T>(&mut self, change: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.execute("SAVEPOINT one")?;
        let mut tx = Tx { db: &self.db, ids: &self.ids, touched: Vec::new() };
        // A panic in one change must not take the writer (and with it every bucket name) along.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| change(&mut tx)))
            .unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Damaged, "A change to the tree met a programming error."))
            });
        let touched = tx.touched;
        match &outcome {
            Ok(_) => {
                self.execute("RELEASE one")?;
                self.touched.extend(touched);
            }
            Err(_) => {
                self.execute("ROLLBACK TO one")?;
                self.execute("RELEASE one")?;
            }
        }
        outcome
    }

    fn commit(&mut self) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let begin_failed = self.begin_failed.take();
        let failed = {
            let _apply = self.shared.apply.write();
            let failed = begin_failed.or_else(|| self.commit_to_wal().err());
            if failed.is_some() {
                let _ = self.db.execute_batch("ROLLBACK");
            } else if !self.touched.is_empty() {
                self.shared.committed.fetch_add(1, Ordering::AcqRel);
            }
            for (id, row) in self.touched.drain(..) {
                match row.filter(|_| failed.is_none()) {
                    // Whoever asks for it next asks no database: a reader's own cache is void after every change.
                    Some(row) => self.shared.cache.insert(id, row),
                    None => _ = self.shared.cache.remove(&id),
                }
            }
            failed
        };
        for answer in self.waiting.drain(..) {
            answer(failed.as_ref());
        }
    }

    fn commit_to_wal(&self) -> Result<()> {
        self.faults
            .check(Step::Write, Part::Database, ROOT)
            .map_err(|error| Error::disk("writing the state database", &error))?;
        self.execute("COMMIT")
    }

    /// One sync for all who wait; a failed one is told to all whom it was to serve.
    fn answer_syncs(&mut self) {
        if self.syncs.is_empty() {
            return;
        }
        let synced = self.shared.synced.load(Ordering::Acquire);
        let (now_needed, done): (Vec<_>, Vec<_>) =
            self.syncs.drain(..).partition(|(target, _)| *target > synced);
        for (_, answer) in done {
            let _ = answer.send(Ok(()));
        }
        if now_needed.is_empty() {
            return;
        }
        let outcome = self.sync();
        for (_, answer) in now_needed {
            let _ = answer.send(outcome.clone());
        }
    }

    /// On `Ok` the WAL, or the database that has taken it in, is on stable storage.
    fn sync(&mut self) -> Result<()> {
        let now = self.shared.committed.load(Ordering::Acquire);
        let outcome = self.sync_wal();
        // Where a sync fails, the kernel calls the lost pages clean: no later one would write them.
        self.suspect = outcome.is_err();
        match &outcome {
            Ok(()) => {
                self.shared.failed_syncs.store(0, Ordering::Relaxed);
                self.shared.synced.store(now, Ordering::Release);
            }
            Err(_) => _ = self.shared.failed_syncs.fetch_add(1, Ordering::Relaxed),
        }
        outcome
    }

    /// A FULL transaction syncs every frame before its own. After a failure all frames are taken into the
    /// database first, which is synced, and the WAL is begun anew.
    fn sync_wal(&mut self) -> Result<()> {
        self.faults
            .check(Step::Sync, Part::Database, ROOT)
            .map_err(|error| Error::disk("syncing the state database", &error))?;
        if self.suspect {
            self.db.pragma_update(None, "synchronous", "FULL")?;
            let busy: i64 = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy != 0 {
                return Err(Error::new(
                    ErrorKind::LocalDisk,
                    "The state database could not be taken together.",
                ));
            }
        }
        self.db.pragma_update(None, "synchronous", "FULL")?;
        let written = self.execute(
            "INSERT INTO meta(name, value) VALUES ('synced', 1) ON CONFLICT(name) DO UPDATE SET value = value + 1",
        );
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Kind;
    use crate::names::{Layer, merge};

    #[tokio::test]
    async fn a_child_is_found_under_the_name_it_has_now() {
        let dir = tempfile::tempdir().unwrap();
        let names = NameStore::open(&dir.path().join("names.db"), &dir.path().join("ids"), Faults::default())
            .unwrap();
        names.change(|tx| merge::ensure_fixed(tx, "", 0, 0)).await.unwrap();
        let make = async |name: &'static str| {
            let made = names.change(move |tx| {
                let node = tx.new_node(ROOT, name.as_bytes(), Kind::File, Layer::Bucket)?;
                tx.put_new(&node)?;
                Ok(node.id)
            });
            made.await.unwrap()
        };
        let find = |name: &str| names.child(ROOT, name.as_bytes()).unwrap().map(|node| node.id);
        assert_eq!(find("a"), None);
        let first = make("a").await;
        for _ in 0..2 {
            assert_eq!(find("a"), Some(first), "asked, then remembered");
        }
        let rename = names.change(move |tx| {
            let mut node = tx.live(first)?;
            node.name = b"b".to_vec();
            tx.put(&node)
        });
        rename.await.unwrap();
        assert_eq!((find("a"), find("b")), (None, Some(first)));
        let second = make("a").await;
        assert_eq!((find("a"), find("b")), (Some(second), Some(first)));
        names.change(move |tx| tx.erase(second)).await.unwrap();
        assert_eq!(find("a"), None);
        let bury = names.change(move |tx| {
            let mut node = tx.live(first)?;
            node.gone = true;
            tx.put(&node)
        });
        bury.await.unwrap();
        assert_eq!(find("b"), None);
        assert!(names.node(first).unwrap().unwrap().gone, "its handle stays good");
    }

    #[tokio::test]
    async fn a_put_changes_the_row_whether_or_not_an_index_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let names = NameStore::open(&dir.path().join("names.db"), &dir.path().join("ids"), Faults::default())
            .unwrap();
        let made = names.change(|tx| {
            let node = tx.new_node(ROOT, b"x", Kind::File, Layer::Bucket)?;
            tx.put(&node)?;
            Ok(node)
        });
        let mut node = made.await.unwrap();
        let steps: [fn(&mut Node); 6] = [
            |node| node.size = 7,
            |node| node.place = crate::names::Place::At("k".into()),
            |node| node.listed = true,
            |node| node.key = Some("k".into()),
            |node| node.mode = 0o600,
            |node| node.gone = true,
        ];
        for step in steps {
            step(&mut node);
            let put = node.clone();
            names.change(move |tx| tx.put(&put)).await.unwrap();
            assert_eq!(*names.node(node.id).unwrap().unwrap(), node, "as remembered");
            let stored = names.ask(|db| query::node(db, node.id)).unwrap();
            assert_eq!(stored.as_ref(), Some(&node), "as stored");
        }
    }

    #[tokio::test]
    async fn many_syncs_are_one_and_a_failed_one_is_everybodys() {
        use crate::faults::{Harm, Order};
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let names =
            NameStore::open(&dir.path().join("names.db"), &dir.path().join("ids"), faults.clone()).unwrap();
        let change = async || names.change(|tx| merge::ensure_fixed(tx, "", 0, 0)).await;
        change().await.unwrap();
        let harm = Harm::Io;
        faults.order(Order {
            step: Step::Sync,
            part: Some(Part::Database),
            file: None,
            harm,
            times: Some(1),
        });
        // The writer is held up until both wait.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held_up = move |_: &mut Writer| held.recv().unwrap_or_default();
        names.post(Box::new(held_up)).unwrap();
        let (first, second, ()) = tokio::join!(names.sync(), names.sync(), async {
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        });
        assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
        assert_eq!(names.failed_syncs(), 1);
        names.sync().await.unwrap();
        assert_eq!(names.failed_syncs(), 0);
    }
}
