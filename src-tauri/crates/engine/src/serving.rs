//! One served bucket: its state directory, its file system, its NFS server and its control socket, from
//! start to a clean end.
//!
//! The order of a start matters. The state directory is claimed for this bucket before anything of it is
//! opened; the file system takes the directory's lock before the port is bound; the port is recorded before
//! anybody is told of it. The end is the reverse: no more calls, then everything staged durable, then the
//! sockets go away, and with the process the lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bucketfs::{BucketFs, Status, Timestamp};
use hub::{Bucket, ErrorClass, Hub};
pub use nfs::MountWindow;
use nfs::{ExportPolicy, Server, ServerConfig};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::adapter::Adapter;
use crate::bucket_path::BucketPath;
use crate::control::{self, Controls};
use crate::descriptors;
use crate::endpoint::{Endpoint, Identity, private_dir};
use crate::error::{EngineError, Result};
use crate::hub_access::{self, HubAccess};
use crate::keeping::{self, Keep, Kept};
use crate::notices::Notices;
use crate::ports::PortChoice;

/// Calls in flight at the end may take this long; what is staged then has the rest of five seconds.
const DRAIN: Duration = Duration::from_secs(1);
const DURABLE: Duration = Duration::from_millis(2500);
/// A bucket that was opened before is served at once; the Hub is asked for this long only.
const ASK_KNOWN: Duration = Duration::from_secs(4);
/// How often a finishing engine looks whether it is done, while things move.
const FINISH_LOOK: Duration = Duration::from_millis(500);
const MAX_CACHE: u64 = 10 << 30;
const MAX_RESERVE: u64 = 1 << 30;
/// What `--any-uid` gives up, loudly.
const ANY_UID: &str =
    "FOR TESTS ONLY: --any-uid lets every user and program of this machine in, under any name it claims.";
/// Xet's own files in the state directory.
const XET: &str = "xet";
const DELETE_HOLD: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(15);
const DEBOUNCE: Duration = Duration::from_secs(2);

/// What to serve and how.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    pub bucket: BucketPath,
    pub state_dir: PathBuf,
    /// Asked for; else the port of last time, else any.
    pub port: Option<u16>,
    /// Read-only although the token may write.
    pub read_only: bool,
    /// When MNT is answered.
    pub window: MountWindow,
    /// Owner of everything served, and the uid that may call (besides 0).
    pub uid: u32,
    pub gid: u32,
    /// For tests with several users: everybody may call, modes are enforced, owners stored.
    pub any_uid: bool,
    pub debounce: Duration,
    /// Of the block cache; by default 10 GiB, or less on a small disk.
    pub cache_bytes: Option<u64>,
    /// Free space of the disk that staging leaves alone; by default 1 GiB, or less on a small disk.
    pub reserve_bytes: Option<u64>,
    /// How often the Hub is asked for changes made elsewhere.
    pub poll: Duration,
    /// How long a deletion waits before it leaves.
    pub delete_hold: Duration,
    /// Whether many deletions at once wait for the person's word.
    pub ask_deletes: bool,
    /// The port in the hands of the keeper, so that it outlives a crash; by default it is not.
    pub keep: Option<Keep>,
    /// The Hub, and as whom; by default what this machine's environment means.
    pub access: Option<HubAccess>,
}

impl ServeConfig {
    /// Defaults: this process's user, mountable while running.
    pub fn new(bucket: BucketPath, state_dir: impl Into<PathBuf>) -> Self {
        ServeConfig {
            bucket,
            state_dir: state_dir.into(),
            port: None,
            read_only: false,
            window: MountWindow::WhileRunning,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            any_uid: false,
            debounce: DEBOUNCE,
            cache_bytes: None,
            reserve_bytes: None,
            poll: POLL,
            delete_hold: DELETE_HOLD,
            ask_deletes: true,
            keep: None,
            access: None,
        }
    }
}

/// What `bucketbarctl serve` prints first: enough to mount it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstLine {
    pub port: u16,
    /// `/TOKEN/VOLUME`.
    pub export: String,
    /// For `mount -o` on this system.
    pub options: String,
}

