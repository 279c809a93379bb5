//! A Hub of one's own: the program `local-hub` in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::{Counters, Faults, HubClient, binary};

/// How long a Hub may take to come up; filling the demo bucket is included.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end after SIGTERM before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// The first line local-hub prints.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirstLine {
    endpoint: String,
    token: String,
    user: String,
    demo_bucket: Option<String>,
}

/// A running Hub; killed when dropped, its data directory removed with it unless it was given.
pub struct LocalHub {
    builder: LocalHubBuilder,
    child: Option<Child>,
    first: FirstLine,
    client: HubClient,
    /// The directory, when it is ours to remove.
    _temporary: Option<TempDir>,
}

impl LocalHub {
    /// A fresh Hub with one user (`alice`, token `hf_alice`) and an empty data directory.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A Hub to be described first.
    pub fn builder() -> LocalHubBuilder {
        LocalHubBuilder::default()
    }

    /// `http://127.0.0.1:PORT`; the same after [`LocalHub::restart`].
    pub fn endpoint(&self) -> &str {
        &self.first.endpoint
    }

    /// The first user's token: full rights.
    pub fn token(&self) -> &str {
        &self.first.token
    }

    /// The first user's name, which is a namespace for buckets.
    pub fn user(&self) -> &str {
        &self.first.user
    }

    /// The bucket `--demo` filled.
    pub fn demo_bucket(&self) -> Option<&str> {
        self.first.demo_bucket.as_deref()
    }

    /// Where the Hub keeps everything.
    pub fn data(&self) -> &Path {
        self.builder.data.as_deref().unwrap_or_else(|| panic!("a started Hub has a data directory"))
    }

    /// A client with the first user's token.
    pub fn client(&self) -> &HubClient {
        &self.client
    }

    /// A client with another token; `None` is anonymous.
    pub fn client_as(&self, token: Option<&str>) -> HubClient {
        HubClient::new(self.endpoint(), token)
    }

    /// Creates a private bucket `name` of the first user's; returns its id `user/name`.
    pub fn create_bucket(&self, name: &str) -> String {
        let bucket = format!("{}/{name}", self.user());
        self.client.create_bucket(&bucket);
        bucket
    }

    /// What this Hub does wrong on demand.
    pub fn faults(&self) -> Faults<'_> {
        Faults::new(&self.client)
    }

    /// What reached this Hub since the last reset.
    pub fn counters(&self) -> Counters {
        self.client.counters()
    }

    /// Sets every counter to zero.
    pub fn reset_counters(&self) {
        self.client.reset_counters();
    }

    /// Ends the process at once (SIGKILL): from here on the Hub is offline, its data is kept.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to end (SIGTERM), kills it after 5 s.
    pub fn stop(&mut self) {
        if let Some(child) = &self.child {
            terminate(child);
        }
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline
            && self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it if it runs and starts it again: same port, same data, same tokens. Faults and counters
    /// begin anew.
    pub fn restart(&mut self) {
        self.stop();
        let address = self.first.endpoint.trim_start_matches("http://").to_string();
        let (child, first) = self.builder.spawn(&address);
        assert_eq!(first.endpoint, self.first.endpoint, "a restarted Hub answers where it did before");
        self.child = Some(child);
        // Connections kept alive lead to the old process.
        self.client = HubClient::new(&first.endpoint, Some(&first.token));
    }
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a [`LocalHub`] is to be started.
#[derive(Clone, Default)]
pub struct LocalHubBuilder {
    data: Option<PathBuf>,
    tokens: Vec<String>,
    arguments: Vec<String>,
}

impl LocalHubBuilder {
    /// Keeps everything in `data` (made if missing, not removed at the end).
    pub fn data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Adds a user with a token of full rights. The first one is the Hub's [`LocalHub::user`].
    pub fn token(mut self, token: &str, user: &str) -> Self {
        self.tokens.push(format!("{token}={user}"));
        self
    }

    /// Adds a token that may only read (for a new or known user).
    pub fn read_token(mut self, token: &str, user: &str) -> Self {
        self.tokens.push(format!("{token}={user}:read"));
        self
    }

    /// Fills the demo bucket (some seconds, the first time on a data directory).
    pub fn demo(self) -> Self {
        self.argument("--demo")
    }

    /// Adds an argument as it is (`"--org"`, then `"acme=alice,bob"`).
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up within a minute.
    pub fn start(mut self) -> LocalHub {
        let temporary = match &self.data {
            Some(_) => None,
            None => {
                Some(tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}")))
            }
        };
        if let Some(directory) = &temporary {
            self.data = Some(directory.path().to_path_buf());
        }
        if self.tokens.is_empty() {
            self.tokens.push("hf_alice=alice".into());
        }
        let (child, first) = self.spawn("127.0.0.1:0");
        let client = HubClient::new(&first.endpoint, Some(&first.token));
        LocalHub { builder: self, child: Some(child), first, client, _temporary: temporary }
    }

    fn spawn(&self, address: &str) -> (Child, FirstLine) {
        let program = binary("local-hub");
        let mut command = Command::new(&program);
        command.arg("--data").arg(self.data.as_deref().unwrap_or(Path::new("."))).args(["--listen", address]);
        for token in &self.tokens {
            command.args(["--token", token]);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("stdout was asked for"));
        match first_line(stdout) {
            Some(first) => (child, first),
            None => {
                let _ = child.kill();
                let ended = child.wait();
                panic!("{} printed no first line within {START:?} ({ended:?})", program.display());
            }
        }
    }
}

/// Reads the first line, and goes on emptying the pipe so that the process never blocks on it.
fn first_line(stdout: ChildStdout) -> Option<FirstLine> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let _ = sender.send(lines.next());
        lines.for_each(drop);
    });
    let line = receiver.recv_timeout(START).ok()??.ok()?;
    Some(
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("local-hub's first line: {error} in {line}")),
    )
}

fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
