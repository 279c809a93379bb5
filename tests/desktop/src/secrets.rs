//! The secret service: gnome-keyring, unlocked, on the session bus.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::app::{all_in, program};
use crate::home::Home;

pub struct SecretService;

const DAEMON: &str = "gnome-keyring-daemon";

impl SecretService {
    /// Starts it if it is not there any more: clients that are killed were seen to take it along.
    ///
    /// # Panics
    /// When it does not start.
    pub fn ensure(&self, home: &Home) {
        if !all_in(home).into_iter().any(|id| program(id) == DAEMON) {
            SecretService::start(home);
        }
    }

    /// # Panics
    /// When it does not start.
    pub fn start(home: &Home) -> SecretService {
        let mut command = home.command("gnome-keyring-daemon");
        command
            .args(["--unlock", "--components=secrets", "--daemonize"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("gnome-keyring-daemon: {error}"));
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(b"password");
        }
        let status = child.wait();
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "gnome-keyring-daemon: {status:?}"
        );
        SecretService
    }

    /// Every secret of the app's, as text.
    pub fn all(&self) -> Vec<String> {
        let done = Command::new("secret-tool")
            .args(["search", "--all", "--unlock", "service", "co.BucketBar.BucketBar"])
            .output();
        let text = done.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("secret = ")).map(str::to_owned).collect()
    }

    /// The tokens in them: words that start as the Hub's tokens do, or that an OAuth answer calls a token.
    pub fn tokens(&self) -> Vec<String> {
        let mut tokens = BTreeSet::new();
        for secret in self.all() {
            let words = secret.split(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
            tokens.extend(words.filter(|word| word.starts_with("hf_") && word.len() > 12).map(str::to_owned));
        }
        tokens.into_iter().collect()
    }
}
