//! Bringing the bytes of staged files to the Hub's storage. Nothing is visible there before `save` names it.
//!
//! An upload is a snapshot of a finished file (design.md promise 7): the layout's generation is noted before
//! the first byte and compared after every read; a write in between ends the upload of that file, which is
//! quiet again later. Writers never wait.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use hub::{DirtyRange, ErrorClass, HubError};
use tokio_util::io::StreamReader;

use super::cost;
use super::queue::Progress;
use super::work::{FileWork, Means};
use crate::attr::{FileId, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::names::Content;
use crate::staging::{ReadPiece, Staged};

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
        && let Some(edit) = edit_of(fs, staged).await
    {
        return vec![store_edit(fs, one.clone(), staged.clone(), edit).await];
    }
    let session = match fs.bucket.start_upload().await {
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
    let (data, generation, size, mtime): (BoxStream<'static, io::Result<Bytes>>, _, _, _) = match &file.means
    {
        Means::Upload(staged) => {
            let (generation, size, mtime) =
                staged.with_layout(|layout| (layout.generation, layout.size, layout.mtime));
            let bytes = content_of(fs.clone(), staged.clone(), 0..size, generation);
            (paced(fs, bytes), generation, size, mtime)
        }
        _ => (stream::empty().boxed(), 0, 0, file.node.mtime),
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
            Outcome::Stored(Box::new(Stored { work: file, content, generation, mtime }))
        }
        Err(error) => judge(&file, generation, error),
    }
}

/// A failure of a file that was written to meanwhile is no failure.
fn judge(file: &FileWork, generation: u64, error: HubError) -> Outcome {
    match &file.means {
        Means::Upload(staged)
            if staged.is_retired() || staged.with_layout(|layout| layout.generation != generation) =>
        {
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
    generation: u64,
    mtime: Timestamp,
    size: u64,
    /// (range of the original that is replaced, range of the file that replaces it)
    parts: Vec<(Range<u64>, Range<u64>)>,
    /// How long it may take.
    patience: Duration,
}

/// The file as an edit of its base, where that is cheaper than sending it whole (`cost.rs`).
async fn edit_of(fs: &BucketFs, staged: &Staged) -> Option<Edit> {
    let (mut edit, missing, new) = staged.with_layout(|layout| {
        let base = layout.base.clone().filter(|base| base.size > 0)?;
        let missing = cost::missing(layout);
        let new = layout.local_bytes();
        let (generation, mtime, size) = (layout.generation, layout.mtime, layout.size);
        let edit =
            Edit { base, generation, mtime, size, parts: cost::parts(layout), patience: Duration::ZERO };
        Some((edit, missing, new))
    })?;
    if missing < cost::WORTH_ASKING {
        return None;
    }
    let segments = match fs.bucket.segments(&edit.base.hash).await {
        Ok(Some(segments)) => segments,
        Ok(None) => return None, // the base is gone: what there is of it is on this machine
        Err(error) => {
            tracing::warn!(%error, "the pieces of a file are not known; it is sent whole");
            return None;
        }
    };
    let replaced: Vec<Range<u64>> = edit.parts.iter().map(|(original, _)| original.clone()).collect();
    let fetched = cost::fetched(&segments, &replaced);
    if !cost::ranges_are_cheaper(fetched, missing) {
        return None;
    }
    edit.patience = cost::patience(fetched + new, fs.queue.settings().limits.upload_bytes_per_s);
    Some(edit)
}

async fn store_edit(fs: &Arc<BucketFs>, file: FileWork, staged: Arc<Staged>, edit: Edit) -> Outcome {
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
                content_of(fs.clone(), staged.clone(), ours, edit.generation),
            ))),
        })
        .collect();
    match fs.bucket.upload_ranges(&edit.base.hash, edit.base.size, dirty, edit.patience).await {
        Ok(done) if done.size == edit.size => {
            let content = Content { hash: done.hash, size: done.size };
            let (generation, mtime) = (edit.generation, edit.mtime);
            Outcome::Stored(Box::new(Stored { work: file, content, generation, mtime }))
        }
        Ok(done) => judge(
            &file,
            edit.generation,
            HubError::broken(format!("The Hub stored {} bytes of {} for {id}.", done.size, edit.size)),
        ),
        Err(error) => judge(&file, edit.generation, error),
    }
}

/// The file's bytes in order, local or of the base; ends with an error as soon as the file has changed.
fn content_of(
    fs: Arc<BucketFs>,
    staged: Arc<Staged>,
    range: Range<u64>,
    generation: u64,
) -> BoxStream<'static, io::Result<Bytes>> {
    let chunks = stream::try_unfold(range, move |rest| {
        let (fs, staged) = (fs.clone(), staged.clone());
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let next = rest.start..rest.end.min(rest.start + CHUNK);
            let pieces = chunk(&fs, staged, next.clone(), generation).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Some((stream::iter(pieces.into_iter().map(Ok)), next.end..rest.end)))
        }
    });
    futures_util::TryStreamExt::try_flatten(chunks).boxed()
}

async fn chunk(fs: &BucketFs, staged: Arc<Staged>, range: Range<u64>, generation: u64) -> Result<Vec<Bytes>> {
    let wanted = range.end - range.start;
    let plan = {
        let staged = staged.clone();
        blocking(move || Ok(staged.read(range))).await?.map_err(|_| changed())?
    };
    let mut bytes = Vec::new();
    for piece in plan.pieces {
        match piece {
            ReadPiece::Bytes(piece) => bytes.push(piece),
            ReadPiece::Base(base, range) => {
                bytes.extend(fs.content.read(&base.hash, base.size, range).await?)
            }
        }
    }
    let whole = bytes.iter().map(|piece| piece.len() as u64).sum::<u64>() == wanted;
    if !whole || staged.with_layout(|layout| layout.generation != generation || layout.in_flight > 0) {
        return Err(changed());
    }
    Ok(bytes)
}

fn changed() -> Error {
    Error::new(ErrorKind::Slow, "The file was written to while it was being sent.")
}
