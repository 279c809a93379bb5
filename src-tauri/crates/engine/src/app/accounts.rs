//! The accounts of this machine: who they are (a file without secrets), where their tokens come from (the
//! keychain, or where somebody else keeps them), and whether the Hub still accepts them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use hub::{
    ErrorClass, Grant, Hub, HubConfig, HubError, OAuthApp, SecretStore, SignedIn, StaticToken, TokenSource,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::api::AccountId;
use super::api::accounts::{Account, AccountHealth, AccountKind, HfCliOffer};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::keychain::{KeptGrant, Keychain};
use super::store;
use super::wake::Wake;
use crate::hub_access::HubAccess;

const FILE: &str = "accounts.json";
const HF_CLI: &str = "hf-cli";
const ENVIRONMENT: &str = "environment";
const TOKEN_VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// What is kept of an account; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    id: AccountId,
    name: String,
    full_name: Option<String>,
    organizations: Vec<String>,
    kind: AccountKind,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    accounts: Vec<Known>,
    default: Option<AccountId>,
}

/// Where an account's token comes from, while it is signed in.
struct Live {
    token: Arc<Watched>,
    /// Ours to delete at sign-out; absent for what somebody else keeps.
    own: Option<SignedIn>,
    kept_in: String,
}

/// The names of the accounts that the app has at the Hub of `origin`, by the file in `folder`; asks and changes nothing.
pub(crate) fn names_kept(folder: &Path, origin: &str) -> Vec<String> {
    let bytes = std::fs::read(folder.join(FILE)).unwrap_or_default();
    let mut kept: HashMap<String, Kept> = serde_json::from_slice(&bytes).unwrap_or_default();
    let kept = kept.remove(origin.trim_end_matches('/')).unwrap_or_default();
    kept.accounts.into_iter().map(|account| account.name).collect()
}

/// All accounts at one Hub.
pub struct Accounts {
    /// Asks nobody; its token is never used.
    config: HubConfig,
    origin: String,
    file: PathBuf,
    locks: PathBuf,
    keychain: Arc<dyn Keychain>,
    wake: Arc<Wake>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Kept,
    live: HashMap<AccountId, Live>,
    hubs: HashMap<Option<AccountId>, Hub>,
    token_variable: Option<String>,
}

impl Accounts {
    /// The accounts kept in `folder` for the Hub of `config`. Asks neither Hub nor keychain.
    pub(super) fn open(
        config: HubConfig,
        folder: &Path,
        keychain: Arc<dyn Keychain>,
        wake: Arc<Wake>,
    ) -> Arc<Accounts> {
        let origin = config.endpoint.as_str().trim_end_matches('/').to_owned();
        let file = folder.join(FILE);
        let kept: HashMap<String, Kept> = store::read_or_aside(&file).unwrap_or_default();
        let kept = kept.into_iter().find(|(hub, _)| *hub == origin).map(|(_, kept)| kept).unwrap_or_default();
        let accounts = Accounts {
            locks: folder.join("locks"),
            config,
            origin,
            file,
            keychain,
            wake,
            state: Mutex::new(State { kept, ..State::default() }),
        };
        let known = accounts.state.lock().kept.accounts.clone();
        for account in &known {
            let live = accounts.live(account.kind, &account.id);
            if let Some(live) = live {
                accounts.state.lock().live.insert(account.id.clone(), live);
            }
        }
        Arc::new(accounts)
    }

    /// Takes the token of the app's environment for an account of its own, which comes first. Its name is that
    /// of the variable until [`Accounts::name_environment`].
    pub(super) fn take_environment(&self) {
        let Some((name, token)) = token_of_environment() else { return };
        let source = Arc::new(StaticToken::new(token, format!("the environment variable {name}")));
        let known = Known {
            id: ENVIRONMENT.to_owned(),
            name: name.to_owned(),
            full_name: None,
            organizations: vec![],
            kind: AccountKind::Environment,
        };
        let kept_in = source.describe();
        let live = Live { token: Watched::new(source, Arc::clone(&self.wake)), own: None, kept_in };
        let mut state = self.state.lock();
        state.token_variable = Some(name.to_owned());
        state.kept.accounts.retain(|account| account.id != ENVIRONMENT);
        state.kept.accounts.insert(0, known);
        state.live.insert(ENVIRONMENT.to_owned(), live);
    }

