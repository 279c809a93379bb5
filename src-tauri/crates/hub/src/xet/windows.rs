//! A large content goes up in windows, so that memory stays bounded.
//!
//! Xet gathers 64 MiB of a content (a xorb), packs that, and holds the pack until it is sent: with the next one being
//! gathered and some on their way, half a gigabyte. A window is some 16 MiB that are gathered, packed and sent by
//! themselves; the content is composed of them, as an edit is (`edit`). Its chunks, and so its hash and what is found
//! to be stored already, are those of a whole upload: where a window ends, the chunk that the end cut short is left
//! out of it, and begins the next one.

use std::collections::VecDeque;

use bytes::Bytes;
use xet_core_structures::merklehash::{ChunkHashList, file_hash};
use xet_core_structures::metadata_shard::file_structs::{FileDataSequenceEntry, MDBFileInfo};
use xet_data::deduplication::constants::{MAXIMUM_CHUNK_MULTIPLIER, TARGET_CHUNK_SIZE};
use xet_data::processing::SingleFileCleaner;

use super::composed::{composed, proof};
use super::upload::{UploadSession, Uploaded, undisturbed};
use crate::error::HubError;

/// Bytes of a window: what an upload holds several times.
pub(super) const WINDOW: u64 = 16 << 20;

/// A content on its way up.
pub(super) struct Windows<'a> {
    session: &'a UploadSession,
    failure: &'a str,
    cleaner: SingleFileCleaner,
    filled: u64,
    /// What was taken last, at least a chunk's length.
    recent: VecDeque<Bytes>,
    whole: Composition,
}

impl<'a> Windows<'a> {
    pub fn begin(session: &'a UploadSession, failure: &'a str) -> Result<Windows<'a>, HubError> {
        let cleaner = session.cleaner(failure, None)?;
        let (recent, whole) = (VecDeque::new(), Composition::default());
        Ok(Windows { session, failure, cleaner, filled: 0, recent, whole })
    }

    /// Takes the next bytes.
    pub async fn take(&mut self, block: Bytes) -> Result<(), HubError> {
        if self.filled >= WINDOW {
            self.turn().await?;
        }
        self.feed(block).await
    }

    /// Registers the content; stored with the session.
    pub async fn finish(mut self) -> Result<Uploaded, HubError> {
        let (chunks, segments) = done(self.session, self.failure, self.cleaner).await?;
        self.whole.add(chunks, segments)?;
        let info = self.whole.info()?;
        let uploaded = Uploaded { hash: info.metadata.file_hash.hex(), size: info.file_size() };
        self.session.compose(self.failure, info).await?;
        Ok(uploaded)
    }

    /// Ends the window and begins the next one.
    async fn turn(&mut self) -> Result<(), HubError> {
        let next = self.session.cleaner(self.failure, None)?;
        let full = std::mem::replace(&mut self.cleaner, next);
        let (mut chunks, mut segments) = done(self.session, self.failure, full).await?;
        let cut = without_last(&mut chunks, &mut segments)?;
        self.whole.add(chunks, segments)?;
        self.filled = 0;
        for part in last(&self.recent, cut)? {
            self.feed(part).await?;
        }
        Ok(())
    }

    async fn feed(&mut self, block: Bytes) -> Result<(), HubError> {
        self.filled += block.len() as u64;
        self.recent.push_back(block.clone());
        let longest_chunk = *TARGET_CHUNK_SIZE * *MAXIMUM_CHUNK_MULTIPLIER;
        let mut held: usize = self.recent.iter().map(Bytes::len).sum();
        while let Some(oldest) = self.recent.front().map(Bytes::len).filter(|len| held - len >= longest_chunk)
        {
            self.recent.pop_front();
            held -= oldest;
        }
        self.session.moving(self.failure, self.cleaner.add_data_from_bytes(block)).await
    }
}

async fn done(
    session: &UploadSession,
    failure: &str,
    cleaner: SingleFileCleaner,
) -> Result<(ChunkHashList, Vec<FileDataSequenceEntry>), HubError> {
    let done = session.moving(failure, undisturbed(cleaner.finish_with_chunks_detached())).await?;
    let (_, chunks, info, _) = done;
    Ok((chunks, info.segments))
}

/// Takes the last chunk away, whose length it answers.
fn without_last(
    chunks: &mut ChunkHashList,
    segments: &mut Vec<FileDataSequenceEntry>,
) -> Result<usize, HubError> {
    let (Some((_, cut)), Some(segment)) = (chunks.pop(), segments.last_mut()) else {
        return Err(unfitting());
    };
    segment.chunk_index_end -= 1;
    segment.unpacked_segment_bytes = u32::try_from(cut)
        .ok()
        .and_then(|cut| segment.unpacked_segment_bytes.checked_sub(cut))
        .ok_or_else(unfitting)?;
    if segment.chunk_index_end == segment.chunk_index_start {
        segments.pop();
    }
    usize::try_from(cut).map_err(|_| unfitting())
}

/// The last `count` bytes of `blocks`.
fn last(blocks: &VecDeque<Bytes>, count: usize) -> Result<Vec<Bytes>, HubError> {
    let (mut parts, mut left) = (VecDeque::new(), count);
    for block in blocks.iter().rev() {
        let part = block.len().min(left);
        left -= part;
        parts.push_front(block.slice(block.len() - part..));
        if left == 0 {
            return Ok(parts.into());
        }
    }
    Err(unfitting())
}

/// What the windows make together.
#[derive(Default)]
struct Composition {
    chunks: ChunkHashList,
    segments: Vec<FileDataSequenceEntry>,
}

impl Composition {
    fn add(&mut self, chunks: ChunkHashList, segments: Vec<FileDataSequenceEntry>) -> Result<(), HubError> {
        let named: u64 = segments.iter().map(chunks_of).sum();
        if named != chunks.len() as u64 {
            return Err(unfitting());
        }
        self.chunks.extend(chunks);
        for segment in segments {
            match self.segments.last_mut().and_then(|last| joined(last, &segment)) {
                Some(longer) => {
                    self.segments.pop();
                    self.segments.push(longer);
                }
                None => self.segments.push(segment),
            }
        }
        Ok(())
    }

    fn info(self) -> Result<MDBFileInfo, HubError> {
        let size: u64 = self.chunks.iter().map(|(_, length)| length).sum();
        let hash = file_hash(&self.chunks);
        let mut rest = self.chunks.as_slice();
        let pieces = self.segments.into_iter().map(|segment| {
            let (mine, others) = rest.split_at(chunks_of(&segment) as usize);
            rest = others;
            (segment, proof(mine))
        });
        composed(hash, size, pieces).ok_or_else(unfitting)
    }
}

fn chunks_of(segment: &FileDataSequenceEntry) -> u64 {
    u64::from(segment.chunk_index_end.saturating_sub(segment.chunk_index_start))
}

/// Two runs of one xorb as one, where the second follows the first.
fn joined(first: &FileDataSequenceEntry, second: &FileDataSequenceEntry) -> Option<FileDataSequenceEntry> {
    if first.xorb_hash != second.xorb_hash || first.chunk_index_end != second.chunk_index_start {
        return None;
    }
    let mut both = first.clone();
    both.chunk_index_end = second.chunk_index_end;
    both.unpacked_segment_bytes = first.unpacked_segment_bytes.checked_add(second.unpacked_segment_bytes)?;
    Some(both)
}

fn unfitting() -> HubError {
    HubError::broken("The parts of a large file do not fit together")
        .with_advice("Nothing to do: it is uploaded again.")
}
