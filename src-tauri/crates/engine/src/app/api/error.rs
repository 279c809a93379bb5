//! How a command fails.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::EngineError;

/// The closed set of reasons, for programs that decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request makes no sense; the same one will never succeed.
    Invalid,
    /// No such bucket, file, account, conflict or notice.
    NotFound,
    /// There is one of that name already.
    Exists,
    /// Nobody is signed in, or the sign-in has ended.
    SignedOut,
    /// The account may not do this.
    Forbidden,
    /// The Hub cannot be reached.
    Offline,
    /// The Hub refused, or answered nonsense.
    Hub,
    /// Programs use the mount, or another of our own operations is under way.
    Busy,
    /// Something is not on the Hub yet, and this would lose it.
    Unsent,
    /// This machine's system does not allow it, or lacks what it needs (NFS client, helper, keychain).
    System,
    /// The local disk failed or is full.
    Disk,
    /// No answer within the deadline.
    Timeout,
    /// The person stopped it.
    Cancelled,
    /// A programming error; the app goes on.
    Internal,
}

/// What happened and what to do now. Holds no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AppError {
    pub code: ErrorCode,
    /// A sentence: what happened.
    pub what: String,
    /// A sentence: what to do; empty when nothing is to be done.
    pub advice: String,
    /// The same call may succeed later without anybody doing anything.
    pub may_retry: bool,
}

pub type AppResult<T> = std::result::Result<T, AppError>;

impl AppError {
    pub fn new(code: ErrorCode, what: impl Into<String>, advice: impl Into<String>) -> Self {
        let may_retry = matches!(code, ErrorCode::Offline | ErrorCode::Busy | ErrorCode::Timeout);
        AppError { code, what: what.into(), advice: advice.into(), may_retry }
    }

    pub fn invalid(what: impl Into<String>, advice: impl Into<String>) -> Self {
        AppError::new(ErrorCode::Invalid, what, advice)
    }

    /// An engine's error, of which only the sentences are known.
    pub(crate) fn of(code: ErrorCode, error: EngineError) -> Self {
        AppError { code, what: error.what, advice: error.advice, may_retry: error.may_retry }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, " {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for AppError {}

impl From<hub::HubError> for AppError {
    fn from(error: hub::HubError) -> Self {
        use hub::ErrorClass as C;
        let code = match error.class {
            C::Offline | C::Busy { .. } => ErrorCode::Offline,
            C::SignIn => ErrorCode::SignedOut,
            C::Forbidden => ErrorCode::Forbidden,
            C::NotFound => ErrorCode::NotFound,
            C::Quota | C::Rejected | C::Broken => ErrorCode::Hub,
            C::Cancelled => ErrorCode::Cancelled,
            C::Local => ErrorCode::Disk,
        };
        AppError::of(code, error.into())
    }
}

impl From<bucketfs::Error> for AppError {
    fn from(error: bucketfs::Error) -> Self {
        use bucketfs::ErrorKind as K;
        let code = match error.kind {
            K::NotFound | K::Gone => ErrorCode::NotFound,
            K::Exists | K::NotEmpty => ErrorCode::Exists,
            K::Access | K::ReadOnly => ErrorCode::Forbidden,
            K::NoSpace | K::LocalDisk | K::Damaged => ErrorCode::Disk,
            K::Offline => ErrorCode::Offline,
            K::Slow => ErrorCode::Timeout,
            K::Busy => ErrorCode::Busy,
            K::Hub => ErrorCode::Hub,
            _ => ErrorCode::Invalid,
        };
        AppError::of(code, error.into())
    }
}

impl From<mounter::MountError> for AppError {
    fn from(error: mounter::MountError) -> Self {
        use mounter::Reason as R;
        let code = match error.reason {
            R::Missing | R::NotADirectory | R::NotEmpty | R::NotOwned | R::NotMounted => ErrorCode::Invalid,
            R::AlreadyMounted => ErrorCode::Exists,
            R::Busy => ErrorCode::Busy,
            R::Timeout => ErrorCode::Timeout,
            R::NotPermitted | R::NoClient | R::System => ErrorCode::System,
        };
        AppError::new(code, error.what, error.advice)
    }
}
