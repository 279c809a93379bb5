//! Names: file ids, folders and attributes in SQLite, and a bounded cache before it.
//!
//! Nothing here knows the Hub's API or the staged bytes; a node only records *where* the Hub has it
//! ([`Place`]) and *which content* it has there ([`Content`]).

pub mod commits;
pub mod conflicts;
mod ids;
pub mod kept;
pub mod merge;
mod node;
pub mod pins;
pub mod query;
pub mod removed;
mod schema;
mod store;
mod transaction;

pub use node::{Content, Layer, Node, Place};
pub use schema::inspect;
pub use store::NameStore;
pub use transaction::Tx;
