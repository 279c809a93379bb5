//! A reference model of `bucketfs`.
//!
//! ```text
//! steps      what a run does: a list of steps, drawn from a seed, that can be shortened
//! world      carries the steps out, on the real thing and on the model, and compares
//! plain      the model: a tree of names and byte arrays
//! far_side   somebody else's changes and the faults of a real local-hub
//! process    the file system under test, in a process of its own (`model-fs`) that can be killed
//! disk       what is on stable storage: the state directory as a power cut leaves it
//! ```
//! README.md says how a run goes, what is checked, and which bugs it was seen to catch.

pub mod disk;
pub mod far_side;
pub mod plain;
pub mod process;
pub mod protocol;
pub mod shrink;
pub mod steps;
pub mod world;
