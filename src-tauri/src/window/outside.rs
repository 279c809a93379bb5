//! What the engine asks of the desktop.

use std::path::{Path, PathBuf};

use engine::app::api::error::{AppError, AppResult, ErrorCode};
use engine::app::outside::Outside;
use url::Url;

use crate::login::{self, Places, Supervisor};
use crate::platform;

pub struct Desktop;

impl Outside for Desktop {
    /// The engine lets through only what belongs to the Hub. Here is the last door: nothing but a web address
    /// reaches the system, which would start a program for others.
    fn open_url(&self, url: &str) -> AppResult<()> {
        match Url::parse(url) {
            Ok(address) if matches!(address.scheme(), "https" | "http") => {
                platform::open_url(address.as_str())
            }
            _ => Err(AppError::invalid("That is no web address.", "")),
        }
    }

    fn open_folder(&self, folder: &Path, select: Option<&Path>) -> AppResult<()> {
        if !folder.is_absolute() {
            return Err(AppError::invalid("That is no folder.", ""));
        }
        platform::open_folder(folder, select)
    }

    fn start_at_login(&self, start: bool) -> AppResult<()> {
        let set = || login::set(Supervisor::here(), &Places::discover()?, &program()?, start);
        set().map_err(|error| {
            let what = format!(
                "Starting with your session could not be switched {}: {error}.",
                if start { "on" } else { "off" }
            );
            AppError::new(ErrorCode::System, what, "The setting is as it was. Try again.")
        })
    }

    #[cfg(target_os = "macos")]
    fn registration(&self) -> engine::mounter::Registration {
        platform::service::registration()
    }

    #[cfg(target_os = "macos")]
    fn register_helper(&self) -> AppResult<()> {
        platform::service::register()
    }

    #[cfg(target_os = "macos")]
    fn unregister_helper(&self) -> AppResult<()> {
        platform::service::unregister()
    }

    #[cfg(target_os = "macos")]
    fn open_login_items(&self) -> AppResult<()> {
        platform::service::open_login_items();
        Ok(())
    }
}

/// What a session starts: the AppImage as a whole, else this program.
pub fn program() -> std::io::Result<PathBuf> {
    match std::env::var_os("APPIMAGE").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(image) => Ok(image),
        None => std::env::current_exe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_and_whole_paths_reach_the_system() {
        for address in ["file:///etc/passwd", "javascript:alert(1)", "smb://host/share", "-h", "", "/bin/sh"]
        {
            let error = Desktop.open_url(address).err().map(|error| error.code);
            assert_eq!(error, Some(ErrorCode::Invalid), "{address}");
        }
        let error = Desktop.open_folder(Path::new("relative"), None).err().map(|error| error.code);
        assert_eq!(error, Some(ErrorCode::Invalid));
    }
}
