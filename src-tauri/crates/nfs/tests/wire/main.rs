//! The server on the wire, against an in-memory reference file system and the independent client
//! `nfs3_client`; where a library can't do what a kernel (or an attacker) does, a raw socket.

// Test code: what fails may end the test.
#![allow(clippy::unwrap_used)]

mod attributes;
mod faults;
mod fsinfo;
mod harness;
mod hostile;
mod io;
mod listing;
mod lookup;
mod memory_fs;
mod mount;
mod namespace;
mod raw;
mod replay;
mod rpc;
mod shutdown;
mod users;