/// A bucket being served.
pub struct Served {
    controls: Arc<Controls>,
    first_line: FirstLine,
    read_only: Option<ReadOnly>,
    /// Things the person should know although the start succeeded.
    warnings: Vec<String>,
    nfs: JoinHandle<()>,
    control: JoinHandle<()>,
    /// The port's other holder.
    kept: Option<Kept>,
    /// Removes the control socket at the end.
    _socket: control::Bound,
}

/// Why a bucket is served read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    Asked,
    /// The token may not write to it.
    Token,
    /// A repo: BucketBar only reads them.
    Repo,
}

/// What the Hub said at the start.
struct Asked {
    can_write: bool,
    warning: Option<String>,
}

impl Served {
    /// On return the bucket is served on 127.0.0.1 and reachable over the control socket.
    ///
    /// A bucket opened before is served even while the Hub cannot be reached or does not accept the token;
    /// [`Served::warnings`] says so then.
    ///
    /// # Errors
    /// A sentence for each: no such bucket, no access, state directory in use or of another bucket, port
    /// taken, damaged state, disk.
    pub async fn start(config: ServeConfig) -> Result<Served> {
        descriptors::raise_limit();
        let origin = match &config.access {
            Some(access) => access.origin(),
            None => hub_access::hub_origin()?,
        };
        let bucket_id = config.bucket.bucket.to_string();
        let identity = Identity { hub: &origin, bucket_id: &bucket_id, prefix: &config.bucket.prefix };
        let state_dir = absolute(&config.state_dir)?;
        let known = Endpoint::check(&state_dir, identity)?.filter(|known| known.opened);
        let traces = Traces::of(&state_dir)?;
        let hub = match &config.access {
            Some(access) => access.open(&state_dir.join(XET))?,
            None => hub_access::open_hub(&state_dir.join(XET))?,
        };
        let bucket = hub.bucket(config.bucket.bucket.clone());
        let asked = match ask(&hub, &bucket, known.as_ref()).await {
            Ok(asked) => asked,
            Err(error) => {
                drop((hub, bucket));
                traces.remove();
                return Err(error);
            }
        };
        let volume = mounter::VolumeName::nearest(config.bucket.volume(), "Bucket");
        let endpoint = Endpoint::claim(&state_dir, identity, volume.as_str())?;
        Start { config, state_dir, endpoint, bucket, asked }.run().await
    }

    pub fn first_line(&self) -> &FirstLine {
        &self.first_line
    }

    pub fn read_only(&self) -> Option<ReadOnly> {
        self.read_only
    }

    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn notices(&self) -> &Arc<Notices> {
        &self.controls.notices
    }

    pub fn status(&self) -> Status {
        self.controls.fs.status()
    }

    pub fn fs(&self) -> &Arc<BucketFs> {
        &self.controls.fs
    }

    /// Where it is mounted from: what a kernel's mount of it is told by.
    pub fn mount_token(&self) -> &str {
        self.first_line.export.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    /// Answers one MNT within `window`, where MNT is answered once only.
    pub fn open_mount_window(&self, window: Duration) {
        self.controls.server.open_mount_window(window);
    }

    /// Ends by itself ([`Served::wanted_to_end`]) when everything is on the Hub; or, `false`, no longer.
    pub fn set_finishing(&self, finishing: bool) {
        self.controls.finishing.send_replace(finishing);
    }

    /// Its work is over: somebody asked for the end, or it was to end when done, and is.
    pub fn is_ending(&self) -> bool {
        self.controls.stop.is_cancelled()
            || (*self.controls.finishing.borrow() && is_finished(&self.status()))
    }

    /// What resolves [`Served::wanted_to_end`], for whoever cannot hold on to this.
    pub fn watch_end(&self) -> impl Future<Output = ()> + Send + 'static {
        wanted_to_end(Arc::clone(&self.controls))
    }

