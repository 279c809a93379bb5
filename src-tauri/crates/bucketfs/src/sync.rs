//! Making the Hub agree with the tree, and the tree with the Hub.
//!
//! `work` finds what differs, `syncer` decides when, `upload` brings bytes, `save`, `folders` and `deletes`
//! change the Hub's names; `listing` and `watcher` bring what others changed. Nothing here knows NFS.

pub mod answers;
pub(crate) mod base;
mod cost;
mod deletes;
mod folders;
mod forever;
mod keyless;
pub(crate) mod listing;
pub(crate) mod offline;
mod pace;
pub(crate) mod queue;
pub mod report;
mod restore;
mod save;
pub(crate) mod saved_copies;
mod schedule;
mod slipped;
mod status;
mod sweep;
pub(crate) mod syncer;
mod upload;
pub(crate) mod watcher;
mod work;
