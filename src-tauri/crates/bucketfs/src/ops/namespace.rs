//! LOOKUP, READLINK, CREATE, MKDIR, SYMLINK, REMOVE, RMDIR.

use std::sync::Arc;

use crate::attr::{Attr, Change, FileId, Kind, SetAttr, SetTime, Timestamp};
use crate::bucket_fs::BucketFs;
use crate::error::{Error, ErrorKind, Result};
use crate::local::litter;
use crate::names::merge::ORPHANS;
use crate::names::removed::RemovedHow;
use crate::names::{Layer, Node, Place, Tx, query};
use crate::receipt::Receipt;

/// Success of CREATE, MKDIR and SYMLINK.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    pub attr: Attr,
    pub dir: Change,
}

/// How CREATE treats an existing name (RFC 1813 3.3.8).
#[derive(Debug, Clone, Copy)]
pub enum Create {
    Unchecked(SetAttr),
    Guarded(SetAttr),
    /// Succeeds again for the same verifier.
    Exclusive([u8; 8]),
}

const NAME_MAX: usize = 255;

impl BucketFs {
    /// The child called `name`: these bytes, else a name equal under NFC; also `.` and `..`.
    pub async fn lookup(&self, dir: FileId, name: &[u8]) -> Result<Attr> {
        let folder = self.live(dir)?;
        if folder.kind != Kind::Directory {
            return Err(Error::new(ErrorKind::NotDirectory, "This is not a folder."));
        }
        match name {
            b"." => return Ok(self.attr_of(&folder)),
            b".." => return Ok(self.attr_of(&*self.live(folder.parent)?)),
            _ => {}
        }
        // Local names need no listing: Finder asks for `._x` beside every file.
        let known = self.names.child(dir, name)?;
        if let Some(child) = known.filter(|child| folder.listed || child.layer == Layer::Local) {
            self.listings.looked_at(self, &folder);
            return Ok(self.attr_of(&child));
        }
        let folder = self.listed_folder(dir).await?;
        match self.names.child(folder.id, name)? {
            Some(child) => Ok(self.attr_of(&child)),
            None => Err(not_found(name)),
        }
    }

    /// A symlink's target, byte for byte as it was given.
    pub async fn readlink(&self, id: FileId) -> Result<Vec<u8>> {
        let node = self.live(id)?;
        node.target.clone().ok_or_else(|| Error::new(ErrorKind::Invalid, "This is not a symbolic link."))
    }

