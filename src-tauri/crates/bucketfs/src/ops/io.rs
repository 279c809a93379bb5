//! READ, WRITE and COMMIT.

use std::sync::Arc;

use bytes::Bytes;

use super::attributes::{MAX_SIZE, merge_staged, refused};
use crate::attr::{Attr, Change, FileId, Kind, Stamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::names::{Layer, Node};
use crate::staging::{Birth, Layout, MOST_ROTATIONS, Moved, ReadPiece, Refusal, Staged};

/// Success of [`BucketFs::read`].
#[derive(Debug, Clone)]
pub struct Read {
    pub data: Vec<Bytes>,
    pub eof: bool,
    pub attr: Attr,
}

/// Success of [`BucketFs::write`].
#[derive(Debug, Clone, Copy)]
pub struct Write {
    pub count: u32,
    /// On stable storage on return.
    pub durable: bool,
    /// The verifier of the epoch in which the bytes were taken.
    pub verifier: u64,
    pub change: Change,
}

/// Success of [`BucketFs::commit`].
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    pub verifier: u64,
    pub attr: Attr,
}

/// How often an operation looks a file up again whose staged copy was given up under it.
const TRIES: usize = 8;

impl BucketFs {
    /// Bytes `offset..offset + count`, cut at the end of the file: local edits from the staged copy, the rest
    /// from the block cache or the Hub. Waits for the Hub; the caller bounds that and may drop the future.
    pub async fn read(&self, id: FileId, offset: u64, count: u32) -> Result<Read> {
        for _ in 0..TRIES {
            let node = self.live(id)?;
            match node.kind {
                Kind::File => {}
                Kind::Directory => return Err(Error::new(ErrorKind::IsDirectory, "This is a folder.")),
                Kind::Symlink => return Err(Error::new(ErrorKind::Invalid, "This is a symbolic link.")),
            }
            let range = offset..offset.saturating_add(u64::from(count));
            let Some(staged) = self.staging.get(id) else {
                return self.read_clean(&node, range).await;
            };
            let name = node.clone();
            match blocking(move || Ok(staged.read(range))).await? {
                Ok(plan) => {
                    let mut data = Vec::with_capacity(plan.pieces.len());
                    for piece in plan.pieces {
                        match piece {
                            ReadPiece::Bytes(bytes) => data.push(bytes),
                            ReadPiece::Base(base, range) => {
                                data.extend(self.content.read(&base.hash, base.size, range).await?);
                            }
                        }
                    }
                    let mut attr = node.attr();
                    merge_staged(&mut attr, plan.size, plan.mtime);
                    let eof = offset.saturating_add(u64::from(count)) >= plan.size;
                    return Ok(Read { data, eof, attr });
                }
                Err(Refusal::Retired) => continue,
                Err(refusal) => return Err(refused(refusal, &name.display_name())),
            }
        }
        Err(Error::new(ErrorKind::Slow, "This file is being given up and taken back."))
    }

    async fn read_clean(&self, node: &Node, range: std::ops::Range<u64>) -> Result<Read> {
        let attr = node.attr();
        let end = range.end.min(node.size);
        let eof = range.end >= node.size;
        let data = match &node.base {
            Some(base) if range.start < end => {
                self.content.read(&base.hash, base.size, range.start..end).await?
            }
            _ => Vec::new(),
        };
        Ok(Read { data, eof, attr })
    }

