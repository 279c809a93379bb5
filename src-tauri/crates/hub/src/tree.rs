//! Listings. The Hub's `prefix` is a raw beginning of keys: asking for `logs` also yields `logs.json`
//! and `logs_backup/…`; what is not inside the directory is filtered here (hub-api.md 2.3).

use std::collections::HashSet;

use chrono::DateTime;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::Method;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use url::Url;

use crate::address;
use crate::blob::{Blob, blob_oid};
use crate::bucket::Bucket;
use crate::error::{ErrorCode, HubError};
use crate::http::Call;
use crate::repo::Commit;
use crate::trail::Trail;

/// Entries asked for in one page; the Hub's own maximum is not documented.
const PAGE: usize = 5000;
/// Paths asked about in one call, as the official client does.
const PATHS_A_CALL: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    File(FileEntry),
    Directory { path: String, uploaded_at_ms: Option<i64> },
}

impl TreeEntry {
    pub fn path(&self) -> &str {
        match self {
            TreeEntry::File(file) => &file.path,
            TreeEntry::Directory { path, .. } => path,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The whole key, from the bucket's root.
    pub path: String,
    pub size: u64,
    /// The content's identity: a Xet hash, or in a repo what [`crate::blob_oid`] knows.
    pub xet_hash: String,
    /// What the uploader said, in milliseconds since 1970.
    pub mtime_ms: Option<i64>,
    pub uploaded_at_ms: Option<i64>,
}

/// Pages of entries, in the server's order. Nothing is asked before the first poll; dropping it stops.
pub type Pages = BoxStream<'static, Result<Vec<TreeEntry>, HubError>>;

impl Bucket {
    /// One level below `dir` (`""` is the root, `"a/b"` has no slash at the end), page by page. A
    /// directory that does not exist yields no entry. Each name comes once.
    pub fn list_dir(&self, dir: &str) -> Pages {
        let mut seen = HashSet::new();
        let parent = dir.to_owned();
        let exact = move |entry: TreeEntry| {
            let inside = inside(&parent, entry.path())?;
            let entry = match inside.split_once('/') {
                None => entry,
                // A server that lists deeper than asked still tells which directories there are.
                Some((name, _)) => TreeEntry::Directory { path: join(&parent, name), uploaded_at_ms: None },
            };
            // A key can be a file's and the beginning of others': a bucket has no folders.
            let sort = matches!(entry, TreeEntry::Directory { .. });
            seen.insert((entry.path().to_owned(), sort)).then_some(entry)
        };
        self.pages(dir, "false", exact)
    }

    /// Every file below `dir`, at any depth.
    pub fn list_all(&self, dir: &str) -> Pages {
        let parent = dir.to_owned();
        let exact = move |entry: TreeEntry| match entry {
            TreeEntry::File(file) => inside(&parent, &file.path).is_some().then_some(TreeEntry::File(file)),
            TreeEntry::Directory { .. } => None,
        };
        self.pages(dir, "true", exact)
    }

    /// What the Hub knows of exactly these paths; those it doesn't know are left out.
    pub async fn paths_info(&self, paths: &[String]) -> Result<Vec<FileEntry>, HubError> {
        self.refuse_read_only()?; // asked only by who is about to change something
        let mut found = Vec::with_capacity(paths.len());
        for part in paths.chunks(PATHS_A_CALL) {
            let failure = format!("Looking up files in {} failed", self.name());
            let call = Call::new(Method::POST, self.url("/paths-info")?, failure)
                .json(&json!({ "paths": part }))
                .repeatable();
            let wire: Vec<WireEntry> = self.state.http.send(call).await?.json()?;
            found.extend(wire.into_iter().filter_map(|entry| match entry.into_entry(None) {
                Some(TreeEntry::File(file)) => Some(file),
                _ => None,
            }));
        }
        Ok(found)
    }

    fn pages(
        &self,
        dir: &str,
        recursive: &'static str,
        keep: impl FnMut(TreeEntry) -> Option<TreeEntry> + Send + 'static,
    ) -> Pages {
        let Some(tail) = tree_path(dir) else { return stream::empty().boxed() };
        let failure = match dir {
            "" => format!("Listing {} failed", self.name()),
            _ => format!("Listing “{dir}” in {} failed", self.name()),
        };
        let trail = Trail::new(&self.state.http.config.limits, failure.clone());
        let next = Some(Next::First { tail, recursive });
        let walk = Walk { bucket: self.clone(), failure, next, commit: None, trail, keep };
        stream::try_unfold(walk, |mut walk| async move {
            let Some(next) = walk.next.take() else { return Ok(None) };
            let page = walk.page(next).await?;
            Ok(Some((page, walk)))
        })
        .boxed()
    }
}

/// What is asked next.
enum Next {
    First { tail: String, recursive: &'static str },
    Page(Url),
}

/// A listing under way.
struct Walk<K> {
    bucket: Bucket,
    failure: String,
    next: Option<Next>,
    /// Of a repo: what all pages are listed at.
    commit: Option<Commit>,
    trail: Trail,
    keep: K,
}

impl<K: FnMut(TreeEntry) -> Option<TreeEntry>> Walk<K> {
    async fn page(&mut self, next: Next) -> Result<Vec<TreeEntry>, HubError> {
        let url = match next {
            Next::Page(url) => url,
            Next::First { tail, recursive } => self.first(&tail, recursive).await?,
        };
        self.trail.leave(&url)?;
        let answer = match self.bucket.state.http.send(Call::get(url, self.failure.clone())).await {
            // Of a repo, what is no folder is an error; of a bucket it is an empty one.
            Err(error) if self.commit.is_some() && error.code == Some(ErrorCode::EntryNotFound) => {
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let wire: Vec<WireEntry> = answer.json()?;
        self.next = self.trail.next(&answer)?.map(Next::Page);
        let commit = self.commit.as_ref();
        Ok(wire.into_iter().filter_map(|entry| entry.into_entry(commit)).filter_map(&mut self.keep).collect())
    }

    async fn first(&mut self, tail: &str, recursive: &str) -> Result<Url, HubError> {
        if !self.bucket.is_read_only() {
            return self.bucket.url(&format!("/tree{tail}?recursive={recursive}&limit={PAGE}"));
        }
        let commit = self.bucket.shown_commit().await?;
        let url =
            self.bucket.url(&format!("/tree/{}{tail}?recursive={recursive}", address::segment(&commit.sha)));
        self.commit = Some(commit);
        url
    }
}

fn tree_path(dir: &str) -> Option<String> {
    match dir {
        "" => Some(String::new()),
        _ => address::path(dir).map(|dir| format!("/{dir}")),
    }
}

/// The part of `path` below `dir`; `None` when it is not inside.
fn inside<'a>(dir: &str, path: &'a str) -> Option<&'a str> {
    let below = match dir {
        "" => path,
        _ => path.strip_prefix(dir)?.strip_prefix('/')?,
    };
    (!below.is_empty()).then_some(below)
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default, deserialize_with = "possible_size")]
    size: u64,
    xet_hash: Option<String>,
    /// Of a repo: git's identity, and LFS's of a large file.
    oid: Option<String>,
    lfs: Option<WireLfs>,
    mtime: Option<String>,
    uploaded_at: Option<String>,
}

#[derive(Deserialize)]
struct WireLfs {
    oid: String,
    #[serde(deserialize_with = "possible_size")]
    size: u64,
}

impl WireEntry {
    /// `None` for what a later Hub may add and for a file without content identity. `commit` is a repo's.
    fn into_entry(self, commit: Option<&Commit>) -> Option<TreeEntry> {
        let uploaded_at_ms = self.uploaded_at.as_deref().and_then(milliseconds);
        let uploaded_at_ms = uploaded_at_ms.or_else(|| commit?.at_ms);
        let outside_xet = || {
            let oid = self.lfs.as_ref().map(|lfs| lfs.oid.trim_start_matches("sha256:"));
            let identity =
                Blob::identity(oid.or(self.oid.as_deref()).filter(|_| commit.is_some())?, &self.path);
            blob_oid(&identity).is_some().then_some(identity)
        };
        match self.kind.as_str() {
            "directory" => Some(TreeEntry::Directory { path: self.path, uploaded_at_ms }),
            "file" => Some(TreeEntry::File(FileEntry {
                xet_hash: self.xet_hash.clone().or_else(outside_xet)?,
                size: self.lfs.as_ref().map_or(self.size, |lfs| lfs.size),
                path: self.path,
                mtime_ms: self.mtime.as_deref().and_then(milliseconds),
                uploaded_at_ms,
            })),
            _ => None,
        }
    }
}

/// A size that a file can have: every file system counts in signed 64 bits. A larger one would come out as a small
/// one somewhere, so the answer that holds it makes no sense as a whole.
pub(crate) fn possible_size<'de, D: Deserializer<'de>>(wire: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(wire)?;
    match i64::try_from(size) {
        Ok(_) => Ok(size),
        Err(_) => Err(D::Error::custom("a file's size is beyond what a file can have")),
    }
}

pub(crate) fn milliseconds(iso: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(iso).ok().map(|t| t.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_only_share_the_beginning_are_outside() {
        assert_eq!(inside("logs", "logs/a"), Some("a"));
        for path in ["logs", "logs/", "logs.json", "logs_backup/a", "log"] {
            assert_eq!(inside("logs", path), None, "{path}");
        }
        assert_eq!(inside("", "a/b"), Some("a/b"));
    }

    #[test]
    fn times_are_milliseconds() {
        assert_eq!(milliseconds("1970-01-01T00:00:01.250Z"), Some(1250));
        assert_eq!(milliseconds("1970-01-01T01:00:00.000+01:00"), Some(0));
        assert_eq!(milliseconds("yesterday"), None);
    }
}
