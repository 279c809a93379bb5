//! The MOUNT protocol (RFC 1813 5 and appendix I), program 100005 on the same port.
//!
//! Whoever gets the root's handle gets everything, and any local process can connect. So MNT is answered
//! only for the path `/TOKEN/Volume` (or `/TOKEN/Volume 2`, the name a second volume of that name gets), and with [`MountWindow::Once`] only once in a window that the
//! engine opens for its own mounting: the path is visible in `mount`'s output from then on (macos-nfs.md C).
//! DUMP and EXPORT tell nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use constant_time_eq::constant_time_eq;
use parking_lot::Mutex;

use crate::handle::Handle;
use crate::reply::Reply;
use crate::rpc;
use crate::xdr::{Args, Garbage};

pub const PROGRAM: u32 = 100_005;
pub const LOWEST_VERSION: u32 = 1;
pub const VERSION: u32 = 3;

/// RFC 1813 5.1.3 `MNTPATHLEN`.
const MAX_PATH: usize = 1024;
const AUTH_SYS: u32 = 1;

const MNT3_OK: u32 = 0;
const MNT3ERR_ACCES: u32 = 13;
const MNT3ERR_SERVERFAULT: u32 = 10_006;

/// RFC 1813 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Procedure {
    Null,
    Mnt,
    Dump,
    Umnt,
    UmntAll,
    Export,
}

impl Procedure {
    /// `None` for what `version` of the protocol does not have here: versions 1 and 2 are served for the
    /// kernels that still unmount with them; their MNT would give another kind of handle.
    pub fn from_wire(version: u32, number: u32) -> Option<Self> {
        Some(match number {
            0 => Procedure::Null,
            1 if version == VERSION => Procedure::Mnt,
            2 => Procedure::Dump,
            3 => Procedure::Umnt,
            4 => Procedure::UmntAll,
            5 => Procedure::Export,
            _ => return None,
        })
    }
}

/// When MNT is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountWindow {
    /// Once within each window opened by [`crate::Server::open_mount_window`].
    Once,
    /// Whenever the path is right, as long as the server runs. Weaker: the path is no secret once mounted.
    WhileRunning,
}

/// What can be mounted, and when. Has no `Debug`: the token must not get into a log.
#[derive(Clone)]
pub struct ExportPolicy {
    /// Last component of the export path: what Finder shows as the volume's name. Without `/`.
    pub volume: String,
    /// 32 hex digits.
    pub token: String,
    pub window: MountWindow,
}

/// The path to mount: `/TOKEN/Volume`.
pub fn export_path(policy: &ExportPolicy) -> String {
    format!("/{}/{}", policy.token, policy.volume)
}

/// The door: which MNT is answered.
pub struct Door {
    path: String,
    window: MountWindow,
    open_until: Mutex<Option<Instant>>,
}

impl Door {
    pub fn new(policy: &ExportPolicy) -> Self {
        Door { path: export_path(policy), window: policy.window, open_until: Mutex::new(None) }
    }

    /// From now on, for `duration`, one MNT may come in.
    pub fn open(&self, duration: Duration) {
        *self.open_until.lock() = Some(Instant::now() + duration);
    }

    pub fn is_ours(&self, path: &[u8]) -> bool {
        let (head, ending) = path.split_at(path.len().min(self.path.len()));
        constant_time_eq(self.path.as_bytes(), head) && is_numbering(ending)
    }

    /// Lets a MNT in; with [`MountWindow::Once`] the door is shut behind it. Gives the time left of the
    /// window, for which a retransmission may still be answered.
    pub fn enter(&self, path: &[u8]) -> Option<Duration> {
        // The path is compared first in any case, so that time tells nothing about the window.
        let ours = self.is_ours(path);
        match self.window {
            MountWindow::WhileRunning => ours.then_some(Duration::ZERO),
            MountWindow::Once if ours => {
                let left = self.open_until.lock().take()?.checked_duration_since(Instant::now())?;
                Some(left)
            }
            MountWindow::Once => None,
        }
    }
}

/// What may stand behind a volume's name: nothing, or ` 2` to ` 99`. Finder shows the last component of the path
/// (macos-nfs.md A6), so a second volume of one name has its number there too.
fn is_numbering(ending: &[u8]) -> bool {
    match ending {
        [] => true,
        [b' ', first @ b'1'..=b'9'] => *first >= b'2',
        [b' ', b'1'..=b'9', b'0'..=b'9'] => true,
        _ => false,
    }
}

/// The path argument of MNT and UMNT.
pub fn path(mut args: Args) -> Result<Bytes, Garbage> {
    args.opaque(MAX_PATH)
}

/// MNT's success: the root's handle, and AUTH_SYS as the one flavor.
pub fn mounted(root: Handle) -> Reply {
    let mut out = rpc::success(64);
    out.u32(MNT3_OK);
    out.opaque(&root.0);
    out.u32(1);
    out.u32(AUTH_SYS);
    out.into()
}

/// MNT's refusal, the same whatever the reason.
pub fn refused() -> Reply {
    let mut out = rpc::success(4);
    out.u32(MNT3ERR_ACCES);
    out.into()
}

/// MNT's answer when we are at fault.
pub fn faulted() -> Reply {
    let mut out = rpc::success(4);
    out.u32(MNT3ERR_SERVERFAULT);
    out.into()
}

/// DUMP's and EXPORT's empty lists.
pub fn empty_list() -> Reply {
    let mut out = rpc::success(4);
    out.bool(false);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(window: MountWindow) -> (Door, String) {
        let token = "0123456789abcdef0123456789abcdef".to_owned();
        let policy = ExportPolicy { volume: "My Bucket".to_owned(), token, window };
        (Door::new(&policy), export_path(&policy))
    }

    #[test]
    fn once_means_once_per_window() {
        let (door, path) = door(MountWindow::Once);
        assert!(door.enter(path.as_bytes()).is_none(), "no window was opened");
        door.open(Duration::from_secs(60));
        assert!(door.enter(b"/My Bucket").is_none(), "a wrong path");
        assert!(door.enter(path.as_bytes()).is_some(), "and it did not shut the door");
        assert!(door.enter(path.as_bytes()).is_none());
        door.open(Duration::ZERO);
        assert!(door.enter(path.as_bytes()).is_none(), "the window is over");
    }

    #[test]
    fn while_running_still_asks_for_the_exact_path() {
        let (door, path) = door(MountWindow::WhileRunning);
        for wrong in ["/", "", "/My Bucket", &path[1..], &format!("{path}/"), &path[..path.len() - 1]] {
            assert!(door.enter(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(door.enter(path.as_bytes()).is_some());
        assert!(door.enter(path.as_bytes()).is_some());
    }

    #[test]
    fn a_second_volume_of_one_name_has_a_number_and_nothing_else() {
        let (door, path) = door(MountWindow::WhileRunning);
        for right in [" 2", " 9", " 10", " 99"] {
            assert!(door.enter(format!("{path}{right}").as_bytes()).is_some(), "{right}");
        }
        for wrong in [" ", " 0", " 1", " 02", " 100", "2", " 2 ", " x", "/2", " 2/"] {
            assert!(door.enter(format!("{path}{wrong}").as_bytes()).is_none(), "{wrong}");
        }
    }
}
