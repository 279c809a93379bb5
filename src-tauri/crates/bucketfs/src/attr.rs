//! Attributes of files, folders and symlinks, and what a change did to them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The stored number of a file, folder or symlink: one object of one kind for ever, never reused
/// (design.md promise 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId(pub u64);

/// The root folder of every bucket.
pub const ROOT: FileId = FileId(1);

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Now, or one nanosecond after `last` when the clock has not moved on (or went back): the kernel
    /// sees a change only by a time it was never shown before (design.md promise 13).
    pub fn after(last: Timestamp) -> Self {
        Timestamp(Self::now().0.max(last.0.saturating_add(1)))
    }

    pub fn from_ms(ms: i64) -> Self {
        Timestamp(ms.saturating_mul(1_000_000))
    }

    pub fn as_ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    File,
    Directory,
    Symlink,
}

impl Kind {
    /// A folder's own entry and `.`; there are no hard links.
    pub fn nlink(self) -> u32 {
        if self == Kind::Directory { 2 } else { 1 }
    }
}

/// All attributes of one object at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    pub id: FileId,
    pub kind: Kind,
    /// Permission bits only (07777).
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes; for a symlink the length of its target.
    pub size: u64,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
}

impl Attr {
    pub fn stamp(&self) -> Stamp {
        Stamp { size: self.size, mtime: self.mtime, ctime: self.ctime }
    }
}

/// What wcc data needs of the moment before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub size: u64,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
}

/// Attributes just before and just after a change, taken in one step with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub before: Stamp,
    pub after: Attr,
}

/// How a time is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    ToNow,
    To(Timestamp),
}

/// A requested change of attributes; `None` leaves a field alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetAttr {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<SetTime>,
    pub mtime: Option<SetTime>,
}
