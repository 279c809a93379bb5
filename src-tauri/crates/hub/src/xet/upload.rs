//! Uploads. Content is cut into chunks, what the storage has already is not sent, and nothing counts
//! as stored before the session's shard is: that is [`UploadSession::finish`].

use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncRead;
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;
use xet_data::error::DataError;
use xet_data::processing::{DirtyInput, FileUploadSession, Sha256Policy, XetFileInfo, upload_ranges};

use super::Side;
use super::tokens::Scope;
use super::{failure, read};
use crate::bucket::Bucket;
use crate::error::{ErrorClass, HubError};

/// Content in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Its Xet hash, the identity a batch's `Add` names.
    pub hash: String,
    pub size: u64,
}

/// One replacement within a stored content: `range` (in the original's coordinates) becomes the
/// `new_length` bytes `reader` yields. An empty range inserts; a length of 0 removes.
pub struct DirtyRange {
    pub range: Range<u64>,
    pub new_length: u64,
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
}

/// Many files in one go. Files can be added at the same time. Dropping it gives up: what was sent is
/// garbage the storage collects.
pub struct UploadSession {
    session: Arc<FileUploadSession>,
    stall: Duration,
    bucket: Bucket,
}

impl Bucket {
    /// Begins a session. `Forbidden` and `SignIn` come here, before any byte is read.
    pub async fn start_upload(&self) -> Result<UploadSession, HubError> {
        let limits = &self.state.http.config.limits;
        let failure = "Starting an upload failed";
        let open = async {
            let side = self.state.xet.side(Scope::Write).await?;
            FileUploadSession::new(side.translator.clone()).await.map_err(|e| failure::of_data(e, failure))
        };
        let session = within(limits.upload_open, failure, open).await?;
        Ok(UploadSession { session, stall: limits.upload_stall, bucket: self.clone() })
    }

