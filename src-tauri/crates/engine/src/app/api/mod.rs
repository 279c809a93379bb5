//! What the app's faces may ask and are told: every command, every answer, every event, as serializable types.
//!
//! The window, the tray, the HTTP API and the command line say nothing that is not here. TypeScript's view of
//! it (`ui/src/api/engine.ts`) is generated from these types; [`typescript`] tests that it is up to date.

pub mod accounts;
pub mod activity;
pub mod buckets;
pub mod commands;
pub mod error;
pub mod event;
pub mod helper;
pub mod queue;
pub mod settings;
pub mod state;
pub mod storage;
#[cfg(test)]
mod typescript;

/// `OWNER/NAME`, or `OWNER/NAME/FOLDER…` for a folder that is served by itself.
pub type BucketId = String;
/// Names an account of this machine: stable, not secret, no user's name needed to make one.
pub type AccountId = String;
/// Milliseconds since 1970.
pub type Ms = i64;
