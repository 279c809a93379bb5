//! Signing in (hub-api.md part 3): authorization code with PKCE, device code, refresh with rotation.
//!
//! What a person allowed is a *grant*: who, which app, which scopes, which organizations. Access and
//! refresh tokens point to their grant; a code or refresh token that is used a second time has leaked,
//! and its whole grant is revoked (RFC 6749 4.1.2, RFC 9700 4.14). The state is small and is stored
//! whole with every change, so a restart signs nobody out. Which call needs which scope: [`scopes`].

pub mod apps;
mod device;
pub mod scopes;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::arguments::Arguments;
use crate::clock::now_ms;
use crate::oauth::apps::Apps;
use crate::oauth::device::Device;
use crate::store::Store;

/// How long a consent page waits, and how long a code may be redeemed, ms.
const CONSENT_MS: i64 = 15 * 60_000;
const CODE_MS: i64 = 60_000;

/// A refusal of RFC 6749, 5.2: the error's name and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct OAuthError {
    pub error: &'static str,
    pub description: String,
}

pub type OAuthResult<T> = Result<T, OAuthError>;

/// A refusal in one line.
pub fn refuse<T>(error: &'static str, description: impl Into<String>) -> OAuthResult<T> {
    Err(OAuthError { error, description: description.into() })
}

/// What a person allowed an app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    pub user: String,
    pub client: String,
    pub scopes: Vec<String>,
    /// Organizations the person picked; no other one is reached.
    pub orgs: Vec<String>,
}

/// A request for consent that a person looks at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub client: String,
    pub redirect_uri: String,
    pub scopes: Vec<String>,
    pub state: Option<String>,
    /// S256 of the app's verifier.
    challenge: String,
    expires: i64,
}

