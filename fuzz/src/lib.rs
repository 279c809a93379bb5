//! What is fuzzed. Each module has a `run(data)` that must come to an end without a panic, whatever the data is;
//! what else must hold is said there. `scripts/fuzz` builds and runs them.

#![forbid(unsafe_code)]

pub mod handle;
pub mod helper_request;
pub mod keeper_message;
#[path = "../../src-tauri/crates/nfs/tests/wire/memory_fs.rs"]
mod memory_fs;
pub mod record;
pub mod rpc;
mod server;
pub mod session;
