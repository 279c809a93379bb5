//! Starting the engine beside the tray.

use std::path::PathBuf;
use std::sync::Arc;

use engine::StateHome;
use engine::app::api::error::AppResult;
use engine::app::{App, AppConfig};
use tauri::AppHandle;
use tokio::sync::watch;

use super::outside::Desktop;
use super::{dialogs, events, windows};
use crate::logs;
use crate::page::Page;

/// How the app was asked to start.
pub struct Wish {
    pub page_shown: bool,
    pub supervised: bool,
    pub level: Option<logs::Level>,
}

/// Where the app keeps what is its own, beside the buckets' state.
pub fn folder() -> engine::Result<PathBuf> {
    let home = StateHome::discover()?;
    Ok(home.path().parent().unwrap_or(home.path()).to_path_buf())
}

/// Starts the engine, hands it out, and follows its events to the end of the app.
pub async fn engine(app: AppHandle, wish: Wish, started: watch::Sender<Option<Arc<App>>>) {
    match start().await {
        Ok(engine) => {
            started.send_replace(Some(engine.clone()));
            // The first time there is nobody signed in: without a window nothing would be seen to happen.
            if !wish.page_shown && !wish.supervised && engine.state().accounts.is_empty() {
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

async fn start() -> AppResult<Arc<App>> {
    App::start(AppConfig::discover(Arc::new(Desktop))?).await
}
