//! Where tokens are kept: the keychain of the system, one entry for each account.
//!
//! The calls of the keychain block (a person may have to unlock it), so they run on blocking threads and end
//! after a minute for whoever waits.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub::{ErrorClass, Grant, GrantLock, HubError, SecretStore};
use keyring_core::CredentialStore;
use parking_lot::Mutex;

const SERVICE: &str = "co.BucketBar.BucketBar";
/// The person may be asked to unlock the keychain.
const PATIENCE: Duration = Duration::from_secs(60);
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// A place for secrets. Calls may block for as long as a person takes.
pub trait Keychain: Send + Sync + 'static {
    /// `None` when there is no such entry.
    ///
    /// # Errors
    /// What the keychain said; never the secret.
    fn get(&self, entry: &str) -> Result<Option<String>, String>;
    /// Durable on return, as far as the keychain is.
    ///
    /// # Errors
    /// What the keychain said; never the secret.
    fn set(&self, entry: &str, secret: &str) -> Result<(), String>;
    /// Nothing is there on return.
    ///
    /// # Errors
    /// What the keychain said.
    fn delete(&self, entry: &str) -> Result<(), String>;
    /// For people: "your keychain".
    fn describe(&self) -> String;
}

/// The keychain of macOS, the Secret Service of Linux, or another store of `keyring-core`.
pub struct Keyring {
    /// Connected at the first use, and again after a failure to connect.
    store: Mutex<Option<Arc<CredentialStore>>>,
}

impl Keyring {
    /// The system's. Connects to nothing yet.
    pub fn of_system() -> Keyring {
        Keyring { store: Mutex::new(None) }
    }

    /// A given store.
    pub fn of_store(store: Arc<CredentialStore>) -> Keyring {
        Keyring { store: Mutex::new(Some(store)) }
    }

    fn entry(&self, entry: &str) -> Result<keyring_core::Entry, String> {
        let mut store = self.store.lock();
        let connected = match &*store {
            Some(store) => Arc::clone(store),
            None => Arc::clone(store.insert(system_store()?)),
        };
        drop(store);
        connected.build(SERVICE, entry, None).map_err(|error| error.to_string())
    }
}

#[cfg(target_os = "macos")]
fn system_store() -> Result<Arc<CredentialStore>, String> {
    let store = apple_native_keyring_store::keychain::Store::new().map_err(|error| error.to_string())?;
    Ok(store)
}

#[cfg(not(target_os = "macos"))]
fn system_store() -> Result<Arc<CredentialStore>, String> {
    let store = zbus_secret_service_keyring_store::Store::new().map_err(|error| error.to_string())?;
    Ok(store)
}

impl Keychain for Keyring {
    fn get(&self, entry: &str) -> Result<Option<String>, String> {
        match self.entry(entry)?.get_password() {
            Ok(secret) => Ok(Some(secret)),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(error) => Err(said(&error)),
        }
    }

    fn set(&self, entry: &str, secret: &str) -> Result<(), String> {
        self.entry(entry)?.set_password(secret).map_err(|error| said(&error))
    }

    fn delete(&self, entry: &str) -> Result<(), String> {
        match self.entry(entry)?.delete_credential() {
            Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
            Err(error) => Err(said(&error)),
        }
    }

    fn describe(&self) -> String {
        if cfg!(target_os = "macos") { "your keychain".to_owned() } else { "your keyring".to_owned() }
    }
}

/// Some of `keyring-core`'s errors carry the bytes of the secret: those are named, not shown.
fn said(error: &keyring_core::Error) -> String {
    use keyring_core::Error as E;
    match error {
        E::PlatformFailure(_) | E::NoStorageAccess(_) | E::NoDefaultStore => error.to_string(),
        E::TooLong(..) => "the entry is too long".to_owned(),
        _ => "the entry cannot be used".to_owned(),
    }
}

/// Secrets that end with the process: for machines without a keychain, when asked for.
#[derive(Default)]
pub struct InMemory {
    entries: Mutex<HashMap<String, String>>,
}

impl Keychain for InMemory {
    fn get(&self, entry: &str) -> Result<Option<String>, String> {
        Ok(self.entries.lock().get(entry).cloned())
    }

    fn set(&self, entry: &str, secret: &str) -> Result<(), String> {
        self.entries.lock().insert(entry.to_owned(), secret.to_owned());
        Ok(())
    }

    fn delete(&self, entry: &str) -> Result<(), String> {
        self.entries.lock().remove(entry);
        Ok(())
    }

    fn describe(&self) -> String {
        "memory, until the app ends".to_owned()
    }
}

/// One account's grant in a keychain.
pub struct KeptGrant {
    keychain: Arc<dyn Keychain>,
    entry: String,
    /// What processes of this user lock while one renews the grant.
    lock: PathBuf,
}

