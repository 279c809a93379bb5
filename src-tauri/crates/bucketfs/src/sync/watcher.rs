//! Following changes that others make: the bucket's `updatedAt` is asked for now and then; when it moved,
//! the folders somebody looks at are listed again. (The live feed takes this place in issue B.)

use std::sync::Arc;

use super::syncer::{note_offline, note_online};
use crate::bucket_fs::BucketFs;

/// Runs until the bucket is shut down.
pub async fn run(fs: Arc<BucketFs>) {
    let mut known: Option<String> = None;
    loop {
        tokio::select! {
            () = fs.stop.cancelled() => return,
            () = look(&fs, &mut known) => {}
        }
        tokio::select! {
            () = fs.stop.cancelled() => return,
            () = tokio::time::sleep(fs.config.poll) => {}
        }
    }
}

async fn look(fs: &Arc<BucketFs>, known: &mut Option<String>) {
    match fs.bucket.info().await {
        Ok(info) => {
            note_online(fs);
            // Without the field every look may be a change.
            if info.updated_at.is_none() || info.updated_at != *known {
                let first = known.is_none();
                *known = info.updated_at;
                if !first {
                    fs.listings.bucket_changed(fs);
                }
            }
        }
        Err(error) if error.class == hub::ErrorClass::Offline => note_offline(fs, &error),
        Err(error) => tracing::warn!(%error, "the bucket was not asked for changes"),
    }
}
