//! What the server asks of a file system.
//!
//! The server knows records, RPC and the 22 procedures; it knows no bucket. Everything behind a handle is
//! a [`FileSystem`]. The RFC 1813 types are `nfsserve`'s, re-exported in [`crate::types`].
//!
//! Rules every implementation keeps (design.md part 3, macos-nfs.md part 0):
//! * a `fileid` names one object of one type for ever and is never reused (the handle carries the type of
//!   [`Found::attr`], so that a call on the wrong type is refused before it gets here);
//! * `NFS3ERR_STALE` only for an object that is gone for good;
//! * [`Wcc::before`] and [`Wcc::after`] are taken in one step with the change;
//! * a call may be cancelled by dropping its future only before it changed anything: the server never
//!   drops the future of a mutation (WRITE and COMMIT among them);
//! * any number of calls run at once, some of them polled by the task that reads the connection: a method
//!   must not block its thread, slow disk work belongs on `spawn_blocking`.

use std::future::Future;

use bytes::Bytes;

use crate::types::{createverf3, fattr3, nfsstat3, nfstime3, sattr3, wcc_attr, writeverf3};

/// The stored, never reused number of a file (RFC 1813 `fileid3`).
pub type FileId = u64;

/// Weak cache consistency data of one object (RFC 1813 2.6 `wcc_data`).
#[derive(Debug, Clone, Default)]
pub struct Wcc {
    /// Size, mtime and ctime just before the change; mtime equals the last one given for the object.
    pub before: Option<wcc_attr>,
    /// All attributes just after the change.
    pub after: Option<fattr3>,
}

/// A call that failed, with what the reply still has room for.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status on the wire; never `NFS3_OK`.
    pub status: nfsstat3,
    /// wcc data (or just post-op attributes in `after`) of the object or directory of the call.
    pub wcc: Wcc,
    /// RENAME only: wcc data of the target directory.
    pub to_wcc: Wcc,
}

impl From<nfsstat3> for Failure {
    fn from(status: nfsstat3) -> Self {
        Failure { status, wcc: Wcc::default(), to_wcc: Wcc::default() }
    }
}

/// An object found or made: what LOOKUP, CREATE, MKDIR and SYMLINK give back.
#[derive(Debug, Clone)]
pub struct Found {
    pub id: FileId,
    pub attr: fattr3,
}

/// Success of CREATE, MKDIR and SYMLINK.
#[derive(Debug, Clone)]
pub struct Made {
    pub object: Found,
    pub dir_wcc: Wcc,
}

/// Success of RENAME.
#[derive(Debug, Clone)]
pub struct Renamed {
    pub from_wcc: Wcc,
    pub to_wcc: Wcc,
}

/// Success of READ.
#[derive(Debug, Clone)]
pub struct ReadData {
    /// The bytes, in order, in as many pieces as they were found in; sent without another copy.
    pub data: Vec<Bytes>,
    /// True when the last byte given is the file's last, or the offset is at or past the end.
    pub eof: bool,
    pub attr: Option<fattr3>,
}

/// RFC 1813 3.3.7 `stable_how`, in rising order of promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stable {
    Unstable,
    DataSync,
    FileSync,
}

/// Success of WRITE.
#[derive(Debug, Clone)]
pub struct Written {
    /// Bytes taken; 1..=the payload's length (0 only for an empty payload).
    pub count: u32,
    /// Never less than what the caller asked for.
    pub committed: Stable,
    /// The verifier of the epoch *in which these bytes were taken*.
    pub verifier: writeverf3,
    pub wcc: Wcc,
}

/// Success of COMMIT.
#[derive(Debug, Clone)]
pub struct Committed {
    pub verifier: writeverf3,
    pub wcc: Wcc,
}

/// How CREATE treats an existing name (RFC 1813 3.3.8 `createhow3`).
#[derive(Debug, Clone)]
pub enum CreateHow {
    Unchecked(sattr3),
    Guarded(sattr3),
    /// Idempotent for one verifier.
    Exclusive(createverf3),
}

/// One entry of a directory listing.
#[derive(Debug, Clone)]
pub struct DirEntry {
    pub id: FileId,
    pub name: Vec<u8>,
    /// Position after this entry; stays usable whatever is added or removed later.
    pub cookie: u64,
    /// Given when asked for (READDIRPLUS).
    pub attr: Option<fattr3>,
}

/// A stretch of a directory, in cookie order.
#[derive(Debug, Clone)]
pub struct DirPage {
    pub entries: Vec<DirEntry>,
    /// True when nothing follows the last entry.
    pub end: bool,
    pub dir_attr: Option<fattr3>,
}

/// FSSTAT figures, bytes and counts (RFC 1813 3.3.18).
#[derive(Debug, Clone, Copy, Default)]
pub struct Space {
    pub total_bytes: u64,
    pub free_bytes: u64,
    pub available_bytes: u64,
    pub total_files: u64,
    pub free_files: u64,
    pub available_files: u64,
}

