//! The root helper's registration with macOS (SMAppService, macOS 13; desktop.md part 7). What its states mean is
//! decided in `mounter::registration`; here they are only asked for.

use engine::app::api::error::{AppError, AppResult, ErrorCode};
use engine::mounter::Registration;
use objc2::rc::Retained;
use objc2_foundation::{NSError, NSString};
use objc2_service_management::{SMAppService, SMAppServiceStatus};

use crate::bundle::{Place, advice, place};

/// In the bundle's `Contents/Library/LaunchDaemons`; `tests/packaging` sees that it is there.
const PLIST: &str = "co.bucketbar.helper.plist";

fn here() -> Place {
    std::env::current_exe().map_or(Place::Loose, |program| place(&program))
}

fn service() -> Retained<SMAppService> {
    // SAFETY: a plain class method; the name is an NSString that lives through the call.
    unsafe { SMAppService::daemonServiceWithPlistName(&NSString::from_str(PLIST)) }
}

/// Asks the system, which may take a moment: not on the main thread.
pub fn registration() -> Registration {
    if here() == Place::Loose {
        return Registration::Unmanaged;
    }
    // SAFETY: a plain getter.
    match unsafe { service().status() } {
        SMAppServiceStatus::NotRegistered => Registration::NotRegistered,
        SMAppServiceStatus::Enabled => Registration::Enabled,
        SMAppServiceStatus::RequiresApproval => Registration::NeedsApproval,
        _ => Registration::NotFound,
    }
}

/// # Errors
/// The app does not lie where it stays, or the system's words.
pub fn register() -> AppResult<()> {
    if let Some(advice) = advice(&here()) {
        return Err(AppError::new(ErrorCode::System, "From here the helper cannot be switched on.", advice));
    }
    // SAFETY: a plain method with an out error, which objc2 turns into a `Result`.
    let registered = unsafe { service().registerAndReturnError() };
    // It may fail just because the person has yet to allow it; then its status says so.
    match registered {
        Err(error) if registration() != Registration::NeedsApproval => Err(refused("switch on", &error)),
        _ => Ok(()),
    }
}

/// # Errors
/// The system's words.
pub fn unregister() -> AppResult<()> {
    // SAFETY: as above.
    unsafe { service().unregisterAndReturnError() }.map_err(|error| refused("switch off", &error))
}

pub fn open_login_items() {
    // SAFETY: a plain class method.
    unsafe { SMAppService::openSystemSettingsLoginItems() };
}

fn refused(what: &str, error: &NSError) -> AppError {
    let words = error.localizedDescription().to_string();
    let said =
        format!("macOS did not {what} the helper ({}, code {}).", words.trim_end_matches('.'), error.code());
    AppError::new(ErrorCode::System, said, "Buckets are mounted as folders meanwhile. Try again.")
}