    /// Takes `data` at `offset`. On return the bytes and the extent that locates them survive kill -9; with
    /// `durable` they are on stable storage. A failure leaves a hole and is told out of band;
    /// `Slow` is none: nothing was taken, the client sends again.
    pub async fn write(&self, id: FileId, offset: u64, data: Bytes, durable: bool) -> Result<Write> {
        self.refuse_read_only()?;
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > MAX_SIZE) {
            return Err(Error::new(ErrorKind::TooBig, "This file cannot be that large."));
        }
        let range = offset..offset + data.len() as u64;
        // Before the bytes are taken: should a sync fail meanwhile, the client sends them again.
        let verifier = self.write_verifier();
        for _ in 0..TRIES {
            let node = self.live(id)?;
            if node.kind != Kind::File {
                return Err(Error::new(ErrorKind::IsDirectory, "This is not a file."));
            }
            let promise = match self.promise_space(id, offset, data.len() as u64).await {
                Ok(promise) => promise,
                Err(error) if error.kind == ErrorKind::Slow => return Err(error), // the client keeps its bytes
                Err(error) => return Err(self.write_failed(&node, range, error).await),
            };
            let (known, fs) = match self.known_staged(&node).await {
                Ok(known) => known,
                Err(error) => return Err(self.write_failed(&node, range, error).await),
            };
            let (bytes, id) = (data.clone(), node.id);
            // One turn on a blocking thread, also for the first WRITE, which makes the copy.
            let outcome = blocking(move || {
                let staged = match known {
                    Some(staged) => staged,
                    None => match fs.make_staged(id) {
                        Ok(staged) => staged,
                        Err(error) => return Ok(Err(error)),
                    },
                };
                let outcome = staged.write(offset, &bytes, durable);
                drop(promise); // the file system counts them now
                Ok(Ok(outcome))
            })
            .await?;
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => return Err(self.write_failed(&node, range, error).await),
            };
            match outcome {
                Ok(moved) => {
                    if durable && let Err(error) = self.sync_names().await {
                        // The bytes are safe, the name that leads to them may not be. The client throws them
                        // away and may keep the error from the program: as with every failed WRITE, a hole.
                        return Err(self.write_failed(&node, range, error).await);
                    }
                    self.queue.wake();
                    let change = file_change(&node, moved);
                    return Ok(Write { count: data.len() as u32, durable, verifier, change });
                }
                Err(Refusal::Retired) => continue,
                Err(refusal) => {
                    let error = refused(refusal, &self.path_of(&node)); // its hole is there already
                    self.tell_write_failed(&node, &error);
                    return Err(error);
                }
            }
        }
        Err(Error::new(ErrorKind::Slow, "This file is being given up and taken back."))
    }

    /// A WRITE is answered with an error: its range is a hole from now on, and a person is told.
    async fn write_failed(&self, node: &Node, range: std::ops::Range<u64>, error: Error) -> Error {
        let (staging, id) = (self.staging.clone(), node.id);
        let full = error.kind == ErrorKind::NoSpace;
        let _ = blocking(move || {
            staging.refuse(id, range, full);
            Ok(())
        })
        .await;
        self.tell_write_failed(node, &error);
        error
    }

    fn tell_write_failed(&self, node: &Node, error: &Error) {
        let full = error.kind == ErrorKind::NoSpace;
        self.tell(Event::WriteFailed { path: self.path_of(node), cause: error.to_string(), full });
    }

    /// "Safe on this disk": data, extents and all names acknowledged before are on stable storage when the
    /// verifier in the answer is the one the writes were answered with. A failed sync begins a new epoch
    /// and is answered with its verifier, so that the client sends everything again (promise 3).
    ///
    /// Errors: `LocalDisk` while a failed write has left a hole, and when syncing failed several times in a row:
    /// a disk that stays broken is an error, not one rotation after the other.
    pub async fn commit(&self, id: FileId, _offset: u64, _count: u32) -> Result<Commit> {
        let node = self.live(id)?;
        if let Some(staged) = self.staging.get(id) {
            match blocking(move || Ok(staged.commit())).await? {
                Ok(()) | Err(Refusal::Retired) => {}
                Err(hole @ (Refusal::Hole | Refusal::HoleForWantOfRoom)) => {
                    return Err(refused(hole, &self.path_of(&node)));
                }
                Err(Refusal::Disk(error)) => {
                    self.tell_sync_failed(&node, &error.to_string());
                    return Ok(self.committed(&node));
                }
                Err(Refusal::Lost(error)) => {
                    self.tell_sync_failed(&node, &error.to_string());
                    return Err(refused(Refusal::Lost(error), &self.path_of(&node)));
                }
            }
        } else if let Some(hole) = self.staging.refused.hole_of(id) {
            return Err(refused(hole, &self.path_of(&node)));
        }
        if let Err(error) = self.sync_names().await {
            self.staging.new_epoch();
            self.tell_sync_failed(&node, &error.to_string());
            if self.names.failed_syncs() > MOST_ROTATIONS {
                return Err(error);
            }
            return Ok(self.committed(&node));
        }
        self.queue.wake();
        Ok(self.committed(&node))
    }

    /// The verifier as it is after the sync: see `staging/epoch.rs`.
    fn committed(&self, node: &Node) -> Commit {
        Commit { verifier: self.write_verifier(), attr: self.attr_of(node) }
    }

    fn tell_sync_failed(&self, node: &Node, cause: &str) {
        self.tell(Event::SyncToDiskFailed { path: self.path_of(node), cause: cause.to_owned() });
    }

    /// The file's staged copy, made from the Hub's content if it has none. No byte is downloaded.
    pub(crate) async fn staged_for_change(&self, node: &Arc<Node>) -> Result<Arc<Staged>> {
        match self.known_staged(node).await? {
            (Some(staged), _) => Ok(staged),
            (None, fs) => {
                let id = node.id;
                blocking(move || fs.make_staged(id)).await
            }
        }
    }

    /// The staged copy there is, of a file that is where it can be changed.
    async fn known_staged(&self, node: &Arc<Node>) -> Result<(Option<Arc<Staged>>, Arc<BucketFs>)> {
        if node.gone {
            self.revive(node.id).await?;
        }
        Ok((self.staging.get(node.id), self.this()?))
    }

    /// Blocks on the local disk.
    fn make_staged(&self, id: FileId) -> Result<Arc<Staged>> {
        self.staging.get_or_create(id, || {
            // As it is now: the copy there was may just have been given up, and its content is another's base.
            let node = self.live(id)?;
            let birth = Birth {
                id,
                path: self.path_of(&node),
                mode: node.mode,
                local: node.layer == Layer::Local,
                base_hash: node.base.as_ref().map(|base| base.hash.clone()),
                base_size: node.base.as_ref().map_or(0, |base| base.size),
                boot: self.config.boot.clone(),
            };
            Ok((birth, Layout::of_base(node.base.clone(), node.size, node.mtime)))
        })
    }
}

pub(crate) fn file_change(node: &Node, moved: Moved) -> Change {
    let before = Stamp { size: moved.before.0, mtime: moved.before.1, ctime: node.ctime.max(moved.before.1) };
    let mut after = node.attr();
    merge_staged(&mut after, moved.after.0, moved.after.1);
    Change { before, after }
}
