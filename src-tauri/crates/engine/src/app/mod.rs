//! Everything the app does, without a window.

pub mod api;
pub mod outside;
