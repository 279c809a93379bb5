//! An NFSv3 server (RFC 1813, RFC 5531) over any [`FileSystem`].
//!
//! A call meets the rooms in this order: `record` (framing) → `rpc` (header, credentials) → `service`
//! (who may, once or again: `reply_cache`) → `mount` or `procedures` → the file system. `connection` and
//! `server` keep many calls and many peers apart and bounded.

#![forbid(unsafe_code)]

mod connection;
pub mod file_system;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handle;
mod limits;
mod mount;
mod observer;
mod procedures;
mod record;
mod reply;
mod reply_cache;
mod rpc;
mod server;
mod service;
mod whose;
mod xdr;

/// The RFC 1813 types, from `nfsserve`.
pub mod types {
    pub use nfsserve::nfs::*;
}

pub use file_system::FileSystem;
pub use limits::{Limits, MAX_FILE_SIZE, MAX_LINK_TARGET, MAX_NAME, MAX_TRANSFER};
pub use mount::{ExportPolicy, MountWindow, export_path};
pub use observer::{Failed, Observer, Silent};
pub use server::{Server, ServerConfig};
