//! One bucket: what is in it, and the changes to it. The content's bytes are `xet`'s matter.

use std::sync::Arc;

use crate::bucket_name::BucketName;
use crate::error::{ErrorClass, HubError};
use crate::http::{Call, Http};
use crate::hub::BucketInfo;
use crate::xet::{Scope, XetBucket, XetSettings};

/// A bucket of a Hub. Cheap to clone; all clones share one Xet client, its tokens and its plans.
#[derive(Clone)]
pub struct Bucket {
    pub(crate) state: Arc<BucketState>,
}

pub(crate) struct BucketState {
    pub http: Http,
    pub name: BucketName,
    pub xet: XetBucket,
}

impl BucketState {
    pub fn new(http: Http, name: BucketName, settings: Arc<XetSettings>) -> BucketState {
        let xet = XetBucket::new(http.clone(), name.clone(), settings);
        BucketState { http, name, xet }
    }
}

impl Bucket {
    pub fn name(&self) -> &BucketName {
        &self.state.name
    }

    /// Size, count, visibility, and `updated_at`, which moves with every change.
    pub async fn info(&self) -> Result<BucketInfo, HubError> {
        let name = &self.state.name;
        let url = self.state.http.url(&format!("/api/buckets/{name}"))?;
        self.state.http.send(Call::get(url, format!("Looking up the bucket {name} failed"))).await?.json()
    }

    /// Whether this account may change the bucket: asks for the right to upload (a Xet write token).
    pub async fn can_write(&self) -> Result<bool, HubError> {
        let anonymous = self.state.http.config.token.token().await?.is_none();
        match self.state.xet.token(Scope::Write).await {
            Ok(_) => Ok(true),
            Err(e) if e.class == ErrorClass::Forbidden => Ok(false),
            Err(e) if e.class == ErrorClass::SignIn && anonymous => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// An address below this bucket's own: `/api/buckets/ns/name` + `tail`.
    pub(crate) fn url(&self, tail: &str) -> Result<url::Url, HubError> {
        self.state.http.url(&format!("/api/buckets/{}{tail}", self.state.name))
    }
}
