//! Following changes that others make, by the bucket's live feed (hub-api.md 2.8; `hub` looks at the
//! bucket's revision where there is no feed).
//!
//! The feed only says *where* to look: a folder it names is listed again, and the listing is what counts.
//! Our own commits come back through it and are recognised by key and content.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use hub::{ChangeKind, HubError, News, RemoteChange, Resume};

use super::syncer::{note_offline, note_online};
use crate::attr::{FileId, Kind, ROOT};
use crate::bucket_fs::BucketFs;
use crate::error::Result;
use crate::names::{Place, query};

/// Runs until the bucket is shut down.
pub async fn run(fs: Arc<BucketFs>) {
    let Some(resume) = beginning(&fs).await else { return };
    let mut news = fs.bucket.watch(resume);
    loop {
        tokio::select! {
            () = fs.stop.cancelled() => return,
            Some(item) = news.next() => hear(&fs, item),
            // The feed waits long between its tries; a person at a laptop that woke up does not.
            () = tokio::time::sleep(fs.config.poll) => {
                if fs.queue.offline_cause().is_some() || fs.queue.is_signed_out() {
                    tokio::select! {
                        () = fs.stop.cancelled() => return,
                        () = probe(&fs) => {}
                    }
                }
            }
        }
    }
}

/// The bucket's revision before anybody listed anything in this life; `None` when the bucket is shut down.
async fn beginning(fs: &Arc<BucketFs>) -> Option<Resume> {
    loop {
        tokio::select! {
            () = fs.stop.cancelled() => return None,
            info = fs.bucket.info() => match info {
                Ok(info) => {
                    note_online(fs);
                    return Some(info.updated_at.map_or(Resume::Live, Resume::Since));
                }
                Err(error) => not_heard(fs, &error),
            }
        }
        tokio::select! {
            () = fs.stop.cancelled() => return None,
            () = tokio::time::sleep(fs.config.poll) => {}
        }
    }
}

async fn probe(fs: &Arc<BucketFs>) {
    match fs.bucket.info().await {
        Ok(_) => {
            if fs.queue.offline_cause().is_some() {
                note_online(fs);
                fs.listings.bucket_changed(fs); // the feed may have missed something meanwhile
            }
            if fs.queue.is_signed_out() && matches!(fs.bucket.can_write().await, Ok(true)) {
                fs.queue.signed_in();
            }
        }
        Err(error) => not_heard(fs, &error),
    }
}

fn hear(fs: &Arc<BucketFs>, item: std::result::Result<News, HubError>) {
    match item {
        Ok(News::Changes { changes, .. }) => {
            note_online(fs);
            match touched_folders(fs, &changes) {
                Ok(folders) => folders.into_iter().for_each(|id| fs.listings.folder_changed(fs, id)),
                Err(error) => {
                    tracing::warn!(%error, "news of the feed could not be placed; everything is listed again");
                    fs.listings.bucket_changed(fs);
                }
            }
        }
        Ok(News::CaughtUp { .. }) => note_online(fs),
        Ok(News::Relist { why, .. }) => {
            tracing::info!(why, "the bucket is listed again");
            note_online(fs);
            fs.listings.bucket_changed(fs);
        }
        Err(error) => not_heard(fs, &error),
    }
}

fn not_heard(fs: &BucketFs, error: &HubError) {
    if error.class == hub::ErrorClass::Offline {
        note_offline(fs, error);
    } else {
        tracing::warn!(%error, "the bucket cannot be watched for changes now");
    }
}

/// Folders whose listing the news may have changed. What the tree has just so already is our own doing.
fn touched_folders(fs: &BucketFs, changes: &[RemoteChange]) -> Result<HashSet<FileId>> {
    fs.names.ask(|db| {
        let mut folders = HashSet::new();
        for change in changes {
            let known = query::resolve(db, &change.path)?;
            let as_we_have_it = match (change.kind, &known) {
                (ChangeKind::Delete, node) => node.as_ref().is_none_or(|node| node.place == Place::Nowhere),
                (_, Some(node)) => {
                    let base = node.base.as_ref().map(|base| base.hash.as_str());
                    base.is_some() && (change.xet_hash.is_none() || base == change.xet_hash.as_deref())
                }
                (_, None) => false,
            };
            if !as_we_have_it {
                folders.insert(nearest_folder(db, &change.path)?);
            }
        }
        Ok(folders)
    })
}

/// The folder the key lies in, or the nearest one above it that the tree knows.
pub fn nearest_folder(db: &rusqlite::Connection, path: &str) -> Result<FileId> {
    let mut path = path;
    while let Some((folder, _)) = path.rsplit_once('/') {
        if let Some(node) = query::resolve(db, folder)?
            && node.kind == Kind::Directory
        {
            return Ok(node.id);
        }
        path = folder;
    }
    Ok(ROOT)
}
