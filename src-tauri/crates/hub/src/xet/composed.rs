//! A content put together from chunks that are stored: what edits and large uploads register.

use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::metadata_shard::chunk_verification::range_hash_from_chunks;
use xet_core_structures::metadata_shard::file_structs::{
    FileDataSequenceEntry, FileDataSequenceHeader, FileVerificationEntry, MDBFileInfo,
};

/// A run of chunks of one xorb, with the proof that we know them.
pub(super) type Piece = (FileDataSequenceEntry, FileVerificationEntry);

/// The proof for a run of these chunks.
pub(super) fn proof(chunks: &[(MerkleHash, u64)]) -> FileVerificationEntry {
    let hashes: Vec<MerkleHash> = chunks.iter().map(|(hash, _)| *hash).collect();
    FileVerificationEntry::new(range_hash_from_chunks(&hashes))
}

/// The content `hash` of `size` bytes made of `pieces`; `None` when these are not so long.
pub(super) fn composed(
    hash: MerkleHash,
    size: u64,
    pieces: impl IntoIterator<Item = Piece>,
) -> Option<MDBFileInfo> {
    let (segments, verification): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
    let metadata = FileDataSequenceHeader::new(hash, segments.len(), true, false);
    let info = MDBFileInfo { metadata, segments, verification, metadata_ext: None };
    (info.file_size() == size).then_some(info)
}
