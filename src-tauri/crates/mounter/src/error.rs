//! Why something could not be mounted or unmounted, in words for the person who asked.

use std::fmt;

/// The closed set of reasons, for callers that decide by it; nobody reads the texts for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The mount point does not exist.
    Missing,
    NotADirectory,
    NotEmpty,
    NotOwned,
    AlreadyMounted,
    NotMounted,
    /// This user may not mount or unmount here.
    NotPermitted,
    /// Programs have files of the mount open.
    Busy,
    /// No answer within the deadline.
    Timeout,
    /// The system has no NFS client, or no program to call it.
    NoClient,
    /// Anything else the system said.
    System,
}

/// A sentence what happened, and a sentence what to do.
#[derive(Debug, Clone)]
pub struct MountError {
    pub reason: Reason,
    pub what: String,
    pub advice: String,
}

pub type Result<T> = std::result::Result<T, MountError>;

impl MountError {
    pub(crate) fn new(reason: Reason, what: impl Into<String>, advice: impl Into<String>) -> Self {
        MountError { reason, what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.advice)
    }
}

impl std::error::Error for MountError {}
