//! The server: one listener, its connections, and their end.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, Peer, Shared};
use crate::file_system::FileSystem;
use crate::limits::Limits;
use crate::mount::ExportPolicy;
use crate::observer::Observer;
use crate::record::BufferPool;
use crate::service::{FileService, Service};
use crate::whose::{self, Whose};

/// Pause after a failed accept (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const LOOKS: u32 = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Looks at the same time. Each reads the kernel's whole table, which a flood of connections makes long.
const LOOKS_AT_ONCE: usize = 4;

/// What a server is. Has no `Debug`: key and token must not get into a log.
#[derive(Clone)]
pub struct ServerConfig {
    /// Key of handles and call identities: secret, stored by the caller, the same in every server life, so
    /// that a kernel's handles stay good.
    pub key: [u8; 32],
    /// Stable number of the file system; the one in every `fattr3` it gives.
    pub fsid: u64,
    /// Served are this uid and 0, with the same rights.
    pub owner_uid: u32,
    /// For tests: everybody is served, AUTH_NONE too.
    pub any_uid: bool,
    pub export: ExportPolicy,
    pub limits: Limits,
}

/// An NFSv3 and MOUNT v3 server over one file system. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    service: Arc<dyn Service>,
    limits: Limits,
    /// Whose connections are taken besides the kernel's; `None` for everybody's.
    owner: Option<u32>,
}

impl Server {
    /// Puts the file system's stored replies into the reply cache; serves nothing yet.
    pub fn new<F: FileSystem>(fs: Arc<F>, config: ServerConfig, observer: Arc<dyn Observer>) -> Self {
        Server {
            service: Arc::new(FileService::new(fs, &config, observer)),
            limits: config.limits,
            owner: (!config.any_uid).then_some(config.owner_uid),
        }
    }

    /// Lets the next right MNT in, once, within `window` from now ([`crate::MountWindow::Once`]).
    pub fn open_mount_window(&self, window: Duration) {
        self.service.door().open(window);
    }

    /// Serves until `shutdown`; then takes no further call and gives those in flight
    /// [`Limits::drain_time`] to be answered. A call that changes something and takes longer still runs to
    /// its end on the runtime. Refuses a listener that others than this machine can reach.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        if !listener.local_addr()?.ip().is_loopback() {
            let error = "an NFS server without real authentication must listen on loopback only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let connections = Connections::new(self, shutdown.child_token());
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, _)) => connections.take(socket),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.drain().await;
        Ok(())
    }
}

/// Whether the other end is the kernel's own client or the owner's program. Looked at again a few times before it is
/// refused: the kernel's table is not read in one piece.
async fn is_welcome(socket: &TcpStream, owner: Option<u32>, looking: &Arc<Semaphore>) -> bool {
    let Some(owner) = owner else { return true };
    let (Ok(theirs), Ok(ours)) = (socket.peer_addr(), socket.local_addr()) else { return false };
    for _ in 0..LOOKS {
        // Nobody closes the semaphore. The turn ends with the look, whoever still waits for it.
        let turn = Arc::clone(looking).acquire_owned().await;
        let look = move || {
            let _turn = turn;
            whose::ask(theirs, ours)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Whose::User(uid)) if uid == 0 || uid == owner => return true,
            Ok(Whose::User(uid)) => {
                tracing::warn!(uid, "a connection of another user of this machine was refused");
                return false;
            }
            Ok(Whose::Nobody) => sleep(LOOK_PAUSE).await,
            Ok(Whose::Unknown) | Err(_) => return true,
        }
    }
    tracing::debug!("a connection whose other end is nobody's was closed");
    false
}

/// The connections of one server, and the calls they left running.
struct Connections {
    owner: Option<u32>,
    shared: Arc<Shared>,
    open: Arc<Mutex<HashMap<u64, Arc<Peer>>>>,
    looking: Arc<Semaphore>,
    serial: Mutex<u64>,
    tasks: TaskTracker,
}

impl Connections {
    fn new(server: Server, shutdown: CancellationToken) -> Self {
        let owner = server.owner;
        let shared = Shared {
            pool: Arc::new(BufferPool::new(server.limits.record, server.limits.spare_buffers)),
            service: server.service,
            limits: server.limits,
            unstoppable: TaskTracker::new(),
            shutdown,
            started: Instant::now(),
        };
        Connections {
            owner,
            shared: Arc::new(shared),
            open: Arc::default(),
            looking: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
            serial: Mutex::new(0),
            tasks: TaskTracker::new(),
        }
    }

    fn take(&self, socket: TcpStream) {
        // Answers are whole when they are written: waiting for more to send would only delay them.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let owner = self.owner;
        self.make_room();
        let peer = Arc::new(Peer::new(self.shared.started.elapsed().as_millis() as u64));
        let id = self.next_id();
        self.open.lock().insert(id, Arc::clone(&peer));
        let shared = Arc::clone(&self.shared);
        let open = Arc::clone(&self.open);
        let looking = Arc::clone(&self.looking);
        self.tasks.spawn(async move {
            // One that has lost its place is not looked at any more: of a flood only the last few are.
            let end = peer.end.clone();
            let welcome = end.run_until_cancelled(is_welcome(&socket, owner, &looking)).await;
            if welcome == Some(true) {
                connection::serve(socket, shared, peer).await;
            }
            open.lock().remove(&id);
        });
    }

    fn next_id(&self) -> u64 {
        let mut serial = self.serial.lock();
        *serial += 1;
        *serial
    }

    /// Ends one connection if all places are taken: one that proved nothing before one that did, then the
    /// one that was silent longest. A kernel that loses its connection so just makes a new one.
    fn make_room(&self) {
        let mut open = self.open.lock();
        if open.len() < self.shared.limits.connections {
            return;
        }
        let worth =
            |peer: &Peer| (peer.proven.load(Ordering::Relaxed), peer.last_record.load(Ordering::Relaxed));
        let least = open.iter().min_by_key(|(_, peer)| worth(peer)).map(|(id, _)| *id);
        if let Some(peer) = least.and_then(|id| open.remove(&id)) {
            tracing::info!("too many connections: closing the least used one");
            peer.end.cancel();
        }
    }

    async fn drain(self) {
        self.tasks.close();
        self.shared.unstoppable.close();
        let everything = async {
            self.tasks.wait().await;
            self.shared.unstoppable.wait().await;
        };
        if timeout(self.shared.limits.drain_time, everything).await.is_err() {
            tracing::warn!("calls are still running at the end of the server");
        }
        for peer in self.open.lock().values() {
            peer.end.cancel();
        }
    }
}
