//! Sign-in in the browser: authorization code with PKCE.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use url::Url;

use super::grant::Grant;
use super::listener::Listener;
use super::{OAuthApp, Refused, unguessable};
use crate::error::{ErrorClass, HubError};

/// A sign-in under way: its address is to be opened in the person's browser. Dropping it ends it.
pub struct BrowserSignIn {
    app: OAuthApp,
    listener: Listener,
    url: Url,
    redirect_uri: String,
    state: String,
    verifier: String,
}

impl OAuthApp {
    /// Begins a sign-in in the browser: listens on this machine for its answer.
    pub async fn in_browser(&self) -> Result<BrowserSignIn, HubError> {
        let listener = Listener::bind().await?;
        let (redirect_uri, state, verifier) = (listener.redirect_uri(), unguessable(), unguessable());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let url = self.authorize_url(&redirect_uri, &state, &challenge)?;
        Ok(BrowserSignIn { app: self.clone(), listener, url, redirect_uri, state, verifier })
    }
}

impl BrowserSignIn {
    /// What the browser is to open.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The grant, once the person has said yes. `Rejected` when they said no, `Cancelled` when nothing
    /// came within `patience`. A grant that is not renewable calls for [`OAuthApp::with_device`].
    pub async fn grant(self, patience: Duration) -> Result<Grant, HubError> {
        let BrowserSignIn { app, listener, redirect_uri, state, verifier, .. } = self;
        let late = |_| {
            HubError::new(ErrorClass::Cancelled, "The sign-in was not finished in the browser")
                .with_advice("Start signing in again.")
        };
        let code = tokio::time::timeout(patience, listener.code(&state)).await.map_err(late)??;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        app.token(&form, "Signing in failed").await.map_err(Refused::into_error)
    }
}
