//! Uploads. Content is cut into chunks, what the storage has already is not sent, and nothing counts
//! as stored before the session's shard is: that is [`UploadSession::finish`].

use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncRead;
use xet_data::error::DataError;
use xet_data::processing::{DirtyInput, FileUploadSession, Sha256Policy, XetFileInfo, upload_ranges};

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
    step: Duration,
}

impl Bucket {
    /// Begins a session. `Forbidden` and `SignIn` come here, before any byte is read.
    pub async fn start_upload(&self) -> Result<UploadSession, HubError> {
        let side = self.state.xet.side(Scope::Write).await?;
        let step = self.state.http.config.limits.upload_step;
        let failure = "Starting an upload failed";
        let session = within(step, failure, FileUploadSession::new(side.translator.clone())).await?;
        Ok(UploadSession { session, step })
    }

    /// Stores an edited version of the content `base_hash` of `base_size` bytes without having its
    /// untouched bytes. `dirty` is sorted and doesn't overlap. The result's hash is the one a whole
    /// upload would get. On return the content is stored. Downloads up to 64 MiB per touched segment of
    /// the original (hub-api.md 5.2): with all bytes at hand a whole upload is cheaper.
    ///
    /// `Rejected` with status 404 or 501: this storage can't do it; upload the whole content.
    pub async fn upload_ranges(
        &self,
        base_hash: &str,
        base_size: u64,
        dirty: Vec<DirtyRange>,
    ) -> Result<Uploaded, HubError> {
        let hash = read::parse_hash(base_hash)?;
        let side = self.state.xet.side(Scope::Write).await?;
        let inputs = dirty.into_iter().map(|d| DirtyInput {
            original_range: d.range,
            new_length: d.new_length,
            reader: Box::pin(d.reader),
        });
        let edit =
            upload_ranges(side.translator.clone(), side.client.clone(), hash, base_size, inputs.collect());
        let step = self.state.http.config.limits.upload_step;
        let info =
            within(step, "Uploading the changed parts failed", Box::pin(edit)).await.map_err(|mut e| {
                if matches!(e.status, Some(404 | 501)) {
                    e.class = ErrorClass::Rejected;
                }
                e
            })?;
        uploaded(info)
    }
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
            within(self.step, &failure, cleaner.add_data_from_bytes(block)).await?;
            progress(taken);
        }
        if taken != size {
            return Err(changed(name, size));
        }
        let (info, _) = within(self.step, &failure, cleaner.finish()).await?;
        uploaded(info).and_then(|done| if done.size == size { Ok(done) } else { Err(changed(name, size)) })
    }

    /// Sends what is still waiting and stores the session. After `Ok` all added content is in the
    /// storage and may be named in a batch; after an error none of it may.
    pub async fn finish(self) -> Result<(), HubError> {
        within(self.step, "Finishing the upload failed", self.session.finalize()).await.map(|_| ())
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

/// One step of an upload, bounded.
async fn within<T>(
    limit: Duration,
    failure: &str,
    step: impl Future<Output = Result<T, DataError>>,
) -> Result<T, HubError> {
    match tokio::time::timeout(limit, step).await {
        Ok(done) => done.map_err(|e| failure::of_data(e, failure)),
        Err(_) => {
            let busy = ErrorClass::Busy { retry_after: None };
            Err(HubError::new(busy, format!("{failure}: it took longer than {} s", limit.as_secs())))
        }
    }
}
