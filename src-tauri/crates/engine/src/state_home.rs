//! Where state directories live that nobody named: one for each Hub, bucket and folder.

use std::fs;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use sha2::{Digest, Sha256};

pub use keeper::book::overlap as prefixes_overlap;

use crate::bucket_path::BucketPath;
use crate::endpoint::{Endpoint, private_dir};
use crate::error::{EngineError, Result};

/// `~/Buckets`; `None` when the home directory is not known.
pub fn default_mount_folder() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|dirs| mounter::default_folder(dirs.home_dir()))
}

/// Where the app's log files are: `~/Library/Logs/BucketBar`, on Linux `logs` in the app's own state folder.
pub fn log_folder(state: &Path) -> PathBuf {
    match directories::BaseDirs::new() {
        Some(dirs) if cfg!(target_os = "macos") => dirs.home_dir().join("Library/Logs/BucketBar"),
        _ => state.join("logs"),
    }
}

/// Where the app keeps its settings and the names of its accounts; `None` when the home directory is not known.
pub(crate) fn config_folder() -> Option<PathBuf> {
    projects().map(|dirs| dirs.config_dir().to_owned())
}

fn projects() -> Option<ProjectDirs> {
    ProjectDirs::from("co", "BucketBar", "BucketBar")
}

/// The folder of this user's state directories: `~/.local/state/bucketbar` (XDG_STATE_HOME) on Linux,
/// `~/Library/Application Support/…` on macOS. Never a cache: what is not on the Hub yet lies there.
#[derive(Debug, Clone)]
pub struct StateHome(PathBuf);

impl StateHome {
    /// This user's.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn discover() -> Result<StateHome> {
        let dirs = projects().ok_or_else(|| {
            EngineError::new(
                "Your home directory is not known.",
                "Set HOME, or name a directory with --state.",
            )
        })?;
        Ok(StateHome(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).join("buckets")))
    }

    /// Another place, for tests.
    pub fn at(path: impl Into<PathBuf>) -> StateHome {
        StateHome(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where `bucket` of the Hub at `origin` keeps its state: a readable name and a hash of what it is.
    pub fn of(&self, origin: &str, bucket: &BucketPath) -> PathBuf {
        let mut hash = Sha256::new();
        for part in [origin, "\n", &bucket.bucket.to_string(), "\n", &bucket.prefix] {
            hash.update(part.as_bytes());
        }
        let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let kind = bucket.bucket.repo().map_or(String::new(), |repo| format!("{}-", repo.kind.singular()));
        self.0.join(format!("{kind}{}-{}-{hash}", bucket.bucket.owner(), bucket.bucket.name()))
    }

    /// On return `state_dir`, which lies elsewhere, is among [`StateHome::all`] for as long as it exists.
    ///
    /// # Errors
    /// When the note, a link, cannot be made.
    pub fn remember(&self, state_dir: &Path) -> Result<()> {
        let elsewhere = self.elsewhere();
        private_dir(&elsewhere)?;
        let hash = Sha256::digest(state_dir.as_os_str().as_encoded_bytes());
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        match std::os::unix::fs::symlink(state_dir, elsewhere.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(EngineError::disk("Noting the state directory in", &elsewhere, &error))
            }
            _ => Ok(()),
        }
    }

    /// Links to the state directories that somebody named.
    fn elsewhere(&self) -> PathBuf {
        self.0.with_file_name("elsewhere")
    }

    /// Every state directory here, and of those elsewhere that were remembered, with what it serves. What
    /// cannot be read is left out: it belongs to nobody who could be named.
    pub fn all(&self) -> Vec<(PathBuf, Endpoint)> {
        let inside = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let linked = inside(&self.elsewhere()).filter_map(|link| fs::read_link(link).ok());
        let mut paths: Vec<PathBuf> = inside(&self.0).chain(linked).collect();
        paths.sort();
        paths.dedup();
        let read = |path: PathBuf| Endpoint::read(&path).ok().flatten().map(|endpoint| (path, endpoint));
        paths.into_iter().filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Identity;

    #[test]
    fn one_directory_for_each_hub_bucket_and_folder() {
        let home = StateHome::at("/s");
        let photos: BucketPath = "alice/photos".parse().unwrap();
        let folder: BucketPath = "alice/photos/2024".parse().unwrap();
        let hub = "https://huggingface.co";
        assert_eq!(home.of(hub, &photos), home.of(hub, &photos));
        assert_ne!(home.of(hub, &photos), home.of(hub, &folder));
        assert_ne!(home.of(hub, &photos), home.of("http://127.0.0.1:1", &photos));
        assert!(home.of(hub, &photos).to_str().unwrap().starts_with("/s/alice-photos-"));
    }

    #[test]
    fn a_directory_elsewhere_is_known_once_it_is_remembered() {
        let temp = tempfile::tempdir().unwrap();
        let home = StateHome::at(temp.path().join("buckets"));
        let elsewhere = temp.path().join("other");
        let photos = Identity { hub: "https://huggingface.co", bucket_id: "alice/photos", prefix: "" };
        Endpoint::claim(&elsewhere, photos, "photos").unwrap();
        assert!(home.all().is_empty());
        home.remember(&elsewhere).unwrap();
        home.remember(&elsewhere).unwrap();
        let all = home.all();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0, elsewhere);
        fs::remove_dir_all(&elsewhere).unwrap();
        assert!(home.all().is_empty(), "one that is gone is forgotten");
    }

    #[test]
    fn overlap_goes_by_folders() {
        assert!(prefixes_overlap("", "a"));
        assert!(prefixes_overlap("a/b", "a"));
        assert!(prefixes_overlap("a", "a"));
        assert!(!prefixes_overlap("a", "ab"));
        assert!(!prefixes_overlap("a/b", "a/c"));
    }
}
