//! Edits: new content out of stored content and the changed bytes, without the untouched ones.
//!
//! A stored content is a row of *segments*, runs of chunks of one xorb. The storage tells the *windows* that an edit
//! changes the chunks of (`/v2/file-chunk-hashes`, hub-api.md 4.1): from a chunk's edge before it to the edge behind it
//! where chunking is in step again. Only windows are cut into chunks and sent anew. Of the segments they lie in, what is
//! left on either side is named by chunks of the same xorb; the storage wants those chunks' hashes as proof, so that
//! rest is fetched once and chunked here. Everything else is named by its segment as it was.
//!
//! Why not `xet_data::processing::upload_ranges` 1.8.0: it asks for whole segments and takes for granted that the
//! windows in the answer end where segments do. They end some chunks later, and it then leaves out the rest of the
//! segment behind, under a right hash and size (seen: 134 of 157 MB stored). It also sends the whole touched segment
//! again wherever the storage's deduplication does not happen to know its chunks.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use xet_client::cas_types::{FileChunkHashesResponse, FileRange};
use xet_core_structures::merklehash::{ChunkHashList, MerkleHash, MerkleHashSubtree};
use xet_core_structures::metadata_shard::file_structs::{FileDataSequenceEntry, FileVerificationEntry};
use xet_data::deduplication::Chunker;
use xet_data::deduplication::constants::TARGET_CHUNK_SIZE;
use xet_data::processing::SingleFileCleaner;

use super::composed::{Piece, composed, proof};
use super::tokens::Scope;
use super::upload::{Asking, UploadSession, Uploaded, undisturbed, within};
use super::{failure, read};
use crate::bucket::Bucket;
use crate::error::{ErrorClass, HubError};

const FAILURE: &str = "Uploading the changed parts failed";
/// A content in more pieces than this is sent whole, which puts it in order again: each piece is a fetch of its own
/// for everybody who reads it.
const MOST_SEGMENTS: usize = 4096;
/// More changes than this at once are a whole upload's: the question is one header line.
const MOST_QUESTIONS: usize = 500;
/// Changes that are closer than a chunk have one window anyway.
const ONE_QUESTION: u64 = 64 << 10;
/// Bytes taken from a reader at a time.
const BLOCK: u64 = 1 << 20;

/// One replacement within a stored content: `range` (in the original's coordinates) becomes the
/// `new_length` bytes `reader` yields. An empty range inserts; a length of 0 removes.
pub struct DirtyRange {
    pub range: Range<u64>,
    pub new_length: u64,
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
}

/// The content that is edited.
struct Original {
    hash: MerkleHash,
    size: u64,
    segments: Vec<Segment>,
}

struct Segment {
    entry: FileDataSequenceEntry,
    range: Range<u64>,
}

/// What of the original stays, goes, and is proven by the storage.
struct Windows {
    windows: Vec<Range<u64>>,
    /// Hashes of the chunks before, between and behind the windows, folded.
    gaps: Vec<Option<MerkleHashSubtree>>,
    /// Proofs of the segments that no window touches, in order.
    proofs: Vec<MerkleHash>,
}

/// A window's new content.
struct Renewed {
    chunks: ChunkHashList,
    pieces: Vec<Piece>,
}

impl Bucket {
    /// Stores an edited version of the content `base_hash` of `base_size` bytes without having its
    /// untouched bytes. `dirty` is sorted and doesn't overlap. The result's hash is the one a whole
    /// upload would get. On return the content is stored. Downloads what is untouched of each segment
    /// (at most 64 MiB) that a change lies in: with all bytes at hand a whole upload is cheaper.
    ///
    /// `patience` bounds the whole: how much comes and goes, and how fast, the caller knows.
    /// `Rejected`: this can't be done as an edit; upload the whole content.
    pub async fn upload_ranges(
        &self,
        base_hash: &str,
        base_size: u64,
        dirty: Vec<DirtyRange>,
        patience: Duration,
    ) -> Result<Uploaded, HubError> {
        let hash = read::parse_hash(base_hash)?;
        if dirty.is_empty() {
            return Ok(Uploaded { hash: base_hash.to_owned(), size: base_size });
        }
        within(patience, FAILURE, Box::pin(self.edit(hash, base_size, dirty))).await.map_err(|mut error| {
            // A storage that does not know the calls of an edit answers these.
            if matches!(error.status, Some(404 | 501)) {
                error.class = ErrorClass::Rejected;
            }
            error
        })
    }

