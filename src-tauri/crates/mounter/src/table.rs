//! The system's table of mounts ([`helper::table`]), with this crate's errors.

use std::path::PathBuf;

#[cfg(not(target_os = "macos"))]
pub(crate) use helper::table::is_below;
use helper::table::{self, OwnMount};

use crate::error::{MountError, Reason, Result};

/// All mounts of BucketBar servers, in the order they were made. Touches no mount.
pub fn own_mounts() -> Result<Vec<OwnMount>> {
    table::own_mounts().map_err(unreadable)
}

/// The mount points of everything mounted, ours or not.
pub(crate) fn mount_points() -> Result<Vec<PathBuf>> {
    table::mount_points().map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> MountError {
    MountError::new(
        Reason::System,
        format!("The table of mounts could not be read ({error})."),
        "Without it nothing can be mounted or unmounted here.",
    )
}
