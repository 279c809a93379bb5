//! The errors of this crate: for the caller a kind (from which the engine's one table makes an
//! `nfsstat3`), for the person what happened to which file and what to do now.

use std::fmt;
use std::io;

/// The closed set of reasons. The engine maps each to an NFS status; nobody reads the texts for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such name.
    NotFound,
    /// The name exists already.
    Exists,
    NotDirectory,
    IsDirectory,
    NotEmpty,
    /// The object behind this id is gone for good: the only reason for a STALE.
    Gone,
    /// Not permitted to this caller or by the Hub.
    Access,
    /// The bucket is mounted read-only.
    ReadOnly,
    /// The local disk (or its reserve) is full.
    NoSpace,
    /// Larger than a file can be.
    TooBig,
    NameTooLong,
    /// A name or an argument that cannot be.
    Invalid,
    /// SETATTR's guard did not match.
    GuardMismatch,
    /// The Hub is known to be out of reach.
    Offline,
    /// The answer takes longer; it goes on being fetched: ask again (JUKEBOX).
    Slow,
    /// The local disk failed, or a write to this file failed before and left a hole.
    LocalDisk,
    /// The Hub refused or answered nonsense.
    Hub,
    Unsupported,
    /// A folder can't be moved between the bucket and what stays on this machine; programs copy instead.
    CrossesLayers,
    /// The state database or a stored record is damaged.
    Damaged,
    /// Used by somebody else (another process has the state directory).
    Busy,
}

/// What happened, to which file, and what the person can do now.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: ErrorKind,
    /// A sentence: what happened to which file.
    pub what: String,
    /// A sentence: what to do now; empty when nothing is to be done.
    pub advice: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), advice: String::new() }
    }

    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// A local disk error while doing `what` ("writing a.bin").
    pub fn disk(what: impl fmt::Display, error: &io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if full {
            Error::new(ErrorKind::NoSpace, format!("The disk is full: {what} failed ({error})."))
                .advise("Free some space on this machine and try again.")
        } else {
            Error::new(ErrorKind::LocalDisk, format!("The local disk failed: {what} ({error})."))
                .advise("Check the disk that holds BucketBar's state.")
        }
    }

    pub fn may_retry(&self) -> bool {
        matches!(self.kind, ErrorKind::Offline | ErrorKind::Slow | ErrorKind::NoSpace | ErrorKind::Busy)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, " {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error as E, ErrorCode};
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => ErrorKind::NoSpace,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Damaged,
            // A value that this version never writes.
            _ if matches!(
                error,
                E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) | E::FromSqlConversionFailure(..)
            ) =>
            {
                ErrorKind::Damaged
            }
            _ => ErrorKind::LocalDisk,
        };
        Error::new(kind, format!("The state database failed: {error}."))
            .advise("Nothing staged is lost; `bucketbarctl status` says more.")
    }
}

impl From<hub::HubError> for Error {
    fn from(error: hub::HubError) -> Self {
        use hub::ErrorClass as C;
        let kind = match error.class {
            C::Offline => ErrorKind::Offline,
            C::Busy { .. } => ErrorKind::Slow,
            C::SignIn | C::Forbidden => ErrorKind::Access,
            C::NotFound => ErrorKind::NotFound,
            C::Quota => ErrorKind::NoSpace,
            C::Local => ErrorKind::LocalDisk,
            C::Rejected | C::Broken | C::Cancelled => ErrorKind::Hub,
        };
        Error { kind, what: error.what, advice: error.advice }
    }
}
