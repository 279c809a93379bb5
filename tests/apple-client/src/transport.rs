//! One mount's connection: many calls outstanding, a new port after each break, the same xids on it.
//!
//! * A call waits for its reply for ever on a `hard` mount; on TCP nothing is resent while the connection lives
//!   (NFS:kext/nfs_socket.c nfs_request_timer).
//! * After a break: connect again from a new port, NULL, and every waiting call goes out again with its xid
//!   (nfs_socket.c nfs_reconnect, nfs_mount_sock_thread).
//! * JUKEBOX: wait 4, 8, 16, 30, 30 … s, then ask again with a new xid; it does not count as having heard from
//!   the server (nfs_socket.c nfs_request_finish, `NFS_TRYLATERDEL`).
//! * A call waiting and no good reply for 5 s: "not responding"; `deadtimeout` later the mount is dead and every
//!   call fails. With `mutejukebox` a JUKEBOX wait starts neither clock (nfs_socket.c nfs_down).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nfs3_types::nfs3;
use nfs3_types::rpc::{accept_stat_data, auth_unix, call_body, msg_body, opaque_auth, reply_body, rpc_msg};
use nfs3_types::xdr_codec::{Pack, Unpack, Void};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::Clock;
use crate::errno::{Errno, Result};

/// The header of xnu:bsd/nfs/nfs.h, `NFS_TRYLATERDEL` and its growth in nfs_request_finish.
const JUKEBOX_FIRST: Duration = Duration::from_secs(4);
const JUKEBOX_LONGEST: Duration = Duration::from_secs(30);
/// nfs_socket.c nfs_down: from here on the Finder says that a server does not answer.
pub const NOT_RESPONDING: Duration = Duration::from_secs(5);
/// Real time between two tries to connect: a local server is back in a moment.
const RECONNECT: Duration = Duration::from_millis(20);
const LONGEST_RECORD: usize = (1 << 20) + (64 << 10);
const JUKEBOX: u32 = 10_008;
const FIRST: u32 = 1 << 31;

/// What the connection went through.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections made, the first included.
    pub connections: AtomicU64,
    /// Calls sent a second time with the xid they had.
    pub resent: AtomicU64,
    /// Answers JUKEBOX.
    pub jukebox: AtomicU64,
    /// How often the server was said not to respond.
    pub not_responding: AtomicU64,
    /// The longest real time one call waited for its reply on one connection, in microseconds.
    pub slowest_us: AtomicU64,
}

struct Pending {
    order: u64,
    record: Arc<Vec<u8>>,
    /// The connection it was sent on last; 0: none yet.
    sent_on: u64,
    sent_at: Instant,
    done: oneshot::Sender<Vec<u8>>,
}

struct Health {
    dead: Option<Errno>,
    last_good: Duration,
    down_since: Option<Duration>,
}

pub struct Transport {
    address: SocketAddr,
    credential: opaque_auth<'static>,
    clock: Clock,
    deadtimeout: Option<Duration>,
    next_xid: AtomicU32,
    next_order: AtomicU64,
    pending: Mutex<BTreeMap<u32, Pending>>,
    health: Mutex<Health>,
    queue: mpsc::UnboundedSender<u32>,
    cut: Notify,
    asleep: Mutex<bool>,
    woken: Notify,
    pub counts: Counts,
}

/// A reply: when its call was made among all calls (Apple's 64-bit `xid`), and its results.
pub struct Answer {
    pub order: u64,
    pub results: Vec<u8>,
}

impl Transport {
    /// Begins to connect; calls wait until that worked.
    pub fn start(
        address: SocketAddr,
        uid: u32,
        gid: u32,
        clock: Clock,
        deadtimeout: Option<Duration>,
    ) -> Arc<Self> {
        let user = auth_unix { uid, gid, gids: vec![gid, 12, 61], ..auth_unix::default() };
        let (queue, calls) = mpsc::unbounded_channel();
        let transport = Arc::new(Transport {
            address,
            credential: opaque_auth::auth_unix(&user),
            clock,
            deadtimeout,
            next_xid: AtomicU32::new(rand::random()),
            next_order: AtomicU64::new(1),
            pending: Mutex::default(),
            health: Mutex::new(Health { dead: None, last_good: clock.now(), down_since: None }),
            queue,
            cut: Notify::new(),
            asleep: Mutex::new(false),
            woken: Notify::new(),
            counts: Counts::default(),
        });
        tokio::spawn(Arc::clone(&transport).run(calls));
        tokio::spawn(Arc::clone(&transport).watch());
        transport
    }

    /// One NFS call, through as many JUKEBOX waits as it takes.
    pub async fn call(&self, procedure: nfs3::NFS_PROGRAM, args: &impl Pack) -> Result<Answer> {
        let mut wait = JUKEBOX_FIRST;
        loop {
            let answer = self.call_once(procedure, args).await?;
            if status(&answer.results) != Some(JUKEBOX) {
                return Ok(answer);
            }
            self.counts.jukebox.fetch_add(1, Ordering::Relaxed);
            self.clock.sleep(wait).await;
            wait = (wait * 2).min(JUKEBOX_LONGEST);
        }
    }

