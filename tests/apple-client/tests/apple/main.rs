//! Apple's client against a scripted server (does the model do what the source says?) and against BucketBar
//! (is anything ever lost that the program was not told of?).

#![allow(clippy::unwrap_used, clippy::large_futures)]

mod app;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod disk_faults;
mod fake;
mod faults;
mod model;
#[cfg(target_os = "linux")]
mod random;
mod real;
mod scenarios;
mod worker;

// The reference file system of the server's own tests, with scripted failures.
#[path = "../../../../src-tauri/crates/nfs/tests/wire/memory_fs.rs"]
#[allow(dead_code)]
mod memory_fs;
