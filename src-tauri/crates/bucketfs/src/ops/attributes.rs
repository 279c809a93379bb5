//! GETATTR and SETATTR.

use std::sync::Arc;

use crate::attr::{Attr, Change, FileId, Kind, SetAttr, SetTime, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::names::Node;
use crate::receipt::Receipt;
use crate::staging::{Refusal, Staged};

/// Largest file: what both kernels and the Hub's sizes can express.
pub const MAX_SIZE: u64 = i64::MAX as u64;

impl BucketFs {
    /// Attributes as of now: the stored row, and for a staged file the size and time of its layout.
    pub async fn getattr(&self, id: FileId) -> Result<Attr> {
        let node = self.live(id)?;
        if node.kind == Kind::Directory {
            self.listings.looked_at(self, &node);
        }
        Ok(self.attr_of(&node))
    }

    pub async fn kind(&self, id: FileId) -> Result<Kind> {
        Ok(self.live(id)?.kind)
    }

    pub(crate) fn attr_of(&self, node: &Node) -> Attr {
        self.as_staged(node.attr())
    }

    /// A row's attributes, with size and time of its staged copy where there is one.
    pub(crate) fn as_staged(&self, mut attr: Attr) -> Attr {
        if attr.kind == Kind::File
            && let Some(staged) = self.staging.get(attr.id)
        {
            let (size, mtime) = staged.with_layout(|layout| (layout.size, layout.mtime));
            merge_staged(&mut attr, size, mtime);
        }
        attr
    }

    /// Changes attributes. A new size takes effect on the staged copy, which is made if need be.
    ///
    /// Errors: `GuardMismatch`; `LocalDisk` while a failed write has left a hole and the change is not a
    /// size of 0 (macos-nfs.md B3: this is the one answer a Mac's program surely hears).
    pub async fn setattr(
        &self,
        id: FileId,
        change: SetAttr,
        guard: Option<Timestamp>,
        receipt: Option<Receipt<Change>>,
    ) -> Result<Change> {
        self.refuse_read_only()?;
        let node = self.live(id)?;
        let before = self.attr_of(&node);
        if guard.is_some_and(|guard| guard != before.ctime) {
            return Err(Error::new(
                ErrorKind::GuardMismatch,
                format!("{} changed meanwhile.", self.path_of(&node)),
            ));
        }
        self.check_owner(&node, &change)?;
        if let Some(size) = change.size {
            self.resize(&node, size).await?;
        } else if empties_for_linux(&change) && before.size == 0 && before.kind == Kind::File {
            self.heal_empty(&node).await?;
        }
        let mtime = self.set_times(&node, &change).await?;
        let staged = self.staging.get(id);
        let after = self
            .names
            .change(move |tx| {
                let mut node = tx.live(id)?;
                node.uid = change.uid.unwrap_or(node.uid);
                node.gid = change.gid.unwrap_or(node.gid);
                node.mode = change.mode.map_or(node.mode, |mode| mode & 0o7777);
                node.atime = change.atime.map_or(node.atime, |time| resolve(time, node.atime));
                if let (Some(mtime), None) = (mtime, &staged) {
                    node.mtime = mtime;
                }
                node.ctime = Timestamp::after(before.ctime.max(node.ctime));
                tx.put(&node)?;
                let mut after = node.attr();
                if let Some(staged) = &staged {
                    let (size, mtime) = staged.with_layout(|layout| (layout.size, layout.mtime));
                    merge_staged(&mut after, size, mtime);
                }
                let change = Change { before: before.stamp(), after };
                tx.keep_receipt(receipt, &change)?;
                Ok(change)
            })
            .await?;
        Ok(after)
    }

    /// A file that is empty because a WRITE to it failed is opened to be written anew: as a size of 0 does, this heals
    /// its hole.
    async fn heal_empty(&self, node: &Arc<Node>) -> Result<()> {
        let hole = match self.staging.get(node.id) {
            Some(staged) => staged.with_layout(|layout| !layout.holes.is_empty()),
            None => self.staging.refused.has(node.id),
        };
        if hole { self.resize(node, 0).await } else { Ok(()) }
    }

    /// The bucket has one owner here: chown to oneself is fine, to others it is refused (but in tests of many users).
    fn check_owner(&self, node: &Node, change: &SetAttr) -> Result<()> {
        let same =
            change.uid.is_none_or(|uid| uid == node.uid) && change.gid.is_none_or(|gid| gid == node.gid);
        if same || self.config.stored_owners {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Access,
            format!("{} cannot change its owner: a bucket has none.", self.path_of(node)),
        ))
    }

    async fn set_times(&self, node: &Arc<Node>, change: &SetAttr) -> Result<Option<Timestamp>> {
        let Some(time) = change.mtime else { return Ok(None) };
        let mtime = resolve(time, node.mtime);
        if let Some(staged) = self.staging.get(node.id) {
            let name = self.path_of(node);
            self.on_staged(node, staged, move |staged| staged.set_mtime(mtime), &name).await?;
        } else if let Some(hole) = self.staging.refused.hole_of(node.id) {
            return Err(refused(hole, &self.path_of(node)));
        }
        Ok(Some(mtime))
    }

    async fn resize(&self, node: &Arc<Node>, size: u64) -> Result<()> {
        if node.kind != Kind::File {
            return Err(Error::new(ErrorKind::IsDirectory, format!("{} is not a file.", self.path_of(node))));
        }
        if size > MAX_SIZE {
            return Err(Error::new(
                ErrorKind::TooBig,
                format!("{} cannot be that large.", self.path_of(node)),
            ));
        }
        let staged = self.staged_for_change(node).await?;
        let name = self.path_of(node);
        self.on_staged(node, staged, move |staged| staged.resize(size), &name).await?;
        self.queue.wake();
        Ok(())
    }

    /// Runs an operation on the staged copy; one that was given up meanwhile is staged anew, once.
    async fn on_staged<T: Send + 'static>(
        &self,
        node: &Arc<Node>,
        staged: Arc<Staged>,
        operation: impl Fn(&Staged) -> std::result::Result<T, Refusal> + Clone + Send + 'static,
        name: &str,
    ) -> Result<T> {
        let mut staged = staged;
        for _ in 0..8 {
            let (run, on) = (operation.clone(), staged.clone());
            match blocking(move || Ok(run(&on))).await? {
                Ok(done) => return Ok(done),
                Err(Refusal::Retired) => staged = self.staged_for_change(node).await?,
                Err(refusal) => return Err(refused(refusal, name)),
            }
        }
        Err(Error::new(ErrorKind::Slow, format!("{name} is being given up and taken back.")))
    }
}

