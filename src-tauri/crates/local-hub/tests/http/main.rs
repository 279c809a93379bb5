//! What local-hub says over HTTP, asked from outside through testkit. The official client's view of it
//! is `tests/interop/prove_local_hub.py`.

mod batches;
mod buckets;
mod content;
mod faults;
mod feed;
mod limits;
mod listings;
mod restart;
mod tokens;
