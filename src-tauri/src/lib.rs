//! The menu-bar app's shell. What the app *does* is in `engine::app`; here is what a person touches: the tray's
//! menu, windows, notifications, starting and ending.
//!
//! Without the feature `window` only what can be said without any of them is compiled: it is pure, and tested so.
//! `window` adds Tauri around it.

pub mod arguments;
pub mod awake;
pub mod bundle;
pub mod icon;
pub mod login;
pub mod logs;
pub mod menu;
pub mod notices;
pub mod page;
pub mod single;
pub mod update;

#[cfg(feature = "window")]
mod platform;
#[cfg(feature = "window")]
pub mod window;

/// The bundle's identifier; the same is in `tauri.conf.json` (a test compares).
pub const IDENTIFIER: &str = "co.bucketbar.BucketBar";
