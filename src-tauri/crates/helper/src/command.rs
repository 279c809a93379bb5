//! A system program with fixed arguments, an empty environment and a deadline.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    Well,
    /// With its last words, on one line.
    Badly(String),
    /// Killed after the deadline, or stuck in the kernel and left behind.
    Late,
}

/// What it prints beyond this is not read.
const WORDS: u64 = 4096;
const LOOK: Duration = Duration::from_millis(20);

/// Runs `program` as `user` (uid, gid; no other groups), or as this process's user when `None`.
pub fn run(
    program: &str,
    arguments: &[&OsStr],
    user: Option<(u32, u32)>,
    limit: Duration,
) -> io::Result<Ended> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some((uid, gid)) = user {
        // With a uid set, std drops all supplementary groups before it changes the user.
        command.gid(gid).uid(uid);
    }
    let mut child = command.process_group(0).spawn()?;
    let words = child.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.take(WORDS).read_to_end(&mut said);
            String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ")
        })
    });
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(Ended::Well);
            }
            let said = words.and_then(|words| words.join().ok()).unwrap_or_default();
            return Ok(Ended::Badly(if said.is_empty() { status.to_string() } else { said }));
        }
        if Instant::now() >= deadline {
            // A child stuck in the kernel takes no signal; it is left, and its pipe with it.
            let _ = child.kill();
            let _ = child.try_wait();
            return Ok(Ended::Late);
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        run("/bin/sh", &["-c".as_ref(), script.as_ref()], None, limit).unwrap()
    }

    #[test]
    fn it_ends_well_badly_or_late() {
        let long = Duration::from_secs(20);
        assert!(matches!(shell("exit 0", long), Ended::Well));
        assert!(matches!(shell("echo no  such >&2; exit 3", long), Ended::Badly(said) if said == "no such"));
        assert!(matches!(shell("sleep 30", Duration::from_millis(100)), Ended::Late));
        assert!(run("/no/such/program", &[], None, long).is_err());
    }

    #[test]
    fn it_inherits_no_environment() {
        let said = shell(
            "env | grep -v -e '^PWD=' -e '^_=' -e '^SHLVL=' | sort >&2; exit 1",
            Duration::from_secs(20),
        );
        assert!(matches!(said, Ended::Badly(said) if said == "LC_ALL=C PATH=/usr/bin:/bin:/usr/sbin:/sbin"));
    }
}
