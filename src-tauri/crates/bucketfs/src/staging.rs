//! Staged copies: what was written here and is not (or was not yet) on the Hub.

mod area;
mod layout;
pub mod log;
mod pool;
mod staged;

pub use area::{Found, StagingArea};
pub use layout::{Layout, Piece};
pub use log::Birth;
pub use staged::{Moved, ReadPiece, Refusal, Staged};
