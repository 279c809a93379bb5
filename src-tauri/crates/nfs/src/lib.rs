//! An NFSv3 server (RFC 1813, RFC 5531) over any [`FileSystem`].

pub mod file_system;

/// The RFC 1813 types, from `nfsserve`.
pub mod types {
    pub use nfsserve::nfs::*;
}

pub use file_system::FileSystem;
