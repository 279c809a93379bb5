//! Moving what the Hub has below a renamed folder: copies by hash first, deletions after, so that a move
//! broken off leaves two names and never none. Doing it again is harmless.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use hub::{BatchOp, FileEntry, HubError, TreeEntry};

use super::queue::{Key, judge};
use super::save::{ours_at, stands_at};
use super::syncer::note_offline;
use super::watcher::FEED_POINT;
use super::work::FolderMove;
use crate::attr::{FileId, Kind};
use crate::bucket_fs::BucketFs;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::names::{Node, commits, query};

const PART: usize = 500;

/// Brings one folder's keys to where its path is now; with `detour` to a place of their own beside it, because
/// there stands another folder that waits for this one.
pub async fn move_folder(fs: &Arc<BucketFs>, one: &FolderMove, detour: bool) -> Result<()> {
    let (folder, from, id) = (&one.folder, &one.from, one.folder.id);
    let to = if detour { format!("{} (moving {id})", one.to) } else { one.to.clone() };
    let goals = match carry(fs, from, &to).await {
        Ok(goals) => goals,
        Err(Trouble::Hub(error)) => {
            note(fs, folder, &error);
            return Ok(());
        }
        Err(Trouble::Local(error)) => return Err(error),
    };
    fs.listings.settle([from.as_str(), to.as_str()].into_iter());
    fs.names
        .change(move |tx| {
            goals.iter().try_for_each(|goal| tx.forget_delete(goal))?;
            let Some(mut node) = tx.node(id)? else { return Ok(()) };
            tx.set_place(&mut node, &to)?;
            tx.put(&node)
        })
        .await?;
    // What others changed below the old keys meanwhile has come along.
    fs.listings.bucket_changed(fs);
    fs.queue.succeeded(&Key::Folder(id));
    if !detour {
        fs.queue.saved(fs.path_of(folder), "move", 0);
    }
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

/// Answers the keys that the files have now.
async fn carry(fs: &Arc<BucketFs>, from: &str, to: &str) -> std::result::Result<Vec<String>, Trouble> {
    let mut files = Vec::new();
    let mut pages = fs.bucket.list_all(from);
    while let Some(page) = pages.next().await {
        for entry in page? {
            if let TreeEntry::File(file) = entry
                && !fs.names.ask(|db| skipped(db, &file))?
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
    Ok(files.iter().map(|file| moved(&file.path, from, to)).collect())
}

/// Keys below the folder that have a fate of their own: removed here, moved elsewhere since, or of a new file
/// in a new folder of the old name.
fn skipped(db: &rusqlite::Connection, file: &FileEntry) -> Result<bool> {
    let path = file.path.as_str();
    if query::delete_at(db, path)?.is_some() || query::moved_away_from(db, path)? || stands_at(db, path)? {
        return Ok(true);
    }
    let sent = commits::unanswered_from(db, path)?;
    let newer = sent.iter().any(|(key, hash)| key == path && *hash == file.xet_hash);
    Ok(newer && query::resolve(db, path)?.is_some_and(|node| node.kind == Kind::File))
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
    let (mut ops, mut notes) = (Vec::new(), Vec::new());
    for (file, goal) in part.iter().zip(goals) {
        let found = there.get(&goal);
        if found.is_some_and(|found| found.xet_hash == file.xet_hash) {
            continue;
        }
        // As when a file is saved: what is ours there, or empty, makes way.
        let theirs = match found.filter(|found| found.size > 0) {
            Some(found) => !fs.names.ask(|db| ours_at(db, &goal, NOBODY))?.contains(&found.xet_hash),
            None => false,
        };
        for node in fs.names.ask(|db| query::placed_at(db, &goal))? {
            super::pin::begin(fs, node.id); // what an edit of it stands on has a name no more
        }
        let path = if theirs { beside(fs, &goal) } else { goal };
        let seen = found.filter(|_| !theirs).map(|found| found.xet_hash.clone());
        let ours = !theirs && fs.names.ask(|db| is_ours(db, file))?;
        notes.push(Noted { path: path.clone(), hash: file.xet_hash.clone(), seen, ours });
        ops.push(BatchOp::Copy {
            path,
            xet_hash: file.xet_hash.clone(),
            mtime_ms: file.mtime_ms,
            source: fs.bucket.name().clone(),
        });
    }
    let noted = notes.clone();
    let feed = fs.feed_point();
    fs.names
        .change(move |tx| {
            if let Some(feed) = feed {
                tx.keep_setting(FEED_POINT, &feed)?;
            }
            noted.iter().try_for_each(|one| {
                tx.displace(&one.path, NOBODY)?;
                if !one.ours {
                    return Ok(());
                }
                tx.commit_begins(&one.path, Some(&one.hash))?;
                tx.commit_checked(&one.path, Some(&one.hash), one.seen.as_deref())?;
                // Should the folder go elsewhere before it is all here, this has to go again.
                match query::delete_at(tx.db(), &one.path)? {
                    Some(_) => Ok(()),
                    None => tx.delete_at_once(&one.path, Some(&one.hash)),
                }
            })
        })
        .await?;
    let _under_way = fs.listings.begin(ops.iter().map(|op| op.path().to_owned()).collect());
    run(fs, ops).await?;
    fs.names
        .change(move |tx| notes.iter().try_for_each(|one| tx.commit_done(&one.path, Some(&one.hash))))
        .await
        .map_err(Trouble::from)
}

fn is_ours(db: &rusqlite::Connection, file: &FileEntry) -> Result<bool> {
    let here = query::placed_at(db, &file.path)?;
    let known = here.iter().filter_map(|node| node.base.as_ref()).any(|base| base.hash == file.xet_hash);
    Ok(known || commits::own_at(db, &file.path)?.contains(&file.xet_hash))
}

/// A key that a copy is going to.
#[derive(Clone)]
struct Noted {
    path: String,
    hash: String,
    /// What is there, and makes way.
    seen: Option<String>,
    /// The content is what the file here has. One that others have put there meanwhile comes along and stays theirs:
    /// an edit here must not take it for its own base.
    ours: bool,
}

/// Stands for a file that has no number.
const NOBODY: FileId = FileId(0);

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
