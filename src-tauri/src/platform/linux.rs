//! Linux desktops: xdg-open and the file manager's D-Bus face, GTK's clipboard, logind and NetworkManager.

use std::cell::Cell;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::app::api::error::{AppError, AppResult, ErrorCode};
use futures_util::StreamExt;
use gtk::prelude::*;
use tauri::{AppHandle, Manager, WebviewWindow};
use url::Url;
use zbus::connection::Builder;

use super::Hint;

/// A desktop that does not answer is left behind.
const PATIENCE: Duration = Duration::from_secs(5);
/// What may hold a token. Browsers and file managers have no use for it.
const SECRETS: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// Nothing is needed: an app with a tray and no window has no place in a Linux panel's task list.
pub fn dress(_app: &mut tauri::App) {}

/// Packages bring updates here: nothing is to be compared with.
pub fn system_version() -> Option<String> {
    None
}

pub fn open_url(url: &str) -> AppResult<()> {
    start("xdg-open", url).map_err(|error| {
        let what = format!("No browser could be started (xdg-open: {error}).");
        AppError::new(ErrorCode::System, what, "Install xdg-utils, or open the address by hand.")
    })
}

/// With `select` the file manager is asked to show that entry; one that cannot gets the folder.
pub fn open_folder(folder: &Path, select: Option<&Path>) -> AppResult<()> {
    let Some(file) = select.and_then(|path| Url::from_file_path(path).ok()) else {
        return start_for(folder);
    };
    let folder = folder.to_path_buf();
    // The file manager may look at the mount before it answers.
    tauri::async_runtime::spawn(async move {
        if let Err(error) = show_item(&file).await {
            tracing::info!("the file manager cannot show a file ({error}); its folder is opened");
            if let Err(error) = start_for(&folder) {
                tracing::warn!("{error}");
            }
        }
    });
    Ok(())
}

fn start_for(folder: &Path) -> AppResult<()> {
    start("xdg-open", folder).map_err(|error| {
        let what = format!("No file manager could be started (xdg-open: {error}).");
        AppError::new(ErrorCode::System, what, format!("The folder is {}.", folder.display()))
    })
}

/// Starts a program and forgets it; a thread waits for its end so that no zombie stays.
fn start(program: &str, word: impl AsRef<std::ffi::OsStr>) -> std::io::Result<()> {
    let mut command = Command::new(program);
    for name in SECRETS {
        command.env_remove(name);
    }
    let mut child =
        command.arg(word).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let program = program.to_owned();
    std::thread::spawn(move || match child.wait() {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!("{program} ended with {status}"),
        Err(error) => tracing::warn!("{program}: {error}"),
    });
    Ok(())
}

async fn show_item(file: &Url) -> zbus::Result<()> {
    const NAME: &str = "org.freedesktop.FileManager1";
    let bus = Builder::session().method_timeout(PATIENCE).build().await?;
    let arguments = ([file.as_str()], "");
    bus.call_method(Some(NAME), "/org/freedesktop/FileManager1", Some(NAME), "ShowItems", &arguments).await?;
    Ok(())
}

/// Main thread only.
pub fn copy_text(text: &str) {
    gtk::Clipboard::get(&gtk::gdk::SELECTION_CLIPBOARD).set_text(text);
}

/// A native message, with a second button for `yes` (reached by the keyboard as Alt and its first letter). True
/// when the person said yes. GTK is used on its own thread, not through a second one as rfd would.
pub async fn message(app: &AppHandle, title: &str, text: &str, yes: Option<&'static str>) -> bool {
    let (title, text) = (title.replace('\0', " "), text.replace('\0', " "));
    super::asked(app, move |answer| {
        let dialog = gtk::MessageDialog::builder()
            .title(&title)
            .text(&title)
            .secondary_text(&text)
            .message_type(gtk::MessageType::Warning)
            .window_position(gtk::WindowPosition::Center)
            .build();
        let no = if yes.is_some() { "_Cancel" } else { "_OK" };
        dialog.add_button(no, gtk::ResponseType::Cancel);
        if let Some(yes) = yes {
            dialog.add_button(&format!("_{yes}"), gtk::ResponseType::Yes);
        }
        dialog.set_default_response(gtk::ResponseType::Cancel);
        let answer = Cell::new(Some(answer));
        dialog.connect_response(move |dialog, response| {
            if let Some(answer) = answer.take() {
                let _ = answer.send(response == gtk::ResponseType::Yes); // nobody waits any more
            }
            dialog.close();
        });
        dialog.present();
    })
    .await
}

