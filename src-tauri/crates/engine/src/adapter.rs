//! A bucket's file system as the NFS server wants it: words translated, waits bounded, failures given the
//! attributes their replies have room for. Its only state is how long the kernel has waited for what.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bucketfs::{BucketFs, Change, ErrorKind, FileId, ROOT};
use bytes::Bytes;
use nfs::FileSystem;
use nfs::file_system::{
    CallKey, Committed, CreateHow, DirEntry, DirPage, Failure, Found, Made, ReadData, Receipt, Renamed,
    Space, Stable, Wcc, Written,
};
use nfs::types::{fattr3, nfsstat3, nfstime3, sattr3};

use crate::convert;
use crate::notices::Notices;
use crate::status_table::nfs_status;
use crate::waits::{Thing, Waits};

/// How long READ, LOOKUP and READDIR may wait for the Hub before the kernel is told to ask again; the fetch
/// goes on meanwhile (design.md promise 16). Changes of names wait as long for the listing of their folder.
const WAIT_FOR_HUB: Duration = Duration::from_secs(3);
/// The same while the Hub is known to be out of reach: long enough to notice that it is back.
const WAIT_OFFLINE: Duration = Duration::from_millis(500);

/// More than any bucket will have; bounded so that no client's arithmetic overflows.
const FILES: u64 = 1 << 32;

/// [`BucketFs`] behind [`nfs::FileSystem`].
pub struct Adapter {
    fs: Arc<BucketFs>,
    fsid: u64,
    notices: Arc<Notices>,
    waits: Waits,
}

impl Adapter {
    pub fn new(fs: Arc<BucketFs>, notices: Arc<Notices>) -> Self {
        Adapter { fsid: fs.fsid(), fs, notices, waits: Waits::default() }
    }

    /// `work`, which waits for `thing`, within the budget of a call that may wait for the Hub; else
    /// [`ErrorKind::Slow`], and after a minute of that, or at once while the Hub is known to be out of reach,
    /// [`ErrorKind::Offline`].
    async fn in_time<T>(
        &self,
        thing: Thing,
        work: impl Future<Output = bucketfs::Result<T>>,
    ) -> bucketfs::Result<T> {
        let offline = self.fs.offline_cause();
        let budget = if offline.is_some() { WAIT_OFFLINE } else { WAIT_FOR_HUB };
        match (tokio::time::timeout(budget, work).await, offline) {
            (Ok(Err(error)), _) if error.kind == ErrorKind::Slow => Err(self.waits.still(thing)),
            (Ok(done), _) => {
                self.waits.over(thing);
                done
            }
            (Err(_), Some(cause)) => Err(bucketfs::Error::new(ErrorKind::Offline, cause)),
            (Err(_), None) => Err(self.waits.still(thing)),
        }
    }

    /// What a change of `name` needs to know of its folder; only waiting for it can fail here, whatever else is
    /// wrong is said by the change.
    async fn names_known(&self, dir: u64, name: &[u8], inside: bool) -> Result<(), Failure> {
        match self.in_time(Thing::Names(dir), self.fs.know_names(FileId(dir), name, inside)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failure(dir, &error).await),
        }
    }

    fn status(&self, id: u64, error: &bucketfs::Error) -> nfsstat3 {
        tracing::debug!(file = id, kind = ?error.kind, "{error}");
        self.notices.remember_cause(id, error);
        nfs_status(error.kind)
    }

    /// The failure of a call on `id`, with its attributes when they can be had.
    async fn failure(&self, id: u64, error: &bucketfs::Error) -> Failure {
        Failure { status: self.status(id, error), wcc: self.now(id).await, to_wcc: Wcc::default() }
    }

    /// Attributes as they are now; nothing for what is gone.
    async fn now(&self, id: u64) -> Wcc {
        let attr = self.fs.getattr(FileId(id)).await.ok();
        Wcc { before: None, after: attr.map(|attr| convert::attributes(&attr, self.fsid)) }
    }

    fn change_receipt(&self, receipt: Option<Receipt<Wcc>>) -> Option<bucketfs::Receipt<Change>> {
        let fsid = self.fsid;
        receipt.map(|receipt| {
            bucketfs::Receipt::new(receipt.key.to_vec(), move |change: &Change| {
                receipt.encode(&convert::wcc(change, fsid))
            })
        })
    }

    fn made_receipt(&self, receipt: Option<Receipt<Made>>) -> Option<bucketfs::Receipt<bucketfs::Made>> {
        let fsid = self.fsid;
        receipt.map(|receipt| {
            bucketfs::Receipt::new(receipt.key.to_vec(), move |made: &bucketfs::Made| {
                receipt.encode(&convert::made(made, fsid))
            })
        })
    }

    fn renamed_receipt(
        &self,
        receipt: Option<Receipt<Renamed>>,
    ) -> Option<bucketfs::Receipt<bucketfs::Renamed>> {
        let fsid = self.fsid;
        receipt.map(|receipt| {
            bucketfs::Receipt::new(receipt.key.to_vec(), move |renamed: &bucketfs::Renamed| {
                receipt.encode(&convert::renamed(renamed, fsid))
            })
        })
    }

    async fn made(&self, dir: u64, result: bucketfs::Result<bucketfs::Made>) -> Result<Made, Failure> {
        match result {
            Ok(made) => Ok(convert::made(&made, self.fsid)),
            Err(error) => Err(self.failure(dir, &error).await),
        }
    }

    async fn changed(&self, id: u64, result: bucketfs::Result<Change>) -> Result<Wcc, Failure> {
        match result {
            Ok(change) => Ok(convert::wcc(&change, self.fsid)),
            Err(error) => Err(self.failure(id, &error).await),
        }
    }
}

