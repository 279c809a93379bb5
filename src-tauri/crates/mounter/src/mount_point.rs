//! Is this folder fit to be mounted on? Each problem has its own sentence.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::deadline::{TOUCH, within};
use crate::error::{MountError, Reason, Result};
use crate::table;

/// What a look at the folder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Missing,
    NotADirectory,
    Directory { owner: u32, empty: bool },
}

/// The absolute path of `dir` with links of its parents resolved and no `.` or `..`.
///
/// The last component is not touched: it may be a dead mount.
///
/// # Errors
/// [`Reason::Missing`] when a parent is missing, [`Reason::Timeout`] when one does not answer.
pub async fn normalize(dir: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(dir).map_err(|error| unreadable(dir, &error))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(absolute);
    };
    let (parent, name) = (parent.to_owned(), name.to_owned());
    let shown = parent.clone();
    match within(TOUCH, move || fs::canonicalize(&parent)).await {
        Some(Ok(parent)) => Ok(parent.join(name)),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(missing(&absolute)),
        Some(Err(error)) => Err(unreadable(&shown, &error)),
        None => Err(no_answer(&shown)),
    }
}

/// Returns when `dir` can be mounted on by the calling user: a directory, empty, owned by them (root may
/// use anybody's), and not a mount point already. `dir` comes from [`normalize`].
///
/// # Errors
/// One [`Reason`] and sentence for each problem; [`Reason::Timeout`] after five seconds without answer.
pub async fn check_mount_point(dir: &Path) -> Result<()> {
    // First, and by name only: touching a dead mount would hang.
    if table::mount_points()?.iter().any(|point| point == dir) {
        return Err(MountError::new(
            Reason::AlreadyMounted,
            format!("Something is mounted on {} already.", dir.display()),
            format!("Take another folder, or run `bucketbarctl unmount {}` first.", dir.display()),
        ));
    }
    let owned = dir.to_owned();
    match within(TOUCH, move || look(&owned)).await {
        Some(Ok(seen)) => judge(dir, seen, rustix::process::geteuid().as_raw()),
        Some(Err(error)) => Err(unreadable(dir, &error)),
        None => Err(no_answer(dir)),
    }
}

/// Makes the folder `dir` (and those above it) for this user where it is missing. `dir` may turn out to be a
/// dead mount: the call ends in bounded time.
///
/// # Errors
/// [`Reason::System`] with the system's words, [`Reason::Timeout`].
pub async fn make_mount_point(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if table::mount_points()?.iter().any(|point| point == dir) {
        return Ok(());
    }
    let owned = dir.to_owned();
    let made = within(TOUCH, move || fs::DirBuilder::new().recursive(true).mode(0o700).create(&owned)).await;
    match made {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(MountError::new(
            Reason::System,
            format!("The folder {} could not be made ({error}).", dir.display()),
            "Check the permissions of the folder above it, or choose another place.",
        )),
        None => Err(no_answer(dir)),
    }
}

/// Removes the empty folder that a mount was on; one with something in it, or mounted on, stays.
pub async fn remove_mount_point(dir: &Path) {
    let mounted = table::mount_points().map_or(true, |points| points.iter().any(|point| point == dir));
    if mounted {
        return;
    }
    let owned = dir.to_owned();
    // Only tidying.
    let _ = within(TOUCH, move || fs::remove_dir(&owned)).await;
}

fn look(dir: &Path) -> io::Result<Seen> {
    let metadata = match fs::symlink_metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::Missing),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return Ok(Seen::NotADirectory);
    }
    // A folder that may not be listed is not ours; its owner is the better complaint.
    let empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => true,
        Err(error) => return Err(error),
    };
    Ok(Seen::Directory { owner: metadata.uid(), empty })
}

fn judge(dir: &Path, seen: Seen, user: u32) -> Result<()> {
    let name = dir.display();
    match seen {
        Seen::Missing => Err(missing(dir)),
        Seen::NotADirectory => Err(MountError::new(
            Reason::NotADirectory,
            format!("{name} is not a folder."),
            "Give an empty folder to mount on.",
        )),
        Seen::Directory { owner, .. } if user != 0 && owner != user => Err(MountError::new(
            Reason::NotOwned,
            format!("The folder {name} belongs to another user (uid {owner}, you are {user})."),
            "Give a folder of your own to mount on.",
        )),
        Seen::Directory { empty: false, .. } => Err(MountError::new(
            Reason::NotEmpty,
            format!("The folder {name} is not empty: a mount would hide what is in it."),
            "Give an empty folder, or move its contents away first.",
        )),
        Seen::Directory { .. } => Ok(()),
    }
}

fn missing(dir: &Path) -> MountError {
    MountError::new(
        Reason::Missing,
        format!("The folder {} does not exist.", dir.display()),
        format!("Make it first: mkdir -p '{}'", dir.display()),
    )
}

fn no_answer(dir: &Path) -> MountError {
    MountError::new(
        Reason::Timeout,
        format!("{} did not answer within {} seconds.", dir.display(), TOUCH.as_secs()),
        "It may lie on a dead network mount: unmount that by force, or take another folder.",
    )
}

fn unreadable(dir: &Path, error: &io::Error) -> MountError {
    MountError::new(
        Reason::System,
        format!("The folder {} could not be looked at ({error}).", dir.display()),
        "Check its permissions, or take another folder.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reason(dir: &Path) -> Reason {
        check_mount_point(dir).await.unwrap_err().reason
    }

    #[tokio::test]
    async fn each_problem_has_its_reason() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        assert!(check_mount_point(&dir).await.is_ok());
        assert_eq!(reason(&dir.join("no")).await, Reason::Missing);
        std::fs::write(dir.join("file"), "x").unwrap();
        assert_eq!(reason(&dir.join("file")).await, Reason::NotADirectory);
        assert_eq!(reason(&dir).await, Reason::NotEmpty);
        std::os::unix::fs::symlink("/", dir.join("link")).unwrap();
        assert_eq!(reason(&dir.join("link")).await, Reason::NotADirectory);
        assert_eq!(reason(Path::new("/proc")).await, Reason::AlreadyMounted);
    }

    #[test]
    fn owner_and_root() {
        let seen = Seen::Directory { owner: 501, empty: true };
        assert_eq!(judge(Path::new("/m"), seen, 502).unwrap_err().reason, Reason::NotOwned);
        assert!(judge(Path::new("/m"), seen, 501).is_ok());
        assert!(judge(Path::new("/m"), seen, 0).is_ok(), "root may mount on anybody's folder");
    }

    #[test]
    fn every_sentence_says_where_and_what_to_do() {
        let cases = [
            Seen::Missing,
            Seen::NotADirectory,
            Seen::Directory { owner: 7, empty: true },
            Seen::Directory { owner: 8, empty: false },
        ];
        let said: Vec<_> =
            cases.iter().map(|seen| judge(Path::new("/m x"), *seen, 8).unwrap_err().to_string()).collect();
        for (index, text) in said.iter().enumerate() {
            assert!(text.contains("/m x"), "{text}");
            assert!(!said[..index].contains(text), "two problems, one sentence: {text}");
        }
    }

    #[tokio::test]
    async fn paths_are_made_absolute_without_touching_the_last_part() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        assert_eq!(normalize(&real.join("link/new")).await.unwrap(), real.join("new"));
        assert_eq!(normalize(&real.join("./a/")).await.unwrap(), real.join("a"));
        assert_eq!(normalize(&real.join("no/a")).await.unwrap_err().reason, Reason::Missing);
        assert_eq!(normalize(Path::new("/")).await.unwrap(), Path::new("/"));
    }
}
