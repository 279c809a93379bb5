//! What the app needs of the desktop around it: opening addresses and folders.

use std::path::Path;

use mounter::Registration;

use super::api::error::{AppError, AppResult, ErrorCode};

/// The desktop. The window's shell gives its own; [`Desktop`](super::desktop::Desktop) is the one without
/// a window.
/// Calls return at once: nobody waits for a browser.
pub trait Outside: Send + Sync + 'static {
    /// Opens an address (of the Hub's origin only: checked before) in the person's browser.
    ///
    /// # Errors
    /// `System` when there is no browser to open it with; the sign-in then goes on with a code.
    fn open_url(&self, url: &str) -> AppResult<()>;

    /// Opens a folder in the file browser; with `select`, shows that entry of it. May be a mount of ours: it
    /// is not to be touched from this process.
    ///
    /// # Errors
    /// `System` when there is no file browser.
    fn open_folder(&self, folder: &Path, select: Option<&Path>) -> AppResult<()>;

    /// Makes the app start with the session, or not.
    ///
    /// # Errors
    /// `System` or `Disk`, with a sentence.
    fn start_at_login(&self, start: bool) -> AppResult<()>;

    /// What the system says of the root helper's registration. May wait for the system.
    fn registration(&self) -> Registration {
        Registration::Unmanaged
    }

    /// Registers the helper; whether the person allows it is seen by [`Outside::registration`].
    ///
    /// # Errors
    /// `System`, with the system's words.
    fn register_helper(&self) -> AppResult<()> {
        Err(unmanaged())
    }

    /// Takes the registration away; what the helper has mounted stays mounted.
    ///
    /// # Errors
    /// `System`, with the system's words.
    fn unregister_helper(&self) -> AppResult<()> {
        Err(unmanaged())
    }

    /// Opens the system's settings where background items are allowed.
    ///
    /// # Errors
    /// `System`.
    fn open_login_items(&self) -> AppResult<()> {
        Err(unmanaged())
    }
}

fn unmanaged() -> AppError {
    AppError::new(
        ErrorCode::System,
        "This program cannot switch the helper on.",
        "On macOS the app in Applications can; elsewhere whoever installs BucketBar starts bucketbar-helper.",
    )
}
