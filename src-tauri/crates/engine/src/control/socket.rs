//! Where the control socket is.
//!
//! It belongs into the state directory. A socket's path may have about 100 bytes only (`sun_path`; 104 on
//! macOS), a state directory's more: then the socket lies in a short directory of this user's, and
//! `control.sock` is a link to it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "control.sock";
/// Under the limit of every system, the ending NUL included.
const MAX_PATH: usize = 100;

/// A bound socket; its files are removed when this is dropped.
pub(crate) struct Bound {
    pub listener: Option<UnixListener>,
    files: Vec<PathBuf>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        for file in &self.files {
            // It may have been cleaned away already.
            let _ = fs::remove_file(file);
        }
    }
}

/// Binds the socket of `state_dir`, for this user only. The caller owns the state directory, so whatever is
/// in the socket's place is left over from an earlier life.
pub(crate) fn listen(state_dir: &Path) -> io::Result<Bound> {
    let place = state_dir.join(NAME);
    remove_left_over(&place)?;
    if fits(&place) {
        return bind(&place, vec![place.clone()]);
    }
    let short = short_path(state_dir)?;
    remove_left_over(&short)?;
    let bound = bind(&short, vec![short.clone(), place.clone()])?;
    std::os::unix::fs::symlink(&short, &place)?;
    Ok(bound)
}

/// Connects to the engine of `state_dir`. `NotFound` or `ConnectionRefused` means: none is running.
pub(super) async fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    let place = state_dir.join(NAME);
    // A link is followed here: the name alone may be too long to connect to.
    let target = fs::read_link(&place).unwrap_or(place);
    if !fits(&target) {
        return Err(io::ErrorKind::NotFound.into());
    }
    UnixStream::connect(target).await
}

fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= MAX_PATH
}

fn bind(path: &Path, files: Vec<PathBuf>) -> io::Result<Bound> {
    let listener = UnixListener::bind(path)?;
    let bound = Bound { listener: Some(listener), files };
    // Its directory is 0700 already; this is the second lock on the door.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(bound)
}

fn remove_left_over(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where a socket `name` of the folder `dir` lies: there, or with a path too long for one in the short folder.
pub(crate) fn short_place(dir: &Path, name: &str) -> io::Result<PathBuf> {
    let place = dir.join(name);
    if fits(&place) { Ok(place) } else { short_path(&place) }
}

/// A path for the socket of `state_dir` in a short directory that only this user can use.
fn short_path(state_dir: &Path) -> io::Result<PathBuf> {
    let hash = Sha256::digest(state_dir.as_os_str().as_bytes());
    let name: String = hash.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{name}.sock");
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let in_runtime = runtime.map(|dir| dir.join("bucketbar")).filter(|dir| fits(&dir.join(&name)));
    let user = rustix::process::geteuid().as_raw();
    let dir = in_runtime.unwrap_or_else(|| PathBuf::from(format!("/tmp/bucketbar-{user}")));
    private_dir(&dir, user)?;
    Ok(dir.join(name))
}

/// `/tmp` is everybody's: a directory that somebody else put there is refused.
fn private_dir(dir: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(dir)?;
    if metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let error = format!("{} does not belong to this user alone", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn round_trip(state_dir: &Path) {
        let bound = listen(state_dir).unwrap();
        let listener = bound.listener.as_ref().unwrap();
        let (connected, accepted) = tokio::join!(connect(state_dir), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        let mode = fs::metadata(state_dir.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(bound);
        assert!(connect(state_dir).await.is_err());
        assert!(fs::symlink_metadata(state_dir.join(NAME)).is_err(), "nothing is left");
    }

    #[tokio::test]
    async fn in_a_short_directory() {
        let temp = tempfile::tempdir().unwrap();
        round_trip(temp.path()).await;
    }

    #[tokio::test]
    async fn in_a_directory_whose_path_is_too_long_for_a_socket() {
        let temp = tempfile::tempdir().unwrap();
        let long = temp.path().join("x".repeat(120));
        fs::create_dir(&long).unwrap();
        round_trip(&long).await;
    }

    #[tokio::test]
    async fn a_dead_engines_socket_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let mut dead = listen(temp.path()).unwrap();
        dead.files.clear();
        drop(dead);
        let refused = connect(temp.path()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        round_trip(temp.path()).await;
    }

    #[tokio::test]
    async fn no_engine_is_not_found() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(connect(temp.path()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        let long = temp.path().join("y".repeat(120));
        assert_eq!(connect(&long).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("d");
        let user = rustix::process::geteuid().as_raw();
        private_dir(&dir, user).unwrap();
        private_dir(&dir, user).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_dir(&dir, user).is_err());
        let link = temp.path().join("l");
        std::os::unix::fs::symlink("/", &link).unwrap();
        assert!(private_dir(&link, user).is_err());
    }
}
