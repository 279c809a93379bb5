//! `STATE/endpoint.json`: what this state directory serves, and where.
//!
//! Its port and token are in the kernel's hands as long as a mount lives, so they outlive every restart; its
//! bucket says whose data lies here, so that no other bucket is ever mixed with it (design.md promise 17).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

const FILE: &str = "endpoint.json";
const VERSION: u32 = 1;

/// No `Debug`: the token must not get into a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    version: u32,
    /// The Hub's origin.
    pub hub: String,
    /// The Hub's id of the bucket.
    pub bucket_id: String,
    pub prefix: String,
    /// Last component of the export path.
    pub volume: String,
    /// 32 hex digits before the volume in the export path.
    pub mount_token: String,
    /// `None` until it was served once.
    pub port: Option<u16>,
    /// True once the bucket was opened: from then on it can be served offline.
    #[serde(default)]
    pub opened: bool,
    /// What the Hub last said of the token's right to write.
    #[serde(default = "yes")]
    pub can_write: bool,
    /// Asked for with `--read-only` when it was last served.
    #[serde(default)]
    pub read_only: bool,
    /// Whose files these were when it was last served: uid and gid. A kernel's mount lives on with them.
    #[serde(default)]
    pub owner: Option<(u32, u32)>,
}

fn yes() -> bool {
    true
}

/// Whose data a state directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub hub: &'a str,
    pub bucket_id: &'a str,
    pub prefix: &'a str,
}

impl Identity<'_> {
    fn described(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}{slash}{} of {}", self.bucket_id, self.prefix, self.hub)
    }
}

