//! Range reads: exactly the bytes asked for, in order, or an error in bounded time.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;
use xet_data::file_reconstruction::FileReconstructor;
use xet_data::processing::{CasClient, DownloadStream};

use super::failure;
use super::planned_client::PlannedClient;
use super::plans::PlannedFile;
use super::tokens::Scope;
use crate::bucket::Bucket;
use crate::error::{ErrorClass, HubError};

/// A file's bytes in order, in pieces of any length.
pub type ByteStream = BoxStream<'static, Result<Bytes, HubError>>;

const FAILURE: &str = "Reading a file's contents failed";

impl Bucket {
    /// Gets ready for reads: the first one does not wait for access to the storage then. A bucket in use stays ready.
    pub async fn prepare_reading(&self) -> Result<(), HubError> {
        self.state.xet.side(Scope::Read).await.map(|_| ())
    }

    /// Bytes `range` of the content `hash` of `file_size` bytes: exactly `range.len()` of them, in
    /// order, or an error. Nothing is fetched before the first poll; dropping it cancels the fetches.
    /// The wait for the next piece is bounded by [`crate::Limits::read_stall`].
    pub fn read(&self, hash: &str, file_size: u64, range: Range<u64>) -> ByteStream {
        let (bucket, hash) = (self.clone(), parse_hash(hash));
        let reading =
            Reading { bucket, hash, size: file_size, rest: range, under_way: None, tried_again: false };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        })
        .boxed()
    }
}

pub(super) fn parse_hash(hash: &str) -> Result<MerkleHash, HubError> {
    MerkleHash::from_hex(hash)
        .map_err(|e| HubError::broken(format!("“{hash}” is not the identity of a content")).caused_by(e))
}

struct Reading {
    bucket: Bucket,
    hash: Result<MerkleHash, HubError>,
    size: u64,
    /// What was not delivered yet.
    rest: Range<u64>,
    under_way: Option<UnderWay>,
    /// A failure that fresh plans and tokens may cure is tried again once.
    tried_again: bool,
}

struct UnderWay {
    stream: DownloadStream,
    client: Arc<PlannedClient>,
    _cancel_when_dropped: DropGuard,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        while !self.rest.is_empty() {
            match self.piece().await {
                Ok(bytes) if bytes.is_empty() => continue,
                Ok(bytes) => {
                    self.rest.start += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Err(error)
                    if !self.tried_again
                        && (error.is_about_access() || error.class == ErrorClass::Broken) =>
                {
                    tracing::warn!("{error}; trying again with a new plan");
                    self.begin_anew(&error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn piece(&mut self) -> Result<Bytes, HubError> {
        if self.rest.end > self.size {
            return Err(HubError::new(ErrorClass::Rejected, "The bytes asked for lie behind the file's end"));
        }
        let stall = self.bucket.state.http.config.limits.read_stall;
        let under_way = match &mut self.under_way {
            Some(under_way) => under_way,
            None => {
                let fresh = self.begin().await?;
                self.under_way.insert(fresh)
            }
        };
        let left = self.rest.end - self.rest.start;
        match tokio::time::timeout(stall, under_way.stream.next()).await {
            Ok(Ok(Some(bytes))) if bytes.len() as u64 <= left => Ok(bytes),
            Ok(Ok(Some(_))) => Err(HubError::broken("The storage sends more bytes than the file has")),
            // Xet 1.8.0 sometimes ends the stream before it has noted the error that ended it.
            Ok(Ok(None)) => Err(under_way
                .client
                .first_failure()
                .unwrap_or_else(|| HubError::broken("The storage sends fewer bytes than the file has"))),
            Ok(Err(e)) => Err(under_way
                .client
                .first_failure()
                .unwrap_or_else(|| failure::of_reconstruction(e, FAILURE))),
            Err(_) => {
                let busy = ErrorClass::Busy { retry_after: None };
                Err(HubError::new(busy, format!("{FAILURE}: nothing came for {} s", stall.as_secs())))
            }
        }
    }

    async fn begin(&self) -> Result<UnderWay, HubError> {
        let hash = self.hash.clone()?;
        let xet = &self.bucket.state.xet;
        let side = xet.side(Scope::Read).await?;
        let cancelled = CancellationToken::new();
        let file = PlannedFile { client: side.client.clone(), hash, size: self.size };
        let client = Arc::new(PlannedClient::new(file, xet.plans.clone(), cancelled.clone()));
        let as_client: Arc<dyn CasClient> = client.clone();
        let stream = FileReconstructor::new(&side.context, &as_client, hash)
            .with_byte_range(FileRange::new(self.rest.start, self.rest.end))
            .with_file_size(self.size)
            .with_cancellation_token(cancelled.clone())
            .reconstruct_to_stream();
        Ok(UnderWay { stream, client, _cancel_when_dropped: cancelled.drop_guard() })
    }

    fn begin_anew(&mut self, error: &HubError) {
        self.tried_again = true;
        self.under_way = None;
        let xet = &self.bucket.state.xet;
        if let Ok(hash) = &self.hash {
            xet.plans.forget(hash);
        }
        if error.is_about_access() {
            xet.forget_access();
        }
    }
}
