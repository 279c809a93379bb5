//! Follows the engine: tray, pages, notifications, log level, and what keeps the system from ending the app.

use std::sync::Arc;

use engine::app::App;
use engine::app::api::event::{AppEvent, Part};
use tauri::{AppHandle, Emitter};

use super::notifier::Notifier;
use super::{life, tray, updates, windows};
use crate::page::Page;
use crate::platform::{self, Assertion, Hint};
use crate::{awake, logs};

/// To the end of the app.
pub async fn follow(app: AppHandle, engine: Arc<App>, level: Option<logs::Level>) {
    watch_the_machine(&app, &engine);
    let mut follower =
        Follower { notifier: notifier(&app), level, assertion: None, app, engine: engine.clone() };
    let mut events = engine.events();
    follower.show_all().await;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = engine.ended() => AppEvent::Ended,
        };
        let ended = event == AppEvent::Ended;
        follower.take(event).await;
        if ended {
            break;
        }
    }
    engine.ended().await;
    updates::at_end(&follower.app, &engine, life::how_it_ends(&follower.app)).await;
    tracing::info!("the app has ended in order");
    follower.app.exit(0);
}

struct Follower {
    app: AppHandle,
    engine: Arc<App>,
    notifier: Notifier,
    level: Option<logs::Level>,
    /// Held while there is a reason, with it.
    assertion: Option<(&'static str, Assertion)>,
}

impl Follower {
    async fn take(&mut self, event: AppEvent) {
        if !windows::none_open(&self.app)
            && let Err(error) = self.app.emit("engine", &event)
        {
            tracing::warn!("the windows were not told: {error}");
        }
        match event {
            AppEvent::Changed { parts, .. } => self.changed(&parts).await,
            AppEvent::Missed => self.show_all().await,
            AppEvent::Notify { notification } => self.notifier.show(notification),
            AppEvent::Withdraw { key } => self.notifier.withdraw(key),
            AppEvent::Ended => {}
        }
    }

    async fn changed(&mut self, parts: &[Part]) {
        // The queue's rows are no part of the menu.
        if parts.iter().any(|part| *part != Part::Queue) {
            self.show_all().await;
        }
    }

    async fn show_all(&mut self) {
        let state = self.engine.state();
        tray::show(&self.app, &state);
        if let Some(level) = &self.level {
            level.set(state.settings.log_level);
        }
        let why = awake::reason(&state.status);
        if why != self.assertion.as_ref().map(|(why, _)| *why) {
            // The new one first: no moment without any.
            let next = match why {
                Some(why) => Some((why, Assertion::hold(why).await)),
                None => None,
            };
            self.assertion = next;
        }
    }
}

fn notifier(app: &AppHandle) -> Notifier {
    let app = app.clone();
    Notifier::start(move |entry| windows::open(&app, Page::Activity, Some(entry)))
}

/// Awake again, or another network: the engine looks for itself.
fn watch_the_machine(app: &AppHandle, engine: &Arc<App>) {
    let engine = engine.clone();
    let hear = move |hint: Hint| {
        tracing::info!("{hint:?}: looking at everything anew");
        let engine = engine.clone();
        tauri::async_runtime::spawn(async move {
            if let Err(error) = engine.check(Default::default()).await {
                tracing::warn!("{error}");
            }
        });
    };
    let again = app.clone();
    if let Err(error) = app.run_on_main_thread(move || platform::watch(&again, hear)) {
        tracing::warn!("the main thread is gone: {error}");
    }
}
