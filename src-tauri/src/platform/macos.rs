//! macOS: NSWorkspace, NSPasteboard, sleep and wake, reachability, and an activity against App Nap.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::ptr::NonNull;

use block2::RcBlock;
use engine::app::api::error::{AppError, AppResult, ErrorCode};
use objc2::rc::Retained;
use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2_app_kit::{NSPasteboard, NSPasteboardTypeString, NSWorkspace, NSWorkspaceDidWakeNotification};
use objc2_foundation::{NSActivityOptions, NSArray, NSNotification, NSProcessInfo, NSString, NSURL};
use rfd::{AsyncFileDialog, AsyncMessageDialog, MessageButtons, MessageDialogResult, MessageLevel};
use system_configuration::core_foundation::runloop::{CFRunLoop, kCFRunLoopCommonModes};
use system_configuration::network_reachability::SCNetworkReachability;
use tauri::{ActivationPolicy, AppHandle, Manager, WebviewWindow};

use super::Hint;

/// No Dock icon and no menu bar of its own. The bundle's LSUIElement says the same before this line is reached.
pub fn dress(app: &mut tauri::App) {
    app.set_activation_policy(ActivationPolicy::Accessory);
}

/// Like `14.5.1`.
pub fn system_version() -> Option<String> {
    let version = NSProcessInfo::processInfo().operatingSystemVersion();
    Some(format!("{}.{}.{}", version.majorVersion, version.minorVersion, version.patchVersion))
}

pub fn open_url(url: &str) -> AppResult<()> {
    let address = NSURL::URLWithString(&NSString::from_str(url));
    if address.is_some_and(|address| NSWorkspace::sharedWorkspace().openURL(&address)) {
        return Ok(());
    }
    Err(AppError::new(ErrorCode::System, "No browser could be started.", "Open the address by hand."))
}

/// Finder looks at the mount, not this process.
pub fn open_folder(folder: &Path, select: Option<&Path>) -> AppResult<()> {
    let workspace = NSWorkspace::sharedWorkspace();
    let url = |path: &Path| {
        NSURL::fileURLWithPath_isDirectory(&NSString::from_str(&path.to_string_lossy()), path == folder)
    };
    if let Some(file) = select {
        workspace.activateFileViewerSelectingURLs(&NSArray::from_retained_slice(&[url(file)]));
        return Ok(());
    }
    if workspace.openURL(&url(folder)) {
        return Ok(());
    }
    let advice = format!("The folder is {}.", folder.display());
    Err(AppError::new(ErrorCode::System, "Finder did not open the folder.", advice))
}

pub fn copy_text(text: &str) {
    let pasteboard = NSPasteboard::generalPasteboard();
    pasteboard.clearContents();
    // SAFETY: the constant is one of AppKit's, there as long as the framework is loaded.
    let kind = unsafe { NSPasteboardTypeString };
    pasteboard.setString_forType(&NSString::from_str(text), kind);
}

/// A native message, with a second button for `yes`. True when the person said yes.
pub async fn message(app: &AppHandle, title: &str, text: &str, yes: Option<&'static str>) -> bool {
    let (title, text) = (title.to_owned(), text.to_owned());
    let shown = super::asked(app, move |shown| {
        let buttons = match yes {
            Some(yes) => MessageButtons::OkCancelCustom(yes.to_owned(), "Cancel".to_owned()),
            None => MessageButtons::Ok,
        };
        let dialog =
            AsyncMessageDialog::new().set_level(MessageLevel::Warning).set_title(title).set_description(text);
        let _ = shown.send(Some(Box::pin(dialog.set_buttons(buttons).show()))); // nobody waits any more
    });
    let Some(answer) = shown.await else { return false };
    match answer.await {
        MessageDialogResult::Ok => true,
        MessageDialogResult::Custom(said) => Some(said.as_str()) == yes,
        _ => false,
    }
}

/// A folder of the person's choice.
pub async fn pick_folder(window: &WebviewWindow, title: &str, start: Option<&Path>) -> Option<String> {
    let (title, start, parent) = (title.to_owned(), start.map(Path::to_path_buf), window.clone());
    let shown = super::asked(window.app_handle(), move |shown| {
        let mut dialog = AsyncFileDialog::new().set_title(title).set_parent(&parent);
        if let Some(start) = start {
            dialog = dialog.set_directory(start);
        }
        let _ = shown.send(Some(Box::pin(dialog.pick_folder()))); // nobody waits any more
    });
    let folder = shown.await?.await?;
    Some(folder.path().to_string_lossy().into_owned())
}

thread_local! {
    /// What must live as long as the app, on the main thread: neither is `Send`.
    static WATCHES: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
}

/// Tells when the machine woke up or its network changed, as long as the app lives. Main thread only.
pub fn watch(_app: &AppHandle, hear: impl Fn(Hint) + Send + Sync + Clone + 'static) {
    let woke = hear.clone();
    let block = RcBlock::new(move |_: NonNull<NSNotification>| woke(Hint::Awake));
    let center = NSWorkspace::sharedWorkspace().notificationCenter();
    // SAFETY: the block takes what the centre gives (a notification) and may be called on any thread.
    let token = unsafe {
        center.addObserverForName_object_queue_usingBlock(
            Some(NSWorkspaceDidWakeNotification),
            None,
            None,
            &block,
        )
    };
    WATCHES.with_borrow_mut(|watches| {
        watches.push(Box::new(token));
        match reachability(hear) {
            Ok(reachability) => watches.push(Box::new(reachability)),
            Err(error) => tracing::info!("no word of the network will come: {error}"),
        }
    });
}

fn reachability(hear: impl Fn(Hint) + Send + Sync + 'static) -> Result<SCNetworkReachability, String> {
    let anywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let mut reachability = SCNetworkReachability::from(anywhere);
    reachability.set_callback(move |_| hear(Hint::Network)).map_err(|error| format!("{error:?}"))?;
    // SAFETY: the constant is Core Foundation's; this is the main thread, whose loop runs as long as the app.
    unsafe { reachability.schedule_with_runloop(&CFRunLoop::get_current(), kCFRunLoopCommonModes) }
        .map_err(|error| format!("{error:?}"))?;
    Ok(reachability)
}

/// While this lives, macOS neither naps the app nor ends it on its own account: it serves mounts.
pub struct Assertion {
    token: Retained<ProtocolObject<dyn NSObjectProtocol>>,
}

// SAFETY: NSProcessInfo's activity methods may be called from any thread, and the token is opaque.
unsafe impl Send for Assertion {}

impl Assertion {
    /// Takes effect at once; asynchronous as its Linux counterpart is.
    #[allow(clippy::unused_async)]
    pub async fn hold(why: &str) -> Assertion {
        let options = NSActivityOptions::UserInitiatedAllowingIdleSystemSleep
            | NSActivityOptions::SuddenTerminationDisabled
            | NSActivityOptions::AutomaticTerminationDisabled;
        let token =
            NSProcessInfo::processInfo().beginActivityWithOptions_reason(options, &NSString::from_str(why));
        Assertion { token }
    }
}

impl Drop for Assertion {
    fn drop(&mut self) {
        // SAFETY: the token is what beginActivity gave, ended once.
        unsafe { NSProcessInfo::processInfo().endActivity(&self.token) };
    }
}
