//! Sign-in with OAuth (hub-api.md 3): in the browser ([`BrowserSignIn`]: authorization code with PKCE,
//! answered to a listener on this machine; RFC 6749, 7636, 8252) or with a code typed elsewhere
//! ([`DeviceSignIn`]; RFC 8628). What comes out is a [`Grant`]; [`SignedIn`] keeps it fresh.
//!
//! BucketBar is a public client: it has an id and no secret.

mod browser;
mod device;
mod grant;
mod listener;
mod signed_in;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use url::Url;

pub use browser::BrowserSignIn;
pub use device::DeviceSignIn;
pub use grant::{FileSecrets, Grant, GrantLock, SecretStore};
pub use signed_in::SignedIn;

use crate::config::HubConfig;
use crate::error::{ErrorClass, HubError};
use crate::http::{Call, Http};

/// What BucketBar asks for: the name, the organisations, and buckets to read, write, make and delete.
/// That these scopes cover buckets is inferred (hub-api.md 3): no document names buckets.
pub const SCOPES: &str = "openid profile read-memberships read-repos write-repos manage-repos";

/// A registered application at a Hub. Cheap to clone.
#[derive(Clone)]
pub struct OAuthApp {
    http: Http,
    client_id: String,
}

impl OAuthApp {
    /// `config`'s token is not used: signing in is done by nobody yet.
    pub fn new(config: &HubConfig, client_id: impl Into<String>) -> Result<OAuthApp, HubError> {
        let anonymous = std::sync::Arc::new(crate::token::StaticToken::anonymous());
        let http = Http::new(HubConfig { token: anonymous, ..config.clone() })?;
        Ok(OAuthApp { http, client_id: client_id.into() })
    }

    /// A new grant for a refresh token. The Hub may take the old token back at once: store the new
    /// grant before using it. `SignIn` when the token is not good any more.
    pub async fn refresh(&self, grant: &Grant) -> Result<Grant, HubError> {
        let refresh_token = grant
            .refresh_token
            .as_deref()
            .ok_or_else(|| HubError::sign_in("The sign-in has ended and can't be renewed by itself"))?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        // Only the application it was given to can renew it.
        let client_id = grant.client_id.clone().unwrap_or_else(|| self.client_id.clone());
        let app = OAuthApp { client_id, ..self.clone() };
        let fresh = app.token(&form, "Renewing the sign-in failed").await.map_err(Refused::into_error)?;
        Ok(fresh.or_refresh_token(refresh_token))
    }

    /// `POST /oauth/token`. Never sent twice: a code is good once, and a refresh token that is shown
    /// twice looks stolen.
    async fn token(&self, form: &[(&str, &str)], failure: &str) -> Result<Grant, Refused> {
        #[derive(Deserialize)]
        struct Wire {
            access_token: String,
            refresh_token: Option<String>,
            expires_in: Option<u64>,
            scope: Option<String>,
        }
        let answer = self.post("/oauth/token", form, failure).await?;
        let wire: Wire = answer.json().map_err(|error| Refused { code: None, error })?;
        Ok(Grant::new(wire.access_token, wire.refresh_token, wire.expires_in, wire.scope, &self.client_id))
    }

    async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        failure: &str,
    ) -> Result<crate::http::Answer, Refused> {
        let url = self.http.url(path).map_err(|error| Refused { code: None, error })?;
        let mut pairs = vec![("client_id", self.client_id.as_str())];
        pairs.extend_from_slice(form);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let call = Call::new(Method::POST, url, failure)
            .body("application/x-www-form-urlencoded", Bytes::from(body));
        self.http.send_or_refusal(call).await.map_err(|refusal| Refused::new(refusal.error, &refusal.body))
    }

    fn authorize_url(&self, redirect_uri: &str, state: &str, challenge: &str) -> Result<Url, HubError> {
        let mut url = self.http.url("/oauth/authorize")?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("scope", SCOPES)
            .append_pair("state", state)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }
}

/// An unsuccessful answer with OAuth's own word for it (RFC 6749 5.2).
struct Refused {
    code: Option<String>,
    error: HubError,
}

impl Refused {
    fn new(error: HubError, body: &[u8]) -> Refused {
        #[derive(Deserialize)]
        struct Wire {
            error: String,
        }
        let code = serde_json::from_slice::<Wire>(body).ok().map(|wire| wire.error);
        Refused { code, error }
    }

    /// In this crate's classes: what only another sign-in can cure is `SignIn`.
    fn into_error(self) -> HubError {
        let mut error = self.error;
        match self.code.as_deref() {
            Some("invalid_grant" | "expired_token") => {
                error.class = ErrorClass::SignIn;
                error.with_advice("Sign in again.")
            }
            Some("access_denied") => {
                error.class = ErrorClass::Rejected;
                error.with_advice("Sign in again and allow BucketBar the access it asks for.")
            }
            _ => error,
        }
    }
}

/// 256 bits nobody can guess, in letters an address may hold.
fn unguessable() -> String {
    use base64::Engine;
    let bytes: [u8; 32] = rand::random();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