    async fn edit(
        &self,
        hash: MerkleHash,
        size: u64,
        mut dirty: Vec<DirtyRange>,
    ) -> Result<Uploaded, HubError> {
        let ranges: Vec<Range<u64>> = dirty.iter().map(|one| one.range.clone()).collect();
        let new_size = new_size(&dirty, size)?;
        let original = self.original(hash, size).await?;
        let plan = self.windows(&original, &ranges).await?;
        let mut pieces = plan.untouched(&original);
        for segment in &original.segments {
            pieces.extend(self.left_of(&original, segment, &plan.windows).await?);
        }
        let session = self.start_upload(Asking::Storage).await?;
        let mut renewed = Vec::new();
        for window in &plan.windows {
            let mine = dirty.iter().take_while(|one| asked(&one.range, size).end <= window.end).count();
            let edits: Vec<DirtyRange> = dirty.drain(..mine).collect();
            let content = self.renew(&session, &original, window, edits).await?;
            pieces.extend(content.pieces.iter().cloned().map(|piece| (window.start, piece)));
            renewed.push(content);
        }
        // Stable: a window's pieces keep their order.
        pieces.sort_by_key(|(at, _)| *at);
        let hash = plan.new_hash(&renewed)?;
        let info = composed(hash, new_size, pieces.into_iter().map(|(_, piece)| piece))
            .ok_or_else(|| cannot("its pieces do not add up"))?;
        session.compose(FAILURE, info).await?;
        session.finish().await?;
        self.stored_whole(hash, new_size).await?;
        Ok(Uploaded { hash: hash.hex(), size: new_size })
    }

    async fn original(&self, hash: MerkleHash, size: u64) -> Result<Original, HubError> {
        let side = self.state.xet.side(Scope::Write).await?;
        let found = side.client.get_file_reconstruction_info(&hash).await;
        let (info, _) =
            found.map_err(|e| failure::of_client(e, FAILURE))?.ok_or_else(|| cannot("it is gone"))?;
        if info.file_size() != size || info.segments.is_empty() {
            return Err(cannot("its length is another"));
        }
        if info.segments.len() > MOST_SEGMENTS {
            return Err(cannot("it is in too many pieces"));
        }
        let mut end = 0;
        let segments = info.segments.into_iter().map(|entry| {
            let start = end;
            end += u64::from(entry.unpacked_segment_bytes);
            Segment { entry, range: start..end }
        });
        Ok(Original { hash, size, segments: segments.collect() })
    }

    async fn windows(&self, original: &Original, ranges: &[Range<u64>]) -> Result<Windows, HubError> {
        let side = self.state.xet.side(Scope::Write).await?;
        let question = merged(ranges.iter().map(|range| asked(range, original.size)));
        if question.len() > MOST_QUESTIONS {
            return Err(cannot("it was changed in too many places"));
        }
        let question = question.into_iter().map(|range| FileRange::new(range.start, range.end)).collect();
        let answer = side.client.get_file_chunk_hashes(&original.hash, question).await;
        Windows::new(answer.map_err(|e| failure::of_client(e, FAILURE))?, original, ranges)
    }

