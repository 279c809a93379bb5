//! From a call to its answer: which program, who may, once or again, and what happens when it goes wrong.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::file_system::{CallKey, Failure, FileSystem};
use crate::handle::{Handles, Target};
use crate::mount::{self, Door, MountWindow};
use crate::observer::{Failed, Observer};
use crate::procedures::{self, Effect, Fault, Outcome, Procedure, Procedures};
use crate::reply::Reply;
use crate::reply_cache::{Begin, Keep, ReplyCache, Ticket, call_key};
use crate::rpc::{self, AuthProblem, Call, Credential, Rejection};
use crate::server::ServerConfig;
use crate::types::{NFS3_FHSIZE, ftype3, nfsstat3};

/// Who has no rights but everybody's.
const NOBODY: u32 = 65_534;

/// The answer being made.
pub type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// How the answer to a call comes about.
pub enum Started {
    Ready(Reply),
    /// Changes nothing and is mostly ready at the first poll; may be dropped.
    Brief(Answer),
    /// May take its time; may be dropped.
    Droppable(Answer),
    /// Must run to its end, whatever becomes of the connection.
    Unstoppable(Answer),
}

/// The service behind all connections; hides the type of the file system from them.
pub trait Service: Send + Sync {
    /// Decides about a call without waiting for anything. `proven` is set when the peer shows a handle (or
    /// path) that only we can have given it.
    fn start(self: Arc<Self>, call: Call, proven: &AtomicBool) -> Started;

    /// Bytes the reply may take.
    fn reply_room(&self, call: &Call) -> usize;

    fn door(&self) -> &Door;
}

/// [`Service`] over a file system.
pub struct FileService<F> {
    procedures: Procedures<F>,
    handles: Handles,
    root: u64,
    owner_uid: u32,
    any_uid: bool,
    door: Door,
    window: MountWindow,
    cache: Arc<ReplyCache>,
    cache_key: [u8; 32],
    call_time: Duration,
    observer: Arc<dyn Observer>,
}

impl<F: FileSystem> FileService<F> {
    pub fn new(fs: Arc<F>, config: &ServerConfig, observer: Arc<dyn Observer>) -> Self {
        let handles = Handles::new(&config.key, config.fsid);
        let cache = ReplyCache::new(&config.limits);
        cache.seed(fs.stored_replies());
        FileService {
            root: fs.root(),
            procedures: Procedures::new(fs, handles.clone()),
            handles,
            owner_uid: config.owner_uid,
            any_uid: config.any_uid,
            door: Door::new(&config.export),
            window: config.export.window,
            cache,
            cache_key: blake3::derive_key("bucketbar nfs 2026 reply cache", &config.key),
            call_time: config.limits.call_time,
            observer,
        }
    }

    fn start_nfs(self: Arc<Self>, mut call: Call, proven: &AtomicBool) -> Started {
        if call.version != procedures::VERSION {
            return rejected(Rejection::ProgramMismatch {
                low: procedures::VERSION,
                high: procedures::VERSION,
            });
        }
        let Some(procedure) = Procedure::from_wire(call.procedure) else {
            return rejected(Rejection::ProcedureUnavailable);
        };
        if procedure == Procedure::Null {
            return Started::Ready(rpc::success(0).into());
        }
        match self.permitted(call.credential) {
            Permission::Granted => {}
            Permission::Unknown => return rejected(Rejection::Auth(AuthProblem::TooWeak)),
            // Both kernels hand ACCES to that user's program alone, and go on.
            Permission::Denied => return Started::Ready(procedure.refusal(nfsstat3::NFS3ERR_ACCES)),
        }
        // The key is made of all arguments, so before the first handle is taken off.
        let key = (procedure.effect() != Effect::Nothing).then(|| call_key(&self.cache_key, &call));
        let Ok(handle) = call.args.opaque(NFS3_FHSIZE as usize) else {
            return rejected(Rejection::GarbageArguments);
        };
        let Some(target) = self.handles.check(&handle) else {
            return Started::Ready(procedure.refusal(nfsstat3::NFS3ERR_BADHANDLE));
        };
        proven.store(true, Ordering::Relaxed);
        match key {
            None if procedure.is_brief() => {
                Started::Brief(Box::pin(self.run_bounded(procedure, target, call)))
            }
            None => Started::Droppable(Box::pin(self.run_bounded(procedure, target, call))),
            Some(key) => Started::Unstoppable(Box::pin(self.run_once(procedure, target, call, key))),
        }
    }

