//! The desktop as programs without a window reach it: by the system's own opener.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::api::error::{AppError, AppResult, ErrorCode};
use super::outside::Outside;

/// A program that opens addresses, instead of the system's.
const OPENER: &str = "BUCKETBAR_OPEN";

/// The program that opens addresses and folders here; none without a screen of the person's own.
pub fn opener() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(opener) = set(OPENER) {
        return Some(opener);
    }
    if set("SSH_CONNECTION").is_some() {
        return None;
    }
    if cfg!(target_os = "macos") {
        return Some("open".to_owned());
    }
    set("WAYLAND_DISPLAY").or_else(|| set("DISPLAY")).map(|_| "xdg-open".to_owned())
}

/// Whether `opener` was started with these arguments. It gets nothing of this process but its environment,
/// in which no token of ours ever is.
pub fn open(opener: &str, arguments: &[&OsStr]) -> bool {
    let mut command = Command::new(opener);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            // Nobody waits for a browser; the thread only takes its end, and goes with this process.
            std::thread::spawn(move || child.wait());
            true
        }
        Err(_) => false,
    }
}

/// This session's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Desktop;

impl Desktop {
    fn open(self, arguments: &[&OsStr]) -> AppResult<()> {
        let started = opener().is_some_and(|opener| open(&opener, arguments));
        let no = || {
            AppError::new(
                ErrorCode::System,
                "There is no screen here to open it on.",
                "Set BUCKETBAR_OPEN to a program that opens addresses and folders.",
            )
        };
        if started { Ok(()) } else { Err(no()) }
    }
}

impl Outside for Desktop {
    fn open_url(&self, url: &str) -> AppResult<()> {
        self.open(&[url.as_ref()])
    }

    fn open_folder(&self, folder: &Path, select: Option<&Path>) -> AppResult<()> {
        match select {
            Some(file) if cfg!(target_os = "macos") => self.open(&["-R".as_ref(), file.as_os_str()]),
            _ => self.open(&[folder.as_os_str()]),
        }
    }

    fn start_at_login(&self, start: bool) -> AppResult<()> {
        if !start {
            return Ok(());
        }
        Err(AppError::new(
            ErrorCode::System,
            "Only the app with its window can start at login.",
            "Start `bucketbarctl app` from a service of your session instead.",
        ))
    }
}
