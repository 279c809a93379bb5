//! The privileged helper: the only part of BucketBar that runs as root.
//!
//! It does four things, for whoever asks on its socket: say its version, make one folder in `/Volumes`
//! and mount the caller's own loopback NFS server there, unmount what it mounted for that caller, list it.
//! A request names a port, a token and a volume, never a host, an option string or a path; everything else
//! is decided here (design.md promise 14, macos-nfs.md D).
//!
//! ```text
//! server (sockets, threads, deadlines) → peer (who is it) → admission (may it, how often)
//!        → protocol (one line in, lines out) → service (what is done) → volumes · records · command · table
//! ```
//! `options`, `table`, `protocol` and `volume_name` are also what `mounter` needs, so that both sides agree.

pub mod admission;
pub mod audit;
mod command;
pub mod options;
pub mod peer;
pub mod places;
pub mod program;
pub mod protocol;
pub mod records;
pub mod server;
pub mod service;
pub mod sockets;
pub mod table;
pub mod volume_name;
mod volumes;

pub use options::{Os, Source, mount_options};
pub use volume_name::VolumeName;