    /// A call that changes nothing: given up after the last-resort deadline.
    async fn run_bounded(self: Arc<Self>, procedure: Procedure, target: Target, call: Call) -> Reply {
        match timeout(self.call_time, self.run(procedure, target, &call, None)).await {
            Ok(reply) => reply,
            Err(_) => {
                tracing::warn!(procedure = procedure.name(), file = target.id, "gave up waiting: JUKEBOX");
                self.tell(procedure, target, nfsstat3::NFS3ERR_JUKEBOX);
                procedure.refusal(nfsstat3::NFS3ERR_JUKEBOX)
            }
        }
    }

    /// A call that must not run twice (at once).
    async fn run_once(
        self: Arc<Self>,
        procedure: Procedure,
        target: Target,
        call: Call,
        key: CallKey,
    ) -> Reply {
        let (ticket, stored_key, keep) = loop {
            match self.cache.begin(key) {
                Begin::Answered(reply) => return reply.into(),
                Begin::Running(answer) => match answer.await {
                    Ok(reply) => return reply.into(),
                    Err(_) => continue,
                },
                Begin::First(ticket) if procedure.effect() == Effect::Once => {
                    break (ticket, Some(key), Keep::Usual);
                }
                Begin::First(ticket) => break (ticket, None, Keep::No),
            }
        };
        let reply = self.run(procedure, target, &call, stored_key).await;
        finish(ticket, reply, keep)
    }