/// Tokens as the token endpoint gives them out.
#[derive(Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub grant: Grant,
    pub expires_in: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Code {
    request: Request,
    grant: Grant,
    expires: i64,
    /// The grant it was redeemed for: a second use revokes it.
    redeemed: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Access {
    grant: String,
    expires: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Refresh {
    grant: String,
    spent: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct State {
    requests: HashMap<String, Request>,
    codes: HashMap<String, Code>,
    devices: HashMap<String, Device>,
    grants: HashMap<String, Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

/// Sign-ins of this Hub.
pub struct OAuth {
    state: Mutex<State>,
    pub apps: Apps,
    access_seconds: u64,
    refresh_in_code_flow: bool,
    device_seconds: u64,
    device_interval: u64,
}

impl OAuth {
    /// Takes up the state of the last run.
    pub fn open(store: &Store, arguments: &Arguments) -> anyhow::Result<Self> {
        let stored = store.meta("oauth")?;
        let state = stored.map(|bytes| serde_json::from_slice(&bytes)).transpose()?.unwrap_or_default();
        Ok(Self {
            state: Mutex::new(state),
            apps: Apps::new(&arguments.oauth_apps),
            access_seconds: arguments.oauth_seconds,
            refresh_in_code_flow: !arguments.no_refresh_in_code_flow,
            device_seconds: arguments.device_seconds,
            device_interval: arguments.device_interval,
        })
    }

    /// Checks what `/oauth/authorize` was asked and keeps it until the person decides; its number.
    /// Client and redirect URI are good already ([`Apps::check_redirect`]).
    pub fn ask(&self, store: &Store, query: &HashMap<String, String>) -> OAuthResult<String> {
        let field = |name: &str| query.get(name).map_or("", String::as_str);
        if field("response_type") != "code" {
            return refuse("unsupported_response_type", "response_type must be code");
        }
        if field("code_challenge_method") != "S256" || field("code_challenge").is_empty() {
            return refuse("invalid_request", "an app without a secret needs PKCE with S256");
        }
        let scopes = self.apps.scopes(field("client_id"), field("scope"))?;
        let request = Request {
            client: field("client_id").into(),
            redirect_uri: field("redirect_uri").into(),
            scopes,
            state: query.get("state").cloned(),
            challenge: field("code_challenge").into(),
            expires: now_ms() + CONSENT_MS,
        };
        let id = random("ask");
        self.change(store, |state| state.requests.insert(id.clone(), request));
        Ok(id)
    }

    /// The request a consent page is about.
    pub fn request(&self, id: &str) -> Option<Request> {
        self.state.lock().requests.get(id).filter(|request| request.expires > now_ms()).cloned()
    }

    /// The person's decision: who allows which organizations, or `None` for no. Answers with the request
    /// and, after a yes, the code.
    pub fn decide(
        &self,
        store: &Store,
        id: &str,
        allowed: Option<(String, Vec<String>)>,
    ) -> Option<(Request, Option<String>)> {
        let request = self.request(id)?;
        let code = allowed.map(|(user, orgs)| {
            let grant = Grant { user, client: request.client.clone(), scopes: request.scopes.clone(), orgs };
            (
                random("code"),
                Code { request: request.clone(), grant, expires: now_ms() + CODE_MS, redeemed: None },
            )
        });
        let name = code.as_ref().map(|(name, _)| name.clone());
        self.change(store, |state| {
            state.requests.remove(id);
            state.codes.extend(code);
        });
        Some((request, name))
    }

    /// `grant_type=authorization_code`
    pub fn redeem(&self, store: &Store, form: &HashMap<String, String>) -> OAuthResult<Tokens> {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        self.change(store, |state| {
            let Some(code) = state.codes.get(field("code")).cloned() else {
                return refuse("invalid_grant", "this code was not given out here");
            };
            if let Some(grant) = code.redeemed {
                state.revoke(&grant);
                return refuse("invalid_grant", "this code was used before; what it gave is revoked");
            }
            if code.expires <= now_ms() {
                return refuse("invalid_grant", "this code has expired");
            }
            if code.request.redirect_uri != field("redirect_uri") || code.request.client != field("client_id")
            {
                return refuse("invalid_grant", "redirect_uri or client_id is not the one of the request");
            }
            let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
            if verifier != code.request.challenge {
                return refuse("invalid_grant", "code_verifier does not belong to code_challenge");
            }
            let (id, tokens) = self.grant(state, code.grant, self.refresh_in_code_flow);
            if let Some(code) = state.codes.get_mut(field("code")) {
                code.redeemed = Some(id);
            }
            Ok(tokens)
        })
    }

    /// `grant_type=refresh_token`: the old one is spent; used again, it revokes the grant.
    pub fn refresh(&self, store: &Store, form: &HashMap<String, String>) -> OAuthResult<Tokens> {
        let token = form.get("refresh_token").map_or("", String::as_str);
        self.change(store, |state| {
            let Some(refresh) = state.refresh.get(token).cloned() else {
                return refuse("invalid_grant", "this refresh token is unknown or revoked");
            };
            if refresh.spent {
                state.revoke(&refresh.grant);
                return refuse("invalid_grant", "this refresh token was used before; the sign-in is revoked");
            }
            let Some(grant) = state.grants.get(&refresh.grant).cloned() else {
                return refuse("invalid_grant", "this sign-in was revoked");
            };
            if form.get("client_id").is_some_and(|client| *client != grant.client) {
                return refuse("invalid_grant", "this refresh token is another app's");
            }
            state.refresh.insert(token.into(), Refresh { grant: refresh.grant.clone(), spent: true });
            Ok(self.tokens(state, &refresh.grant, grant, true))
        })
    }

    /// The grant behind an access token that is still good.
    pub fn grant_of(&self, token: &str) -> Option<Grant> {
        let state = self.state.lock();
        let access = state.access.get(token).filter(|access| access.expires > now_ms())?;
        state.grants.get(&access.grant).cloned()
    }

    /// Every access token given out so far is expired.
    pub fn expire_access_tokens(&self, store: &Store) {
        self.change(store, |state| state.access.clear());
    }

    /// What a user does in the Hub's settings: no app keeps any access.
    pub fn revoke_user(&self, store: &Store, user: &str) {
        self.change(store, |state| {
            let theirs = state.grants.iter().filter(|(_, grant)| grant.user == user);
            let theirs: Vec<String> = theirs.map(|(id, _)| id.clone()).collect();
            theirs.iter().for_each(|id| state.revoke(id));
        });
    }

    /// Makes a grant with its first tokens.
    fn grant(&self, state: &mut State, grant: Grant, refresh: bool) -> (String, Tokens) {
        let id = random("grant");
        state.grants.insert(id.clone(), grant.clone());
        let tokens = self.tokens(state, &id, grant, refresh);
        (id, tokens)
    }

    fn tokens(&self, state: &mut State, id: &str, grant: Grant, refresh: bool) -> Tokens {
        let access = random("hf_oauth");
        let lifetime = i64::try_from(self.access_seconds * 1000).unwrap_or(i64::MAX);
        state
            .access
            .insert(access.clone(), Access { grant: id.into(), expires: now_ms().saturating_add(lifetime) });
        let refresh = refresh.then(|| random("hf_refresh"));
        if let Some(refresh) = &refresh {
            state.refresh.insert(refresh.clone(), Refresh { grant: id.into(), spent: false });
        }
        Tokens { access, refresh, grant, expires_in: self.access_seconds }
    }

    /// Changes the state and stores it.
    fn change<T>(&self, store: &Store, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state: MutexGuard<'_, State> = self.state.lock();
        let result = change(&mut state);
        // A Hub that can't write its own directory can't do anything else either: the next call says so.
        if let Err(error) = store.set_meta("oauth", &serde_json::to_vec(&*state).unwrap_or_default()) {
            eprintln!("local-hub: the sign-ins can't be stored: {error}");
        }
        result
    }
}

impl State {
    /// The grant and every token of it is void. Spent refresh tokens stay known as such.
    fn revoke(&mut self, grant: &str) {
        self.grants.remove(grant);
        self.access.retain(|_, access| access.grant != grant);
    }
}

/// A text nobody guesses.
fn random(prefix: &str) -> String {
    format!("{prefix}_{:032x}", rand::random::<u128>())
}
