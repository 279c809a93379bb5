//! The folder that holds everything of one bucket on this machine, owned by one process at a time
//! (design.md promise 17).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::replace_file;
use crate::error::{Error, ErrorKind, Result};

pub struct StateDir {
    root: PathBuf,
    pub identity: Identity,
    /// Held (flock) as long as this process owns the folder.
    _lock: File,
}

/// What must outlive the database: the key of every handle ever given, and the file system's number.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    version: u32,
    handle_key: String,
    pub fsid: u64,
}

impl Identity {
    fn make() -> Result<Self> {
        let mut random = [0u8; 40];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::LocalDisk, format!("The system gave no random bytes ({error})."))
        })?;
        let (key, fsid) = random.split_at(32);
        let fsid = fsid.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
        Ok(Identity {
            version: 1,
            handle_key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
            fsid: fsid | 1,
        })
    }

    pub fn handle_key(&self) -> Option<[u8; 32]> {
        let mut key = [0u8; 32];
        if self.handle_key.len() != 64 || !self.handle_key.is_ascii() {
            return None;
        }
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&self.handle_key[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(key)
    }
}

impl StateDir {
    /// Makes the folder where missing (0700), takes its lock and its identity.
    ///
    /// Errors: [`ErrorKind::Busy`] when another process holds it.
    pub fn open(root: &Path) -> Result<Self> {
        for folder in [root.to_owned(), root.join("staged"), root.join("cache"), root.join("kept")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|error| Error::disk(format!("making {}", folder.display()), &error))?;
        }
        let lock = lock(root)?;
        let identity = identity(&root.join("identity.json"))?;
        Ok(StateDir { root: root.to_owned(), identity, _lock: lock })
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("names.db")
    }

    pub fn ids(&self) -> PathBuf {
        self.root.join("ids")
    }

    pub fn staged(&self) -> PathBuf {
        self.root.join("staged")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub fn kept(&self) -> PathBuf {
        self.root.join("kept")
    }

    /// What is kept offline, once more beside the database.
    pub fn pins(&self) -> PathBuf {
        self.root.join("pins.json")
    }

    pub fn path(&self) -> &Path {
        &self.root
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| Error::disk(format!("opening {}", path.display()), &error))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(
            ErrorKind::Busy,
            format!("The state directory {} is in use by another BucketBar process.", root.display()),
        )
        .advise("Stop that one first, or give this one a state directory of its own.")),
        Err(error) => Err(Error::disk(format!("locking {}", path.display()), &error.into())),
    }
}

fn identity(path: &Path) -> Result<Identity> {
    let damaged = || {
        Error::new(ErrorKind::Damaged, format!("{} is damaged.", path.display()))
            .advise("Restore it from a backup; without it mounted folders must be mounted anew.")
    };
    match fs::read(path) {
        Ok(bytes) => {
            let identity: Identity = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
            identity.handle_key().ok_or_else(damaged)?;
            Ok(identity)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let identity = Identity::make()?;
            let bytes = serde_json::to_vec(&identity).map_err(|_| damaged())?;
            replace_file(path, &bytes)
                .map_err(|error| Error::disk(format!("writing {}", path.display()), &error))?;
            Ok(identity)
        }
        Err(error) => Err(Error::disk(format!("reading {}", path.display()), &error)),
    }
}
