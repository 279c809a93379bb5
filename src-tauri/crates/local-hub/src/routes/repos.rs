//! Repos over the API: info, listings, revisions, tokens (huggingface_hub `hf_api.py`). Their addresses have an id of one
//! or two parts in the middle, so they are taken apart here.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::buckets::page_limit;
use super::{repo_files, xet_tokens};
use crate::accounts::{Caller, Role};
use crate::clock::iso;
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::page::{decode, paged, query};
use crate::store::repos::{Commit, Repo, RepoFile, RepoKind, Storage, git_oid};
use crate::xet_token::XetScope;

/// What may follow a repo's id.
const ACTIONS: [&str; 7] =
    ["revision", "tree", "paths-info", "refs", "auth-check", "xet-read-token", "xet-write-token"];

#[derive(Deserialize)]
struct Paths {
    paths: Vec<String>,
}

/// An address of the API taken apart.
struct Asked {
    kind: RepoKind,
    /// Empty for the list of all.
    id: String,
    /// `""` for the repo itself.
    action: String,
    rest: Vec<String>,
}

impl Asked {
    fn of(path: &str) -> Option<Asked> {
        let mut parts = path.strip_prefix("/api/")?.split('/').map(decode);
        let kind = RepoKind::of_plural(&parts.next()?)?;
        let parts: Vec<String> = parts.collect();
        let at =
            parts.iter().skip(1).take(2).position(|part| ACTIONS.contains(&part.as_str())).map(|at| at + 1);
        let (id, action, rest) = match at {
            Some(at) => (parts[..at].join("/"), parts[at].clone(), parts[at + 1..].to_vec()),
            None => (parts.join("/"), String::new(), Vec::new()),
        };
        Some(Asked { kind, id, action, rest })
    }
}

/// For the counters: `/api/models/{id}/tree`.
pub fn pattern(path: &str) -> Option<String> {
    if let Some(asked) = Asked::of(path) {
        let tail = if asked.action.is_empty() { String::new() } else { format!("/{}", asked.action) };
        let id = if asked.id.is_empty() { "" } else { "/{id}" };
        return Some(format!("/api/{}{id}{tail}", asked.kind.plural()));
    }
    repo_files::pattern(path)
}

