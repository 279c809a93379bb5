//! What the tests share: a Hub, a client of ours, a bucket.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use hub::{
    Asking, Bucket, BucketName, Hub, HubConfig, HubError, Limits, StaticToken, TreeEntry, Uploaded, Url,
};
use testkit::{LocalHub, TempDir};

pub struct Bench {
    pub server: LocalHub,
    pub hub: Hub,
    pub bucket: Bucket,
    dir: TempDir,
}

impl Bench {
    /// A fresh Hub with the private bucket `alice/box`, and alice's client.
    pub fn new() -> Bench {
        Bench::on(LocalHub::start())
    }

    pub fn on(server: LocalHub) -> Bench {
        let dir = testkit::tempdir().unwrap();
        server.create_bucket("box");
        let hub = Hub::new(config(server.endpoint(), Some(server.token()), &dir)).unwrap();
        let bucket = hub.bucket(BucketName::new("alice", "box"));
        Bench { server, hub, bucket, dir }
    }

    /// Another client on the same Hub: nothing shared, as after a restart.
    pub fn another(&self, token: Option<&str>) -> Hub {
        self.another_with(token, limits())
    }

    pub fn another_with(&self, token: Option<&str>, limits: Limits) -> Hub {
        let mut config = config(self.server.endpoint(), token, &self.dir);
        config.limits = limits;
        Hub::new(config).unwrap()
    }

    /// Alice's bucket by a client that remembers nothing.
    pub fn forgetful(&self) -> Bucket {
        self.another(Some(self.server.token())).bucket(self.bucket.name().clone())
    }
}

/// The default limits with the retries of an impatient test.
pub fn limits() -> Limits {
    Limits {
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(3),
        call_deadline: Duration::from_secs(6),
        retry_base: Duration::from_millis(50),
        ..Limits::default()
    }
}

pub fn config(endpoint: &str, token: Option<&str>, dir: &TempDir) -> HubConfig {
    let token = token.map_or_else(StaticToken::anonymous, |token| StaticToken::new(token, "the test"));
    HubConfig {
        endpoint: Url::parse(endpoint).unwrap(),
        token: Arc::new(token),
        cache_root: dir.path().join("cache"),
        user_agent: "bucketbar-test".to_owned(),
        limits: limits(),
    }
}

pub async fn names(pages: hub::Pages) -> Vec<String> {
    let pages: Vec<Vec<TreeEntry>> = pages.try_collect().await.unwrap();
    pages.into_iter().flatten().map(|entry| entry.path().to_owned()).collect()
}

pub async fn read(bucket: &Bucket, hash: &str, size: u64, range: Range<u64>) -> Result<Bytes, HubError> {
    let mut all = BytesMut::new();
    let mut stream = bucket.read(hash, size, range);
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.freeze())
}

pub fn pieces(content: &Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
    let content = content.clone();
    let starts: Vec<usize> = (0..content.len()).step_by(1 << 20).collect();
    stream::iter(starts.into_iter().map(move |at| Ok(content.slice(at..content.len().min(at + (1 << 20))))))
}

pub async fn upload(bucket: &Bucket, content: &Bytes) -> Result<Uploaded, HubError> {
    let session = bucket.start_upload(Asking::Storage).await?;
    let done = session.add("a file", content.len() as u64, pieces(content), |_| ()).await?;
    session.finish().await?;
    Ok(done)
}

pub fn sample(seed: u64, length: usize) -> Bytes {
    Bytes::from(testkit::bytes(seed, length))
}
