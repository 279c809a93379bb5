//! A file by its path (hub-api.md 2.5): a redirect to storage that carries the metadata itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::accounts::Caller;
use crate::clock::http_date;
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::page::encode;
use crate::store::{Bucket, File};

const XET_INFO: &str = "application/vnd.xet-fileinfo+json";

/// `GET|HEAD /buckets/{ns}/{name}/resolve/{path}`
pub async fn resolve(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name, path)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> HubResult<Response> {
    let bucket = hub.readable(&caller, &ns, &name)?;
    let file = hub.store.file(bucket.key, &path)?.ok_or_else(HubError::no_entry)?;
    let links = Links::new(&hub, &bucket, &file);
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    let mut response =
        if accepts.contains(XET_INFO) { xet_info(&file, &links) } else { redirect(&hub, &file) };
    metadata(response.headers_mut(), &file, &links);
    Ok(response)
}

struct Links {
    auth: String,
    reconstruction: String,
}

impl Links {
    fn new(hub: &Hub, bucket: &Bucket, file: &File) -> Self {
        Self {
            auth: format!("{}/api/buckets/{}/xet-read-token", hub.endpoint, bucket.id()),
            reconstruction: format!("{}/v1/reconstructions/{}", hub.endpoint, file.facts.hash),
        }
    }
}

fn xet_info(file: &File, links: &Links) -> Response {
    let info = json!({"hash": file.facts.hash, "refreshUrl": links.auth, "reconstructionUrl": links.reconstruction,
        "size": file.facts.size});
    ([(header::CONTENT_TYPE, XET_INFO)], Json(info).into_response().into_body()).into_response()
}

fn redirect(hub: &Hub, file: &File) -> Response {
    let content_type = file.facts.content_type.as_deref().unwrap_or("application/octet-stream");
    let query = format!("size={}&type={}", file.facts.size, encode(content_type));
    let target = hub.storage_urls.sign(&format!("/_storage/files/{}", file.facts.hash), &query);
    // The redirect has a body of its own, so its Content-Length is not the file's size (X-Linked-Size
    // is); huggingface_hub 1.x insists that HEAD has the header.
    let text = format!("Found. Redirecting to {target}");
    let headers = [(header::LOCATION, target), (header::CONTENT_LENGTH, text.len().to_string())];
    (StatusCode::FOUND, headers, text).into_response()
}

fn metadata(headers: &mut HeaderMap, file: &File, links: &Links) {
    let etag = format!("\"{}\"", file.facts.hash);
    let link = format!(
        "<{}>; rel=\"xet-auth\", <{}>; rel=\"xet-reconstruction-info\"",
        links.auth, links.reconstruction
    );
    let fields = [
        ("x-xet-hash", file.facts.hash.clone()),
        ("x-linked-size", file.facts.size.to_string()),
        ("x-linked-etag", etag.clone()),
        ("etag", etag),
        ("last-modified", http_date(file.uploaded_at)),
        ("x-xet-refresh-route", links.auth.clone()),
        ("link", link),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}
