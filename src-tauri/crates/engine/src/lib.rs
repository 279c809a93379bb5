//! Joins a bucket's file system ([`bucketfs`]), the NFS server ([`nfs`]), the Hub ([`hub`]) and the
//! system's mounts ([`mounter`]) to what a person uses: a served bucket, reached over a control socket.
//!
//! The command line and the app are thin faces of what is here.

#![forbid(unsafe_code)]

pub mod adapter;
pub mod app;
mod bucket_path;
pub mod control;
mod convert;
mod descriptors;
pub mod doctor;
mod endpoint;
mod error;
mod hub_access;
pub mod keeping;
mod notices;
mod ports;
pub mod serving;
pub mod sign_in;
mod state_home;
mod status_table;
mod waits;
pub mod words;

pub use bucket_path::BucketPath;
pub use bucketfs::{
    CacheReport, Conflict, DeletesAnswer, FailureClass, HeldDeletes, ItemState, PinCost, PinReport, PinState,
    QueueItem, Removed, RemovedHow, Resolution, Status, SyncLimits, SyncReport, Timestamp, Version,
};
pub use endpoint::Endpoint;
pub use error::{EngineError, Result};
pub use hub_access::{HubAccess, explain as explain_hub_error, hub_config, hub_origin, open_hub};
pub use mounter;
pub use notices::{Notice, NoticeKind, Notices};
pub use serving::{FirstLine, ServeConfig, Served};
pub use state_home::{StateHome, default_mount_folder, log_folder, prefixes_overlap};
