//! One connection: reads calls, lets them run side by side, writes answers as they come.
//!
//! One task owns the socket; reading and writing take turns in it. A call that is ready at once is answered
//! without leaving the task, any other runs in a task of its own. What a connection may have in flight is a
//! budget of bytes: a call takes its share before it starts and gives it back when its answer is written.
//! When the budget is used up, the connection is not read: TCP makes the peer wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::Limits;
use crate::record::{BufferPool, Outgoing, RecordError, RecordReader, write_replies};
use crate::reply::Reply;
use crate::rpc::{self, Call, Parsed};
use crate::service::{Answer, Service, Started};

/// What all connections share.
pub struct Shared {
    pub service: Arc<dyn Service>,
    pub limits: Limits,
    pub pool: Arc<BufferPool>,
    /// Owns the calls that must run to their end.
    pub unstoppable: TaskTracker,
    /// Set when the server ends: no further call is read, those in flight are answered.
    pub shutdown: CancellationToken,
    pub started: Instant,
}

/// What the server knows of a connection from outside.
pub struct Peer {
    /// Ends the connection at once.
    pub end: CancellationToken,
    /// The peer showed a handle or path that only we can have given it.
    pub proven: AtomicBool,
    /// Milliseconds from [`Shared::started`] to its last record.
    pub last_record: AtomicU64,
}

impl Peer {
    pub fn new(now: u64) -> Self {
        Peer {
            end: CancellationToken::new(),
            proven: AtomicBool::new(false),
            last_record: AtomicU64::new(now),
        }
    }
}

/// Why a connection is read no more.
enum Ending {
    /// Answer what is in flight first.
    Drain,
    /// The peer broke the rules or is gone.
    Cut,
}

/// Serves one connection until it ends. Its droppable calls end with it.
pub async fn serve(mut socket: TcpStream, shared: Arc<Shared>, peer: Arc<Peer>) {
    let (reading, writing) = socket.split();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let droppable = CancellationToken::new();
    let _end_with_us = droppable.clone().drop_guard();
    let reader = RecordReader::new(reading, Arc::clone(&shared.pool), &shared.limits);
    let calls = Calls {
        answers,
        budget: Arc::new(Semaphore::new(shared.limits.bytes.max(1))),
        droppable,
        shared: Arc::clone(&shared),
        peer: Arc::clone(&peer),
    };
    let mut write = std::pin::pin!(write_replies(writing, &mut answered, shared.limits.write_stall));
    let ending = tokio::select! {
        biased;
        () = peer.end.cancelled() => Ending::Cut,
        ending = calls.read_all(reader) => ending,
        result = &mut write => {
            log_write_end(&result);
            Ending::Cut
        }
    };
    if let Ending::Drain = ending {
        // All senders are gone once the last call in flight is answered.
        let _ = timeout(shared.limits.drain_time, write).await;
    }
}

fn log_write_end(result: &io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection takes no more answers");
    }
}

/// Starts the calls of one connection.
struct Calls {
    answers: UnboundedSender<Outgoing>,
    budget: Arc<Semaphore>,
    droppable: CancellationToken,
    shared: Arc<Shared>,
    peer: Arc<Peer>,
}

impl Calls {
    async fn read_all<R: tokio::io::AsyncRead + Unpin>(self, mut reader: RecordReader<R>) -> Ending {
        loop {
            let record = tokio::select! {
                biased;
                () = self.shared.shutdown.cancelled() => return Ending::Drain,
                record = reader.next() => record,
            };
            let record = match record {
                Ok(record) => record,
                Err(error) => return ending_of(error),
            };
            let now = self.shared.started.elapsed().as_millis() as u64;
            self.peer.last_record.store(now, Ordering::Relaxed);
            let length = record.len();
            match rpc::parse(record) {
                Parsed::Call(call) => self.start(call, length).await,
                Parsed::Reject { xid, rejection } => {
                    let share = self.share(length).await;
                    self.send(xid, rejection.reply(), share);
                }
                Parsed::Nonsense => {
                    tracing::debug!("closing a connection that sent no call");
                    return Ending::Cut;
                }
            }
        }
    }

    async fn start(&self, call: Call, length: usize) {
        let xid = call.xid;
        let share = self.share(length + self.shared.service.reply_room(&call)).await;
        match Arc::clone(&self.shared.service).start(call, &self.peer.proven) {
            Started::Ready(reply) => self.send(xid, reply, share),
            Started::Brief(answer) => self.brief(xid, answer, share),
            Started::Droppable(answer) => self.droppable(xid, answer, share),
            Started::Unstoppable(answer) => self.unstoppable(xid, answer, share),
        }
    }

    /// Waits until the call fits into what the connection may have in flight.
    async fn share(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let limits = &self.shared.limits;
        let least = (limits.bytes / limits.calls.max(1)).max(1);
        // More than the whole budget would be waited for forever.
        let bytes = bytes.max(least).min(limits.bytes.max(1));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        Arc::clone(&self.budget).acquire_many_owned(bytes).await.ok()
    }

    fn send(&self, xid: u32, reply: Reply, share: Option<OwnedSemaphorePermit>) {
        send(&self.answers, xid, reply, share);
    }

    fn brief(&self, xid: u32, mut answer: Answer, share: Option<OwnedSemaphorePermit>) {
        let mut once = std::task::Context::from_waker(std::task::Waker::noop());
        // Polled once here; if it must wait, its new task polls it again and gives it a real waker.
        match answer.as_mut().poll(&mut once) {
            Poll::Ready(reply) => self.send(xid, reply, share),
            Poll::Pending => self.droppable(xid, answer, share),
        }
    }

    fn droppable(&self, xid: u32, answer: Answer, share: Option<OwnedSemaphorePermit>) {
        let answers = self.answers.clone();
        let end = self.droppable.clone();
        tokio::spawn(async move {
            if let Some(reply) = end.run_until_cancelled(answer).await {
                send(&answers, xid, reply, share);
            }
        });
    }

    fn unstoppable(&self, xid: u32, answer: Answer, share: Option<OwnedSemaphorePermit>) {
        let answers = self.answers.clone();
        self.shared.unstoppable.spawn(async move {
            let reply = answer.await;
            send(&answers, xid, reply, share);
        });
    }
}

fn send(answers: &UnboundedSender<Outgoing>, xid: u32, reply: Reply, share: Option<OwnedSemaphorePermit>) {
    // When the connection is gone the answer waits in the reply cache.
    let _ = answers.send(Outgoing { xid, reply, share });
}

fn ending_of(error: RecordError) -> Ending {
    match error {
        RecordError::Closed | RecordError::Idle => Ending::Drain,
        RecordError::Malformed(why) => {
            tracing::debug!(why, "closing a connection that sent a malformed record");
            Ending::Cut
        }
        RecordError::Io(error) => {
            tracing::debug!(%error, "a connection broke");
            Ending::Cut
        }
    }
}
