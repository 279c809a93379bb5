//! Small JSON files of the app's: private, replaced in one step.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{EngineError, Result};

/// What is kept at `path`; `None` where nothing is. What cannot be understood is set aside as `NAME.damaged`
/// and logged: for files whose content comes again, or can be chosen again.
pub(crate) fn read_or_aside<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a file of the app cannot be read");
            return None;
        }
    };
    match serde_json::from_slice(&bytes) {
        Ok(kept) => Some(kept),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a file of the app is damaged; it is set aside");
            let mut aside = path.to_owned().into_os_string();
            aside.push(".damaged");
            // Best effort: the next write replaces it otherwise.
            let _ = fs::rename(path, aside);
            None
        }
    }
}

/// Replaces the file at `path` (mode 0600, its folder made with 0700). Durable on return.
///
/// # Errors
/// A sentence with the path.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |error: io::Error| EngineError::disk("Writing", path, &error);
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut fresh = path.to_owned().into_os_string();
    fresh.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
