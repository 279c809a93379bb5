//! Starting a server again.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::protocol::Respawn;

/// Starts it with the recorded environment and nothing else; what it says on stderr is appended to its log.
pub fn start(command: &Respawn) -> io::Result<Child> {
    let log = open(&command.log)?;
    Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// A sentence in the server's log. A log that cannot be written is nobody's fault here: the keeper goes on.
pub fn note(log: &Path, sentence: &str) {
    let _ = open(log).and_then(|mut log| writeln!(log, "bucketbar-keeper: {sentence}"));
}

fn open(log: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(log)
}
