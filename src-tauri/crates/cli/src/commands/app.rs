//! `app`: everything the app does, without its window.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::app::api::error::AppError;
use engine::app::desktop::Desktop;
use engine::app::http::HttpApi;
use engine::app::keychain::InMemory;
use engine::app::mount_host::{MountHost, Mounted};
use engine::app::{App, AppConfig};
use engine::mounter::{self, Blocker, Force, Wanted};
use engine::{EngineError, Result};

use crate::arguments;
use crate::signals::Signals;
use crate::{CommandResult, Outcome};

/// The promise is five seconds in all.
const LONGEST_END: Duration = Duration::from_millis(4900);

pub async fn run(args: arguments::App) -> CommandResult {
    // Whatever is made from here on is this user's alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let mut signals = Signals::listen()?;
    let mut config = AppConfig::discover(Arc::new(Desktop)).map_err(worded)?;
    if args.secrets_in_memory {
        config.keychain = Arc::new(InMemory::default());
    }
    if args.serve_only {
        config.mounts = Arc::new(ServeOnly::open(config.state_dir.join("serve-only.json")));
    }
    (config.debounce, config.poll) = (args.debounce_ms, args.poll_ms);
    let app = App::start(config).await.map_err(worded)?;
    let serving = match args.http {
        true => Some(tokio::spawn(answer(Arc::clone(&app), args.port, args.ui).await?.serve())),
        false => None,
    };
    tokio::select! {
        () = signals.received() => {
            if tokio::time::timeout(LONGEST_END, app.end()).await.is_err() {
                eprintln!("bucketbarctl: The disk was too slow for a tidy end. What was acknowledged is kept.");
            }
        }
        () = app.ended() => {}
    }
    if let Some(serving) = serving {
        // Its last answer is on the way out.
        let _ = tokio::time::timeout(Duration::from_millis(500), serving).await;
    }
    Ok(Outcome::Done)
}

async fn answer(app: Arc<App>, port: u16, ui: Option<PathBuf>) -> Result<HttpApi> {
    let api = HttpApi::bind(app, port, ui).await.map_err(worded)?;
    let failed = |error: std::io::Error| {
        EngineError::new(format!("The first line could not be printed ({error})."), "Keep stdout open.")
    };
    let line = serde_json::to_string(&api.address()).map_err(|error| failed(error.into()))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(failed)?;
    Ok(api)
}

fn worded(error: AppError) -> EngineError {
    EngineError { what: error.what, advice: error.advice, may_retry: error.may_retry }
}

/// Takes what is to be mounted for mounted: a client of NFS that needs no kernel does the rest. Like a kernel's, its
/// table outlives the app.
struct ServeOnly {
    file: PathBuf,
    mounts: Mutex<HashMap<PathBuf, String>>,
}

impl ServeOnly {
    fn open(file: PathBuf) -> ServeOnly {
        let kept = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        ServeOnly { file, mounts: Mutex::new(kept.unwrap_or_default()) }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<PathBuf, String>)) {
        let mut table = self.table();
        change(&mut table);
        let text = serde_json::to_vec(&*table).unwrap_or_default();
        if let Err(error) = std::fs::write(&self.file, text) {
            eprintln!("bucketbarctl: What is mounted is forgotten at the end ({error}).");
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, String>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MountHost for ServeOnly {
    async fn check(&self) -> mounter::Result<()> {
        Ok(())
    }

    fn mounts(&self) -> mounter::Result<Vec<Mounted>> {
        let mount = |(place, token): (&PathBuf, &String)| Mounted {
            mount_point: place.clone(),
            token: token.clone(),
        };
        Ok(self.table().iter().map(mount).collect())
    }

    async fn mount(&self, wanted: &Wanted, folder: &Path) -> mounter::Result<(PathBuf, Vec<String>)> {
        let place = folder.join(wanted.name.as_str());
        self.change(|table| {
            table.insert(place.clone(), wanted.token.as_str().to_owned());
        });
        Ok((place, Vec::new()))
    }

    async fn unmount(&self, place: &Path, _: Force) -> mounter::Result<()> {
        self.change(|table| {
            table.remove(place);
        });
        Ok(())
    }

    async fn blockers(&self, _: &Path) -> Vec<Blocker> {
        Vec::new()
    }
}
