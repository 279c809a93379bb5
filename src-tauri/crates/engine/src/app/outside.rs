//! What the app needs of the desktop around it: opening addresses and folders.

use std::path::Path;

use super::api::error::AppResult;

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
}
