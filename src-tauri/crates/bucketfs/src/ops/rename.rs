//! RENAME: one row changes, whatever is below it. The Hub follows later.

use crate::attr::{Change, FileId, Kind, Timestamp};
use crate::bucket_fs::BucketFs;
use crate::error::{Error, ErrorKind, Result};
use crate::local::litter;
use crate::names::removed::RemovedHow;
use crate::names::{Layer, Node, Place, Tx, query};
use crate::receipt::Receipt;

use super::namespace::{erase_folder, expected_at, layer_for, not_found};

/// Success of RENAME.
#[derive(Debug, Clone, Copy)]
pub struct Renamed {
    pub from: Change,
    pub to: Change,
}

struct Move {
    from_dir: FileId,
    from_name: Vec<u8>,
    to_dir: FileId,
    to_name: Vec<u8>,
}

impl BucketFs {
    /// Replaces an existing target as POSIX says. The moved object keeps its id and handles.
    pub async fn rename(
        &self,
        from_dir: FileId,
        from_name: &[u8],
        to_dir: FileId,
        to_name: &[u8],
        receipt: Option<Receipt<Renamed>>,
    ) -> Result<Renamed> {
        self.prepare_change(from_dir, from_name).await?;
        self.prepare_change(to_dir, to_name).await?;
        if let Some(target) = self.names.ask(|db| query::child(db, to_dir, to_name))?
            && target.kind == Kind::Directory
        {
            self.listed_folder(target.id).await?;
        }
        let plan = Move { from_dir, from_name: from_name.to_vec(), to_dir, to_name: to_name.to_vec() };
        let (renamed, moved, gone) = self.names.change(move |tx| carry_out(tx, &plan, receipt)).await?;
        if litter::is_silly(to_name) {
            // Removed while a program has it open: this is how a kernel asks for that.
            self.departed.note(moved, from_name);
        }
        gone.iter().for_each(|id| self.departed.note(*id, to_name));
        self.condemn(gone).await;
        self.listings.reveal(&self.this()?, from_dir);
        if let Some(staged) = self.staging.get(moved) {
            let path = self.path_of(&*self.live(moved)?);
            self.note_path(staged, path).await;
        }
        self.queue.wake();
        Ok(renamed)
    }
}

fn carry_out(
    tx: &mut Tx<'_>,
    plan: &Move,
    receipt: Option<Receipt<Renamed>>,
) -> Result<(Renamed, FileId, Vec<FileId>)> {
    let from_folder = tx.folder(plan.from_dir)?;
    let to_folder = tx.folder(plan.to_dir)?;
    let mut node = tx.child(plan.from_dir, &plan.from_name)?.ok_or_else(|| not_found(&plan.from_name))?;
    let target = tx.child(plan.to_dir, &plan.to_name)?.filter(|target| target.id != node.id);
    check(tx, plan, &node, target.as_ref())?;

    let layer = layer_for(&to_folder, &plan.to_name);
    check_layers(&node, layer, &plan.to_name)?;
    let was_at = query::actual_place(tx.db(), &node)?;
    if let Some(path) = query::desired_place(tx.db(), &node)? {
        tx.abandon(&path)?; // before the row moves: files below it are still found by the old name
    }
    node.parent = plan.to_dir;
    node.name = plan.to_name.clone();
    node.key = None;
    node.layer = layer;
    node.expect = None;
    let goal = query::desired_place(tx.db(), &node)?;

    let mut gone = Vec::new();
    if let Some(target) = target {
        replace(tx, &mut node, target, goal.as_deref(), &mut gone)?;
    } else if node.kind == Kind::File {
        node.expect = expected_at(tx, &node)?;
    }
    settle_place(tx, &mut node, was_at)?;
    node.ctime = Timestamp::after(node.ctime.max(node.mtime));
    tx.put(&node)?;

    let from_after = tx.touch_folder(plan.from_dir)?.attr();
    let from = Change { before: from_folder.stamp(), after: from_after };
    let to = if plan.to_dir == plan.from_dir {
        from
    } else {
        Change { before: to_folder.stamp(), after: tx.touch_folder(plan.to_dir)?.attr() }
    };
    let renamed = Renamed { from, to };
    tx.keep_receipt(receipt, &renamed)?;
    Ok((renamed, node.id, gone))
}

fn check(tx: &Tx<'_>, plan: &Move, node: &Node, target: Option<&Node>) -> Result<()> {
    let folder = node.kind == Kind::Directory;
    if folder && query::is_below(tx.db(), plan.to_dir, node.id)? {
        return Err(Error::new(ErrorKind::Invalid, "A folder cannot be moved into itself."));
    }
    match target {
        Some(target) if folder && target.kind != Kind::Directory => {
            Err(Error::new(ErrorKind::NotDirectory, format!("{} is not a folder.", target.display_name())))
        }
        Some(target) if !folder && target.kind == Kind::Directory => {
            Err(Error::new(ErrorKind::IsDirectory, format!("{} is a folder.", target.display_name())))
        }
        _ => Ok(()),
    }
}

/// Between the bucket and this machine's own files only a file moves whose content is here. The Hub's would have no
/// name there, and the Hub collects what has none; whoever moves it is told to copy it instead (EXDEV). What a kernel
/// does with an open file that is removed is no such move: the file is gone.
fn check_layers(node: &Node, layer: Layer, to_name: &[u8]) -> Result<()> {
    if layer == node.layer {
        return Ok(());
    }
    let what = if node.kind == Kind::Directory {
        "cannot be moved between the bucket and this machine's own files."
    } else if layer == Layer::Local && node.base.is_some() && !litter::is_silly(to_name) {
        "cannot be moved to a place that is on this machine only; copy it."
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::CrossesLayers, format!("{} {what}", node.display_name())))
}

/// The target's key is overwritten by what comes, or deleted when nothing comes there.
fn replace(
    tx: &mut Tx<'_>,
    node: &mut Node,
    target: Node,
    goal: Option<&str>,
    gone: &mut Vec<FileId>,
) -> Result<()> {
    if target.kind == Kind::Directory {
        gone.extend(erase_folder(tx, &target)?);
        return Ok(());
    }
    tx.remember_removed(&target, RemovedHow::Overwritten)?;
    let held = target.base.as_ref().map(|base| base.hash.clone());
    match query::actual_place(tx.db(), &target)? {
        Some(path) => {
            // Also where the node is going to: it may be moved on or removed before it gets there. The save that
            // puts it there forgets the delete.
            tx.delete_later(&path, held.as_deref())?;
            if node.kind == Kind::File && goal == Some(path.as_str()) {
                node.expect = held;
            }
        }
        None => {
            if node.kind == Kind::File {
                node.expect = target.expect.clone();
            }
            if let Some(path) = goal {
                tx.abandon(path)?;
            }
        }
    }
    tx.erase(target.id)?;
    gone.push(target.id);
    Ok(())
}

/// Says where the Hub has the node now that its path is another.
fn settle_place(tx: &mut Tx<'_>, node: &mut Node, was_at: Option<String>) -> Result<()> {
    match was_at {
        Some(path) if node.layer == Layer::Bucket => tx.set_place(node, &path),
        Some(path) => {
            // Out of the bucket (an unlinked open file): the Hub's key goes, the content stays readable by hash.
            if let Some(base) = &node.base {
                tx.remember_version(&path, base, node.mtime, RemovedHow::Deleted)?;
            }
            tx.delete_later(&path, node.base.as_ref().map(|base| base.hash.as_str()))?;
            node.place = Place::Nowhere;
            Ok(())
        }
        None => {
            node.place = Place::Nowhere;
            Ok(())
        }
    }
}
