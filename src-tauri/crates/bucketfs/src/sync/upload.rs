//! Bringing the bytes of staged files to the Hub's storage. Nothing is visible there before `save` names it.
//!
//! An upload is a snapshot of a finished file (design.md promise 7): the layout's generation is noted before
//! the first byte and compared after every read; a write in between ends the upload of that file, which is
//! quiet again later. Writers never wait.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use hub::{DirtyRange, HubError};
use tokio_util::io::StreamReader;

use super::queue::Progress;
use super::work::{FileWork, Means};
use crate::attr::{FileId, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::names::Content;
use crate::staging::{Piece, ReadPiece, Staged};

/// Read from the staged copy at once.
const CHUNK: u64 = 4 << 20;
/// Files up to this size share sessions: one session costs several calls.
const SMALL: u64 = 8 << 20;
const GROUP_FILES: usize = 256;
const GROUP_BYTES: u64 = 64 << 20;
/// A range upload fetches up to one segment of the base for each segment touched (hub-api.md 5.2); below
/// this much missing content a plain upload, which deduplicates, is cheaper.
const WORTH_RANGES: u64 = 96 << 20;

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
    Changed(FileId),
    Failed(FileId, HubError),
}

/// Files that go up together.
pub fn groups(files: Vec<FileWork>) -> Vec<Vec<FileWork>> {
    let mut groups: Vec<Vec<FileWork>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        let joins = file.size <= SMALL
            && bytes + file.size <= GROUP_BYTES
            && groups.last().is_some_and(|group| group.len() < GROUP_FILES && group[0].size <= SMALL);
        match groups.last_mut() {
            Some(group) if joins => group.push(file),
            _ => {
                groups.push(vec![file]);
                bytes = 0;
            }
        }
        bytes += groups.last().and_then(|group| group.last()).map_or(0, |file| file.size);
    }
    groups
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
        && let Some(edit) = edit_of(staged)
    {
        return vec![store_edit(fs, one.clone(), staged.clone(), edit).await];
    }
    let session = match fs.bucket.start_upload().await {
        Ok(session) => session,
        Err(error) => return fail_all(group, &error),
    };
    let mut stored = Vec::new();
    let mut outcomes = Vec::new();
    for file in group {
        match store_whole(fs, &session, file).await {
            Outcome::Stored(one) => stored.push(one),
            other => outcomes.push(other),
        }
    }
    match session.finish().await {
        Ok(()) => outcomes.extend(stored.into_iter().map(Outcome::Stored)),
        Err(error) => outcomes.extend(fail_all(stored.into_iter().map(|one| one.work).collect(), &error)),
    }
    outcomes
}

fn fail_all(group: Vec<FileWork>, error: &HubError) -> Vec<Outcome> {
    group.into_iter().map(|file| Outcome::Failed(file.node.id, error.clone())).collect()
}

async fn store_whole(fs: &Arc<BucketFs>, session: &hub::UploadSession, file: FileWork) -> Outcome {
    let id = file.node.id;
    let (data, generation, size, mtime): (BoxStream<'static, io::Result<Bytes>>, _, _, _) = match &file.means
    {
        Means::Upload(staged) => {
            let (generation, size, mtime) =
                staged.with_layout(|layout| (layout.generation, layout.size, layout.mtime));
            (content_of(fs.clone(), staged.clone(), 0..size, generation), generation, size, mtime)
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
            Outcome::Changed(file.node.id)
        }
        _ => Outcome::Failed(file.node.id, error),
    }
}

/// An edit of stored content, in the coordinates of the original.
struct Edit {
    base: Content,
    generation: u64,
    mtime: Timestamp,
    size: u64,
    /// (range of the original that is replaced, range of the file that replaces it)
    parts: Vec<(Range<u64>, Range<u64>)>,
}

/// The file as an edit of its base, where that is cheaper than sending it whole.
fn edit_of(staged: &Staged) -> Option<Edit> {
    staged.with_layout(|layout| {
        let base = layout.base.clone()?;
        let missing: u64 = layout
            .pieces(0..layout.size)
            .iter()
            .filter(|piece| matches!(piece, Piece::Base(_)))
            .map(|piece| piece.range().end - piece.range().start)
            .sum();
        if missing < WORTH_RANGES {
            return None;
        }
        let kept = layout.base_visible;
        let mut parts: Vec<_> = layout
            .local
            .overlapping(0..kept)
            .map(|range| range.start..range.end.min(kept))
            .map(|range| (range.clone(), range))
            .collect();
        if base.size > kept || layout.size > kept {
            parts.push((kept..base.size, kept..layout.size));
        }
        Some(Edit { base, generation: layout.generation, mtime: layout.mtime, size: layout.size, parts })
    })
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
            reader: Box::new(StreamReader::new(content_of(
                fs.clone(),
                staged.clone(),
                ours,
                edit.generation,
            ))),
        })
        .collect();
    match fs.bucket.upload_ranges(&edit.base.hash, edit.base.size, dirty).await {
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
