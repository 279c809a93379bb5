//! Unmounting: politely first, then with the names of those who block, by force only when asked.
//!
//! A polite unmount writes everything the kernel still holds to the server before it returns. Force
//! drops it (macos-nfs.md A4), which is why nothing here falls back to it by itself.

use std::path::Path;
use std::time::Duration;

use crate::blockers::{Blocker, blockers};
use crate::command::{self, Failure, Outcome};
use crate::error::{MountError, Reason, Result};
use crate::table;
use helper::Os;

/// The kernel may have a lot to write first.
const POLITE: Duration = Duration::from_secs(120);
const FORCED: Duration = Duration::from_secs(20);

/// Whether programs that still use the mount may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    /// Whatever the kernel has not yet written is lost.
    Yes,
}

/// Unmounts `mount_point` (from [`normalize`](crate::normalize)); on return it is unmounted. The server
/// must go on serving meanwhile.
///
/// With [`Force::Yes`] the polite way is still tried first.
///
/// # Errors
/// [`Reason::NotMounted`]; [`Reason::Busy`] with the names of the programs; [`Reason::NotPermitted`];
/// [`Reason::Timeout`] when the server does not take what the kernel wants to write.
pub async fn unmount(mount_point: &Path, force: Force) -> Result<()> {
    if !table::own_mounts()?.iter().any(|mount| mount.mount_point == mount_point) {
        let mounted = table::mount_points()?.iter().any(|point| point == mount_point);
        return Err(if mounted { not_ours(mount_point) } else { not_mounted(mount_point) });
    }
    let polite = umount(mount_point, &[], if force == Force::Yes { FORCED } else { POLITE }).await;
    match (polite, force) {
        (Ok(()), _) => Ok(()),
        (Err(error), Force::No) => Err(name_blockers(error, mount_point).await),
        (Err(error), Force::Yes) => {
            tracing::warn!(%error, "a polite unmount failed, now by force");
            umount(mount_point, forced_flags(Os::here()), FORCED).await
        }
    }
}

/// Linux: `-f` ends the waiting calls, `-l` detaches although files are open.
fn forced_flags(os: Os) -> &'static [&'static str] {
    match os {
        Os::Linux => &["-f", "-l"],
        Os::MacOs => &["-f"],
    }
}

async fn umount(mount_point: &Path, flags: &[&str], limit: Duration) -> Result<()> {
    let program = if Os::here() == Os::MacOs { "/sbin/umount" } else { "umount" };
    let args = flags.iter().map(|flag| flag.as_ref()).chain([mount_point.as_os_str()]);
    match command::run(program, args, limit).await {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(outcome) => Err(explain(&outcome, mount_point)),
        Err(Failure::Timeout) => Err(MountError::new(
            Reason::Timeout,
            format!("{} was not unmounted within {} seconds.", mount_point.display(), limit.as_secs()),
            "The server may be gone or very busy. Start it again to keep what is not written yet, or \
             unmount with --force and lose that.",
        )),
        Err(Failure::NotFound) => Err(MountError::new(
            Reason::System,
            format!("The program {program} is missing."),
            "Install the system's mount tools (Debian: apt install mount).",
        )),
        Err(Failure::Io(error)) => Err(MountError::new(
            Reason::System,
            format!("{program} could not be started ({error})."),
            "Check that it may be run.",
        )),
    }
}

fn explain(outcome: &Outcome, mount_point: &Path) -> MountError {
    let said = outcome.said.to_ascii_lowercase();
    let name = mount_point.display();
    if said.contains("busy") {
        return busy(mount_point, &[]);
    }
    if said.contains("not mounted") || said.contains("not currently mounted") {
        return not_mounted(mount_point);
    }
    if said.contains("superuser") || said.contains("not permitted") || said.contains("permission denied") {
        return MountError::new(
            Reason::NotPermitted,
            format!("You may not unmount {name}."),
            "Run the command as the user who mounted it (on Linux: with sudo).",
        );
    }
    MountError::new(
        Reason::System,
        format!("The system did not unmount {name}: {}.", outcome.said.trim_end_matches('.')),
        "It is still mounted and served; try again.",
    )
}

/// Only a busy mount has blockers to name.
async fn name_blockers(error: MountError, mount_point: &Path) -> MountError {
    if error.reason != Reason::Busy {
        return error;
    }
    busy(mount_point, &blockers(mount_point).await)
}

pub(crate) fn busy(mount_point: &Path, blockers: &[Blocker]) -> MountError {
    let name = mount_point.display();
    if blockers.is_empty() {
        return MountError::new(
            Reason::Busy,
            format!("{name} is in use."),
            "Close what uses it and try again. (--force unmounts all the same; unwritten data is lost.)",
        );
    }
    let names: Vec<String> = blockers.iter().map(Blocker::to_string).collect();
    MountError::new(
        Reason::Busy,
        format!("{name} is in use by {}.", names.join(", ")),
        "Close them and try again. (--force unmounts all the same; what they have not saved is lost.)",
    )
}

/// Somebody else's mount is left alone, also for root, also with force.
fn not_ours(mount_point: &Path) -> MountError {
    MountError::new(
        Reason::NotMounted,
        format!("{} is not a mount of BucketBar.", mount_point.display()),
        "`bucketbarctl status` lists those that are; unmount others with the system's own `umount`.",
    )
}

fn not_mounted(mount_point: &Path) -> MountError {
    MountError::new(
        Reason::NotMounted,
        format!("Nothing is mounted on {}.", mount_point.display()),
        "`bucketbarctl status` lists what is.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_mounted_is_said() {
        let temp = tempfile::tempdir().unwrap();
        let error = unmount(temp.path(), Force::Yes).await.unwrap_err();
        assert_eq!(error.reason, Reason::NotMounted);
    }

    #[test]
    fn the_systems_words_become_reasons() {
        let reason = |said: &str| {
            let outcome = Outcome { success: false, stdout: String::new(), said: said.into() };
            explain(&outcome, Path::new("/m")).reason
        };
        assert_eq!(reason("umount: /m: target is busy."), Reason::Busy);
        assert_eq!(reason("umount(/m): Resource busy -- try 'diskutil unmount'"), Reason::Busy);
        assert_eq!(reason("umount: /m: not mounted."), Reason::NotMounted);
        assert_eq!(reason("umount: /m: must be superuser to unmount."), Reason::NotPermitted);
        assert_eq!(reason("umount: /m: something else"), Reason::System);
    }

    #[test]
    fn blockers_are_named() {
        let who = [Blocker { pid: 12, name: "vim".into() }, Blocker { pid: 13, name: "bash".into() }];
        let text = busy(Path::new("/m"), &who).to_string();
        assert!(text.contains("vim (process 12), bash (process 13)"), "{text}");
    }
}
