//! The 22 procedures of RFC 1813: what each needs, and the way of one call through them.
//!
//! A call comes here with its first handle already proven genuine. Here the arguments are decoded and
//! checked, the file system is asked, and the answer is encoded; a failure is encoded with the attributes
//! the reply has room for ([`FailureShape`]).

mod attributes;
mod fsinfo;
mod io;
mod listing;
mod lookup;
mod names;
mod namespace;
mod users;

use std::sync::Arc;

use crate::file_system::{CallKey, Failure, FileId, FileSystem, Receipt, Wcc};
use crate::handle::{Handles, Target};
use crate::limits::MAX_TRANSFER;
use crate::reply::Reply;
use crate::rpc::{self, Caller};
use crate::types::{NFS3_FHSIZE, fattr3, nfsstat3, wcc_attr};
use crate::xdr::{Args, Garbage, Out};

pub const PROGRAM: u32 = 100_003;
pub const VERSION: u32 = 3;

/// RFC 1813 3.3, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Procedure {
    Null,
    GetAttr,
    SetAttr,
    Lookup,
    Access,
    ReadLink,
    Read,
    Write,
    Create,
    MkDir,
    SymLink,
    MkNod,
    Remove,
    RmDir,
    Rename,
    Link,
    ReadDir,
    ReadDirPlus,
    FsStat,
    FsInfo,
    PathConf,
    Commit,
}

use Procedure::*;

const ALL: [Procedure; 22] = [
    Null,
    GetAttr,
    SetAttr,
    Lookup,
    Access,
    ReadLink,
    Read,
    Write,
    Create,
    MkDir,
    SymLink,
    MkNod,
    Remove,
    RmDir,
    Rename,
    Link,
    ReadDir,
    ReadDirPlus,
    FsStat,
    FsInfo,
    PathConf,
    Commit,
];

/// What a call may do to the world, and so how it may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// None: may be dropped, may be answered JUKEBOX, may run twice.
    Nothing,
    /// May run twice, but not twice at once, and must run to its end.
    Repeatable,
    /// Must run once and to its end; its answer is kept.
    Once,
}

/// What a failed reply has room for, after the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureShape {
    Bare,
    Attributes,
    Wcc,
    /// RENAME: of both directories.
    TwoWcc,
    /// LINK: the file's attributes (in `wcc`) and the directory's wcc data (in `to_wcc`).
    AttributesAndWcc,
}

/// What the first handle must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Anything,
    Directory,
    File,
    Symlink,
}

impl Procedure {
    pub fn from_wire(number: u32) -> Option<Self> {
        ALL.get(number as usize).copied()
    }

