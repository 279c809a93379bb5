//! LOOKUP, READLINK (RFC 1813 3.3.3, 3.3.5).

use super::names::{self, Purpose};
use super::{Outcome, Procedures, ok};
use crate::file_system::FileSystem;
use crate::handle::{HANDLE_LENGTH, Target};
use crate::xdr::Args;

impl<F: FileSystem> Procedures<F> {
    pub(super) async fn lookup(&self, on: Target, mut args: Args) -> Outcome {
        let name = match names::name(&mut args, Purpose::Find)? {
            Ok(name) => name,
            Err(status) => return Err(self.refuse(on.id, status).await.into()),
        };
        let (found, dir_attr) = self.fs.lookup(on.id, name).await?;
        let mut out = ok(HANDLE_LENGTH + 200);
        out.opaque(&self.handles.of(found.id, &found.attr).0);
        out.post_op_attr(Some(&found.attr));
        out.post_op_attr(dir_attr.as_ref());
        Ok(out.into())
    }

    pub(super) async fn readlink(&self, on: Target) -> Outcome {
        let (target, attr) = self.fs.readlink(on.id).await?;
        let mut out = ok(96 + target.len());
        out.post_op_attr(attr.as_ref());
        out.opaque(&target);
        Ok(out.into())
    }
}
