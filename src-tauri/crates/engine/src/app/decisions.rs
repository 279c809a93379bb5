//! Conflicts, held deletes and undo of one bucket, in the app's words.

use bucketfs::BucketFs;

/// What of a bucket waits for somebody's word.
pub(super) fn of(fs: &BucketFs) -> (Vec<bucketfs::Conflict>, Option<bucketfs::HeldDeletes>) {
    let conflicts = fs.conflicts().unwrap_or_else(|error| {
        tracing::error!(%error, "the conflicts could not be read");
        Vec::new()
    });
    (conflicts, fs.held_deletes())
}
