//! What holds files on the Hub: a bucket, or a repo at a revision.

use std::fmt;
use std::str::FromStr;

use crate::bucket_name::BucketName;
use crate::error::HubError;
use crate::repo_name::{RepoKind, RepoName};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreName {
    Bucket(BucketName),
    Repo(RepoName),
}

impl StoreName {
    /// Whose it is; `""` for a repo of the oldest kind.
    pub fn owner(&self) -> &str {
        match self {
            StoreName::Bucket(bucket) => &bucket.namespace,
            StoreName::Repo(repo) => repo.owner.as_deref().unwrap_or_default(),
        }
    }

    /// Its last part: `photos` of `alice/photos`.
    pub fn name(&self) -> &str {
        match self {
            StoreName::Bucket(bucket) => &bucket.name,
            StoreName::Repo(repo) => &repo.name,
        }
    }

    pub fn repo(&self) -> Option<&RepoName> {
        match self {
            StoreName::Bucket(_) => None,
            StoreName::Repo(repo) => Some(repo),
        }
    }

    /// The parts of its page's address.
    pub fn page(&self) -> Vec<String> {
        match self {
            StoreName::Bucket(bucket) => {
                vec!["buckets".to_owned(), bucket.namespace.clone(), bucket.name.clone()]
            }
            StoreName::Repo(repo) => {
                let kind = Some(repo.kind)
                    .filter(|kind| *kind != RepoKind::Model)
                    .map(|kind| kind.plural().to_owned());
                let id = repo.owner.iter().cloned().chain([
                    repo.name.clone(),
                    "tree".to_owned(),
                    repo.revision.clone(),
                ]);
                kind.into_iter().chain(id).collect()
            }
        }
    }

    /// Its address in the API + `tail`.
    pub(crate) fn api(&self, tail: &str) -> String {
        match self {
            StoreName::Bucket(bucket) => format!("/api/buckets/{bucket}{tail}"),
            StoreName::Repo(repo) => repo.api(tail),
        }
    }

    /// The Hub's words for it as the source of a copy: type and id.
    pub(crate) fn source(&self) -> (&'static str, String) {
        match self {
            StoreName::Bucket(bucket) => ("bucket", bucket.to_string()),
            StoreName::Repo(repo) => (repo.kind.singular(), repo.id()),
        }
    }
}

impl From<BucketName> for StoreName {
    fn from(bucket: BucketName) -> StoreName {
        StoreName::Bucket(bucket)
    }
}

impl From<RepoName> for StoreName {
    fn from(repo: RepoName) -> StoreName {
        StoreName::Repo(repo)
    }
}

impl FromStr for StoreName {
    type Err = HubError;

    /// `OWNER/BUCKET`, or `models/OWNER/NAME[@REVISION]` and so on. What is stored under one name comes out as it was.
    fn from_str(text: &str) -> Result<StoreName, HubError> {
        if RepoName::is_meant_by(text) {
            text.parse().map(StoreName::Repo)
        } else {
            text.parse().map(StoreName::Bucket)
        }
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreName::Bucket(bucket) => bucket.fmt(f),
            StoreName::Repo(repo) => repo.fmt(f),
        }
    }
}
