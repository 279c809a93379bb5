//! Listings (hub-api.md 2.3). Without `recursive` the Hub lists recursively.

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use http::Uri;
use serde_json::{Value, json};

use super::buckets::page_limit;
use crate::accounts::Caller;
use crate::clock::iso;
use crate::hub::Hub;
use crate::hub_error::HubResult;
use crate::page::{paged, query};
use crate::store::{File, TreeEntry};

/// `GET /api/buckets/{ns}/{name}/tree`
pub async fn root(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
) -> HubResult<Response> {
    listing(&hub, &caller, (&ns, &name), "", &uri)
}

/// `GET /api/buckets/{ns}/{name}/tree/{prefix}`
pub async fn below(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name, prefix)): Path<(String, String, String)>,
    OriginalUri(uri): OriginalUri,
) -> HubResult<Response> {
    listing(&hub, &caller, (&ns, &name), &prefix, &uri)
}

fn listing(
    hub: &Hub,
    caller: &Caller,
    (ns, name): (&str, &str),
    prefix: &str,
    uri: &Uri,
) -> HubResult<Response> {
    let bucket = hub.readable(caller, ns, name)?;
    let query = query(uri);
    let recursive = query.get("recursive").is_none_or(|text| matches!(text.as_str(), "true" | "True" | "1"));
    let limit = page_limit(hub, query.get("limit"));
    let cursor = query.get("cursor").map(String::as_str);
    let page = hub.store.tree(bucket.key, prefix, recursive, cursor, limit)?;
    let entries = page.entries.iter().map(described).collect();
    Ok(paged(&hub.endpoint, uri, entries, page.next.as_deref()))
}

fn described(entry: &TreeEntry) -> Value {
    match entry {
        TreeEntry::File(file) => file_entry(file),
        TreeEntry::Directory { path, uploaded_at } => {
            json!({"type": "directory", "path": path, "uploadedAt": iso(*uploaded_at)})
        }
    }
}

/// A file as listings and paths-info show it.
pub fn file_entry(file: &File) -> Value {
    let facts = &file.facts;
    let mut entry = json!({"type": "file", "path": file.path, "size": facts.size, "xetHash": facts.hash,
        "uploadedAt": iso(file.uploaded_at)});
    if let Some(mtime) = facts.mtime.and_then(iso) {
        entry["mtime"] = mtime.into();
    }
    if let Some(content_type) = &facts.content_type {
        entry["contentType"] = content_type.as_str().into();
    }
    entry
}
