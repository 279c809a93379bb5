//! The client against local-hub: a Hub in a process of its own, faults on demand, calls counted.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod bench;
mod changes;
mod errors;
mod faults;
mod hostile;
mod listing;
mod network;
mod oauth_server;
mod reading;
mod repos;
mod signing_in;
mod signing_in_at_the_hub;
mod uploading;
mod watching;
