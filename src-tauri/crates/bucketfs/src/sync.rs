//! Making the Hub agree with the tree, and the tree with the Hub.
//!
//! `work` finds what differs, `syncer` decides when, `upload` brings bytes, `save`, `folders` and `deletes`
//! change the Hub's names; `listing` and `watcher` bring what others changed. Nothing here knows NFS.

mod deletes;
mod folders;
pub(crate) mod listing;
pub(crate) mod queue;
pub mod report;
mod save;
mod saved_copies;
mod status;
pub(crate) mod syncer;
mod upload;
pub(crate) mod watcher;
mod work;
