//! A running server and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nfs::{ExportPolicy, Failed, Limits, MountWindow, Observer, Server, ServerConfig, export_path};
use nfs3_client::tokio::TokioIo;
use nfs3_client::{MountClient, Nfs3Client};
use nfs3_types::mount::dirpath;
use nfs3_types::nfs3::*;
use nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_types::xdr_codec::Opaque;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::memory_fs::{FSID, MemoryFs};

pub const OWNER: u32 = 501;

/// What the observer was told, in order.
#[derive(Default)]
pub struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    fn note(&self, what: &str, failed: Failed) {
        self.0.lock().push(format!("{what} {} {} {:?}", failed.procedure, failed.file, failed.status));
    }
}

impl Observer for Heard {
    fn failed(&self, failed: Failed) {
        self.note("failed", failed);
    }

    fn stale(&self, failed: Failed) {
        self.note("stale", failed);
    }

    fn panicked(&self, failed: Failed, message: &str) {
        self.note(&format!("panicked ({message})"), failed);
    }

    fn mounted(&self) {
        self.0.lock().push("mounted".to_owned());
    }

    fn unmounted(&self) {
        self.0.lock().push("unmounted".to_owned());
    }
}

pub type Client = Nfs3Client<TokioIo<TcpStream>>;

pub struct Harness {
    pub fs: Arc<MemoryFs>,
    pub heard: Arc<Heard>,
    pub address: SocketAddr,
    pub server: Server,
    pub config: ServerConfig,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Harness {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A server with limits that let a failing test end soon, changed by `change`.
    pub async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig {
            key: [42; 32],
            fsid: FSID,
            owner_uid: OWNER,
            any_uid: false,
            export: ExportPolicy {
                volume: "My Bucket".to_owned(),
                token: "00112233445566778899aabbccddeeff".to_owned(),
                window: MountWindow::WhileRunning,
            },
            limits: Limits { drain_time: Duration::from_secs(2), ..Limits::default() },
        };
        change(&mut config);
        Self::serve(MemoryFs::new(), config).await
    }

    pub async fn serve(fs: Arc<MemoryFs>, config: ServerConfig) -> Self {
        let heard = Arc::new(Heard::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(Arc::clone(&fs), config.clone(), Arc::clone(&heard) as Arc<dyn Observer>);
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.clone().serve(listener, shutdown.clone()));
        Harness { fs, heard, address, server, config, shutdown, serving }
    }

    /// Ends the server and waits for it.
    pub async fn stop(self) -> (Arc<MemoryFs>, ServerConfig) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
        (self.fs, self.config)
    }

    /// Another life of the server over the same file system.
    pub async fn restart(self) -> Self {
        let (fs, config) = self.stop().await;
        Self::serve(fs, config).await
    }

    pub async fn client(&self) -> Client {
        self.client_as(credential(OWNER)).await
    }

    pub async fn client_as(&self, credential: opaque_auth<'static>) -> Client {
        let socket = TcpStream::connect(self.address).await.unwrap();
        Nfs3Client::new_with_auth(TokioIo::new(socket), credential, opaque_auth::default())
    }

    pub async fn mount_client(&self) -> MountClient<TokioIo<TcpStream>> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        MountClient::new_with_auth(TokioIo::new(socket), credential(OWNER), opaque_auth::default())
    }

    pub fn export(&self) -> String {
        export_path(&self.config.export)
    }

    /// Mounts, and gives the root's handle.
    pub async fn root(&self) -> nfs_fh3 {
        let path = self.export();
        let mounted =
            self.mount_client().await.mnt(dirpath(Opaque::borrowed(path.as_bytes()))).await.unwrap();
        nfs_fh3 { data: Opaque::owned(mounted.fhandle.0.to_vec()) }
    }

    pub async fn client_and_root(&self) -> (Client, nfs_fh3) {
        (self.client().await, self.root().await)
    }
}

pub fn credential(uid: u32) -> opaque_auth<'static> {
    opaque_auth::auth_unix(&auth_unix { uid, gid: 20, gids: vec![20, 12], ..auth_unix::default() })
}

/// The handle of `name`.
pub async fn handle_of(client: &mut Client, dir: &nfs_fh3, name: &str) -> nfs_fh3 {
    client.lookup(&LOOKUP3args { what: at(dir, name) }).await.unwrap().unwrap().object
}

pub fn at<'a>(dir: &nfs_fh3, name: &'a str) -> diropargs3<'a> {
    diropargs3 { dir: dir.clone(), name: name.as_bytes().into() }
}

pub fn status<T, E>(result: &Nfs3Result<T, E>) -> nfsstat3 {
    match result {
        Nfs3Result::Ok(_) => nfsstat3::NFS3_OK,
        Nfs3Result::Err((status, _)) => *status,
    }
}

pub fn failure<T, E>(result: Nfs3Result<T, E>) -> (nfsstat3, E) {
    match result {
        Nfs3Result::Ok(_) => panic!("should have failed"),
        Nfs3Result::Err(failure) => failure,
    }
}

type Times = (u64, nfstime3, nfstime3);

/// Size, mtime and ctime: what wcc data is about.
pub fn before(wcc: &wcc_data) -> Times {
    let before = wcc.before.unwrap();
    (before.size, before.mtime, before.ctime)
}

pub fn after(wcc: &wcc_data) -> Times {
    times(&wcc.after)
}

pub fn times(attr: &post_op_attr) -> Times {
    let attr = attr.clone().unwrap();
    (attr.size, attr.mtime, attr.ctime)
}

/// The same from the file system itself.
pub fn truth(fs: &MemoryFs, id: u64) -> Times {
    let attr = fs.attr(id);
    let time = |time: nfs::types::nfstime3| nfstime3 { seconds: time.seconds, nseconds: time.nseconds };
    (attr.size, time(attr.mtime), time(attr.ctime))
}

/// Waits until `condition` holds; fails after five seconds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}