/// Everything under `/api/models`, `/api/datasets`, `/api/spaces`.
pub async fn api(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> HubResult<Response> {
    let asked = Asked::of(uri.path()).ok_or_else(HubError::no_page)?;
    if asked.id.is_empty() {
        return list(&hub, &caller, asked.kind, &uri);
    }
    let repo = hub.readable_repo(&caller, asked.kind, &asked.id)?;
    let first = asked.rest.first().map(String::as_str);
    match (method.as_str(), asked.action.as_str()) {
        ("GET", "") => Ok(Json(described(&hub, &repo, "main", &uri)?).into_response()),
        ("GET", "revision") => {
            Ok(Json(described(&hub, &repo, first.unwrap_or("main"), &uri)?).into_response())
        }
        ("GET", "refs") => refs(&hub, &repo),
        ("GET", "auth-check") => {
            hub.pass_gate(&caller, &repo)?;
            Ok(Json(json!({})).into_response())
        }
        ("GET", "tree") => {
            tree(&hub, &repo, first.unwrap_or("main"), &asked.rest[1.min(asked.rest.len())..].join("/"), &uri)
        }
        ("POST", "paths-info") => paths_info(&hub, &repo, first.unwrap_or("main"), &headers, &body),
        ("GET", "xet-read-token") => {
            hub.commit_of(&repo, first.unwrap_or("main"))?;
            hub.pass_gate(&caller, &repo)?;
            // Negative, so that no bucket has this number.
            Ok(xet_tokens::token(&hub, XetScope { bucket: -repo.key, write: false }))
        }
        ("GET", "xet-write-token") => Err(HubError::forbidden("This Hub's repos take no uploads")),
        _ => Err(HubError::no_page()),
    }
}

/// `GET /api/models?author=&search=&limit=`
fn list(hub: &Hub, caller: &Caller, kind: RepoKind, uri: &Uri) -> HubResult<Response> {
    let query = query(uri);
    let (author, wanted) = (query.get("author"), query.get("search").map_or("", String::as_str));
    let from = query.get("cursor").map_or("", String::as_str);
    let limit = page_limit(hub, query.get("limit"));
    let mut repos = hub.store.repos(kind)?;
    repos.retain(|repo| {
        author.is_none_or(|author| author == repo.namespace())
            && repo.id.contains(wanted)
            && repo.id.as_str() >= from
            && (!repo.private || caller.role_in(repo.namespace()) >= Role::Read)
    });
    let next = repos.get(limit).map(|repo| repo.id.clone());
    let rows = repos.iter().take(limit).map(|repo| {
        json!({"_id": format!("{:024x}", repo.key), "id": repo.id, "private": repo.private, "gated": gated(repo),
            "createdAt": iso(repo.created_at), "likes": 0, "downloads": 0, "tags": []})
    });
    Ok(paged(&hub.endpoint, uri, rows.collect(), next.as_deref()))
}

fn gated(repo: &Repo) -> Value {
    if repo.gated { "auto".into() } else { false.into() }
}

/// With `expand`, only what it names; without it, everything and the names of all files.
fn described(hub: &Hub, repo: &Repo, revision: &str, uri: &Uri) -> HubResult<Value> {
    let commit = hub.commit_of(repo, revision)?;
    let expand: Vec<String> = uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter_map(|pair| pair.strip_prefix("expand="))
        .map(decode)
        .collect();
    if repo.kind == RepoKind::Space && expand.iter().any(|name| name == "gated") {
        return Err(HubError::bad_request("\"expand[]\" does not know gated"));
    }
    let files = hub.store.repo_files(repo, &commit)?;
    let mut all: BTreeMap<&str, Value> = BTreeMap::new();
    all.insert("author", repo.namespace().into());
    all.insert("sha", commit.sha.clone().into());
    all.insert("lastModified", iso(commit.at).into());
    all.insert("createdAt", iso(repo.created_at).into());
    all.insert("private", repo.private.into());
    if repo.kind != RepoKind::Space {
        all.insert("gated", gated(repo));
    }
    all.insert("disabled", false.into());
    all.insert("tags", json!([]));
    all.insert("usedStorage", files.iter().map(|file| file.size).sum::<u64>().into());
    all.insert("siblings", files.iter().map(|file| json!({"rfilename": file.path})).collect());
    let mut answer = json!({"_id": format!("{:024x}", repo.key), "id": repo.id});
    for (name, value) in all {
        if expand.is_empty() || expand.iter().any(|wanted| wanted == name) {
            answer[name] = value;
        }
    }
    Ok(answer)
}

fn refs(hub: &Hub, repo: &Repo) -> HubResult<Response> {
    let named = |tags: bool| -> HubResult<Vec<Value>> {
        let place = if tags { "refs/tags" } else { "refs/heads" };
        let one = |(name, sha): (String, String)| json!({"name": name, "ref": format!("{place}/{name}"), "targetCommit": sha});
        Ok(hub.store.refs(repo, tags)?.into_iter().map(one).collect())
    };
    Ok(Json(json!({"branches": named(false)?, "tags": named(true)?, "converts": []})).into_response())
}

/// One level, or everything below; folders are entries too. Pages of at most 1,000.
fn tree(hub: &Hub, repo: &Repo, revision: &str, dir: &str, uri: &Uri) -> HubResult<Response> {
    let commit = hub.commit_of(repo, revision)?;
    let query = query(uri);
    let recursive = query.get("recursive").is_some_and(|text| matches!(text.as_str(), "true" | "True" | "1"));
    let expand = query.get("expand").is_some_and(|text| matches!(text.as_str(), "true" | "True" | "1"));
    let cursor = query.get("cursor").map_or("", String::as_str);
    let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for file in hub.store.repo_files(repo, &commit)? {
        let Some(rest) = file.path.strip_prefix(&below) else { continue };
        for (slash, _) in rest.match_indices('/') {
            let path = format!("{below}{}", &rest[..slash]);
            if recursive || slash == rest.find('/').unwrap_or(0) {
                let oid = git_oid(path.as_bytes());
                entries
                    .entry(path.clone())
                    .or_insert_with(|| json!({"type": "directory", "oid": oid, "size": 0, "path": path}));
            }
        }
        if recursive || !rest.contains('/') {
            entries.insert(file.path.clone(), entry(&file, expand.then_some(&commit)));
        }
    }
    if entries.is_empty() && !dir.is_empty() {
        return Err(HubError::new(StatusCode::NOT_FOUND, format!("{dir} does not exist on \"{revision}\""))
            .code("EntryNotFound"));
    }
    let limit = page_limit(hub, query.get("limit")).min(if expand { 50 } else { 1000 });
    let mut rest = entries.into_iter().filter(|(path, _)| path.as_str() >= cursor);
    let page: Vec<Value> = rest.by_ref().take(limit).map(|(_, entry)| entry).collect();
    let next = rest.next().map(|(path, _)| path);
    Ok(paged(&hub.endpoint, uri, page, next.as_deref()))
}

fn entry(file: &RepoFile, commit: Option<&Commit>) -> Value {
    let mut entry = json!({"type": "file", "oid": file.oid, "size": file.size, "path": file.path});
    if file.storage != Storage::Git {
        entry["lfs"] = json!({"oid": file.sha256, "size": file.size, "pointerSize": 130});
    }
    if file.storage == Storage::Xet {
        entry["xetHash"] = file.hash.clone().into();
    }
    if let Some(commit) = commit {
        entry["lastCommit"] = json!({"id": commit.sha, "title": "a commit", "date": iso(commit.at)});
    }
    entry
}

/// The official client sends a form, others JSON.
fn paths_info(
    hub: &Hub,
    repo: &Repo,
    revision: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> HubResult<Response> {
    let commit = hub.commit_of(repo, revision)?;
    let json =
        headers.get("content-type").is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
    let paths = if json {
        serde_json::from_slice::<Paths>(body)?.paths
    } else {
        let text = String::from_utf8_lossy(body).into_owned();
        text.split('&')
            .filter_map(|pair| pair.strip_prefix("paths="))
            .map(|path| decode(&path.replace('+', " ")))
            .collect()
    };
    let mut found = Vec::new();
    for path in paths {
        found.extend(hub.store.repo_file(repo, &commit, &path)?.map(|file| entry(&file, None)));
    }
    Ok(Json(Value::Array(found)).into_response())
}

impl Hub {
    /// The repo, when the caller may know of it.
    pub fn readable_repo(&self, caller: &Caller, kind: RepoKind, id: &str) -> HubResult<Repo> {
        let found = self.store.repo(kind, id)?;
        let visible = found.filter(|repo| !repo.private || caller.role_in(repo.namespace()) >= Role::Read);
        visible.ok_or_else(|| HubError::no_bucket(caller.is_anonymous()))
    }

    pub fn commit_of(&self, repo: &Repo, revision: &str) -> HubResult<Commit> {
        self.store.revision(repo, revision)?.ok_or_else(|| {
            HubError::new(StatusCode::NOT_FOUND, format!("Invalid rev id: {revision}"))
                .code("RevisionNotFound")
        })
    }

    /// Names are for all, contents for those who were let in.
    pub fn pass_gate(&self, caller: &Caller, repo: &Repo) -> HubResult<()> {
        let inside = match caller {
            Caller::Anonymous => false,
            Caller::User(identity) => {
                repo.accepted.contains(&identity.user) || caller.role_in(repo.namespace()) >= Role::Read
            }
        };
        if !repo.gated || inside {
            return Ok(());
        }
        let (status, text) = match caller {
            Caller::Anonymous => (
                StatusCode::UNAUTHORIZED,
                format!(
                    "Access to {} {} is restricted. You must have access to it and be authenticated to access it. Please log in.",
                    kind_word(repo),
                    repo.id
                ),
            ),
            Caller::User(_) => (
                StatusCode::FORBIDDEN,
                format!(
                    "Access to {} {} is restricted and you are not in the authorized list. Visit its page to ask for access.",
                    kind_word(repo),
                    repo.id
                ),
            ),
        };
        Err(HubError::new(status, text).code("GatedRepo"))
    }
}

fn kind_word(repo: &Repo) -> &'static str {
    repo.kind.plural().trim_end_matches('s')
}