    pub async fn create(
        &self,
        dir: FileId,
        name: &[u8],
        how: Create,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made> {
        self.prepare_change(dir, name).await?;
        let (name, owner) = match &how {
            Create::Unchecked(wanted) | Create::Guarded(wanted) => (name.to_vec(), self.owner_of_new(wanted)),
            Create::Exclusive(_) => (name.to_vec(), (self.config.uid, self.config.gid)),
        };
        let created = self.names.change(move |tx| create_in(tx, dir, &name, how, owner, receipt)).await?;
        match created {
            Created::Made(made) => {
                self.queue.wake();
                Ok(made)
            }
            Created::Existed(child, wanted, receipt) => {
                self.open_existing(dir, *child, wanted, receipt).await
            }
        }
    }

    /// UNCHECKED on a name that is there: the attributes are applied (a size of 0 empties it).
    async fn open_existing(
        &self,
        dir: FileId,
        child: Node,
        wanted: SetAttr,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made> {
        match child.kind {
            Kind::File => {}
            _ => {
                return Err(Error::new(
                    ErrorKind::Exists,
                    format!("{} exists already.", child.display_name()),
                ));
            }
        }
        let id = child.id;
        if let Some(size) = wanted.size {
            let only_size = SetAttr { size: Some(size), ..SetAttr::default() };
            self.setattr(id, only_size, None, None).await?;
        }
        let attr = self.getattr(id).await?;
        self.names
            .change(move |tx| {
                let folder = tx.live(dir)?;
                let made = Made { attr, dir: Change { before: folder.stamp(), after: folder.attr() } };
                tx.keep_receipt(receipt, &made)?;
                Ok(made)
            })
            .await
    }

    pub async fn mkdir(
        &self,
        dir: FileId,
        name: &[u8],
        wanted: SetAttr,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made> {
        self.prepare_change(dir, name).await?;
        let (name, owner) = (name.to_vec(), self.owner_of_new(&wanted));
        self.names
            .change(move |tx| {
                let (mut node, folder) = fresh(tx, dir, &name, Kind::Directory, owner)?;
                node.mode = wanted.mode.unwrap_or(0o755) & 0o7777;
                node.listed = true; // nothing of it is on the Hub
                set_wanted_times(&mut node, &wanted);
                finish_made(tx, node, folder, receipt)
            })
            .await
    }

    /// Kept with its target on this machine; a bucket has no symlinks.
    pub async fn symlink(
        &self,
        dir: FileId,
        name: &[u8],
        target: Vec<u8>,
        wanted: SetAttr,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made> {
        self.prepare_change(dir, name).await?;
        let (name, owner) = (name.to_vec(), self.owner_of_new(&wanted));
        self.names
            .change(move |tx| {
                let (mut node, folder) = fresh(tx, dir, &name, Kind::Symlink, owner)?;
                node.mode = wanted.mode.unwrap_or(0o777) & 0o7777;
                node.size = target.len() as u64;
                node.target = Some(target);
                set_wanted_times(&mut node, &wanted);
                finish_made(tx, node, folder, receipt)
            })
            .await
    }

    /// Everything here is one user's, unless owners are stored.
    fn owner_of_new(&self, wanted: &SetAttr) -> (u32, u32) {
        let (uid, gid) = (self.config.uid, self.config.gid);
        match self.config.stored_owners {
            true => (wanted.uid.unwrap_or(uid), wanted.gid.unwrap_or(gid)),
            false => (uid, gid),
        }
    }

    /// Removes a file or symlink. The Hub is told later, by the queue.
    pub async fn remove(&self, dir: FileId, name: &[u8], receipt: Option<Receipt<Change>>) -> Result<Change> {
        self.prepare_change(dir, name).await?;
        let removed = name.to_vec();
        let (change, id) = self
            .names
            .change(move |tx| {
                let child = tx.child(dir, &removed)?.ok_or_else(|| not_found(&removed))?;
                if child.kind == Kind::Directory {
                    return Err(Error::new(
                        ErrorKind::IsDirectory,
                        format!("{} is a folder.", child.display_name()),
                    ));
                }
                let before = tx.folder(dir)?.stamp();
                erase_file(tx, &child)?;
                let after = tx.touch_folder(dir)?.attr();
                let change = Change { before, after };
                tx.keep_receipt(receipt, &change)?;
                Ok((change, child.id))
            })
            .await?;
        self.departed.note(id, name);
        self.condemn(vec![id]).await;
        self.listings.reveal(&self.this()?, dir);
        self.queue.wake();
        Ok(change)
    }

    /// Removes a folder in which nothing is that a person would miss: Finder's litter goes with it, a live
    /// `.nfs…` file moves to the orphans (design.md promise 12).
    pub async fn rmdir(&self, dir: FileId, name: &[u8], receipt: Option<Receipt<Change>>) -> Result<Change> {
        self.prepare_change(dir, name).await?;
        if let Some(child) = self.names.ask(|db| query::child(db, dir, name))?
            && child.kind == Kind::Directory
        {
            self.listed_folder(child.id).await?;
        }
        let name = name.to_vec();
        let (change, gone) = self
            .names
            .change(move |tx| {
                let child = tx.child(dir, &name)?.ok_or_else(|| not_found(&name))?;
                let before = tx.folder(dir)?.stamp();
                let gone = erase_folder(tx, &child)?;
                let after = tx.touch_folder(dir)?.attr();
                let change = Change { before, after };
                tx.keep_receipt(receipt, &change)?;
                Ok((change, gone))
            })
            .await?;
        self.condemn(gone).await;
        self.queue.wake();
        Ok(change)
    }

    /// What every change of a name needs: a writable bucket, a possible name, a folder whose names are known.
    pub(super) async fn prepare_change(&self, dir: FileId, name: &[u8]) -> Result<Arc<Node>> {
        self.refuse_read_only()?;
        if name.len() > NAME_MAX {
            return Err(Error::new(ErrorKind::NameTooLong, "The name is longer than 255 bytes."));
        }
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) || name == b"." || name == b".." {
            return Err(Error::new(ErrorKind::Invalid, "This cannot be a name."));
        }
        let folder = self.live(dir)?;
        if folder.gone {
            return Err(Error::new(ErrorKind::NotFound, "This folder was deleted elsewhere."));
        }
        if litter::is_litter(name) && folder.kind == Kind::Directory {
            return Ok(folder); // Finder's own files never wait for the Hub
        }
        self.listed_folder(dir).await
    }

    /// A file deleted elsewhere is written to: it comes back beside where it was, under a marked name.
    pub(crate) async fn revive(&self, id: FileId) -> Result<Arc<Node>> {
        let kept_as = self
            .names
            .change(move |tx| {
                let mut node = tx.live(id)?;
                if !node.gone {
                    return Ok(None);
                }
                let parent = match tx.node(node.parent)? {
                    Some(parent) if !parent.gone && parent.kind == Kind::Directory => parent.id,
                    _ => crate::attr::ROOT,
                };
                let taken = tx.child(parent, &node.name)?;
                if taken.is_some() {
                    node.name = free_name(tx, parent, &node.name, "conflict")?;
                    node.key = None;
                }
                node.parent = parent;
                node.gone = false;
                node.place = Place::Nowhere;
                node.expect = None;
                tx.put(&node)?;
                if let Some(theirs) = taken {
                    let (path, kept_as) =
                        (query::shown_path(tx.db(), &theirs)?, query::shown_path(tx.db(), &node)?);
                    tx.keep_conflict(&path, &kept_as, id, theirs.id)?;
                }
                tx.touch_folder(parent)?;
                Ok(Some(node.display_name()))
            })
            .await?;
        let node = self.live(id)?;
        if let Some(kept_as) = kept_as {
            self.tell(crate::event::Event::Conflict { path: self.path_of(&node), kept_as });
        }
        Ok(node)
    }
}

/// What came of CREATE in its transaction.
enum Created {
    Made(Made),
    /// UNCHECKED, and the name is there: what is left to do with it.
    Existed(Box<Node>, SetAttr, Option<Receipt<Made>>),
}

fn create_in(
    tx: &mut Tx<'_>,
    dir: FileId,
    name: &[u8],
    how: Create,
    owner: (u32, u32),
    receipt: Option<Receipt<Made>>,
) -> Result<Created> {
    let folder = tx.folder(dir)?;
    match (how, tx.child(dir, name)?) {
        (_, None) => {}
        (Create::Unchecked(wanted), Some(child)) => {
            return Ok(Created::Existed(Box::new(child), wanted, receipt));
        }
        (Create::Exclusive(verifier), Some(child))
            if child.verifier == Some(verifier) && child.kind == Kind::File =>
        {
            let made =
                Made { attr: child.attr(), dir: Change { before: folder.stamp(), after: folder.attr() } };
            tx.keep_receipt(receipt, &made)?;
            return Ok(Created::Made(made));
        }
        (_, Some(child)) => return Err(exists(&child)),
    }
    let mut node = named(tx, &folder, name, Kind::File, owner)?;
    match how {
        Create::Unchecked(wanted) | Create::Guarded(wanted) => {
            node.mode = wanted.mode.unwrap_or(0o644) & 0o7777;
            set_wanted_times(&mut node, &wanted);
        }
        Create::Exclusive(verifier) => node.verifier = Some(verifier),
    }
    finish_made(tx, node, folder, receipt).map(Created::Made)
}

fn exists(child: &Node) -> Error {
    Error::new(ErrorKind::Exists, format!("{} exists already.", child.display_name()))
}

/// A new node under a free name, and its folder. Errors: `Exists`.
fn fresh(tx: &mut Tx<'_>, dir: FileId, name: &[u8], kind: Kind, owner: (u32, u32)) -> Result<(Node, Node)> {
    let folder = tx.folder(dir)?;
    match tx.child(dir, name)? {
        Some(child) => Err(exists(&child)),
        None => Ok((named(tx, &folder, name, kind, owner)?, folder)),
    }
}

fn named(tx: &mut Tx<'_>, folder: &Node, name: &[u8], kind: Kind, owner: (u32, u32)) -> Result<Node> {
    let mut node = tx.new_node(folder.id, name, kind, layer_for(folder, name))?;
    (node.uid, node.gid) = owner;
    node.expect = expected_at(tx, &node)?;
    Ok(node)
}

fn finish_made(
    tx: &mut Tx<'_>,
    node: Node,
    mut folder: Node,
    receipt: Option<Receipt<Made>>,
) -> Result<Made> {
    let before = folder.stamp();
    tx.put_new(&node)?;
    tx.touch(&mut folder)?;
    let made = Made { attr: node.attr(), dir: Change { before, after: folder.attr() } };
    tx.keep_receipt(receipt, &made)?;
    Ok(made)
}

fn set_wanted_times(node: &mut Node, wanted: &SetAttr) {
    if let Some(SetTime::To(mtime)) = wanted.mtime {
        node.mtime = mtime;
    }
    if let Some(SetTime::To(atime)) = wanted.atime {
        node.atime = atime;
    }
}

pub(super) fn layer_for(folder: &Node, name: &[u8]) -> Layer {
    if folder.layer == Layer::Local || litter::is_litter(name) { Layer::Local } else { Layer::Bucket }
}

/// What the Hub still holds where this node is going to be put: a file that was removed here a moment ago.
pub(super) fn expected_at(tx: &Tx<'_>, node: &Node) -> Result<Option<String>> {
    if !query::any_deletes(tx.db())? {
        return Ok(None);
    }
    match query::desired_place(tx.db(), node)? {
        Some(path) => Ok(query::delete_at(tx.db(), &path)?.and_then(|delete| delete.hash)),
        None => Ok(None),
    }
}

/// Takes a file or symlink away and notes the key to be deleted on the Hub.
pub(super) fn erase_file(tx: &mut Tx<'_>, node: &Node) -> Result<()> {
    tx.remember_removed(node, RemovedHow::Deleted)?;
    if let Some(path) = query::actual_place(tx.db(), node)? {
        tx.delete_later(&path, node.base.as_ref().map(|base| base.hash.as_str()))?;
    }
    if let Some(path) = query::desired_place(tx.db(), node)? {
        tx.abandon(&path)?;
    }
    tx.erase(node.id)
}

/// Takes an empty folder away; litter does not count. Returns the ids whose staged copies are to go.
pub(super) fn erase_folder(tx: &mut Tx<'_>, folder: &Node) -> Result<Vec<FileId>> {
    if folder.kind != Kind::Directory {
        return Err(Error::new(
            ErrorKind::NotDirectory,
            format!("{} is not a folder.", folder.display_name()),
        ));
    }
    let children = tx.all_children(folder.id)?;
    if children.iter().any(|child| !goes_with_its_folder(child)) {
        return Err(Error::new(ErrorKind::NotEmpty, format!("{} is not empty.", folder.display_name())));
    }
    let mut gone = Vec::new();
    for child in children {
        take_along(tx, child, &mut gone)?;
    }
    tx.erase(folder.id)?;
    Ok(gone)
}

fn goes_with_its_folder(child: &Node) -> bool {
    child.layer == Layer::Local || (litter::is_litter(&child.name) && child.kind != Kind::Directory)
}

fn take_along(tx: &mut Tx<'_>, mut child: Node, gone: &mut Vec<FileId>) -> Result<()> {
    if litter::is_silly(&child.name) {
        // Somebody has it open; its last close will remove it by handle and new name.
        child.parent = ORPHANS;
        child.name = format!("{}.{}", child.display_name(), child.id).into_bytes();
        return tx.put(&child);
    }
    if child.kind == Kind::Directory {
        for inner in tx.all_children(child.id)? {
            take_along(tx, inner, gone)?;
        }
        return tx.erase(child.id);
    }
    gone.push(child.id);
    erase_file(tx, &child)
}

/// `NAME (mark DATE).EXT`, with a number when that is taken too.
pub(crate) fn free_name(tx: &Tx<'_>, parent: FileId, name: &[u8], mark: &str) -> Result<Vec<u8>> {
    let text = String::from_utf8_lossy(name).into_owned();
    let (stem, extension) = match text.rfind('.') {
        Some(dot) if dot > 0 && text.len() - dot <= 16 => text.split_at(dot),
        _ => (text.as_str(), ""),
    };
    let seconds = Timestamp::now().0.div_euclid(1_000_000_000);
    let date = chrono::DateTime::from_timestamp(seconds, 0)
        .map_or_else(|| seconds.to_string(), |date| date.format("%Y-%m-%d %H.%M.%S").to_string());
    for number in 1..1000 {
        let suffix =
            if number == 1 { format!(" ({mark} {date})") } else { format!(" ({mark} {date} {number})") };
        let mut cut = stem.len().min(NAME_MAX.saturating_sub(suffix.len() + extension.len()));
        while !stem.is_char_boundary(cut) {
            cut -= 1;
        }
        let candidate = format!("{}{suffix}{extension}", &stem[..cut]).into_bytes();
        if tx.child(parent, &candidate)?.is_none() {
            return Ok(candidate);
        }
    }
    Err(Error::new(ErrorKind::Exists, format!("There are too many copies of {text}.")))
}

pub(super) fn not_found(name: &[u8]) -> Error {
    Error::new(ErrorKind::NotFound, format!("There is no {}.", String::from_utf8_lossy(name)))
}
