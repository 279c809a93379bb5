//! The control socket: HTTP and JSON over a Unix socket in the state directory, for this user only.
//!
//! `bucketbarctl` and the app talk to a running engine through it; [`api`] is all they can say.

pub mod api;
mod client;
pub mod decisions;
pub mod pins;
mod server;
mod socket;

pub use client::ControlClient;
pub(crate) use server::{About, Controls, serve};
pub(crate) use socket::{Bound, listen, short_place};
