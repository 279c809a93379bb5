//! What a sign-in brings, and where it is kept.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorClass, HubError};

/// The right to act for somebody. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub access_token: String,
    /// Absent: when the access token ends, the person signs in again.
    pub refresh_token: Option<String>,
    /// Unix seconds; absent when the Hub didn't say.
    pub expires_at: Option<u64>,
    pub scope: Option<String>,
    /// The application it was given to, which alone can renew it; absent for a pasted token.
    #[serde(default)]
    pub client_id: Option<String>,
}

impl Grant {
    /// An access token made in the account's settings: lasts until it is taken back there.
    pub fn of_pasted_token(token: impl Into<String>) -> Grant {
        Grant {
            access_token: token.into(),
            refresh_token: None,
            expires_at: None,
            scope: None,
            client_id: None,
        }
    }

    pub(super) fn new(
        access_token: String,
        refresh_token: Option<String>,
        expires_in: Option<u64>,
        scope: Option<String>,
        client_id: &str,
    ) -> Grant {
        let client_id = Some(client_id.to_owned());
        let expires_at = expires_in.map(|seconds| now().saturating_add(seconds));
        Grant { access_token, refresh_token, expires_at, scope, client_id }
    }

    /// An answer without a refresh token leaves the old one good.
    pub(super) fn or_refresh_token(mut self, old: &str) -> Grant {
        self.refresh_token.get_or_insert_with(|| old.to_owned());
        self
    }

    /// Whether it is good for at least `seconds` more.
    pub fn lasts(&self, seconds: u64) -> bool {
        self.expires_at.is_none_or(|at| at > now().saturating_add(seconds))
    }

    pub fn is_renewable(&self) -> bool {
        self.refresh_token.is_some()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("renewable", &self.is_renewable())
            .field("expires_at", &self.expires_at)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Where a grant is kept: a file now, the keychain in the app.
#[async_trait]
pub trait SecretStore: Send + Sync {
    async fn load(&self) -> Result<Option<Grant>, HubError>;
    /// Durable on return.
    async fn save(&self, grant: &Grant) -> Result<(), HubError>;
    async fn clear(&self) -> Result<(), HubError>;
    /// Nobody else, in this process or another, renews the grant until the lock is dropped. Waits a
    /// bounded time.
    async fn lock(&self) -> Result<GrantLock, HubError>;
    /// For people: "the file …".
    fn describe(&self) -> String;
}

/// Held while a grant is renewed.
pub struct GrantLock {
    _held: Box<dyn Send + Sync>,
}

impl GrantLock {
    pub fn new(held: impl Send + Sync + 'static) -> GrantLock {
        GrantLock { _held: Box::new(held) }
    }

    /// The lock that the file at `path` (made where missing, mode 0600) is for every process of this user;
    /// waited for at most `patience`.
    ///
    /// # Errors
    /// `Busy` after that; `Local` when the file cannot be made.
    pub async fn of_file(path: &Path, patience: Duration) -> Result<GrantLock, HubError> {
        let failed = |e| HubError::local(format!("The sign-in at {} can't be locked.", path.display()), e);
        let file = open_private(path, false).map_err(failed)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(GrantLock::new(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let busy = ErrorClass::Busy { retry_after: None };
                    return Err(HubError::new(
                        busy,
                        "Another program is renewing the sign-in and doesn't end",
                    ));
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
    }
}

/// A grant in a file that only its owner reads (mode 0600 in a folder of mode 0700).
pub struct FileSecrets {
    path: PathBuf,
    patience: Duration,
}

impl FileSecrets {
    pub fn new(path: impl Into<PathBuf>) -> FileSecrets {
        FileSecrets { path: path.into(), patience: Duration::from_secs(60) }
    }

    fn failed(&self, what: &str, e: io::Error) -> HubError {
        HubError::local(format!("The sign-in in {} can't be {what}.", self.path.display()), e)
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(extension);
        name.into()
    }
}

#[async_trait]
impl SecretStore for FileSecrets {
    async fn load(&self) -> Result<Option<Grant>, HubError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.failed("read", e)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| self.failed("understood", e.into()))
    }

    async fn save(&self, grant: &Grant) -> Result<(), HubError> {
        let text = serde_json::to_vec(grant).map_err(|e| self.failed("written", e.into()))?;
        let fresh = self.beside(".new");
        write_private(&fresh, &text)
            .and_then(|()| fs::rename(&fresh, &self.path))
            .and_then(|()| sync_folder(&self.path))
            .map_err(|e| self.failed("kept", e))
    }

    async fn clear(&self) -> Result<(), HubError> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed("removed", e)),
            _ => Ok(()),
        }
    }

    async fn lock(&self) -> Result<GrantLock, HubError> {
        GrantLock::of_file(&self.beside(".lock"), self.patience).await
    }

    fn describe(&self) -> String {
        format!("the file {}", self.path.display())
    }
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = open_private(path, true)?;
    file.write_all(text)?;
    file.sync_all()
}

fn open_private(path: &Path, truncate: bool) -> io::Result<File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).create(true).truncate(truncate).mode(0o600).open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
