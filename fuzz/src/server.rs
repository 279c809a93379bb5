//! A server over the tests' reference file system, asked without a socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nfs::fuzzing::Desk;
use nfs::{ExportPolicy, Failed, Limits, MountWindow, Observer, ServerConfig};
use tokio::runtime::Runtime;

use crate::memory_fs::{FSID, MemoryFs};

pub const NFS: u32 = 100_003;
const HANDLE: usize = 34;
const MOST_HANDLES: usize = 256;
/// Answers after which a server begins anew: one input must not depend on a million others.
const MOST_ANSWERS: usize = 500;

/// A panic in a call is answered and told, not passed on: here it ends the run.
struct Loud;

impl Observer for Loud {
    fn failed(&self, _: Failed) {}
    fn stale(&self, _: Failed) {}
    fn panicked(&self, failed: Failed, message: &str) {
        panic!("{} panicked: {message}", failed.procedure);
    }
    fn mounted(&self) {}
    fn unmounted(&self) {}
}

pub struct Server {
    runtime: Runtime,
    desk: Desk,
    handles: Vec<Vec<u8>>,
    answers: usize,
}

impl Server {
    pub fn new() -> Server {
        let export = ExportPolicy {
            volume: "box".to_owned(),
            token: "0".repeat(32),
            window: MountWindow::WhileRunning,
        };
        let config = ServerConfig {
            key: nfs::fuzzing::KEY,
            fsid: FSID,
            owner_uid: 501,
            any_uid: false,
            export,
            limits: Limits { call_time: Duration::from_secs(5), ..Limits::default() },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let desk = Desk::new(MemoryFs::new(), &config, Arc::new(Loud));
        let handles = vec![desk.root().to_vec()];
        Server { runtime, desk, handles, answers: 0 }
    }

    /// The answer to a record, without its xid; `None` when it is no call.
    pub fn answer(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        self.answers += 1;
        self.runtime.block_on(self.desk.answer(Bytes::copy_from_slice(record)))
    }

    /// RFC 5531 9: what every answer has.
    pub fn check(&self, reply: &[u8]) {
        let word =
            |at: usize| reply.get(at * 4..at * 4 + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        assert_eq!(word(0), Some(1), "a reply");
        match word(1) {
            Some(0) => {
                assert_eq!((word(2), word(3)), (Some(0), Some(0)), "our verifier is AUTH_NONE");
                assert!(word(4).is_some_and(|stat| stat <= 4), "an accept_stat there is");
            }
            Some(1) => assert!(word(2).is_some_and(|stat| stat <= 1), "a reject_stat there is"),
            other => panic!("{other:?} is neither accepted nor denied"),
        }
    }

    /// Keeps the handles that an answer gives.
    pub fn learn(&mut self, reply: &[u8]) {
        for at in (0..reply.len().saturating_sub(HANDLE + 3)).step_by(4) {
            let is_handle = reply[at..at + 4] == (HANDLE as u32).to_be_bytes();
            let bytes = &reply[at + 4..at + 4 + HANDLE];
            if is_handle && self.handles.len() < MOST_HANDLES && nfs::fuzzing::taken_for(bytes).is_some() {
                self.handles.push(bytes.to_vec());
            }
        }
    }

    /// Puts given handles where `args` have any.
    pub fn put_handles(&self, args: &mut [u8]) {
        let mut at = 0;
        while at + 4 + HANDLE <= args.len() {
            if args[at..at + 4] != (HANDLE as u32).to_be_bytes() {
                at += 4;
                continue;
            }
            let handle = &mut args[at + 4..at + 4 + HANDLE];
            if handle[1] != 255 {
                let chosen = &self.handles[usize::from(handle[0]) % self.handles.len()];
                handle.copy_from_slice(chosen);
            }
            at += 4 + HANDLE + 2;
        }
    }

    pub fn forget_when_large(&mut self) {
        if self.answers > MOST_ANSWERS {
            *self = Server::new();
        }
    }
}

/// The header of a call by the owner.
pub fn header(xid: u32, program: u32, procedure: u32) -> Vec<u8> {
    let credential = [0u32, 0, 501, 20, 0];
    let words = [xid, 0, 2, program, 3, procedure, 1, 20].into_iter().chain(credential).chain([0, 0]);
    words.flat_map(u32::to_be_bytes).collect()
}
