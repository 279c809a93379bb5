//! Tokens of the storage: given by the Hub for one bucket and one scope, good for minutes
//! (hub-api.md 2.9). Kept here because every upload session of Xet would ask for its own, and the Hub
//! counts those calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde::Deserialize;
use xet_client::cas_client::auth::{AuthError, TokenInfo, TokenRefresher};

use crate::bucket_name::BucketName;
use crate::error::HubError;
use crate::http::{Call, Http};
use crate::single_flight::Flights;
use crate::token::parse_endpoint;

/// A token is renewed this long before it ends: more than Xet's own 30 s, so that Xet never sees one it
/// would renew again at once.
const EARLY_SECONDS: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Read,
    /// Also reads.
    Write,
}

#[derive(Clone)]
pub(crate) struct StorageToken {
    /// Where the storage is.
    pub address: String,
    secret: String,
    /// Unix seconds.
    ends: u64,
}

pub(crate) struct Tokens {
    http: Http,
    bucket: BucketName,
    kept: Arc<Mutex<HashMap<Scope, StorageToken>>>,
    asking: Flights<Scope, Result<StorageToken, HubError>>,
}

impl Tokens {
    pub fn new(http: Http, bucket: BucketName) -> Tokens {
        Tokens { http, bucket, kept: Arc::default(), asking: Flights::default() }
    }

    pub async fn get(&self, scope: Scope) -> Result<StorageToken, HubError> {
        let kept = self.kept.lock().get(&scope).cloned();
        if let Some(token) = kept.filter(|token| token.ends > now() + EARLY_SECONDS) {
            return Ok(token);
        }
        let (http, bucket, keep) = (self.http.clone(), self.bucket.clone(), self.kept.clone());
        let flight = self.asking.join(scope, move || {
            async move {
                let token = ask(&http, &bucket, scope).await?;
                keep.lock().insert(scope, token.clone());
                Ok(token)
            }
            .boxed()
        });
        flight.await
    }

    /// Forgets the tokens: the account changed, or the storage refused one.
    pub fn forget(&self) {
        self.kept.lock().clear();
    }
}

async fn ask(http: &Http, bucket: &BucketName, scope: Scope) -> Result<StorageToken, HubError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        cas_url: String,
        exp: u64,
        access_token: String,
    }
    let (route, failure) = match scope {
        Scope::Read => ("xet-read-token", format!("Getting access to the contents of {bucket} failed")),
        Scope::Write => ("xet-write-token", format!("Getting the right to upload to {bucket} failed")),
    };
    let url = http.url(&format!("/api/buckets/{bucket}/{route}"))?;
    let wire: Wire = http.send(Call::get(url, failure)).await?.json()?;
    let address = parse_endpoint(&wire.cas_url)
        .map_err(|e| HubError::broken("The Hub names a storage that can't be used").caused_by(e))?;
    let address = address.as_str().trim_end_matches('/').to_owned();
    Ok(StorageToken { address, secret: wire.access_token, ends: wire.exp })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// What Xet asks when its token ends.
pub(crate) struct Refresher {
    pub tokens: Arc<Tokens>,
    pub scope: Scope,
}

#[async_trait]
impl TokenRefresher for Refresher {
    async fn refresh(&self) -> Result<TokenInfo, AuthError> {
        let token = self.tokens.get(self.scope).await.map_err(AuthError::token_refresh_failure)?;
        Ok((token.secret, token.ends))
    }
}
