//! Everything the app does, without a window: one process, many served buckets, accounts, settings, and one
//! truth about all of it.
//!
//! ```text
//! api/       what the faces may say and are told (TypeScript is generated from it)
//! core       what the app owns, how it starts      ending      how it ends
//! commands   every command, typed and by name      http        the same over HTTP
//! mounting   slots: serving, mounting, adopting    listing     which buckets there are
//! helper     the root helper: its state, registering it
//! accounts   who, and where tokens come from       signing_in  the ways to get one     keychain
//! pulse      the one loop: looks, and publishes    happenings → ledger → notify
//! reduce     facts → status                        rates       how fast
//! ```
//! Everything that decides is a pure function with tests; `pulse` is the only place that puts them together.

mod accounts;
pub mod api;
mod book;
mod commands;
mod consent;
mod core;
mod decisions;
pub mod desktop;
mod diagnosis;
mod ending;
mod happenings;
mod helper;
pub mod http;
pub mod keychain;
mod ledger;
mod leftovers;
mod listing;
pub mod mount_host;
mod mounting;
mod notify;
pub mod outside;
mod pulse;
mod rates;
mod reduce;
mod settings;
mod shown;
mod signing_in;
mod slot;
mod storage;
mod store;
mod wake;

pub(crate) use self::accounts::names_kept;
pub use self::core::{App, AppConfig, AppEvents};
pub use self::reduce::of_servers;
