//! `bucketbarctl`, as it is built, against a Hub on this machine.

// A test ends by panicking; clippy knows only `#[test]` functions for tests.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod deciding;
mod doctoring;
mod keeping_offline;
mod main_job;
mod repos;
mod signing_in;
mod support;
mod waiting;
