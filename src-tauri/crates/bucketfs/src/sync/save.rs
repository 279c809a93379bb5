//! Giving stored content its name on the Hub: the one place that adds and copies keys, called by the syncer
//! alone, so that saves never race each other.
//!
//! Before a key is written its identity is compared with the one our edit started from. If somebody else
//! changed it, both are kept (design.md promise 9).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hub::{BatchFailure, BatchOp, FileEntry, HubError};

use super::queue::{Judgement, Key, Progress, judge};
use super::report::FailureClass;
use super::saved_copies;
use super::upload::{Stored, may_be_one_files_fault};
use super::work::{FileWork, Means};
use crate::attr::{FileId, Kind, ROOT, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::names::removed::RemovedHow;
use crate::names::{Content, Layer, Node, Place, Tx, commits, query};
use crate::recovery::split_off;
use crate::staging::Staged;

/// One key to be written.
struct Entry {
    stored: Stored,
    path: String,
    /// What is going to be overwritten, as the look before the batch found it.
    found: Option<FileEntry>,
    /// Contents the Hub may hold there without it being somebody else's change.
    expected: Vec<String>,
}

enum Verdict {
    Write,
    /// The Hub has just this content there already.
    Done,
    Conflict(FileEntry),
}

/// Names every stored content in one batch. Failures are noted in the queue; conflicts are split.
pub async fn save(fs: &Arc<BucketFs>, stored: Vec<Stored>) {
    let ids: Vec<FileId> = stored.iter().map(|one| one.work.node.id).collect();
    if let Err(error) = save_part(fs, stored).await {
        tracing::error!(%error, "saved files could not be noted");
        ids.iter().filter(|id| fs.is_edited(**id)).for_each(|id| note_local_failure(fs, *id, &error));
    }
    for id in ids {
        fs.queue.progress(id, None);
    }
    if let Err(error) = saved_copies::trim(fs).await {
        tracing::warn!(%error, "saved copies could not be given up");
    }
}

async fn save_part(fs: &Arc<BucketFs>, stored: Vec<Stored>) -> Result<()> {
    let stored = with_those_underneath(fs, stored).await?;
    let mut left = entries(fs, stored)?;
    // Of the keys that are written: names may have moved since the look above.
    let mut in_the_way = false;
    for entry in &left {
        let there = at_key(fs, &entry.path, Some(entry.stored.work.node.id))?;
        in_the_way |= there.iter().any(|node| is_nowhere_else(fs, node));
    }
    for entry in &left {
        let total = entry.stored.content.size;
        fs.queue.progress(entry.stored.work.node.id, Some(Progress { done: total, total, committing: true }));
    }
    // Who makes way for another goes first, and whoever could not leaves its key to nobody: its content has no other.
    while !left.is_empty() {
        let (now, later) = if in_the_way { next_to_write(fs, left)? } else { (left, Vec::new()) };
        if now.is_empty() {
            later.iter().for_each(|entry| note_waiting(fs, entry.stored.work.node.id));
            break;
        }
        save_entries(fs, now).await?;
        left = later;
    }
    Ok(())
}

/// Copies the files of ours away that have their contents at these keys, each to where its name is. `false` when one
/// is there still. Edited ones do not count: what they need of it is kept by a pin.
pub async fn make_way(fs: &Arc<BucketFs>, keys: &[String]) -> Result<bool> {
    let (mut there, mut keyless) = (Vec::new(), Vec::new());
    for key in keys {
        for node in at_key(fs, key, None)? {
            if has_no_key(fs, &node)? {
                keyless.push(node.id);
            }
            there.extend(Some(node).filter(|node| is_nowhere_else(fs, node)));
        }
    }
    super::keyless::give_keys(fs, keyless).await?;
    if there.is_empty() {
        return Ok(true);
    }
    save_part(fs, there.into_iter().filter_map(as_copy).collect()).await?;
    for key in keys {
        if at_key(fs, key, None)?.iter().any(|node| is_nowhere_else(fs, node)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Files of ours whose content the Hub has at this key, other than `by`.
fn at_key(fs: &BucketFs, key: &str, by: Option<FileId>) -> Result<Vec<Node>> {
    let mut there = fs.names.ask(|db| query::placed_at(db, key))?;
    there.retain(|node| Some(node.id) != by);
    Ok(there)
}

/// All of its content is on the Hub, and nowhere but there.
fn is_nowhere_else(fs: &BucketFs, node: &Node) -> bool {
    node.base.is_some() && !fs.is_edited(node.id) && !fs.staging.refused.has(node.id)
}

fn has_no_key(fs: &BucketFs, node: &Node) -> Result<bool> {
    Ok(fs.names.ask(|db| query::desired_place(db, node))?.is_none())
}

fn as_copy(node: Node) -> Option<Stored> {
    let content = node.base.clone()?;
    let (size, mtime, means) = (content.size, node.mtime, Means::Copy(content.clone()));
    Some(Stored { work: FileWork { node, means, size }, content, generation: 0, mtime })
}

/// Those whose keys are free first; when none is, those that wait for each other alone, which go together. The second
/// are the rest.
fn next_to_write(fs: &BucketFs, left: Vec<Entry>) -> Result<(Vec<Entry>, Vec<Entry>)> {
    let mut waits_for = HashMap::new();
    for entry in &left {
        let id = entry.stored.work.node.id;
        let mut blockers = at_key(fs, &entry.path, Some(id))?;
        blockers.retain(|node| is_nowhere_else(fs, node));
        waits_for.insert(id, blockers.iter().map(|node| node.id).collect::<Vec<_>>());
    }
    let now = who_goes_now(&waits_for);
    Ok(left.into_iter().partition(|entry| now.contains(&entry.stored.work.node.id)))
}

fn who_goes_now(waits_for: &HashMap<FileId, Vec<FileId>>) -> HashSet<FileId> {
    let free: HashSet<FileId> =
        waits_for.iter().filter(|(_, for_whom)| for_whom.is_empty()).map(|(id, _)| *id).collect();
    if !free.is_empty() {
        return free;
    }
    let mut ring: HashSet<FileId> = waits_for.keys().copied().collect();
    loop {
        let stuck: Vec<FileId> = ring
            .iter()
            .copied()
            .filter(|id| waits_for[id].iter().any(|blocker| !ring.contains(blocker)))
            .collect();
        if stuck.is_empty() {
            return ring;
        }
        ring.retain(|id| !stuck.contains(id));
    }
}

/// Tried again in a while; what stands in the way is told by itself.
fn note_waiting(fs: &BucketFs, id: FileId) {
    let what =
        "Another file, which was moved away from this name here, still has its content there on the Hub.";
    let judgement = Judgement { may_retry: true, after: None, class: FailureClass::Other };
    fs.queue.failed(&Key::File(id), &Error::new(ErrorKind::Hub, what), judgement);
}

async fn save_entries(fs: &Arc<BucketFs>, mut entries: Vec<Entry>) -> Result<()> {
    super::watcher::know_where_the_feed_stands(fs).await;
    // Stored before the look: what the feed tells from here on may be somebody who slips in between.
    note_commits(fs, &entries, |tx, entry| tx.commit_begins(&entry.path, Some(entry.hash()))).await?;
    let paths: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    let mut there = match fs.bucket.paths_info(&paths).await {
        Ok(found) => found.into_iter().map(|file| (file.path.clone(), file)).collect::<HashMap<_, _>>(),
        Err(error) => {
            fail(fs, &entries, &error);
            return Ok(());
        }
    };
    let (mut write, mut done, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for mut entry in entries.drain(..) {
        entry.found = there.remove(&entry.path);
        match verdict(&entry) {
            Verdict::Write => write.push(entry),
            Verdict::Done => done.push(entry),
            Verdict::Conflict(file) => theirs.push((entry, file)),
        }
    }
    for (entry, file) in theirs {
        keep_both(fs, &entry, file).await?;
    }
    let mut lose_their_key = Vec::new();
    for entry in &write {
        let there = fs.names.ask(|db| query::placed_at(db, &entry.path))?;
        lose_their_key
            .extend(there.into_iter().map(|node| node.id).filter(|id| *id != entry.stored.work.node.id));
    }
    note_commits(fs, &write, |tx, entry| {
        let seen = entry.found.as_ref().map(|found| found.xet_hash.as_str());
        tx.commit_checked(&entry.path, Some(entry.hash()), seen)?;
        // Should the one that goes there be removed before the Hub has it, the key still has to go.
        match tx.displace(&entry.path, entry.id)?.pop() {
            Some(content) if query::delete_at(tx.db(), &entry.path)?.is_none() => {
                tx.delete_at_once(&entry.path, Some(&content.hash))
            }
            _ => Ok(()),
        }
    })
    .await?;
    for id in lose_their_key {
        super::base::keep(fs, id); // what an edit of it stands on has a name no more
    }
    let _under_way = fs.listings.begin(write.iter().map(|entry| entry.path.clone()).collect());
    done.extend(send(fs, write).await?);
    note_done(fs, &done).await
}

/// Sends the batch; answers what the Hub has taken. A refusal of the whole is looked into by halves: one
/// entry that the Hub cannot bear must not stop the others.
async fn send(fs: &Arc<BucketFs>, write: Vec<Entry>) -> Result<Vec<Entry>> {
    let (mut done, mut parts) = (Vec::new(), vec![write]);
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let ops: Vec<BatchOp> = part.iter().map(|entry| operation(fs, entry)).collect();
        match fs.bucket.batch(&ops).await {
            Ok(outcome) => done.extend(settle(fs, part, &outcome.failed)),
            Err(error) if part.len() > 1 && is_refusal(&error) => {
                let half = part.split_off(part.len() / 2);
                parts.extend([half, part]);
            }
            Err(error) => {
                if part.len() > 1 && may_be_one_files_fault(&error) {
                    // No answer: it may have been applied. They are looked at again, apart.
                    let ids: Vec<FileId> = part.iter().map(|entry| entry.stored.work.node.id).collect();
                    fs.queue.part(&ids);
                } else {
                    fail(fs, &part, &error);
                }
            }
        }
    }
    Ok(done)
}

/// The Hub understood the call and surely did nothing of it.
fn is_refusal(error: &HubError) -> bool {
    matches!(error.class, hub::ErrorClass::Rejected | hub::ErrorClass::Quota)
}

/// Notes what the Hub refused; answers what it took. The commits of refused entries stay noted: an earlier
/// one of the same content may have been applied without an answer.
fn settle(fs: &BucketFs, part: Vec<Entry>, failed: &[BatchFailure]) -> Vec<Entry> {
    let refused: HashMap<&str, &BatchFailure> =
        failed.iter().map(|failure| (failure.path.as_str(), failure)).collect();
    let mut done = Vec::new();
    for entry in part {
        match refused.get(entry.path.as_str()) {
            Some(failure) => fail_one(fs, &entry, failure),
            None => done.push(entry),
        }
    }
    done
}

/// One transaction over the commits of all entries.
async fn note_commits(
    fs: &Arc<BucketFs>,
    entries: &[Entry],
    note: impl Fn(&mut Tx<'_>, &Noted) -> Result<()> + Send + 'static,
) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let noted: Vec<Noted> = entries.iter().map(Noted::of).collect();
    let feed = fs.feed_point();
    fs.names
        .change(move |tx| {
            if let Some(feed) = feed {
                tx.keep_setting(super::watcher::FEED_POINT, &feed)?;
            }
            noted.iter().try_for_each(|one| note(tx, one))
        })
        .await
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
        if matches!(&stored.work.means, Means::Upload(staged) if staged.is_retired()) {
            continue; // the edit was discarded
        }
        let at_home = actual.as_deref() == Some(path.as_str());
        let replaced = match &stored.work.means {
            Means::Upload(staged) if at_home => staged.with_layout(|layout| layout.identity.clone()),
            _ if at_home => node.base.as_ref().map(|base| base.hash.clone()),
            _ => node.expect.clone(),
        };
        let mut expected = fs.names.ask(|db| ours_at(db, &path, node.id))?;
        expected.extend(replaced);
        stored.work.node = (*node).clone();
        entries.push(Entry { stored, path, found: None, expected });
    }
    Ok(entries)
}

/// Contents at a key that are nobody else's: of files of ours that were removed or moved away from it, of which the
/// Hub has not heard yet, and what batches of ours have put there, or may have without an answer.
pub fn ours_at(db: &rusqlite::Connection, path: &str, id: FileId) -> Result<Vec<String>> {
    let mut ours = commits::own_at(db, path)?;
    ours.extend(query::delete_at(db, path)?.and_then(|delete| delete.hash));
    let moved = query::placed_at(db, path)?.into_iter().filter(|node| node.id != id);
    ours.extend(moved.filter_map(|node| node.base).map(|base| base.hash));
    Ok(ours)
}

/// Adds the files that were moved away from keys which are now written by others of ours: they get their new keys
/// before, so that the Hub never has their contents without a name.
async fn with_those_underneath(fs: &Arc<BucketFs>, stored: Vec<Stored>) -> Result<Vec<Stored>> {
    let mut known: HashSet<FileId> = stored.iter().map(|one| one.work.node.id).collect();
    let (mut all, mut next, mut keyless) = (stored, 0, Vec::new());
    while let Some(one) = all.get(next) {
        next += 1;
        let Some(node) = fs.names.node(one.work.node.id)? else { continue };
        let Some(path) = fs.names.ask(|db| query::desired_place(db, &node))? else { continue };
        for there in at_key(fs, &path, Some(node.id))? {
            if has_no_key(fs, &there)? {
                keyless.push(there.id);
            }
            if is_nowhere_else(fs, &there) && known.insert(there.id) {
                all.extend(as_copy(there));
            }
        }
    }
    super::keyless::give_keys(fs, keyless).await?;
    Ok(all)
}

fn verdict(entry: &Entry) -> Verdict {
    match &entry.found {
        Some(found) if found.xet_hash == entry.stored.content.hash => Verdict::Done,
        // An empty file holds no byte of anybody's: replacing it is no conflict. (Ours may have been saved empty
        // in the moment before its first WRITE.)
        Some(found) if found.size > 0 && !entry.expected.contains(&found.xet_hash) => {
            tracing::info!(
                path = entry.path,
                found = found.xet_hash,
                ours = ?entry.expected,
                "somebody else's content is there"
            );
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

fn fail(fs: &BucketFs, entries: &[Entry], error: &HubError) {
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

/// This machine could not note what the Hub has: later again, not at once and for ever, and told when it stays so.
fn note_local_failure(fs: &BucketFs, id: FileId, error: &Error) {
    let judgement = Judgement { may_retry: true, after: None, class: FailureClass::Local };
    let trouble = fs.queue.failed(&Key::File(id), error, judgement);
    if trouble.attempts == 3 {
        let (cause, advice) = (error.what.clone(), error.advice.clone());
        let path = fs.work_key_path(id);
        fs.tell(Event::UploadFailed { path, cause, advice, will_retry: true });
    }
}

/// Ours moves to `NAME (conflict DATE)` with its id and whoever has it open; the name keeps theirs.
async fn keep_both(fs: &Arc<BucketFs>, entry: &Entry, theirs: FileEntry) -> Result<()> {
    let id = entry.stored.work.node.id;
    let path = fs.path_of(&entry.stored.work.node);
    let owner = (fs.config.uid, fs.config.gid);
    let hash = entry.hash().to_owned();
    super::base::keep(fs, id); // the Hub does not refer to our base any more
    let kept_as = fs
        .names
        .change(move |tx| {
            // Removed, moved on, or another file renamed over it since the look: nothing of ours is going there any
            // more, and what is there stays theirs.
            let old = tx.node(id)?.filter(|node| !node.gone);
            let goal = match &old {
                Some(old) => query::desired_place(tx.db(), old)?,
                None => None,
            };
            let Some(old) = old.filter(|_| goal.as_deref() == Some(theirs.path.as_str())) else {
                tx.commit_withdrawn(&theirs.path, Some(&hash))?;
                return Ok(None);
            };
            let was_at = query::actual_place(tx.db(), &old)?.filter(|key| *key != theirs.path);
            let kept_as = split_off(tx, id, "conflict", owner)?;
            if let (Some(was_at), Some(_)) = (was_at, &kept_as) {
                // It was renamed: the Hub still has it under its old key.
                let mut mine = tx.live(id)?;
                tx.set_place(&mut mine, &was_at)?;
                tx.put(&mine)?;
            }
            // Only a file can be theirs; a folder of that key may be shown under a marked name.
            let key = theirs.path.rsplit_once('/').map_or(theirs.path.as_str(), |(_, name)| name);
            let keeper = match tx.child(old.parent, &old.name)?.filter(|keeper| keeper.kind == Kind::File) {
                Some(keeper) => Some(keeper),
                None => query::child_by_key(tx.db(), old.parent, key, Kind::File)?,
            };
            let mut name_keeper = match keeper {
                Some(keeper) => keeper,
                None => tx.new_node(old.parent, &old.name, Kind::File, Layer::Bucket)?,
            };
            if name_keeper.name == old.name {
                name_keeper.key.clone_from(&old.key);
            }
            name_keeper.place = Place::Inherited;
            name_keeper.size = theirs.size;
            name_keeper.base = Some(Content { hash: theirs.xet_hash.clone(), size: theirs.size });
            (name_keeper.uid, name_keeper.gid) = owner;
            name_keeper.mtime = Timestamp::after(old.mtime);
            tx.set_place(&mut name_keeper, &theirs.path)?;
            tx.put(&name_keeper)?;
            if kept_as.is_some() {
                let mine = tx.live(id)?;
                let (path, kept_as) =
                    (query::shown_path(tx.db(), &name_keeper)?, query::shown_path(tx.db(), &mine)?);
                tx.keep_conflict(&path, &kept_as, id, name_keeper.id)?;
            }
            tx.commit_withdrawn(&theirs.path, Some(&hash))?;
            tx.commit_overtaken(&theirs.path)?;
            Ok(kept_as)
        })
        .await?;
    if let Some(kept_as) = kept_as {
        fs.tell(Event::Conflict { path, kept_as });
    }
    fs.queue.wake();
    Ok(())
}

async fn note_done(fs: &Arc<BucketFs>, done: &[Entry]) -> Result<()> {
    if done.is_empty() {
        return Ok(());
    }
    fs.listings.settle(done.iter().map(|entry| entry.path.as_str()));
    let changes: Vec<Placed> = done.iter().map(Placed::of).collect();
    let placed = fs
        .names
        .change(move |tx| changes.iter().map(|placed| placed.apply(tx)).collect::<Result<Vec<bool>>>())
        .await?;
    fs.listings.reveal_all(fs);
    mark_saved(fs, done, &placed).await?;
    for entry in done {
        fs.queue.succeeded(&Key::File(entry.stored.work.node.id));
        let (path, bytes) = (fs.path_of(&entry.stored.work.node), entry.stored.content.size);
        let moved = matches!(entry.stored.work.means, Means::Copy(_));
        fs.queue.saved(path.clone(), if moved { "move" } else { "upload" }, bytes);
        fs.tell(Event::Saved { path, bytes });
    }
    Ok(())
}

/// The copies of what was written are clean, those excepted that were written to meanwhile.
async fn mark_saved(fs: &Arc<BucketFs>, done: &[Entry], placed: &[bool]) -> Result<()> {
    let mut marks = Vec::new();
    for (entry, placed) in done.iter().zip(placed) {
        // One that moved to where it stays on this machine while it was being saved: its key goes again, and its copy
        // is all there is of it.
        if let Means::Upload(staged) = &entry.stored.work.means
            && *placed
        {
            marks.push((staged.clone(), entry.stored.generation, entry.stored.content.clone()));
        }
    }
    let marked = blocking(move || {
        let mark = |(staged, generation, content): (Arc<Staged>, u64, Content)| {
            (staged.id, staged.mark_saved(generation, content))
        };
        Ok(marks.into_iter().map(mark).collect::<Vec<_>>())
    })
    .await?;
    for (id, marked) in marked {
        match marked {
            Ok(true) => {}
            Ok(false) => super::base::keep(fs, id), // written to meanwhile, on a base whose name is ours no more
            Err(refusal) => {
                tracing::warn!(file = %id, ?refusal, "a saved file could not be marked; it is compared again");
            }
        }
    }
    Ok(())
}

/// What the tree has to know of a key that was written.
struct Placed {
    id: FileId,
    path: String,
    content: Content,
    mtime: Timestamp,
    /// The version that was overwritten.
    over: Option<(Content, Timestamp)>,
}

/// A key and what goes there, for transactions.
struct Noted {
    id: FileId,
    path: String,
    hash: String,
    found: Option<FileEntry>,
}

impl Noted {
    fn of(entry: &Entry) -> Self {
        let (path, hash) = (entry.path.clone(), entry.hash().to_owned());
        Noted { id: entry.stored.work.node.id, path, hash, found: entry.found.clone() }
    }

    fn hash(&self) -> &str {
        &self.hash
    }
}

impl Entry {
    fn hash(&self) -> &str {
        &self.stored.content.hash
    }
}

impl Placed {
    fn of(entry: &Entry) -> Self {
        Placed {
            id: entry.stored.work.node.id,
            path: entry.path.clone(),
            content: entry.stored.content.clone(),
            mtime: entry.stored.mtime,
            over: entry.found.as_ref().filter(|found| found.xet_hash != entry.hash()).map(|found| {
                let mtime = Timestamp::from_ms(found.mtime_ms.or(found.uploaded_at_ms).unwrap_or(0));
                (Content { hash: found.xet_hash.clone(), size: found.size }, mtime)
            }),
        }
    }

    /// `false` when the file is in the bucket no more.
    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool> {
        tx.forget_delete(&self.path)?;
        tx.commit_done(&self.path, Some(&self.content.hash))?;
        tx.displace(&self.path, self.id)?; // what took the name back while this was under way
        if let Some((content, mtime)) = &self.over {
            tx.remember_version(&self.path, content, *mtime, RemovedHow::Overwritten)?;
        }
        let Some(mut node) = tx.node(self.id)?.filter(|node| !node.gone && node.layer == Layer::Bucket)
        else {
            // Removed here while it was being saved: what is there now has to go again.
            tx.delete_later(&self.path, Some(&self.content.hash))?;
            return Ok(false);
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
            tx.delete_at_once(&old, was_hash.as_deref())?;
        }
        Ok(true)
    }
}

/// A live file whose content the Hub has at just this key.
pub fn stands_at(db: &rusqlite::Connection, path: &str) -> Result<bool> {
    match query::resolve(db, path, Kind::File)? {
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
