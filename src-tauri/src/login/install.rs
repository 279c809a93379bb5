//! Puts the agent, unit or entry there, or takes it away.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{launchd, systemd};
use crate::IDENTIFIER;

/// launchctl and systemctl answer at once, or something is wrong with them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who starts programs with the session here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    Launchd,
    Systemd,
    /// A Linux desktop without a systemd of the user's.
    Autostart,
}

impl Supervisor {
    pub fn here() -> Supervisor {
        if cfg!(target_os = "macos") {
            Supervisor::Launchd
        } else if run("systemctl", ["--user", "show-environment"]).is_ok() {
            Supervisor::Systemd
        } else {
            Supervisor::Autostart
        }
    }
}

/// Where this user's files of that kind are.
#[derive(Debug, Clone)]
pub struct Places {
    pub home: PathBuf,
    pub config: PathBuf,
}

impl Places {
    /// # Errors
    /// When there is no home directory.
    pub fn discover() -> io::Result<Places> {
        let dirs = directories::BaseDirs::new()
            .ok_or_else(|| io::Error::other("the home directory is not known"))?;
        Ok(Places { home: dirs.home_dir().into(), config: dirs.config_dir().into() })
    }

    pub fn file(&self, supervisor: Supervisor) -> PathBuf {
        match supervisor {
            Supervisor::Launchd => self.home.join(format!("Library/LaunchAgents/{IDENTIFIER}.plist")),
            Supervisor::Systemd => self.config.join("systemd/user").join(systemd::UNIT),
            Supervisor::Autostart => self.config.join("autostart").join(systemd::ENTRY),
        }
    }
}

/// Makes `program` start with the session, or not. The running app is not touched: a change holds from the next
/// session on.
///
/// # Errors
/// When the file cannot be written, or the system's own program refuses; nothing is half done then that the same
/// call does not mend.
pub fn set(supervisor: Supervisor, places: &Places, program: &Path, start: bool) -> io::Result<()> {
    let file = places.file(supervisor);
    if start {
        write(&file, &text(supervisor, program))?;
        return match supervisor {
            // launchd reads the folder at log-in; loading it now would start a second app.
            Supervisor::Launchd | Supervisor::Autostart => Ok(()),
            Supervisor::Systemd => run("systemctl", ["--user", "enable", systemd::UNIT]),
        };
    }
    if !file.exists() {
        return Ok(());
    }
    if supervisor == Supervisor::Systemd {
        run("systemctl", ["--user", "disable", systemd::UNIT])?;
    }
    fs::remove_file(&file)
}

fn text(supervisor: Supervisor, program: &Path) -> String {
    match supervisor {
        Supervisor::Launchd => launchd::property_list(program),
        Supervisor::Systemd => systemd::unit(program),
        Supervisor::Autostart => systemd::autostart(program),
    }
}

/// Whole or not at all: half an agent would be a broken session.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = file.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}

fn run(program: &str, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<()> {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let until = Instant::now() + PATIENCE;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(format!("{program} ended with {status}"))),
            None if Instant::now() > until => {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program} did not answer")));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_there_is_taken_away_again() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let places = Places { home: home.path().into(), config: home.path().join("config") };
        for supervisor in [Supervisor::Launchd, Supervisor::Autostart] {
            let file = places.file(supervisor);
            for _ in 0..2 {
                set(supervisor, &places, Path::new("/opt/bucketbar"), true)?;
                assert!(fs::read_to_string(&file)?.contains("/opt/bucketbar"), "{}", file.display());
            }
            for _ in 0..2 {
                set(supervisor, &places, Path::new("/opt/bucketbar"), false)?;
                assert!(!file.exists());
            }
        }
        Ok(())
    }

    #[test]
    fn a_program_that_refuses_is_an_error() {
        assert!(run("false", [""; 0]).is_err());
        assert!(run("no-such-program", [""; 0]).is_err());
        assert!(run("true", [""; 0]).is_ok());
    }
}
