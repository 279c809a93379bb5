//! Starting the engine beside the tray.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::StateHome;
use engine::app::api::error::AppResult;
use engine::app::{App, AppConfig};
use engine::keeping::Respawn;
use tauri::AppHandle;
use tokio::sync::watch;

use super::outside::{self, Desktop};
use super::{dialogs, events, windows};
use crate::arguments::By;
use crate::logs;
use crate::page::Page;

/// How the app was asked to start.
pub struct Wish {
    pub page_shown: bool,
    pub by: By,
    pub level: Option<logs::Level>,
}

/// Where the app keeps what is its own, beside the buckets' state.
pub fn folder() -> engine::Result<PathBuf> {
    let home = StateHome::discover()?;
    Ok(home.path().parent().unwrap_or(home.path()).to_path_buf())
}

/// Starts the engine, hands it out, and follows its events to the end of the app.
pub async fn engine(app: AppHandle, wish: Wish, started: watch::Sender<Option<Arc<App>>>) {
    match start(wish.by).await {
        Ok(engine) => {
            started.send_replace(Some(engine.clone()));
            // The first time there is nobody signed in: without a window nothing would be seen to happen.
            if !wish.page_shown && wish.by == By::Person && engine.state().accounts.is_empty() {
                windows::open(&app, Page::Welcome, None);
            }
            events::follow(app, engine, wish.level).await;
        }
        Err(error) => {
            tracing::error!("the engine could not start: {error}");
            dialogs::problem(&app, "BucketBar could not start", &error).await;
            app.exit(1);
        }
    }
}

async fn start(by: By) -> AppResult<Arc<App>> {
    let mut config = AppConfig::discover(Arc::new(Desktop))?;
    if by != By::Supervisor {
        config.respawn = respawn(&config.state_dir);
    }
    App::start(config).await
}

/// How the keeper brings this app back after a crash.
fn respawn(state: &Path) -> Option<Respawn> {
    Some(Respawn {
        program: outside::program().ok()?,
        args: vec!["--quiet".to_owned()],
        env: engine::keeping::environment(),
        log: engine::log_folder(state).join("relaunched.log"),
    })
}
