//! A server of its own, detached from this command and its terminal.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use engine::{EngineError, FirstLine, Result};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A first start lists the Hub; a recovery may read a large database.
const START: Duration = Duration::from_secs(90);
/// In the state directory: what a detached server says on stderr.
pub const LOG: &str = "serve.log";

/// What is served, for whom.
pub struct Detached<'a> {
    pub bucket: &'a str,
    /// Another Hub than that of our environment.
    pub hub: Option<&'a str>,
    pub state: &'a Path,
    pub read_only: bool,
    pub owner: Option<(u32, u32)>,
    /// It ends when everything is on the Hub.
    pub finish: bool,
}

impl Detached<'_> {
    /// Starts `serve` as a process of its own and waits for its first line.
    ///
    /// # Errors
    /// The server's own last sentence, when it ended before it was up.
    pub async fn start(self) -> Result<FirstLine> {
        let program = std::env::current_exe().map_err(|error| {
            EngineError::new(
                format!("This program does not know where it lies ({error})."),
                "Install it anew.",
            )
        })?;
        let mut command = Command::new(program);
        command.arg("serve").arg(self.bucket).arg("--state").arg(self.state);
        command.args(["--detached", "--mount-once"]);
        if self.read_only {
            command.arg("--read-only");
        }
        if self.finish {
            command.arg("--finish");
        }
        if let Some(hub) = self.hub {
            command.env("HF_ENDPOINT", hub);
        }
        if let Some((uid, gid)) = self.owner {
            command.arg("--owner").arg(format!("{uid}:{gid}"));
        }
        let log = LogFile::create(self.state)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.stdio()?);
        let mut child = command.spawn().map_err(|error| {
            EngineError::new(
                format!("The server could not be started ({error})."),
                "Install the program anew.",
            )
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
}

async fn first_line(child: &mut Child) -> Option<FirstLine> {
    let stdout = child.stdout.take()?;
    let line = BufReader::new(stdout).lines().next_line().await.ok()??;
    serde_json::from_str(&line).ok()
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
