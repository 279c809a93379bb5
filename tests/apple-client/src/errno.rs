//! Darwin's error numbers, as far as an NFS client hands them out.

use nfs3_types::nfs3::nfsstat3;

/// What a system call fails with on macOS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

impl Errno {
    pub const ENOENT: Errno = Errno(2);
    pub const EIO: Errno = Errno(5);
    pub const ENXIO: Errno = Errno(6);
    pub const EBADF: Errno = Errno(9);
    pub const EACCES: Errno = Errno(13);
    pub const EBUSY: Errno = Errno(16);
    pub const EEXIST: Errno = Errno(17);
    pub const ENOTDIR: Errno = Errno(20);
    pub const EISDIR: Errno = Errno(21);
    pub const EINVAL: Errno = Errno(22);
    pub const EFBIG: Errno = Errno(27);
    pub const ENOSPC: Errno = Errno(28);
    pub const EROFS: Errno = Errno(30);
    pub const ENOTSUP: Errno = Errno(45);
    pub const ENAMETOOLONG: Errno = Errno(63);
    pub const ENOTEMPTY: Errno = Errno(66);
    pub const EDQUOT: Errno = Errno(69);
    pub const ESTALE: Errno = Errno(70);
    pub const EBADRPC: Errno = Errno(72);
    /// The kernel's own `NFSERR_STALEWRITEVERF`: a COMMIT that came back with another verifier. No program
    /// ever sees it.
    pub(crate) const STALE_VERIFIER: Errno = Errno(30_001);

    /// RFC 1813's numbers are BSD's, up to 10,000.
    pub fn of(status: nfsstat3) -> Errno {
        match status {
            nfsstat3::NFS3ERR_BADHANDLE => Errno::ESTALE,
            nfsstat3::NFS3ERR_NOTSUPP => Errno::ENOTSUP,
            status if (status as i32) < 10_000 => Errno(status as i32),
            _ => Errno::EIO,
        }
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = [
            (Errno::ENOENT, "ENOENT"),
            (Errno::EIO, "EIO"),
            (Errno::ENXIO, "ENXIO"),
            (Errno::EBADF, "EBADF"),
            (Errno::EACCES, "EACCES"),
            (Errno::EBUSY, "EBUSY"),
            (Errno::EEXIST, "EEXIST"),
            (Errno::ENOTDIR, "ENOTDIR"),
            (Errno::EISDIR, "EISDIR"),
            (Errno::EINVAL, "EINVAL"),
            (Errno::EFBIG, "EFBIG"),
            (Errno::ENOSPC, "ENOSPC"),
            (Errno::EROFS, "EROFS"),
            (Errno::ENOTSUP, "ENOTSUP"),
            (Errno::ENAMETOOLONG, "ENAMETOOLONG"),
            (Errno::ENOTEMPTY, "ENOTEMPTY"),
            (Errno::EDQUOT, "EDQUOT"),
            (Errno::ESTALE, "ESTALE"),
            (Errno::EBADRPC, "EBADRPC"),
        ];
        match known.iter().find(|(errno, _)| errno == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

pub type Result<T> = std::result::Result<T, Errno>;
