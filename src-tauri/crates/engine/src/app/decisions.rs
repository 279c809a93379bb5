//! Conflicts, held deletes, undo, limits and what was saved, of one bucket, in the app's words.

use std::sync::Arc;

use bucketfs::{BucketFs, RemovedHow, SyncLimits};

use super::api::buckets::{Conflict, DeletesAnswer, HeldDeletes, Removed, Resolution, Version};
use super::api::error::AppResult;
use super::api::queue::{RowAction, SavedRow};
use super::api::settings::Settings;

/// What of a bucket waits for somebody's word.
pub(super) fn of(bucket: &str, fs: &BucketFs) -> (Vec<Conflict>, Option<HeldDeletes>) {
    let conflicts = fs.conflicts().unwrap_or_else(|error| {
        tracing::error!(bucket, %error, "the conflicts could not be read");
        Vec::new()
    });
    let held = fs.held_deletes().map(|held| HeldDeletes {
        bucket: bucket.to_owned(),
        count: held.count,
        of: held.of,
        since_ms: held.since_ms,
        paths: held.paths,
    });
    (conflicts.into_iter().map(|one| conflict(bucket, one)).collect(), held)
}

fn conflict(bucket: &str, one: bucketfs::Conflict) -> Conflict {
    let version = |one: bucketfs::Version| Version { size: one.size, mtime_ms: one.mtime_ms };
    Conflict {
        bucket: bucket.to_owned(),
        id: one.id,
        path: one.path,
        kept_as: one.kept_as,
        at_ms: one.at_ms,
        mine: one.mine.map(version),
        theirs: one.theirs.map(version),
    }
}

pub(super) async fn resolve(fs: &Arc<BucketFs>, id: u64, how: Resolution) -> AppResult<()> {
    let how = match how {
        Resolution::KeepMine => bucketfs::Resolution::KeepMine,
        Resolution::KeepTheirs => bucketfs::Resolution::KeepTheirs,
        Resolution::KeepBoth => bucketfs::Resolution::KeepBoth,
    };
    Ok(fs.resolve(id, how).await?)
}

pub(super) async fn answer(fs: &Arc<BucketFs>, answer: DeletesAnswer) -> AppResult<u64> {
    let answer = match answer {
        DeletesAnswer::Send => bucketfs::DeletesAnswer::Send,
        DeletesAnswer::Restore => bucketfs::DeletesAnswer::Restore,
    };
    Ok(fs.answer_deletes(answer).await?)
}

pub(super) async fn discard(fs: &Arc<BucketFs>, path: &str) -> AppResult<()> {
    Ok(fs.discard(path).await?)
}

pub(super) fn removed(bucket: &str, fs: &BucketFs) -> AppResult<Vec<Removed>> {
    let shown = |one: bucketfs::Removed| Removed {
        bucket: bucket.to_owned(),
        path: one.path,
        size: one.size,
        mtime_ms: one.mtime_ms,
        at_ms: one.at_ms,
        deleted: matches!(one.how, RemovedHow::Deleted),
    };
    Ok(fs.recent_deletes()?.into_iter().map(shown).collect())
}

pub(super) async fn restore(fs: &Arc<BucketFs>, path: &str, as_name: Option<&str>) -> AppResult<String> {
    Ok(fs.restore(path, as_name).await?)
}

/// What came to the Hub lately.
pub(super) fn saved(bucket: &str, fs: &BucketFs) -> Vec<SavedRow> {
    let row = |one: bucketfs::Saved| SavedRow {
        bucket: bucket.to_owned(),
        path: one.path,
        action: action(&one.action),
        bytes: one.bytes,
        at_ms: one.at_ms,
    };
    fs.recently_saved().into_iter().map(row).collect()
}

pub(super) fn action(word: &str) -> RowAction {
    match word {
        "upload" => RowAction::Upload,
        "delete" => RowAction::Delete,
        "move" => RowAction::Move,
        _ => RowAction::None,
    }
}

/// Uploads take what the settings allow; unchanged limits are left alone.
pub(super) fn set_limits(fs: &BucketFs, settings: &Settings, share: u64) {
    let parallel = usize::from(settings.parallel_uploads);
    // The limit is for all buckets together.
    let upload_bytes_per_s = settings.upload_bytes_per_s.map(|all| (all / share.max(1)).max(1));
    let limits = SyncLimits { parallel, upload_bytes_per_s };
    if fs.limits() != limits {
        fs.set_limits(limits);
    }
}
