//! What is to be done to make the Hub agree with the tree: read off the tree and the staged copies.

use std::sync::Arc;
use std::time::Duration;

use super::forever;
use super::queue::Key;
use super::report::{FailureClass, HeldDeletes, ItemState, QueueItem};
use crate::attr::{FileId, Kind, ROOT, Timestamp};
use crate::bucket_fs::BucketFs;
use crate::error::Result;
use crate::local::litter;
use crate::names::query::{Paths, PendingDelete};
use crate::names::{Content, Layer, Node, query};
use crate::staging::Staged;

/// How a file gets its content to its place.
#[derive(Clone)]
pub enum Means {
    /// The staged copy's bytes go up.
    Upload(Arc<Staged>),
    /// A new file nobody has written to.
    Empty,
    /// The Hub has the content: a copy by hash, no byte moves.
    Copy(Content),
}

#[derive(Clone)]
pub struct FileWork {
    pub node: Node,
    pub means: Means,
    pub size: u64,
}

/// A folder whose keys are to follow its name.
#[derive(Clone)]
pub struct FolderMove {
    pub folder: Node,
    pub from: String,
    pub to: String,
}

impl FolderMove {
    /// The other has to be moved first: it stands where this one goes, or is still in it.
    pub fn waits_for(&self, other: &FolderMove) -> bool {
        self.folder.id != other.folder.id
            && (query::is_within(&other.from, &self.to)
                || query::is_within(&self.to, &other.from)
                || (query::is_within(&other.from, &self.from) && other.from != self.from))
    }
}

#[derive(Default)]
pub struct Work {
    pub files: Vec<FileWork>,
    pub folders: Vec<FolderMove>,
    pub deletes: Vec<PendingDelete>,
    /// So many deletions at once that a person is asked first.
    pub asks: Option<HeldDeletes>,
    pub local_only: Vec<(Node, &'static str)>,
    /// Deleted elsewhere in the very moment of an edit here: they come back.
    pub edited_but_gone: Vec<FileId>,
}

/// Moves wait this long: an editor's delete-and-rename settles meanwhile.
const NAMES_SETTLE: Duration = Duration::from_secs(5);
/// Fewer deletions at once are never asked about, more always; between them it is a tenth of all files.
const FEW_DELETES: u64 = 20;
const MANY_DELETES: u64 = 1000;
const TENTH: u64 = 10;
/// Keys of held deletions that are listed.
const HELD_SHOWN: usize = 1000;

impl Work {
    /// Everything that is not as it ought to be, and what can't leave this machine.
    pub fn find_all(fs: &BucketFs) -> Result<Work> {
        let mut work = Work::find(fs)?;
        fs.names.ask(|db| {
            for node in query::symlinks(db)? {
                work.local_only.push((node, "a bucket has no symbolic links"));
            }
            for node in query::empty_folders(db)? {
                work.local_only.push((node, "a bucket has no empty folders"));
            }
            Ok(())
        })?;
        Ok(work)
    }

    /// Everything that is not as it ought to be, whether or not its time has come.
    pub fn find(fs: &BucketFs) -> Result<Work> {
        let mut work = Work::default();
        let mut edited = Vec::new();
        for staged in fs.staging.all() {
            let (dirty, generation) = staged.with_layout(|layout| (layout.dirty, layout.generation));
            if dirty {
                fs.queue.is_now(staged.id, generation);
                edited.push(staged);
            }
        }
        fs.names.ask_at_once(|db| {
            let mut paths = Paths::default();
            for staged in edited {
                let Some(node) = query::node(db, staged.id)? else { continue };
                if node.layer == Layer::Bucket {
                    match node.gone {
                        true => work.edited_but_gone.push(node.id),
                        false => work.add_file(db, &mut paths, node, Means::Upload(staged))?,
                    }
                }
            }
            for id in query::unplaced(db)? {
                if !fs.is_edited(id)
                    && let Some(node) = query::node(db, id)?
                {
                    let means = node.base.clone().map_or(Means::Empty, Means::Copy);
                    work.add_file(db, &mut paths, node, means)?;
                }
            }
            for node in query::displaced(db)? {
                work.add_displaced(fs, db, &mut paths, node)?;
            }
            for delete in query::deletes(db)? {
                if !is_overwritten(db, &delete)? {
                    work.deletes.push(delete);
                }
            }
            work.asks = asks(fs, db, &work.deletes)?;
            Ok(())
        })?;
        work.files.sort_by_key(|file| (file.size, file.node.id));
        Ok(work)
    }

    fn add_file(
        &mut self,
        db: &rusqlite::Connection,
        paths: &mut Paths,
        node: Node,
        means: Means,
    ) -> Result<()> {
        let size = match &means {
            Means::Upload(staged) => staged.with_layout(|layout| layout.size),
            Means::Empty => 0,
            Means::Copy(content) => content.size,
        };
        if paths.desired(db, &node)?.is_none() {
            let why =
                litter::refused_by_hub(&node.name).unwrap_or("a folder above it has a name the Hub refuses");
            self.local_only.push((node, why));
            return Ok(());
        }
        self.files.push(FileWork { node, means, size });
        Ok(())
    }

