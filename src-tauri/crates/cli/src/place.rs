//! Which state directory a command means, and how it is reached.

use std::path::{Path, PathBuf};

use engine::control::ControlClient;
use engine::{BucketPath, EngineError, Result, StateHome};

use crate::arguments::Running;

/// The state directory of `bucket`: the one named, else `mount`'s.
pub fn state_dir(bucket: &BucketPath, named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(dir) => std::path::absolute(dir).map_err(|error| {
            EngineError::new(format!("{} is no directory ({error}).", dir.display()), "Check the path.")
        }),
        None => Ok(StateHome::discover()?.of(&engine::hub_origin()?, bucket)),
    }
}

/// `~/Buckets`, where mounts go that are neither volumes nor were given a place.
pub fn buckets_folder() -> Result<PathBuf> {
    engine::default_mount_folder().ok_or_else(|| {
        EngineError::new("Your home directory is not known.", "Set HOME, or say where to mount.")
    })
}

/// The engine that `running` names; connects to nothing yet.
pub fn client(running: &Running) -> Result<ControlClient> {
    let state_dir = state_dir(&running.bucket, running.state.as_deref())?;
    Ok(ControlClient::new(&state_dir, &running.bucket.to_string()))
}
