//! Windows, made when somebody asks for one and gone when it is closed: a hidden app has no web view at all.

use std::sync::Mutex;

use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Emitter, Manager, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

use crate::page::Page;

/// Two clicks in a row make one window.
static OPENING: Mutex<()> = Mutex::new(());

/// Shows the page's window, or makes it; `entry` is a row of the Activity to show. From any thread.
pub fn open(app: &AppHandle, page: Page, entry: Option<u64>) {
    let again = app.clone();
    let show = move || {
        let _one = OPENING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = open_now(&again, page, entry) {
            tracing::error!("the window {} could not be shown: {error}", page.name());
        }
    };
    if let Err(error) = app.run_on_main_thread(show) {
        tracing::error!("the main thread is gone: {error}");
    }
}

fn open_now(app: &AppHandle, page: Page, entry: Option<u64>) -> tauri::Result<()> {
    if let Some(window) = app.get_webview_window(page.name()) {
        window.unminimize()?;
        window.show()?;
        window.set_focus()?;
        return match entry {
            Some(entry) => window.emit_to(page.name(), "open_entry", entry),
            None => Ok(()),
        };
    }
    build(app, page, entry)?.set_focus()
}

fn build(app: &AppHandle, page: Page, entry: Option<u64>) -> tauri::Result<WebviewWindow> {
    let ((width, height), (least_width, least_height)) = page.sizes();
    WebviewWindowBuilder::new(app, page.name(), WebviewUrl::App(page.address(entry).into()))
        .title(page.title())
        .inner_size(width, height)
        .min_inner_size(least_width, least_height)
        .center()
        .disable_drag_drop_handler()
        .zoom_hotkeys_enabled(true)
        .on_navigation(is_ours)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()
}

/// A window shows the app's own pages and nothing else. The Hub is opened in the person's browser, by the engine.
fn is_ours(url: &Url) -> bool {
    url.scheme() == "tauri" && url.host_str() == Some("localhost")
}

/// Nobody looks: nothing needs to be told to pages.
pub fn none_open(app: &AppHandle) -> bool {
    app.webview_windows().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_leaves_the_app() -> Result<(), url::ParseError> {
        assert!(is_ours(&Url::parse("tauri://localhost/index.html#/activity/7")?));
        for foreign in [
            "https://huggingface.co/",
            "http://localhost/",
            "http://127.0.0.1:5173/",
            "tauri://elsewhere/",
            "file:///etc/passwd",
            "data:text/html,x",
            "javascript:alert(1)",
            "about:blank",
        ] {
            assert!(!is_ours(&Url::parse(foreign)?), "{foreign}");
        }
        Ok(())
    }
}
