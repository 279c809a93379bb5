//! Geometry: content is cut into blocks of one size; a block is the unit of caching, checking and
//! waiting.

use std::ops::Range;

use bytes::Bytes;
use twox_hash::XxHash3_64;

/// Bytes of a block; the last one of a content may be shorter. 64 KiB is Xet's mean chunk: a random
/// 4 KiB read fetches little more than the Hub must send anyway, and a long run of blocks is one fetch.
pub const BLOCK: u64 = 64 * 1024;

/// The longest file this cache can address (block numbers are 32 bits): 256 TiB.
pub const LONGEST_FILE: u64 = BLOCK << 32;

/// Names a content: the 32 bytes behind the 64 hexadecimal digits of its Xet hash, or of a repo's file outside Xet
/// what git (20 bytes) or LFS (32) calls it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ContentKey(pub [u8; 32]);

impl ContentKey {
    /// The key of the content the Hub calls `hash`; none when that is no content's name.
    pub fn parse(hash: &str) -> Option<ContentKey> {
        match hub::blob_oid(hash) {
            Some(oid) if oid.len() == 40 => decode_hex(format!("{oid:0<64}").as_bytes()).map(ContentKey),
            Some(oid) => decode_hex(oid.as_bytes()).map(ContentKey),
            None => decode_hex(hash.as_bytes()).map(ContentKey),
        }
    }

    /// Its 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn decode_hex(text: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.try_into().ok()?;
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = (pair[0] as char).to_digit(16)?;
        let low = (pair[1] as char).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(bytes)
}

/// One block of one content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlockId {
    pub content: ContentKey,
    pub index: u32,
}

impl BlockId {
    /// The checksum of `bytes` as this block. It covers the block's identity too: bytes of another block
    /// that a damaged index leads to don't pass.
    pub fn checksum(&self, bytes: &[u8]) -> u64 {
        let identity = XxHash3_64::oneshot_with_seed(u64::from(self.index), &self.content.0);
        XxHash3_64::oneshot_with_seed(identity, bytes)
    }
}

/// The blocks that hold the bytes `range`; empty for an empty range.
pub fn blocks_of(range: &Range<u64>) -> Range<u32> {
    if range.is_empty() {
        return 0..0;
    }
    (range.start / BLOCK) as u32..range.end.div_ceil(BLOCK) as u32
}

/// The bytes that block `index` of a file of `file_size` bytes holds.
pub fn bytes_of(index: u32, file_size: u64) -> Range<u64> {
    let start = u64::from(index) * BLOCK;
    start..(start + BLOCK).min(file_size)
}

/// The part of block `index`, whose content is `bytes`, that lies in the file's bytes `range`.
pub fn part_in(index: u32, bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let start = u64::from(index) * BLOCK;
    let end = start + bytes.len() as u64;
    let from = range.start.clamp(start, end) - start;
    let to = range.end.clamp(start, end) - start;
    bytes.slice(from as usize..to as usize)
}
