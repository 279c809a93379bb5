//! Whose process is on the other end, as the kernel says it.

use std::io;
use std::os::unix::net::UnixStream;

#[cfg(not(target_os = "macos"))]
pub fn uid(stream: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// macOS has no SO_PEERCRED; `getpeereid` (its libc, over LOCAL_PEERCRED) says the same.
#[cfg(target_os = "macos")]
pub fn uid(stream: &UnixStream) -> io::Result<u32> {
    use std::os::fd::AsRawFd;
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is open, and both pointers are good for one value.
    match unsafe { libc::getpeereid(stream.as_raw_fd(), &mut uid, &mut gid) } {
        0 => Ok(uid),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Only the user whose keeper it is: not even root, who could ask for anything in other ways.
pub fn is_own(stream: &UnixStream) -> bool {
    uid(stream).is_ok_and(|uid| uid == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_ones_own() {
        let (here, _there) = UnixStream::pair().unwrap();
        assert!(is_own(&here));
    }
}
