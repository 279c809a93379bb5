//! What goes wrong here, as a person reads it: what happened, and what to do now.

use std::fmt;
use std::io;
use std::path::Path;

/// A sentence what happened and a sentence what to do. Holds no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    pub what: String,
    /// Empty when nothing is to be done.
    pub advice: String,
    /// The same call may succeed later without anybody doing anything.
    pub may_retry: bool,
}

pub type Result<T> = std::result::Result<T, EngineError>;

impl EngineError {
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        EngineError { what: what.into(), advice: advice.into(), may_retry: false }
    }

    /// A local disk error at `path`.
    pub(crate) fn disk(doing: &str, path: &Path, error: &io::Error) -> Self {
        EngineError::new(
            format!("{doing} {} failed ({error}).", path.display()),
            "Check the free space and the permissions of the state directory.",
        )
    }
}

/// Ends in a full stop, so that another sentence can follow.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, " {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for EngineError {}

impl From<bucketfs::Error> for EngineError {
    fn from(error: bucketfs::Error) -> Self {
        let may_retry = error.may_retry();
        EngineError { what: error.what, advice: error.advice, may_retry }
    }
}

impl From<hub::HubError> for EngineError {
    fn from(error: hub::HubError) -> Self {
        let may_retry = error.may_retry();
        EngineError { what: sentence(&error.to_string()), advice: error.advice, may_retry }
    }
}

impl From<mounter::MountError> for EngineError {
    fn from(error: mounter::MountError) -> Self {
        EngineError::new(error.what, error.advice)
    }
}
