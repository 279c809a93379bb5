//! Giving stored content its name on the Hub: the one place that adds and copies keys, called by the syncer
//! alone, so that saves never race each other.
//!
//! Before a key is written its identity is compared with the one our edit started from. If somebody else
//! changed it, both are kept (design.md promise 9).

use std::collections::HashMap;
use std::sync::Arc;

use hub::{BatchFailure, BatchOp, FileEntry, HubError};

use super::queue::{Key, Progress, judge};
use super::saved_copies;
use super::upload::Stored;
use super::work::Means;
use crate::attr::{FileId, Kind, ROOT, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::names::{Content, Layer, Node, Place, Tx, query};
use crate::recovery::split_off;

/// One key to be written.
struct Entry {
    stored: Stored,
    path: String,
    /// Contents the Hub may hold there without it being somebody else's change.
    expected: Vec<String>,
}

enum Verdict {
    Write,
    /// The Hub has just this content there already.
    Done,
    Conflict(FileEntry),
}

/// Names every stored content. Failures are noted in the queue; conflicts are split.
pub async fn save(fs: &Arc<BucketFs>, stored: Vec<Stored>) {
    for part in chunks(stored, 500) {
        if let Err(error) = save_part(fs, part).await {
            tracing::error!(%error, "saved files could not be noted");
        }
    }
    if let Err(error) = saved_copies::trim(fs).await {
        tracing::warn!(%error, "saved copies could not be given up");
    }
}

fn chunks(mut all: Vec<Stored>, size: usize) -> Vec<Vec<Stored>> {
    let mut parts = Vec::new();
    while !all.is_empty() {
        let rest = all.split_off(all.len().min(size));
        parts.push(std::mem::replace(&mut all, rest));
    }
    parts
}

async fn save_part(fs: &Arc<BucketFs>, stored: Vec<Stored>) -> Result<()> {
    let entries = entries(fs, stored)?;
    if entries.is_empty() {
        return Ok(());
    }
    for entry in &entries {
        let total = entry.stored.content.size;
        fs.queue.progress(entry.stored.work.node.id, Some(Progress { done: total, total, committing: true }));
    }
    let outcome = save_entries(fs, &entries).await;
    for entry in &entries {
        fs.queue.progress(entry.stored.work.node.id, None);
    }
    outcome
}

async fn save_entries(fs: &Arc<BucketFs>, entries: &[Entry]) -> Result<()> {
    let paths: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    let there = match fs.bucket.paths_info(&paths).await {
        Ok(found) => found.into_iter().map(|file| (file.path.clone(), file)).collect::<HashMap<_, _>>(),
        Err(error) => {
            fail(fs, entries.iter(), &error);
            return Ok(());
        }
    };
    let (mut write, mut done) = (Vec::new(), Vec::new());
    for entry in entries {
        match verdict(entry, there.get(&entry.path)) {
            Verdict::Write => write.push(entry),
            Verdict::Done => done.push(entry),
            Verdict::Conflict(theirs) => keep_both(fs, entry, theirs).await?,
        }
    }
    let _under_way = fs.listings.begin(write.iter().map(|entry| entry.path.clone()).collect());
    if !write.is_empty() {
        let ops: Vec<BatchOp> = write.iter().map(|entry| operation(fs, entry)).collect();
        match fs.bucket.batch(&ops).await {
            Ok(outcome) => {
                let refused: HashMap<&str, &BatchFailure> =
                    outcome.failed.iter().map(|failure| (failure.path.as_str(), failure)).collect();
                for entry in write {
                    match refused.get(entry.path.as_str()) {
                        Some(failure) => fail_one(fs, entry, failure),
                        None => done.push(entry),
                    }
                }
            }
            Err(error) => fail(fs, write.into_iter(), &error),
        }
    }
    note_done(fs, &done).await
}

/// Where each content is going, by the names as they are now. Files removed meanwhile fall out.
fn entries(fs: &BucketFs, stored: Vec<Stored>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for mut stored in stored {
        let Some(node) = fs.names.node(stored.work.node.id)? else { continue };
        if node.gone || node.layer == Layer::Local {
            continue;
        }
        let (goal, actual) =
            fs.names.ask(|db| Ok((query::desired_place(db, &node)?, query::actual_place(db, &node)?)))?;
        let Some(path) = goal else { continue };
        let at_home = actual.as_deref() == Some(path.as_str());
        let replaced = match &stored.work.means {
            Means::Upload(staged) if at_home => staged.with_layout(|layout| layout.identity.clone()),
            _ if at_home => node.base.as_ref().map(|base| base.hash.clone()),
            _ => node.expect.clone(),
        };
        // Our own files that were removed or moved away from this key, of which the Hub has not heard yet.
        let mut expected = fs.names.ask(|db| query::left_behind_at(db, &path))?;
        expected.extend(replaced);
        stored.work.node = (*node).clone();
        entries.push(Entry { stored, path, expected });
    }
    Ok(entries)
}

fn verdict(entry: &Entry, there: Option<&FileEntry>) -> Verdict {
    match there {
        Some(found) if found.xet_hash == entry.stored.content.hash => Verdict::Done,
        // An empty file holds no byte of anybody's: replacing it is no conflict. (Ours may have been saved empty
        // in the moment before its first WRITE.)
        Some(found) if found.size > 0 && !entry.expected.contains(&found.xet_hash) => {
            Verdict::Conflict(found.clone())
        }
        _ => Verdict::Write,
    }
}

fn operation(fs: &BucketFs, entry: &Entry) -> BatchOp {
    let (path, xet_hash) = (entry.path.clone(), entry.stored.content.hash.clone());
    let mtime_ms = Some(entry.stored.mtime.as_ms());
    match entry.stored.work.means {
        Means::Copy(_) => BatchOp::Copy { path, xet_hash, mtime_ms, source: fs.bucket.name().clone() },
        _ => BatchOp::Add { path, xet_hash, mtime_ms, content_type: None },
    }
}

fn fail<'e>(fs: &BucketFs, entries: impl Iterator<Item = &'e Entry>, error: &HubError) {
    for entry in entries {
        note_failure(fs, entry.stored.work.node.id, error);
    }
}