    /// What windows leave of a segment they touch, as runs of its chunks with their proofs.
    async fn left_of(
        &self,
        original: &Original,
        segment: &Segment,
        windows: &[Range<u64>],
    ) -> Result<Vec<(u64, Piece)>, HubError> {
        let parts = parts_outside(&segment.range, windows);
        if parts == [segment.range.clone()] {
            return Ok(Vec::new());
        }
        let (first, end) = (segment.entry.chunk_index_start, segment.entry.chunk_index_end);
        let at_an_edge =
            |part: &Range<u64>| part.start == segment.range.start || part.end == segment.range.end;
        if !parts.iter().all(at_an_edge) {
            // A part between two windows: its chunks can be counted from the segment's start only.
            let chunks = self.chunks(original, segment.range.clone()).await?;
            return runs_within(segment, &chunks, &parts);
        }
        let (mut pieces, mut counted) = (Vec::new(), 0);
        for part in parts {
            let chunks = self.chunks(original, part.clone()).await?;
            let count = u32::try_from(chunks.len()).map_err(|_| cannot("it has too many chunks"))?;
            counted += count;
            let start = match part.start == segment.range.start {
                true => first,
                false => end.checked_sub(count).ok_or_else(|| cannot("its chunks are other ones"))?,
            };
            pieces.push((part.start, run(&segment.entry, start, &chunks)?));
        }
        // The window has chunks too.
        if !pieces.is_empty() && counted >= end - first {
            return Err(cannot("its chunks are other ones"));
        }
        Ok(pieces)
    }

    /// Hashes and lengths of the chunks of a range that begins and ends at chunks' edges.
    async fn chunks(&self, original: &Original, range: Range<u64>) -> Result<ChunkHashList, HubError> {
        let mut bytes = self.read(&original.hash.hex(), original.size, range);
        let mut chunker = Chunker::new(*TARGET_CHUNK_SIZE);
        let mut list = Vec::new();
        while let Some(block) = bytes.try_next().await? {
            let chunks = chunker.next_block_bytes(&block, false);
            list.extend(chunks.iter().map(|chunk| (chunk.hash, chunk.data.len() as u64)));
        }
        list.extend(chunker.finish().iter().map(|chunk| (chunk.hash, chunk.data.len() as u64)));
        Ok(list)
    }

    async fn renew(
        &self,
        session: &UploadSession,
        original: &Original,
        window: &Range<u64>,
        edits: Vec<DirtyRange>,
    ) -> Result<Renewed, HubError> {
        let mut cleaner = session.cleaner(FAILURE, None)?;
        let mut at = window.start;
        for mut edit in edits {
            self.keep(session, &mut cleaner, original, at..edit.range.start).await?;
            insert(session, &mut cleaner, &mut edit).await?;
            at = edit.range.end;
        }
        self.keep(session, &mut cleaner, original, at..window.end).await?;
        let done = session.moving(FAILURE, undisturbed(cleaner.finish_with_chunks_detached())).await?;
        let (_, chunks, info, _) = done;
        if info.segments.len() != info.verification.len() {
            return Err(cannot("a changed part has no proofs"));
        }
        Ok(Renewed { chunks, pieces: info.segments.into_iter().zip(info.verification).collect() })
    }

    /// Bytes of the original as they were.
    async fn keep(
        &self,
        session: &UploadSession,
        cleaner: &mut SingleFileCleaner,
        original: &Original,
        range: Range<u64>,
    ) -> Result<(), HubError> {
        let mut bytes = self.read(&original.hash.hex(), original.size, range);
        while let Some(block) = bytes.try_next().await? {
            session.moving(FAILURE, cleaner.add_data_from_bytes(block)).await?;
        }
        Ok(())
    }

    /// The last guard: what the storage now has under the new hash is as long as it should be.
    async fn stored_whole(&self, hash: MerkleHash, size: u64) -> Result<(), HubError> {
        let side = self.state.xet.side(Scope::Write).await?;
        let found = side.client.get_file_reconstruction_info(&hash).await;
        match found.map_err(|e| failure::of_client(e, FAILURE))? {
            Some((info, _)) if info.file_size() == size => Ok(()),
            _ => Err(cannot("the storage put it together otherwise")),
        }
    }
}

