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

use crate::address::segment;
use crate::bucket::read_only;
use crate::error::HubError;
use crate::http::{Call, Http};
use crate::single_flight::Flights;
use crate::store_name::StoreName;
use crate::token::parse_endpoint;

/// A token is renewed this long before it ends: more than Xet's own 30 s, so that Xet never sees one it
/// would renew again at once.
const EARLY_SECONDS: u64 = 60;
/// One in use is renewed beside its use when less than this part of its life is left, so that no read waits for it.
const LAST_PART: u64 = 4;
/// From one try of that to the next.
const PAUSE_SECONDS: u64 = 15;

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
    /// From then on who uses it has it renewed.
    ageing: u64,
}

pub(crate) struct Tokens {
    http: Http,
    bucket: StoreName,
    kept: Arc<Mutex<HashMap<Scope, StorageToken>>>,
    asking: Flights<Scope, Result<StorageToken, HubError>>,
}

impl Tokens {
    pub fn new(http: Http, bucket: StoreName) -> Tokens {
        Tokens { http, bucket, kept: Arc::default(), asking: Flights::default() }
    }

    pub async fn get(&self, scope: Scope) -> Result<StorageToken, HubError> {
        let kept = self.kept.lock().get(&scope).cloned();
        let now = now();
        if let Some(token) = kept.filter(|token| token.ends > now + EARLY_SECONDS) {
            if token.ageing <= now {
                // Should it fail: nobody tries again at once, there is time.
                if let Some(kept) = self.kept.lock().get_mut(&scope) {
                    kept.ageing = now + PAUSE_SECONDS;
                }
                tokio::spawn(self.renewed(scope));
            }
            return Ok(token);
        }
        self.renewed(scope).await
    }

    fn renewed(
        &self,
        scope: Scope,
    ) -> impl Future<Output = Result<StorageToken, HubError>> + Send + 'static + use<> {
        let (http, bucket, keep) = (self.http.clone(), self.bucket.clone(), self.kept.clone());
        self.asking.join(scope, move || {
            async move {
                let token = ask(&http, &bucket, scope).await?;
                keep.lock().insert(scope, token.clone());
                Ok(token)
            }
            .boxed()
        })
    }

    /// Forgets the tokens: the account changed, or the storage refused one.
    pub fn forget(&self) {
        self.kept.lock().clear();
    }
}

async fn ask(http: &Http, bucket: &StoreName, scope: Scope) -> Result<StorageToken, HubError> {
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
    let url = match (bucket.repo(), scope) {
        (None, _) => http.url(&bucket.api(&format!("/{route}")))?,
        // Contents go by their hash: any revision's token reads those of all.
        (Some(repo), Scope::Read) => http.url(&repo.api(&format!("/{route}/{}", segment(&repo.revision))))?,
        (Some(repo), Scope::Write) => return Err(read_only(repo)),
    };
    let wire: Wire = http.send(Call::get(url, failure)).await?.json()?;
    let address = parse_endpoint(&wire.cas_url)
        .map_err(|e| HubError::broken("The Hub names a storage that can't be used").caused_by(e))?;
    let address = address.as_str().trim_end_matches('/').to_owned();
    let ageing = wire.exp - wire.exp.saturating_sub(now()) / LAST_PART;
    Ok(StorageToken { address, secret: wire.access_token, ends: wire.exp, ageing })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::LocalHub;

    use super::*;
    use crate::{HubConfig, Limits, StaticToken};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_in_use_is_renewed_beside_its_use_and_an_idle_one_is_not() {
        let (server, dir) = (LocalHub::start(), testkit::tempdir().unwrap());
        server.create_bucket("box");
        let config = HubConfig {
            endpoint: url::Url::parse(server.endpoint()).unwrap(),
            token: Arc::new(StaticToken::new(server.token(), "the test")),
            cache_root: dir.path().to_owned(),
            user_agent: "test".to_owned(),
            limits: Limits::default(),
        };
        let tokens = Tokens::new(Http::new(config).unwrap(), crate::BucketName::new("alice", "box").into());
        tokens.get(Scope::Read).await.unwrap();
        assert!(tokens.kept.lock()[&Scope::Read].ageing > now(), "a new one has time");
        tokens.kept.lock().get_mut(&Scope::Read).unwrap().ageing = 0;
        server.reset_counters();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(server.counters().of("xet-read-token").calls, 0, "nobody uses it");
        tokens.get(Scope::Read).await.unwrap();
        for _ in 0..100 {
            if tokens.kept.lock()[&Scope::Read].ageing > now() + PAUSE_SECONDS {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokens.get(Scope::Read).await.unwrap();
        assert_eq!(server.counters().of("xet-read-token").calls, 1, "renewed, once");
    }
}
