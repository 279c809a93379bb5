//! Buckets themselves: list, create, look at, settings, move, delete (hub-api.md 2.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{own_namespace, split_id};
use crate::accounts::{Caller, Role};
use crate::clock::iso;
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::page::{paged, query};
use crate::store::Bucket;

type Hubs = State<Arc<Hub>>;
type BucketPath = Path<(String, String)>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewBucket {
    visibility: Option<String>,
    private: Option<bool>,
    region: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    private: Option<bool>,
    visibility: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Move {
    from_repo: String,
    to_repo: String,
    r#type: String,
}

/// `GET /api/buckets/{ns}?search=`
pub async fn list(
    State(hub): Hubs,
    caller: Caller,
    Path(namespace): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> HubResult<Response> {
    let namespace = own_namespace(&caller, &namespace)?;
    if !hub.accounts.has_namespace(namespace) {
        return Err(HubError::new(StatusCode::NOT_FOUND, "This user or organization does not exist"));
    }
    let query = query(&uri);
    let wanted = query.get("search").map_or("", String::as_str);
    let from = query.get("cursor").map_or("", String::as_str);
    let limit = page_limit(&hub, query.get("limit"));
    let mut buckets = hub.store.buckets(namespace, caller.role_in(namespace) >= Role::Read)?;
    buckets.retain(|bucket| bucket.name.contains(wanted) && bucket.name.as_str() >= from);
    let next = buckets.get(limit).map(|bucket| bucket.name.clone());
    let shown: HubResult<Vec<Value>> =
        buckets.iter().take(limit).map(|bucket| described(&hub, bucket)).collect();
    Ok(paged(&hub.endpoint, &uri, shown?, next.as_deref()))
}

/// `GET /api/buckets/{ns}/{name}`
pub async fn info(State(hub): Hubs, caller: Caller, Path((ns, name)): BucketPath) -> HubResult<Json<Value>> {
    let bucket = hub.readable(&caller, &ns, &name)?;
    Ok(Json(described(&hub, &bucket)?))
}

/// `POST /api/buckets/{ns}/{name}`
pub async fn create(
    State(hub): Hubs,
    caller: Caller,
    Path((ns, name)): BucketPath,
    body: Bytes,
) -> HubResult<Json<Value>> {
    let user = caller.identity()?.user.clone();
    let namespace = own_namespace(&caller, &ns)?;
    if caller.role_in(namespace) < Role::Manage {
        let text = format!(
            "You don't have the rights to create a bucket under the namespace \"{namespace}\" as {user}"
        );
        return Err(HubError::forbidden(text));
    }
    let wanted: NewBucket =
        if body.is_empty() { NewBucket::default() } else { serde_json::from_slice(&body)? };
    let private =
        wanted.visibility.as_deref().map(|text| text == "private").or(wanted.private).unwrap_or(false);
    let url = page_url(&hub, namespace, &name);
    let made = hub.store.create_bucket(namespace, &name, private, wanted.region.as_deref())?;
    // The official client's exist_ok reads `url` from this very refusal.
    let exists = || {
        HubError::new(StatusCode::CONFLICT, "You already created this bucket repo").field("url", url.clone())
    };
    let bucket = made.ok_or_else(exists)?;
    Ok(Json(json!({"url": url, "id": bucket.oid, "name": bucket.id()})))
}

/// `DELETE /api/buckets/{ns}/{name}`
pub async fn delete(
    State(hub): Hubs,
    caller: Caller,
    Path((ns, name)): BucketPath,
) -> HubResult<Json<Value>> {
    let bucket = hub.allowed(&caller, &ns, &name, Role::Manage)?;
    hub.store.delete_bucket(bucket.key)?;
    Ok(Json(json!({})))
}

/// `PUT /api/buckets/{ns}/{name}/settings`
pub async fn settings(
    State(hub): Hubs,
    caller: Caller,
    Path((ns, name)): BucketPath,
    body: Bytes,
) -> HubResult<Json<Value>> {
    let bucket = hub.allowed(&caller, &ns, &name, Role::Manage)?;
    let settings: Settings = serde_json::from_slice(&body)?;
    let private =
        settings.private.or(settings.visibility.map(|text| text == "private")).unwrap_or(bucket.private);
    hub.store.set_private(bucket.key, private)?;
    Ok(Json(json!({"private": private})))
}

/// `POST /api/repos/move`
pub async fn rename(State(hub): Hubs, caller: Caller, body: Bytes) -> HubResult<Json<Value>> {
    let wanted: Move = serde_json::from_slice(&body)?;
    if wanted.r#type != "bucket" {
        return Err(HubError::bad_request("this Hub has buckets only"));
    }
    let ((ns, name), (to_ns, to_name)) = (split_id(&wanted.from_repo)?, split_id(&wanted.to_repo)?);
    let bucket = hub.allowed(&caller, ns, name, Role::Manage)?;
    if caller.role_in(to_ns) < Role::Manage {
        return Err(HubError::forbidden(format!(
            "You don't have the rights to move a bucket to \"{to_ns}\""
        )));
    }
    if !hub.store.move_bucket(bucket.key, to_ns, to_name)? {
        return Err(HubError::new(StatusCode::CONFLICT, "You already created this bucket repo"));
    }
    Ok(Json(json!({"url": page_url(&hub, to_ns, to_name)})))
}

/// How many entries a page has.
pub fn page_limit(hub: &Hub, asked: Option<&String>) -> usize {
    let asked = asked.and_then(|limit| limit.parse().ok()).unwrap_or(hub.arguments.page);
    asked.clamp(1, hub.arguments.page_max.max(1))
}

fn page_url(hub: &Hub, namespace: &str, name: &str) -> String {
    format!("{}/buckets/{namespace}/{name}", hub.endpoint)
}

fn described(hub: &Hub, bucket: &Bucket) -> HubResult<Value> {
    let totals = hub.store.totals(bucket.key)?;
    Ok(json!({
        "_id": bucket.oid, "id": bucket.id(), "author": bucket.namespace, "private": bucket.private,
        "visibility": if bucket.private { "private" } else { "public" },
        "createdAt": iso(bucket.created_at), "updatedAt": iso(bucket.updated_at),
        "size": totals.size, "totalFiles": totals.files, "region": bucket.region,
    }))
}
