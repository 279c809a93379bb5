//! Small files that must be whole: written aside, synced, renamed, folder synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces `path` with `bytes` (mode 0600). On return the new content and its name are on stable
/// storage; on error the old content is still there.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    sync_all(&file)?;
    fs::rename(&aside, path)?;
    sync_folder_of(path)
}

/// Syncs the folder that holds `path`, so that a name made or changed there survives a power cut.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => sync_all(&File::open(folder)?),
        None => Ok(()),
    }
}

/// Data and metadata on stable storage. `File::sync_all` is F_FULLFSYNC on macOS already.
pub fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Data, and what is needed to find it, on stable storage.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}
