//! The operations of a file system, one file each group. Each method of [`crate::BucketFs`] here is what
//! one NFS procedure asks for; nothing here knows NFS or talks to the Hub but through `content` and
//! `sync::listing`.

mod attributes;
mod io;
mod listing;
mod namespace;
mod rename;
mod space;

pub(crate) use attributes::refused;
pub use io::{Commit, Read, Write};
pub use listing::{Entry, Page};
pub(crate) use namespace::free_name;
pub use namespace::{Create, Made};
pub use rename::Renamed;
pub use space::{Ledger, Space};
