//! Which state directory a command means, and how it is reached.

use std::path::{Path, PathBuf};

use engine::control::ControlClient;
use engine::mounter::{self, OwnMount};
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

/// A file or folder of a served bucket.
pub struct Inside {
    pub client: ControlClient,
    pub bucket: String,
    /// Inside what is served; `""` is everything.
    pub path: String,
}

/// What `target` names: a path in a mounted folder, else `OWNER/BUCKET[/FOLDER][:PATH]`. Touches no mount.
///
/// # Errors
/// It is neither.
pub async fn inside(target: &str, state: Option<&Path>) -> Result<Inside> {
    if state.is_none()
        && let Some(found) = in_a_mount(target).await?
    {
        return Ok(found);
    }
    let (bucket, path) = bucket_and_path(target);
    let bucket: BucketPath =
        bucket.parse().map_err(|error: EngineError| match target.starts_with(['/', '.']) {
            true => EngineError::new(
                format!("{target} is not in a folder that is mounted here."),
                "Mount its bucket first, or write OWNER/BUCKET:PATH.",
            ),
            false => error,
        })?;
    let client = ControlClient::new(&state_dir(&bucket, state)?, &bucket.to_string());
    Ok(Inside { client, bucket: bucket.to_string(), path: path.trim_matches('/').to_owned() })
}

/// `OWNER/BUCKET:PATH` at its colon; the one of an address (`hf://…`) is none.
fn bucket_and_path(target: &str) -> (&str, &str) {
    let scheme = target.find("://").map_or(0, |at| at + 3);
    match target[scheme..].split_once(':') {
        Some((bucket, path)) => (&target[..scheme + bucket.len()], path),
        None => (target, ""),
    }
}

async fn in_a_mount(target: &str) -> Result<Option<Inside>> {
    let given = std::path::absolute(target).unwrap_or_else(|_| PathBuf::from(target));
    let mounts = mounter::own_mounts()?;
    let below = |path: &Path| {
        let inside = |mount: &OwnMount| {
            let rest = path.strip_prefix(&mount.mount_point).ok()?;
            Some((mount.token.clone(), rest.to_string_lossy().into_owned()))
        };
        mounts.iter().find_map(inside)
    };
    // By a link on the way to the mount, too: the last existing folder outside of every mount is looked up.
    let found = match below(&given) {
        Some(found) => Some(found),
        None => given.ancestors().skip(1).find_map(|above| {
            let real = std::fs::canonicalize(above).ok()?;
            below(&real.join(given.strip_prefix(above).ok()?))
        }),
    };
    let Some((token, path)) = found else { return Ok(None) };
    let all = StateHome::discover()?.all();
    let known = all.into_iter().find(|(_, endpoint)| endpoint.mount_token == token);
    Ok(known.map(|(state, endpoint)| {
        let bucket = endpoint.bucket_path();
        Inside { client: ControlClient::new(&state, &bucket), bucket, path }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colon_of_an_address_parts_nothing() {
        assert_eq!(bucket_and_path("alice/photos"), ("alice/photos", ""));
        assert_eq!(bucket_and_path("alice/photos:a/b: c"), ("alice/photos", "a/b: c"));
        assert_eq!(bucket_and_path("hf://datasets/a/b"), ("hf://datasets/a/b", ""));
        assert_eq!(bucket_and_path("hf://datasets/a/b@v1:c"), ("hf://datasets/a/b@v1", "c"));
    }
}
