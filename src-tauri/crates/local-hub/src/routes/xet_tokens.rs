//! Xet tokens (hub-api.md 2.9): the same in the body and in headers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use serde_json::json;

use crate::accounts::{Caller, Role};
use crate::hub::Hub;
use crate::hub_error::HubResult;
use crate::xet_token::XetScope;

/// `GET /api/buckets/{ns}/{name}/xet-read-token`
pub async fn read(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name)): Path<(String, String)>,
) -> HubResult<Response> {
    let bucket = hub.readable(&caller, &ns, &name)?;
    Ok(token(&hub, XetScope { bucket: bucket.key, write: false }))
}

/// `GET /api/buckets/{ns}/{name}/xet-write-token`: reads too.
pub async fn write(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name)): Path<(String, String)>,
) -> HubResult<Response> {
    let bucket = hub.allowed(&caller, &ns, &name, Role::Write)?;
    Ok(token(&hub, XetScope { bucket: bucket.key, write: true }))
}

/// The answer with a fresh token.
pub fn token(hub: &Hub, scope: XetScope) -> Response {
    let token = hub.xet_tokens.issue(scope);
    let body = json!({"casUrl": hub.endpoint, "exp": token.expires, "accessToken": token.text});
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert("x-xet-token-expiration", HeaderValue::from(token.expires));
    let texts = [("x-xet-cas-url", &hub.endpoint), ("x-xet-access-token", &token.text)];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    response
}
