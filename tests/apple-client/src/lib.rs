//! A model of macOS's NFS client, on the wire against a real server.
//!
//! Linux's client forgives what Apple's does not: it keeps the pages of a failed WRITE and hands errors out until
//! somebody hears them. Apple's throws the data of a failed WRITE away and may lose the error on its way to the
//! program. This crate does with every answer of the server what Apple's kernel does (each rule cites its
//! function in apple-oss-distributions/NFS `kext/`, tag NFS-339; facts in the project's macos-nfs.md), and keeps
//! a [`Ledger`] of what programs were promised and told. *Nothing discarded that the program was not told of* is
//! what every scenario asserts.
//!
//! - [`transport`]: one connection, many calls, the same xids after a break, JUKEBOX, deadtimeout;
//! - [`mount`], [`node`], [`io`], [`attributes`], [`names`]: the kernel;
//! - [`program`], [`workloads`]: programs above it;
//! - [`ledger`]: the judge.
//!
//! Not in the model: `mmap` (nfs_vnop_pageout has an error table of its own), NFS locks (`locallocks` keeps them
//! from the wire), read-ahead, and links.

#![forbid(unsafe_code)]
// A whole WRITE with its reply lives in one future here; nobody minds.
#![allow(clippy::large_futures)]

pub mod attributes;
pub mod clock;
pub mod errno;
pub mod io;
pub mod ledger;
pub mod mount;
pub mod names;
pub mod node;
pub mod program;
pub mod transport;
pub mod workloads;

pub use attributes::{Change, Fresh};
pub use errno::{Errno, Result};
pub use io::Manner;
pub use ledger::{Findings, Ledger};
pub use mount::{Mount, Options};
pub use node::Node;
pub use program::{Flags, Open, Program};
