//! Updates of the macOS app: looked for in the background, installed when the app is quit, and never while something
//! is not on the Hub.
//!
//! ```text
//! manifest   what is offered: signed, with the archive's hash     decision   whether it is fetched, and installed now
//! fetch      manifest and archive, onto this disk                 install    one app in the other's place, or nothing
//! ```
//! The public key and the address are compiled in (`BUCKETBAR_UPDATE_KEY`, `BUCKETBAR_UPDATE_URL`); a build without
//! them never looks.

pub mod decision;
pub mod fetch;
pub mod install;
pub mod manifest;

use std::path::PathBuf;

/// Where updates of this build come from.
#[derive(Debug, Clone)]
pub struct Source {
    pub url: url::Url,
    pub key: manifest::Key,
    /// What came is kept here, this user's alone.
    pub folder: PathBuf,
}

impl Source {
    /// `None` for a build without updates.
    pub fn of_build(folder: PathBuf) -> Option<Source> {
        let key = manifest::Key::parse(option_env!("BUCKETBAR_UPDATE_KEY")?)?;
        let url = url::Url::parse(option_env!("BUCKETBAR_UPDATE_URL")?).ok()?;
        (url.scheme() == "https").then_some(Source { url, key, folder })
    }
}
