//! READ, WRITE, COMMIT (RFC 1813 3.3.6, 3.3.7, 3.3.21). No payload byte is copied here.

use bytes::Bytes;

use super::{Outcome, Procedures, ok};
use crate::file_system::{FileSystem, Stable};
use crate::handle::Target;
use crate::limits::{MAX_FILE_SIZE, MAX_TRANSFER};
use crate::reply::Reply;
use crate::types::nfsstat3;
use crate::xdr::{Args, Garbage};

impl<F: FileSystem> Procedures<F> {
    pub(super) async fn read(&self, on: Target, mut args: Args) -> Outcome {
        let offset = args.u64()?;
        let count = args.u32()?.min(MAX_TRANSFER);
        // Nothing lies beyond the largest size, and no file system has to add to such an offset.
        let offset = offset.min(MAX_FILE_SIZE);
        let count = u64::from(count).min(MAX_FILE_SIZE - offset) as u32;
        let read = self.fs.read(on.id, offset, count).await?;
        let (data, length) = at_most(read.data, count as usize);
        let mut out = ok(100);
        out.post_op_attr(read.attr.as_ref());
        out.u32(length as u32);
        out.bool(read.eof);
        out.u32(length as u32);
        Ok(Reply::with_data(out, data))
    }

    pub(super) async fn write(&self, on: Target, mut args: Args) -> Outcome {
        let offset = args.u64()?;
        let count = args.u32()? as usize;
        let stable = stable(args.u32()?)?;
        let mut data = args.opaque(usize::MAX)?;
        if count > data.len() {
            return Err(self.refuse(on.id, nfsstat3::NFS3ERR_INVAL).await.into());
        }
        data.truncate(count);
        if offset.checked_add(count as u64).is_none_or(|end| end > MAX_FILE_SIZE) {
            return Err(self.refuse(on.id, nfsstat3::NFS3ERR_FBIG).await.into());
        }
        let written = self.fs.write(on.id, offset, data, stable).await?;
        let mut out = ok(132);
        out.wcc(&written.wcc);
        out.u32(written.count);
        out.u32(written.committed as u32);
        out.fixed(&written.verifier);
        Ok(out.into())
    }

    pub(super) async fn commit(&self, on: Target, mut args: Args) -> Outcome {
        let offset = args.u64()?;
        let count = args.u32()?;
        if offset.checked_add(u64::from(count)).is_none() {
            return Err(self.refuse(on.id, nfsstat3::NFS3ERR_INVAL).await.into());
        }
        let committed = self.fs.commit(on.id, offset, count).await?;
        let mut out = ok(124);
        out.wcc(&committed.wcc);
        out.fixed(&committed.verifier);
        Ok(out.into())
    }
}

fn stable(how: u32) -> Result<Stable, Garbage> {
    match how {
        0 => Ok(Stable::Unstable),
        1 => Ok(Stable::DataSync),
        2 => Ok(Stable::FileSync),
        _ => Err(Garbage),
    }
}

/// The first `limit` bytes: a file system that gives more than was asked must not break the connection.
fn at_most(mut data: Vec<Bytes>, limit: usize) -> (Vec<Bytes>, usize) {
    let mut length = 0;
    for piece in &mut data {
        piece.truncate(limit - length);
        length += piece.len();
    }
    (data, length)
}
