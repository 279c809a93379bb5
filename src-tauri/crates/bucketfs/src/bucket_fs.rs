//! One bucket as a file system: what is opened, what it owns, how it ends.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attr::{FileId, ROOT, Timestamp};
use crate::content::Content as ContentCache;
use crate::departed::Departed;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use crate::faults::Faults;
use crate::guarded::guarded;
use crate::names::{NameStore, Node, Place, merge};
use crate::ops::Ledger;
use crate::recovery;
use crate::staging::{Staged, StagingArea};
use crate::state_dir::StateDir;
use crate::sync::listing::Listings;
use crate::sync::offline::Offline;
use crate::sync::queue::Queue;
use crate::sync::report::Status;

/// How one bucket is served.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything of this bucket on this machine.
    pub state_dir: PathBuf,
    /// Serve only what is below this key; `""` for the whole bucket, no slash at either end.
    pub prefix: String,
    pub uid: u32,
    pub gid: u32,
    /// Owners can be given away and are kept, instead of `uid` and `gid` for everything: for tests of many users.
    pub stored_owners: bool,
    pub read_only: bool,
    /// How long a file must be quiet before it is uploaded.
    pub debounce: Duration,
    /// A file that is never quiet goes up in between this often at most, large ones less often.
    pub forever: Duration,
    /// Limit of the block cache, in bytes.
    pub cache_bytes: u64,
    /// Limit of the copies of saved files that are kept for reading, in bytes.
    pub saved_copies_bytes: u64,
    /// Free space of the disk that is left alone, in bytes.
    pub reserve_bytes: u64,
    /// How long a deletion waits before it leaves.
    pub delete_hold: Duration,
    /// Whether many deletions at once wait for the person's word.
    pub ask_deletes: bool,
    /// How long a WRITE is put off while the disk is full and uploads may free some of it.
    pub full_patience: Duration,
    /// How often the Hub is tried while it is out of reach or nobody is signed in.
    pub poll: Duration,
    /// Identity of this boot of the machine: no client of another boot commits what it left UNSTABLE.
    pub boot: String,
    /// Ways in which the local disk is to fail, for tests.
    pub faults: Faults,
}

impl Config {
    pub fn new(state_dir: PathBuf) -> Self {
        Config {
            state_dir,
            prefix: String::new(),
            uid: 0,
            gid: 0,
            stored_owners: false,
            read_only: false,
            debounce: Duration::from_secs(2),
            forever: Duration::from_secs(300),
            cache_bytes: 10 << 30,
            saved_copies_bytes: 2 << 30,
            reserve_bytes: 256 << 20,
            delete_hold: Duration::from_secs(60),
            ask_deletes: true,
            full_patience: Duration::from_secs(60),
            poll: Duration::from_secs(15),
            boot: recovery::boot_id(),
            faults: Faults::from_environment(),
        }
    }
}

/// Folders above one another that a path shows.
const DEEPEST: usize = 4096;

/// Without a COMMIT by anybody, the space of removed files comes back after this long.
const BURIED_WITHIN: Duration = Duration::from_secs(2);

/// A file system over one bucket. Made by [`BucketFs::open`], ended by [`BucketFs::shutdown`].
pub struct BucketFs {
    pub(crate) config: Config,
    pub(crate) state: StateDir,
    pub(crate) names: NameStore,
    pub(crate) staging: Arc<StagingArea>,
    pub(crate) content: ContentCache,
    pub(crate) bucket: hub::Bucket,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) listings: Listings,
    pub(crate) queue: Queue,
    /// Where the feed of changes stands.
    pub(crate) feed: Mutex<Option<hub::Resume>>,
    /// Files in the bucket, as the Hub said last; 0 when only a folder of it is mounted.
    pub(crate) files_on_hub: AtomicU64,
    /// Edits whose base is being fetched.
    pub(crate) bases: Mutex<HashSet<FileId>>,
    pub(crate) offline: Offline,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) departed: Departed,
    /// Owns every task of this bucket; all end by `stop`.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    me: Weak<BucketFs>,
}

