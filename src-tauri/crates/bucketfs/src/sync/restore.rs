//! Bringing back what was deleted or overwritten through the mount, by its hash, while the Hub still has it.

use std::sync::Arc;

use crate::attr::{FileId, Kind, ROOT, Timestamp};
use crate::bucket_fs::BucketFs;
use crate::error::{Error, ErrorKind, Result};
use crate::names::query::PendingDelete;
use crate::names::removed::{self, Removed};
use crate::names::{Content, Layer, Node, Place, Tx, commits, query};
use crate::ops::free_name;

const NAME_MAX: usize = 255;

impl BucketFs {
    /// What was deleted or overwritten through the mount, newest first: at most 10,000 versions of 30 days.
    /// That one is listed does not say that the Hub still has it.
    pub fn recent_deletes(&self) -> Result<Vec<Removed>> {
        let prefix = &self.config.prefix;
        let all = self.names.ask(removed::all)?;
        Ok(all.into_iter().map(|one| Removed { path: below(prefix, &one.path), ..one }).collect())
    }

    /// Brings the version that was removed last from `path` back, under its name or `as_name` beside it. A
    /// name that is taken keeps its file: the restored one becomes `NAME (restored DATE)`. Answers where it is
    /// now; no byte is downloaded.
    ///
    /// Errors: `NotFound` when nothing is remembered of that path, or the Hub has given the content up.
    pub async fn restore(self: &Arc<Self>, path: &str, as_name: Option<&str>) -> Result<String> {
        self.refuse_read_only()?;
        let path = path.trim_matches('/');
        let key = query::join(&self.config.prefix, path);
        let Some(version) = self.names.ask(|db| removed::latest(db, &key))? else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("Nothing that was at {path} has been deleted or overwritten here."),
            )
            .advise("`bucketbarctl recent-deletes` lists what can be restored."));
        };
        if self.bucket.segments(&version.hash).await?.is_none() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("The Hub does not have the old content of {path} any more."),
            ));
        }
        let name = checked_name(as_name)?;
        let (owner, path) = ((self.config.uid, self.config.gid), path.to_owned());
        let shown = self
            .names
            .change(move |tx| {
                let in_place = name.is_none() && query::delete_at(tx.db(), &key)?.is_some();
                if in_place && let Some(id) = take_back(tx, &key, owner)? {
                    let node = tx.live(id)?;
                    return query::shown_path(tx.db(), &node);
                }
                bring_back(tx, &key, &version, name.as_deref(), owner).map_err(|mut error| {
                    error.what = format!("{path} could not be restored: {}", error.what);
                    error
                })
            })
            .await?;
        self.queue.wake();
        Ok(shown)
    }
}

fn checked_name(name: Option<&str>) -> Result<Option<String>> {
    match name {
        None => Ok(None),
        Some(name) if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." => {
            Err(Error::new(ErrorKind::Invalid, format!("“{name}” cannot be a name."))
                .advise("Give a name without a folder; the file comes back in its own folder."))
        }
        Some(name) if name.len() > NAME_MAX => {
            Err(Error::new(ErrorKind::NameTooLong, "The name is longer than 255 bytes."))
        }
        Some(name) => Ok(Some(name.to_owned())),
    }
}

fn bring_back(
    tx: &mut Tx<'_>,
    key: &str,
    version: &Removed,
    name: Option<&str>,
    owner: (u32, u32),
) -> Result<String> {
    let parent = folder_for(tx, key, owner)?;
    let wanted = name.unwrap_or_else(|| last(key)).as_bytes();
    let name = match tx.child(parent, wanted)? {
        Some(_) => free_name(tx, parent, wanted, "restored")?,
        None => wanted.to_vec(),
    };
    let mut node = tx.new_node(parent, &name, Kind::File, Layer::Bucket)?;
    fill(&mut node, Content { hash: version.hash.clone(), size: version.size }, version.mtime_ms, owner);
    tx.put(&node)?;
    tx.touch_folder(parent)?;
    query::shown_path(tx.db(), &node)
}

/// A deletion the Hub has not heard of is taken back: the file is in the tree again. `None` when something
/// else has its name, or too little is known of it; a listing shows it then.
pub fn take_back(tx: &mut Tx<'_>, key: &str, owner: (u32, u32)) -> Result<Option<FileId>> {
    let Some(PendingDelete { hash, .. }) = query::delete_at(tx.db(), key)? else { return Ok(None) };
    tx.forget_delete(key)?;
    let Some(facts) = (match &hash {
        Some(hash) => removed::facts_of(tx.db(), key, hash)?,
        None => None,
    }) else {
        return Ok(None);
    };
    let parent = folder_for(tx, key, owner)?;
    let name = last(key);
    if name.len() > NAME_MAX
        || query::child_by_key(tx.db(), parent, name, Kind::File)?.is_some()
        || tx.child(parent, name.as_bytes())?.is_some()
    {
        return Ok(None);
    }
    let mut node = tx.new_node(parent, name.as_bytes(), Kind::File, Layer::Bucket)?;
    fill(&mut node, Content { hash: facts.hash, size: facts.size }, facts.mtime_ms, owner);
    if commits::deletion_unanswered(tx.db(), key)? {
        // On its way, or done without an answer: a copy by hash brings the file there again.
        node.place = Place::Nowhere;
    } else {
        tx.set_place(&mut node, key)?;
    }
    tx.put(&node)?;
    tx.touch_folder(parent)?;
    Ok(Some(node.id))
}

fn fill(node: &mut Node, content: Content, mtime_ms: i64, owner: (u32, u32)) {
    node.size = content.size;
    node.base = Some(content);
    (node.uid, node.gid) = owner;
    (node.mtime, node.atime) = (Timestamp::from_ms(mtime_ms), Timestamp::from_ms(mtime_ms));
}

/// The folder a key lies in, made again where it is missing. A file in the way of a folder's name ends the
/// search: what comes back lies beside it then.
pub fn folder_for(tx: &mut Tx<'_>, key: &str, owner: (u32, u32)) -> Result<FileId> {
    let root = tx.live(ROOT)?;
    let Place::At(prefix) = &root.place else { return Ok(ROOT) };
    let rest = below(prefix, key);
    let mut at = ROOT;
    let mut parts: Vec<&str> = rest.split('/').collect();
    parts.pop();
    for part in parts {
        at = match query::child_by_key(tx.db(), at, part, Kind::Directory)? {
            Some(folder) => folder.id,
            None if tx.child(at, part.as_bytes())?.is_some() => return Ok(at),
            None => {
                let mut folder = tx.new_node(at, part.as_bytes(), Kind::Directory, Layer::Bucket)?;
                (folder.uid, folder.gid) = owner;
                let goal = query::desired_place(tx.db(), &folder)?.unwrap_or_default();
                tx.set_place(&mut folder, &goal)?; // to be listed: the Hub may know it
                tx.put(&folder)?;
                tx.touch_folder(at)?;
                folder.id
            }
        };
    }
    Ok(at)
}

/// The key without the mount's prefix.
pub fn below(prefix: &str, key: &str) -> String {
    match key.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() => rest.trim_start_matches('/').to_owned(),
        _ => key.to_owned(),
    }
}

fn last(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}