    /// Returns when somebody asked over the control socket for the end, or when a finishing engine is done.
    pub async fn wanted_to_end(&self) {
        wanted_to_end(Arc::clone(&self.controls)).await;
    }

    /// Ends within five seconds: calls in flight are answered, everything staged is durable, what is unsent
    /// stays on disk. Gives the last status.
    pub async fn stop(self) -> Status {
        // First of all: an end that the disk holds up must not look like a crash.
        self.kept.iter().for_each(Kept::no_respawn);
        self.controls.stop.cancel();
        if tokio::time::timeout(DRAIN + Duration::from_millis(500), self.nfs).await.is_err() {
            tracing::warn!("calls were still running at the end");
        }
        let close = async {
            if let Some(kept) = &self.kept {
                kept.goodbye().await;
            }
        };
        let (status, ()) = tokio::join!(self.controls.fs.shutdown(DURABLE), close);
        self.control.abort();
        status
    }
}

async fn wanted_to_end(controls: Arc<Controls>) {
    let done = async {
        let (mut finishing, mut news) = (controls.finishing.subscribe(), controls.fs.news());
        loop {
            // Its sender lives in `controls`.
            let _ = finishing.wait_for(|finishing| *finishing).await;
            news.mark_unchanged();
            if is_finished(&controls.fs.status()) {
                return;
            }
            tokio::select! {
                _ = news.changed() => {}
                _ = finishing.changed() => {}
            }
            tokio::time::sleep(FINISH_LOOK).await;
        }
    };
    tokio::select! {
        () = done => {}
        () = controls.stop.cancelled() => {}
    }
}

/// A start whose state directory is claimed.
struct Start {
    config: ServeConfig,
    state_dir: PathBuf,
    endpoint: Endpoint,
    bucket: Bucket,
    asked: Asked,
}

impl Start {
    async fn run(mut self) -> Result<Served> {
        let read_only = match (self.config.read_only, self.asked.can_write) {
            _ if self.bucket.is_read_only() => Some(ReadOnly::Repo),
            (true, _) => Some(ReadOnly::Asked),
            (false, false) => Some(ReadOnly::Token),
            (false, true) => None,
        };
        let notices = Notices::new();
        let fs = self.open_file_system(read_only.is_some(), Arc::clone(&notices)).await?;
        notices.name_files_of(&fs);
        let (listener, kept) = self.listen().await?;
        match self.serve(read_only, notices, fs, listener) {
            Ok(served) => {
                kept.iter().for_each(|kept| kept.follow(served.controls.finishing.subscribe()));
                Ok(Served { kept, ..served })
            }
            Err(error) => {
                if let Some(kept) = &kept {
                    kept.goodbye().await;
                }
                Err(error)
            }
        }
    }

    fn serve(
        &mut self,
        read_only: Option<ReadOnly>,
        notices: Arc<Notices>,
        fs: Arc<BucketFs>,
        listener: TcpListener,
    ) -> Result<Served> {
        let port = local_port(&listener)?;
        self.record(port, read_only)?;
        let server = self.server(&fs, &notices);
        let stop = CancellationToken::new();
        let about = control::About {
            bucket: self.endpoint.bucket_path(),
            hub: self.endpoint.hub.clone(),
            port,
            started_ms: Timestamp::now().as_ms(),
            any_uid: self.config.any_uid,
        };
        let controls = Arc::new(Controls {
            fs,
            server: server.clone(),
            notices,
            stop: stop.clone(),
            finishing: watch::Sender::new(false),
            about,
        });
        let mut socket = control::listen(&self.state_dir)
            .map_err(|error| EngineError::disk("Making the control socket in", &self.state_dir, &error))?;
        let control = control_task(&mut socket, &controls);
        let nfs = nfs_task(server, listener, stop);
        controls.fs.start_sync();
        let options = mounter::mount_options(mounter::Os::here(), port, read_only.is_some());
        let first_line = FirstLine { port, export: self.endpoint.export(), options };
        let everybody = self.config.any_uid.then(|| ANY_UID.to_owned());
        let warnings = everybody.into_iter().chain(self.asked.warning.take()).collect();
        Ok(Served { controls, first_line, read_only, warnings, nfs, control, kept: None, _socket: socket })
    }

