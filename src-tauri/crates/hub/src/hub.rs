//! One Hub and one account: who is signed in, which buckets there are, and the buckets as wholes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::bucket::{Bucket, BucketState};
use crate::bucket_name::BucketName;
use crate::config::HubConfig;
use crate::error::{ErrorClass, HubError};
use crate::http::{Call, Http};
use crate::store_name::StoreName;
use crate::trail::Trail;
use crate::xet::XetSettings;

/// A Hub, seen by one account. Cheap to clone; clones share connections and the buckets' Xet clients.
#[derive(Clone)]
pub struct Hub {
    pub(crate) http: Http,
    xet: Arc<XetSettings>,
    /// One state per bucket in use, so that two mounts of one bucket share plans and tokens.
    buckets: Arc<Mutex<HashMap<StoreName, Weak<BucketState>>>>,
}

/// What the Hub says about a bucket, or about a repo at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketInfo {
    /// `namespace/name`.
    pub id: String,
    #[serde(default)]
    pub private: bool,
    pub created_at: Option<String>,
    /// Moves with every change of the bucket; the text is the server's, compare it as it is.
    pub updated_at: Option<String>,
    /// Bytes in all files.
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    pub total_files: u64,
}

/// What became of a request to create a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBucket {
    /// Its page on the Hub.
    pub url: Option<String>,
    /// It existed before; nothing was changed.
    pub existed: bool,
}

impl Hub {
    /// Sets up connections (opens none). Must be called inside a multi-threaded tokio runtime: Xet's
    /// work runs on it.
    pub fn new(config: HubConfig) -> Result<Hub, HubError> {
        let xet = Arc::new(XetSettings::new(&config)?);
        Ok(Hub { http: Http::new(config)?, xet, buckets: Arc::default() })
    }

    pub fn config(&self) -> &HubConfig {
        &self.http.config
    }

    /// A bucket or a repo, whether it exists or not: no call is made.
    pub fn bucket(&self, name: impl Into<StoreName>) -> Bucket {
        let name = name.into();
        let mut buckets = self.buckets.lock();
        buckets.retain(|_, state| state.strong_count() > 0);
        let known = buckets.get(&name).and_then(Weak::upgrade);
        let state = known.unwrap_or_else(|| {
            let fresh = Arc::new(BucketState::new(self.http.clone(), name.clone(), self.xet.clone()));
            buckets.insert(name, Arc::downgrade(&fresh));
            fresh
        });
        Bucket { state }
    }

    /// The buckets of one owner: a user, an organisation, or `me`.
    pub async fn list_buckets(&self, namespace: &str) -> Result<Vec<BucketInfo>, HubError> {
        let failure = format!("Listing the buckets of {namespace} failed");
        let owner = crate::address::segment(namespace);
        let mut next = Some(self.http.url(&format!("/api/buckets/{owner}"))?);
        let mut trail = Trail::new(&self.http.config.limits, failure.clone());
        let mut found = Vec::new();
        while let Some(url) = next {
            trail.leave(&url)?;
            let answer = self.http.send(Call::get(url, failure.clone())).await?;
            found.extend(answer.json::<Vec<BucketInfo>>()?);
            next = trail.next(&answer)?;
        }
        Ok(found)
    }

    /// Creates a bucket; one that exists already is left as it is and said so.
    pub async fn create_bucket(&self, name: &BucketName, private: bool) -> Result<CreatedBucket, HubError> {
        #[derive(Deserialize)]
        struct Created {
            url: Option<String>,
        }
        let url = self.http.url(&format!("/api/buckets/{name}"))?;
        let visibility = if private { "private" } else { "public" };
        let call = Call::new(Method::POST, url, format!("Creating the bucket {name} failed"))
            .json(&json!({ "visibility": visibility }));
        match self.http.send_or_refusal(call).await {
            Ok(answer) => Ok(CreatedBucket { url: answer.json::<Created>()?.url, existed: false }),
            Err(refusal) if refusal.error.status == Some(409) => {
                let url =
                    serde_json::from_slice::<Created>(&refusal.body).ok().and_then(|created| created.url);
                Ok(CreatedBucket { url, existed: true })
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Deletes a bucket with everything in it.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<(), HubError> {
        let url = self.http.url(&format!("/api/buckets/{name}"))?;
        let call = Call::new(Method::DELETE, url, format!("Deleting the bucket {name} failed"));
        self.http.send(call).await.map(|_| ())
    }

    /// Renames a bucket or gives it another owner.
    pub async fn move_bucket(&self, from: &BucketName, to: &BucketName) -> Result<(), HubError> {
        let url = self.http.url("/api/repos/move")?;
        let call =
            Call::new(Method::POST, url, format!("Moving the bucket {from} to {to} failed")).json(&json!({
                "fromRepo": from.to_string(), "toRepo": to.to_string(), "type": "bucket",
            }));
        self.http.send(call).await.map(|_| ())
    }

    pub async fn set_private(&self, name: &BucketName, private: bool) -> Result<(), HubError> {
        let url = self.http.url(&format!("/api/buckets/{name}/settings"))?;
        let call = Call::new(Method::PUT, url, format!("Changing the settings of {name} failed"))
            .json(&json!({ "private": private }));
        self.http.send(call).await.map(|_| ())
    }
}

impl BucketInfo {
    pub fn name(&self) -> Result<BucketName, HubError> {
        self.id.parse().map_err(|e: HubError| HubError { class: ErrorClass::Broken, ..e })
    }
}