impl Endpoint {
    /// The record of `state_dir`; `None` when it was never served.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub fn read(state_dir: &Path) -> Result<Option<Endpoint>> {
        let path = state_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EngineError::disk("Reading", &path, &error)),
        };
        match serde_json::from_slice::<Endpoint>(&bytes) {
            Ok(endpoint) if endpoint.version == VERSION && endpoint.has_token() => Ok(Some(endpoint)),
            _ => Err(EngineError::new(
                format!("The file {} is damaged or of another version.", path.display()),
                "It holds the port and the token of mounts made before. Restore it, or move it away, start \
                 again and mount anew; staged data is not touched.",
            )),
        }
    }

    /// The record of `state_dir` if it was served before.
    ///
    /// # Errors
    /// When it holds the data of another bucket: the sentence names both.
    pub(crate) fn check(state_dir: &Path, wanted: Identity<'_>) -> Result<Option<Endpoint>> {
        let found = Endpoint::read(state_dir)?;
        if let Some(found) = &found {
            found.must_be(wanted, state_dir)?;
        }
        Ok(found)
    }

    /// Makes `state_dir` (0700) where missing and gives its record, a new one on the first call.
    ///
    /// # Errors
    /// When it holds the data of another bucket: the sentence names both.
    pub(crate) fn claim(state_dir: &Path, wanted: Identity<'_>, volume: &str) -> Result<Endpoint> {
        private_dir(state_dir)?;
        if Endpoint::read(state_dir)?.is_none() {
            let fresh = Endpoint::fresh(wanted, volume)?;
            // Linked into place: of two first starts one wins, and both read the winner's.
            fresh.publish(state_dir, |temporary, path| match fs::hard_link(temporary, path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::remove_file(temporary),
            })?;
        }
        let found = Endpoint::read(state_dir)?.ok_or_else(|| {
            EngineError::new(format!("The state directory {} changed.", state_dir.display()), "Try again.")
        })?;
        found.must_be(wanted, state_dir)?;
        Ok(found)
    }

    /// Replaces the record in one step.
    pub(crate) fn store(&self, state_dir: &Path) -> Result<()> {
        self.publish(state_dir, |temporary, path| fs::rename(temporary, path))
    }

    /// `/TOKEN/VOLUME`.
    pub fn export(&self) -> String {
        format!("/{}/{}", self.mount_token, self.volume)
    }

    /// `OWNER/BUCKET[/PREFIX]`.
    pub fn bucket_path(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        match self.bucket_id.parse() {
            Ok(bucket) => crate::BucketPath { bucket, prefix: self.prefix.clone() }.to_string(),
            Err(_) => format!("{}{slash}{}", self.bucket_id, self.prefix),
        }
    }

    fn fresh(wanted: Identity<'_>, volume: &str) -> Result<Endpoint> {
        Ok(Endpoint {
            version: VERSION,
            hub: wanted.hub.to_owned(),
            bucket_id: wanted.bucket_id.to_owned(),
            prefix: wanted.prefix.to_owned(),
            volume: volume.to_owned(),
            mount_token: random_token()?,
            port: None,
            opened: false,
            can_write: true,
            read_only: false,
            owner: None,
        })
    }

    fn must_be(&self, wanted: Identity<'_>, state_dir: &Path) -> Result<()> {
        let mine = Identity { hub: &self.hub, bucket_id: &self.bucket_id, prefix: &self.prefix };
        if mine == wanted {
            return Ok(());
        }
        Err(EngineError::new(
            format!(
                "The state directory {} belongs to {}, not to {}.",
                state_dir.display(),
                mine.described(),
                wanted.described()
            ),
            "Give each bucket a state directory of its own.",
        ))
    }

    fn has_token(&self) -> bool {
        self.mount_token.len() == 32 && self.mount_token.bytes().all(|b| b.is_ascii_hexdigit())
    }

    fn publish(&self, state_dir: &Path, put: impl FnOnce(&Path, &Path) -> io::Result<()>) -> Result<()> {
        let path = state_dir.join(FILE);
        let temporary = state_dir.join(format!("{FILE}.{}", std::process::id()));
        let failed = |error: io::Error| EngineError::disk("Writing", &path, &error);
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        write_private(&temporary, &bytes).map_err(failed)?;
        put(&temporary, &path).map_err(failed)?;
        sync_dir(state_dir).map_err(failed)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

/// Makes `dir` for this user only, and gives whether it was missing. An empty one that exists is closed to
/// others too; one with something in it is left as it is, it may be more than ours.
pub(crate) fn private_dir(dir: &Path) -> Result<bool> {
    let failed = |error: io::Error| EngineError::disk("Making the state directory", dir, &error);
    let existed = dir.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    if existed && fs::read_dir(dir).map_err(failed)?.next().is_none() {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(!existed)
}

fn random_token() -> Result<String> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        EngineError::new(format!("The system gave no random bytes ({error})."), "Try again.")
    })?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHOTOS: Identity<'_> =
        Identity { hub: "https://huggingface.co", bucket_id: "alice/photos", prefix: "" };

    #[test]
    fn the_record_outlives_restarts_and_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("a/state");
        let mut first = Endpoint::claim(&state, PHOTOS, "photos").unwrap();
        assert!(first.port.is_none() && first.has_token());
        first.port = Some(23_456);
        first.store(&state).unwrap();
        let second = Endpoint::claim(&state, PHOTOS, "photos").unwrap();
        assert!(second == first);
        assert_eq!(second.export(), format!("/{}/photos", first.mount_token));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn another_buckets_directory_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        Endpoint::claim(temp.path(), PHOTOS, "photos").unwrap();
        let others = [
            Identity { bucket_id: "alice/videos", ..PHOTOS },
            Identity { prefix: "2024", ..PHOTOS },
            Identity { hub: "http://127.0.0.1:1", ..PHOTOS },
        ];
        for other in others {
            let error = Endpoint::claim(temp.path(), other, "x").err().unwrap();
            assert!(error.what.contains("alice/photos of https://huggingface.co, not to"), "{error}");
        }
    }

    #[test]
    fn a_damaged_record_is_said_and_kept() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join(FILE), b"{\"version\":1}").unwrap();
        let error = Endpoint::claim(temp.path(), PHOTOS, "photos").err().unwrap();
        assert!(error.what.contains("damaged") && !error.advice.is_empty());
        assert_eq!(fs::read(temp.path().join(FILE)).unwrap(), b"{\"version\":1}");
    }

    #[test]
    fn tokens_differ() {
        assert_ne!(random_token().unwrap(), random_token().unwrap());
    }
}
