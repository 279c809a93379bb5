//! `bucketbarctl`, as it is built, against a Hub on this machine.

mod bad_input;
mod main_job;
mod support;