fn fail_one(fs: &BucketFs, entry: &Entry, failure: &BatchFailure) {
    match &failure.call {
        Some(error) => note_failure(fs, entry.stored.work.node.id, error),
        None => {
            let what = format!("The Hub refused {}: {}", failure.path, failure.error);
            note_failure(fs, entry.stored.work.node.id, &HubError::new(hub::ErrorClass::Rejected, what));
        }
    }
}

/// Notes that bringing a file to the Hub failed, and tells when the person should know.
pub fn note_failure(fs: &BucketFs, id: FileId, error: &HubError) {
    if error.class == hub::ErrorClass::Offline {
        super::syncer::note_offline(fs, error);
        return;
    }
    let judgement = judge(error);
    let may_retry = judgement.may_retry;
    let plain = Error::from(error.clone());
    let trouble = fs.queue.failed(&Key::File(id), &plain, judgement);
    if !may_retry || trouble.attempts == 3 {
        let (cause, advice) = (plain.what, plain.advice);
        let path = fs.work_key_path(id);
        fs.tell(Event::UploadFailed { path, cause, advice, will_retry: may_retry });
    }
}

/// Ours moves to `NAME (conflict DATE)` with its id and whoever has it open; the name keeps theirs.
async fn keep_both(fs: &Arc<BucketFs>, entry: &Entry, theirs: FileEntry) -> Result<()> {
    let id = entry.stored.work.node.id;
    let path = fs.path_of(&entry.stored.work.node);
    let owner = (fs.config.uid, fs.config.gid);
    let kept_as = fs
        .names
        .change(move |tx| {
            let old = tx.live(id)?;
            let kept_as = split_off(tx, id, "conflict", owner)?;
            let mut name_keeper = match tx.child(old.parent, &old.name)? {
                Some(keeper) => keeper,
                None => tx.new_node(old.parent, &old.name, Kind::File, Layer::Bucket)?,
            };
            name_keeper.key.clone_from(&old.key);
            name_keeper.place = Place::Inherited;
            name_keeper.size = theirs.size;
            name_keeper.base = Some(Content { hash: theirs.xet_hash, size: theirs.size });
            (name_keeper.uid, name_keeper.gid) = owner;
            name_keeper.mtime = Timestamp::after(old.mtime);
            tx.set_place(&mut name_keeper, &theirs.path)?;
            tx.put(&name_keeper)?;
            Ok(kept_as)
        })
        .await?;
    if let Some(kept_as) = kept_as {
        fs.tell(Event::Conflict { path, kept_as });
    }
    fs.queue.wake();
    Ok(())
}

