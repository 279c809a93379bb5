//! A repo's files by commit and path: `/ns/name/resolve/REVISION/PATH`, for datasets and Spaces with their kind before it.
//! A file in git is answered by the Hub itself, behind a redirect within it; a large one by a redirect to storage.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::accounts::Caller;
use crate::cas::{file_bytes, parse_hash};
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::page::{byte_ranges, decode, encode};
use crate::store::repos::{Commit, Repo, RepoFile, RepoKind, Storage};

/// Where the Hub itself keeps what `/resolve/` leads to.
const CACHE: &str = "/api/resolve-cache/";

struct Asked {
    kind: RepoKind,
    id: String,
    revision: String,
    path: String,
    /// Behind the redirect.
    cached: bool,
}

impl Asked {
    fn of(path: &str) -> Option<Asked> {
        if let Some(rest) = path.strip_prefix(CACHE) {
            let mut parts = rest.split('/').map(decode);
            let kind = RepoKind::of_plural(&parts.next()?)?;
            let id = parts.next()?;
            let revision = parts.next()?;
            let path = parts.collect::<Vec<_>>().join("/");
            return Some(Asked { kind, id, revision, path, cached: true });
        }
        let parts: Vec<String> = path.strip_prefix('/')?.split('/').map(decode).collect();
        let (kind, parts) = match RepoKind::of_plural(&parts[0]).filter(|kind| *kind != RepoKind::Model) {
            Some(kind) => (kind, &parts[1..]),
            None => (RepoKind::Model, &parts[..]),
        };
        let at = parts.iter().skip(1).take(2).position(|part| part == "resolve")? + 1;
        let (id, rest) = (parts[..at].join("/"), &parts[at + 1..]);
        let (revision, path) = rest.split_first().filter(|(_, path)| !path.is_empty())?;
        Some(Asked { kind, id, revision: revision.clone(), path: path.join("/"), cached: false })
    }
}

/// For the counters.
pub fn pattern(path: &str) -> Option<String> {
    let asked = Asked::of(path)?;
    Some(if asked.cached {
        format!("{CACHE}{{file}}")
    } else {
        format!("/{}/{{id}}/resolve", asked.kind.plural())
    })
}

/// Whatever no other route takes.
pub async fn resolve(
    State(hub): State<Arc<Hub>>,
    caller: HubResult<Caller>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> HubResult<Response> {
    let asked = Asked::of(uri.path()).filter(|_| matches!(method, Method::GET | Method::HEAD));
    let asked = asked.ok_or_else(HubError::no_page)?;
    let caller = caller?;
    let repo = hub.readable_repo(&caller, asked.kind, &asked.id)?;
    let commit = hub.commit_of(&repo, &asked.revision)?;
    hub.pass_gate(&caller, &repo)?;
    let file = hub.store.repo_file(&repo, &commit, &asked.path)?.ok_or_else(HubError::no_entry)?;
    let mut response = match (file.storage, asked.cached) {
        (Storage::Git, true) => content(&hub, &file, &headers)?,
        (Storage::Git, false) => {
            let path = asked.path.split('/').map(encode).collect::<Vec<_>>().join("/");
            let target = format!("{CACHE}{}/{}/{}/{path}", asked.kind.plural(), encode(&repo.id), commit.sha);
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        (Storage::Lfs | Storage::Xet, _) => to_storage(&hub, &file),
    };
    metadata(&hub, response.headers_mut(), &repo, &commit, &file);
    Ok(response)
}

fn to_storage(hub: &Hub, file: &RepoFile) -> Response {
    let query = format!("size={}&type=application%2Foctet-stream", file.size);
    let target = hub.storage_urls.sign(&format!("/_storage/files/{}", file.hash), &query);
    let text = format!("Found. Redirecting to {target}");
    let headers = [(header::LOCATION, target), (header::CONTENT_LENGTH, text.len().to_string())];
    (StatusCode::FOUND, headers, text).into_response()
}

fn content(hub: &Arc<Hub>, file: &RepoFile, headers: &HeaderMap) -> HubResult<Response> {
    let asked = byte_ranges(headers).unwrap_or_default().first().copied();
    let asked = asked.filter(|_| !hub.arguments.resolve_without_ranges);
    let span = asked.map_or(Some((0, file.size)), |range| range.within(file.size));
    let Some((start, end)) = span else {
        let whole = [(header::CONTENT_RANGE, format!("bytes */{}", file.size))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, whole).into_response());
    };
    let hash = parse_hash(&file.hash).ok_or_else(HubError::no_entry)?;
    let body = if start == end { Body::empty() } else { file_bytes::body(hub.clone(), hash, start, end) };
    let status = if asked.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    if asked.is_some()
        && let Ok(range) = HeaderValue::from_str(&format!("bytes {start}-{}/{}", end - 1, file.size))
    {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

fn metadata(hub: &Hub, headers: &mut HeaderMap, repo: &Repo, commit: &Commit, file: &RepoFile) {
    let etag = format!("\"{}\"", file.etag());
    let mut fields = vec![("x-repo-commit", commit.sha.clone()), ("etag", etag.clone())];
    if file.storage != Storage::Git {
        fields.push(("x-linked-size", file.size.to_string()));
        fields.push(("x-linked-etag", etag));
    }
    if file.storage == Storage::Xet {
        let auth =
            format!("{}/api/{}/{}/xet-read-token/{}", hub.endpoint, repo.kind.plural(), repo.id, commit.sha);
        fields.push(("x-xet-hash", file.hash.clone()));
        fields.push(("x-xet-refresh-route", auth.clone()));
        fields.push(("link", format!("<{auth}>; rel=\"xet-auth\"")));
    }
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}