    async fn call_once(&self, procedure: nfs3::NFS_PROGRAM, args: &impl Pack) -> Result<Answer> {
        let xid = self.next_xid.fetch_add(1, Ordering::Relaxed);
        let order = self.next_order.fetch_add(1, Ordering::Relaxed);
        let what = (nfs3::PROGRAM, nfs3::VERSION, procedure as u32);
        let record = Arc::new(record(xid, what, &self.credential, args)?);
        let (done, reply) = oneshot::channel();
        {
            let health = self.health.lock();
            if let Some(errno) = health.dead {
                return Err(errno);
            }
            let pending = Pending { order, record, sent_on: 0, sent_at: Instant::now(), done };
            self.pending.lock().insert(xid, pending);
        }
        let _ = self.queue.send(xid);
        let body = reply.await.map_err(|_| self.health.lock().dead.unwrap_or(Errno::ENXIO))?;
        Ok(Answer { order, results: results(&body)? })
    }

    /// The order number that the next call will have at least (Apple's nfs_get_xid).
    pub fn next_order(&self) -> u64 {
        self.next_order.fetch_add(1, Ordering::Relaxed)
    }

    /// The network drops the connection.
    pub fn cut(&self) {
        self.cut.notify_one();
    }

    /// The machine sleeps: nothing is sent or read until [`Transport::wake`]; the connection does not survive.
    pub fn sleep(&self) {
        *self.asleep.lock() = true;
        self.cut.notify_one();
    }

    pub fn wake(&self) {
        *self.asleep.lock() = false;
        // Uptime stood still: nobody was silent meanwhile.
        let mut health = self.health.lock();
        health.last_good = self.clock.now();
        health.down_since = None;
        drop(health);
        self.woken.notify_waiters();
    }

    /// Every waiting and every later call fails with `errno`.
    pub fn kill(&self, errno: Errno) {
        self.health.lock().dead.get_or_insert(errno);
        // Dropping the senders is what their callers hear.
        self.pending.lock().clear();
        self.cut.notify_one();
    }

    pub fn is_dead(&self) -> bool {
        self.health.lock().dead.is_some()
    }

    async fn run(self: Arc<Self>, mut calls: mpsc::UnboundedReceiver<u32>) {
        let mut number = 0;
        while !self.is_dead() {
            self.awake().await;
            let Some(stream) = self.connect().await else {
                tokio::time::sleep(RECONNECT).await;
                continue;
            };
            number += 1;
            self.counts.connections.fetch_add(1, Ordering::Relaxed);
            let (reader, writer) = stream.into_split();
            let mut reading = tokio::spawn(Arc::clone(&self).read(reader));
            tokio::select! {
                _ = &mut reading => {}
                () = self.write(writer, number, &mut calls) => {}
                () = self.cut.notified() => {}
            }
            reading.abort();
        }
    }

    async fn awake(&self) {
        loop {
            let woken = self.woken.notified();
            if !*self.asleep.lock() {
                return;
            }
            woken.await;
        }
    }

    /// A connection from a port of its own on which NULL was answered (nfs_socket.c nfs_connect).
    async fn connect(&self) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let xid = self.next_xid.fetch_add(1, Ordering::Relaxed);
        let null = record(xid, (nfs3::PROGRAM, nfs3::VERSION, 0), &self.credential, &Void).ok()?;
        stream.write_all(&null).await.ok()?;
        let answered =
            tokio::time::timeout(Duration::from_secs(5), read_record(&mut stream)).await.ok()?.ok()?;
        (answered.get(..4) == Some(&xid.to_be_bytes()[..])).then_some(stream)
    }

    /// Sends what waits, oldest first, then what comes. Ends when the connection does.
    async fn write(&self, mut writer: OwnedWriteHalf, number: u64, calls: &mut mpsc::UnboundedReceiver<u32>) {
        let mut waiting: Vec<(u64, u32)> =
            self.pending.lock().iter().map(|(xid, call)| (call.order, *xid)).collect();
        waiting.sort_unstable();
        for (_, xid) in waiting {
            if !self.send(&mut writer, number, xid).await {
                return;
            }
        }
        while let Some(xid) = calls.recv().await {
            if !self.send(&mut writer, number, xid).await {
                return;
            }
        }
    }

    async fn send(&self, writer: &mut OwnedWriteHalf, number: u64, xid: u32) -> bool {
        let record = {
            let mut pending = self.pending.lock();
            let Some(call) = pending.get_mut(&xid) else { return true };
            if call.sent_on == number {
                return true;
            }
            if call.sent_on != 0 {
                self.counts.resent.fetch_add(1, Ordering::Relaxed);
            }
            call.sent_on = number;
            call.sent_at = Instant::now();
            Arc::clone(&call.record)
        };
        writer.write_all(&record).await.is_ok()
    }

    async fn read(self: Arc<Self>, mut reader: OwnedReadHalf) {
        while let Ok(mut body) = read_record(&mut reader).await {
            let Some(xid) = body.get(..4).and_then(|word| word.try_into().ok()) else { return };
            let Some(call) = self.pending.lock().remove(&u32::from_be_bytes(xid)) else { continue };
            let took = u64::try_from(call.sent_at.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.counts.slowest_us.fetch_max(took, Ordering::Relaxed);
            body.drain(..4);
            if !is_jukebox(&body) {
                let mut health = self.health.lock();
                health.last_good = self.clock.now();
                health.down_since = None;
            }
            let _ = call.done.send(body);
        }
    }

    /// nfs_socket.c nfs_request_timer and nfs_down.
    async fn watch(self: Arc<Self>) {
        let tick = self.clock.real(Duration::from_millis(500)).max(Duration::from_millis(1));
        while !self.is_dead() {
            tokio::time::sleep(tick).await;
            if *self.asleep.lock() {
                continue;
            }
            if let Some(errno) = self.look() {
                self.kill(errno);
            }
        }
    }

    fn look(&self) -> Option<Errno> {
        let mut health = self.health.lock();
        let now = self.clock.now();
        let oldest = self.pending.lock().values().map(|call| call.sent_at).min();
        let Some(oldest) = oldest else {
            health.down_since = None;
            return None;
        };
        let waits = oldest.elapsed() >= self.clock.real(NOT_RESPONDING);
        if health.down_since.is_none() && waits && now.saturating_sub(health.last_good) >= NOT_RESPONDING {
            health.down_since = Some(now);
            self.counts.not_responding.fetch_add(1, Ordering::Relaxed);
        }
        let down = now.saturating_sub(health.down_since?);
        self.deadtimeout.is_some_and(|limit| down >= limit).then_some(Errno::ENXIO)
    }
}

