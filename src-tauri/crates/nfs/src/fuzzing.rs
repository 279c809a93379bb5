//! Doors for the fuzz targets (`fuzz/`), to what is private in here. Not in any product: the feature `fuzzing` is only
//! turned on there.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use crate::file_system::FileSystem;
use crate::handle::Handles;
use crate::limits::Limits;
use crate::observer::Observer;
use crate::record::{BufferPool, RecordReader};
use crate::reply::Reply;
use crate::rpc::{self, Parsed};
use crate::server::ServerConfig;
use crate::service::{FileService, Service, Started};
use crate::types::ftype3;

/// Key of the handles made in here.
pub const KEY: [u8; 32] = [7; 32];
const FSID: u64 = 77;

/// More than is read ahead, less than an input of the fuzzer: both ways of reading are met, and too long ones, too.
const SMALL_RECORD: usize = 6 << 10;

fn limits() -> Limits {
    Limits { record: SMALL_RECORD, ..Limits::default() }
}

/// The longest record taken by [`records`], and the most fragments of one.
pub fn record_limits() -> (usize, usize) {
    (limits().record, limits().fragments)
}

/// The records of a stream that arrives in pieces of `step` bytes, until its end or its first fault.
pub fn records(wire: &[u8], step: usize) -> Vec<Vec<u8>> {
    let pool = Arc::new(BufferPool::new(limits().record, 1));
    let mut reader = RecordReader::new(Pieces { rest: wire, step: step.max(1) }, pool, &limits());
    let mut records = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(async {
            while let Ok(record) = reader.next().await {
                records.push(record.to_vec());
            }
        });
    }
    records
}

struct Pieces<'a> {
    rest: &'a [u8],
    step: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let (piece, rest) = self.rest.split_at(self.rest.len().min(self.step).min(into.remaining()));
        into.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// The handle of file `id`.
pub fn handle(id: u64) -> Vec<u8> {
    Handles::new(&KEY, FSID).make(id, ftype3::NF3REG).0.to_vec()
}

/// The one handle that names what `bytes` do, where they are taken for a handle.
pub fn taken_for(bytes: &[u8]) -> Option<Vec<u8>> {
    let handles = Handles::new(&KEY, FSID);
    let target = handles.check(&Bytes::copy_from_slice(bytes))?;
    Some(handles.make(target.id, target.kind).0.to_vec())
}

/// A server without connections: a record in, an answer out.
pub struct Desk {
    service: Arc<dyn Service>,
    root: [u8; 34],
}

impl Desk {
    pub fn new<F: FileSystem>(fs: Arc<F>, config: &ServerConfig, observer: Arc<dyn Observer>) -> Desk {
        let root = Handles::new(&config.key, config.fsid).make(fs.root(), ftype3::NF3DIR).0;
        Desk { service: Arc::new(FileService::new(fs, config, observer)), root }
    }

    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// What is sent back, without the xid and without padding after data; `None` when the connection would be closed.
    pub async fn answer(&self, record: Bytes) -> Option<Vec<u8>> {
        let call = match rpc::parse(record) {
            Parsed::Call(call) => call,
            Parsed::Reject { rejection, .. } => return Some(flat(rejection.reply())),
            Parsed::Nonsense => return None,
        };
        let room = self.service.reply_room(&call);
        assert!(room <= 256 + crate::limits::MAX_TRANSFER as usize, "room for a reply is bounded");
        let reply = match Arc::clone(&self.service).start(call, &AtomicBool::new(false)) {
            Started::Ready(reply) => reply,
            Started::Brief(answer) | Started::Droppable(answer) | Started::Unstoppable(answer) => {
                answer.await
            }
        };
        Some(flat(reply))
    }
}

fn flat(reply: Reply) -> Vec<u8> {
    let mut bytes = reply.head.to_vec();
    reply.data.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}
