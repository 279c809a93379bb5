//! Which program file this process was started from: an update puts another in its place, and a helper that goes on
//! running would be the old one for ever.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file by what changes when it is replaced or written anew: device, inode, size, time of change.
type Identity = (u64, u64, u64, i64, i64);

/// The program file as it was at the start.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    identity: Option<Identity>,
}

impl Program {
    pub fn here() -> Program {
        Program::at(std::env::current_exe().unwrap_or_default())
    }

    pub fn at(path: impl Into<PathBuf>) -> Program {
        let path = path.into();
        let identity = identity(&path);
        Program { path, identity }
    }

    /// Another program stands there by now. While none does (an update is under way, or the app was thrown away) it is
    /// not replaced: nobody could start the next one.
    pub fn is_replaced(&self) -> bool {
        match (self.identity, identity(&self.path)) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_in_its_place_is_seen_and_a_missing_one_is_none() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("program");
        fs::write(&path, b"old").unwrap();
        let program = Program::at(&path);
        assert!(!program.is_replaced());
        fs::remove_file(&path).unwrap();
        assert!(!program.is_replaced());
        fs::write(temp.path().join("new"), b"newer").unwrap();
        fs::rename(temp.path().join("new"), &path).unwrap();
        assert!(program.is_replaced());
        assert!(!Program::at("/no/such").is_replaced());
        assert!(!Program::here().is_replaced());
    }
}
