//! Somebody changed a key between our look and our batch: the Hub has no preconditions, so theirs was
//! overwritten (or deleted) by ours. The feed tells it afterwards, in order: theirs, then ours. Theirs comes
//! back by its hash (design.md promise 9).

use std::sync::Arc;

use hub::{ChangeKind, RemoteChange};

use super::restore::folder_for;
use crate::attr::Kind;
use crate::bucket_fs::BucketFs;
use crate::error::Result;
use crate::event::Event;
use crate::names::{Content, Layer, Place, Tx, commits, query};
use crate::ops::free_name;

/// Takes in what the feed tells of keys that we are changing or have changed.
pub async fn hear(fs: &Arc<BucketFs>, changes: &[RemoteChange]) -> Result<()> {
    for change in changes {
        let told = match (change.kind, &change.xet_hash) {
            (ChangeKind::Delete, _) => None,
            (_, Some(hash)) => Some(Content { hash: hash.clone(), size: change.size.unwrap_or(0) }),
            (_, None) => continue, // the content is the same
        };
        if !fs.names.ask(|db| commits::unheard_at(db, &change.path))?.is_empty() {
            hear_one(fs, change.path.clone(), told).await?;
        }
    }
    Ok(())
}

async fn hear_one(fs: &Arc<BucketFs>, path: String, told: Option<Content>) -> Result<()> {
    let owner = (fs.config.uid, fs.config.gid);
    let kept = fs
        .names
        .change(move |tx| {
            let rows = commits::unheard_at(tx.db(), &path)?;
            let hash = told.as_ref().map(|content| content.hash.as_str());
            let Some(ours) = rows.into_iter().find(|row| row.hash.as_deref() == hash) else {
                tx.commit_met(&path, told.as_ref())?;
                return Ok(None);
            };
            tx.commit_heard(&path, hash)?;
            match ours.slipped {
                Some(theirs) => bring_back(tx, &path, theirs, owner).map(Some),
                None => Ok(None),
            }
        })
        .await?;
    if let Some((path, kept_as)) = kept {
        fs.tell(Event::Overwrote { path, kept_as });
        fs.queue.wake();
    }
    Ok(())
}

/// Theirs under the key's own name if that is free (we had deleted it), else under a conflict name. Answers
/// the visible paths of ours and theirs.
fn bring_back(tx: &mut Tx<'_>, key: &str, theirs: Content, owner: (u32, u32)) -> Result<(String, String)> {
    let parent = folder_for(tx, key, owner)?;
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let ours = query::child_by_key(tx.db(), parent, name, Kind::File)?;
    if let Some(mut shown) = ours.clone().filter(|ours| ours.base.as_ref() == Some(&theirs)) {
        // A listing has shown it before ours struck.
        shown.place = Place::Nowhere;
        tx.put(&shown)?;
        let path = query::shown_path(tx.db(), &shown)?;
        return Ok((path.clone(), path));
    }
    let shown = match (&ours, tx.child(parent, name.as_bytes())?) {
        (Some(ours), _) => free_name(tx, parent, &ours.name, "conflict")?,
        // A folder or symlink of ours has the name by now.
        (None, Some(_)) => free_name(tx, parent, name.as_bytes(), "conflict")?,
        (None, None) => name.as_bytes().to_vec(),
    };
    let mut node = tx.new_node(parent, &shown, Kind::File, Layer::Bucket)?;
    (node.uid, node.gid) = owner;
    node.size = theirs.size;
    node.base = Some(theirs);
    node.place = Place::Nowhere; // a copy by hash brings it there
    tx.put(&node)?;
    let kept_as = query::shown_path(tx.db(), &node)?;
    let path = match ours {
        Some(ours) => {
            let path = query::shown_path(tx.db(), &ours)?;
            tx.keep_conflict(&path, &kept_as, ours.id, node.id)?;
            path
        }
        None => kept_as.clone(),
    };
    tx.touch_folder(parent)?;
    Ok((path, kept_as))
}
