//! A signed-in account as a [`TokenSource`]: the grant is renewed before it ends, once for everybody
//! (tasks and processes), and kept before it is used: the Hub may take the old one back at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;

use super::OAuthApp;
use super::grant::{Grant, SecretStore};
use crate::error::{ErrorClass, HubError};
use crate::single_flight::Flights;
use crate::token::TokenSource;

/// A grant is renewed when it has less than this left.
const EARLY_SECONDS: u64 = 300;

/// The store is looked at again after this long: another program may have signed in or out.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct SignedIn {
    shared: Arc<Shared>,
    renewing: Arc<Flights<(), Result<Grant, HubError>>>,
}

struct Shared {
    app: OAuthApp,
    store: Arc<dyn SecretStore>,
    kept: Mutex<Kept>,
}

/// What the store held when it was read last.
#[derive(Default)]
struct Kept {
    grant: Option<Grant>,
    read: Option<Instant>,
}

impl Kept {
    fn of(grant: Option<Grant>) -> Kept {
        Kept { grant, read: Some(Instant::now()) }
    }
}

impl SignedIn {
    /// The account whose grant `store` holds; nobody while it holds none.
    pub fn new(app: OAuthApp, store: Arc<dyn SecretStore>) -> SignedIn {
        let shared = Arc::new(Shared { app, store, kept: Mutex::default() });
        SignedIn { shared, renewing: Arc::default() }
    }

    /// Keeps the grant of a sign-in that just succeeded. Durable on return.
    pub async fn sign_in(&self, grant: Grant) -> Result<(), HubError> {
        let _lock = self.shared.store.lock().await?;
        self.shared.store.save(&grant).await?;
        *self.shared.kept.lock() = Kept::of(Some(grant));
        Ok(())
    }

    /// Forgets the grant on this machine. The Hub has no way to take it back (hub-api.md 3): that is
    /// done in the account's settings.
    pub async fn sign_out(&self) -> Result<(), HubError> {
        let _lock = self.shared.store.lock().await?;
        self.shared.store.clear().await?;
        *self.shared.kept.lock() = Kept::default();
        Ok(())
    }

    /// A renewal that began is finished even if nobody waits any more: its answer may hold the only
    /// refresh token that is still good. It ends by its own deadlines (lock, call).
    async fn renewed(&self, than: Option<Grant>) -> Result<Grant, HubError> {
        let shared = self.shared.clone();
        let renewal = move || {
            let task = tokio::spawn(async move { shared.renew(than).await });
            async move { task.await.unwrap_or_else(|e| Err(ended(e))) }.boxed()
        };
        self.renewing.join((), renewal).await
    }
}

fn ended(e: tokio::task::JoinError) -> HubError {
    HubError::new(ErrorClass::Cancelled, "Renewing the sign-in was broken off").caused_by(e)
}

impl Shared {
    async fn current(&self) -> Result<Option<Grant>, HubError> {
        let known = {
            let kept = self.kept.lock();
            if kept.grant.is_some() && kept.read.is_some_and(|read| read.elapsed() < LOOK_AGAIN) {
                return Ok(kept.grant.clone());
            }
            kept.grant.clone()
        };
        let stored = match self.store.load().await {
            Ok(stored) => stored,
            // A disk in trouble signs nobody out.
            Err(_) if known.is_some() => known,
            Err(error) => return Err(error),
        };
        *self.kept.lock() = Kept::of(stored.clone());
        Ok(stored)
    }

    /// A good grant other than `than`. Under the lock the store is read again: another process may have
    /// renewed it, and then the refresh token here is used up.
    async fn renew(&self, than: Option<Grant>) -> Result<Grant, HubError> {
        let _lock = self.store.lock().await?;
        let stored = self.store.load().await?.ok_or_else(|| HubError::sign_in("Nobody is signed in"))?;
        if stored.lasts(EARLY_SECONDS) && than.as_ref() != Some(&stored) {
            *self.kept.lock() = Kept::of(Some(stored.clone()));
            return Ok(stored);
        }
        match self.app.refresh(&stored).await {
            Ok(fresh) => {
                self.store.save(&fresh).await?;
                *self.kept.lock() = Kept::of(Some(fresh.clone()));
                Ok(fresh)
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl TokenSource for SignedIn {
    async fn token(&self) -> Result<Option<String>, HubError> {
        let Some(grant) = self.shared.current().await? else { return Ok(None) };
        if grant.lasts(EARLY_SECONDS) {
            return Ok(Some(grant.access_token));
        }
        match self.renewed(None).await {
            Ok(fresh) => Ok(Some(fresh.access_token)),
            // The Hub can't renew it now; what is left of it is used meanwhile.
            Err(e) if e.class != ErrorClass::SignIn && grant.lasts(0) => Ok(Some(grant.access_token)),
            Err(e) => Err(e),
        }
    }

    async fn refused(&self, token: &str) -> bool {
        let Ok(Some(grant)) = self.shared.current().await else { return false };
        if grant.access_token != token {
            return true;
        }
        grant.is_renewable() && self.renewed(Some(grant)).await.is_ok()
    }

    fn describe(&self) -> String {
        format!("a sign-in kept in {}", self.shared.store.describe())
    }
}
