//! Telling the Hub what was removed here. A key is deleted only while it holds what was removed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hub::{BatchOp, HubError};

use super::queue::{Key, judge};
use super::syncer::note_offline;
use super::watcher::{FEED_POINT, nearest_folder};
use crate::attr::Kind;
use crate::bucket_fs::BucketFs;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::names::query::{self, PendingDelete};
use crate::names::{Tx, commits};

const PART: usize = 500;

/// Deletes these keys, less those where something else stands by now.
pub async fn delete(fs: &Arc<BucketFs>, deletes: Vec<PendingDelete>) -> Result<()> {
    for part in deletes.chunks(PART) {
        delete_part(fs, part).await?;
    }
    Ok(())
}

/// Whether a file that was moved away has its content at this key still, and is to be brought to another.
fn moved_on(db: &rusqlite::Connection, path: &str) -> Result<bool> {
    for node in query::placed_at(db, path)? {
        if query::desired_place(db, &node)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn delete_part(fs: &Arc<BucketFs>, part: &[PendingDelete]) -> Result<()> {
    // A file that is going to be put at the key overwrites it: no moment without it (editors' safe-save).
    let (mut wanted, mut taken) = (Vec::new(), Vec::new());
    for delete in part {
        let place = fs.names.ask(|db| match query::resolve(db, &delete.path, Kind::File)? {
            Some(node) => Ok(Some(query::actual_place(db, &node)?)),
            // A file was moved away from there and has its content at this key until its copy stands elsewhere: its
            // own move deletes the key.
            _ if moved_on(db, &delete.path)? => Ok(Some(None)),
            _ => Ok(None),
        })?;
        match place {
            None => wanted.push(delete),
            // It has been put there already: the key is another file's now.
            Some(Some(actual)) if actual == delete.path => taken.push(delete.path.clone()),
            Some(_) => {}
        }
    }
    if !taken.is_empty() {
        forget(fs, taken).await?;
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let paths: Vec<String> = wanted.iter().map(|delete| delete.path.clone()).collect();
    begin(fs, &paths).await?;
    let _under_way = fs.listings.begin(paths.clone());
    let there: HashMap<String, String> = match fs.bucket.paths_info(&paths).await {
        Ok(found) => found.into_iter().map(|file| (file.path, file.xet_hash)).collect(),
        Err(error) => return note(fs, &wanted, &error),
    };
    let (mut send, mut settled) = (Vec::new(), Vec::new());
    for delete in &wanted {
        // What was removed here is not what is there now, nor what we may have put there: somebody's newer file
        // stays.
        let ours = match there.get(&delete.path) {
            Some(hash) => {
                delete.hash.as_ref().is_none_or(|removed| removed == hash)
                    || fs.names.ask(|db| commits::own_at(db, &delete.path))?.contains(hash)
            }
            None => false,
        };
        if ours { send.push(*delete) } else { settled.push(*delete) }
    }
    let seen: Vec<(String, Option<String>)> =
        send.iter().map(|delete| (delete.path.clone(), there.get(&delete.path).cloned())).collect();
    forget(fs, settled.iter().map(|delete| delete.path.clone()).collect()).await?;
    for delete in settled.iter().filter(|delete| there.contains_key(&delete.path)) {
        // Somebody's newer file: it was kept out of listings as long as ours was to go.
        let folder = fs.names.ask(|db| nearest_folder(db, &delete.path))?;
        fs.listings.folder_changed(fs, folder);
    }
    if send.is_empty() {
        return Ok(());
    }
    fs.names
        .change(move |tx| {
            seen.iter().try_for_each(|(path, hash)| tx.commit_checked(path, None, hash.as_deref()))
        })
        .await?;
    let ops: Vec<BatchOp> = send.iter().map(|delete| BatchOp::Delete { path: delete.path.clone() }).collect();
    match fs.bucket.batch(&ops).await {
        Ok(outcome) => {
            let refused: Vec<&str> = outcome.failed.iter().map(|failure| failure.path.as_str()).collect();
            let (failed, done): (Vec<&PendingDelete>, Vec<&PendingDelete>) =
                send.iter().copied().partition(|delete| refused.contains(&delete.path.as_str()));
            fs.listings.settle(done.iter().map(|delete| delete.path.as_str()));
            finish(fs, done.iter().map(|delete| delete.path.clone()).collect()).await?;
            list_again(fs, &done)?;
            fs.listings.reveal_all(fs);
            for delete in &done {
                fs.queue.saved(fs.path_of_key(&delete.path), "delete", 0);
            }
            match outcome.failed.first() {
                Some(failure) => {
                    let error = failure.call.clone().unwrap_or_else(|| {
                        HubError::new(
                            hub::ErrorClass::Rejected,
                            format!("The Hub refused: {}", failure.error),
                        )
                    });
                    note(fs, &failed, &error)
                }
                None => Ok(()),
            }
        }
        Err(error) => note(fs, &send, &error),
    }
}

/// Folders removed here were kept out of listings while the Hub still implied them; what others have put
/// there may show now.
fn list_again(fs: &Arc<BucketFs>, done: &[&PendingDelete]) -> Result<()> {
    let mut folders = HashSet::new();
    for delete in done {
        let Some((folder, _)) = delete.path.rsplit_once('/') else { continue };
        fs.names.ask(|db| {
            if query::resolve(db, folder, Kind::Directory)?.is_none() {
                folders.insert(nearest_folder(db, folder)?);
            }
            Ok(())
        })?;
    }
    for id in folders {
        fs.listings.folder_changed(fs, id);
    }
    Ok(())
}

/// Noted before the look: what the feed tells from here on may be somebody who slips in between.
pub async fn begin(fs: &Arc<BucketFs>, paths: &[String]) -> Result<()> {
    super::watcher::know_where_the_feed_stands(fs).await;
    let (paths, feed) = (paths.to_vec(), fs.feed_point());
    fs.names
        .change(move |tx| {
            if let Some(feed) = feed {
                tx.keep_setting(FEED_POINT, &feed)?;
            }
            paths.iter().try_for_each(|path| tx.commit_begins(path, None))
        })
        .await
}

/// The Hub has deleted them. In one step: a file that is taken back in between must find the one or the other.
async fn finish(fs: &Arc<BucketFs>, paths: Vec<String>) -> Result<()> {
    forget_and(fs, paths, |tx, path| tx.commit_done(path, None)).await
}

async fn forget(fs: &Arc<BucketFs>, paths: Vec<String>) -> Result<()> {
    forget_and(fs, paths, |_, _| Ok(())).await
}

async fn forget_and(
    fs: &Arc<BucketFs>,
    paths: Vec<String>,
    note: impl Fn(&mut Tx<'_>, &str) -> Result<()> + Send + 'static,
) -> Result<()> {
    for path in &paths {
        fs.queue.succeeded(&Key::Delete(path.clone()));
    }
    fs.names
        .change(move |tx| {
            paths.iter().try_for_each(|path| {
                note(tx, path)?;
                tx.forget_delete(path)
            })
        })
        .await
}

fn note(fs: &BucketFs, deletes: &[&PendingDelete], error: &HubError) -> Result<()> {
    if error.class == hub::ErrorClass::Offline {
        note_offline(fs, error);
        return Ok(());
    }
    let judgement = judge(error);
    let may_retry = judgement.may_retry;
    let plain = Error::from(error.clone());
    for delete in deletes {
        let trouble = fs.queue.failed(&Key::Delete(delete.path.clone()), &plain, judgement);
        if !may_retry || trouble.attempts == 3 {
            let (path, cause, advice) = (delete.path.clone(), plain.what.clone(), plain.advice.clone());
            fs.tell(Event::UploadFailed { path, cause, advice, will_retry: may_retry });
        }
    }
    Ok(())
}