    /// Asks the Hub whose token the environment's is.
    pub(super) async fn name_environment(&self) {
        let Source::Of(token) = self.source(Some(ENVIRONMENT)) else { return };
        let Ok(account) = self.whoami(token).await else { return };
        let mut state = self.state.lock();
        if let Some(before) = state.kept.accounts.iter_mut().find(|account| account.id == ENVIRONMENT) {
            *before = known(ENVIRONMENT, AccountKind::Environment, account);
        }
        drop(state);
        self.wake.urgent(Part::Accounts);
    }

    /// Asks the Hub whether sign-ins that had ended are good again.
    pub(super) async fn probe(&self) {
        let ended: Vec<Arc<Watched>> = {
            let state = self.state.lock();
            let tokens = state.live.values().map(|live| Arc::clone(&live.token));
            tokens.filter(|token| token.health() == AccountHealth::Ended).collect()
        };
        for token in ended {
            if self.whoami(token.clone()).await.is_ok() {
                *token.refused.lock() = None;
                token.set_health(AccountHealth::Good);
            }
        }
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn config(&self) -> &HubConfig {
        &self.config
    }

    pub(super) fn token_variable(&self) -> Option<String> {
        self.state.lock().token_variable.clone()
    }

    /// All of them, as they are shown.
    pub(super) fn list(&self) -> Vec<Account> {
        let state = self.state.lock();
        let default = state.default_id();
        let shown = |known: &Known| {
            let live = state.live.get(&known.id);
            Account {
                id: known.id.clone(),
                name: known.name.clone(),
                full_name: known.full_name.clone(),
                organizations: known.organizations.clone(),
                kind: known.kind,
                health: live.map_or(AccountHealth::Ended, |live| live.token.health()),
                kept_in: live.map(|live| live.kept_in.clone()).unwrap_or_default(),
                is_default: default.as_ref() == Some(&known.id),
            }
        };
        state.kept.accounts.iter().map(shown).collect()
    }

    /// The `hf` command line's sign-in; only looks whether its file is there.
    pub(super) fn hf_cli(&self) -> HfCliOffer {
        let Some(file) = hub::TokenFile::of_hf() else {
            return HfCliOffer { place: String::new(), there: false };
        };
        HfCliOffer { there: file.is_there(), place: file.describe() }
    }

    /// A client of the Hub that asks as this account (`None`: as whoever is the default, else as nobody).
    pub(super) fn hub(self: &Arc<Self>, id: Option<&str>) -> AppResult<Hub> {
        let key = id.map(str::to_owned);
        if let Some(hub) = self.state.lock().hubs.get(&key) {
            return Ok(hub.clone());
        }
        let hub =
            self.access(id).open(&self.config.cache_root).map_err(|e| AppError::of(ErrorCode::Disk, e))?;
        self.state.lock().hubs.insert(key, hub.clone());
        Ok(hub)
    }

    /// The Hub as this account sees it, whoever is behind the account's name in the course of time.
    pub(super) fn access(self: &Arc<Self>, id: Option<&str>) -> HubAccess {
        let token = AccountToken { accounts: Arc::clone(self), id: id.map(str::to_owned) };
        HubAccess { endpoint: self.config.endpoint.clone(), token: Arc::new(token) }
    }

    /// Keeps the grant of a sign-in that just succeeded; who it is for is asked first. An account of the same
    /// name signs in anew.
    ///
    /// # Errors
    /// What the Hub or the keychain said; nothing is kept then.
    pub(super) async fn sign_in(&self, grant: Grant, kind: AccountKind) -> AppResult<Account> {
        let token = Arc::new(StaticToken::new(&grant.access_token, "this sign-in"));
        let account = self.whoami(token).await?;
        let id = format!("user-{}", account.name);
        let live = self.live(kind, &id).ok_or_else(no_such)?;
        let own = live.own.clone().ok_or_else(no_such)?;
        own.sign_in(grant).await.map_err(keychain_failed)?;
        self.take(known(&id, kind, account), live)
    }

    /// Uses the `hf` command line's token from where it lives.
    ///
    /// # Errors
    /// `SignedOut` when nobody is signed in there, or the Hub does not accept it.
    pub(super) async fn sign_in_hf_cli(&self) -> AppResult<Account> {
        let live = self.live(AccountKind::HfCli, HF_CLI).ok_or_else(nobody_at_hf)?;
        if live.token.token().await?.is_none() {
            return Err(nobody_at_hf());
        }
        let account = self.whoami(live.token.clone()).await?;
        self.take(known(HF_CLI, AccountKind::HfCli, account), live)
    }

    fn take(&self, known: Known, live: Live) -> AppResult<Account> {
        let id = known.id.clone();
        {
            let mut state = self.state.lock();
            match state.kept.accounts.iter_mut().find(|account| account.id == id) {
                Some(before) => *before = known,
                None => state.kept.accounts.push(known),
            }
            state.live.insert(id.clone(), live);
        }
        self.save()?;
        self.wake.urgent(Part::Accounts);
        self.list().into_iter().find(|account| account.id == id).ok_or_else(no_such)
    }

    /// Forgets the account and deletes its token here. One of the environment stays.
    ///
    /// # Errors
    /// `NotFound`; what the keychain said: the account stays then.
    pub(super) async fn sign_out(&self, id: &str) -> AppResult<()> {
        if id == ENVIRONMENT {
            return Err(AppError::invalid(
                "This account comes from an environment variable.",
                "Start the app without it.",
            ));
        }
        let own = {
            let state = self.state.lock();
            if !state.kept.accounts.iter().any(|account| account.id == id) {
                return Err(no_such());
            }
            state.live.get(id).and_then(|live| live.own.clone())
        };
        if let Some(own) = own {
            own.sign_out().await.map_err(keychain_failed)?;
        }
        {
            let mut state = self.state.lock();
            state.kept.accounts.retain(|account| account.id != id);
            state.live.remove(id);
            if state.kept.default.as_deref() == Some(id) {
                state.kept.default = None;
            }
        }
        self.save()?;
        self.wake.urgent(Part::Accounts);
        Ok(())
    }

    /// # Errors
    /// `NotFound`.
    pub(super) fn set_default(&self, id: &str) -> AppResult<()> {
        {
            let mut state = self.state.lock();
            if !state.kept.accounts.iter().any(|account| account.id == id) {
                return Err(no_such());
            }
            state.kept.default = Some(id.to_owned());
        }
        self.save()?;
        self.wake.urgent(Part::Accounts);
        Ok(())
    }

    /// The file of accounts, for all Hubs.
    fn save(&self) -> AppResult<()> {
        let mut all: HashMap<String, Kept> = store::read_or_aside(&self.file).unwrap_or_default();
        let (accounts, default) = {
            let state = self.state.lock();
            let kept = state.kept.accounts.iter().filter(|account| account.kind != AccountKind::Environment);
            (kept.cloned().collect(), state.kept.default.clone())
        };
        all.insert(self.origin.clone(), Kept { accounts, default });
        store::write(&self.file, &all).map_err(|error| AppError::of(ErrorCode::Disk, error))
    }

    fn live(&self, kind: AccountKind, id: &str) -> Option<Live> {
        let wake = Arc::clone(&self.wake);
        match kind {
            AccountKind::HfCli => {
                let file = Arc::new(hub::TokenFile::of_hf()?);
                let kept_in = file.describe();
                Some(Live { token: Watched::new(file, wake), own: None, kept_in })
            }
            AccountKind::Environment => None,
            AccountKind::Browser | AccountKind::Device | AccountKind::Token => {
                let keychain = Arc::clone(&self.keychain);
                let kept: Arc<dyn SecretStore> =
                    Arc::new(KeptGrant::new(keychain, id, &self.origin, &self.locks));
                // Renewing needs no application's name: the grant knows whose it is.
                let app = OAuthApp::new(&self.config, "bucketbar").ok()?;
                let kept_in = kept.describe();
                let own = SignedIn::new(app, kept);
                Some(Live { token: Watched::new(Arc::new(own.clone()), wake), own: Some(own), kept_in })
            }
        }
    }

    async fn whoami(&self, token: Arc<dyn TokenSource>) -> AppResult<hub::Account> {
        let hub = Hub::new(HubConfig { token, ..self.config.clone() })?;
        hub.whoami().await.map_err(|error| match error.class {
            ErrorClass::SignIn => AppError::new(
                ErrorCode::SignedOut,
                "The Hub does not accept this token.",
                "Nothing was kept. Sign in again, or make a new token in your account's settings.",
            ),
            _ => error.into(),
        })
    }

    fn source(&self, id: Option<&str>) -> Source {
        let state = self.state.lock();
        let id = match id {
            Some(id) => Some(id.to_owned()),
            None => state.default_id(),
        };
        match id {
            None => Source::Nobody,
            Some(id) => match state.live.get(&id) {
                Some(live) => Source::Of(Arc::clone(&live.token)),
                None => Source::Gone(id),
            },
        }
    }
}

impl State {
    /// The environment's, else the chosen one, else the first.
    fn default_id(&self) -> Option<AccountId> {
        if self.live.contains_key(ENVIRONMENT) {
            return Some(ENVIRONMENT.to_owned());
        }
        let chosen = self.kept.default.clone().filter(|id| self.kept.accounts.iter().any(|a| a.id == *id));
        chosen.or_else(|| self.kept.accounts.first().map(|account| account.id.clone()))
    }
}

enum Source {
    Of(Arc<Watched>),
    Gone(AccountId),
    Nobody,
}

/// An account's token, looked up anew at each use: signing out takes effect at once, and signing in again too.
struct AccountToken {
    accounts: Arc<Accounts>,
    id: Option<AccountId>,
}

#[async_trait]
impl TokenSource for AccountToken {
    async fn token(&self) -> Result<Option<String>, HubError> {
        match self.accounts.source(self.id.as_deref()) {
            Source::Of(source) => source.token().await,
            Source::Nobody => Ok(None),
            Source::Gone(id) => {
                let name = id.strip_prefix("user-").unwrap_or(&id);
                Err(HubError::sign_in(format!("{name} is signed out")))
            }
        }
    }

