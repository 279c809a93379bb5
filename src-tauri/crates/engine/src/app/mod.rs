//! Everything the app does, without a window.

pub mod api;
mod ledger;
mod notify;
pub mod outside;
mod rates;
mod reduce;
mod store;
