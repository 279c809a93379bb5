//! `mount`: a serving process of its own for the bucket, and the kernel's mount on top of it.
//!
//! The server runs detached, so that it outlives this command and the terminal; its port and token stay in
//! the state directory, so that a server that died comes back for a mount that waits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::control::ControlClient;
use engine::keeping::Life;
use engine::mounter::{
    self, Facts, HelperClient, Mounted, Os, OwnMount, Plan, Source, Token, VolumeName, Wanted,
};
use engine::{BucketPath, Endpoint, EngineError, FirstLine, Result, StateHome, prefixes_overlap};

use super::print_line;
use crate::arguments::Mount;
use crate::server::Detached;
use crate::{CommandResult, Outcome, format, place};

/// How long an engine may take to end before another is started.
const END: Duration = Duration::from_secs(10);
/// The window in which our own MNT is let in.
const WINDOW: Duration = Duration::from_secs(40);

pub async fn run(args: Mount) -> CommandResult {
    let target = Target::of(args.dir.as_deref()).await?;
    let state = place::state_dir(&args.bucket, args.state.as_deref())?;
    let mounts = mounter::own_mounts()?;
    if let Some(mount) = mounts.iter().find(|mount| is_of(mount, &state)) {
        return already_mounted(&args, mount, &target, &state).await;
    }
    target.check().await?;
    refuse_overlap(&args.bucket, &state, &mounts)?;
    let engine = start_engine(&args, &state, target.owner()).await?;
    engine.client.open_mount_window(WINDOW).await?;
    let first = &engine.first_line;
    let read_only = first.options.split(',').any(|option| option == "ro");
    let mounted = match target.mount(&args.bucket, first, read_only).await {
        Ok(mounted) => mounted,
        Err(error) => {
            // Nobody uses it; what an earlier mount left unsent waits on disk.
            let _ = engine.client.shutdown().await;
            return Err(error);
        }
    };
    let how = if read_only { " (read-only)" } else { "" };
    let place = mounted.path.display().to_string();
    print_line(&format!("{} is mounted on {place}{how}.", args.bucket));
    mounted.notes.iter().for_each(|note| print_line(note));
    print_line(&format!("End it with: bucketbarctl unmount {}", format::word(&place)));
    Ok(Outcome::Done)
}

/// Where it is to be mounted.
enum Target {
    /// The person's own folder.
    Folder(PathBuf),
    /// A volume, or a folder that we make, by the facts of this machine.
    Anywhere(Plan),
}

impl Target {
    async fn of(dir: Option<&Path>) -> Result<Target> {
        if let Some(dir) = dir {
            return Ok(Target::Folder(mounter::normalize(dir).await?));
        }
        let facts = Facts {
            os: Os::here(),
            is_root: rustix::process::geteuid().is_root(),
            helper: HelperClient::here().state().await,
            folder: place::buckets_folder()?,
        };
        Ok(Target::Anywhere(mounter::plan(&facts)?))
    }

    /// Whether it can be mounted there at all; asked before a server is started for it.
    async fn check(&self) -> Result<()> {
        if let Target::Folder(dir) = self {
            mounter::check_mount_point(dir).await?;
            mounter::check_permission(dir)?;
        }
        Ok(())
    }

    /// Files belong to whoever owns the folder, which on Linux need not be root who mounts.
    fn owner(&self) -> Option<(u32, u32)> {
        match self {
            Target::Folder(dir) => owner_of(dir),
            Target::Anywhere(_) => None,
        }
    }

    async fn mount(&self, bucket: &BucketPath, first: &FirstLine, read_only: bool) -> Result<Mounted> {
        match self {
            Target::Folder(dir) => {
                let source = Source { port: first.port, export: first.export.clone(), read_only };
                mounter::mount(&source, dir).await?;
                Ok(Mounted { path: dir.clone(), is_volume: false, notes: Vec::new() })
            }
            Target::Anywhere(plan) => {
                let token = first.export.split('/').nth(1).and_then(Token::parse).ok_or_else(|| {
                    EngineError::new(
                        "The server's first line cannot be understood.",
                        "Install the program anew.",
                    )
                })?;
                let name = VolumeName::nearest(bucket.volume(), "Bucket");
                let wanted = Wanted { port: first.port, token, read_only, name };
                Ok(mounter::mount_somewhere(plan, &wanted, &HelperClient::here()).await?)
            }
        }
    }
}

