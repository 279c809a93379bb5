//! The ways to sign in. One at a time: beginning another ends the one before.

use std::sync::Arc;
use std::time::Duration;

use hub::{DeviceSignIn, Grant, OAuthApp};
use tokio_util::sync::CancellationToken;

use super::api::accounts::{Account, AccountKind, DeviceReason, SignIn};
use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::Part;
use super::core::{App, now};
use crate::sign_in;

/// How long the person may take in the browser.
const PATIENCE: Duration = Duration::from_secs(600);
/// A device code's life, if the Hub did not say: only shown.
const DEVICE_PATIENCE_MS: i64 = 900_000;
const LONGEST_TOKEN: usize = 4096;

impl App {
    pub(super) fn begin_browser(self: &Arc<Self>) -> AppResult<SignIn> {
        let oauth = self.oauth()?;
        Ok(self.begin(|app, cancel| async move { app.in_browser(oauth, cancel).await }))
    }

    pub(super) fn begin_device(self: &Arc<Self>) -> AppResult<SignIn> {
        let oauth = self.oauth()?;
        Ok(self.begin(|app, cancel| async move { app.with_device(oauth, DeviceReason::Asked, cancel).await }))
    }

    fn oauth(&self) -> AppResult<OAuthApp> {
        let given = self.settings.read().client_id.clone();
        let id = sign_in::client_id_for(&self.config.endpoint, given.as_deref())
            .map_err(|error| AppError::of(ErrorCode::System, error))?;
        Ok(OAuthApp::new(self.accounts.config(), id)?)
    }

    /// Starts `way` and gives the state it begins with.
    fn begin<F>(self: &Arc<Self>, way: impl FnOnce(Arc<App>, CancellationToken) -> F) -> SignIn
    where
        F: Future<Output = AppResult<Account>> + Send + 'static,
    {
        let cancel = self.stop.child_token();
        std::mem::replace(&mut *self.signing.lock(), cancel.clone()).cancel();
        self.show_sign_in(SignIn::Checking, &cancel);
        let work = way(Arc::clone(self), cancel.clone());
        let app = Arc::clone(self);
        self.tasks.spawn(async move {
            let outcome = tokio::select! {
                outcome = work => outcome,
                () = cancel.cancelled() => return,
            };
            let end = match outcome {
                Ok(account) => {
                    app.after_sign_in().await;
                    SignIn::Done { account: account.id }
                }
                Err(error) => SignIn::Failed { error },
            };
            app.show_sign_in(end, &cancel);
        });
        self.sign_in.lock().clone()
    }

    /// Shows where the sign-in stands, unless it was ended meanwhile.
    fn show_sign_in(&self, step: SignIn, cancel: &CancellationToken) {
        if cancel.is_cancelled() {
            return;
        }
        *self.sign_in.lock() = step;
        self.wake.urgent(Part::Accounts);
    }

    async fn in_browser(self: Arc<Self>, oauth: OAuthApp, cancel: CancellationToken) -> AppResult<Account> {
        let going = oauth.in_browser().await?;
        let url = going.url().to_string();
        let opened = match self.config.outside.open_url(&url) {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(%error, "no browser; signing in goes on with a code");
                return self.with_device(oauth, DeviceReason::NoBrowser, cancel).await;
            }
        };
        let until_ms = now() + i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX);
        self.show_sign_in(SignIn::Browser { url, opened, until_ms }, &cancel);
        let grant = going.grant(PATIENCE).await?;
        if !grant.is_renewable() {
            return self.with_device(oauth, DeviceReason::NotRenewable, cancel).await;
        }
        self.keep(grant, AccountKind::Browser, &cancel).await
    }

    async fn with_device(
        self: Arc<Self>,
        oauth: OAuthApp,
        why: DeviceReason,
        cancel: CancellationToken,
    ) -> AppResult<Account> {
        let going = oauth.with_device().await?;
        let shown = self.show_code(&going, why);
        self.show_sign_in(shown, &cancel);
        let grant = going.grant().await?;
        self.keep(grant, AccountKind::Device, &cancel).await
    }

    fn show_code(&self, going: &DeviceSignIn, why: DeviceReason) -> SignIn {
        let url_with_code =
            going.verification_uri_complete.clone().unwrap_or_else(|| going.verification_uri.clone());
        let opened = why != DeviceReason::NoBrowser
            && self.is_at_the_hub(&url_with_code)
            && self.config.outside.open_url(&url_with_code).is_ok();
        SignIn::Device {
            user_code: going.user_code.clone(),
            url: going.verification_uri.clone(),
            url_with_code,
            opened,
            until_ms: now() + DEVICE_PATIENCE_MS,
            why,
        }
    }

    async fn keep(&self, grant: Grant, kind: AccountKind, cancel: &CancellationToken) -> AppResult<Account> {
        self.show_sign_in(SignIn::Checking, cancel);
        self.accounts.sign_in(grant, kind).await
    }

    pub(super) fn cancel_sign_in(&self) {
        self.signing.lock().cancel();
        *self.sign_in.lock() = SignIn::None;
        self.wake.urgent(Part::Accounts);
    }

    pub(super) async fn sign_in_pasted(self: &Arc<Self>, text: &str) -> AppResult<Account> {
        let token = text.trim();
        let wrong = |what: &str, advice: &str| Err(AppError::invalid(what, advice));
        if token.is_empty() || token.len() > LONGEST_TOKEN || token.chars().any(|c| !c.is_ascii_graphic()) {
            return wrong("That is no access token.", "Copy one from your account's settings at the Hub.");
        }
        if token.starts_with("api_org") {
            return wrong(
                "That is an organisation's token, which cannot sign a person in.",
                "Use a token of your own account.",
            );
        }
        let account = self.accounts.sign_in(Grant::of_pasted_token(token), AccountKind::Token).await?;
        self.after_sign_in().await;
        Ok(account)
    }

    pub(super) async fn sign_in_with_hf_cli(self: &Arc<Self>) -> AppResult<Account> {
        let account = self.accounts.sign_in_hf_cli().await?;
        self.after_sign_in().await;
        Ok(account)
    }

    /// What waited for a sign-in goes on; the list of buckets is another one now.
    async fn after_sign_in(self: &Arc<Self>) {
        for slot in self.all_slots() {
            if let Some(live) = slot.live() {
                live.fs.retry(None);
            }
        }
        self.refresh_buckets_quietly().await;
    }

    /// Addresses are opened only at the configured Hub.
    pub(super) fn is_at_the_hub(&self, url: &str) -> bool {
        hub::Url::parse(url).is_ok_and(|url| url.origin() == self.config.endpoint.origin())
    }
}
