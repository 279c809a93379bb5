//! Conflicts, held deletes and undo of one bucket, in the app's words.

use std::sync::Arc;

use bucketfs::BucketFs;

use super::api::buckets::{Conflict, DeletesAnswer, HeldDeletes, Removed, Resolution};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::queue::{RowAction, SavedRow};
use super::slot::Live;
use crate::notices::NoticeKind;

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

/// What came to the Hub lately.
pub(super) fn saved(bucket: &str, live: &Live) -> Vec<SavedRow> {
    let saved = live.notices.after(0).into_iter().filter(|notice| notice.kind == NoticeKind::Saved);
    let row = |notice: crate::notices::Notice| {
        let path = notice.path?;
        let bucket = bucket.to_owned();
        Some(SavedRow { bucket, path, action: RowAction::Upload, bytes: notice.bytes, at_ms: notice.at_ms })
    };
    saved.filter_map(row).collect()
}
