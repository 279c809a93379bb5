//! What the engine hears of: the failures a kernel may keep from the program that caused them.

use crate::file_system::FileId;
use crate::types::nfsstat3;

/// A procedure that did not answer NFS3_OK.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// RFC 1813's name, e.g. `"WRITE"`.
    pub procedure: &'static str,
    /// The object of the call's first handle: the file, or the directory of a name.
    pub file: FileId,
    pub status: nfsstat3,
}

/// Told of what a person may have to know. Called inside the call: must be quick and must not block.
pub trait Observer: Send + Sync + 'static {
    /// Every WRITE, COMMIT and SETATTR that failed, whatever the status (JUKEBOX too), and every other
    /// procedure that failed for a reason that is nobody's mistake: IO, NOSPC, DQUOT, SERVERFAULT.
    fn failed(&self, _failed: Failed) {}

    /// A STALE went out. [`Observer::failed`] is not told of it again.
    fn stale(&self, _failed: Failed) {}

    /// A call panicked; it was answered SERVERFAULT and the server lives on.
    fn panicked(&self, _failed: Failed, _message: &str) {}

    /// A MNT with the right token was answered.
    fn mounted(&self) {}

    /// A UMNT of our export, or a UMNTALL, came in. A hint: any local process can send it.
    fn unmounted(&self) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
