//! A small process that holds listening sockets for servers, one for each user (design.md promises 14 and 16).
//!
//! A server asks for a listener on a port of 127.0.0.1; the keeper binds it, passes it on (SCM_RIGHTS) and
//! keeps a copy. When the server dies, connections queue in the kernel's backlog and nobody can take the
//! port; where asked to, the keeper starts the server again, and it gets the same socket. A server that ends
//! in order says goodbye, which closes the port. When the keeper dies, each server notices, starts a new one
//! and hands its socket over: no moment without somebody who holds it.
//!
//! [`protocol`] is what is said, [`wire`] how; [`client`] is a server's side, [`server`] the keeper's.
//! [`book`] and [`deaths`] decide, without doing anything.

pub mod book;
pub mod client;
pub mod deaths;
pub mod environment;
pub mod peer;
pub mod protocol;
pub mod revive;
pub mod server;
pub mod upgrade;
pub mod wire;

/// Of this build; a keeper makes room for a newer one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
