//! Moving what the Hub has below a renamed folder: copies by hash first, then the rows of the files and a deletion
//! for each old key in one transaction, so that a move broken off at any point leaves two names and never none, and
//! each file knows where it is: the folder may be renamed again before it is all moved.

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
use crate::names::{Node, Place, Tx, commits, query};

const PART: usize = 500;

/// Brings one folder's keys to where its path is now; with `detour` to a place of their own beside it, because
/// there stands another folder that waits for this one.
pub async fn move_folder(fs: &Arc<BucketFs>, one: &FolderMove, detour: bool) -> Result<()> {
    let (folder, from, id) = (&one.folder, &one.from, one.folder.id);
    let to = if detour { format!("{} (moving {id})", one.to) } else { one.to.clone() };
    match carry(fs, from, &to).await {
        Ok(()) => {}
        Err(Trouble::Hub(error)) => {
            note(fs, folder, &error);
            return Ok(());
        }
        Err(Trouble::Local(error)) => return Err(error),
    }
    let place = to.clone();
    fs.names
        .change(move |tx| {
            let Some(mut node) = tx.node(id)? else { return Ok(()) };
            tx.set_place(&mut node, &place)?;
            tx.put(&node)
        })
        .await?;
    let mut last = Some(FileId(0));
    while let Some(after) = last {
        let place = to.clone();
        last = fs.names.change(move |tx| with_their_folder(tx, &place, after)).await?;
    }
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

async fn carry(fs: &Arc<BucketFs>, from: &str, to: &str) -> std::result::Result<(), Trouble> {
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
        let copied = copy_part(fs, part, from, to).await?;
        fs.names.change(move |tx| copied.iter().try_for_each(|one| one.apply(tx))).await?;
    }
    Ok(())
}

/// Files that have come to their keys with their folder: their place is where the folder's is. Some of them, with
/// numbers above `after`; answers the last one's.
fn with_their_folder(tx: &mut Tx<'_>, folder: &str, after: FileId) -> Result<Option<FileId>> {
    let part = query::displaced_below(tx.db(), folder, after, PART)?;
    for node in &part {
        let Place::At(path) = &node.place else { continue };
        let mut node = node.clone();
        tx.set_place(&mut node, path)?;
        if node.place == Place::Inherited {
            tx.put(&node)?;
        }
    }
    Ok(part.last().map(|node| node.id))
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
    Ok(newer && query::resolve(db, path, Kind::File)?.is_some())
}

async fn copy_part(
    fs: &Arc<BucketFs>,
    part: &[FileEntry],
    from: &str,
    to: &str,
) -> std::result::Result<Vec<Copied>, Trouble> {
    let goals: Vec<String> = part.iter().map(|file| moved(&file.path, from, to)).collect();
    if !super::save::make_way(fs, &goals).await? {
        let what = "Files that were moved away from where this folder goes are there still.";
        return Err(HubError::new(hub::ErrorClass::Busy { retry_after: None }, what).into());
    }
    let there: HashMap<String, FileEntry> =
        fs.bucket.paths_info(&goals).await?.into_iter().map(|file| (file.path.clone(), file)).collect();
    let (mut ops, mut all) = (Vec::new(), Vec::new());
    for (file, goal) in part.iter().zip(goals) {
        let found = there.get(&goal);
        let from = file.path.clone();
        let hash = file.xet_hash.clone();
        let ours = fs.names.ask(|db| is_ours(db, file))?;
        if found.is_some_and(|found| found.xet_hash == hash) {
            all.push(Copied { from, path: goal, hash, seen: None, ours, beside: false, is_there: true });
            continue;
        }
        // As when a file is saved: what is ours there, or empty, makes way.
        let theirs = match found.filter(|found| found.size > 0) {
            Some(found) => !fs.names.ask(|db| ours_at(db, &goal, NOBODY))?.contains(&found.xet_hash),
            None => false,
        };
        for node in fs.names.ask(|db| query::placed_at(db, &goal))? {
            super::base::keep(fs, node.id); // what an edit of it stands on has a name no more
        }
        let path = if theirs { beside(fs, &goal) } else { goal };
        let seen = found.filter(|_| !theirs).map(|found| found.xet_hash.clone());
        all.push(Copied { from, path: path.clone(), hash, seen, ours, beside: theirs, is_there: false });
        ops.push(BatchOp::Copy {
            path,
            xet_hash: file.xet_hash.clone(),
            mtime_ms: file.mtime_ms,
            source: fs.bucket.name().clone(),
        });
    }
    let noted: Vec<Copied> = all.iter().filter(|one| !one.is_there).cloned().collect();
    let feed = fs.feed_point();
    fs.names
        .change(move |tx| {
            if let Some(feed) = feed {
                tx.keep_setting(FEED_POINT, &feed)?;
            }
            noted.iter().try_for_each(|one| {
                tx.displace(&one.path, NOBODY)?;
                if !one.ours || one.beside {
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
    Ok(all)
}

/// A file of the folder, at its new key.
#[derive(Clone)]
struct Copied {
    from: String,
    path: String,
    hash: String,
    /// What was there, and made way.
    seen: Option<String>,
    /// The content is what the file here has. One that others have put there meanwhile comes along and stays theirs:
    /// an edit here must not take it for its own base.
    ours: bool,
    /// Somebody else's file has the new name, and this is one beside it.
    beside: bool,
    /// It was there already.
    is_there: bool,
}

impl Copied {
    /// The file is at its new key, and what is left at the old one is to go, unless somebody changes it.
    fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.commit_done(&self.path, Some(&self.hash))?;
        if !self.beside {
            tx.forget_delete(&self.path)?;
            for mut node in query::placed_at(tx.db(), &self.from)? {
                tx.set_place(&mut node, &self.path)?;
                tx.put(&node)?;
            }
        }
        match query::delete_at(tx.db(), &self.from)? {
            Some(_) => Ok(()),
            None => tx.delete_at_once(&self.from, Some(&self.hash)),
        }
    }
}

/// Stands for a file that has no number.
const NOBODY: FileId = FileId(0);

fn is_ours(db: &rusqlite::Connection, file: &FileEntry) -> Result<bool> {
    let here = query::placed_at(db, &file.path)?;
    let known = here.iter().filter_map(|node| node.base.as_ref()).any(|base| base.hash == file.xet_hash);
    Ok(known || commits::own_at(db, &file.path)?.contains(&file.xet_hash))
}

/// Somebody put another file where ours is going: both are kept.
fn beside(fs: &BucketFs, goal: &str) -> String {
    let kept_as = format!("{goal} (conflict {})", chrono::Utc::now().format("%Y-%m-%d %H.%M.%S"));
    fs.tell(Event::Conflict { path: goal.to_owned(), kept_as: kept_as.clone() });
    kept_as
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