    async fn open_file_system(&self, read_only: bool, notices: Arc<Notices>) -> Result<Arc<BucketFs>> {
        let cache_bytes = self.config.cache_bytes.unwrap_or_else(|| default_cache(&self.state_dir));
        let config = bucketfs::Config {
            prefix: self.config.bucket.prefix.clone(),
            uid: self.config.uid,
            gid: self.config.gid,
            read_only,
            debounce: self.config.debounce,
            cache_bytes,
            saved_copies_bytes: cache_bytes / 4,
            reserve_bytes: self.config.reserve_bytes.unwrap_or_else(|| default_reserve(&self.state_dir)),
            poll: self.config.poll,
            delete_hold: self.config.delete_hold,
            ask_deletes: self.config.ask_deletes,
            stored_owners: self.config.any_uid,
            ..bucketfs::Config::new(self.state_dir.clone())
        };
        Ok(BucketFs::open(config, self.bucket.clone(), notices).await?)
    }

    /// The port a kernel may still be mounted on is never given up for another.
    async fn listen(&self) -> Result<(TcpListener, Option<Kept>)> {
        let choice = match (self.config.port, self.endpoint.port) {
            (Some(port), _) => PortChoice::Only(port),
            (None, Some(port)) if is_mounted(&self.endpoint) => PortChoice::Only(port),
            (None, Some(port)) => PortChoice::Rather(port),
            (None, None) => PortChoice::Any,
        };
        keeping::listen(choice, self.config.keep.clone(), &self.endpoint, &self.state_dir).await
    }

    fn record(&mut self, port: u16, read_only: Option<ReadOnly>) -> Result<()> {
        let mut record = self.endpoint.clone();
        record.port = Some(port);
        record.opened = true;
        record.can_write = self.asked.can_write;
        record.read_only = read_only == Some(ReadOnly::Asked);
        record.owner = Some((self.config.uid, self.config.gid));
        if record != self.endpoint {
            record.store(&self.state_dir)?;
            self.endpoint = record;
        }
        Ok(())
    }

    fn server(&self, fs: &Arc<BucketFs>, notices: &Arc<Notices>) -> Server {
        let export = ExportPolicy {
            volume: self.endpoint.volume.clone(),
            token: self.endpoint.mount_token.clone(),
            window: self.config.window,
        };
        let config = ServerConfig {
            key: fs.handle_key(),
            fsid: fs.fsid(),
            owner_uid: self.config.uid,
            any_uid: self.config.any_uid,
            export,
            limits: nfs::Limits { drain_time: DRAIN, ..nfs::Limits::default() },
        };
        let adapter = Adapter::new(Arc::clone(fs), Arc::clone(notices));
        Server::new(Arc::new(adapter), config, Arc::clone(notices) as Arc<dyn nfs::Observer>)
    }
}

/// Asks whether the bucket is there and may be written to.
///
/// For a bucket opened before (`known`) only a plain "no such bucket" or "not allowed" is an error: a
/// mounted kernel waits for its server, and what is staged must be served even while nobody is signed in.
async fn ask(hub: &Hub, bucket: &Bucket, known: Option<&Endpoint>) -> Result<Asked> {
    let Some(known) = known else {
        if let Err(error) = bucket.info().await {
            return Err(hub_access::explain(hub, error).await);
        }
        return match bucket.can_write().await {
            Ok(can_write) => Ok(Asked { can_write, warning: None }),
            Err(error) => Err(hub_access::explain(hub, error).await),
        };
    };
    let as_before = |why: String| Asked {
        can_write: known.can_write,
        warning: Some(format!("{why} What is on this machine is served; uploads wait.")),
    };
    let both = async { (bucket.info().await, bucket.can_write().await) };
    match tokio::time::timeout(ASK_KNOWN, both).await {
        Err(_) => Ok(as_before("The Hub does not answer.".to_owned())),
        Ok((Ok(_), Ok(can_write))) => Ok(Asked { can_write, warning: None }),
        Ok((Err(error), _)) | Ok((_, Err(error))) => match error.class {
            ErrorClass::NotFound | ErrorClass::Forbidden => {
                let mut error = hub_access::explain(hub, error).await;
                error.advice.push_str(" What is not uploaded yet stays in the state directory.");
                Err(error)
            }
            _ => Ok(as_before(hub_access::explain(hub, error).await.to_string())),
        },
    }
}

