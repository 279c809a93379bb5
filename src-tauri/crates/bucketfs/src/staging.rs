//! Staged copies: what was written here and is not (or was not yet) on the Hub.

mod area;
mod commit;
mod epoch;
mod layout;
pub mod log;
mod pool;
mod refused;
mod snapshot;
mod staged;

pub use area::{Found, StagingArea};
pub use layout::{Layout, Piece};
pub use log::Birth;
pub use snapshot::Snapshot;
pub use staged::{MOST_ROTATIONS, Moved, ReadPiece, Refusal, Staged};