    fn add_displaced(
        &mut self,
        fs: &BucketFs,
        db: &rusqlite::Connection,
        paths: &mut Paths,
        node: Node,
    ) -> Result<()> {
        if node.id == ROOT || node.layer == Layer::Local {
            return Ok(());
        }
        let (goal, actual) = (query::desired_place(db, &node)?, query::actual_place(db, &node)?);
        let (Some(to), Some(from)) = (goal, actual) else { return Ok(()) };
        if from == to {
            return Ok(());
        }
        match node.kind {
            Kind::Directory => self.folders.push(FolderMove { folder: node, from, to }),
            Kind::File if !fs.is_edited(node.id) => {
                if let Some(content) = node.base.clone() {
                    self.add_file(db, paths, node, Means::Copy(content))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A file of ours is on its way to the key: it overwrites what is there, and nothing is to be deleted.
fn is_overwritten(db: &rusqlite::Connection, delete: &PendingDelete) -> Result<bool> {
    match query::resolve(db, &delete.path, Kind::File)? {
        Some(node) => Ok(query::actual_place(db, &node)?.as_deref() != Some(delete.path.as_str())),
        None => Ok(false),
    }
}

/// Why a file is not to be sent yet; `None` when it is ready.
pub fn hold_back(fs: &BucketFs, file: &FileWork) -> Option<(String, Option<Duration>)> {
    if fs.staging.refused.has(file.node.id) {
        return Some(("a write to it failed; copy it again".into(), None));
    }
    let Means::Upload(staged) = &file.means else { return None };
    let (open, holes, busy) = staged
        .with_layout(|layout| (!layout.unstable.is_empty(), !layout.holes.is_empty(), layout.in_flight > 0));
    if holes {
        return Some(("a write to it failed; copy it again".into(), None));
    }
    if forever::due(fs, staged).is_some() {
        return None;
    }
    if open || busy {
        return Some(("a program is still writing to it".into(), None));
    }
    let debounce = if fs.queue.hurried() { Duration::ZERO } else { fs.config.debounce };
    let quiet = staged.quiet_for();
    (quiet < debounce).then(|| ("it was changed a moment ago".into(), Some(debounce - quiet)))
}

/// Whether the deletions that have not left are so many that a person is asked first.
fn asks(fs: &BucketFs, db: &rusqlite::Connection, all: &[PendingDelete]) -> Result<Option<HeldDeletes>> {
    let held: Vec<&PendingDelete> = all.iter().filter(|delete| delete.is_held()).collect();
    let count = held.len() as u64;
    if !fs.config.ask_deletes || count <= FEW_DELETES {
        return Ok(None);
    }
    // The tree knows what somebody has looked at; the Hub's own count was true when it was asked.
    let of = (query::known_files(db)? + count).max(fs.total_files());
    if count <= MANY_DELETES && count.saturating_mul(TENTH) <= of {
        return Ok(None);
    }
    let since_ms = held.iter().map(|delete| delete.since_ms).min().unwrap_or_default();
    let paths = held.iter().take(HELD_SHOWN).map(|delete| fs.path_of_key(&delete.path)).collect();
    Ok(Some(HeldDeletes { count, of, since_ms, paths }))
}

/// How long a deletion still waits: a person may want the file back.
pub fn delete_due_in(fs: &BucketFs, delete: &PendingDelete) -> Duration {
    if fs.queue.hurried() || !delete.is_held() {
        return Duration::ZERO;
    }
    let age = Timestamp::now().as_ms().saturating_sub(delete.since_ms).max(0) as u64;
    fs.config.delete_hold.saturating_sub(Duration::from_millis(age))
}

/// How long moves are still held back.
pub fn names_settle_in(fs: &BucketFs, since_ms: i64) -> Duration {
    if fs.queue.hurried() {
        return Duration::ZERO;
    }
    let age = Timestamp::now().as_ms().saturating_sub(since_ms).max(0) as u64;
    NAMES_SETTLE.saturating_sub(Duration::from_millis(age))
}

impl BucketFs {
    /// Everything not on the Hub, one item each.
    pub fn queue(&self) -> Vec<QueueItem> {
        match Work::find_all(self) {
            Ok(work) => self.describe(&work),
            Err(error) => {
                tracing::error!(%error, "the queue could not be read");
                vec![QueueItem {
                    path: String::new(),
                    action: "upload".into(),
                    bytes: 0,
                    attempts: 0,
                    state: ItemState::Failed {
                        class: FailureClass::Local,
                        why: error.what,
                        advice: error.advice,
                    },
                }]
            }
        }
    }

    fn describe(&self, work: &Work) -> Vec<QueueItem> {
        let mut items = Vec::new();
        let mut paths = Paths::default();
        let mut path_of =
            |node: &Node| self.names.ask(|db| paths.shown(db, node)).unwrap_or_else(|_| node.display_name());
        for file in &work.files {
            let key = Key::File(file.node.id);
            let (mut state, attempts) = self.general_state(&key);
            if let Some(progress) = self.queue.progress_of(file.node.id) {
                state = match progress.committing {
                    true => ItemState::Committing,
                    false => ItemState::Uploading { done: progress.done, total: progress.total },
                };
            } else if state == ItemState::Queued
                && let Some((why, wait)) = hold_back(self, file)
            {
                state = ItemState::Waiting { why, until_ms: wait.map(in_ms) };
            }
            if state == ItemState::Queued && matches!(file.means, Means::Copy(_)) {
                let wait = names_settle_in(self, file.node.ctime.as_ms());
                if !wait.is_zero() {
                    let why = "it was moved a moment ago".into();
                    state = ItemState::Waiting { why, until_ms: Some(in_ms(wait)) };
                }
            }
            let action = if matches!(file.means, Means::Copy(_)) { "move" } else { "upload" };
            let bytes = if matches!(file.means, Means::Copy(_)) { 0 } else { file.size };
            items.push(QueueItem {
                path: path_of(&file.node),
                action: action.into(),
                bytes,
                attempts,
                state,
            });
        }
        for id in &work.edited_but_gone {
            let (state, attempts) = self.general_state(&Key::File(*id));
            let path = self.work_key_path(*id);
            items.push(QueueItem { path, action: "upload".into(), bytes: 0, attempts, state });
        }
        for FolderMove { folder, .. } in &work.folders {
            let (state, attempts) = self.general_state(&Key::Folder(folder.id));
            items.push(QueueItem { path: path_of(folder), action: "move".into(), bytes: 0, attempts, state });
        }
        for delete in &work.deletes {
            let (mut state, attempts) = self.general_state(&Key::Delete(delete.path.clone()));
            let wait = delete_due_in(self, delete);
            if work.asks.is_some() && delete.is_held() {
                state = ItemState::Held {
                    why: "many files were deleted at once".into(),
                    advice: "Say whether they are to go: bucketbarctl deletes --send or --restore".into(),
                };
            } else if state == ItemState::Queued && !wait.is_zero() {
                let why = "deletions wait a minute, in case you want the file back".into();
                state = ItemState::Waiting { why, until_ms: Some(in_ms(wait)) };
            }
            let path = self.path_of_key(&delete.path);
            items.push(QueueItem { path, action: "delete".into(), bytes: 0, attempts, state });
        }
        // A batch whose file was removed meanwhile is not over: the Hub has, or will have, that key.
        for key in self.listings.under_way() {
            let key = self.path_of_key(&key);
            if !items.iter().any(|item| item.path == key) {
                let (action, state) = ("upload".to_owned(), ItemState::Committing);
                items.push(QueueItem { path: key, action, bytes: 0, attempts: 0, state });
            }
        }
        for (node, why) in &work.local_only {
            let state = ItemState::LocalOnly { why: (*why).to_owned() };
            items.push(QueueItem {
                path: path_of(node),
                action: "none".into(),
                bytes: 0,
                attempts: 0,
                state,
            });
        }
        items
    }

    fn general_state(&self, key: &Key) -> (ItemState, u32) {
        let trouble = self.queue.trouble(key);
        let attempts = trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        let state = match trouble {
            Some(trouble) if trouble.stopped => {
                ItemState::Failed { class: trouble.class, why: trouble.why, advice: trouble.advice }
            }
            Some(trouble) if trouble.not_before.is_some() => {
                ItemState::Waiting { why: trouble.why, until_ms: trouble.not_before.map(|(_, ms)| ms) }
            }
            _ if self.queue.is_paused() => ItemState::Waiting {
                why: "uploads are paused".into(),
                until_ms: self.queue.paused_until_ms(),
            },
            _ => match self.queue.offline_cause() {
                Some(cause) => ItemState::Waiting { why: cause, until_ms: None },
                None => ItemState::Queued,
            },
        };
        (state, attempts)
    }

    pub(crate) fn work_key_path(&self, id: FileId) -> String {
        self.names.node(id).ok().flatten().map_or_else(|| id.to_string(), |node| self.path_of(&node))
    }
}

fn in_ms(wait: Duration) -> i64 {
    Timestamp::now().as_ms() + wait.as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::FileId;

    fn folder(id: u64, from: &str, to: &str) -> FolderMove {
        let folder = Node::new(FileId(id), ROOT, b"x", Kind::Directory, Layer::Bucket);
        FolderMove { folder, from: from.into(), to: to.into() }
    }

    #[test]
    fn a_folder_waits_for_what_stands_where_it_goes_and_for_what_has_to_leave_it() {
        let mine = folder(1, "a", "b");
        for (other, waits) in [
            (folder(2, "b", "c"), true),       // stands where mine goes
            (folder(2, "b/inner", "c"), true), // stands in there
            (folder(2, "a/inner", "c"), true), // is in mine still
            (folder(2, "ab", "c"), false),
            (folder(2, "c", "d"), false),
            (folder(1, "b", "c"), false), // itself
        ] {
            assert_eq!(mine.waits_for(&other), waits, "{} to {}", other.from, other.to);
        }
        assert!(folder(1, "a", "b/in").waits_for(&folder(2, "b", "c")), "it goes into what is to leave");
    }
}
