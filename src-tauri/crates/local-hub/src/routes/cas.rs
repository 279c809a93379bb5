//! The CAS's routes: the Xet token is checked here, for kind and time, before anything is answered.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use xet_core_structures::merklehash::MerkleHash;

use crate::accounts::bearer;
use crate::cas::parse_hash;
use crate::cas::reconstruction::CasRefusal;
use crate::hub::Hub;
use crate::page::byte_ranges;
use crate::seal::SealFault;

type Hubs = State<Arc<Hub>>;
type Answer = Result<Json<Value>, CasRefusal>;

/// `GET /v2/reconstructions/{file}`
pub async fn reconstruction_v2(State(hub): Hubs, Path(file): Path<String>, headers: HeaderMap) -> Answer {
    allow(&hub, &headers, Scope::Read)?;
    let range = byte_ranges(&headers).ok_or_else(bad_range)?.first().copied();
    Ok(Json(hub.cas.reconstruction_v2(&stored(&hub, &file)?, range, &hub.storage_urls).await?))
}

/// `GET /v1/reconstructions/{file}`
pub async fn reconstruction_v1(State(hub): Hubs, Path(file): Path<String>, headers: HeaderMap) -> Answer {
    allow(&hub, &headers, Scope::Read)?;
    let range = byte_ranges(&headers).ok_or_else(bad_range)?.first().copied();
    Ok(Json(hub.cas.reconstruction_v1(&stored(&hub, &file)?, range, &hub.storage_urls).await?))
}

/// `GET /v1/reconstructions?file_id=…&file_id=…`
pub async fn reconstruction_batch(
    State(hub): Hubs,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Answer {
    allow(&hub, &headers, Scope::Read)?;
    let ids = uri.query().unwrap_or("").split('&').filter_map(|pair| pair.strip_prefix("file_id="));
    let files = ids.map(|id| stored(&hub, id)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(hub.cas.reconstruction_batch(&files, &hub.storage_urls).await?))
}

/// `GET /v2/file-chunk-hashes/{file}`
pub async fn chunk_hashes(State(hub): Hubs, Path(file): Path<String>, headers: HeaderMap) -> Answer {
    allow(&hub, &headers, Scope::Read)?;
    let dirty = headers.get("x-range-dirty").and_then(|value| value.to_str().ok()).unwrap_or("");
    Ok(Json(hub.cas.chunk_hashes(&stored(&hub, &file)?, dirty).await?))
}

/// Whatever a read token is enough for.
pub async fn read(State(hub): Hubs, request: Request<Body>) -> Response {
    passed_on(&hub, Scope::Read, request).await
}

/// Whatever needs a write token.
pub async fn write(State(hub): Hubs, request: Request<Body>) -> Response {
    passed_on(&hub, Scope::Write, request).await
}

/// What makes uploaded content known: a shard.
pub async fn shard(State(hub): Hubs, request: Request<Body>) -> Response {
    let answer = passed_on(&hub, Scope::Write, request).await;
    if answer.status().is_success() {
        hub.collected.shard_stored();
    }
    answer
}

/// Grant URLs and LocalServer's own knobs: no token.
pub async fn open(State(hub): Hubs, request: Request<Body>) -> Response {
    hub.cas.pass_on(request).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Read,
    Write,
}

async fn passed_on(hub: &Hub, scope: Scope, request: Request<Body>) -> Response {
    match allow(hub, request.headers(), scope) {
        Ok(()) => hub.cas.pass_on(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn allow(hub: &Hub, headers: &HeaderMap, needed: Scope) -> Result<(), CasRefusal> {
    let unauthorized = |why: &str| (StatusCode::UNAUTHORIZED, why.to_string());
    let token = bearer(headers).ok_or_else(|| unauthorized("a Xet token is needed"))?;
    let scope = hub.xet_tokens.check(token).map_err(|fault| match fault {
        SealFault::Expired => unauthorized("the Xet token has expired"),
        SealFault::Forged => unauthorized("this is no Xet token of this Hub"),
    })?;
    if needed == Scope::Write && !scope.write {
        return Err((StatusCode::FORBIDDEN, "a write token is needed".into()));
    }
    Ok(())
}

/// The hash of a file that is stored; one that was collected is not.
fn stored(hub: &Hub, text: &str) -> Result<MerkleHash, CasRefusal> {
    if hub.collected.is_gone(text) {
        return Err((StatusCode::NOT_FOUND, format!("{text} is not stored")));
    }
    parse_hash(text).ok_or_else(|| (StatusCode::BAD_REQUEST, format!("{text} is no hash")))
}

fn bad_range() -> CasRefusal {
    (StatusCode::RANGE_NOT_SATISFIABLE, "bad Range".into())
}