/// A finishing engine is done when nothing is left that moves by itself.
fn is_finished(status: &Status) -> bool {
    status.all_saved || status.queued + status.uploading + status.waiting == 0
}

fn is_mounted(endpoint: &Endpoint) -> bool {
    let mounts = mounter::own_mounts().unwrap_or_default();
    mounts.iter().any(|mount| mount.token == endpoint.mount_token)
}

fn nfs_task(server: Server, listener: TcpListener, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = server.serve(listener, stop.clone()).await {
            tracing::error!(%error, "the NFS server ended");
            stop.cancel();
        }
    })
}

fn control_task(socket: &mut control::Bound, controls: &Arc<Controls>) -> JoinHandle<()> {
    let listener = socket.listener.take();
    let controls = Arc::clone(controls);
    tokio::spawn(async move {
        let Some(listener) = listener else { return };
        let stop = controls.stop.clone();
        if let Err(error) = control::serve(listener, controls, stop).await {
            tracing::error!(%error, "the control socket ended");
        }
    })
}

fn local_port(listener: &TcpListener) -> Result<u16> {
    match listener.local_addr() {
        Ok(address) => Ok(address.port()),
        Err(error) => Err(EngineError::new(format!("The listener has no address ({error})."), "Try again.")),
    }
}

/// What this start makes before it knows that there is such a bucket: a mistyped name leaves nothing behind.
struct Traces {
    made: Vec<PathBuf>,
}

impl Traces {
    /// Makes the state directory where missing.
    fn of(state_dir: &Path) -> Result<Traces> {
        let mut made = Vec::new();
        let xet = state_dir.join(XET);
        if !xet.exists() {
            made.push(xet);
        }
        if private_dir(state_dir)? {
            made.push(state_dir.to_owned());
        }
        Ok(Traces { made })
    }

    fn remove(self) {
        for path in self.made {
            // Only tidying. The state directory goes only while nothing of anybody else is in it.
            let _ =
                if path.ends_with(XET) { std::fs::remove_dir_all(path) } else { std::fs::remove_dir(path) };
        }
    }
}

/// 1 GiB, or a twentieth of a small disk: what staging leaves free by default.
fn default_reserve(state_dir: &Path) -> u64 {
    disk_size(state_dir).map_or(MAX_RESERVE, |total| (total / 20).min(MAX_RESERVE))
}

/// 10 GiB, or a quarter of a small disk.
fn default_cache(state_dir: &Path) -> u64 {
    disk_size(state_dir).map_or(MAX_CACHE, |total| (total / 4).min(MAX_CACHE))
}

/// Bytes of the disk that holds `path`; called once it is made.
fn disk_size(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_blocks.saturating_mul(disk.f_frsize))
}

fn absolute(state_dir: &Path) -> Result<PathBuf> {
    std::path::absolute(state_dir)
        .map_err(|error| EngineError::disk("Looking at the state directory", state_dir, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_is_when_nothing_moves_any_more() {
        let saved = Status { all_saved: true, ..Status::default() };
        assert!(is_finished(&saved));
        assert!(is_finished(&Status { failed: 2, local_only: 1, ..Status::default() }));
        for busy in [
            Status { queued: 1, ..Status::default() },
            Status { uploading: 1, failed: 1, ..Status::default() },
            Status { waiting: 1, ..Status::default() },
        ] {
            assert!(!is_finished(&busy), "{busy:?}");
        }
    }
}