    pub fn name(self) -> &'static str {
        const NAMES: [&str; 22] = [
            "NULL",
            "GETATTR",
            "SETATTR",
            "LOOKUP",
            "ACCESS",
            "READLINK",
            "READ",
            "WRITE",
            "CREATE",
            "MKDIR",
            "SYMLINK",
            "MKNOD",
            "REMOVE",
            "RMDIR",
            "RENAME",
            "LINK",
            "READDIR",
            "READDIRPLUS",
            "FSSTAT",
            "FSINFO",
            "PATHCONF",
            "COMMIT",
        ];
        NAMES[self as usize]
    }

    pub fn effect(self) -> Effect {
        match self {
            Write | Commit => Effect::Repeatable,
            SetAttr | Create | MkDir | SymLink | Remove | RmDir | Rename => Effect::Once,
            // MKNOD and LINK change nothing: they are refused.
            _ => Effect::Nothing,
        }
    }

    /// True when the answer is usually at hand, so that a task of its own would cost more than the call.
    pub fn is_brief(self) -> bool {
        matches!(self, GetAttr | Lookup | Access | ReadLink | MkNod | Link | FsStat | FsInfo | PathConf)
    }

    /// True when a failure of any kind concerns the person whose data it is.
    pub fn is_watched(self) -> bool {
        matches!(self, Write | Commit | SetAttr)
    }

    fn failure_shape(self) -> FailureShape {
        match self {
            Null | GetAttr => FailureShape::Bare,
            SetAttr | Write | Create | MkDir | SymLink | MkNod | Remove | RmDir | Commit => FailureShape::Wcc,
            Rename => FailureShape::TwoWcc,
            Link => FailureShape::AttributesAndWcc,
            _ => FailureShape::Attributes,
        }
    }

    fn subject(self) -> Subject {
        match self {
            Lookup | Create | MkDir | SymLink | MkNod | Remove | RmDir | Rename | ReadDir | ReadDirPlus => {
                Subject::Directory
            }
            Read | Write | Commit => Subject::File,
            ReadLink => Subject::Symlink,
            _ => Subject::Anything,
        }
    }

    /// The answer with nothing but a status.
    pub fn refusal(self, status: nfsstat3) -> Reply {
        self.failed(&Failure::from(status))
    }

    pub fn failed(self, failure: &Failure) -> Reply {
        let mut out = rpc::success(4 + 2 * 116);
        out.plain(&failure.status);
        match self.failure_shape() {
            FailureShape::Bare => {}
            FailureShape::Attributes => out.post_op_attr(failure.wcc.after.as_ref()),
            FailureShape::Wcc => out.wcc(&failure.wcc),
            FailureShape::TwoWcc => {
                out.wcc(&failure.wcc);
                out.wcc(&failure.to_wcc);
            }
            FailureShape::AttributesAndWcc => {
                out.post_op_attr(failure.wcc.after.as_ref());
                out.wcc(&failure.to_wcc);
            }
        }
        out.into()
    }

    /// Bytes the reply may take, for the connection's budget, from the arguments after the first handle.
    pub fn reply_room(self, mut args: Args) -> usize {
        let mut count_after = |skipped: usize| -> Result<u32, Garbage> {
            for _ in 0..skipped {
                args.u32()?;
            }
            args.u32()
        };
        let asked = match self {
            Read => count_after(2),
            ReadDir => count_after(4),
            ReadDirPlus => count_after(5),
            _ => Ok(0),
        };
        256 + asked.unwrap_or(0).min(MAX_TRANSFER) as usize
    }
}

/// Why a procedure has no success to report.
pub enum Fault {
    Garbage,
    Failed(Box<Failure>),
}

impl From<Garbage> for Fault {
    fn from(_: Garbage) -> Self {
        Fault::Garbage
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Fault::Failed(Box::new(failure))
    }
}

impl From<nfsstat3> for Fault {
    fn from(status: nfsstat3) -> Self {
        Failure::from(status).into()
    }
}

pub type Outcome = Result<Reply, Fault>;

/// The procedures over one file system.
pub struct Procedures<F> {
    fs: Arc<F>,
    handles: Handles,
}

impl<F: FileSystem> Procedures<F> {
    pub fn new(fs: Arc<F>, handles: Handles) -> Self {
        Procedures { fs, handles }
    }

    /// Carries out one call on `target`; `args` follow its handle. `key` is given for [`Effect::Once`].
    /// A failure comes back with the attributes its reply has room for. `caller` is given where there are many users.
    pub async fn run(
        &self,
        procedure: Procedure,
        target: Target,
        args: Args,
        key: Option<CallKey>,
        caller: Option<&Caller>,
    ) -> Outcome {
        let outcome = match self.admit(procedure, target).await {
            Ok(()) => match self.permit(procedure, target, &args, caller).await {
                Ok(()) => self.dispatch(procedure, target, args, key, caller).await,
                Err(refused) => Err(refused),
            },
            Err(failure) => Err(failure.into()),
        };
        match outcome {
            Err(Fault::Failed(failure)) => {
                Err(self.with_attributes(procedure, target, *failure).await.into())
            }
            other => other,
        }
    }

    /// Refuses what the type of the object or a read-only file system rule out from the start.
    async fn admit(&self, procedure: Procedure, target: Target) -> Result<(), Failure> {
        let wrong_type = match procedure.subject() {
            Subject::Anything => None,
            Subject::Directory => (!target.is_dir()).then_some(nfsstat3::NFS3ERR_NOTDIR),
            Subject::File => (!target.is_file()).then_some(nfsstat3::NFS3ERR_INVAL),
            Subject::Symlink => (!target.is_symlink()).then_some(nfsstat3::NFS3ERR_INVAL),
        };
        let changes = procedure.effect() != Effect::Nothing && procedure != Commit;
        let read_only = (changes && self.fs.read_only()).then_some(nfsstat3::NFS3ERR_ROFS);
        match wrong_type.or(read_only) {
            Some(status) => Err(self.refuse(target.id, status).await),
            None => Ok(()),
        }
    }

