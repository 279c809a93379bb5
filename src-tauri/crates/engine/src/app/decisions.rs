//! Conflicts, held deletes and undo of one bucket, in the app's words.

use std::sync::Arc;

use bucketfs::BucketFs;

use super::api::buckets::{Conflict, DeletesAnswer, HeldDeletes, Removed, Resolution};
use super::api::error::{AppError, AppResult, ErrorCode};

/// What of a bucket waits for somebody's word.
pub(super) fn of(_bucket: &str, _fs: &BucketFs) -> (Vec<Conflict>, Option<HeldDeletes>) {
    (Vec::new(), None)
}

fn not_yet() -> AppError {
    AppError::new(ErrorCode::System, "This build cannot do that yet.", "")
}

pub(super) async fn resolve(_fs: &Arc<BucketFs>, _id: u64, _how: Resolution) -> AppResult<()> {
    Err(not_yet())
}

pub(super) async fn answer(_fs: &Arc<BucketFs>, _answer: DeletesAnswer) -> AppResult<u64> {
    Err(not_yet())
}

pub(super) async fn discard(_fs: &Arc<BucketFs>, _path: &str) -> AppResult<()> {
    Err(not_yet())
}

pub(super) fn removed(_bucket: &str, _fs: &BucketFs) -> AppResult<Vec<Removed>> {
    Err(not_yet())
}

pub(super) async fn restore(_fs: &Arc<BucketFs>, _path: &str, _as_name: Option<&str>) -> AppResult<String> {
    Err(not_yet())
}
