//! A small server in memory that fails as it is told: what the model does with each answer can be seen.

use std::sync::Arc;
use std::time::Duration;

use apple_client::{Flags, Ledger, Mount, Open, Options, Program};
use nfs::file_system::FileSystem;
use nfs::types::{nfsstat3, sattr3, set_atime, set_gid3, set_mode3, set_mtime, set_size3, set_uid3};
use nfs::{ExportPolicy, Failed, Limits, MountWindow, Observer, Server, ServerConfig, export_path};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::memory_fs::{Act, FSID, MemoryFs, ROOT};

const OWNER: u32 = 501;

struct Deaf;

impl Observer for Deaf {
    fn failed(&self, _: Failed) {}
    fn stale(&self, _: Failed) {}
    fn panicked(&self, _: Failed, _: &str) {}
    fn mounted(&self) {}
    fn unmounted(&self) {}
}

pub struct Fake {
    pub fs: Arc<MemoryFs>,
    pub options: Options,
    pub ledger: Arc<Ledger>,
    pub mount: Arc<Mount>,
    pub program: Program,
    stop: CancellationToken,
}

impl Fake {
    pub async fn start() -> Fake {
        Fake::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Fake {
        let fs = MemoryFs::new();
        let config = ServerConfig {
            key: [7; 32],
            fsid: FSID,
            owner_uid: OWNER,
            any_uid: false,
            export: ExportPolicy {
                volume: "Fake".to_owned(),
                token: "00112233445566778899aabbccddeeff".to_owned(),
                window: MountWindow::WhileRunning,
            },
            limits: Limits { drain_time: Duration::from_secs(1), ..Limits::default() },
        };
        let export = export_path(&config.export);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new(Arc::clone(&fs), config, Arc::new(Deaf));
        tokio::spawn(server.serve(listener, stop.clone()));
        let mut options = Options { speed: 200.0, ..Options::new(address, export, OWNER, 20) };
        change(&mut options);
        let ledger = Arc::new(Ledger::default());
        let mount = Mount::mount(options.clone(), Arc::clone(&ledger)).await.unwrap();
        let program = Program::new(&mount);
        Fake { fs, options, ledger, mount, program, stop }
    }

    /// The next `times` calls of `procedure` fail.
    pub fn fail(&self, procedure: &'static str, status: nfsstat3, times: usize) {
        (0..times).for_each(|_| self.fs.script(procedure, Act::Fail(status)));
    }

    pub async fn create(&self, path: &str) -> Open {
        self.program.open(path, Flags::exclusive()).await.unwrap()
    }

    /// What the server has, by name in its root.
    pub fn on_server(&self, name: &str) -> Option<Vec<u8>> {
        let found = futures_now(self.fs.lookup(ROOT, name.as_bytes().to_vec())).ok()?;
        Some(self.fs.content(found.0.id))
    }

    /// Somebody else on the server changes a file behind the client's back: what a server that loses data does.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let id = futures_now(self.fs.lookup(ROOT, name.as_bytes().to_vec())).unwrap().0.id;
        let mut content = self.fs.content(id);
        change(&mut content);
        let empty = sattr3 {
            mode: set_mode3::Void,
            uid: set_uid3::Void,
            gid: set_gid3::Void,
            size: set_size3::size(0),
            atime: set_atime::DONT_CHANGE,
            mtime: set_mtime::DONT_CHANGE,
        };
        assert!(futures_now(self.fs.setattr(id, empty, None, None)).is_ok());
        let written = self.fs.write(id, 0, content.into(), nfs::file_system::Stable::FileSync);
        assert!(futures_now(written).is_ok());
    }

    pub fn findings(&self) -> apple_client::Findings {
        self.ledger.compare(|path| self.on_server(path), &[])
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.mount.transport.kill(apple_client::Errno::ENXIO);
        self.stop.cancel();
    }
}

/// The memory file system answers at the first poll.
fn futures_now<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the file system in memory never waits"),
    }
}
