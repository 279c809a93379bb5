//! `mount`: a serving process of its own for the bucket, and the kernel's mount on top of it.
//!
//! The server runs detached, so that it outlives this command and the terminal; its port and token stay in
//! the state directory, so that a server that died comes back for a mount that waits.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use engine::control::ControlClient;
use engine::mounter::{self, OwnMount, Source};
use engine::{BucketPath, Endpoint, EngineError, FirstLine, Result, StateHome, prefixes_overlap};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::print_line;
use crate::arguments::Mount;
use crate::{CommandResult, Outcome, place};

/// A first start lists the Hub; a recovery may read a large database.
const START: Duration = Duration::from_secs(90);
/// How long an engine may take to end before another is started.
const END: Duration = Duration::from_secs(10);
/// The window in which our own MNT is let in.
const WINDOW: Duration = Duration::from_secs(40);
const LOG: &str = "serve.log";

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
    if client.is_running().await {
        print_line(&format!("{} is mounted on {place} already.", args.bucket));
        return Ok(Outcome::Done);
    }
    let before = Endpoint::read(state)?;
    let owner = before.as_ref().and_then(|endpoint| endpoint.owner);
    spawn(args, state, before.is_some_and(|endpoint| endpoint.read_only), owner).await?;
    print_line(&format!("{} is mounted on {place}; its server had ended and runs again.", args.bucket));
    Ok(Outcome::Done)
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
    if client.shutdown().await.is_ok() {
        let deadline = Instant::now() + END;
        while client.is_running().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let first_line = spawn(args, state, args.read_only, owner_of(dir)).await?;
    Ok(Engine { client, first_line })
}

/// Starts `serve` as a process of its own and waits for its first line.
async fn spawn(args: &Mount, state: &Path, read_only: bool, owner: Option<(u32, u32)>) -> Result<FirstLine> {
    let program = std::env::current_exe().map_err(|error| {
        EngineError::new(format!("This program does not know where it lies ({error})."), "Install it anew.")
    })?;
    let mut command = Command::new(program);
    command.arg("serve").arg(args.bucket.to_string()).arg("--state").arg(state);
    command.args(["--detached", "--mount-once"]);
    if read_only {
        command.arg("--read-only");
    }
    if let Some((uid, gid)) = owner {
        command.arg("--owner").arg(format!("{uid}:{gid}"));
    }
    let log = LogFile::create(state)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.stdio()?);
    let mut child = command.spawn().map_err(|error| {
        EngineError::new(format!("The server could not be started ({error})."), "Install the program anew.")
    })?;
    match tokio::time::timeout(START, first_line(&mut child)).await {
        Ok(Some(line)) => {
            log.keep();
            Ok(line)
        }
        Ok(None) => {
            let _ = child.wait().await;
            Err(log.last_words())
        }
        Err(_) => {
            let _ = child.start_kill();
            Err(EngineError::new(
                format!("The server was not ready within {} seconds.", START.as_secs()),
                format!("Its log is {}.", log.path.display()),
            ))
        }
    }
}

async fn first_line(child: &mut Child) -> Option<FirstLine> {
    let stdout = child.stdout.take()?;
    let line = BufReader::new(stdout).lines().next_line().await.ok()??;
    serde_json::from_str(&line).ok()
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

/// Where the detached server's stderr goes.
struct LogFile {
    path: PathBuf,
    file: std::fs::File,
    /// The state directory, when it was made for this log.
    made: Option<PathBuf>,
}

impl LogFile {
    fn create(state: &Path) -> Result<LogFile> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let path = state.join(LOG);
        let made = (!state.exists()).then(|| state.to_owned());
        let failed = |error: std::io::Error| {
            EngineError::new(
                format!("The log {} could not be made ({error}).", path.display()),
                "Check the permissions and the free space there.",
            )
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed)?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).write(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
        Ok(LogFile { path, file, made })
    }

    fn stdio(&self) -> Result<Stdio> {
        let copy = self.file.try_clone().map_err(|error| {
            EngineError::new(format!("The log could not be opened ({error})."), "Close some programs.")
        })?;
        Ok(copy.into())
    }

    /// The server is up: its log stays. What it warned of is passed on.
    fn keep(self) {
        let said = std::fs::read_to_string(&self.path).unwrap_or_default();
        said.lines().filter(|line| line.starts_with("bucketbarctl: ")).for_each(|line| eprintln!("{line}"));
    }

    /// The server ended before it was up: its sentence is ours. A directory made for nothing goes again.
    fn last_words(self) -> EngineError {
        let said = std::fs::read_to_string(&self.path).unwrap_or_default();
        let sentence = said.lines().rev().find_map(|line| line.strip_prefix("bucketbarctl: "));
        let error = match sentence {
            Some(sentence) => EngineError::new(sentence, ""),
            None => EngineError::new(
                "The server ended before it was ready.",
                format!("Its log is {}.", self.path.display()),
            ),
        };
        if let Some(made) = self.made.filter(|_| sentence.is_some()) {
            // Only tidying: the directory goes when the log was all there was.
            let served = made.join("endpoint.json").exists();
            if !served {
                let _ = std::fs::remove_file(&self.path);
                let _ = std::fs::remove_dir(&made);
            }
        }
        error
    }
}
