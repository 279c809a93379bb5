//! The file system over a real (local) Hub, without NFS: what each operation promises, what the Hub has
//! afterwards, what a crash leaves.

#![allow(clippy::unwrap_used)] // helpers of tests: a panic is the report

mod deciding;
mod edits;
mod failing_disk;
mod keeping_offline;
mod lying;
mod making_way;
mod meeting;
mod moving;
mod names;
mod pairs;
mod queueing;
mod recovery;
mod remote;
mod rig;
mod saving;
mod slipping;
mod space;
mod state_rows;
mod walking;
mod writing_on;
