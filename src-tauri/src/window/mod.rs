//! The app around the engine: one tray icon, windows when somebody asks for one, notifications.
//!
//! The tray is there from the first moment. The engine starts beside it ([`start`]); until it has, the menu says so
//! and commands of the pages wait. Everything that touches the menu or a window runs on the main thread; nothing
//! that waits for the engine does.

mod commands;
mod dialogs;
mod events;
mod life;
mod notifier;
mod outside;
mod renderer;
mod start;
mod tray;
mod updates;
mod windows;

use std::process::ExitCode;
use std::sync::Arc;

use engine::app::App;
use tauri::{AppHandle, Manager, RunEvent};
use tokio::sync::watch;

use crate::arguments::By;
use crate::logs;
use crate::page::Page;
use crate::single::{Claim, Single};

/// The engine, once it has started. Tauri keeps one.
pub struct Running {
    started: watch::Receiver<Option<Arc<App>>>,
}

impl Running {
    /// Now, if it has started.
    pub fn now(&self) -> Option<Arc<App>> {
        self.started.borrow().clone()
    }
}

/// Runs the app until it is quit. Exit code 0 only for an orderly end: launchd and systemd bring it back after
/// any other.
pub fn run(page: Option<Page>, by: By) -> ExitCode {
    let state = match start::folder() {
        Ok(state) => state,
        Err(error) => return refuse(&error.to_string()),
    };
    let level = match logs::to_files(&engine::log_folder(&state)) {
        Ok((subscriber, level)) => tracing::subscriber::set_global_default(subscriber).map(|()| level).ok(),
        Err(error) => {
            eprintln!("bucketbar: no log can be written: {error}");
            None
        }
    };
    log_panics();
    let wanted = page.or_else(|| (by == By::Person).then_some(Page::Activity));
    let single = match Single::claim(&state, wanted) {
        Ok(Claim::First(single)) => single,
        Ok(Claim::Second { told }) => {
            println!(
                "BucketBar is running already.{}",
                if told { "" } else { " It could not be asked to show itself." }
            );
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&format!("{} cannot be used: {error}", state.display())),
    };
    build(page, by, single, level, &state)
}

fn build(
    page: Option<Page>,
    by: By,
    single: Single,
    level: Option<logs::Level>,
    state: &std::path::Path,
) -> ExitCode {
    let (engine, started) = watch::channel(None);
    let updates_folder = state.join("updates");
    let app = tauri::Builder::default()
        .manage(Running { started })
        .manage(life::Life::default())
        .invoke_handler(tauri::generate_handler![
            commands::call,
            commands::open_page,
            commands::close_page,
            commands::pick_folder
        ])
        .setup(move |app| {
            crate::platform::dress(app);
            tray::create(app)?;
            let handle = app.handle().clone();
            serve_later_starts(handle.clone(), Arc::new(single));
            updates::start(&handle, &updates_folder);
            if let Some(page) = page {
                windows::open(&handle, page, None);
            }
            life::watch_signals(handle.clone());
            let wish = start::Wish { page_shown: page.is_some(), by, level };
            tauri::async_runtime::spawn(start::engine(handle, wish, engine));
            Ok(())
        })
        .build(tauri::generate_context!());
    match app {
        Ok(app) => {
            let code = app.run_return(on_event);
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(error) => refuse(&format!("The desktop does not let it start: {error}")),
    }
}

fn on_event(app: &AppHandle, event: RunEvent) {
    match event {
        // The last window was closed: the app stays. Only `exit(code)` ends it.
        RunEvent::ExitRequested { code: None, api, .. } => api.prevent_exit(),
        RunEvent::Exit => life::last_words(app),
        #[cfg(target_os = "macos")]
        RunEvent::Reopen { .. } => windows::open(app, Page::Activity, None),
        _ => {}
    }
}

/// Tauri keeps the claim to the end; the thread may end earlier.
fn serve_later_starts(app: AppHandle, single: Arc<Single>) {
    app.manage(single.clone());
    std::thread::spawn(move || single.serve(|page| windows::open(&app, page, None)));
}

/// A panic ends one request, not the app; it belongs into the log all the same.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        before(panic);
    }));
}

fn refuse(sentence: &str) -> ExitCode {
    tracing::error!("{sentence}");
    eprintln!("bucketbar: {sentence}");
    ExitCode::FAILURE
}

/// The engine of a running app.
fn engine_of(app: &AppHandle) -> Option<Arc<App>> {
    app.state::<Running>().now()
}