fn is_of(mount: &OwnMount, state: &Path) -> bool {
    matches!(Endpoint::read(state), Ok(Some(endpoint)) if endpoint.mount_token == mount.token)
}

/// A mount of this bucket exists. On this very folder, or anywhere, it is what was asked for: its server is started
/// again if it died, and the waiting kernel goes on.
async fn already_mounted(args: &Mount, mount: &OwnMount, target: &Target, state: &Path) -> CommandResult {
    let place = mount.mount_point.display().to_string();
    if matches!(target, Target::Folder(dir) if mount.mount_point != *dir) {
        return Err(EngineError::new(
            format!("{} is mounted on {place} already.", args.bucket),
            format!("Use it there, or unmount it first: bucketbarctl unmount {}", format::word(&place)),
        ));
    }
    let client = ControlClient::new(state, &args.bucket.to_string());
    wait_for_revival(&client, state).await;
    if client.is_running().await {
        print_line(&format!("{} is mounted on {place} already.", args.bucket));
        return Ok(Outcome::Done);
    }
    let before = Endpoint::read(state)?;
    let owner = before.as_ref().and_then(|endpoint| endpoint.owner);
    let read_only = before.is_some_and(|endpoint| endpoint.read_only);
    let bucket = args.bucket.to_string();
    Detached { bucket: &bucket, hub: None, state, read_only, owner, finish: false }.start().await?;
    print_line(&format!("{} is mounted on {place}; its server had ended and runs again.", args.bucket));
    Ok(Outcome::Done)
}

/// A server that just died may be on its way back by itself.
pub async fn wait_for_revival(client: &ControlClient, state: &Path) {
    let deadline = Instant::now() + END;
    while Instant::now() < deadline && !client.is_running().await {
        let held = engine::keeping::held().await;
        if !held.iter().any(|held| held.key == state && held.life == Life::Reviving) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two mounts of one file, each with a state of its own, would not see each other's changes until the Hub
/// has them, and each would take the other for a stranger.
fn refuse_overlap(bucket: &BucketPath, state: &Path, mounts: &[OwnMount]) -> Result<()> {
    let origin = engine::hub_origin()?;
    for (path, endpoint) in StateHome::discover()?.all() {
        let Some(mount) = mounts.iter().find(|mount| mount.token == endpoint.mount_token) else { continue };
        let same = endpoint.hub == origin && endpoint.bucket_id == bucket.bucket.to_string();
        if same && path != state && prefixes_overlap(&endpoint.prefix, &bucket.prefix) {
            return Err(EngineError::new(
                format!(
                    "{} is mounted on {} and shares files with {bucket}.",
                    endpoint.bucket_path(),
                    mount.mount_point.display()
                ),
                format!(
                    "Use it there, or unmount it first: bucketbarctl unmount {}",
                    mount.mount_point.display()
                ),
            ));
        }
    }
    Ok(())
}

struct Engine {
    client: ControlClient,
    first_line: FirstLine,
}

/// A fresh engine for `state`; one that still uploads after an unmount makes room for it.
async fn start_engine(args: &Mount, state: &Path, owner: Option<(u32, u32)>) -> Result<Engine> {
    let client = ControlClient::new(state, &args.bucket.to_string());
    wait_for_revival(&client, state).await;
    if client.shutdown().await.is_ok() {
        let deadline = Instant::now() + END;
        while client.is_running().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let bucket = args.bucket.to_string();
    let server =
        Detached { bucket: &bucket, hub: None, state, read_only: args.read_only, owner, finish: false };
    let first_line = server.start().await?;
    if args.state.is_some() {
        StateHome::discover()?.remember(state)?;
    }
    Ok(Engine { client, first_line })
}

fn owner_of(dir: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // Checked just before to be an answering folder that is no mount.
    let metadata = std::fs::metadata(dir).ok()?;
    Some((metadata.uid(), metadata.gid()))
}
