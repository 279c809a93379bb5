//! FSSTAT, FSINFO, PATHCONF (RFC 1813 3.3.18 to 3.3.20). Why these figures: macos-nfs.md B1, B12.

use super::{Outcome, Procedures, ok};
use crate::file_system::FileSystem;
use crate::handle::Target;
use crate::limits::{MAX_FILE_SIZE, MAX_NAME, MAX_TRANSFER, PREFERRED_LISTING};
use crate::types::{FSF_CANSETTIME, FSF_HOMOGENEOUS, FSF_SYMLINK, fsinfo3, nfstime3, post_op_attr};

/// Suggested multiple of READ and WRITE sizes, bytes.
const TRANSFER_MULTIPLE: u32 = 4096;

impl<F: FileSystem> Procedures<F> {
    pub(super) async fn fsstat(&self, on: Target) -> Outcome {
        let attr = self.fs.getattr(on.id).await?;
        let space = self.fs.space().await?;
        let mut out = ok(140);
        out.post_op_attr(Some(&attr));
        out.u64(space.total_bytes);
        out.u64(space.free_bytes);
        out.u64(space.available_bytes);
        out.u64(space.total_files);
        out.u64(space.free_files);
        out.u64(space.available_files);
        // invarsec: may change any time.
        out.u32(0);
        Ok(out.into())
    }

    pub(super) async fn fsinfo(&self, on: Target) -> Outcome {
        let attr = self.fs.getattr(on.id).await?;
        let mut out = ok(140);
        out.plain(&fsinfo3 {
            obj_attributes: post_op_attr::attributes(attr),
            rtmax: MAX_TRANSFER,
            rtpref: MAX_TRANSFER,
            rtmult: TRANSFER_MULTIPLE,
            wtmax: MAX_TRANSFER,
            wtpref: MAX_TRANSFER,
            wtmult: TRANSFER_MULTIPLE,
            dtpref: PREFERRED_LISTING,
            maxfilesize: MAX_FILE_SIZE,
            time_delta: nfstime3 { seconds: 0, nseconds: 1 },
            properties: FSF_SYMLINK | FSF_HOMOGENEOUS | FSF_CANSETTIME,
        });
        Ok(out.into())
    }

    pub(super) async fn pathconf(&self, on: Target) -> Outcome {
        let attr = self.fs.getattr(on.id).await?;
        let mut out = ok(112);
        out.post_op_attr(Some(&attr));
        // linkmax, name_max
        out.u32(1);
        out.u32(MAX_NAME as u32);
        // no_trunc, chown_restricted, case_insensitive, case_preserving
        for flag in [true, true, false, true] {
            out.bool(flag);
        }
        Ok(out.into())
    }
}
