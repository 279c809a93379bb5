//! `mount`: a serving process of its own for the bucket, and the kernel's mount on top of it.
//!
//! The server runs detached, so that it outlives this command and the terminal; its port and token stay in
//! the state directory, so that a server that died comes back for a mount that waits.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::control::ControlClient;
use engine::keeping::Life;
use engine::mounter::{self, OwnMount, Source};
use engine::{BucketPath, Endpoint, EngineError, FirstLine, Result, StateHome, prefixes_overlap};

use super::print_line;
use crate::arguments::Mount;
use crate::server::Detached;
use crate::{CommandResult, Outcome, place};

/// How long an engine may take to end before another is started.
const END: Duration = Duration::from_secs(10);
/// The window in which our own MNT is let in.
const WINDOW: Duration = Duration::from_secs(40);

pub async fn run(args: Mount) -> CommandResult {
    let dir = mounter::normalize(&args.dir).await?;
    let state = place::state_dir(&args.bucket, args.state.as_deref())?;
    let mounts = mounter::own_mounts()?;
    if let Some(mount) = mounts.iter().find(|mount| is_of(mount, &state)) {
        return already_mounted(&args, mount, &dir, &state).await;
    }
    mounter::check_mount_point(&dir).await?;
    mounter::check_permission(&dir)?;
    refuse_overlap(&args.bucket, &state, &mounts)?;
    let engine = start_engine(&args, &state, &dir).await?;
    engine.client.open_mount_window(WINDOW).await?;
    let first = &engine.first_line;
    let read_only = first.options.split(',').any(|option| option == "ro");
    let source = Source { port: first.port, export: first.export.clone(), read_only };
    if let Err(error) = mounter::mount(&source, &dir).await {
        // Nobody uses it; what an earlier mount left unsent waits on disk.
        let _ = engine.client.shutdown().await;
        return Err(error.into());
    }
    let how = if read_only { " (read-only)" } else { "" };
    print_line(&format!("{} is mounted on {}{how}.", args.bucket, dir.display()));
    print_line(&format!("End it with: bucketbarctl unmount {}", dir.display()));
    Ok(Outcome::Done)
}

fn is_of(mount: &OwnMount, state: &Path) -> bool {
    matches!(Endpoint::read(state), Ok(Some(endpoint)) if endpoint.mount_token == mount.token)
}

/// A mount of this bucket exists. On this very folder it is what was asked for: its server is started again
/// if it died, and the waiting kernel goes on.
async fn already_mounted(args: &Mount, mount: &OwnMount, dir: &Path, state: &Path) -> CommandResult {
    let place = mount.mount_point.display();
    if mount.mount_point != dir {
        return Err(EngineError::new(
            format!("{} is mounted on {place} already.", args.bucket),
            format!("Use it there, or unmount it first: bucketbarctl unmount {place}"),
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
async fn start_engine(args: &Mount, state: &Path, dir: &Path) -> Result<Engine> {
    let client = ControlClient::new(state, &args.bucket.to_string());
    wait_for_revival(&client, state).await;
    if client.shutdown().await.is_ok() {
        let deadline = Instant::now() + END;
        while client.is_running().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (bucket, owner) = (args.bucket.to_string(), owner_of(dir));
    let server =
        Detached { bucket: &bucket, hub: None, state, read_only: args.read_only, owner, finish: false };
    let first_line = server.start().await?;
    if args.state.is_some() {
        StateHome::discover()?.remember(state)?;
    }
    Ok(Engine { client, first_line })
}

/// Files belong to whoever owns the folder, which on Linux need not be root who mounts.
fn owner_of(dir: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // Checked just before to be an answering folder that is no mount.
    let metadata = std::fs::metadata(dir).ok()?;
    Some((metadata.uid(), metadata.gid()))
}
