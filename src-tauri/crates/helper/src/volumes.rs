//! The folder that volumes are made in. Everything goes by its descriptor and by names of one component, and
//! no link is ever followed: whoever swaps something in between meets an error, not another folder.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::volume_name::VolumeName;

/// `/Volumes`, opened and found to be root's alone.
#[derive(Debug)]
pub struct Volumes {
    path: PathBuf,
    folder: OwnedFd,
}

const OPEN_FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Volumes {
    /// # Errors
    /// It is not there, is a link, belongs to somebody else than this process's user, or others may write to it.
    pub fn open(path: &Path) -> io::Result<Volumes> {
        let folder = rustix::fs::open(path, OPEN_FOLDER, Mode::empty())?;
        let stat = rustix::fs::fstat(&folder)?;
        let me = rustix::process::geteuid().as_raw();
        if stat.st_uid != me || stat.st_mode & 0o022 != 0 {
            return Err(io::Error::other(format!("{} is not root's alone", path.display())));
        }
        Ok(Volumes { path: path.to_owned(), folder })
    }

    pub fn path_of(&self, volume: &VolumeName) -> PathBuf {
        self.path.join(volume.as_str())
    }

    /// Makes an empty folder that belongs to the caller.
    ///
    /// # Errors
    /// `AlreadyExists` whatever stands there, a link too; then nothing was changed.
    pub fn make(&self, volume: &VolumeName, uid: u32, gid: u32) -> io::Result<()> {
        rustix::fs::mkdirat(&self.folder, volume.as_str(), Mode::from_raw_mode(0o700))?;
        let given = self.give(volume, uid, gid);
        if given.is_err() {
            // Only tidying: the error that matters is the first one.
            let _ = rustix::fs::unlinkat(&self.folder, volume.as_str(), AtFlags::REMOVEDIR);
        }
        given
    }

    fn give(&self, volume: &VolumeName, uid: u32, gid: u32) -> io::Result<()> {
        let made = rustix::fs::openat(&self.folder, volume.as_str(), OPEN_FOLDER, Mode::empty())?;
        rustix::fs::fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        Ok(())
    }

    /// Removes the folder made for `uid`, which must be empty and still be theirs; missing is as good.
    ///
    /// The caller knows that nothing is mounted on it: on a mount this would fail, and a dead one would hang.
    pub fn remove(&self, volume: &VolumeName, uid: u32) -> io::Result<()> {
        let folder = match rustix::fs::openat(&self.folder, volume.as_str(), OPEN_FOLDER, Mode::empty()) {
            Ok(folder) => folder,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if rustix::fs::fstat(&folder)?.st_uid != uid {
            return Err(io::Error::other("the folder belongs to somebody else by now"));
        }
        drop(folder);
        Ok(rustix::fs::unlinkat(&self.folder, volume.as_str(), AtFlags::REMOVEDIR)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn me() -> (u32, u32) {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    fn name(name: &str) -> VolumeName {
        VolumeName::parse(name).unwrap()
    }

    fn folder() -> (tempfile::TempDir, Volumes) {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let volumes = Volumes::open(temp.path()).unwrap();
        (temp, volumes)
    }

    #[test]
    fn made_once_and_removed_only_when_empty_and_still_theirs() {
        let (_temp, volumes) = folder();
        let (uid, gid) = me();
        volumes.make(&name("a b"), uid, gid).unwrap();
        let again = volumes.make(&name("a b"), uid, gid).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(volumes.remove(&name("a b"), uid + 1).is_err());
        fs::write(volumes.path_of(&name("a b")).join("kept"), b"x").unwrap();
        assert!(volumes.remove(&name("a b"), uid).is_err());
        fs::remove_file(volumes.path_of(&name("a b")).join("kept")).unwrap();
        volumes.remove(&name("a b"), uid).unwrap();
        volumes.remove(&name("a b"), uid).unwrap();
    }

    #[test]
    fn a_link_is_never_followed() {
        let (temp, volumes) = folder();
        let elsewhere = tempfile::tempdir().unwrap();
        let (uid, gid) = me();
        std::os::unix::fs::symlink(elsewhere.path(), temp.path().join("link")).unwrap();
        assert!(volumes.make(&name("link"), uid, gid).is_err());
        assert!(volumes.remove(&name("link"), uid).is_err());
        assert!(elsewhere.path().is_dir());
        std::os::unix::fs::symlink(temp.path(), elsewhere.path().join("volumes")).unwrap();
        assert!(Volumes::open(&elsewhere.path().join("volumes")).is_err());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Volumes::open(temp.path()).is_err());
    }
}
