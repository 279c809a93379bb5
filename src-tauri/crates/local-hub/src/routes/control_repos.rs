//! The control endpoint's repos: made, grown by commits, tagged.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::key_rules;
use crate::page::query;
use crate::store::repos::{Commit, Repo, RepoChange, RepoFile, RepoKind, Storage, git_oid, hex, lfs_oids};

type Hubs = State<Arc<Hub>>;

/// What git itself keeps, at most, when nobody says how a file is kept.
const SMALL: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(default)]
struct NewCommit {
    branch: String,
    files: Vec<NewFile>,
    delete: Vec<String>,
}

impl Default for NewCommit {
    fn default() -> Self {
        NewCommit { branch: "main".into(), files: Vec::new(), delete: Vec::new() }
    }
}

#[derive(Deserialize)]
struct NewFile {
    path: String,
    base64: String,
    /// `git`, `lfs` or `xet`; a short text is git's, all else Xet's.
    storage: Option<String>,
}

/// A file to be put into a repo.
pub struct RepoContent {
    pub path: String,
    pub content: Vec<u8>,
    pub storage: Option<Storage>,
}

/// `POST /_control/repo?repo=models/alice/bert[&private=1][&gated=1&accepted=bob,eve]`
pub async fn create(State(hub): Hubs, OriginalUri(uri): OriginalUri) -> HubResult<Json<Value>> {
    let query = query(&uri);
    let (kind, id) = split(query.get("repo"))?;
    let (private, gated) = (query.contains_key("private"), query.contains_key("gated"));
    let accepted = query.get("accepted").map_or("", String::as_str);
    let made = hub.store.create_repo(kind, id, private, gated, accepted)?;
    made.ok_or_else(|| HubError::bad_request(format!("{id} is there already")))?;
    Ok(Json(json!({"done": true})))
}

/// `POST /_control/repo-commit?repo=…` with `{"branch", "files": [{"path", "base64", "storage"}], "delete": […]}`
pub async fn commit(State(hub): Hubs, OriginalUri(uri): OriginalUri, body: Bytes) -> HubResult<Json<Value>> {
    let repo = named(&hub, query(&uri).get("repo"))?;
    let wanted: NewCommit = serde_json::from_slice(&body)?;
    let files = wanted.files.into_iter().map(|file| {
        let content = base64::engine::general_purpose::STANDARD.decode(file.base64);
        let content = content.map_err(|error| HubError::bad_request(error.to_string()))?;
        let storage = file.storage.as_deref().and_then(Storage::parse);
        Ok(RepoContent { path: file.path, content, storage })
    });
    let commit =
        hub.commit_files(&repo, &wanted.branch, files.collect::<HubResult<_>>()?, wanted.delete).await?;
    Ok(Json(json!({"sha": commit.sha})))
}

/// `POST /_control/repo-ref?repo=…&name=v1&at=main[&tag=1]`
pub async fn set_ref(State(hub): Hubs, OriginalUri(uri): OriginalUri) -> HubResult<Json<Value>> {
    let query = query(&uri);
    let repo = named(&hub, query.get("repo"))?;
    let commit = hub.commit_of(&repo, query.get("at").map_or("main", String::as_str))?;
    let name = query.get("name").ok_or_else(|| HubError::bad_request("name"))?;
    hub.store.set_ref(&repo, name, query.contains_key("tag"), &commit)?;
    Ok(Json(json!({"sha": commit.sha})))
}

fn split(repo: Option<&String>) -> HubResult<(RepoKind, &str)> {
    let parts = repo.and_then(|repo| repo.split_once('/'));
    parts
        .and_then(|(kind, id)| Some((RepoKind::of_plural(kind)?, id)))
        .filter(|(_, id)| !id.is_empty())
        .ok_or_else(|| HubError::bad_request("repo=models/OWNER/NAME"))
}

fn named(hub: &Hub, repo: Option<&String>) -> HubResult<Repo> {
    let (kind, id) = split(repo)?;
    hub.store.repo(kind, id)?.ok_or_else(|| HubError::no_bucket(false))
}

impl Hub {
    /// One commit on top of `branch`: `files` put, `delete` gone.
    pub async fn commit_files(
        &self,
        repo: &Repo,
        branch: &str,
        files: Vec<RepoContent>,
        delete: Vec<String>,
    ) -> HubResult<Commit> {
        if let Some((path, fault)) =
            files.iter().find_map(|file| Some((&file.path, key_rules::fault_of(&file.path)?)))
        {
            return Err(HubError::bad_request(format!("{path:?}: {fault}")));
        }
        let stored = self.cas.store(files.iter().map(|file| file.content.clone()).collect()).await?;
        let put = |(file, stored): (RepoContent, crate::cas::ingest::Stored)| {
            let by_kind = || {
                let text = file.content.len() <= SMALL && std::str::from_utf8(&file.content).is_ok();
                if text { Storage::Git } else { Storage::Xet }
            };
            let storage = file.storage.unwrap_or_else(by_kind);
            let (sha256, pointer) = lfs_oids(&file.content);
            let oid = if storage == Storage::Git { git_oid(&file.content) } else { pointer };
            RepoChange::Put(RepoFile {
                path: file.path,
                size: stored.size,
                storage,
                oid,
                sha256,
                hash: stored.hash,
            })
        };
        let puts = files.into_iter().zip(stored).map(put);
        let changes = delete.into_iter().map(RepoChange::Delete).chain(puts).collect();
        Ok(self.store.commit_repo(repo, branch, &hex(&rand::random::<[u8; 4]>()), changes)?)
    }
}
