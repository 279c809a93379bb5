//! What local-hub says over HTTP, asked from outside through testkit. The official client's view of it
//! is `tests/interop/prove_local_hub.py`.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod batches;
mod buckets;
mod content;
mod faults;
mod feed;
mod limits;
mod listings;
mod oauth;
mod restart;
mod tokens;
mod xet_client;
