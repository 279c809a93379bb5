//! What differs between the systems, each in a small module with the same functions: opening addresses and folders,
//! the clipboard, native questions, waking up and network changes, and not being put to sleep while something is mounted.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub mod service;

#[cfg(target_os = "linux")]
pub use linux::{
    Assertion, copy_text, dress, message, open_folder, open_url, pick_folder, system_version, watch,
};
#[cfg(target_os = "macos")]
pub use macos::{
    Assertion, copy_text, dress, message, open_folder, open_url, pick_folder, system_version, watch,
};

/// Runs `make` on the main thread with the sender of its answer; `T`'s default when that thread is gone.
async fn asked<T: Send + Default + 'static>(
    app: &tauri::AppHandle,
    make: impl FnOnce(tokio::sync::oneshot::Sender<T>) + Send + 'static,
) -> T {
    let (sender, answer) = tokio::sync::oneshot::channel();
    if app.run_on_main_thread(move || make(sender)).is_err() {
        return T::default();
    }
    answer.await.unwrap_or_default()
}

/// Why the world may be different now. A hint to look, never the truth about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    Awake,
    Network,
}
