//! The app: what it owns, how it starts.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bucketfs::Timestamp;
use directories::BaseDirs;
use hub::Url;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts::Accounts;
use super::api::accounts::SignIn;
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::{AppEvent, Part};
use super::api::queue::QueueRow;
use super::api::settings::Settings;
use super::api::state::{AppState, AppStatus};
use super::api::{BucketId, Ms};
use super::book::Book;
use super::consent::Consents;
use super::keychain::{Keychain, Keyring};
use super::ledger::Ledger;
use super::mount_host::{MountHost, System};
use super::outside::Outside;
use super::slot::Slot;
use super::wake::Wake;
use super::{pulse, settings};
use crate::error::EngineError;
use crate::keeping::Respawn;
use crate::state_home::{StateHome, config_folder};

const EVENTS: usize = 256;
const LOOK: Duration = Duration::from_secs(2);

/// What an app is made of.
#[derive(Clone)]
pub struct AppConfig {
    pub endpoint: Url,
    /// Settings and accounts.
    pub config_dir: PathBuf,
    /// State directories of buckets lie in its `buckets`; the app's own files beside them.
    pub state_dir: PathBuf,
    /// The person's home: where the mount folder is by default.
    pub home: PathBuf,
    pub keychain: Arc<dyn Keychain>,
    pub outside: Arc<dyn Outside>,
    pub mounts: Arc<dyn MountHost>,
    /// How long a file must be quiet before it is uploaded; by default two seconds.
    pub debounce: Option<Duration>,
    /// How often the Hub is tried while it is out of reach; by default 15 s.
    pub poll: Option<Duration>,
    /// How this app is started again by the keeper when it dies while a bucket is served; `None`: somebody else
    /// sees to that.
    pub respawn: Option<Respawn>,
}

impl AppConfig {
    /// This user's places, the system's keychain and mounts, the Hub of `HF_ENDPOINT`.
    ///
    /// # Errors
    /// When there is no home directory, or `HF_ENDPOINT` cannot be used.
    pub fn discover(outside: Arc<dyn Outside>) -> AppResult<AppConfig> {
        let homeless = || {
            AppError::new(ErrorCode::System, "Your home directory is not known.", "Set HOME and start again.")
        };
        let buckets = StateHome::discover().map_err(|error| AppError::of(ErrorCode::System, error))?;
        Ok(AppConfig {
            endpoint: hub::discover_endpoint()?,
            config_dir: config_folder().ok_or_else(homeless)?,
            state_dir: buckets.path().parent().unwrap_or(buckets.path()).to_owned(),
            home: BaseDirs::new().ok_or_else(homeless)?.home_dir().to_owned(),
            keychain: Arc::new(Keyring::of_system()),
            mounts: Arc::new(System::new(Arc::clone(&outside))),
            outside,
            debounce: None,
            poll: None,
            respawn: None,
        })
    }

    fn hub_config(&self) -> hub::HubConfig {
        let token = Arc::new(hub::StaticToken::anonymous());
        let access = crate::hub_access::HubAccess { endpoint: self.endpoint.clone(), token };
        access.config(&self.state_dir.join("xet"))
    }
}

/// One process, many buckets, one truth. Made by [`App::start`], ended by `quit` or [`App::end`].
pub struct App {
    pub(super) config: AppConfig,
    pub(super) home: StateHome,
    pub(super) accounts: Arc<Accounts>,
    pub(super) settings: RwLock<Settings>,
    /// Held from reading settings to keeping changed ones: of two changes at once none is lost.
    pub(super) settings_change: Mutex<()>,
    pub(super) book: Mutex<Book>,
    pub(super) slots: RwLock<BTreeMap<BucketId, Arc<Slot>>>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) sign_in: Mutex<SignIn>,
    /// The sign-in under way; cancelled by the next one.
    pub(super) signing: Mutex<CancellationToken>,
    pub(super) consents: Consents,
    pub(super) wake: Arc<Wake>,
    pub(super) state: watch::Sender<Arc<AppState>>,
    pub(super) events: broadcast::Sender<AppEvent>,
    /// Looks of the one loop: how many began, and the number of the last that is done.
    pub(super) looks_begun: AtomicU64,
    pub(super) looks_done: watch::Sender<u64>,
    /// The queue as it was looked at last.
    pub(super) rows: RwLock<Arc<HashMap<BucketId, Arc<Vec<QueueRow>>>>>,
    /// The list of buckets: being asked for, and why the last try failed.
    pub(super) listing: Mutex<(bool, Option<AppError>)>,
    /// Why nothing can be mounted here, as it was looked at last.
    pub(super) mount_problem: Mutex<Option<AppError>>,
    /// Buckets of an earlier run are not all taken up yet.
    pub(super) starting: AtomicBool,
    pub(super) started_ms: Ms,
    pub(super) stop: CancellationToken,
    /// Set when the app has ended.
    pub(super) ended: watch::Sender<bool>,
    pub(super) tasks: TaskTracker,
    /// One app for one state directory; free again at the end.
    pub(super) lock: Mutex<Option<std::fs::File>>,
}

pub(super) fn now() -> Ms {
    Timestamp::now().as_ms()
}

