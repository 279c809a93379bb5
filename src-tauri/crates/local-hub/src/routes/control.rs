//! The control endpoint: content without an uploader, faults, counters. testkit has the typed client.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use base64::Engine;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::split_id;
use crate::clock::now_ms;
use crate::counters::RouteCount;
use crate::faults::{NewRule, RuleState};
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::key_rules;
use crate::network::Profile;
use crate::page::query;
use crate::rate_limit::Quotas;
use crate::store::{Bucket, Change, FileFacts};

type Hubs = State<Arc<Hub>>;

#[derive(Deserialize)]
pub struct Files {
    files: Vec<NamedContent>,
}

#[derive(Deserialize)]
struct NamedContent {
    path: String,
    base64: String,
}

#[derive(Deserialize)]
pub struct Expire {
    what: Expirable,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expirable {
    XetTokens,
    StorageUrls,
    OauthTokens,
}

#[derive(Deserialize)]
pub struct FeedOrder {
    r#do: FeedAction,
}

#[derive(Deserialize)]
pub struct Revoke {
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FeedAction {
    Gap,
    Reconnect,
}

/// `POST /_control/put?bucket=…&path=…[&mtime=ms]`: the body becomes the file.
pub async fn put(State(hub): Hubs, OriginalUri(uri): OriginalUri, body: Bytes) -> HubResult<Json<Value>> {
    let query = query(&uri);
    let bucket = named_bucket(&hub, query.get("bucket"))?;
    let path = query.get("path").cloned().unwrap_or_default();
    let mtime = query.get("mtime").and_then(|mtime| mtime.parse().ok());
    let stored = hub.put_files(&bucket, vec![(path, body.to_vec())], mtime).await?;
    Ok(Json(stored.into_iter().next().unwrap_or_default()))
}

/// `POST /_control/put-many?bucket=…` with `{"files": [{"path", "base64"}]}`: one upload, one batch.
pub async fn put_many(
    State(hub): Hubs,
    OriginalUri(uri): OriginalUri,
    body: Bytes,
) -> HubResult<Json<Value>> {
    let bucket = named_bucket(&hub, query(&uri).get("bucket"))?;
    let files: Files = serde_json::from_slice(&body)?;
    let decoded = files.files.into_iter().map(|file| {
        let content = base64::engine::general_purpose::STANDARD.decode(file.base64);
        Ok((file.path, content.map_err(|error| HubError::bad_request(error.to_string()))?))
    });
    let stored = hub.put_files(&bucket, decoded.collect::<HubResult<_>>()?, None).await?;
    Ok(Json(Value::Array(stored)))
}

/// `GET /_control/counters`
pub async fn counters(State(hub): Hubs) -> Json<std::collections::BTreeMap<String, RouteCount>> {
    Json(hub.counters.all())
}

/// `DELETE /_control/counters`
pub async fn reset_counters(State(hub): Hubs) -> Json<Value> {
    hub.counters.reset();
    done()
}

/// `GET /_control/faults`
pub async fn faults(State(hub): Hubs) -> Json<Vec<RuleState>> {
    Json(hub.faults.all())
}

/// `POST /_control/faults`
pub async fn add_fault(State(hub): Hubs, body: Bytes) -> HubResult<Json<Value>> {
    let rule: NewRule = serde_json::from_slice(&body)?;
    Ok(Json(json!({"id": hub.faults.add(rule)})))
}

/// `DELETE /_control/faults`
pub async fn clear_faults(State(hub): Hubs) -> Json<Value> {
    hub.faults.clear();
    done()
}

/// `PUT /_control/network` with `{"latencyMs", "bytesPerSecond"}`
pub async fn network(State(hub): Hubs, body: Bytes) -> HubResult<Json<Value>> {
    let profile: Profile = serde_json::from_slice(&body)?;
    hub.network.set(profile);
    Ok(done())
}

/// `PUT /_control/quotas` with `{"api", "resolvers", "windowSeconds"}`
pub async fn quotas(State(hub): Hubs, body: Bytes) -> HubResult<Json<Value>> {
    let quotas: Quotas = serde_json::from_slice(&body)?;
    hub.rate_limits.set(quotas);
    Ok(done())
}

/// `POST /_control/expire` with `{"what": "xet-tokens"|"storage-urls"|"oauth-tokens"}`
pub async fn expire(State(hub): Hubs, body: Bytes) -> HubResult<Json<Value>> {
    let expire: Expire = serde_json::from_slice(&body)?;
    match expire.what {
        Expirable::XetTokens => hub.xet_tokens.seals.expire_all(),
        Expirable::StorageUrls => hub.storage_urls.seals.expire_all(),
        Expirable::OauthTokens => hub.oauth.expire_access_tokens(&hub.store),
    }
    Ok(done())
}

/// `POST /_control/feed` with `{"do": "gap"|"reconnect"}`
pub async fn feed(State(hub): Hubs, body: Bytes) -> HubResult<Json<Value>> {
    let order: FeedOrder = serde_json::from_slice(&body)?;
    match order.r#do {
        FeedAction::Gap => hub.feed.forget(hub.store.last_seq()? + 1),
        FeedAction::Reconnect => hub.feed.reconnect(),
    }
    Ok(done())
}

/// `POST /_control/collect`: content that no file of any bucket refers to is gone; how many.
pub async fn collect(State(hub): Hubs) -> HubResult<Json<Value>> {
    let named = hub.store.named_contents()?;
    let once = hub.store.contents_ever_named()?;
    Ok(Json(json!({"collected": hub.collected.collect(once, &named)})))
}

/// `POST /_control/revoke` with `{"user"}`: as if that user took every app's access away.
pub async fn revoke(State(hub): Hubs, body: Bytes) -> HubResult<Json<Value>> {
    let wanted: Revoke = serde_json::from_slice(&body)?;
    hub.oauth.revoke_user(&hub.store, &wanted.user);
    Ok(done())
}

/// Anything else under `/_control/`.
pub async fn unknown() -> HubError {
    HubError::new(StatusCode::NOT_FOUND, "no such control")
}

fn done() -> Json<Value> {
    Json(json!({"done": true}))
}

fn named_bucket(hub: &Hub, id: Option<&String>) -> HubResult<Bucket> {
    let (namespace, name) = split_id(id.map_or("", String::as_str))?;
    hub.store.bucket(namespace, name)?.ok_or_else(|| HubError::no_bucket(false))
}

impl Hub {
    /// Stores files in the CAS and commits them as one batch; for each, its hash and size. The files'
    /// mtime is `mtime`, or now.
    pub async fn put_files(
        &self,
        bucket: &Bucket,
        files: Vec<(String, Vec<u8>)>,
        mtime: Option<i64>,
    ) -> HubResult<Vec<Value>> {
        let (paths, contents): (Vec<String>, Vec<Vec<u8>>) = files.into_iter().unzip();
        if let Some((path, fault)) = paths.iter().find_map(|path| Some((path, key_rules::fault_of(path)?))) {
            return Err(HubError::bad_request(format!("{path:?}: {fault}")));
        }
        let stored = self.cas.store(contents).await?;
        let mtime = Some(mtime.unwrap_or_else(now_ms));
        let put = |(path, stored): (String, &crate::cas::ingest::Stored)| {
            let facts = FileFacts { size: stored.size, hash: stored.hash.clone(), mtime, content_type: None };
            Change::Put { path, facts }
        };
        let changes: Vec<Change> = paths.into_iter().zip(&stored).map(put).collect();
        self.commit(bucket.key, &changes)?;
        Ok(stored.iter().map(|stored| json!({"xetHash": stored.hash, "size": stored.size})).collect())
    }
}