    async fn refused(&self, token: &str) -> bool {
        match self.accounts.source(self.id.as_deref()) {
            Source::Of(source) => source.refused(token).await,
            _ => false,
        }
    }

    fn describe(&self) -> String {
        match self.accounts.source(self.id.as_deref()) {
            Source::Of(source) => source.describe(),
            _ => "nobody is signed in".to_owned(),
        }
    }
}

/// A source of tokens with what is known of its health.
struct Watched {
    inner: Arc<dyn TokenSource>,
    health: AtomicU8,
    /// What the Hub refused last: it being given out again heals nothing.
    refused: Mutex<Option<String>>,
    wake: Arc<Wake>,
}

impl Watched {
    fn new(inner: Arc<dyn TokenSource>, wake: Arc<Wake>) -> Arc<Watched> {
        Arc::new(Watched { inner, health: AtomicU8::new(0), refused: Mutex::default(), wake })
    }

    fn health(&self) -> AccountHealth {
        match self.health.load(Ordering::Relaxed) {
            0 => AccountHealth::Good,
            1 => AccountHealth::Ended,
            _ => AccountHealth::Locked,
        }
    }

    fn set_health(&self, health: AccountHealth) {
        let number = match health {
            AccountHealth::Good => 0,
            AccountHealth::Ended => 1,
            AccountHealth::Locked => 2,
        };
        if self.health.swap(number, Ordering::Relaxed) != number {
            self.wake.part(Part::Accounts);
        }
    }
}

#[async_trait]
impl TokenSource for Watched {
    async fn token(&self) -> Result<Option<String>, HubError> {
        let token = self.inner.token().await;
        match &token {
            Ok(Some(token)) if self.refused.lock().as_ref() == Some(token) => {}
            Ok(Some(_)) => self.set_health(AccountHealth::Good),
            Ok(None) => self.set_health(AccountHealth::Ended),
            Err(error) if error.class == ErrorClass::SignIn => self.set_health(AccountHealth::Ended),
            Err(error) if error.class == ErrorClass::Local => self.set_health(AccountHealth::Locked),
            Err(_) => {}
        }
        match token {
            Ok(None) => Err(HubError::sign_in("The sign-in is gone from where it was kept")),
            other => other,
        }
    }

