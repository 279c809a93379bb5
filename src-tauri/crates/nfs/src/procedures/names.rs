//! Names on the wire, checked before a file system sees them (macos-nfs.md C: `/` and `..` in a name are how
//! one escapes a tree).

use crate::limits::MAX_NAME;
use crate::types::nfsstat3;
use crate::xdr::{Args, Garbage};

/// What a name is for; `.` and `..` mean something different to each (RFC 1813 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Find,
    Make,
    Remove,
    RemoveDirectory,
    Rename,
}

/// Reads a name and says whether it may be used.
pub fn name(args: &mut Args, purpose: Purpose) -> Result<Result<Vec<u8>, nfsstat3>, Garbage> {
    let name = args.opaque(usize::MAX)?;
    Ok(check(&name, purpose).map(|()| name.to_vec()))
}

fn check(name: &[u8], purpose: Purpose) -> Result<(), nfsstat3> {
    use nfsstat3::*;
    if name.len() > MAX_NAME {
        return Err(NFS3ERR_NAMETOOLONG);
    }
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(NFS3ERR_INVAL);
    }
    match (name, purpose) {
        (b"." | b"..", Purpose::Make) | (b"..", Purpose::RemoveDirectory) => Err(NFS3ERR_EXIST),
        (b"." | b"..", Purpose::Remove | Purpose::RemoveDirectory | Purpose::Rename) => Err(NFS3ERR_INVAL),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_directory_never_pass() {
        for purpose in
            [Purpose::Find, Purpose::Make, Purpose::Remove, Purpose::RemoveDirectory, Purpose::Rename]
        {
            for bad in [&b""[..], b"/", b"a/b", b"../x", b"a\0", b"\0"] {
                assert!(matches!(check(bad, purpose), Err(nfsstat3::NFS3ERR_INVAL)), "{bad:?}");
            }
            assert!(matches!(check(&[b'x'; 256], purpose), Err(nfsstat3::NFS3ERR_NAMETOOLONG)));
            assert!(check(&[b'x'; 255], purpose).is_ok());
            assert!(check("…è".as_bytes(), purpose).is_ok());
            assert!(check(b"...", purpose).is_ok());
        }
    }

    #[test]
    fn dot_and_dotdot_may_only_be_looked_up() {
        use nfsstat3::*;
        assert!(check(b".", Purpose::Find).is_ok() && check(b"..", Purpose::Find).is_ok());
        for (name, purpose, status) in [
            (&b"."[..], Purpose::Make, NFS3ERR_EXIST),
            (b"..", Purpose::Make, NFS3ERR_EXIST),
            (b".", Purpose::Remove, NFS3ERR_INVAL),
            (b"..", Purpose::Remove, NFS3ERR_INVAL),
            (b".", Purpose::RemoveDirectory, NFS3ERR_INVAL),
            (b"..", Purpose::RemoveDirectory, NFS3ERR_EXIST),
            (b".", Purpose::Rename, NFS3ERR_INVAL),
            (b"..", Purpose::Rename, NFS3ERR_INVAL),
        ] {
            assert_eq!(check(name, purpose).unwrap_err() as u32, status as u32, "{name:?} {purpose:?}");
        }
    }
}
