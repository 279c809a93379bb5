//! What the desktop tests share: the desktop around the app, played or real.
//!
//! Real are the X display, the session bus, the secret service (gnome-keyring), the notification service (dunst), the
//! kernel's NFS client, the web view and the browser; played are only the panel that shows the tray icon ([`panel`])
//! and the person.

#![forbid(unsafe_code)]
#![cfg(feature = "e2e")]

pub mod app;
pub mod browser;
pub mod home;
pub mod notifications;
pub mod panel;
pub mod secrets;
pub mod wait;