/// A folder of the person's choice.
pub async fn pick_folder(window: &WebviewWindow, title: &str, start: Option<&Path>) -> Option<String> {
    let (title, start) = (title.to_owned(), start.map(Path::to_path_buf));
    super::asked(window.app_handle(), move |answer| {
        let action = gtk::FileChooserAction::SelectFolder;
        let dialog = gtk::FileChooserNative::new(
            Some(&title),
            gtk::Window::NONE,
            action,
            Some("_Choose"),
            Some("_Cancel"),
        );
        if let Some(start) = start {
            dialog.set_current_folder(start);
        }
        let answer = Cell::new(Some(answer));
        // The dialog lives as long as it is shown: its own handler holds it.
        let shown = dialog.clone();
        dialog.connect_response(move |_, response| {
            let chosen = shown.filename().filter(|_| response == gtk::ResponseType::Accept);
            if let Some(answer) = answer.take() {
                let _ = answer.send(chosen.map(|folder| folder.to_string_lossy().into_owned()));
            }
            shown.destroy();
        });
        dialog.show();
    })
    .await
}

/// Tells when the machine woke up or its network changed, as long as the app lives. Main thread only.
pub fn watch(_app: &AppHandle, hear: impl Fn(Hint) + Send + Sync + Clone + 'static) {
    let signals = [
        (Hint::Awake, "org.freedesktop.login1.Manager", "PrepareForSleep"),
        (Hint::Network, "org.freedesktop.NetworkManager", "StateChanged"),
    ];
    for (hint, interface, member) in signals {
        let hear = hear.clone();
        tauri::async_runtime::spawn(async move {
            if let Err(error) = listen(hint, interface, member, hear).await {
                tracing::info!("no word of {member} will come: {error}");
            }
        });
    }
}

async fn listen(hint: Hint, interface: &str, member: &str, hear: impl Fn(Hint)) -> zbus::Result<()> {
    let bus = Builder::system().method_timeout(PATIENCE).build().await?;
    let rule = zbus::MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface(interface)
        .member(member)
        .build()?;
    let mut signals = zbus::MessageStream::for_match_rule(rule, &bus, NonZero::new(8)).await?;
    while let Some(signal) = signals.next().await {
        // PrepareForSleep(true) is the going, (false) the coming back.
        let going = hint == Hint::Awake && signal?.body().deserialize::<bool>().unwrap_or(false);
        if !going {
            hear(hint);
        }
    }
    Ok(())
}

/// While this lives, a shutdown waits the moment (at most five seconds) that an orderly end takes.
pub struct Assertion {
    _delay: Option<OwnedFd>,
}

impl Assertion {
    /// Without logind there is nothing to hold back, and that is no error.
    pub async fn hold(why: &str) -> Assertion {
        let delay = inhibit(why).await;
        let delay = delay.inspect_err(|error| tracing::info!("a shutdown will not wait: {error}"));
        Assertion { _delay: delay.ok() }
    }
}

async fn inhibit(why: &str) -> zbus::Result<OwnedFd> {
    const NAME: &str = "org.freedesktop.login1";
    let bus = Builder::system().method_timeout(PATIENCE).build().await?;
    let arguments = ("shutdown", "BucketBar", why, "delay");
    let manager = Some("org.freedesktop.login1.Manager");
    let answer =
        bus.call_method(Some(NAME), "/org/freedesktop/login1", manager, "Inhibit", &arguments).await?;
    let fd: zbus::OwnedFd = answer.body().deserialize()?;
    Ok(fd.into())
}