impl App {
    /// Takes up what an earlier run left: mounts that live on come back on their ports, unsent files go on
    /// uploading. On return the app answers; the taking up goes on behind it. Must be called inside a
    /// multi-threaded runtime.
    ///
    /// # Errors
    /// `Exists` when another app of this user runs; `Disk`.
    pub async fn start(config: AppConfig) -> AppResult<Arc<App>> {
        let lock = take_lock(&config)?;
        let wake = Arc::new(Wake::default());
        let keychain = Arc::clone(&config.keychain);
        let accounts = Accounts::open(config.hub_config(), &config.config_dir, keychain, Arc::clone(&wake));
        accounts.take_environment();
        let book = Book::open(&config.state_dir.join(book_name(accounts.origin())));
        let settings = settings::read(&config.config_dir.join("settings.json"), &config.home);
        let ledger = Ledger::open(&config.state_dir.join("activity.json"));
        let app = Arc::new(App {
            home: StateHome::at(config.state_dir.join("buckets")),
            accounts,
            settings: RwLock::new(settings.clone()),
            settings_change: Mutex::new(()),
            book: Mutex::new(book),
            slots: RwLock::default(),
            ledger: Mutex::new(ledger),
            sign_in: Mutex::new(SignIn::None),
            signing: Mutex::default(),
            consents: Consents::default(),
            wake,
            state: watch::Sender::new(Arc::new(pulse::empty_state(settings))),
            events: broadcast::Sender::new(EVENTS),
            looks_begun: AtomicU64::new(0),
            looks_done: watch::Sender::new(0),
            rows: RwLock::default(),
            listing: Mutex::new((false, None)),
            mount_problem: Mutex::default(),
            starting: AtomicBool::new(true),
            started_ms: now(),
            stop: CancellationToken::new(),
            ended: watch::Sender::new(false),
            tasks: TaskTracker::new(),
            config,
            lock: Mutex::new(Some(lock)),
        });
        pulse::start(&app);
        let taking_up = Arc::clone(&app);
        app.tasks.spawn(async move { taking_up.take_up().await });
        app.look_now().await;
        Ok(app)
    }

    /// On return the state is that of a look that began after the call (or, after two seconds, of the last one).
    pub async fn look_now(&self) {
        let begun = self.looks_begun.load(Ordering::Acquire);
        let mut done = self.looks_done.subscribe();
        self.wake.urgent(Part::Status);
        let fresh = done.wait_for(|done| *done > begun);
        // The loop may be at its end: then nothing is new any more.
        let _ = tokio::time::timeout(LOOK, fresh).await;
    }

    /// Everything but the long lists, as it was shown last. Waits for nothing.
    pub fn state(&self) -> Arc<AppState> {
        self.state.borrow().clone()
    }

    pub fn status(&self) -> AppStatus {
        self.state.borrow().status.clone()
    }

    /// What happens from now on. The first event is `Changed` with every part.
    pub fn events(&self) -> AppEvents {
        let receiver = self.events.subscribe();
        let state = self.state();
        let first = AppEvent::Changed {
            revision: state.revision,
            status: state.status.clone(),
            parts: pulse::ALL_PARTS.to_vec(),
        };
        AppEvents { receiver, first: Some(first), over: false }
    }

    /// Returns when the app has ended; the process may end then.
    pub async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // Its sender is ours.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Accounts, environment, mounts at login, unsent files: everything that takes a while.
    async fn take_up(self: Arc<Self>) {
        self.mend_helper().await;
        // What it says is in the state; nothing else depends on it here.
        let _ = self.look_whether_to_mount().await;
        self.adopt_mounts().await;
        self.serve_unsent().await;
        self.starting.store(false, Ordering::Relaxed);
        self.wake.urgent(Part::Buckets);
        self.accounts.name_environment().await;
        self.refresh_buckets_quietly().await;
        let at_login = self.settings.read().mount_at_login.clone();
        for bucket in at_login {
            if self.stop.is_cancelled() {
                return;
            }
            if let Err(error) = self.mount_bucket(&bucket, None, None).await {
                tracing::warn!(bucket, %error, "a bucket was not mounted at the start");
            }
        }
    }
}

/// The stream of [`App::events`].
pub struct AppEvents {
    receiver: broadcast::Receiver<AppEvent>,
    first: Option<AppEvent>,
    over: bool,
}

impl AppEvents {
    /// The next event; after [`AppEvent::Ended`] it waits for ever.
    pub async fn next(&mut self) -> AppEvent {
        if let Some(first) = self.first.take() {
            return first;
        }
        if self.over {
            std::future::pending::<()>().await;
        }
        match self.receiver.recv().await {
            Ok(event) => {
                self.over = event == AppEvent::Ended;
                event
            }
            Err(broadcast::error::RecvError::Lagged(_)) => AppEvent::Missed,
            Err(broadcast::error::RecvError::Closed) => {
                self.over = true;
                AppEvent::Ended
            }
        }
    }
}

/// Buckets of two Hubs are two lists.
fn book_name(origin: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash: String =
        Sha256::digest(origin.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("buckets-{hash}.json")
}

fn take_lock(config: &AppConfig) -> AppResult<std::fs::File> {
    let path = config.state_dir.join("app.lock");
    let failed = |error: std::io::Error| {
        AppError::of(
            ErrorCode::Disk,
            EngineError::disk("Making the state directory", &config.state_dir, &error),
        )
    };
    crate::endpoint::private_dir(&config.state_dir).map_err(|error| AppError::of(ErrorCode::Disk, error))?;
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(AppError::new(
            ErrorCode::Exists,
            "BucketBar runs already for this user.",
            "Use the one that runs, or end it first.",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}
