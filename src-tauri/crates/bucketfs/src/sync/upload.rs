//! Bringing the bytes of staged files to the Hub's storage. Nothing is visible there before `save` names it.
//!
//! An upload reads a snapshot of a finished file (design.md promise 7), or of the committed prefix of one that
//! is written for ever. Writers neither wait for it nor end it; only a file that is cut or removed meanwhile may
//! end the upload of what is no longer wanted.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use futures_util::stream::{self, BoxStream, StreamExt};
use hub::{Asking, DirtyRange, ErrorClass, HubError};
use tokio_util::io::StreamReader;

use super::cost;
use super::forever;
use super::queue::{Key, Progress};
use super::work::{FileWork, Means};
use crate::attr::{FileId, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind};
use crate::names::Content;
use crate::staging::{ReadPiece, Refusal, Snapshot, Staged};

/// Read from the staged copy at once.
const CHUNK: u64 = 4 << 20;

/// A file whose content is in the Hub's storage, not yet under its name.
pub struct Stored {
    pub work: FileWork,
    pub content: Content,
    /// The snapshot's generation and mtime; 0 for a file without a staged copy.
    pub generation: u64,
    pub mtime: Timestamp,
}

pub enum Outcome {
    Stored(Box<Stored>),
    /// Written to meanwhile: it will be quiet again.
    Changed,
    /// Several files failed together and one of them may be the reason: they are tried again apart.
    Apart(Vec<FileId>, HubError),
    Failed(FileId, HubError),
}

/// A file up to this size is sent without a question whether the storage has it: the question is a call for each file,
/// which takes longer than the bytes.
const SOONER_SENT: u64 = 256 << 10;
/// So few such files go along with larger ones; more are worth a session of their own.
const FEW: usize = 4;

/// So often a file is tried as an edit before it goes up whole.
const EDIT_TRIES: u32 = 2;

/// Stores the content of every file of the group; each file has an outcome of its own.
pub async fn store(fs: Arc<BucketFs>, group: Vec<FileWork>) -> Vec<Outcome> {
    let ids: Vec<FileId> = group.iter().map(|file| file.node.id).collect();
    let outcomes = store_group(&fs, group).await;
    for id in ids {
        fs.queue.progress(id, None);
    }
    outcomes
}

async fn store_group(fs: &Arc<BucketFs>, group: Vec<FileWork>) -> Vec<Outcome> {
    if let [one] = group.as_slice()
        && let Means::Upload(staged) = &one.means
        && staged.with_layout(cost::missing) >= cost::WORTH_ASKING
        // What fails as an edit, for whatever reason, may well do whole.
        && fs.queue.trouble(&Key::File(one.node.id)).is_none_or(|trouble| trouble.attempts < EDIT_TRIES)
        && let Ok(snapshot) = snapshot_of(fs, staged).await
        && let Some(edit) = edit_of(fs, &snapshot).await
    {
        match store_edit(fs, one.clone(), edit).await {
            Outcome::Failed(_, error) if error.class == ErrorClass::Rejected => {
                tracing::info!(%error, "the file is sent whole");
            }
            outcome => return vec![outcome],
        }
    }
    let (short, mut long): (Vec<FileWork>, Vec<FileWork>) =
        group.into_iter().partition(|file| file.size <= SOONER_SENT);
    if long.is_empty() || short.len() > FEW {
        let quickly = Box::pin(store_together(fs, short, Asking::Nobody));
        let (mut outcomes, more) = join(quickly, Box::pin(store_together(fs, long, Asking::Storage))).await;
        outcomes.extend(more);
        return outcomes;
    }
    long.extend(short);
    Box::pin(store_together(fs, long, Asking::Storage)).await
}

/// All in one session.
async fn store_together(fs: &Arc<BucketFs>, group: Vec<FileWork>, asking: Asking) -> Vec<Outcome> {
    if group.is_empty() {
        return Vec::new();
    }
    let session = match fs.bucket.start_upload(asking).await {
        Ok(session) => session,
        Err(error) => return fail(group.iter().map(|file| file.node.id).collect(), &error),
    };
    let mut stored = Vec::new();
    let mut outcomes = Vec::new();
    let mut rest = group.into_iter();
    while let Some(file) = rest.next() {
        match store_whole(fs, &session, file).await {
            Outcome::Stored(one) => stored.push(one),
            // Not this machine's disk: the session is done for, with all that is in it.
            Outcome::Failed(id, error) if error.class != ErrorClass::Local => {
                let mut ids: Vec<FileId> = stored.iter().map(|one| one.work.node.id).collect();
                ids.push(id);
                ids.extend(rest.map(|file| file.node.id));
                outcomes.extend(fail(ids, &error));
                return outcomes;
            }
            other => outcomes.push(other),
        }
    }
    match session.finish().await {
        Ok(()) => outcomes.extend(stored.into_iter().map(Outcome::Stored)),
        Err(error) => outcomes.extend(fail(stored.iter().map(|one| one.work.node.id).collect(), &error)),
    }
    outcomes
}