/// One call on a connection of its own, as MOUNT calls are made (NFS:kext/nfs_vfsops.c nfs3_mount).
pub async fn call_alone(
    address: SocketAddr,
    credential: &opaque_auth<'static>,
    what: (u32, u32, u32),
    args: &impl Pack,
) -> Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let xid = rand::random();
        stream.write_all(&record(xid, what, credential, args).ok()?).await.ok()?;
        let mut body = read_record(&mut stream).await.ok()?;
        (body.get(..4)? == &xid.to_be_bytes()[..]).then(|| body.split_off(4))
    };
    let body = tokio::time::timeout(Duration::from_secs(10), exchange).await.ok().flatten();
    results(&body.ok_or(Errno::EIO)?)
}

pub fn credential(uid: u32, gid: u32) -> opaque_auth<'static> {
    opaque_auth::auth_unix(&auth_unix { uid, gid, gids: vec![gid, 12, 61], ..auth_unix::default() })
}

fn record(
    xid: u32,
    (prog, vers, proc): (u32, u32, u32),
    cred: &opaque_auth<'static>,
    args: &impl Pack,
) -> Result<Vec<u8>> {
    let body = call_body { rpcvers: 2, prog, vers, proc, cred: cred.clone(), verf: opaque_auth::default() };
    let mut bytes = vec![0; 4];
    bytes.reserve(args.packed_size() + 256);
    let packed = rpc_msg { xid, body: msg_body::CALL(body) }.pack(&mut bytes);
    packed.and_then(|_| args.pack(&mut bytes)).map_err(|_| Errno::EBADRPC)?;
    let mark = u32::try_from(bytes.len() - 4).map_err(|_| Errno::EBADRPC)? | FIRST;
    bytes[..4].copy_from_slice(&mark.to_be_bytes());
    Ok(bytes)
}

/// A whole record, of however many fragments.
async fn read_record(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mark = stream.read_u32().await?;
        let length = (mark & !FIRST) as usize;
        if body.len() + length > 2 * LONGEST_RECORD {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let start = body.len();
        body.resize(start + length, 0);
        stream.read_exact(&mut body[start..]).await?;
        if mark & FIRST != 0 {
            return Ok(body);
        }
    }
}

/// The results in a reply (everything after its xid); bad XDR is EBADRPC (macos-nfs.md B5).
fn results(body: &[u8]) -> Result<Vec<u8>> {
    let mut rest = body.get(4..).ok_or(Errno::EBADRPC)?;
    match reply_body::unpack(&mut rest) {
        Ok((reply_body::MSG_ACCEPTED(accepted), _)) => match accepted.reply_data {
            accept_stat_data::SUCCESS => Ok(rest.to_vec()),
            _ => Err(Errno::EBADRPC),
        },
        Ok((reply_body::MSG_DENIED(_), _)) => Err(Errno::EACCES),
        Err(_) => Err(Errno::EBADRPC),
    }
}

fn is_jukebox(body: &[u8]) -> bool {
    results(body).is_ok_and(|results| status(&results) == Some(JUKEBOX))
}

fn status(results: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(results.get(..4)?.try_into().ok()?))
}

/// Decodes results, all of them.
pub fn decode<T: Unpack>(results: &[u8]) -> Result<T> {
    let mut rest = results;
    let (value, _) = T::unpack(&mut rest).map_err(|_| Errno::EBADRPC)?;
    if rest.is_empty() { Ok(value) } else { Err(Errno::EBADRPC) }
}
