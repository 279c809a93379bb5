//! Following changes that others make, by the bucket's live feed (hub-api.md 2.8; `hub` looks at the
//! bucket's revision where there is no feed).
//!
//! The feed only says *where* to look: a folder it names is listed again, and the listing is what counts.
//! Our own commits come back through it and are recognised by key and content.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use hub::{ChangeKind, HubError, News, RemoteChange, Resume};

use super::slipped;
use super::syncer::{note_offline, note_online};
use crate::attr::{FileId, Kind, ROOT};
use crate::bucket_fs::BucketFs;
use crate::error::Result;
use crate::names::{Place, commits, kept, query};

/// Runs until the bucket is shut down. `began` is before the first listing of this life.
pub async fn run(fs: Arc<BucketFs>, began: DateTime<Utc>) {
    let Some(resume) = beginning(&fs, began).await else { return };
    let mut news = fs.bucket.watch(resume);
    loop {
        tokio::select! {
            () = fs.stop.cancelled() => return,
            Some(item) = news.next() => hear(&fs, item).await,
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

/// Where the feed is listened to from; `None` when the bucket is shut down. Of changes from `began` to there the feed
/// does not tell: what was listed meanwhile is listed anew.
///
/// While the feed may still have something to tell about changes of our own, it goes on where it stood when
/// they were sent (`slipped.rs`).
async fn beginning(fs: &Arc<BucketFs>, began: DateTime<Utc>) -> Option<Resume> {
    let stood_at = fs.names.ask(|db| match commits::any_unheard(db)? {
        true => kept::setting(db, FEED_POINT),
        false => Ok(None),
    });
    let stood_at = stood_at.ok().flatten().and_then(|text| resume_from(&text));
    loop {
        tokio::select! {
            () = fs.stop.cancelled() => return None,
            info = fs.bucket.info() => match info {
                Ok(info) => {
                    note_online(fs);
                    keep_commit(fs).await;
                    count_files(fs, &info);
                    if info.updated_at.as_deref().is_none_or(|at| is_since(at, began)) {
                        fs.listings.bucket_changed(fs);
                    }
                    let now = info.updated_at.map_or(Resume::Live, Resume::Since);
                    let mut feed = fs.feed.lock();
                    let resume = stood_at.or_else(|| feed.clone()).unwrap_or(now);
                    *feed = Some(resume.clone());
                    return Some(resume);
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

/// By the Hub's clock and this machine's: where they differ, what fell into the difference shows at the next change.
fn is_since(at: &str, began: DateTime<Utc>) -> bool {
    DateTime::parse_from_rfc3339(at).is_ok_and(|at| at >= began)
}

/// Whoever changes the Hub's names before the watcher has begun asks where the feed stands first: from there on it tells
/// of those who slip in. Without an answer the change goes on, as where there is no feed.
pub async fn know_where_the_feed_stands(fs: &Arc<BucketFs>) {
    if fs.feed.lock().is_some() {
        return;
    }
    if let Ok(info) = fs.bucket.info().await {
        let mut feed = fs.feed.lock();
        if feed.is_none() {
            *feed = Some(info.updated_at.map_or(Resume::Live, Resume::Since));
        }
    }
}

async fn probe(fs: &Arc<BucketFs>) {
    match fs.bucket.info().await {
        Ok(info) => {
            count_files(fs, &info);
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

async fn hear(fs: &Arc<BucketFs>, item: std::result::Result<News, HubError>) {
    keep_commit(fs).await;
    match item {
        Ok(News::Changes { changes, resume }) => {
            note_online(fs);
            if let Err(error) = slipped::hear(fs, &changes).await {
                tracing::error!(%error, "news of the feed could not be compared with what was sent");
            }
            *fs.feed.lock() = Some(resume);
            keep_what_lost_its_name(fs, &changes);
            match touched_folders(fs, &changes) {
                Ok(folders) => folders.into_iter().for_each(|id| fs.listings.folder_changed(fs, id)),
                Err(error) => {
                    tracing::warn!(%error, "news of the feed could not be placed; everything is listed again");
                    fs.listings.bucket_changed(fs);
                }
            }
        }
        Ok(News::CaughtUp { resume }) => {
            note_online(fs);
            *fs.feed.lock() = Some(resume);
        }
        Ok(News::Relist { why, resume }) => {
            *fs.feed.lock() = Some(resume);
            tracing::info!(why, "the bucket is listed again");
            note_online(fs);
            fs.listings.bucket_changed(fs);
        }
        Err(error) => not_heard(fs, &error),
    }
}

/// Edits here whose base was deleted or replaced there.
fn keep_what_lost_its_name(fs: &Arc<BucketFs>, changes: &[RemoteChange]) {
    for change in changes {
        let Ok(Some(node)) = fs.names.ask(|db| query::resolve_placed(db, &change.path, Kind::File)) else {
            continue;
        };
        let base = node.base.as_ref().map(|base| &base.hash);
        let ours = fs.names.ask(|db| commits::own_at(db, &change.path)).unwrap_or_default();
        if change.xet_hash.as_ref().is_some_and(|hash| ours.contains(hash)) {
            continue; // our own save, told before its answer: whoever saves it sees to that
        }
        if change.kind == ChangeKind::Delete
            || (change.xet_hash.is_some() && change.xet_hash.as_ref() != base)
        {
            super::base::keep(fs, node.id);
        }
    }
}

fn count_files(fs: &BucketFs, info: &hub::BucketInfo) {
    if fs.config.prefix.is_empty() {
        fs.files_on_hub.store(info.total_files, Ordering::Relaxed);
    }
}

/// Name of the feed's point in the database.
pub const FEED_POINT: &str = "feed";

/// Name of the setting that holds the commits of a repo that were shown, the latest first.
const COMMITS: &str = "commits shown";
/// As many are kept: rows of the tree may be older than the commit that is shown.
const COMMITS_KEPT: usize = 8;

/// Stores which commit of a repo is shown, when it is another than before.
async fn keep_commit(fs: &Arc<BucketFs>) {
    let Some(shown) = fs.bucket.commit() else { return };
    let mut commits = commits_shown(fs);
    if commits.first() == Some(&shown.sha) {
        return;
    }
    commits.retain(|sha| *sha != shown.sha);
    commits.insert(0, shown.sha);
    commits.truncate(COMMITS_KEPT);
    if let Err(error) = fs.names.change(move |tx| tx.keep_setting(COMMITS, &commits.join(" "))).await {
        tracing::warn!(%error, "the commit that is shown could not be kept");
    }
}

fn commits_shown(fs: &BucketFs) -> Vec<String> {
    let text = fs.names.ask(|db| kept::setting(db, COMMITS)).ok().flatten().unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Of a repo: what an earlier life listed can be read at the commits that it showed.
pub fn remember_commits(fs: &BucketFs) {
    commits_shown(fs).iter().for_each(|sha| fs.bucket.remember_commit(sha));
}

impl BucketFs {
    /// Where the feed stands, as it is stored.
    pub(crate) fn feed_point(&self) -> Option<String> {
        match self.feed.lock().as_ref()? {
            Resume::Cursor(cursor) => Some(format!("cursor {cursor}")),
            Resume::Since(instant) => Some(format!("since {instant}")),
            Resume::Live => None,
        }
    }
}

fn resume_from(text: &str) -> Option<Resume> {
    match text.split_once(' ')? {
        ("cursor", cursor) => Some(Resume::Cursor(cursor.to_owned())),
        ("since", instant) => Some(Resume::Since(instant.to_owned())),
        _ => None,
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
            let known = query::resolve_placed(db, &change.path, Kind::File)?;
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

/// The folder the key lies in, or the nearest one above it that the tree knows the Hub to have: the listing of
/// that one shows that the Hub has the next one too (a folder that was only here, and somebody put a file in it).
pub fn nearest_folder(db: &rusqlite::Connection, path: &str) -> Result<FileId> {
    let mut path = path;
    while let Some((folder, _)) = path.rsplit_once('/') {
        if let Some(node) = query::resolve_placed(db, folder, Kind::Directory)?
            && query::actual_place(db, &node)?.is_some()
        {
            return Ok(node.id);
        }
        path = folder;
    }
    Ok(ROOT)
}
