//! Exact paths (hub-api.md 2.4): missing ones and directories are left out silently.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::tree::file_entry;
use crate::accounts::Caller;
use crate::hub::Hub;
use crate::hub_error::HubResult;

#[derive(Deserialize)]
struct Wanted {
    paths: Vec<String>,
}

/// `POST /api/buckets/{ns}/{name}/paths-info`
pub async fn paths_info(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name)): Path<(String, String)>,
    body: Bytes,
) -> HubResult<Json<Value>> {
    let bucket = hub.readable(&caller, &ns, &name)?;
    let wanted: Wanted = serde_json::from_slice(&body)?;
    let mut found = Vec::new();
    for path in &wanted.paths {
        found.extend(hub.store.file(bucket.key, path)?.as_ref().map(file_entry));
    }
    Ok(Json(Value::Array(found)))
}