/// Files that failed together, by one error.
fn fail(ids: Vec<FileId>, error: &HubError) -> Vec<Outcome> {
    if ids.len() > 1 && may_be_one_files_fault(error) {
        return vec![Outcome::Apart(ids, error.clone())];
    }
    ids.into_iter().map(|id| Outcome::Failed(id, error.clone())).collect()
}

/// `false` for what strikes everybody alike.
pub fn may_be_one_files_fault(error: &HubError) -> bool {
    use ErrorClass as C;
    !matches!(error.class, C::Offline | C::SignIn | C::Forbidden | C::Cancelled)
        && error.retry_after().is_none()
}

async fn store_whole(fs: &Arc<BucketFs>, session: &hub::UploadSession, file: FileWork) -> Outcome {
    let id = file.node.id;
    let snapshot = match &file.means {
        Means::Upload(staged) => match snapshot_of(fs, staged).await {
            Ok(snapshot) => Some(snapshot),
            Err(error) => return no_snapshot(&file, error),
        },
        _ => None,
    };
    let (data, size): (BoxStream<'static, io::Result<Bytes>>, _) = match &snapshot {
        Some(snapshot) => {
            let size = snapshot.layout.size;
            (paced(fs, content_of(fs.clone(), snapshot.clone(), 0..size)), size)
        }
        None => (stream::empty().boxed(), 0),
    };
    let progress = {
        let fs = fs.clone();
        move |done| fs.queue.progress(id, Some(Progress { done, total: size, committing: false }))
    };
    progress(0);
    let name = file.node.display_name();
    match session.add(&name, size, data, progress).await {
        Ok(done) => {
            let content = Content { hash: done.hash, size: done.size };
            stored(file, snapshot.as_deref(), content)
        }
        Err(error) => judge(&file, snapshot.as_deref(), error),
    }
}

/// What of the file is to go up, as it is now: all of it when it is finished, else what is committed of a file
/// that is written for ever.
async fn snapshot_of(fs: &BucketFs, staged: &Arc<Staged>) -> Result<Arc<Snapshot>, Refusal> {
    let open = staged.with_layout(|layout| !layout.unstable.is_empty());
    let prefix = match open {
        false => None,
        true => Some(forever::due(fs, staged).ok_or(Refusal::Retired)?),
    };
    let staged = staged.clone();
    let snapshot = blocking(move || Ok(staged.snapshot(prefix))).await;
    snapshot.unwrap_or(Err(Refusal::Retired)).map(Arc::new)
}

/// Written to since somebody looked, or the disk failed.
fn no_snapshot(file: &FileWork, refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Disk(error) => {
            let error = Error::disk(format!("reading {}", file.node.display_name()), &error);
            Outcome::Failed(file.node.id, HubError::new(hub::ErrorClass::Local, error.what))
        }
        _ => Outcome::Changed,
    }
}

/// The content is in the Hub's storage.
fn stored(file: FileWork, snapshot: Option<&Snapshot>, content: Content) -> Outcome {
    let (generation, mtime) = match snapshot {
        // A part of a file never makes it clean.
        Some(snapshot) if !snapshot.whole => (u64::MAX, snapshot.layout.mtime),
        Some(snapshot) => (snapshot.layout.generation, snapshot.layout.mtime),
        None => (0, file.node.mtime),
    };
    if let Means::Upload(staged) = &file.means {
        staged.sent_in_between(content.size);
    }
    Outcome::Stored(Box::new(Stored { work: file, content, generation, mtime }))
}

/// A failure of a file that was cut or removed meanwhile is no failure.
fn judge(file: &FileWork, snapshot: Option<&Snapshot>, error: HubError) -> Outcome {
    match &file.means {
        Means::Upload(staged) if staged.is_retired() || snapshot.is_some_and(Snapshot::is_broken) => {
            Outcome::Changed
        }
        _ => Outcome::Failed(file.node.id, error),
    }
}

