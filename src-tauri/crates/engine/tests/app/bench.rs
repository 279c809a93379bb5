//! A desk: a Hub, a place for everything the app keeps, a keychain, and what stands for desktop and kernel.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::app::api::buckets::{Bucket, Mount};
use engine::app::api::commands::{MountArgs, Nothing, QueueArgs, TokenArgs};
use engine::app::api::error::{AppError, AppResult, ErrorCode};
use engine::app::api::event::AppEvent;
use engine::app::api::queue::QueueRow;
use engine::app::api::state::AppState;
use engine::app::keychain::{Keychain, Keyring};
use engine::app::mount_host::{MountHost, Mounted};
use engine::app::outside::Outside;
use engine::app::{App, AppConfig, AppEvents};
use engine::mounter::{self, Blocker, Force, MountError, Reason, Wanted};
use nfs3_client::tokio::{TokioConnector, TokioIo};
use nfs3_client::{Nfs3Connection, Nfs3ConnectionBuilder};
use nfs3_types::nfs3::{
    COMMIT3args, CREATE3args, LOOKUP3args, Nfs3Option, READ3args, REMOVE3args, WRITE3args, createhow3,
    diropargs3, nfs_fh3, sattr3, stable_how,
};
use nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_types::xdr_codec::Opaque;
use parking_lot::Mutex;
use testkit::{LocalHub, TempDir};

pub const LONG: Duration = Duration::from_secs(30);

pub struct Desk {
    pub hub: LocalHub,
    pub dir: TempDir,
    pub keychain: Arc<dyn Keychain>,
    pub desktop: Arc<Desktop>,
    pub kernel: Arc<Kernel>,
}

impl Desk {
    pub fn new(arguments: &[&str]) -> Desk {
        let builder = LocalHub::builder().token("hf_alice", "alice").token("hf_bob", "bob");
        Desk::on(arguments.iter().fold(builder, |hub, argument| hub.argument(argument)).start())
    }

    pub fn on(hub: LocalHub) -> Desk {
        Desk {
            hub,
            dir: testkit::tempdir().unwrap(),
            keychain: Arc::new(Keyring::of_store(keyring_core::mock::Store::new().unwrap())),
            desktop: Arc::default(),
            kernel: Arc::default(),
        }
    }

    pub fn config(&self) -> AppConfig {
        AppConfig {
            endpoint: hub::parse_endpoint(self.hub.endpoint()).unwrap(),
            config_dir: self.dir.path().join("config"),
            state_dir: self.dir.path().join("state"),
            home: self.dir.path().join("home"),
            keychain: Arc::clone(&self.keychain),
            outside: Arc::clone(&self.desktop) as Arc<dyn Outside>,
            mounts: Arc::clone(&self.kernel) as Arc<dyn MountHost>,
            debounce: Some(Duration::from_millis(100)),
            poll: Some(Duration::from_millis(300)),
            respawn: None,
        }
    }

    pub async fn start(&self) -> Arc<App> {
        App::start(self.config()).await.unwrap()
    }

    /// An app in which alice is signed in with her token, and her bucket.
    pub async fn with_alice(&self) -> (Arc<App>, String) {
        let bucket = self.hub.create_bucket("photos");
        let app = self.start().await;
        app.sign_in_token(TokenArgs { token: "hf_alice".into() }).await.unwrap();
        (app, bucket)
    }

    pub async fn mount(&self, app: &Arc<App>, bucket: &str) -> Bucket {
        app.mount(mount_args(bucket)).await.unwrap()
    }

    /// Every file the app keeps.
    pub fn kept(&self) -> Vec<PathBuf> {
        files_below(self.dir.path())
    }

    /// The places where `secret` stands that must not hold it.
    pub fn traces_of(&self, secret: &str) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| {
            std::fs::read(path).is_ok_and(|bytes| bytes.windows(secret.len()).any(|w| w == secret.as_bytes()))
        };
        self.kept().into_iter().filter(holds).collect()
    }
}