async fn note_done(fs: &Arc<BucketFs>, done: &[&Entry]) -> Result<()> {
    if done.is_empty() {
        return Ok(());
    }
    fs.listings.settle(done.iter().map(|entry| entry.path.as_str()));
    let changes: Vec<Placed> = done.iter().map(|entry| Placed::of(entry)).collect();
    fs.names
        .change(move |tx| {
            for placed in &changes {
                placed.apply(tx)?;
            }
            Ok(())
        })
        .await?;
    for entry in done {
        let id = entry.stored.work.node.id;
        if let Means::Upload(staged) = &entry.stored.work.means {
            let (staged, content) = (staged.clone(), entry.stored.content.clone());
            let generation = entry.stored.generation;
            let marked = blocking(move || Ok(staged.mark_saved(generation, content))).await?;
            if let Err(refusal) = marked {
                tracing::warn!(file = %id, ?refusal, "a saved file could not be marked; it is compared again");
            }
        }
        fs.queue.succeeded(&Key::File(id));
        fs.tell(Event::Saved { path: fs.path_of(&entry.stored.work.node), bytes: entry.stored.content.size });
    }
    fs.queue.saved_now();
    Ok(())
}

/// What the tree has to know of a key that was written.
struct Placed {
    id: FileId,
    path: String,
    content: Content,
    mtime: Timestamp,
}

impl Placed {
    fn of(entry: &Entry) -> Self {
        Placed {
            id: entry.stored.work.node.id,
            path: entry.path.clone(),
            content: entry.stored.content.clone(),
            mtime: entry.stored.mtime,
        }
    }

    fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.forget_delete(&self.path)?;
        let Some(mut node) = tx.node(self.id)?.filter(|node| !node.gone && node.layer == Layer::Bucket)
        else {
            // Removed here while it was being saved: what is there now has to go again.
            return tx.delete_later(&self.path, Some(&self.content.hash));
        };
        let was_at = query::actual_place(tx.db(), &node)?;
        let was_hash = node.base.as_ref().map(|base| base.hash.clone());
        place_folders(tx, node.parent)?;
        node.base = Some(self.content.clone());
        node.expect = None;
        node.size = self.content.size;
        // The staged copy's time goes on being shown; this is what shows when it is given up.
        node.mtime = self.mtime;
        tx.set_place(&mut node, &self.path)?;
        tx.put(&node)?;
        if let Some(old) = was_at.filter(|old| *old != self.path)
            && !stands_at(tx.db(), &old)?
        {
            tx.delete_later(&old, was_hash.as_deref())?;
        }
        Ok(())
    }
}

/// A live file whose content the Hub has at just this key.
pub fn stands_at(db: &rusqlite::Connection, path: &str) -> Result<bool> {
    match query::resolve(db, path)? {
        Some(node) => Ok(query::actual_place(db, &node)?.as_deref() == Some(path)),
        None => Ok(false),
    }
}

/// A folder made here exists on the Hub as soon as a file below it does.
fn place_folders(tx: &mut Tx<'_>, folder: FileId) -> Result<()> {
    let mut chain: Vec<Node> = Vec::new();
    let mut at = folder;
    while at != ROOT {
        let Some(node) = tx.node(at)? else { break };
        at = node.parent;
        chain.push(node);
    }
    for mut node in chain.into_iter().rev().filter(|node| node.place == Place::Nowhere) {
        if let Some(goal) = query::desired_place(tx.db(), &node)? {
            tx.set_place(&mut node, &goal)?;
            tx.put(&node)?;
        }
    }
    Ok(())
}
