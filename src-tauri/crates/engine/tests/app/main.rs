//! The app against a real Hub process, with an NFS client of our own in the kernel's place.
#![allow(clippy::unwrap_used)]

mod bench;
mod decisions;
mod http;
// The Secret Service is Linux's.
#[cfg(target_os = "linux")]
mod keyring;
mod life;
mod saving;
mod signing_in;
