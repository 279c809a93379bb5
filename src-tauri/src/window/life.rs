//! What a click in the menu does, and how the app ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::app::App;
use engine::app::api::buckets::{Mount, Unmounted};
use engine::app::api::commands::{
    Asked, ConsentArgs, MountArgs, Nothing, OfFile, PauseArgs, ReadOnlyArgs, SignOutArgs, SyncArgs,
    UnmountArgs,
};
use engine::app::api::error::AppResult;
use tauri::{AppHandle, Manager};

use super::{dialogs, engine_of, windows};
use crate::menu::Action;
use crate::page::Page;
use crate::platform;
use crate::update::decision::End;

/// The engine's own bound for an end without questions is five seconds.
const END: Duration = Duration::from_secs(8);

#[derive(Default)]
pub struct Life {
    /// A question about quitting is on the screen: one is enough.
    asking: AtomicBool,
    /// The system wants the app to end, not the person.
    hurried: AtomicBool,
}

/// Does what the person clicked; what cannot be done is said in a dialog.
pub async fn act(app: &AppHandle, action: Action) {
    if let Action::Open(page) = action {
        return windows::open(app, page, None);
    }
    if let Action::KeepOffline(_) = action {
        return windows::open(app, Page::Offline, None);
    }
    let Some(engine) = engine_of(app) else {
        if action == Action::Quit {
            app.exit(0); // nothing has begun
        }
        return;
    };
    let title = title(&action);
    if let Err(error) = perform(app, &engine, action).await {
        tracing::info!("{title}: {error}");
        dialogs::problem(app, title, &error).await;
    }
}

async fn perform(app: &AppHandle, engine: &Arc<App>, action: Action) -> AppResult<()> {
    let nothing = || Nothing::default();
    match action {
        Action::Bucket(bucket) => {
            engine.mount(MountArgs { bucket, open: true, read_only: None, account: None }).await.map(drop)
        }
        Action::Reveal(bucket) => engine.reveal(OfFile { bucket, path: None }).await.map(drop),
        Action::Unmount(bucket) => unmount(app, engine, bucket).await,
        Action::ReadOnly(bucket) => {
            let read_only = !is_read_only(engine, &bucket);
            engine.set_read_only(ReadOnlyArgs { bucket, read_only }).await.map(drop)
        }
        Action::SyncNow(bucket) => engine.sync_now(SyncArgs { bucket: Some(bucket) }).await.map(drop),
        Action::Pause(minutes) => engine.pause(PauseArgs { minutes }).await.map(drop),
        Action::Resume => engine.resume(nothing()).await.map(drop),
        Action::RefreshBuckets => engine.refresh_buckets(nothing()).await.map(drop),
        Action::SignOut(account) => sign_out(app, engine, account).await,
        Action::CopyDiagnostics => copy_diagnostics(app, engine).await,
        Action::Quit => quit(app, engine).await,
        Action::Open(_) | Action::KeepOffline(_) => Ok(()),
    }
}

fn title(action: &Action) -> &'static str {
    match action {
        Action::Bucket(_) => "The bucket could not be opened",
        Action::Unmount(_) => "The bucket could not be unmounted",
        Action::SignOut(_) => "Signing out",
        Action::Quit => "Quit BucketBar",
        _ => "BucketBar",
    }
}

fn is_read_only(engine: &Arc<App>, bucket: &str) -> bool {
    let state = engine.state();
    let all = state.buckets.iter().flat_map(|group| &group.buckets);
    all.filter(|there| there.id == bucket)
        .any(|there| matches!(there.mount, Mount::Mounted { read_only: Some(_), .. }))
}

async fn unmount(app: &AppHandle, engine: &Arc<App>, bucket: String) -> AppResult<()> {
    let answer = engine.unmount(UnmountArgs { bucket: bucket.clone(), consent: None }).await?;
    let Unmounted::InUse { question, consent, .. } = answer else { return Ok(()) };
    match dialogs::ask(app, "The bucket is in use", &question, &[], Some("Unmount Anyway")).await {
        dialogs::Answer::Yes => {
            engine.unmount(UnmountArgs { bucket, consent: Some(consent) }).await.map(drop)
        }
        dialogs::Answer::No => Ok(()),
    }
}

async fn sign_out(app: &AppHandle, engine: &Arc<App>, account: String) -> AppResult<()> {
    let asked = engine.sign_out(SignOutArgs { account: account.clone(), consent: None }).await?;
    match dialogs::consent(app, "Sign Out", "Sign Out", asked).await {
        Some(consent) => engine.sign_out(SignOutArgs { account, consent: Some(consent) }).await.map(drop),
        None => Ok(()),
    }
}

async fn copy_diagnostics(app: &AppHandle, engine: &Arc<App>) -> AppResult<()> {
    let text = engine.diagnostics(Nothing::default()).await?.text;
    if let Err(error) = app.run_on_main_thread(move || platform::copy_text(&text)) {
        tracing::warn!("the main thread is gone: {error}");
    }
    Ok(())
}

/// Asks when something is unsent or in use. The process ends when the engine says so ([`super::events`]).
async fn quit(app: &AppHandle, engine: &Arc<App>) -> AppResult<()> {
    let life = app.state::<Life>();
    if life.asking.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let end = async {
        let asked = engine.quit(ConsentArgs { consent: None }).await?;
        let consent = match asked {
            // Nothing is unsent and nothing in use: the click was the answer.
            Asked::Question { facts, consent, possible: true, .. } if facts.is_empty() => Some(consent),
            asked => dialogs::consent(app, "Quit BucketBar", "Quit", asked).await,
        };
        if let Some(consent) = consent {
            engine.quit(ConsentArgs { consent: Some(consent) }).await?;
        }
        Ok(())
    };
    let result = end.await;
    life.asking.store(false, Ordering::SeqCst);
    result
}

/// Known once the engine has ended.
pub fn how_it_ends(app: &AppHandle) -> End {
    if app.state::<Life>().hurried.load(Ordering::SeqCst) { End::System } else { End::Quit }
}

/// SIGTERM (systemd, log-out) and SIGINT (a terminal): an end without questions; what is unsent waits on disk.
pub fn watch_signals(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    tauri::async_runtime::spawn(async move {
        let both =
            signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
        let (mut terminate, mut interrupt) = match both {
            Ok(both) => both,
            Err(error) => return tracing::error!("signals cannot be heard: {error}"),
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end by a signal");
        end_now(&app).await;
        app.exit(0);
    });
}

/// The event loop is over. On macOS a log-out ends it without any signal.
pub fn last_words(app: &AppHandle) {
    tauri::async_runtime::block_on(end_now(app));
}

async fn end_now(app: &AppHandle) {
    app.state::<Life>().hurried.store(true, Ordering::SeqCst);
    let Some(engine) = engine_of(app) else { return };
    if tokio::time::timeout(END, engine.end()).await.is_err() {
        tracing::error!("the engine did not end in time; what is unsent waits on disk");
    }
}