    async fn refused(&self, token: &str) -> bool {
        if self.inner.refused(token).await {
            return true;
        }
        // Another one may have come meanwhile.
        if matches!(self.inner.token().await, Ok(Some(now)) if now != token) {
            return true;
        }
        *self.refused.lock() = Some(token.to_owned());
        self.set_health(AccountHealth::Ended);
        false
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

fn known(id: &str, kind: AccountKind, account: hub::Account) -> Known {
    Known {
        id: id.to_owned(),
        name: account.name,
        full_name: account.full_name,
        organizations: account.organizations.into_iter().map(|organization| organization.name).collect(),
        kind,
    }
}

fn token_of_environment() -> Option<(&'static str, String)> {
    TOKEN_VARIABLES.into_iter().find_map(|name| {
        let token = std::env::var(name).ok()?.trim().to_owned();
        (!token.is_empty()).then_some((name, token))
    })
}

fn keychain_failed(error: HubError) -> AppError {
    match error.class {
        ErrorClass::Local => AppError::new(
            ErrorCode::System,
            error.what,
            "Unlock the keychain of this session and try again. BucketBar keeps a token nowhere else.",
        ),
        _ => error.into(),
    }
}

fn no_such() -> AppError {
    AppError::new(ErrorCode::NotFound, "There is no such account here.", "")
}

fn nobody_at_hf() -> AppError {
    AppError::new(
        ErrorCode::SignedOut,
        "Nobody is signed in with the hf command line.",
        "Run `hf auth login` in a terminal first, or sign in another way.",
    )
}
