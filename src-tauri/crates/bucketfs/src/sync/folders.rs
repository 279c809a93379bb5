//! Moving what the Hub has below a renamed folder: copies by hash first, deletions after, so that a move
//! broken off leaves two names and never none. Doing it again is harmless.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use hub::{BatchOp, FileEntry, HubError, TreeEntry};

use super::queue::{Key, judge};
use super::save::stands_at;
use super::syncer::note_offline;
use crate::bucket_fs::BucketFs;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::names::{Node, query};

const PART: usize = 500;

/// Brings one folder's keys to where its path is now.
pub async fn move_folder(fs: &Arc<BucketFs>, folder: &Node) -> Result<()> {
    let places =
        fs.names.ask(|db| Ok((query::actual_place(db, folder)?, query::desired_place(db, folder)?)))?;
    let (Some(from), Some(to)) = places else { return Ok(()) };
    if from != to {
        match carry(fs, &from, &to).await {
            Ok(()) => {}
            Err(Trouble::Hub(error)) => {
                note(fs, folder, &error);
                return Ok(());
            }
            Err(Trouble::Local(error)) => return Err(error),
        }
    }
    let id = folder.id;
    fs.listings.settle([from.as_str(), to.as_str()].into_iter());
    fs.names
        .change(move |tx| {
            let Some(mut node) = tx.node(id)? else { return Ok(()) };
            tx.set_place(&mut node, &to)?;
            tx.put(&node)
        })
        .await?;
    // What others changed below the old keys meanwhile has come along.
    fs.listings.bucket_changed(fs);
    fs.queue.succeeded(&Key::Folder(id));
    fs.queue.saved(fs.path_of(folder), "move", 0);
    Ok(())
}

enum Trouble {
    Hub(HubError),
    Local(Error),
}

impl From<HubError> for Trouble {
    fn from(error: HubError) -> Self {
        Trouble::Hub(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Local(error)
    }
}

async fn carry(fs: &Arc<BucketFs>, from: &str, to: &str) -> std::result::Result<(), Trouble> {
    let mut files = Vec::new();
    let mut pages = fs.bucket.list_all(from);
    while let Some(page) = pages.next().await {
        for entry in page? {
            if let TreeEntry::File(file) = entry
                && !fs.names.ask(|db| skipped(db, &file.path))?
            {
                files.push(file);
            }
        }
    }
    for part in files.chunks(PART) {
        copy_part(fs, part, from, to).await?;
    }
    for part in files.chunks(PART) {
        delete_part(fs, part).await?;
    }
    Ok(())
}

/// Keys below the folder that have a fate of their own: removed here, moved elsewhere since, or of a new file
/// in a new folder of the old name.
fn skipped(db: &rusqlite::Connection, path: &str) -> Result<bool> {
    Ok(query::delete_at(db, path)?.is_some() || query::moved_away_from(db, path)? || stands_at(db, path)?)
}

async fn copy_part(
    fs: &Arc<BucketFs>,
    part: &[FileEntry],
    from: &str,
    to: &str,
) -> std::result::Result<(), Trouble> {
    let goals: Vec<String> = part.iter().map(|file| moved(&file.path, from, to)).collect();
    let there: HashMap<String, FileEntry> =
        fs.bucket.paths_info(&goals).await?.into_iter().map(|file| (file.path.clone(), file)).collect();
    let mut ops = Vec::new();
    for (file, goal) in part.iter().zip(goals) {
        let path = match there.get(&goal) {
            Some(found) if found.xet_hash == file.xet_hash => continue,
            Some(_) => beside(fs, &goal),
            None => goal,
        };
        ops.push(BatchOp::Copy {
            path,
            xet_hash: file.xet_hash.clone(),
            mtime_ms: file.mtime_ms,
            source: fs.bucket.name().clone(),
        });
    }
    run(fs, ops).await
}

/// Somebody put another file where ours is going: both are kept.
fn beside(fs: &BucketFs, goal: &str) -> String {
    let kept_as = format!("{goal} (conflict {})", chrono::Utc::now().format("%Y-%m-%d %H.%M.%S"));
    fs.tell(Event::Conflict { path: goal.to_owned(), kept_as: kept_as.clone() });
    kept_as
}

/// Deletes what has been copied, as long as it is still what was copied: somebody's newer version stays.
async fn delete_part(fs: &Arc<BucketFs>, part: &[FileEntry]) -> std::result::Result<(), Trouble> {
    let mut paths = Vec::new();
    for file in part {
        if !fs.names.ask(|db| stands_at(db, &file.path))? {
            paths.push(file.path.clone());
        }
    }
    if paths.is_empty() {
        return Ok(());
    }
    super::deletes::begin(fs, &paths).await?;
    let _under_way = fs.listings.begin(paths.clone());
    let now: HashMap<String, String> =
        fs.bucket.paths_info(&paths).await?.into_iter().map(|file| (file.path, file.xet_hash)).collect();
    let copied: Vec<(String, String)> = part
        .iter()
        .filter(|file| now.get(&file.path) == Some(&file.xet_hash))
        .map(|file| (file.path.clone(), file.xet_hash.clone()))
        .collect();
    let ops = copied.iter().map(|(path, _)| BatchOp::Delete { path: path.clone() }).collect();
    let paths: Vec<String> = copied.iter().map(|(path, _)| path.clone()).collect();
    fs.names
        .change(move |tx| {
            copied.iter().try_for_each(|(path, hash)| tx.commit_checked(path, None, Some(hash)))
        })
        .await?;
    run(fs, ops).await?;
    fs.names.change(move |tx| paths.iter().try_for_each(|path| tx.commit_done(path, None))).await?;
    Ok(())
}

async fn run(fs: &Arc<BucketFs>, ops: Vec<BatchOp>) -> std::result::Result<(), Trouble> {
    if ops.is_empty() {
        return Ok(());
    }
    let outcome = fs.bucket.batch(&ops).await?;
    fs.listings.settle(ops.iter().map(BatchOp::path));
    match outcome.failed.first() {
        None => Ok(()),
        Some(failure) => Err(Trouble::Hub(failure.call.clone().unwrap_or_else(|| {
            let what = format!("The Hub refused {}: {}", failure.path, failure.error);
            HubError::new(hub::ErrorClass::Busy { retry_after: None }, what)
        }))),
    }
}

fn moved(path: &str, from: &str, to: &str) -> String {
    let rest = path.strip_prefix(from).unwrap_or(path).trim_start_matches('/');
    query::join(to, rest)
}

fn note(fs: &BucketFs, folder: &Node, error: &HubError) {
    if error.class == hub::ErrorClass::Offline {
        note_offline(fs, error);
        return;
    }
    let judgement = judge(error);
    let may_retry = judgement.may_retry;
    let plain = Error::from(error.clone());
    let trouble = fs.queue.failed(&Key::Folder(folder.id), &plain, judgement);
    if !may_retry || trouble.attempts == 3 {
        let path = fs.path_of(folder);
        fs.tell(Event::UploadFailed { path, cause: plain.what, advice: plain.advice, will_retry: may_retry });
    }
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn keys_keep_what_is_below_the_folder() {
        assert_eq!(moved("a/x/y/z.bin", "a/x", "b"), "b/y/z.bin");
        assert_eq!(moved("x/z", "x", "p/q"), "p/q/z");
    }
}
