//! A file system over one Hub bucket: names, staged writes, cached reads, sync with the Hub.
//!
//! ```text
//! ops/      what one NFS procedure asks for      names/    file ids, folders, attributes (SQLite)
//! sync/     the Hub and the tree agree again     staging/  written here, what is durable when
//! recovery  after a crash                        content/  the Hub's bytes: cache, read-ahead
//! ```
//! `names` and `staging` know nothing of the Hub's API; nothing here knows NFS.

#![forbid(unsafe_code)]

pub mod attr;
mod bucket_fs;
pub mod content;
mod departed;
mod durable;
pub mod error;
pub mod event;
pub mod faults;
pub mod figures;
mod guarded;
pub mod inspection;
pub mod local;
mod names;
mod ops;
pub mod receipt;
mod recovery;
mod staging;
mod state_dir;
mod sync;

pub use attr::{Attr, Change, FileId, Kind, ROOT, SetAttr, SetTime, Stamp, Timestamp};
pub use bucket_fs::{BucketFs, Config};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Events, NoEvents};
pub use names::removed::{Removed, RemovedHow};
pub use ops::{Commit, Create, Entry, Made, Page, Read, Renamed, Space, Write};
pub use receipt::Receipt;
pub use recovery::Tidied;
pub use sync::offline::report::{CacheReport, PinCost, PinReport, PinState};
pub use sync::report::{
    Conflict, DeletesAnswer, FailureClass, Gauges, HeldDeletes, ItemState, QueueItem, Resolution, Saved,
    Status, SyncLimits, SyncReport, Version,
};