/// Linux's client leaves a size out that the file has already (fs/nfs/inode.c, `nfs_setattr`), so of `open(O_TRUNC)` of
/// an empty file only "mtime is now" comes; `touch` sets both times. Apple's sends the size.
fn empties_for_linux(change: &SetAttr) -> bool {
    let only_this = SetAttr { mtime: Some(SetTime::ToNow), ..SetAttr::default() };
    cfg!(target_os = "linux") && *change == only_this
}

/// What a refusal of the staged copy means to the caller.
pub(crate) fn refused(refusal: Refusal, name: &str) -> Error {
    match refusal {
        Refusal::Disk(error) => Error::disk(format!("writing {name}"), &error),
        Refusal::Lost(error) => Error::new(
            ErrorKind::LocalDisk,
            format!("The local disk failed again and again to keep {name} ({error})."),
        )
        .advise("Check the disk that holds BucketBar's state, then copy the file again."),
        Refusal::Hole => Error::new(
            ErrorKind::LocalDisk,
            format!("An earlier write to {name} failed, so a part of it is missing."),
        )
        .advise("Copy the file again."),
        Refusal::HoleForWantOfRoom => Error::new(
            ErrorKind::NoSpace,
            format!("A part of {name} is missing: the disk was full when it was written."),
        )
        .advise("Free some space and copy the file again."),
        Refusal::Retired => Error::new(ErrorKind::Slow, format!("{name} is being given up and taken back.")),
    }
}

pub(crate) fn merge_staged(attr: &mut Attr, size: u64, mtime: Timestamp) {
    attr.size = size;
    attr.mtime = mtime;
    attr.ctime = attr.ctime.max(mtime);
}

fn resolve(time: SetTime, last: Timestamp) -> Timestamp {
    match time {
        SetTime::ToNow => Timestamp::after(last),
        SetTime::To(time) => time,
    }
}