    /// Runs a call; a panic in it is its answer's problem alone.
    async fn run(&self, procedure: Procedure, target: Target, call: &Call, key: Option<CallKey>) -> Reply {
        // Of AUTH_NONE nothing is known: it is nobody.
        let nobody = || rpc::Caller::new(NOBODY, NOBODY, &[]);
        let caller =
            self.any_uid.then(|| rpc::auth_sys(call.credential_bytes.clone()).unwrap_or_else(|_| nobody()));
        let running = self.procedures.run(procedure, target, call.args.clone(), key, caller.as_ref());
        let outcome: Outcome = match AssertUnwindSafe(running).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => {
                self.tell_panic(procedure, target, message_of(&*panic));
                return procedure.refusal(nfsstat3::NFS3ERR_SERVERFAULT);
            }
        };
        match outcome {
            Ok(reply) => reply,
            Err(Fault::Garbage) => Rejection::GarbageArguments.reply(),
            Err(Fault::Failed(failure)) => self.failed(procedure, target, &failure),
        }
    }

    fn failed(&self, procedure: Procedure, target: Target, failure: &Failure) -> Reply {
        self.tell(procedure, target, failure.status);
        procedure.failed(failure)
    }

    fn tell(&self, procedure: Procedure, target: Target, status: nfsstat3) {
        use nfsstat3::*;
        let failed = Failed { procedure: procedure.name(), file: target.id, status };
        match status {
            NFS3ERR_STALE => self.observer.stale(failed),
            NFS3ERR_IO | NFS3ERR_NOSPC | NFS3ERR_DQUOT | NFS3ERR_SERVERFAULT => self.observer.failed(failed),
            _ if procedure.is_watched() => self.observer.failed(failed),
            _ => {}
        }
    }

    fn tell_panic(&self, procedure: Procedure, target: Target, message: &str) {
        let status = nfsstat3::NFS3ERR_SERVERFAULT;
        let failed = Failed { procedure: procedure.name(), file: target.id, status };
        tracing::error!(procedure = failed.procedure, file = failed.file, message, "a call panicked");
        self.observer.panicked(failed, message);
    }

    fn start_mount(self: Arc<Self>, call: Call, proven: &AtomicBool) -> Started {
        if !(mount::LOWEST_VERSION..=mount::VERSION).contains(&call.version) {
            let (low, high) = (mount::LOWEST_VERSION, mount::VERSION);
            return rejected(Rejection::ProgramMismatch { low, high });
        }
        let Some(procedure) = mount::Procedure::from_wire(call.version, call.procedure) else {
            return rejected(Rejection::ProcedureUnavailable);
        };
        match procedure {
            mount::Procedure::Null => Started::Ready(rpc::success(0).into()),
            mount::Procedure::Mnt => self.mnt(call, proven),
            mount::Procedure::Dump | mount::Procedure::Export => Started::Ready(mount::empty_list()),
            mount::Procedure::Umnt => self.umnt(call),
            mount::Procedure::UmntAll => {
                self.observer.unmounted();
                Started::Ready(rpc::success(0).into())
            }
        }
    }

    fn mnt(self: Arc<Self>, call: Call, proven: &AtomicBool) -> Started {
        match self.permitted(call.credential) {
            Permission::Granted => {}
            Permission::Unknown => return rejected(Rejection::Auth(AuthProblem::TooWeak)),
            Permission::Denied => return Started::Ready(mount::refused()),
        }
        let Ok(path) = mount::path(call.args.clone()) else {
            return rejected(Rejection::GarbageArguments);
        };
        if !self.door.is_ours(&path) {
            return Started::Ready(mount::refused());
        }
        // A retransmission of the one MNT that was let in gets the same answer.
        match self.cache.begin(call_key(&self.cache_key, &call)) {
            Begin::Answered(reply) => Started::Ready(reply.into()),
            Begin::Running(answer) => Started::Droppable(Box::pin(async move {
                answer.await.map_or_else(|_| mount::faulted(), Reply::from)
            })),
            Begin::First(ticket) => Started::Ready(self.let_in(&path, ticket, proven)),
        }
    }

    fn let_in(&self, path: &Bytes, ticket: Ticket, proven: &AtomicBool) -> Reply {
        let Some(left) = self.door.enter(path) else {
            return finish(ticket, mount::refused(), Keep::No);
        };
        proven.store(true, Ordering::Relaxed);
        self.observer.mounted();
        let keep = match self.window {
            MountWindow::Once => Keep::AtMost(left),
            MountWindow::WhileRunning => Keep::No,
        };
        finish(ticket, mount::mounted(self.handles.make(self.root, ftype3::NF3DIR)), keep)
    }

    fn umnt(&self, call: Call) -> Started {
        let Ok(path) = mount::path(call.args) else {
            return rejected(Rejection::GarbageArguments);
        };
        if self.door.is_ours(&path) {
            self.observer.unmounted();
        }
        Started::Ready(rpc::success(0).into())
    }

    fn permitted(&self, credential: Credential) -> Permission {
        match credential {
            _ if self.any_uid => Permission::Granted,
            Credential::Uid(uid) if uid == self.owner_uid || uid == 0 => Permission::Granted,
            Credential::Uid(_) => Permission::Denied,
            Credential::Anonymous => Permission::Unknown,
        }
    }
}

/// Whether a caller may use the file system at all.
enum Permission {
    Granted,
    Denied,
    /// Says not who it is.
    Unknown,
}

impl<F: FileSystem> Service for FileService<F> {
    fn start(self: Arc<Self>, call: Call, proven: &AtomicBool) -> Started {
        match call.program {
            procedures::PROGRAM => self.start_nfs(call, proven),
            mount::PROGRAM => self.start_mount(call, proven),
            _ => rejected(Rejection::ProgramUnavailable),
        }
    }

    fn reply_room(&self, call: &Call) -> usize {
        let mut args = call.args.clone();
        let procedure = (call.program == procedures::PROGRAM).then(|| Procedure::from_wire(call.procedure));
        match (procedure.flatten(), args.opaque(NFS3_FHSIZE as usize)) {
            (Some(procedure), Ok(_)) => procedure.reply_room(args),
            _ => 0,
        }
    }

    fn door(&self) -> &Door {
        &self.door
    }
}

fn rejected(rejection: Rejection) -> Started {
    Started::Ready(rejection.reply())
}

/// Answers the duplicates, too. The answers of calls with tickets have no data beside their head.
fn finish(ticket: Ticket, reply: Reply, keep: Keep) -> Reply {
    ticket.answer(reply.head.clone(), keep);
    reply
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