    /// Lengths of the segments (runs of one xorb, up to 64 MiB each) that make up the content, in order: what
    /// [`Bucket::upload_ranges`] snaps to. `None` when the storage does not have it (any more).
    pub async fn segments(&self, hash: &str) -> Result<Option<Vec<u64>>, HubError> {
        let parsed = read::parse_hash(hash)?;
        if parsed == Default::default() {
            return Ok(Some(Vec::new()));
        }
        let failure = "Looking up a file's contents failed";
        let look = async {
            let side = self.state.xet.side(Scope::Read).await?;
            let found = side.client.get_file_reconstruction_info(&parsed).await;
            found.map_err(|e| failure::of_client(e, failure))
        };
        match within(self.state.http.config.limits.upload_open, failure, look).await {
            Ok(Some((info, _))) => {
                Ok(Some(info.segments.iter().map(|one| u64::from(one.unpacked_segment_bytes)).collect()))
            }
            Ok(None) => Ok(None),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores an edited version of the content `base_hash` of `base_size` bytes without having its
    /// untouched bytes. `dirty` is sorted and doesn't overlap. The result's hash is the one a whole
    /// upload would get. On return the content is stored. Downloads up to 64 MiB per touched segment of
    /// the original (hub-api.md 5.2): with all bytes at hand a whole upload is cheaper.
    ///
    /// `patience` bounds the whole: how much comes and goes, and how fast, the caller knows.
    /// `Rejected` with status 404 or 501: this storage can't do it; upload the whole content.
    pub async fn upload_ranges(
        &self,
        base_hash: &str,
        base_size: u64,
        dirty: Vec<DirtyRange>,
        patience: Duration,
    ) -> Result<Uploaded, HubError> {
        let hash = read::parse_hash(base_hash)?;
        let side = self.state.xet.side(Scope::Write).await?;
        let failure = "Uploading the changed parts failed";
        let ranges: Vec<Range<u64>> = dirty.iter().map(|one| one.range.clone()).collect();
        if !ranges.is_empty() && base_size > 0 {
            within(patience, failure, whole_segments(&side, &hash, &ranges)).await.map_err(cannot_edit)?;
        }
        let inputs = dirty.into_iter().map(|d| DirtyInput {
            original_range: d.range,
            new_length: d.new_length,
            reader: Box::pin(d.reader),
        });
        let edit =
            upload_ranges(side.translator.clone(), side.client.clone(), hash, base_size, inputs.collect());
        let edit = async { Box::pin(edit).await.map_err(|e| failure::of_data(e, failure)) };
        let info = within(patience, failure, edit).await.map_err(cannot_edit)?;
        uploaded(info)
    }
}

/// A storage that does not know the calls of an edit answers 404 or 501 to them: nothing to try again, the file goes
/// up whole.
fn cannot_edit(mut error: HubError) -> HubError {
    if matches!(error.status, Some(404 | 501)) {
        error.class = ErrorClass::Rejected;
    }
    error
}

/// xet-data 1.8.0 puts the new content together from whole segments of the original. Where the storage answers
/// with a window that ends inside one, the rest of that segment would be lost while hash and size look right: such
/// an edit is refused before anything is sent (seen with LocalServer: 134 of 157 MB were stored).
async fn whole_segments(side: &Side, hash: &MerkleHash, ranges: &[Range<u64>]) -> Result<(), HubError> {
    let failure = "Looking up a file's pieces failed";
    let failed = |e| failure::of_client(e, failure);
    let cannot = || HubError::new(ErrorClass::Rejected, "The storage cannot take this file as an edit.");
    let (info, _) =
        side.client.get_file_reconstruction_info(hash).await.map_err(failed)?.ok_or_else(cannot)?;
    let mut edges = vec![0u64];
    for segment in &info.segments {
        edges.push(edges.last().copied().unwrap_or(0) + u64::from(segment.unpacked_segment_bytes));
    }
    let end = edges.last().copied().unwrap_or(0);
    let mut asked: Vec<FileRange> = Vec::new();
    for range in ranges {
        let inside = range.start.min(end.saturating_sub(1));
        let start = edges.iter().rev().copied().find(|edge| *edge <= inside).unwrap_or(0);
        let last = range.end.max(inside + 1);
        let stop = edges.iter().copied().find(|edge| *edge >= last).unwrap_or(end);
        match asked.last_mut() {
            Some(before) if start <= before.end => before.end = before.end.max(stop),
            _ => asked.push(FileRange::new(start, stop)),
        }
    }
    let answer = side.client.get_file_chunk_hashes(hash, asked).await.map_err(failed)?;
    let fits =
        answer.windows.iter().all(|window| window.dirty_byte_range.iter().all(|at| edges.contains(at)));
    if fits { Ok(()) } else { Err(cannot()) }
}

impl UploadSession {
    /// Takes one file's content, exactly `size` bytes, and answers its identity; the content is stored
    /// only when [`finish`](Self::finish) returned. `name` is for the log. `progress` is told the bytes
    /// taken so far. `Local` when `data` fails or has another length; the session stays usable.
    pub async fn add(
        &self,
        name: &str,
        size: u64,
        mut data: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Uploaded, HubError> {
        let failure = format!("Uploading “{name}” failed");
        let failed = |e| failure::of_data(e, &failure);
        let (_, mut cleaner) = self
            .session
            .start_clean(Some(Arc::from(name)), Some(size), Sha256Policy::Skip)
            .map_err(failed)?;
        let mut taken = 0;
        while let Some(block) = data.next().await {
            let block =
                block.map_err(|e| HubError::local(format!("Reading “{name}” for the upload failed."), e))?;
            taken += block.len() as u64;
            if taken > size {
                return Err(changed(name, size));
            }
            self.moving(&failure, cleaner.add_data_from_bytes(block)).await?;
            progress(taken);
        }
        if taken != size {
            return Err(changed(name, size));
        }
        let (info, _) = self.moving(&failure, cleaner.finish()).await?;
        uploaded(info).and_then(|done| if done.size == size { Ok(done) } else { Err(changed(name, size)) })
    }

    /// Sends what is still waiting and stores the session. After `Ok` all added content is in the
    /// storage and may be named in a batch; after an error none of it may.
    pub async fn finish(self) -> Result<(), HubError> {
        let session = self.session.clone();
        self.moving("Finishing the upload failed", session.finalize()).await.map(|_| ())
    }

    /// Runs a step as long as bytes get further, wherever they are between here and the storage.
    async fn moving<T>(
        &self,
        failure: &str,
        step: impl Future<Output = Result<T, DataError>>,
    ) -> Result<T, HubError> {
        let look = (self.stall / 8).clamp(Duration::from_millis(50), Duration::from_secs(2));
        let (mut mark, mut since) = (self.mark(), Instant::now());
        let mut step = std::pin::pin!(step);
        loop {
            tokio::select! {
                done = &mut step => return done.map_err(|e| {
                    let error = failure::of_data(e, failure);
                    if error.is_about_access() {
                        // The next session asks for new tokens.
                        self.bucket.state.xet.forget_access();
                    }
                    error
                }),
                () = tokio::time::sleep(look) => {
                    let now = self.mark();
                    if now != mark {
                        (mark, since) = (now, Instant::now());
                    } else if since.elapsed() >= self.stall {
                        let what = format!("{failure}: nothing got further for {} s", self.stall.as_secs());
                        return Err(HubError::new(ErrorClass::Busy { retry_after: None }, what));
                    }
                }
            }
        }
    }

    /// How far everything of this session has come.
    fn mark(&self) -> [u64; 5] {
        let report = self.session.report();
        let shard = report.shard.unwrap_or_default();
        [
            report.total_bytes_completed,
            report.total_transfer_bytes_completed,
            shard.total_shard_bytes_upload_completed,
            shard.total_shard_validation_entries_completed,
            u64::from(shard.total_shards_completed) + u64::from(shard.total_shards_synced),
        ]
    }
}

fn changed(name: &str, size: u64) -> HubError {
    HubError::new(
        ErrorClass::Local,
        format!("“{name}” is not {size} bytes long any more; it changed while it was read."),
    )
    .with_advice("Nothing to do: it is uploaded again.")
}

fn uploaded(info: XetFileInfo) -> Result<Uploaded, HubError> {
    match info.file_size() {
        Some(size) => Ok(Uploaded { hash: info.hash().to_owned(), size }),
        None => Err(HubError::broken("The upload's size is not known")),
    }
}

/// Something whose length is known, bounded.
async fn within<T>(
    limit: Duration,
    failure: &str,
    step: impl Future<Output = Result<T, HubError>>,
) -> Result<T, HubError> {
    match tokio::time::timeout(limit, step).await {
        Ok(done) => done,
        Err(_) => {
            let busy = ErrorClass::Busy { retry_after: None };
            Err(HubError::new(busy, format!("{failure}: it took longer than {} s", limit.as_secs())))
        }
    }
}
