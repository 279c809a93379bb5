//! The icon in the menu bar, its menu, and what a click on a line does.

use std::sync::{Mutex, PoisonError};

use engine::app::api::state::{AppState, Icon};
use tauri::image::Image;
use tauri::menu::MenuEvent;
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{App, AppHandle, Manager};

use super::life;
use super::renderer::Renderer;
use crate::menu::{Action, describe, starting, tooltip, with_update};

/// Tauri keeps one; it is touched on the main thread only, the lock is never waited for.
pub struct Tray {
    icon: TrayIcon,
    shown: Mutex<Shown>,
}

struct Shown {
    renderer: Renderer,
    icon: Option<Icon>,
    tooltip: String,
}

pub fn create(app: &App) -> tauri::Result<()> {
    let handle = app.handle();
    let renderer = Renderer::new(handle, starting())?;
    let icon = TrayIconBuilder::with_id("bucketbar")
        .icon(picture(Icon::Idle))
        .icon_as_template(true)
        .tooltip("BucketBar")
        .menu(renderer.menu())
        .show_menu_on_left_click(true)
        .on_menu_event(clicked)
        .build(handle)?;
    let shown = Mutex::new(Shown { renderer, icon: Some(Icon::Idle), tooltip: String::new() });
    app.manage(Tray { icon, shown });
    Ok(())
}

/// Shows this state. From any thread.
pub fn show(app: &AppHandle, state: &AppState) {
    let items = with_update(describe(state), super::updates::line(app));
    let (icon, tooltip) = (state.status.icon, tooltip(&state.status));
    on_main(app, move |app, tray| {
        let mut shown = tray.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.renderer.update(app, items)?;
        if shown.icon != Some(icon) {
            tray.icon.set_icon_with_as_template(Some(picture(icon)), true)?;
            shown.icon = Some(icon);
        }
        if shown.tooltip != tooltip {
            tray.icon.set_tooltip(Some(&tooltip))?;
            shown.tooltip = tooltip;
        }
        Ok(())
    });
}

fn on_main(app: &AppHandle, work: impl FnOnce(&AppHandle, &Tray) -> tauri::Result<()> + Send + 'static) {
    let again = app.clone();
    let run = move || {
        if let Some(tray) = again.try_state::<Tray>()
            && let Err(error) = work(&again, &tray)
        {
            tracing::error!("the menu could not be brought up to date: {error}");
        }
    };
    if let Err(error) = app.run_on_main_thread(run) {
        tracing::debug!("the main thread has ended: {error}");
    }
}

fn clicked(app: &AppHandle, event: MenuEvent) {
    let id = event.id().0.clone();
    let Some(action) = Action::of_id(&id) else { return };
    on_main(app, move |_, tray| {
        let shown = tray.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.renderer.undo_toggle(&id)
    });
    let app = app.clone();
    tauri::async_runtime::spawn(async move { life::act(&app, action).await });
}

/// Compiled in, decoded at build time.
fn picture(icon: Icon) -> Image<'static> {
    #[cfg(target_os = "macos")]
    return match icon {
        Icon::Idle => tauri::include_image!("../icons/tray/idle-36.png"),
        Icon::Syncing => tauri::include_image!("../icons/tray/syncing-36.png"),
        Icon::Paused => tauri::include_image!("../icons/tray/paused-36.png"),
        Icon::Attention => tauri::include_image!("../icons/tray/attention-36.png"),
        Icon::Offline => tauri::include_image!("../icons/tray/offline-36.png"),
        Icon::SignedOut => tauri::include_image!("../icons/tray/signed_out-36.png"),
    };
    // A Linux panel knows no template images: one picture for light and dark ones.
    #[cfg(not(target_os = "macos"))]
    return match icon {
        Icon::Idle => tauri::include_image!("../icons/tray/idle-panel.png"),
        Icon::Syncing => tauri::include_image!("../icons/tray/syncing-panel.png"),
        Icon::Paused => tauri::include_image!("../icons/tray/paused-panel.png"),
        Icon::Attention => tauri::include_image!("../icons/tray/attention-panel.png"),
        Icon::Offline => tauri::include_image!("../icons/tray/offline-panel.png"),
        Icon::SignedOut => tauri::include_image!("../icons/tray/signed_out-panel.png"),
    };
}