    async fn permit(
        &self,
        procedure: Procedure,
        on: Target,
        args: &Args,
        caller: Option<&Caller>,
    ) -> Result<(), Fault> {
        match caller {
            Some(caller) => Box::pin(self.user_may(caller, procedure, on, args.clone())).await,
            None => Ok(()),
        }
    }

    async fn dispatch(
        &self,
        procedure: Procedure,
        on: Target,
        args: Args,
        key: Option<CallKey>,
        caller: Option<&Caller>,
    ) -> Outcome {
        match procedure {
            Null => Ok(rpc::success(0).into()),
            GetAttr => self.getattr(on).await,
            SetAttr => self.setattr(on, args, key, caller).await,
            Lookup => self.lookup(on, args).await,
            Access => self.access(on, args, caller).await,
            ReadLink => self.readlink(on).await,
            Read => self.read(on, args).await,
            Write => self.write(on, args).await,
            Create => self.create(on, args, key, caller).await,
            MkDir => self.mkdir(on, args, key, caller).await,
            SymLink => self.symlink(on, args, key, caller).await,
            MkNod => self.mknod(on, args).await,
            Remove => self.remove(on, args, key).await,
            RmDir => self.rmdir(on, args, key).await,
            Rename => self.rename(on, args, key).await,
            Link => self.link(on, args).await,
            ReadDir => self.readdir(on, args).await,
            ReadDirPlus => self.readdirplus(on, args).await,
            FsStat => self.fsstat(on).await,
            FsInfo => self.fsinfo(on).await,
            PathConf => self.pathconf(on).await,
            Commit => self.commit(on, args).await,
        }
    }

    /// A second handle within the arguments.
    fn second_handle(&self, args: &mut Args) -> Result<Option<Target>, Garbage> {
        let handle = args.opaque(NFS3_FHSIZE as usize)?;
        Ok(self.handles.check(&handle))
    }

    /// A failure of a call that did nothing at all: before and after are the same moment.
    async fn refuse(&self, id: FileId, status: nfsstat3) -> Failure {
        Failure { wcc: self.unchanged(id).await, ..Failure::from(status) }
    }

    async fn unchanged(&self, id: FileId) -> Wcc {
        let after = self.fs.getattr(id).await.ok();
        Wcc { before: after.as_ref().map(wcc_of), after }
    }

    /// Gives a failure that came without attributes those of the object as it is now.
    async fn with_attributes(&self, procedure: Procedure, target: Target, mut failure: Failure) -> Failure {
        use nfsstat3::*;
        let pointless = matches!(failure.status, NFS3ERR_STALE | NFS3ERR_BADHANDLE | NFS3ERR_SERVERFAULT);
        if failure.wcc.after.is_none() && !pointless && procedure.failure_shape() != FailureShape::Bare {
            failure.wcc.after = self.fs.getattr(target.id).await.ok();
        }
        failure
    }

    async fn post_op(&self, id: FileId) -> Option<fattr3> {
        self.fs.getattr(id).await.ok()
    }
}

fn wcc_of(attr: &fattr3) -> wcc_attr {
    wcc_attr { size: attr.size, mtime: attr.mtime, ctime: attr.ctime }
}

/// A success with nothing but a status and wcc data: SETATTR, REMOVE, RMDIR.
fn wcc_reply(wcc: &Wcc) -> Out {
    let mut out = ok(116);
    out.wcc(wcc);
    out
}

/// NFS3_OK, with room for `more` bytes of results.
fn ok(more: usize) -> Out {
    let mut out = rpc::success(4 + more);
    out.plain(&nfsstat3::NFS3_OK);
    out
}

/// A receipt whose bytes are just what `encode` makes for the wire.
fn receipt<T>(key: Option<CallKey>, encode: impl FnOnce(&T) -> Out + Send + 'static) -> Option<Receipt<T>> {
    key.map(|key| Receipt::new(key, |success| encode(success).0))
}