impl BucketFs {
    /// Takes the state directory, opens or rebuilds the database and takes up what an earlier life staged.
    /// Works without the Hub. Nothing is sent before [`BucketFs::start_sync`].
    ///
    /// Errors: `Busy` when another process has the state directory, `Damaged` when its identity is lost.
    pub async fn open(config: Config, bucket: hub::Bucket, events: Arc<dyn Events>) -> Result<Arc<Self>> {
        let state = StateDir::open(&config.state_dir)?;
        let source = Arc::new(bucket.clone());
        let content = ContentCache::open(&state.cache(), &state.kept(), config.cache_bytes, source).await?;
        let (names, kept_at) = open_names(&state, &config.faults)?;
        let staging = Arc::new(StagingArea::open(&state.staged(), config.faults.clone())?);
        let fs = Arc::new_cyclic(|me| BucketFs {
            queue: Queue::new(),
            feed: Mutex::new(None),
            files_on_hub: AtomicU64::new(0),
            bases: Mutex::default(),
            offline: Offline::default(),
            ledger: Arc::default(),
            departed: Departed::default(),
            listings: Listings::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            me: me.clone(),
            config,
            state,
            names,
            staging,
            content,
            bucket,
            events,
        });
        fs.recall()?;
        crate::sync::watcher::remember_commits(&fs);
        fs.prepare_root().await?;
        recovery::take_up(&fs, kept_at).await?;
        Ok(fs)
    }

    async fn prepare_root(&self) -> Result<()> {
        let (prefix, uid, gid) = (self.config.prefix.clone(), self.config.uid, self.config.gid);
        self.names.change(move |tx| merge::ensure_fixed(tx, &prefix, uid, gid)).await?;
        let root = self.live(ROOT)?;
        match &root.place {
            Place::At(prefix) if *prefix == self.config.prefix => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                format!("{} belongs to another folder of this bucket.", self.state.path().display()),
            )
            .advise("Use one state directory for each folder that is mounted.")),
        }
    }

    /// Starts the queue, the watcher of remote changes and keeping offline, and gets access to the Hub's storage for the
    /// first read.
    pub fn start_sync(self: &Arc<Self>) {
        let fs = self.clone();
        self.tasks.spawn(async move {
            let asked = fs.stop.run_until_cancelled(fs.bucket.prepare_reading()).await;
            if let Some(Err(error)) = asked {
                tracing::debug!(%error, "the first read asks for access again");
            }
        });
        if !self.config.read_only {
            let fs = self.clone();
            self.tasks.spawn(async move {
                guarded("the sync queue", || crate::sync::syncer::run(fs.clone())).await;
            });
        }
        let (fs, began) = (self.clone(), chrono::Utc::now());
        self.tasks.spawn(async move {
            guarded("the watcher of remote changes", || crate::sync::watcher::run(fs.clone(), began)).await;
        });
        let fs = self.clone();
        self.tasks.spawn(async move {
            guarded("keeping offline", || crate::sync::offline::keeper::run(fs.clone())).await;
        });
    }

    /// Stops every task and makes all that was acknowledged durable, within about `deadline`. What is not
    /// on the Hub stays in the state directory for the next start. Returns what is left.
    pub async fn shutdown(&self, deadline: Duration) -> Status {
        let left = self.status();
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time; nothing of theirs is lost");
        }
        for staged in self.staging.all() {
            let outcome = blocking(move || Ok(staged.make_durable())).await;
            if !matches!(outcome, Ok(Ok(()))) {
                tracing::warn!(?outcome, "a staged file was not synced at the end");
            }
        }
        if let Err(error) = self.keep_what_the_queue_knows().await {
            tracing::warn!(%error, "what had failed was not stored; it is tried again after the start");
        }
        if let Err(error) = self.sync_names().await {
            tracing::warn!(%error, "the state database was not synced at the end");
        }
        self.content.close().await;
        self.names.close();
        left
    }

    /// The key of this bucket's file handles; outlives database and process.
    pub fn handle_key(&self) -> [u8; 32] {
        self.state.identity.handle_key().unwrap_or_default()
    }

    pub fn fsid(&self) -> u64 {
        self.state.identity.fsid
    }

    /// The write verifier of the current epoch (RFC 1813 3.3.21).
    pub fn write_verifier(&self) -> u64 {
        self.staging.verifier()
    }

    pub fn read_only(&self) -> bool {
        self.config.read_only
    }

    /// Answers stored with their changes, oldest first; for the server's reply cache at start.
    pub fn stored_replies(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.names.ask(crate::names::query::stored_replies).unwrap_or_else(|error| {
            tracing::error!(%error, "stored answers could not be read");
            Vec::new()
        })
    }

    /// Files in the bucket, as far as the Hub has said.
    pub(crate) fn total_files(&self) -> u64 {
        self.files_on_hub.load(Ordering::Relaxed)
    }

    pub(crate) fn this(&self) -> Result<Arc<Self>> {
        self.me.upgrade().ok_or_else(|| Error::new(ErrorKind::LocalDisk, "BucketBar is shutting down."))
    }

    /// The row of a live id, or `Gone`.
    pub(crate) fn live(&self, id: FileId) -> Result<Arc<Node>> {
        self.names.node(id)?.ok_or_else(|| Error::new(ErrorKind::Gone, "This file has been removed."))
    }

    /// The path as a person sees it, for messages and sidecars; what is above is mostly remembered.
    pub(crate) fn path_of(&self, node: &Node) -> String {
        let mut parts = vec![node.display_name()];
        let mut up = node.parent;
        while up != ROOT && parts.len() < DEEPEST {
            let Ok(Some(parent)) = self.names.node(up) else { break };
            parts.push(parent.display_name());
            up = parent.parent;
        }
        parts.reverse();
        parts.join("/")
    }

    pub(crate) fn tell(&self, event: Event) {
        self.events.tell(event);
    }

    pub(crate) fn refuse_read_only(&self) -> Result<()> {
        if self.config.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "This bucket is mounted read-only."));
        }
        Ok(())
    }

    /// A file with edits that the Hub does not have.
    pub(crate) fn is_edited(&self, id: FileId) -> bool {
        self.staging.get(id).is_some_and(|staged| staged.with_layout(|layout| layout.dirty))
    }

    /// On return every change of names acknowledged before the call is on stable storage, and the staged copies of
    /// files that were removed before it are deleted.
    pub(crate) async fn sync_names(&self) -> Result<()> {
        let dead = self.staging.condemned();
        self.names.sync().await?;
        if dead.is_empty() {
            return Ok(());
        }
        let staging = self.staging.clone();
        blocking(move || {
            staging.bury(&dead);
            Ok(())
        })
        .await
    }

    /// Files that were removed: their staged copies go as soon as the removal is on stable storage.
    pub(crate) async fn condemn(&self, ids: Vec<FileId>) {
        let staging = self.staging.clone();
        let first = blocking(move || Ok(ids.into_iter().filter(|id| staging.condemn(*id)).count() > 0)).await;
        let (Ok(true), Ok(fs)) = (first, self.this()) else { return };
        self.tasks.spawn(async move {
            tokio::select! {
                () = fs.stop.cancelled() => {} // the end syncs, too
                () = tokio::time::sleep(BURIED_WITHIN) => if let Err(error) = fs.sync_names().await {
                    tracing::warn!(%error, "staged copies of removed files wait for the next sync");
                }
            }
        });
    }

    pub(crate) async fn note_path(&self, staged: Arc<Staged>, path: String) {
        let _ = blocking(move || {
            staged.note_path(&path);
            Ok(())
        })
        .await;
    }
}