/// Identity of a non-idempotent call across connections and server lives: made by the reply cache from
/// xid, procedure, credential and a checksum of the arguments.
pub type CallKey = [u8; 32];

/// Lets a mutation store its own reply together with the change (design.md promise 6).
///
/// The file system calls [`Receipt::encode`] with the success value *inside* the transaction of the change
/// and stores `(key, bytes)` with it, so that a call resent after a crash gets its true answer from
/// [`FileSystem::stored_replies`].
pub struct Receipt<T> {
    pub key: CallKey,
    encode: Encode<T>,
}

type Encode<T> = Box<dyn FnOnce(&T) -> Vec<u8> + Send>;

impl<T> Receipt<T> {
    pub fn new(key: CallKey, encode: impl FnOnce(&T) -> Vec<u8> + Send + 'static) -> Self {
        Receipt { key, encode: Box::new(encode) }
    }

    /// The reply's bytes (everything after the xid) for this success.
    pub fn encode(self, success: &T) -> Vec<u8> {
        (self.encode)(success)
    }
}

/// A file system served over NFSv3. Every method is one procedure; failures carry their status.
///
/// `receipt` is `None` when the server has no use for a stored reply.
pub trait FileSystem: Send + Sync + 'static {
    fn root(&self) -> FileId;

    fn getattr(&self, id: FileId) -> impl Future<Output = Result<fattr3, nfsstat3>> + Send;

    /// `guard` is RFC 1813's `sattrguard3`: fail with NOT_SYNC unless it equals the current ctime.
    fn setattr(
        &self,
        id: FileId,
        change: sattr3,
        guard: Option<nfstime3>,
        receipt: Option<Receipt<Wcc>>,
    ) -> impl Future<Output = Result<Wcc, Failure>> + Send;

    /// Also answers `.` and `..`. On success the second value is the directory's attributes.
    fn lookup(
        &self,
        dir: FileId,
        name: Vec<u8>,
    ) -> impl Future<Output = Result<(Found, Option<fattr3>), Failure>> + Send;

    fn readlink(&self, id: FileId)
    -> impl Future<Output = Result<(Vec<u8>, Option<fattr3>), Failure>> + Send;

    fn read(
        &self,
        id: FileId,
        offset: u64,
        count: u32,
    ) -> impl Future<Output = Result<ReadData, Failure>> + Send;

    /// The payload is a slice of the record's own buffer.
    fn write(
        &self,
        id: FileId,
        offset: u64,
        data: Bytes,
        stable: Stable,
    ) -> impl Future<Output = Result<Written, Failure>> + Send;

    /// `count` 0 means to the end of the file.
    fn commit(
        &self,
        id: FileId,
        offset: u64,
        count: u32,
    ) -> impl Future<Output = Result<Committed, Failure>> + Send;

    fn create(
        &self,
        dir: FileId,
        name: Vec<u8>,
        how: CreateHow,
        receipt: Option<Receipt<Made>>,
    ) -> impl Future<Output = Result<Made, Failure>> + Send;

    fn mkdir(
        &self,
        dir: FileId,
        name: Vec<u8>,
        attr: sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> impl Future<Output = Result<Made, Failure>> + Send;

    fn symlink(
        &self,
        dir: FileId,
        name: Vec<u8>,
        target: Vec<u8>,
        attr: sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> impl Future<Output = Result<Made, Failure>> + Send;

    /// Files and symlinks only (ISDIR otherwise).
    fn remove(
        &self,
        dir: FileId,
        name: Vec<u8>,
        receipt: Option<Receipt<Wcc>>,
    ) -> impl Future<Output = Result<Wcc, Failure>> + Send;

    /// Directories only (NOTDIR otherwise); NOTEMPTY when something a person would miss is inside.
    fn rmdir(
        &self,
        dir: FileId,
        name: Vec<u8>,
        receipt: Option<Receipt<Wcc>>,
    ) -> impl Future<Output = Result<Wcc, Failure>> + Send;

    fn rename(
        &self,
        from_dir: FileId,
        from_name: Vec<u8>,
        to_dir: FileId,
        to_name: Vec<u8>,
        receipt: Option<Receipt<Renamed>>,
    ) -> impl Future<Output = Result<Renamed, Failure>> + Send;

    /// Entries after `cookie` (0 = from the start, `.` and `..` included), at most `limit` of them.
    fn readdir(
        &self,
        dir: FileId,
        cookie: u64,
        limit: usize,
        with_attr: bool,
    ) -> impl Future<Output = Result<DirPage, Failure>> + Send;

    fn space(&self) -> impl Future<Output = Result<Space, nfsstat3>> + Send;

    /// True when nothing can be written: ACCESS then offers no write bits.
    fn read_only(&self) -> bool;

    /// Replies stored by [`Receipt`]s of this and earlier server lives, newest last.
    fn stored_replies(&self) -> Vec<(CallKey, Vec<u8>)>;
}
