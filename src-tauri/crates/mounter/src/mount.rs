//! Calling the system's own mount program.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use crate::command::{self, Failure, Outcome};
use crate::error::{MountError, Reason, Result};
use crate::mount_point::check_mount_point;
use helper::{Os, Source, mount_options};

/// A server on loopback answers at once; this is for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Mounts `source` on `dir` (from [`normalize`](crate::normalize)); on return it is mounted.
///
/// The server must be another process or another task: it is asked while this waits.
///
/// # Errors
/// Those of [`check_mount_point`]; [`Reason::NotPermitted`], [`Reason::NoClient`], [`Reason::Timeout`], or
/// [`Reason::System`] with the system's words.
pub async fn mount(source: &Source, dir: &Path) -> Result<()> {
    check_permission(dir)?;
    check_mount_point(dir).await?;
    let (program, args) = command_line(Os::here(), source, dir);
    match command::run(program, args, LIMIT).await {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(outcome) => Err(explain(&outcome, dir)),
        Err(Failure::NotFound) => Err(no_client(program)),
        Err(Failure::Timeout) => Err(MountError::new(
            Reason::Timeout,
            format!("Mounting on {} took longer than {} seconds.", dir.display(), LIMIT.as_secs()),
            "Try again; if it stays so, look at the server's log.",
        )),
        Err(Failure::Io(error)) => Err(MountError::new(
            Reason::System,
            format!("{program} could not be started ({error})."),
            "Check that it is installed and may be run.",
        )),
    }
}

/// Returns when this user may mount at all: on macOS everybody on a folder of theirs, on Linux only root.
///
/// # Errors
/// [`Reason::NotPermitted`].
pub fn check_permission(dir: &Path) -> Result<()> {
    if Os::here() == Os::Linux && !rustix::process::geteuid().is_root() {
        return Err(not_permitted(dir));
    }
    Ok(())
}

/// The program and its arguments. Options and names are arguments of their own: nothing is quoted.
fn command_line(os: Os, source: &Source, dir: &Path) -> (&'static str, Vec<OsString>) {
    let options = mount_options(os, source.port, source.read_only);
    let device = source.device();
    let arg = |text: &str| OsString::from(text);
    let (program, mut args) = match os {
        Os::MacOs => ("/sbin/mount_nfs", vec![]),
        // `-i` would skip mount.nfs, which does the MOUNT protocol; `-n` is not needed either.
        Os::Linux => ("mount", vec![arg("-t"), arg("nfs")]),
    };
    args.extend([arg("-o"), arg(&options), arg(&device), OsStr::new(dir).to_owned()]);
    (program, args)
}

fn explain(outcome: &Outcome, dir: &Path) -> MountError {
    let said = outcome.said.to_ascii_lowercase();
    let no_helper = said.contains("unknown filesystem type") || said.contains("bad option");
    let no_kernel = said.contains("no such device") || said.contains("not supported");
    if no_helper || no_kernel {
        return no_client("mount.nfs");
    }
    if said.contains("must be superuser") || said.contains("only root") || said.contains("not permitted") {
        return not_permitted(dir);
    }
    MountError::new(
        Reason::System,
        format!("The system did not mount on {}: {}.", dir.display(), outcome.said.trim_end_matches('.')),
        "Nothing was changed; try again, or look at the server's log.",
    )
}

fn not_permitted(dir: &Path) -> MountError {
    let advice = match Os::here() {
        Os::Linux => "Linux lets only root mount NFS: run the command with sudo.",
        Os::MacOs => "Give a folder of your own to mount on.",
    };
    MountError::new(Reason::NotPermitted, format!("You may not mount on {}.", dir.display()), advice)
}

fn no_client(program: &str) -> MountError {
    MountError::new(
        Reason::NoClient,
        format!("This system cannot mount NFS ({program} or the kernel's NFS client is missing)."),
        "On Debian and Ubuntu: apt install nfs-common. In a container, mount on the host.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(os: Os, export: &str) -> Vec<String> {
        let source = Source { port: 23456, export: export.into(), read_only: false };
        let (program, args) = command_line(os, &source, Path::new("/m p"));
        let args = args.into_iter().map(|arg| arg.into_string().unwrap());
        std::iter::once(program.to_owned()).chain(args).collect()
    }

    #[test]
    fn names_are_arguments_of_their_own() {
        let hostile = "/00/a,fh=0x1 -o suid";
        let linux = line(Os::Linux, hostile);
        assert_eq!(linux[..4], ["mount", "-t", "nfs", "-o"]);
        assert_eq!(linux[5..], ["127.0.0.1:/00/a,fh=0x1 -o suid", "/m p"]);
        let macos = line(Os::MacOs, hostile);
        assert_eq!(macos[..2], ["/sbin/mount_nfs", "-o"]);
        assert_eq!(macos[3..], ["127.0.0.1:/00/a,fh=0x1 -o suid", "/m p"]);
    }

    #[test]
    fn the_systems_words_become_reasons() {
        let reason = |said: &str| {
            let outcome = Outcome { success: false, stdout: String::new(), said: said.into() };
            explain(&outcome, Path::new("/m")).reason
        };
        assert_eq!(reason("mount: /m: unknown filesystem type 'nfs'."), Reason::NoClient);
        assert_eq!(reason("mount.nfs: No such device"), Reason::NoClient);
        assert_eq!(reason("mount: only root can do that"), Reason::NotPermitted);
        assert_eq!(reason("mount_nfs: can't mount /x: Operation not permitted"), Reason::NotPermitted);
        assert_eq!(reason("mount.nfs: Connection refused"), Reason::System);
    }
}
