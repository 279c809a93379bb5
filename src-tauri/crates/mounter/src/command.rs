//! A child process with a deadline.

use std::ffi::OsStr;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What a child said and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub success: bool,
    /// As printed; only macOS's lsof is read for it.
    #[cfg_attr(not(target_os = "macos"), allow(dead_code))]
    pub stdout: String,
    /// What it said on stderr (or stdout, when that is all there is), one line, trimmed.
    pub said: String,
}

/// How a child can fail to give an [`Outcome`].
#[derive(Debug)]
pub(crate) enum Failure {
    /// The program is not installed.
    NotFound,
    /// Killed after the deadline.
    Timeout,
    Io(io::Error),
}

/// Runs `program` with `args` (no shell, no stdin, English messages) and waits at most `limit`.
///
/// A child that is still running then is killed; one stuck in the kernel is left to it.
pub(crate) async fn run<I, A>(program: &str, args: I, limit: Duration) -> Result<Outcome, Failure>
where
    I: IntoIterator<Item = A>,
    A: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await.map_err(|_| Failure::Timeout)?;
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound,
        _ => Failure::Io(error),
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = if stderr.trim().is_empty() { &stdout } else { &stderr };
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Outcome { success: output.status.success(), stdout, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn says_what_the_child_said() {
        let outcome = run("sh", ["-c", "echo out; echo 'went  wrong' >&2; exit 3"], LONG).await.unwrap();
        assert!(!outcome.success);
        assert_eq!((outcome.stdout.as_str(), outcome.said.as_str()), ("out\n", "went wrong"));
    }

    #[tokio::test]
    async fn a_missing_program_and_a_slow_one() {
        assert!(matches!(run("no-such-program-here", ["x"], LONG).await, Err(Failure::NotFound)));
        let slow = run("sleep", ["30"], Duration::from_millis(50)).await;
        assert!(matches!(slow, Err(Failure::Timeout)));
    }
}
