//! The listening socket: from launchd, from systemd, or made here.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The name of the socket in the launchd plist (`Sockets`).
pub const LAUNCHD_NAME: &str = "Listener";

/// A socket and whether somebody starts us again when it is used.
#[derive(Debug)]
pub struct Listening {
    pub listener: UnixListener,
    pub on_demand: bool,
}

/// # Errors
/// No socket was handed over and none could be made.
pub fn listen(path: &Path) -> io::Result<Listening> {
    if let Some(listener) = handed_over()? {
        return Ok(Listening { listener, on_demand: true });
    }
    Ok(Listening { listener: make(path)?, on_demand: false })
}

/// Everybody may connect: who it is decides what they get.
fn make(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?; // left by a helper that was killed
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// sd_listen_fds(3): the first descriptor after stderr, if it is meant for this process.
#[cfg(not(target_os = "macos"))]
fn handed_over() -> io::Result<Option<UnixListener>> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if !is("LISTEN_PID", &std::process::id().to_string()) || !is("LISTEN_FDS", "1") {
        return Ok(None);
    }
    // SAFETY: systemd opened descriptor 3 for this process; this is the only place that takes it, once.
    Ok(Some(UnixListener::from(unsafe { OwnedFd::from_raw_fd(3) })))
}

/// launch_activate_socket(3). ESRCH: not started by launchd.
#[cfg(target_os = "macos")]
fn handed_over() -> io::Result<Option<UnixListener>> {
    use std::ffi::{CString, c_char, c_int, c_void};
    use std::os::fd::{FromRawFd, OwnedFd};
    unsafe extern "C" {
        fn launch_activate_socket(name: *const c_char, fds: *mut *mut c_int, count: *mut usize) -> c_int;
    }
    let name = CString::new(LAUNCHD_NAME).map_err(io::Error::other)?;
    let (mut fds, mut count) = (std::ptr::null_mut::<c_int>(), 0usize);
    // SAFETY: both out parameters are good for writing; on success `fds` is `count` descriptors in malloc's memory.
    let result = unsafe { launch_activate_socket(name.as_ptr(), &mut fds, &mut count) };
    if result == libc::ESRCH {
        return Ok(None);
    }
    if result != 0 || count == 0 || fds.is_null() {
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: `count` is at least 1; the first descriptor is ours from here on, the memory is freed once.
    let listener = unsafe {
        let first = OwnedFd::from_raw_fd(*fds);
        libc::free(fds.cast::<c_void>());
        UnixListener::from(first)
    };
    Ok(Some(listener))
}