async fn insert(
    session: &UploadSession,
    cleaner: &mut SingleFileCleaner,
    edit: &mut DirtyRange,
) -> Result<(), HubError> {
    let mut left = edit.new_length;
    while left > 0 {
        let block = next_block(&mut edit.reader, left).await?;
        left -= block.len() as u64;
        session.moving(FAILURE, cleaner.add_data_from_bytes(block)).await?;
    }
    Ok(())
}

async fn next_block(reader: &mut (impl AsyncRead + Unpin), left: u64) -> Result<Bytes, HubError> {
    let mut block = BytesMut::with_capacity(left.min(BLOCK) as usize);
    let mut reader = reader.take(left.min(BLOCK));
    while reader.limit() > 0 {
        let read = reader.read_buf(&mut block).await;
        match read.map_err(|e| HubError::local("Reading a changed part for the upload failed.", e))? {
            0 => {
                let what = "A changed part is shorter than it was; it changed while it was read.";
                return Err(HubError::new(ErrorClass::Local, what)
                    .with_advice("Nothing to do: it is uploaded again."));
            }
            _ => continue,
        }
    }
    Ok(block.freeze())
}

impl Windows {
    /// Takes the storage's answer only if it fits the question and the segments: what is left out or told twice would
    /// be a hole in the new content.
    fn new(
        answer: FileChunkHashesResponse,
        original: &Original,
        ranges: &[Range<u64>],
    ) -> Result<Windows, HubError> {
        let windows: Vec<Range<u64>> =
            answer.windows.iter().map(|one| one.dirty_byte_range[0]..one.dirty_byte_range[1]).collect();
        let in_order = windows.windows(2).all(|pair| pair[0].end <= pair[1].start);
        let inside = windows.iter().all(|one| one.start < one.end && one.end <= original.size);
        let all_there = ranges
            .iter()
            .map(|range| asked(range, original.size))
            .all(|asked| windows.iter().any(|window| window.start <= asked.start && asked.end <= window.end));
        let proofs: Vec<MerkleHash> = answer.gap_verification.iter().map(MerkleHash::from).collect();
        let plan = Windows { windows, gaps: answer.hash_ranges, proofs };
        let fits = in_order
            && inside
            && all_there
            && plan.gaps.len() == plan.windows.len() + 1
            && matches!(plan.gaps.first(), Some(None))
                == plan.windows.first().is_some_and(|one| one.start == 0)
            && matches!(plan.gaps.last(), Some(None))
                == plan.windows.last().is_some_and(|one| one.end == original.size)
            && plan.proofs.len() == original.segments.iter().filter(|one| !plan.touches(one)).count();
        if fits { Ok(plan) } else { Err(cannot("the storage's answer does not fit it")) }
    }

    fn touches(&self, segment: &Segment) -> bool {
        parts_outside(&segment.range, &self.windows) != [segment.range.clone()]
    }

    fn untouched(&self, original: &Original) -> Vec<(u64, Piece)> {
        let segments = original.segments.iter().filter(|segment| !self.touches(segment));
        let piece = |(segment, proof): (&Segment, &MerkleHash)| {
            (segment.range.start, (segment.entry.clone(), FileVerificationEntry::new(*proof)))
        };
        segments.zip(&self.proofs).map(piece).collect()
    }

    /// The hash that a whole upload of the new content would get.
    fn new_hash(&self, renewed: &[Renewed]) -> Result<MerkleHash, HubError> {
        let (first, last) = (self.gaps.first(), self.gaps.last());
        let (at_start, at_end) = (matches!(first, Some(None)), matches!(last, Some(None)));
        let mut row: Vec<MerkleHashSubtree> = Vec::new();
        for (number, content) in renewed.iter().enumerate() {
            row.extend(self.gaps.get(number).cloned().flatten());
            let begins = at_start && number == 0;
            let ends = at_end && number + 1 == renewed.len();
            row.push(MerkleHashSubtree::from_chunks(begins, &content.chunks, ends));
        }
        row.extend(last.cloned().flatten());
        let merged =
            MerkleHashSubtree::merge(&row).map_err(|e| cannot("its hashes do not fit").caused_by(e))?;
        let hash = merged.final_hash().ok_or_else(|| cannot("its hashes are not complete"))?;
        Ok(hash.hmac(MerkleHash::default()))
    }
}

