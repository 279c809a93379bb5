//! The looking: nothing here judges, nothing here changes anything, and nothing waits without an end.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use bucketfs::inspection::{self, Inspection};
use hub::{Account, HubError, Reached};
use mounter::{HelperClient, HelperState, Os, OwnMount};
use rustix::process::{Resource, getrlimit};

use crate::control::ControlClient;
use crate::control::api::EngineStatus;
use crate::endpoint::Endpoint;
use crate::error::{EngineError, Result};
use crate::state_home::config_folder;
use crate::{StateHome, app, hub_access, keeping, log_folder, ports};

/// For what answers at once or hangs for ever: a disk, a socket, a small program.
const SHORT: Duration = Duration::from_secs(10);
/// For one question to the Hub, with its retries.
const HUB: Duration = Duration::from_secs(20);
/// For reading a whole database.
const DATABASE: Duration = Duration::from_secs(60);

/// A folder, as the system sees it.
pub(super) struct Folder {
    pub path: PathBuf,
    pub seen: Seen,
    pub me: u32,
}

pub(super) enum Seen {
    Absent,
    /// The disk did not answer, or refused.
    Unreadable(String),
    There {
        mode: u32,
        owner: u32,
        disk: Disk,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Disk {
    pub kind: String,
    pub remote: bool,
    /// Copies of a file that share its blocks; `None` where it depends on how it was made.
    pub reflinks: Option<bool>,
    pub free: u64,
}

pub(super) enum NfsClient {
    Ready,
    /// No program that mounts.
    NoProgram(&'static str),
    /// The kernel cannot.
    NoKernel,
}

pub(super) struct Keeper {
    pub program: Option<PathBuf>,
    pub version: Option<String>,
    /// How many ports it holds; an error when it runs and does not answer.
    pub holds: std::result::Result<usize, String>,
}

pub(super) struct Helper {
    pub state: HelperState,
    pub version: Option<String>,
    pub is_root: bool,
    pub os: Os,
}

pub(super) struct HubFacts {
    pub origin: Result<String>,
    pub now: SystemTime,
    pub reached: Option<std::result::Result<Reached, HubError>>,
    /// Where the token comes from; `None` when there is none.
    pub token_from: Option<String>,
    pub account: Option<std::result::Result<Account, EngineError>>,
    /// Who is signed in in the app, whose tokens are the app's alone.
    pub of_the_app: Vec<String>,
    /// A bucket that storage and feed were asked about.
    pub asked: Option<String>,
    pub storage: Option<std::result::Result<Reached, HubError>>,
    pub feed: Option<std::result::Result<(), HubError>>,
}

pub(super) struct BucketFacts {
    pub name: String,
    pub path: PathBuf,
    pub token: String,
    pub open_to_others: bool,
    /// `None` when the disk did not answer in time.
    pub inspection: Option<Inspection>,
    /// Absent when no server runs.
    pub engine: Option<EngineStatus>,
}

pub(super) struct MountFacts {
    pub mount_point: PathBuf,
    pub served: bool,
    /// There is a state directory that belongs to it.
    pub known: bool,
}

/// "Linux 6.1.0 on x86_64."
pub(super) async fn system() -> String {
    let release = match Os::here() {
        Os::Linux => fs::read_to_string("/proc/sys/kernel/osrelease").ok(),
        Os::MacOs => said("/usr/bin/sw_vers", &["-productVersion"]).await,
    };
    let name = match Os::here() {
        Os::Linux => "Linux",
        Os::MacOs => "macOS",
    };
    format!("{name} {} on {}.", release.as_deref().map_or("?", str::trim), std::env::consts::ARCH)
}

pub(super) async fn state_folder() -> Result<Folder> {
    let home = StateHome::discover()?;
    let path = home.path().parent().unwrap_or(home.path()).to_owned();
    let me = rustix::process::geteuid().as_raw();
    let looked = path.clone();
    let seen = blocking(SHORT, move || look_at(&looked)).await;
    let seen = seen.unwrap_or_else(|| Seen::Unreadable("the disk does not answer".to_owned()));
    Ok(Folder { path, seen, me })
}

fn look_at(path: &Path) -> Seen {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Seen::Absent,
        Err(error) => return Seen::Unreadable(error.to_string()),
        Ok(metadata) => metadata,
    };
    match disk(path) {
        Ok(disk) => Seen::There { mode: metadata.mode() & 0o777, owner: metadata.uid(), disk },
        Err(error) => Seen::Unreadable(error.to_string()),
    }
}

fn disk(path: &Path) -> std::io::Result<Disk> {
    let space = rustix::fs::statvfs(path)?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let (kind, remote, reflinks) = kind(&rustix::fs::statfs(path)?);
    Ok(Disk { kind, remote, reflinks, free })
}

#[cfg(not(target_os = "macos"))]
fn kind(found: &rustix::fs::StatFs) -> (String, bool, Option<bool>) {
    // The magic numbers of statfs(2); the field's type differs between machines.
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    let (name, remote, reflinks) = match found.f_type as u32 {
        0xEF53 => ("ext4", false, Some(false)),
        0x5846_5342 => ("xfs", false, None),
        0x9123_683E => ("btrfs", false, Some(true)),
        0x2FC1_2FC1 => ("zfs", false, None),
        0xCA45_1A4E => ("bcachefs", false, Some(true)),
        0x0102_1994 => ("tmpfs", false, Some(false)),
        0x794C_7630 => ("overlayfs", false, None),
        0x6969 => ("nfs", true, Some(false)),
        0xFF53_4D42 | 0xFE53_4D42 | 0x517B => ("smb", true, Some(false)),
        0x00C3_6400 => ("ceph", true, Some(false)),
        0x0102_1997 => ("9p", true, Some(false)),
        0x6573_5546 => ("fuse", false, Some(false)),
        other => return (format!("type {other:#x}"), false, None),
    };
    (name.to_owned(), remote, reflinks)
}

#[cfg(target_os = "macos")]
fn kind(found: &rustix::fs::StatFs) -> (String, bool, Option<bool>) {
    /// `MNT_LOCAL` of `sys/mount.h`.
    const LOCAL: u32 = 0x1000;
    let name: String = found
        .f_fstypename
        .iter()
        .map(|&byte| char::from(byte.to_ne_bytes()[0]))
        .take_while(|letter| *letter != '\0')
        .collect();
    let reflinks = Some(name == "apfs");
    (name, found.f_flags & LOCAL == 0, reflinks)
}

/// Where the app's log lies, and whether there is one.
pub(super) fn logs() -> Option<(PathBuf, bool)> {
    let home = StateHome::discover().ok()?;
    let folder = log_folder(home.path().parent()?);
    let there = folder.is_dir();
    Some((folder, there))
}

/// How many files a process may have open, at most; `None`: as many as it likes.
pub(super) fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

pub(super) fn ports() -> (RangeInclusive<u16>, bool) {
    ports::look()
}

pub(super) async fn nfs_client() -> NfsClient {
    let program = match Os::here() {
        Os::MacOs => "/sbin/mount_nfs",
        Os::Linux => "/sbin/mount.nfs",
    };
    if !Path::new(program).exists() {
        return NfsClient::NoProgram(program);
    }
    match blocking(SHORT, kernel_can).await {
        Some(false) => NfsClient::NoKernel,
        _ => NfsClient::Ready,
    }
}

/// The kernel has NFS, or a module of it.
fn kernel_can() -> bool {
    if Os::here() == Os::MacOs {
        return true;
    }
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.split_whitespace().any(|word| word == "nfs") {
        return true;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release.trim());
    ["modules.dep", "modules.builtin"]
        .iter()
        .any(|list| fs::read_to_string(modules.join(list)).is_ok_and(|text| text.contains("fs/nfs/nfs.ko")))
}

pub(super) async fn keeper() -> Keeper {
    let program = keeping::program();
    let version = match &program {
        Some(path) => said(path, &["--version"]).await,
        None => None,
    };
    Keeper { program, version, holds: held().await }
}

async fn held() -> std::result::Result<usize, String> {
    // Finding the keeper's socket makes the folder it lies in; without one there is no keeper to find.
    let used = StateHome::discover().is_ok_and(|home| home.path().exists());
    if !used {
        return Ok(0);
    }
    let listed = blocking(SHORT, || match keeping::place() {
        Ok(Some(place)) => place.list().map(|held| held.len()).map_err(|error| error.to_string()),
        Ok(None) => Ok(0),
        Err(error) => Err(error.what),
    });
    listed.await.unwrap_or_else(|| Err("it does not answer".to_owned()))
}

pub(super) async fn helper() -> Helper {
    let client = HelperClient::here();
    Helper {
        state: client.state().await,
        version: client.version().await,
        is_root: rustix::process::geteuid().is_root(),
        os: Os::here(),
    }
}

pub(super) async fn hub() -> HubFacts {
    let mut facts = HubFacts {
        origin: hub_access::hub_origin(),
        now: SystemTime::now(),
        reached: None,
        token_from: None,
        account: None,
        of_the_app: Vec::new(),
        asked: None,
        storage: None,
        feed: None,
    };
    // Xet wants a folder; it gets one that goes again.
    let folder = std::env::temp_dir().join(format!("bucketbar-doctor-{}", std::process::id()));
    if let Ok(origin) = &facts.origin {
        facts.of_the_app = config_folder().map(|folder| app::names_kept(&folder, origin)).unwrap_or_default();
        match hub_access::open_hub(&folder) {
            Ok(hub) => ask(&hub, &mut facts).await,
            Err(error) => facts.origin = Err(error),
        }
        let _ = fs::remove_dir_all(&folder);
    }
    facts
}

async fn ask(hub: &hub::Hub, facts: &mut HubFacts) {
    let reached = within(HUB, hub.reach()).await;
    facts.now = SystemTime::now();
    let away = reached.is_err();
    facts.reached = Some(reached);
    let token = &hub.config().token;
    let has_token = match tokio::time::timeout(HUB, token.token()).await {
        Ok(Ok(token)) => token.is_some(),
        // There is one, and it cannot be used: asking says why.
        _ => true,
    };
    facts.token_from = has_token.then(|| token.describe());
    if away || !has_token {
        return;
    }
    let account = match within(HUB, hub.whoami()).await {
        Ok(account) => Ok(account),
        Err(error) => Err(hub_access::explain(hub, error).await),
    };
    let bucket = match &account {
        Ok(account) => some_bucket(hub, account, facts.origin.as_deref().unwrap_or_default()).await,
        Err(_) => None,
    };
    facts.account = Some(account);
    if let Some(name) = bucket {
        facts.asked = Some(name.to_string());
        let bucket = hub.bucket(name);
        facts.storage = Some(within(HUB, bucket.reach_storage()).await);
        facts.feed = Some(within(HUB, bucket.reach_feed()).await);
    }
}

/// A bucket that was used here, else the first there is.
async fn some_bucket(hub: &hub::Hub, account: &Account, origin: &str) -> Option<hub::StoreName> {
    let known = StateHome::discover().ok()?.all();
    let used = known.into_iter().find(|(_, endpoint)| endpoint.hub == origin);
    if let Some(name) = used.and_then(|(_, endpoint)| {
        let path: crate::BucketPath = endpoint.bucket_path().parse().ok()?;
        Some(path.bucket)
    }) {
        return Some(name);
    }
    let listed = within(HUB, hub.list_buckets(&account.name)).await.ok()?;
    listed.first()?.name().ok().map(Into::into)
}

pub(super) async fn buckets() -> Vec<BucketFacts> {
    let known = blocking(SHORT, || StateHome::discover().map(|home| home.all()).unwrap_or_default()).await;
    let mut facts = Vec::new();
    for (path, endpoint) in known.unwrap_or_default() {
        facts.push(one_bucket(path, endpoint).await);
    }
    facts
}

async fn one_bucket(path: PathBuf, endpoint: Endpoint) -> BucketFacts {
    let name = endpoint.bucket_path();
    let status = tokio::time::timeout(SHORT, ControlClient::new(&path, &name).status()).await;
    let looked = path.clone();
    let inspection = blocking(DATABASE, move || inspection::inspect(&looked)).await;
    let open_to_others = fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0);
    let engine = status.ok().and_then(Result::ok);
    BucketFacts { name, path, token: endpoint.mount_token, open_to_others, inspection, engine }
}

pub(super) async fn mounts(buckets: &[BucketFacts]) -> Result<Vec<MountFacts>> {
    let table = blocking(SHORT, mounter::own_mounts).await;
    let mounts = match table {
        Some(Ok(mounts)) => mounts,
        Some(Err(error)) => return Err(EngineError::new(error.to_string(), "")),
        None => return Err(EngineError::new("The system's table of mounts does not answer.", "")),
    };
    let mut facts = Vec::new();
    for mount in mounts {
        facts.push(one_mount(&mount, buckets).await);
    }
    Ok(facts)
}

async fn one_mount(mount: &OwnMount, buckets: &[BucketFacts]) -> MountFacts {
    MountFacts {
        served: mounter::is_served(mount).await,
        known: buckets.iter().any(|bucket| bucket.token == mount.token),
        mount_point: mount.mount_point.clone(),
    }
}

async fn within<T>(
    limit: Duration,
    question: impl Future<Output = std::result::Result<T, HubError>>,
) -> std::result::Result<T, HubError> {
    let late = || HubError::offline(format!("There was no answer within {} seconds", limit.as_secs()));
    tokio::time::timeout(limit, question).await.unwrap_or_else(|_| Err(late()))
}

/// `None` when it is not done in time; its thread is left to the disk that holds it.
async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await.ok()?.ok()
}

/// What a small program prints.
async fn said(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(SHORT, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
