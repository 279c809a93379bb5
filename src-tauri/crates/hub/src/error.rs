//! What can go wrong with the Hub, for three readers: the program (class, may it be retried), the
//! person (what failed, what to do now) and the log (the chain of causes).
//!
//! The class is the only thing retry policy, icons and notifications look at, never the text.
//! No text in here holds a token: requests are described by method and path, never by headers, and
//! signed storage addresses lose their query.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A failed call. Cheap to clone, so that everybody who waited for one call can be told.
#[derive(Clone, Debug)]
pub struct HubError {
    pub class: ErrorClass,
    /// The HTTP status, when a server answered.
    pub status: Option<u16>,
    /// The Hub's own name for what is wrong (`GatedRepo`), when it gave one.
    pub code: Option<ErrorCode>,
    /// One sentence: what failed.
    pub what: String,
    /// One sentence: what the person can do now.
    pub advice: String,
    /// The server's name for the request, for a report to its operators.
    pub request_id: Option<String>,
    pub(crate) source: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// No server was reached.
    Offline,
    /// The server can't now (5xx, 408, 429).
    Busy {
        retry_after: Option<Duration>,
    },
    /// No token, or one the Hub doesn't accept (401).
    SignIn,
    /// The token is good but may not do this (403).
    Forbidden,
    NotFound,
    /// No room (413, 507).
    Quota,
    /// The server understood and refuses (422 and other 4xx).
    Rejected,
    /// The answer makes no sense, or the content is not what was asked for.
    Broken,
    Cancelled,
    /// This machine's disk.
    Local,
}

/// What the Hub calls a refusal (hub-api.md 2.11), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    RepoNotFound,
    RevisionNotFound,
    EntryNotFound,
    GatedRepo,
}

impl ErrorCode {
    pub(crate) fn of(text: &str) -> Option<ErrorCode> {
        match text {
            "RepoNotFound" => Some(ErrorCode::RepoNotFound),
            "RevisionNotFound" => Some(ErrorCode::RevisionNotFound),
            "EntryNotFound" => Some(ErrorCode::EntryNotFound),
            "GatedRepo" => Some(ErrorCode::GatedRepo),
            _ => None,
        }
    }
}

impl ErrorClass {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn may_retry(&self) -> bool {
        matches!(self, ErrorClass::Offline | ErrorClass::Busy { .. } | ErrorClass::Broken)
    }

    /// The class of an HTTP status that is not a success.
    pub fn of_status(status: u16, retry_after: Option<Duration>) -> ErrorClass {
        match status {
            401 => ErrorClass::SignIn,
            403 => ErrorClass::Forbidden,
            404 | 410 => ErrorClass::NotFound,
            408 | 425 | 429 => ErrorClass::Busy { retry_after },
            413 | 507 => ErrorClass::Quota,
            400..=499 => ErrorClass::Rejected,
            500..=599 => ErrorClass::Busy { retry_after },
            _ => ErrorClass::Broken,
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            ErrorClass::Offline => "Check the network connection; BucketBar tries again by itself.",
            ErrorClass::Busy { .. } => "Nothing to do: BucketBar tries again by itself.",
            ErrorClass::SignIn => "Sign in again, or set HF_TOKEN to a valid token.",
            ErrorClass::Forbidden => "Ask the owner for access, or sign in with a token that may do this.",
            ErrorClass::NotFound => "Check the name; it may have been deleted or renamed.",
            ErrorClass::Quota => "Free space on the Hub or upgrade the account's storage plan.",
            ErrorClass::Rejected => "The Hub refuses this request; see the details.",
            ErrorClass::Broken => "Try again; if it stays, report it with the request id.",
            ErrorClass::Cancelled => "Nothing to do.",
            ErrorClass::Local => "Check the free space and the permissions of BucketBar's folder.",
        }
    }
}

impl HubError {
    pub fn new(class: ErrorClass, what: impl Into<String>) -> HubError {
        let advice = class.advice().to_owned();
        HubError {
            class,
            status: None,
            code: None,
            what: what.into(),
            advice,
            request_id: None,
            source: None,
        }
    }

    pub fn offline(what: impl Into<String>) -> HubError {
        HubError::new(ErrorClass::Offline, what)
    }

    pub fn broken(what: impl Into<String>) -> HubError {
        HubError::new(ErrorClass::Broken, what)
    }

    pub fn sign_in(what: impl Into<String>) -> HubError {
        HubError::new(ErrorClass::SignIn, what)
    }

    pub fn local(what: impl Into<String>, source: std::io::Error) -> HubError {
        HubError::new(ErrorClass::Local, what).caused_by(source)
    }

    pub(crate) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> HubError {
        self.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> HubError {
        self.advice = advice.into();
        self
    }

    pub fn may_retry(&self) -> bool {
        self.class.may_retry()
    }

    /// How long the server asked to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.class {
            ErrorClass::Busy { retry_after } => retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl Error for HubError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