impl KeptGrant {
    /// `account` at the Hub `origin`; its lock is a file in `locks`.
    pub fn new(keychain: Arc<dyn Keychain>, account: &str, origin: &str, locks: &Path) -> KeptGrant {
        let name: String = account.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        KeptGrant {
            keychain,
            entry: format!("{account} at {origin}"),
            lock: locks.join(format!("{name}.lock")),
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&dyn Keychain, &str) -> Result<T, String> + Send + 'static,
    ) -> Result<T, HubError> {
        let (keychain, entry) = (Arc::clone(&self.keychain), self.entry.clone());
        let failed = |why: String| {
            HubError::new(ErrorClass::Local, format!("The sign-in can't be {doing} in the keychain: {why}"))
        };
        let running = tokio::task::spawn_blocking(move || work(&*keychain, &entry));
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(done)) => done.map_err(failed),
            Ok(Err(_)) => Err(failed("it broke".to_owned())),
            Err(_) => Err(failed("it does not answer; unlock it".to_owned())),
        }
    }
}

#[async_trait]
impl SecretStore for KeptGrant {
    async fn load(&self) -> Result<Option<Grant>, HubError> {
        let text = self.call("read", |keychain, entry| keychain.get(entry)).await?;
        let Some(text) = text else { return Ok(None) };
        // The parser's words could quote the token.
        serde_json::from_str(&text).map(Some).map_err(|_| {
            HubError::new(ErrorClass::Local, "The entry of the sign-in in the keychain can't be understood")
        })
    }

    async fn save(&self, grant: &Grant) -> Result<(), HubError> {
        let text = serde_json::to_string(grant)
            .map_err(|_| HubError::new(ErrorClass::Local, "The sign-in can't be written"))?;
        self.call("kept", move |keychain, entry| keychain.set(entry, &text)).await
    }

    async fn clear(&self) -> Result<(), HubError> {
        self.call("removed", |keychain, entry| keychain.delete(entry)).await
    }

    async fn lock(&self) -> Result<GrantLock, HubError> {
        GrantLock::of_file(&self.lock, LOCK_PATIENCE).await
    }

    fn describe(&self) -> String {
        self.keychain.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(keychain: &Arc<dyn Keychain>, account: &str, dir: &Path) -> KeptGrant {
        KeptGrant::new(Arc::clone(keychain), account, "http://127.0.0.1:1", dir)
    }

    /// What holds for any keychain.
    async fn holds(keychain: Arc<dyn Keychain>) {
        let dir = tempfile::tempdir().unwrap();
        let (alice, bob) = (kept(&keychain, "alice", dir.path()), kept(&keychain, "bob", dir.path()));
        alice.clear().await.unwrap();
        assert!(alice.load().await.unwrap().is_none());
        let grant = Grant::of_pasted_token("hf_secret_of_alice");
        alice.save(&grant).await.unwrap();
        assert!(alice.load().await.unwrap() == Some(grant.clone()));
        assert!(bob.load().await.unwrap().is_none(), "each account has an entry of its own");
        alice.save(&Grant::of_pasted_token("hf_newer")).await.unwrap();
        assert_eq!(alice.load().await.unwrap().unwrap().access_token, "hf_newer");
        alice.clear().await.unwrap();
        alice.clear().await.unwrap();
        assert!(alice.load().await.unwrap().is_none());
        let held = alice.lock().await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(120), alice.lock());
        assert!(waits.await.is_err(), "one renews, the others wait");
        drop(held);
        alice.lock().await.unwrap();
    }

    #[tokio::test]
    async fn keyring_cores_own_store() {
        holds(Arc::new(Keyring::of_store(keyring_core::mock::Store::new().unwrap()))).await;
    }

    #[tokio::test]
    async fn memory() {
        holds(Arc::new(InMemory::default())).await;
    }

    #[tokio::test]
    async fn a_keychain_that_refuses_is_a_local_failure_without_the_secret() {
        struct Locked;
        impl Keychain for Locked {
            fn get(&self, _: &str) -> Result<Option<String>, String> {
                Err("it is locked".into())
            }
            fn set(&self, _: &str, _: &str) -> Result<(), String> {
                Err("it is locked".into())
            }
            fn delete(&self, _: &str) -> Result<(), String> {
                Err("it is locked".into())
            }
            fn describe(&self) -> String {
                "x".into()
            }
        }
        let keychain: Arc<dyn Keychain> = Arc::new(Locked);
        let alice = kept(&keychain, "alice", Path::new("/nowhere"));
        let error = alice.save(&Grant::of_pasted_token("hf_secret")).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Local);
        assert!(error.what.contains("it is locked") && !error.what.contains("hf_secret"), "{error}");
        let not_ours: Arc<dyn Keychain> = Arc::new(InMemory::default());
        not_ours.set("bob at http://127.0.0.1:1", "hf_not_json").unwrap();
        let error = kept(&not_ours, "bob", Path::new("/nowhere")).load().await.unwrap_err();
        assert!(!error.to_string().contains("hf_not_json"), "{error}");
    }
}
