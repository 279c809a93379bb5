//! Where the helper works: fixed by the system, and by flags in tests and packages.

use std::path::PathBuf;

/// All paths the helper uses; none ever comes from a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Volumes are made in it. It must belong to root, and nobody else may write to it.
    pub volumes: PathBuf,
    /// What was mounted for whom, over restarts of the helper (0700, root's).
    pub records: PathBuf,
    /// Where it listens when nobody hands it a socket.
    pub socket: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        if cfg!(target_os = "macos") {
            Places {
                volumes: "/Volumes".into(),
                records: "/var/db/co.bucketbar.helper".into(),
                socket: "/var/run/co.bucketbar.helper.sock".into(),
            }
        } else {
            Places {
                volumes: "/run/bucketbar/volumes".into(),
                records: "/run/bucketbar/helper".into(),
                socket: "/run/bucketbar/helper.sock".into(),
            }
        }
    }
}