pub fn mount_args(bucket: &str) -> MountArgs {
    MountArgs { bucket: bucket.to_owned(), open: false, read_only: None, account: None }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Waits until the app's state is as wanted.
pub async fn until(app: &Arc<App>, what: &str, mut is: impl FnMut(&AppState) -> bool) -> Arc<AppState> {
    let deadline = Instant::now() + LONG;
    loop {
        app.look_now().await;
        let state = app.state();
        if is(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "never so: {what}; last: {state:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn all_saved(app: &Arc<App>) {
    until(app, "all saved", |state| state.status.all_saved && state.status.files_left == 0).await;
}

pub fn bucket_of(state: &AppState, id: &str) -> Option<Bucket> {
    state.buckets.iter().flat_map(|group| &group.buckets).find(|bucket| bucket.id == id).cloned()
}

pub fn mount_of(state: &AppState, id: &str) -> Mount {
    bucket_of(state, id).map_or(Mount::Off, |bucket| bucket.mount)
}

pub async fn rows(app: &Arc<App>) -> Vec<QueueRow> {
    app.queue(QueueArgs { offset: 0, limit: 1000, bucket: None }).await.unwrap().rows
}

/// All events until one for which `last` says yes.
pub async fn events_until(events: &mut AppEvents, mut last: impl FnMut(&AppEvent) -> bool) -> Vec<AppEvent> {
    let mut seen = Vec::new();
    let gather = async {
        loop {
            let event = events.next().await;
            let over = last(&event);
            seen.push(event);
            if over {
                return;
            }
        }
    };
    let outcome = tokio::time::timeout(LONG, gather).await;
    assert!(outcome.is_ok(), "the event never came; seen: {seen:#?}");
    seen
}

pub const NOTHING: Nothing = Nothing {};

/// Stands for browser and file browser: keeps what was to be opened.
#[derive(Default)]
pub struct Desktop {
    pub no_browser: AtomicBool,
    pub opened: Mutex<Vec<String>>,
}

impl Outside for Desktop {
    fn open_url(&self, url: &str) -> AppResult<()> {
        if self.no_browser.load(Ordering::Relaxed) {
            return Err(AppError::new(ErrorCode::System, "There is no browser.", ""));
        }
        self.opened.lock().push(url.to_owned());
        Ok(())
    }

    fn open_folder(&self, folder: &Path, select: Option<&Path>) -> AppResult<()> {
        self.opened.lock().push(select.unwrap_or(folder).display().to_string());
        Ok(())
    }

    fn start_at_login(&self, _: bool) -> AppResult<()> {
        Ok(())
    }
}

type Connection = Nfs3Connection<TokioIo<tokio::net::TcpStream>>;

/// Stands for a kernel: mounts over the wire as one does, outlives the app, and may be busy.
#[derive(Default)]
pub struct Kernel {
    mounts: Mutex<HashMap<PathBuf, (Mounted, u16)>>,
    connections: tokio::sync::Mutex<HashMap<PathBuf, (Connection, nfs_fh3)>>,
    pub busy: AtomicBool,
}

impl Kernel {
    /// Creates, writes and commits one file of the mount.
    pub async fn put(&self, bucket: &Bucket, name: &str, data: &[u8]) {
        let place = place(bucket);
        let mut connections = self.connections.lock().await;
        let (connection, root) = connections.get_mut(&place).unwrap();
        let where_ = diropargs3 { dir: root.clone(), name: name.as_bytes().into() };
        let how = createhow3::UNCHECKED(sattr3::default());
        let made = connection.create(&CREATE3args { where_, how }).await.unwrap().unwrap();
        let Nfs3Option::Some(file) = made.obj else { panic!("a CREATE without a handle") };
        for (index, piece) in data.chunks(64 << 10).enumerate() {
            let args = WRITE3args {
                file: file.clone(),
                offset: (index * (64 << 10)) as u64,
                count: u32::try_from(piece.len()).unwrap(),
                stable: stable_how::UNSTABLE,
                data: Opaque::borrowed(piece),
            };
            connection.write(&args).await.unwrap().unwrap();
        }
        let args = COMMIT3args { file, offset: 0, count: 0 };
        connection.commit(&args).await.unwrap().unwrap();
    }

    /// Removes a file of the mount, as a program does.
    pub async fn remove(&self, bucket: &Bucket, name: &str) {
        let mut connections = self.connections.lock().await;
        let (connection, root) = connections.get_mut(&place(bucket)).unwrap();
        let object = diropargs3 { dir: root.clone(), name: name.as_bytes().into() };
        connection.remove(&REMOVE3args { object }).await.unwrap().unwrap();
    }

    /// The names in the mount, and the content of one of them.
    pub async fn read(&self, bucket: &Bucket, name: &str) -> Option<Vec<u8>> {
        let mut connections = self.connections.lock().await;
        let (connection, root) = connections.get_mut(&place(bucket)).unwrap();
        let what = diropargs3 { dir: root.clone(), name: name.as_bytes().into() };
        let found = match connection.lookup(&LOOKUP3args { what }).await.unwrap() {
            nfs3_types::nfs3::Nfs3Result::Ok(found) => found,
            nfs3_types::nfs3::Nfs3Result::Err(_) => return None,
        };
        let args = READ3args { file: found.object, offset: 0, count: 1 << 20 };
        Some(connection.read(&args).await.unwrap().unwrap().data.as_ref().to_vec())
    }

    /// As somebody at a terminal with `umount -f`: nobody is told.
    pub fn forget(&self, bucket: &Bucket) {
        self.mounts.lock().remove(&place(bucket)).unwrap();
    }

    pub fn ports(&self) -> Vec<u16> {
        self.mounts.lock().values().map(|(_, port)| *port).collect()
    }
}

pub fn place(bucket: &Bucket) -> PathBuf {
    match &bucket.mount {
        Mount::Mounted { mount_point, .. } => PathBuf::from(mount_point),
        other => panic!("not mounted: {other:?}"),
    }
}

#[async_trait]
impl MountHost for Kernel {
    async fn check(&self) -> mounter::Result<()> {
        Ok(())
    }

    fn mounts(&self) -> mounter::Result<Vec<Mounted>> {
        Ok(self.mounts.lock().values().map(|(mounted, _)| mounted.clone()).collect())
    }

    async fn mount(&self, wanted: &Wanted, folder: &Path) -> mounter::Result<(PathBuf, Vec<String>)> {
        let place = folder.join(wanted.name.as_str());
        let export = format!("/{}/{}", wanted.token.as_str(), wanted.name);
        let user = auth_unix { uid: rustix::process::geteuid().as_raw(), ..auth_unix::default() };
        let connection = Nfs3ConnectionBuilder::new(TokioConnector, "127.0.0.1", export)
            .connect_from_privileged_port(false)
            .mount_port(wanted.port)
            .nfs3_port(wanted.port)
            .credential(opaque_auth::auth_unix(&user))
            .mount()
            .await
            .unwrap();
        let root = connection.root_nfs_fh3();
        self.connections.lock().await.insert(place.clone(), (connection, root));
        let mounted = Mounted { mount_point: place.clone(), token: wanted.token.as_str().to_owned() };
        self.mounts.lock().insert(place.clone(), (mounted, wanted.port));
        Ok((place, Vec::new()))
    }

    async fn unmount(&self, place: &Path, force: Force) -> mounter::Result<()> {
        if self.busy.load(Ordering::Relaxed) && force == Force::No {
            return Err(MountError {
                reason: Reason::Busy,
                what: "It is in use.".into(),
                advice: "Close what is open.".into(),
            });
        }
        self.connections.lock().await.remove(place);
        self.mounts.lock().remove(place);
        Ok(())
    }

    async fn blockers(&self, _: &Path) -> Vec<Blocker> {
        if self.busy.load(Ordering::Relaxed) {
            vec![Blocker { pid: 7, name: "vim".into() }]
        } else {
            Vec::new()
        }
    }
}
