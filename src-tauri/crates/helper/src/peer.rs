//! Who is on the other end of a connection, as the kernel says it; nothing a caller says counts.

use std::io;
use std::os::unix::net::UnixStream;

/// The process that connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    /// For the log only: a process id can be another process's by the time it is looked at.
    pub pid: i32,
}

#[cfg(not(target_os = "macos"))]
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(Peer { uid: peer.uid.as_raw(), gid: peer.gid.as_raw(), pid: peer.pid.as_raw_nonzero().get() })
}

#[cfg(target_os = "macos")]
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    macos::of(stream)
}

/// Is the caller a program signed by our own team? On Linux there is no such thing: there the user is what counts,
/// and a caller gets no more than a folder for itself.
#[cfg(not(target_os = "macos"))]
pub fn is_our_program(_stream: &UnixStream) -> Result<(), String> {
    Ok(())
}

#[cfg(target_os = "macos")]
pub fn is_our_program(stream: &UnixStream) -> Result<(), String> {
    macos::is_our_program(stream)
}

/// The code requirement of callers (macos-nfs.md D): Apple's anchor, our team, the app or its command line tool.
/// The tool has no Info.plist: codesign(1) names such a program after its file.
/// `None` for a build without a team: then no caller is one of ours.
pub fn requirement(team: Option<&str>) -> Option<String> {
    let team = team.filter(|team| team.len() == 10 && team.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    Some(format!(
        "anchor apple generic and certificate leaf[subject.OU] = \"{team}\" and \
         (identifier \"co.bucketbar.BucketBar\" or identifier \"bucketbarctl\")"
    ))
}

#[cfg(target_os = "macos")]
mod macos {
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use core_foundation::base::TCFType;
    use core_foundation::data::CFData;
    use security_framework::os::macos::code_signing::{Flags, GuestAttributes, SecCode, SecRequirement};

    use super::Peer;

    /// Set by `scripts/package-macos`; also the team that the app is signed with.
    const TEAM: Option<&str> = option_env!("BUCKETBAR_TEAM_ID");
    /// sys/un.h: level of the LOCAL_* options, and the audit token of the peer.
    const SOL_LOCAL: libc::c_int = 0;
    const LOCAL_PEERTOKEN: libc::c_int = 0x006;
    /// bsm/audit.h: eight 32-bit words; 1 is the effective uid, 2 the effective gid, 5 the pid.
    type AuditToken = [u32; 8];

    pub(super) fn of(stream: &UnixStream) -> io::Result<Peer> {
        let token = audit_token(stream)?;
        Ok(Peer { uid: token[1], gid: token[2], pid: token[5] as i32 })
    }

    /// The audit token names the process that connected, with its version: unlike a pid it is never reused.
    fn audit_token(stream: &UnixStream) -> io::Result<AuditToken> {
        let mut token: AuditToken = [0; 8];
        let mut length = size_of::<AuditToken>() as libc::socklen_t;
        // SAFETY: the pointer is good for `length` bytes, which the call fills at most.
        let result = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                SOL_LOCAL,
                LOCAL_PEERTOKEN,
                token.as_mut_ptr().cast(),
                &mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        if length as usize != size_of::<AuditToken>() {
            return Err(io::Error::other("the kernel gave no audit token"));
        }
        Ok(token)
    }

    pub(super) fn is_our_program(stream: &UnixStream) -> Result<(), String> {
        let requirement = super::requirement(TEAM)
            .ok_or("This helper was built without a team, so it works for nobody. Install BucketBar anew.")?;
        let token =
            audit_token(stream).map_err(|error| format!("Who asks could not be found out ({error})."))?;
        let bytes: Vec<u8> = token.iter().flat_map(|word| word.to_ne_bytes()).collect();
        check(&CFData::from_buffer(&bytes), &requirement)
            .map_err(|code| format!("Only BucketBar itself may ask the helper (code signature: {code})."))
    }

    fn check(token: &CFData, requirement: &str) -> Result<(), i32> {
        let code_of = |error: security_framework::base::Error| error.code();
        let requirement: SecRequirement = requirement.parse().map_err(code_of)?;
        let mut attributes = GuestAttributes::new();
        attributes.set_audit_token(token.as_concrete_TypeRef());
        let code = SecCode::copy_guest_with_attribues(None, &attributes, Flags::NONE).map_err(code_of)?;
        code.check_validity(Flags::NONE, &requirement).map_err(code_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_who_connected() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = of(&here).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.pid, std::process::id() as i32);
    }

    #[test]
    fn a_requirement_needs_a_team_and_takes_nothing_else_for_one() {
        let text = requirement(Some("AB12CD34EF")).unwrap();
        assert!(text.contains("anchor apple generic") && text.contains("= \"AB12CD34EF\""));
        for no_team in [None, Some(""), Some("short"), Some("AB12CD34E\""), Some("AB12CD34EF0")] {
            assert_eq!(requirement(no_team), None, "{no_team:?}");
        }
    }
}