/// The bytes whose chunks a change of `range` changes: an insertion changes the chunk it lies in, one at the very end
/// the last.
fn asked(range: &Range<u64>, size: u64) -> Range<u64> {
    match range.is_empty() {
        false => range.clone(),
        true if range.start < size => range.start..range.start + 1,
        true => size.saturating_sub(1)..size,
    }
}

/// Sorted ranges, those that are close as one.
fn merged(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(ONE_QUESTION) => {
                last.end = last.end.max(range.end)
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// What of `range` lies in no window.
fn parts_outside(range: &Range<u64>, windows: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut parts, mut at) = (Vec::new(), range.start);
    for window in windows.iter().filter(|one| one.start < range.end && range.start < one.end) {
        if at < window.start {
            parts.push(at..window.start);
        }
        at = window.end;
    }
    if at < range.end {
        parts.push(at..range.end);
    }
    parts
}

/// The runs of `parts` in a segment whose chunks are all known.
fn runs_within(
    segment: &Segment,
    chunks: &ChunkHashList,
    parts: &[Range<u64>],
) -> Result<Vec<(u64, Piece)>, HubError> {
    let first = segment.entry.chunk_index_start;
    if u32::try_from(chunks.len()) != Ok(segment.entry.chunk_index_end - first) {
        return Err(cannot("its chunks are other ones"));
    }
    let mut edges = vec![segment.range.start];
    for (_, length) in chunks {
        edges.push(edges.last().copied().unwrap_or_default() + length);
    }
    let index = |at: u64| edges.binary_search(&at).map_err(|_| cannot("its chunks are other ones"));
    let piece = |part: &Range<u64>| {
        let (from, to) = (index(part.start)?, index(part.end)?);
        Ok((part.start, run(&segment.entry, first + from as u32, &chunks[from..to])?))
    };
    parts.iter().map(piece).collect()
}

/// A run of chunks of a segment's xorb, from chunk `start` of it.
fn run(entry: &FileDataSequenceEntry, start: u32, chunks: &[(MerkleHash, u64)]) -> Result<Piece, HubError> {
    let bytes: u64 = chunks.iter().map(|(_, length)| length).sum();
    let mut run = entry.clone();
    run.unpacked_segment_bytes = u32::try_from(bytes).map_err(|_| cannot("a segment is too long"))?;
    run.chunk_index_start = start;
    run.chunk_index_end = start + chunks.len() as u32;
    Ok((run, proof(chunks)))
}

/// The new content's length; `Rejected` for what a whole upload does better or an edit can't be.
fn new_size(dirty: &[DirtyRange], size: u64) -> Result<u64, HubError> {
    let in_order = dirty.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start);
    let inside = dirty.iter().all(|one| one.range.start <= one.range.end && one.range.end <= size);
    if !in_order || !inside {
        return Err(cannot("the changes are not in order"));
    }
    let removed: u64 = dirty.iter().map(|one| one.range.end - one.range.start).sum();
    let new = dirty.iter().try_fold(size - removed, |sum, one| sum.checked_add(one.new_length));
    new.filter(|new| *new > 0 && size > 0).ok_or_else(|| cannot("nothing of it is kept"))
}

fn cannot(why: &str) -> HubError {
    HubError::new(
        ErrorClass::Rejected,
        format!("The file cannot be stored as an edit of its last version: {why}."),
    )
    .with_advice("Nothing to do: it is uploaded whole.")
}
