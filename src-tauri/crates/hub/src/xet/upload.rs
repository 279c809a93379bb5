//! Uploads. Content is cut into chunks, what the storage has already is not sent, and nothing counts
//! as stored before the session's shard is: that is [`UploadSession::finish`].

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use xet_core_structures::metadata_shard::file_structs::MDBFileInfo;
use xet_data::error::DataError;
use xet_data::processing::{FileUploadSession, Sha256Policy, SingleFileCleaner, XetFileInfo};

use super::tokens::Scope;
use super::windows::{WINDOW, Windows};
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

/// Whether the storage is asked what it has of a file before the bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// For each file's beginning and some later places: a call each, and the file waits for the answer.
    Storage,
    /// What this machine sent before is still found; what others sent is sent again. For files that are smaller than
    /// a question is long.
    Nobody,
}

/// Many files in one go. Files can be added at the same time. Dropping it gives up: what was sent is
/// garbage the storage collects.
pub struct UploadSession {
    session: Arc<FileUploadSession>,
    stall: Duration,
    bucket: Bucket,
    /// The first step that failed. Xet tells of a block that could not be sent once, in whichever step comes next.
    failed: Mutex<Option<HubError>>,
}

/// How one content goes up.
enum Way<'a> {
    Whole(Box<SingleFileCleaner>),
    Windows(Box<Windows<'a>>),
}

impl Bucket {
    /// Begins a session. `Forbidden` and `SignIn` come here, before any byte is read.
    pub async fn start_upload(&self, asking: Asking) -> Result<UploadSession, HubError> {
        let limits = &self.state.http.config.limits;
        let failure = "Starting an upload failed";
        let open = async {
            let side = self.state.xet.side(Scope::Write).await?;
            let translator = match asking {
                Asking::Storage => side.translator.clone(),
                Asking::Nobody => side.unasked.clone(),
            };
            let opened = undisturbed(FileUploadSession::new(translator)).await;
            opened.map_err(|e| failure::of_data(e, failure))
        };
        let session = within(limits.upload_open, failure, open).await?;
        Ok(UploadSession {
            session,
            stall: limits.upload_stall,
            bucket: self.clone(),
            failed: Mutex::new(None),
        })
    }

    /// Lengths of the segments (runs of one xorb, up to 64 MiB each) that make up the content, in order: what
    /// an edit ([`Bucket::upload_ranges`]) fetches the rest of. `None` when the storage does not have it (any more).
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
        let mut way = match size > WINDOW {
            true => Way::Windows(Box::new(Windows::begin(self, &failure)?)),
            false => Way::Whole(Box::new(self.cleaner(&failure, Some((name, size)))?)),
        };
        let mut taken = 0;
        while let Some(block) = data.next().await {
            let block =
                block.map_err(|e| HubError::local(format!("Reading “{name}” for the upload failed."), e))?;
            taken += block.len() as u64;
            if taken > size {
                return Err(changed(name, size));
            }
            match &mut way {
                Way::Whole(cleaner) => self.moving(&failure, cleaner.add_data_from_bytes(block)).await?,
                Way::Windows(windows) => windows.take(block).await?,
            }
            progress(taken);
        }
        if taken != size {
            return Err(changed(name, size));
        }
        let done = match way {
            Way::Whole(cleaner) => uploaded(self.moving(&failure, undisturbed(cleaner.finish())).await?.0)?,
            Way::Windows(windows) => windows.finish().await?,
        };
        if done.size == size { Ok(done) } else { Err(changed(name, size)) }
    }

    /// Sends what is still waiting and stores the session. After `Ok` all added content is in the
    /// storage and may be named in a batch; after an error none of it may. An error when any step before has failed:
    /// it may have been of another content than the one that was being added.
    pub async fn finish(self) -> Result<(), HubError> {
        if let Some(error) = self.failed.lock().take() {
            return Err(error);
        }
        let session = self.session.clone();
        self.moving("Finishing the upload failed", undisturbed(session.finalize())).await.map(|_| ())
    }

    /// What cuts one content into chunks and sends what the storage has not; its name and size, where known, are for
    /// progress and logs.
    pub(super) fn cleaner(
        &self,
        failure: &str,
        file: Option<(&str, u64)>,
    ) -> Result<SingleFileCleaner, HubError> {
        let (name, size) = file.map_or((None, None), |(name, size)| (Some(Arc::from(name)), Some(size)));
        let begun = self.session.start_clean(name, size, Sha256Policy::Skip);
        begun.map(|(_, cleaner)| cleaner).map_err(|e| failure::of_data(e, failure))
    }

    /// Registers a content put together from stored chunks; stored by [`finish`](Self::finish).
    pub(super) async fn compose(&self, failure: &str, info: MDBFileInfo) -> Result<(), HubError> {
        let session = self.session.clone();
        self.moving(failure, undisturbed(async move { session.register_composed_file(info).await })).await
    }

    /// Runs a step as long as bytes get further, wherever they are between here and the storage.
    pub(super) async fn moving<T>(
        &self,
        failure: &str,
        step: impl Future<Output = Result<T, DataError>>,
    ) -> Result<T, HubError> {
        let done = self.watched(failure, step).await;
        if let Err(error) = &done {
            self.failed.lock().get_or_insert_with(|| error.clone());
        }
        done
    }

    async fn watched<T>(
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

/// Runs a step of Xet's to its end, also when nobody waits for it any more. What all sessions of a process share (its
/// cache of shards) is spoilt for good when a step that waits for it is dropped in that moment: `RwTaskLock::read` of
/// xet-runtime 1.8.0 leaves "a previously reported error" behind, and every later upload fails until the next start.
/// A step that is given up names nothing on the Hub, and Xet bounds its calls itself.
pub(super) async fn undisturbed<T: Send + 'static>(
    step: impl Future<Output = Result<T, DataError>> + Send + 'static,
) -> Result<T, DataError> {
    tokio::spawn(step).await.unwrap_or_else(|error| Err(DataError::InternalError(error.to_string())))
}

/// Something whose length is known, bounded.
pub(super) async fn within<T>(
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
