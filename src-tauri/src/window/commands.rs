//! What the pages may call. `call` is the engine's whole API, which checks every argument; the others are about
//! windows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::app::App;
use engine::app::api::commands::NAMES;
use engine::app::api::error::{AppError, AppResult, ErrorCode};
use serde_json::Value;
use tauri::{AppHandle, State, WebviewWindow};

use super::{Running, dialogs, windows};
use crate::page::Page;

/// How long a page waits for the engine to start.
const START: Duration = Duration::from_secs(30);

#[tauri::command]
pub async fn call(name: String, args: Value, running: State<'_, Running>) -> AppResult<Value> {
    if !NAMES.contains(&name.as_str()) {
        return Err(AppError::invalid("There is no such command.", ""));
    }
    started(&running).await?.call(&name, args).await
}

#[tauri::command]
pub async fn open_page(app: AppHandle, page: Page) {
    windows::open(&app, page, None);
}

#[tauri::command]
pub async fn close_page(window: WebviewWindow) -> AppResult<()> {
    window.close().map_err(|error| {
        AppError::new(ErrorCode::Internal, format!("The window did not close: {error}."), "")
    })
}

/// A folder of the person's choice. Nothing is done with it here: the page gives it to the engine as a setting.
#[tauri::command]
pub async fn pick_folder(window: WebviewWindow, start: String) -> Option<String> {
    let start = Path::new(&start);
    dialogs::pick_folder(&window, start.is_absolute().then_some(start)).await
}

async fn started(running: &Running) -> AppResult<Arc<App>> {
    let mut started = running.started.clone();
    let late = || AppError::new(ErrorCode::Busy, "BucketBar is still starting.", "Try again in a moment.");
    let wait = tokio::time::timeout(START, started.wait_for(Option::is_some));
    let app = wait.await.map_err(|_| late())?.map_err(|_| late())?;
    app.clone().ok_or_else(late)
}