/// As fast as the limit on uploads allows.
fn paced(
    fs: &Arc<BucketFs>,
    bytes: BoxStream<'static, io::Result<Bytes>>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let fs = fs.clone();
    let pieces = bytes.then(move |piece| {
        let fs = fs.clone();
        async move {
            fs.queue.pace.take(piece.as_ref().map_or(0, |bytes| bytes.len() as u64)).await;
            piece
        }
    });
    pieces.boxed()
}

/// An edit of stored content, in the coordinates of the original.
struct Edit {
    base: Content,
    snapshot: Arc<Snapshot>,
    size: u64,
    /// (range of the original that is replaced, range of the file that replaces it)
    parts: Vec<(Range<u64>, Range<u64>)>,
    /// How long it may take.
    patience: Duration,
}

/// The file as an edit of its base, where that is cheaper than sending it whole (`cost.rs`).
async fn edit_of(fs: &BucketFs, snapshot: &Arc<Snapshot>) -> Option<Edit> {
    let layout = &snapshot.layout;
    let base = layout.base.clone().filter(|base| base.size > 0)?;
    let missing = cost::missing(layout);
    let segments = match fs.bucket.segments(&base.hash).await {
        Ok(Some(segments)) => segments,
        Ok(None) => return None, // the base is gone: what there is of it is on this machine
        Err(error) => {
            tracing::warn!(%error, "the pieces of a file are not known; it is sent whole");
            return None;
        }
    };
    let parts = cost::parts(layout);
    let replaced: Vec<Range<u64>> = parts.iter().map(|(original, _)| original.clone()).collect();
    let fetched = cost::fetched(&segments, &replaced);
    if !cost::ranges_are_cheaper(fetched, missing) {
        return None;
    }
    let limit = fs.queue.settings().limits.upload_bytes_per_s;
    let patience = cost::patience(fetched + layout.local_bytes(), limit);
    Some(Edit { base, snapshot: snapshot.clone(), size: layout.size, parts, patience })
}

async fn store_edit(fs: &Arc<BucketFs>, file: FileWork, edit: Edit) -> Outcome {
    let id = file.node.id;
    fs.queue.progress(id, Some(Progress { done: 0, total: edit.size, committing: false }));
    let dirty = edit
        .parts
        .into_iter()
        .map(|(original, ours)| DirtyRange {
            range: original,
            new_length: ours.end - ours.start,
            reader: Box::new(StreamReader::new(paced(
                fs,
                content_of(fs.clone(), edit.snapshot.clone(), ours),
            ))),
        })
        .collect();
    match fs.bucket.upload_ranges(&edit.base.hash, edit.base.size, dirty, edit.patience).await {
        Ok(done) if done.size == edit.size => {
            let content = Content { hash: done.hash, size: done.size };
            stored(file, Some(&edit.snapshot), content)
        }
        Ok(done) => judge(
            &file,
            Some(&edit.snapshot),
            HubError::broken(format!("The Hub stored {} bytes of {} for {id}.", done.size, edit.size)),
        ),
        Err(error) => judge(&file, Some(&edit.snapshot), error),
    }
}

/// The snapshot's bytes in order, local or of the base.
fn content_of(
    fs: Arc<BucketFs>,
    snapshot: Arc<Snapshot>,
    range: Range<u64>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let chunks = stream::try_unfold(range, move |rest| {
        let (fs, snapshot) = (fs.clone(), snapshot.clone());
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let next = rest.start..rest.end.min(rest.start + CHUNK);
            let pieces = chunk(&fs, snapshot, next.clone()).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Some((stream::iter(pieces.into_iter().map(Ok)), next.end..rest.end)))
        }
    });
    futures_util::TryStreamExt::try_flatten(chunks).boxed()
}

async fn chunk(
    fs: &BucketFs,
    snapshot: Arc<Snapshot>,
    range: Range<u64>,
) -> crate::error::Result<Vec<Bytes>> {
    let wanted = range.end - range.start;
    let pieces = blocking(move || Ok(snapshot.read(range))).await?.map_err(|refusal| match refusal {
        Refusal::Disk(error) => Error::disk("reading a staged copy", &error),
        _ => Error::new(ErrorKind::Slow, "The file was cut while it was being sent."),
    })?;
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            ReadPiece::Bytes(piece) => bytes.push(piece),
            ReadPiece::Base(base, range) => {
                bytes.extend(fs.content.read(&base.hash, base.size, range).await?)
            }
        }
    }
    match bytes.iter().map(|piece| piece.len() as u64).sum::<u64>() == wanted {
        true => Ok(bytes),
        false => Err(Error::new(ErrorKind::Damaged, "A staged copy is shorter than its sidecar says.")),
    }
}
