//! The reference model at work. On Linux, where its disk is (`src/interpose.rs`).
#![cfg(target_os = "linux")]

mod hub_faults;
mod random;