impl FileSystem for Adapter {
    fn root(&self) -> u64 {
        ROOT.0
    }

    async fn getattr(&self, id: u64) -> Result<fattr3, nfsstat3> {
        match self.fs.getattr(FileId(id)).await {
            Ok(attr) => Ok(convert::attributes(&attr, self.fsid)),
            Err(error) => Err(self.status(id, &error)),
        }
    }

    async fn setattr(
        &self,
        id: u64,
        change: sattr3,
        guard: Option<nfstime3>,
        receipt: Option<Receipt<Wcc>>,
    ) -> Result<Wcc, Failure> {
        let change = convert::set_attributes(&change).map_err(Failure::from)?;
        let guard = match guard.map(convert::timestamp) {
            Some(None) => return Err(nfsstat3::NFS3ERR_INVAL.into()),
            Some(time) => time,
            None => None,
        };
        let receipt = self.change_receipt(receipt);
        let result = self.fs.setattr(FileId(id), change, guard, receipt).await;
        self.changed(id, result).await
    }

    async fn lookup(&self, dir: u64, name: Vec<u8>) -> Result<(Found, Option<fattr3>), Failure> {
        match self.in_time(Thing::Names(dir), self.fs.lookup(FileId(dir), &name)).await {
            Ok(attr) => Ok((convert::found(&attr, self.fsid), self.now(dir).await.after)),
            Err(error) => Err(self.failure(dir, &error).await),
        }
    }

    async fn readlink(&self, id: u64) -> Result<(Vec<u8>, Option<fattr3>), Failure> {
        match self.fs.readlink(FileId(id)).await {
            Ok(target) => Ok((target, self.now(id).await.after)),
            Err(error) => Err(self.failure(id, &error).await),
        }
    }

    async fn read(&self, id: u64, offset: u64, count: u32) -> Result<ReadData, Failure> {
        match self.in_time(Thing::Bytes(id, offset), self.fs.read(FileId(id), offset, count)).await {
            Ok(read) => {
                let attr = Some(convert::attributes(&read.attr, self.fsid));
                Ok(ReadData { data: read.data, eof: read.eof, attr })
            }
            Err(error) => Err(self.failure(id, &error).await),
        }
    }

    async fn write(&self, id: u64, offset: u64, data: Bytes, stable: Stable) -> Result<Written, Failure> {
        let durable = stable != Stable::Unstable;
        match self.fs.write(FileId(id), offset, data, durable).await {
            Ok(write) => Ok(Written {
                count: write.count,
                committed: if write.durable { Stable::FileSync } else { Stable::Unstable },
                verifier: write.verifier.to_be_bytes(),
                wcc: convert::wcc(&write.change, self.fsid),
            }),
            Err(error) => Err(self.failure(id, &error).await),
        }
    }

    async fn commit(&self, id: u64, offset: u64, count: u32) -> Result<Committed, Failure> {
        match self.fs.commit(FileId(id), offset, count).await {
            // A commit changes no attribute: what it is after is what it was before.
            Ok(commit) => {
                let change = Change { before: commit.attr.stamp(), after: commit.attr };
                let wcc = convert::wcc(&change, self.fsid);
                Ok(Committed { verifier: commit.verifier.to_be_bytes(), wcc })
            }
            Err(error) => Err(self.failure(id, &error).await),
        }
    }

