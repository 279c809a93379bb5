//! GETATTR, SETATTR, ACCESS (RFC 1813 3.3.1, 3.3.2, 3.3.4).

use super::{Outcome, Procedures, ok, receipt, users, wcc_reply};
use crate::file_system::{CallKey, FileSystem};
use crate::handle::Target;
use crate::limits::MAX_FILE_SIZE;
use crate::rpc::Caller;
use crate::types::{fattr3, nfsstat3, nfstime3, sattr3, set_atime, set_mtime, set_size3};
use crate::xdr::{Args, Garbage};

const READ: u32 = 0x01;
const LOOKUP: u32 = 0x02;
const MODIFY: u32 = 0x04;
const EXTEND: u32 = 0x08;
const DELETE: u32 = 0x10;
const EXECUTE: u32 = 0x20;

impl<F: FileSystem> Procedures<F> {
    pub(super) async fn getattr(&self, on: Target) -> Outcome {
        let attr = self.fs.getattr(on.id).await?;
        let mut out = ok(84);
        out.plain(&attr);
        Ok(out.into())
    }

    pub(super) async fn setattr(
        &self,
        on: Target,
        mut args: Args,
        key: Option<CallKey>,
        caller: Option<&Caller>,
    ) -> Outcome {
        let mut change: sattr3 = args.plain()?;
        let guard = guard(&mut args)?;
        if let Err(status) = check(&change, on.is_file()) {
            return Err(self.refuse(on.id, status).await.into());
        }
        if let Some(caller) = caller {
            change = self.as_user_sets(caller, on, change).await?;
        }
        let wcc = self.fs.setattr(on.id, change, guard, receipt(key, wcc_reply)).await?;
        Ok(wcc_reply(&wcc).into())
    }

    /// The owner (and root, with the same rights) may read and write whatever the mode says: between an
    /// EXCLUSIVE CREATE and its SETATTR the mode may be 0 (macos-nfs.md B9). Others get here in tests only.
    pub(super) async fn access(&self, on: Target, mut args: Args, caller: Option<&Caller>) -> Outcome {
        let asked = args.u32()?;
        let attr = self.fs.getattr(on.id).await?;
        let mut out = ok(92);
        out.post_op_attr(Some(&attr));
        let rights = rights(on, &attr, self.fs.read_only());
        out.u32(asked & caller.map_or(rights, |caller| rights & users::rights(caller, on, &attr)));
        Ok(out.into())
    }
}

fn rights(on: Target, attr: &fattr3, read_only: bool) -> u32 {
    let for_type = match on.is_dir() {
        true => READ | LOOKUP,
        // As for root on a local disk: executable when anybody may execute it.
        false if attr.mode & 0o111 != 0 => READ | EXECUTE,
        false => READ,
    };
    for_type | if read_only { 0 } else { MODIFY | EXTEND | DELETE }
}

/// RFC 1813 3.3.2 `sattrguard3`.
fn guard(args: &mut Args) -> Result<Option<nfstime3>, Garbage> {
    match args.u32()? {
        0 => Ok(None),
        1 => Ok(Some(args.plain()?)),
        _ => Err(Garbage),
    }
}

/// Attributes no object can be given.
pub(super) fn check(change: &sattr3, is_file: bool) -> Result<(), nfsstat3> {
    if let set_size3::size(size) = change.size {
        if !is_file {
            return Err(nfsstat3::NFS3ERR_INVAL);
        }
        if size > MAX_FILE_SIZE {
            return Err(nfsstat3::NFS3ERR_FBIG);
        }
    }
    let atime = match change.atime {
        set_atime::SET_TO_CLIENT_TIME(time) => time.nseconds,
        _ => 0,
    };
    let mtime = match change.mtime {
        set_mtime::SET_TO_CLIENT_TIME(time) => time.nseconds,
        _ => 0,
    };
    if atime >= 1_000_000_000 || mtime >= 1_000_000_000 {
        return Err(nfsstat3::NFS3ERR_INVAL);
    }
    Ok(())
}
