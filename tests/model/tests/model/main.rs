//! The reference model at work.

mod hub_faults;
mod random;
