//! Starting with the session, and again after a crash: a launchd agent on macOS, a systemd user unit on Linux, an
//! autostart entry where there is no systemd. What they say is pure ([`launchd`], [`systemd`]); [`install`] puts it
//! there.

mod install;
pub mod launchd;
pub mod systemd;

pub use install::{Places, Supervisor, set};
