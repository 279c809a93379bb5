//! One bucket, or a repo at a revision: what is in it, and the changes to it. The content's bytes are `xet`'s matter,
//! a repo's files outside Xet `blob`'s.

use std::sync::Arc;

use crate::error::{ErrorClass, HubError};
use crate::http::{Call, Http};
use crate::hub::BucketInfo;
use crate::repo::Following;
use crate::store_name::StoreName;
use crate::xet::{Scope, XetBucket, XetSettings};

/// A bucket of a Hub, or a repo at a revision, which refuses every change. Cheap to clone; all clones share one Xet
/// client, its tokens and its plans.
#[derive(Clone)]
pub struct Bucket {
    pub(crate) state: Arc<BucketState>,
}

pub(crate) struct BucketState {
    pub http: Http,
    pub name: StoreName,
    pub xet: XetBucket,
    /// Of a repo: the commit that is shown.
    pub following: Following,
}

impl BucketState {
    pub fn new(http: Http, name: StoreName, settings: Arc<XetSettings>) -> BucketState {
        let xet = XetBucket::new(http.clone(), name.clone(), settings);
        BucketState { http, name, xet, following: Following::default() }
    }
}

impl Bucket {
    pub fn name(&self) -> &StoreName {
        &self.state.name
    }

    /// Size, count, visibility, and `updated_at`, which moves with every change. Of a repo it is the commit that its
    /// revision means now, which is shown from now on.
    pub async fn info(&self) -> Result<BucketInfo, HubError> {
        let name = &self.state.name;
        if let Some(repo) = name.repo() {
            return self.repo_info(repo).await;
        }
        let url = self.url("")?;
        self.state.http.send(Call::get(url, format!("Looking up the bucket {name} failed"))).await?.json()
    }

    /// Whether this account may change the bucket: asks for the right to upload (a Xet write token).
    pub async fn can_write(&self) -> Result<bool, HubError> {
        if self.is_read_only() {
            return Ok(false);
        }
        let anonymous = self.state.http.config.token.token().await?.is_none();
        match self.state.xet.token(Scope::Write).await {
            Ok(_) => Ok(true),
            Err(e) if e.class == ErrorClass::Forbidden => Ok(false),
            Err(e) if e.class == ErrorClass::SignIn && anonymous => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// A repo: nothing in it is ever changed from here.
    pub fn is_read_only(&self) -> bool {
        self.state.name.repo().is_some()
    }

    /// For every call that changes something.
    pub(crate) fn refuse_read_only(&self) -> Result<(), HubError> {
        match self.state.name.repo() {
            None => Ok(()),
            Some(repo) => Err(read_only(repo)),
        }
    }

    /// An address below this bucket's own: `/api/buckets/ns/name` + `tail`.
    pub(crate) fn url(&self, tail: &str) -> Result<url::Url, HubError> {
        self.state.http.url(&self.state.name.api(tail))
    }
}

pub(crate) fn read_only(repo: &crate::repo_name::RepoName) -> HubError {
    HubError::new(
        ErrorClass::Forbidden,
        format!("The {} {} can only be read here", repo.kind.singular(), repo.id()),
    )
    .with_advice("Change it with git or the `hf` command line.")
}