/// Opens the database; a damaged one is kept aside (its new name is returned) and begun anew.
fn open_names(state: &StateDir, faults: &Faults) -> Result<(NameStore, Option<PathBuf>)> {
    let open = || NameStore::open(&state.database(), &state.ids(), faults.clone());
    match open() {
        Ok(names) => Ok((names, None)),
        Err(error) if error.kind == ErrorKind::Damaged => {
            tracing::error!(%error, "the state database is kept aside and rebuilt");
            let aside = keep_aside(&state.database())?;
            Ok((open()?, Some(aside)))
        }
        Err(error) => Err(error),
    }
}

fn keep_aside(database: &Path) -> Result<PathBuf> {
    let stamp = Timestamp::now().as_ms();
    let aside = database.with_extension(format!("damaged-{stamp}.db"));
    for suffix in ["", "-wal", "-shm"] {
        let from = PathBuf::from(format!("{}{suffix}", database.display()));
        let to = PathBuf::from(format!("{}{suffix}", aside.display()));
        if from.exists() {
            std::fs::rename(&from, &to)
                .map_err(|error| Error::disk("keeping the damaged state database aside", &error))?;
        }
    }
    Ok(aside)
}

/// Runs work that blocks on the local disk off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Damaged, "A file operation met a programming error.")))
}
