//! Names that never leave this machine.

pub mod litter;
