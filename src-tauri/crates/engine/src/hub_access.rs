//! The Hub as this machine's environment means it.

use std::path::Path;
use std::sync::Arc;

use hub::{Hub, HubConfig};

use crate::endpoint::private_dir;
use crate::error::{EngineError, Result};
use crate::sign_in;

/// A client of the Hub that `HF_ENDPOINT` means; Xet's own files go below `cache_root`. Makes no call. Its
/// token is that of HF_TOKEN, else BucketBar's own sign-in, else that of the `hf` command line.
///
/// # Errors
/// When `HF_ENDPOINT` cannot be used, or `cache_root` cannot be made.
pub fn open_hub(cache_root: &Path) -> Result<Hub> {
    // Its parents too: of a first command it is the folder of all state that is made here.
    private_dir(cache_root)?;
    let anonymous = hub_config(cache_root)?;
    let token = match sign_in::signed_in(&anonymous) {
        Ok((own, _)) => hub::discover_token_with(Arc::new(own)),
        // No home directory: then there is no sign-in of ours either.
        Err(_) => hub::discover_token(),
    };
    Ok(Hub::new(HubConfig { token, ..anonymous })?)
}

/// A Hub, and as whom it is asked.
#[derive(Clone)]
pub struct HubAccess {
    pub endpoint: hub::Url,
    pub token: Arc<dyn hub::TokenSource>,
}

impl HubAccess {
    /// As it is stored and shown: without a slash at its end.
    pub fn origin(&self) -> String {
        self.endpoint.as_str().trim_end_matches('/').to_owned()
    }

    /// A client; Xet's own files go below `cache_root`. Makes no call.
    ///
    /// # Errors
    /// When `cache_root` cannot be made.
    pub fn open(&self, cache_root: &Path) -> Result<Hub> {
        Ok(Hub::new(self.config(cache_root))?)
    }

    pub fn config(&self, cache_root: &Path) -> HubConfig {
        HubConfig {
            endpoint: self.endpoint.clone(),
            token: Arc::clone(&self.token),
            ..anonymous_config(self.endpoint.clone(), cache_root)
        }
    }
}

impl std::fmt::Debug for HubAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubAccess").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

/// How the Hub that `HF_ENDPOINT` means is spoken to, by nobody.
///
/// # Errors
/// When `HF_ENDPOINT` cannot be used.
pub fn hub_config(cache_root: &Path) -> Result<HubConfig> {
    Ok(anonymous_config(hub::discover_endpoint()?, cache_root))
}

fn anonymous_config(endpoint: hub::Url, cache_root: &Path) -> HubConfig {
    HubConfig {
        endpoint,
        token: Arc::new(hub::StaticToken::anonymous()),
        cache_root: cache_root.to_owned(),
        user_agent: concat!("bucketbar/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits: hub::Limits::default(),
    }
}

/// The origin of the Hub that `HF_ENDPOINT` means, as it is stored and shown: without a slash at its end.
///
/// # Errors
/// When `HF_ENDPOINT` cannot be used.
pub fn hub_origin() -> Result<String> {
    Ok(hub::discover_endpoint()?.as_str().trim_end_matches('/').to_owned())
}

/// `error` of asking the Hub for a bucket, with what a person can do about the sign-in.
pub async fn explain(hub: &Hub, error: hub::HubError) -> EngineError {
    use hub::ErrorClass as C;
    let token = Arc::clone(&hub.config().token);
    let signed_in = matches!(token.token().await, Ok(Some(_)));
    let class = error.class;
    let code = error.code;
    let mut explained = EngineError::from(error);
    match (class, signed_in) {
        // The name is right; the Hub's own advice says what is not.
        _ if matches!(code, Some(hub::ErrorCode::RevisionNotFound | hub::ErrorCode::EntryNotFound)) => {}
        (_, true) if code == Some(hub::ErrorCode::GatedRepo) => {}
        (C::SignIn, true) => {
            explained.advice = format!(
                "The Hub does not accept the token of {}. Sign in again with `bucketbarctl login` or \
                 `hf auth login`, or set HF_TOKEN to a valid token.",
                token.describe()
            );
        }
        (C::SignIn | C::NotFound | C::Forbidden, false) => {
            explained.advice = "Nobody is signed in, so only public buckets are seen: sign in with \
                                `bucketbarctl login` or `hf auth login`, or set HF_TOKEN; or check the name."
                .to_owned();
        }
        (C::NotFound, true) => {
            explained.advice = "Check the name with `bucketbarctl ls`; a private bucket of somebody else \
                                looks the same as none."
                .to_owned();
        }
        (C::Offline, _) => {
            explained.advice = format!(
                "{} was tried. Check the network connection (and HF_ENDPOINT, if it is set), then try again.",
                hub.config().endpoint.as_str().trim_end_matches('/')
            );
        }
        _ => {}
    }
    explained
}