    async fn create(
        &self,
        dir: u64,
        name: Vec<u8>,
        how: CreateHow,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        let how = match how {
            CreateHow::Unchecked(attr) => bucketfs::Create::Unchecked(convert::set_attributes(&attr)?),
            CreateHow::Guarded(attr) => bucketfs::Create::Guarded(convert::set_attributes(&attr)?),
            CreateHow::Exclusive(verifier) => bucketfs::Create::Exclusive(verifier),
        };
        self.names_known(dir, &name, false).await?;
        let receipt = self.made_receipt(receipt);
        let result = self.fs.create(FileId(dir), &name, how, receipt).await;
        self.made(dir, result).await
    }

    async fn mkdir(
        &self,
        dir: u64,
        name: Vec<u8>,
        attr: sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        let attr = convert::set_attributes(&attr)?;
        self.names_known(dir, &name, false).await?;
        let receipt = self.made_receipt(receipt);
        let result = self.fs.mkdir(FileId(dir), &name, attr, receipt).await;
        self.made(dir, result).await
    }

    async fn symlink(
        &self,
        dir: u64,
        name: Vec<u8>,
        target: Vec<u8>,
        attr: sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        let attr = convert::set_attributes(&attr)?;
        self.names_known(dir, &name, false).await?;
        let receipt = self.made_receipt(receipt);
        let result = self.fs.symlink(FileId(dir), &name, target, attr, receipt).await;
        self.made(dir, result).await
    }

    async fn remove(&self, dir: u64, name: Vec<u8>, receipt: Option<Receipt<Wcc>>) -> Result<Wcc, Failure> {
        self.names_known(dir, &name, false).await?;
        let receipt = self.change_receipt(receipt);
        let result = self.fs.remove(FileId(dir), &name, receipt).await;
        self.changed(dir, result).await
    }

    async fn rmdir(&self, dir: u64, name: Vec<u8>, receipt: Option<Receipt<Wcc>>) -> Result<Wcc, Failure> {
        self.names_known(dir, &name, true).await?;
        let receipt = self.change_receipt(receipt);
        let result = self.fs.rmdir(FileId(dir), &name, receipt).await;
        self.changed(dir, result).await
    }

    async fn rename(
        &self,
        from_dir: u64,
        from_name: Vec<u8>,
        to_dir: u64,
        to_name: Vec<u8>,
        receipt: Option<Receipt<Renamed>>,
    ) -> Result<Renamed, Failure> {
        self.names_known(from_dir, &from_name, false).await?;
        self.names_known(to_dir, &to_name, true).await?;
        let receipt = self.renamed_receipt(receipt);
        let (from, to) = (FileId(from_dir), FileId(to_dir));
        match self.fs.rename(from, &from_name, to, &to_name, receipt).await {
            Ok(renamed) => Ok(convert::renamed(&renamed, self.fsid)),
            Err(error) => {
                let failure = self.failure(from_dir, &error).await;
                Err(Failure { to_wcc: self.now(to_dir).await, ..failure })
            }
        }
    }

    async fn readdir(
        &self,
        dir: u64,
        cookie: u64,
        limit: usize,
        with_attr: bool,
    ) -> Result<DirPage, Failure> {
        match self.in_time(Thing::Names(dir), self.fs.readdir(FileId(dir), cookie, limit)).await {
            Ok(page) => {
                let entry = |entry: bucketfs::Entry| DirEntry {
                    id: entry.attr.id.0,
                    attr: with_attr.then(|| convert::attributes(&entry.attr, self.fsid)),
                    name: entry.name,
                    cookie: entry.cookie,
                };
                let dir_attr = Some(convert::attributes(&page.dir, self.fsid));
                Ok(DirPage {
                    entries: page.entries.into_iter().map(entry).collect(),
                    end: page.end,
                    dir_attr,
                })
            }
            Err(error) => Err(self.failure(dir, &error).await),
        }
    }

    async fn space(&self) -> Result<Space, nfsstat3> {
        match self.fs.space() {
            Ok(space) => Ok(Space {
                total_bytes: space.total,
                free_bytes: space.free,
                available_bytes: space.available,
                total_files: space.files.saturating_add(FILES),
                free_files: FILES,
                available_files: FILES,
            }),
            Err(error) => Err(self.status(ROOT.0, &error)),
        }
    }

    fn read_only(&self) -> bool {
        self.fs.read_only()
    }

    fn stored_replies(&self) -> Vec<(CallKey, Vec<u8>)> {
        let known = |(key, reply): (Vec<u8>, Vec<u8>)| Some((CallKey::try_from(key).ok()?, reply));
        self.fs.stored_replies().into_iter().filter_map(known).collect()
    }
}
