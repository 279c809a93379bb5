//! The one table that turns a file system's error into what NFS says (RFC 1813 2.6).
//!
//! What stands behind the choices (macos-nfs.md B3, B4; design.md promises 1 and 16): STALE only for what is
//! gone for good, because a kernel then throws unwritten data away; JUKEBOX for what will go by itself,
//! because a kernel then asks again; an unreachable Hub is an I/O error at once, never "no such file".

use bucketfs::ErrorKind;
use nfs::types::nfsstat3;

/// The status on the wire for an error of this kind; never `NFS3_OK`.
pub fn nfs_status(kind: ErrorKind) -> nfsstat3 {
    match kind {
        ErrorKind::NotFound => nfsstat3::NFS3ERR_NOENT,
        ErrorKind::Exists => nfsstat3::NFS3ERR_EXIST,
        ErrorKind::NotDirectory => nfsstat3::NFS3ERR_NOTDIR,
        ErrorKind::IsDirectory => nfsstat3::NFS3ERR_ISDIR,
        ErrorKind::NotEmpty => nfsstat3::NFS3ERR_NOTEMPTY,
        ErrorKind::Gone => nfsstat3::NFS3ERR_STALE,
        ErrorKind::Access => nfsstat3::NFS3ERR_ACCES,
        ErrorKind::ReadOnly => nfsstat3::NFS3ERR_ROFS,
        ErrorKind::NoSpace => nfsstat3::NFS3ERR_NOSPC,
        ErrorKind::TooBig => nfsstat3::NFS3ERR_FBIG,
        ErrorKind::NameTooLong => nfsstat3::NFS3ERR_NAMETOOLONG,
        ErrorKind::Invalid => nfsstat3::NFS3ERR_INVAL,
        ErrorKind::GuardMismatch => nfsstat3::NFS3ERR_NOT_SYNC,
        ErrorKind::Slow | ErrorKind::Busy => nfsstat3::NFS3ERR_JUKEBOX,
        ErrorKind::CrossesLayers => nfsstat3::NFS3ERR_XDEV,
        ErrorKind::Unsupported => nfsstat3::NFS3ERR_NOTSUPP,
        ErrorKind::Offline | ErrorKind::LocalDisk | ErrorKind::Hub | ErrorKind::Damaged => {
            nfsstat3::NFS3ERR_IO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1813's numbers, written out: a typo in the table cannot agree with itself.
    #[test]
    fn every_arm() {
        let table = [
            (ErrorKind::NotFound, 2),
            (ErrorKind::Exists, 17),
            (ErrorKind::NotDirectory, 20),
            (ErrorKind::IsDirectory, 21),
            (ErrorKind::NotEmpty, 66),
            (ErrorKind::Gone, 70),
            (ErrorKind::Access, 13),
            (ErrorKind::ReadOnly, 30),
            (ErrorKind::NoSpace, 28),
            (ErrorKind::TooBig, 27),
            (ErrorKind::NameTooLong, 63),
            (ErrorKind::Invalid, 22),
            (ErrorKind::GuardMismatch, 10002),
            (ErrorKind::CrossesLayers, 18),
            (ErrorKind::Offline, 5),
            (ErrorKind::Slow, 10008),
            (ErrorKind::LocalDisk, 5),
            (ErrorKind::Hub, 5),
            (ErrorKind::Unsupported, 10004),
            (ErrorKind::Damaged, 5),
            (ErrorKind::Busy, 10008),
        ];
        for (kind, number) in table {
            assert_eq!(nfs_status(kind) as u32, number, "{kind:?}");
        }
    }

    #[test]
    fn only_gone_is_stale() {
        let others = [ErrorKind::NotFound, ErrorKind::Offline, ErrorKind::Hub, ErrorKind::Damaged];
        assert!(others.into_iter().all(|kind| nfs_status(kind) as u32 != 70));
    }
}
