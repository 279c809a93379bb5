//! Range reads: exactly the bytes asked for, in order, or an error in bounded time.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;
use xet_data::file_reconstruction::FileReconstructor;
use xet_data::processing::{CasClient, DownloadStream};

use super::arriving::Arriving;
use super::failure;
use super::planned_client::PlannedClient;
use super::plans::PlannedFile;
use super::tokens::Scope;
use crate::blob::Blob;
use crate::bucket::Bucket;
use crate::error::{ErrorClass, HubError};

/// A file's bytes in order, in pieces of any length.
pub type ByteStream = BoxStream<'static, Result<Bytes, HubError>>;

const FAILURE: &str = "Reading a file's contents failed";

/// A longer read is planned in pieces: an answer of bounded length, whose addresses do not expire before they are used.
const LONGEST_PLAN: u64 = 256 << 20;

/// So often a part that breaks off is asked for again before any byte got further, after this and then twice this time.
const TRIES: u32 = 3;
/// A line that breaks more often during one read brings it nowhere.
const MOST_BREAKS: u32 = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

impl Bucket {
    /// Gets ready for reads: the first one does not wait for access to the storage then. A bucket in use stays ready.
    pub async fn prepare_reading(&self) -> Result<(), HubError> {
        self.state.xet.side(Scope::Read).await.map(|_| ())
    }

    /// Bytes `range` of the content `hash` of `file_size` bytes: exactly `range.len()` of them, in
    /// order, or an error. Nothing is fetched before the first poll; dropping it cancels the fetches.
    /// The wait for the next piece is bounded by [`crate::Limits::read_stall`].
    pub fn read(&self, hash: &str, file_size: u64, range: Range<u64>) -> ByteStream {
        if let Some(blob) = Blob::parse(hash) {
            return self.read_blob(blob, file_size, range);
        }
        let (bucket, hash) = (self.clone(), parse_hash(hash));
        let reading = Reading {
            bucket,
            hash,
            size: file_size,
            rest: range,
            under_way: None,
            tried_again: false,
            failures: 0,
            breaks: 0,
        };
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
    /// Since a byte got further, and in all.
    failures: u32,
    breaks: u32,
}

enum UnderWay {
    Arriving(Box<Arriving>),
    Rebuilt(Rebuilt),
}

/// What Xet puts together, out of order.
struct Rebuilt {
    stream: DownloadStream,
    client: Arc<PlannedClient>,
    /// Bytes still to come.
    left: u64,
    _cancel_when_dropped: DropGuard,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        let deadline = Instant::now() + self.bucket.state.http.config.limits.read_stall;
        while !self.rest.is_empty() {
            match self.piece(deadline).await {
                // The end of what was planned.
                Ok(bytes) if bytes.is_empty() => self.under_way = None,
                Ok(bytes) => {
                    self.rest.start += bytes.len() as u64;
                    self.failures = 0;
                    return Ok(Some(bytes));
                }
                Err(error)
                    if !self.tried_again
                        && (error.is_about_access() || error.class == ErrorClass::Broken) =>
                {
                    tracing::warn!("{error}; trying again with a new plan");
                    self.begin_anew(&error);
                }
                Err(error) if self.may_pause_for(&error, deadline) => {
                    tracing::debug!("{error}; trying again");
                    tokio::time::sleep(FIRST_PAUSE * (1 << self.failures)).await;
                    self.failures += 1;
                    self.breaks += 1;
                    self.under_way = None;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A part that did not come, for no reason that a new plan would cure. Xet tries again by itself.
    fn may_pause_for(&self, error: &HubError, deadline: Instant) -> bool {
        let of_the_line = matches!(error.class, ErrorClass::Offline | ErrorClass::Busy { .. });
        let ours = matches!(self.under_way, Some(UnderWay::Arriving(_)));
        ours && of_the_line
            && Instant::now() < deadline
            && !error.is_about_access()
            && self.failures + 1 < TRIES
            && self.breaks < MOST_BREAKS
    }

    async fn piece(&mut self, deadline: Instant) -> Result<Bytes, HubError> {
        if self.rest.end > self.size {
            return Err(HubError::new(ErrorClass::Rejected, "The bytes asked for lie behind the file's end"));
        }
        let stall = self.bucket.state.http.config.limits.read_stall.as_secs();
        let next = async {
            let under_way = match &mut self.under_way {
                Some(under_way) => under_way,
                None => {
                    let fresh = self.begin().await?;
                    self.under_way.insert(fresh)
                }
            };
            under_way.next().await
        };
        let bytes = tokio::time::timeout_at(deadline, next).await.map_err(|_| {
            let busy = ErrorClass::Busy { retry_after: None };
            HubError::new(busy, format!("{FAILURE}: nothing came for {stall} s"))
        })??;
        if bytes.len() as u64 > self.rest.end - self.rest.start {
            return Err(HubError::broken("The storage sends more bytes than the file has"));
        }
        Ok(bytes)
    }

    async fn begin(&self) -> Result<UnderWay, HubError> {
        let hash = self.hash.clone()?;
        let xet = &self.bucket.state.xet;
        let side = xet.side(Scope::Read).await?;
        let file = PlannedFile { client: side.client.clone(), hash, size: self.size };
        let range = self.rest.start..self.rest.end.min(self.rest.start + LONGEST_PLAN);
        let plan = xet.plans.plan(&file, &range).await?;
        let (http, plans) = (xet.settings.storage.clone(), xet.plans.clone());
        if let Some(arriving) = Arriving::new(http, plans.clone(), file.clone(), plan, range.clone()) {
            return Ok(UnderWay::Arriving(Box::new(arriving)));
        }
        let cancelled = CancellationToken::new();
        let client = Arc::new(PlannedClient::new(file, plans, cancelled.clone()));
        let as_client: Arc<dyn CasClient> = client.clone();
        let stream = FileReconstructor::new(&side.context, &as_client, hash)
            .with_byte_range(FileRange::new(range.start, range.end))
            .with_file_size(self.size)
            .with_cancellation_token(cancelled.clone())
            .reconstruct_to_stream();
        Ok(UnderWay::Rebuilt(Rebuilt {
            stream,
            client,
            left: range.end - range.start,
            _cancel_when_dropped: cancelled.drop_guard(),
        }))
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

impl UnderWay {
    /// The next bytes; empty at the end.
    async fn next(&mut self) -> Result<Bytes, HubError> {
        match self {
            UnderWay::Arriving(arriving) => arriving.next().await,
            UnderWay::Rebuilt(rebuilt) => rebuilt.next().await,
        }
    }
}

impl Rebuilt {
    async fn next(&mut self) -> Result<Bytes, HubError> {
        let mut next = self.stream.next().await;
        while matches!(&next, Ok(Some(bytes)) if bytes.is_empty()) {
            next = self.stream.next().await;
        }
        match next {
            Ok(Some(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Ok(bytes)
            }
            Ok(None) if self.left == 0 => Ok(Bytes::new()),
            // Xet 1.8.0 sometimes ends the stream before it has noted the error that ended it.
            Ok(None) => Err(self
                .client
                .first_failure()
                .unwrap_or_else(|| HubError::broken("The storage sends fewer bytes than the file has"))),
            Err(e) => {
                Err(self.client.first_failure().unwrap_or_else(|| failure::of_reconstruction(e, FAILURE)))
            }
        }
    }
}
