//! What tests share.
//!
//! - [`LocalHub`]: a Hub of one's own, in a process of its own (`local-hub`), gone when dropped.
//! - [`HubClient`]: a plain blocking client for looking at that Hub from outside the product.
//! - [`LyingHub`]: answers with whatever a test says, for what no honest Hub sends.
//! - [`Faults`], [`Counters`]: what the Hub does wrong on demand, and what reached it.
//! - [`eventually`], [`holds_for`]: waiting with a deadline.
//! - [`binary`]: where a built program is.
//!
//! Everything here blocks, on purpose: it works the same from a plain `#[test]` and from inside an
//! async runtime (the Hub is another process, so a blocked thread can't deadlock with it). Everything
//! here panics with a sentence when the environment is broken: that is what a test wants.
//!
//! No Xet crate and no part of the product is linked, so a bug there can't hide itself here.

#![forbid(unsafe_code)]

mod binaries;
mod counters;
mod faults;
mod hub_client;
mod local_hub;
mod lying_hub;
mod sample;
mod wait;

pub use binaries::binary;
pub use counters::{Counters, RouteCount};
pub use faults::{Fault, Faults, Harm};
pub use hub_client::{Answer, BucketInfo, Entry, HubClient};
pub use local_hub::{LocalHub, LocalHubBuilder};
pub use lying_hub::{Lie, LyingHub};
pub use sample::bytes;
pub use tempfile::{TempDir, tempdir};
pub use wait::{eventually, holds_for};
