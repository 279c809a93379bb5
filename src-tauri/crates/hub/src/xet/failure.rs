//! Xet's errors in this crate's classes.

use xet_client::ClientError;
use xet_data::error::DataError;
use xet_data::file_reconstruction::FileReconstructionError;

use crate::error::{ErrorClass, HubError};

const BUSY: ErrorClass = ErrorClass::Busy { retry_after: None };

pub(crate) fn of_data(error: DataError, failure: &str) -> HubError {
    let class = match &error {
        DataError::ClientError(e) => return of_client_ref(e, failure).caused_by(error),
        DataError::FileReconstructionError(e) => of_reconstruction_class(e),
        DataError::IOError(_) => ErrorClass::Local,
        DataError::HashNotFound => ErrorClass::NotFound,
        DataError::AuthError(_) => BUSY,
        DataError::ParameterError(_) | DataError::InvalidOperation(_) => ErrorClass::Rejected,
        DataError::HashStringParsingFailure(_)
        | DataError::SizeMismatch { .. }
        | DataError::FormatError(_) => ErrorClass::Broken,
        // Tasks that ended early and texts of errors: what they hide is mostly the network.
        _ => BUSY,
    };
    HubError::new(class, format!("{failure}: {}", words(class))).caused_by(error)
}

pub(crate) fn of_client(error: ClientError, failure: &str) -> HubError {
    of_client_ref(&error, failure).caused_by(error)
}

pub(crate) fn of_reconstruction(error: FileReconstructionError, failure: &str) -> HubError {
    if let FileReconstructionError::ClientError(e) = &error {
        return of_client_ref(e, failure).caused_by(error);
    }
    let class = of_reconstruction_class(&error);
    HubError::new(class, format!("{failure}: {}", words(class))).caused_by(error)
}

fn of_reconstruction_class(error: &FileReconstructionError) -> ErrorClass {
    match error {
        FileReconstructionError::ClientError(e) => of_client_ref(e, "").class,
        FileReconstructionError::IoError(_) => BUSY,
        FileReconstructionError::CorruptedReconstruction(_) | FileReconstructionError::TaskJoinError(_) => {
            ErrorClass::Broken
        }
        _ => BUSY,
    }
}

pub(crate) fn of_client_ref(error: &ClientError, failure: &str) -> HubError {
    let status = error.status().map(|s| s.as_u16());
    let class = match (status, error) {
        // The storage's own 401 and 403 are about its short-lived tokens and signed addresses, not
        // about the person's account: another try with new ones may do.
        (Some(401 | 403), _) => BUSY,
        (Some(status), _) => ErrorClass::of_status(status, None),
        (None, ClientError::ReqwestError(e, _)) if e.is_connect() => ErrorClass::Offline,
        (None, ClientError::ReqwestMiddlewareError(e)) if e.is_connect() => ErrorClass::Offline,
        (None, ClientError::FileNotFound(_) | ClientError::XORBNotFound(_)) => ErrorClass::NotFound,
        (None, ClientError::IOError(_)) => ErrorClass::Local,
        (None, ClientError::FormatError(_) | ClientError::InvalidResponse(_) | ClientError::InvalidRange) => {
            ErrorClass::Broken
        }
        (None, ClientError::InvalidArguments | ClientError::InvalidKey(_)) => ErrorClass::Rejected,
        _ => BUSY,
    };
    let mut failed = HubError::new(class, format!("{failure}: {}", words(class)));
    failed.status = status;
    failed
}

/// A status of the storage that is no success.
pub(crate) fn of_status(status: u16, failure: &str) -> HubError {
    let class = match status {
        // About its short-lived addresses, not the person's account.
        401 | 403 => BUSY,
        status => ErrorClass::of_status(status, None),
    };
    let mut failed = HubError::new(class, format!("{failure}: {}", words(class)));
    failed.status = Some(status);
    failed
}

/// A request to the storage that brought no answer, or broke off.
pub(crate) fn of_http(error: reqwest::Error, failure: &str) -> HubError {
    let class = if error.is_connect() { ErrorClass::Offline } else { BUSY };
    // The address is signed: who has it may read.
    HubError::new(class, format!("{failure}: {}", words(class))).caused_by(error.without_url())
}

fn words(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Offline => "the storage can't be reached",
        ErrorClass::Busy { .. } => "the storage does not answer as it should",
        ErrorClass::NotFound => "the storage doesn't have this content",
        ErrorClass::Quota => "there is no room left",
        ErrorClass::Local => "this machine's disk has a problem",
        ErrorClass::Broken => "the storage's answer makes no sense",
        _ => "the storage refuses",
    }
}
