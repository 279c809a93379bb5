//! One kept content on disk: its bytes, each at its own offset, and behind them a checksum for each block. A
//! checksum of 0 says that the block is not here; it is written after the block's bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;

use super::blocks::Blocks;
use super::len_of;
use crate::content::block::{BLOCK, BlockId, ContentKey, blocks_of, bytes_of};

/// Bytes of a checksum.
const SUM: u64 = 8;

pub struct KeptFile {
    file: File,
    key: ContentKey,
    size: u64,
}

/// The content's size in a file of `len` bytes; none when no content makes such a file.
pub fn size_of(len: u64) -> Option<u64> {
    let blocks = len.div_ceil(BLOCK + SUM);
    let size = len.checked_sub(blocks * SUM)?;
    (size > 0 && size.div_ceil(BLOCK) == blocks).then_some(size)
}

fn len_on_disk(size: u64) -> u64 {
    size + size.div_ceil(BLOCK) * SUM
}

impl KeptFile {
    /// Makes the file, sparse, without a block.
    pub fn create(path: &Path, size: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_len(len_on_disk(size))
    }

    pub fn open(path: &Path, key: ContentKey, size: u64) -> io::Result<KeptFile> {
        KeptFile::checked(File::open(path)?, key, size)
    }

    pub fn open_for_writing(path: &Path, key: ContentKey, size: u64) -> io::Result<KeptFile> {
        KeptFile::checked(OpenOptions::new().read(true).write(true).open(path)?, key, size)
    }

    fn checked(file: File, key: ContentKey, size: u64) -> io::Result<KeptFile> {
        if file.metadata()?.len() != len_on_disk(size) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a kept file has another length"));
        }
        Ok(KeptFile { file, key, size })
    }

    /// What an earlier life downloaded, each block checked: after a power cut a checksum may be there without its
    /// block.
    pub fn resume(path: &Path, key: &ContentKey) -> io::Result<(u64, Blocks)> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = size_of(file.metadata()?.len())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no content has this length"))?;
        let kept = KeptFile { file, key: *key, size };
        let count = blocks_of(&(0..size)).end;
        let mut here = Blocks::none(count);
        for index in 0..count {
            if kept.sums(index..index + 1)?[0] == 0 {
                continue;
            }
            match kept.read(&bytes_of(index, size)) {
                Ok(_) => here.add(index..index + 1),
                Err(_) => kept.forget(index)?,
            }
        }
        Ok((size, here))
    }

    /// The bytes `range`, or which of their blocks are not right.
    pub fn read(&self, range: &Range<u64>) -> Result<Bytes, Vec<u32>> {
        let blocks = blocks_of(range);
        let all = |_| blocks.clone().collect::<Vec<u32>>();
        let start = u64::from(blocks.start) * BLOCK;
        let end = bytes_of(blocks.end - 1, self.size).end;
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, start).map_err(all)?;
        let sums = self.sums(blocks.clone()).map_err(all)?;
        let mut bad = Vec::new();
        for (index, sum) in blocks.clone().zip(sums) {
            let from = ((index - blocks.start) as u64 * BLOCK) as usize;
            let block = &bytes[from..from + len_of(index, self.size) as usize];
            if self.sum(index, block) != sum {
                bad.push(index);
            }
        }
        match bad.is_empty() {
            true => {
                Ok(Bytes::from(bytes).slice((range.start - start) as usize..(range.end - start) as usize))
            }
            false => Err(bad),
        }
    }

    /// Writes whole blocks from `first` on, then their checksums.
    pub fn write(&self, first: u32, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, u64::from(first) * BLOCK)?;
        let mut sums = Vec::with_capacity(bytes.len().div_ceil(BLOCK as usize) * SUM as usize);
        for (index, block) in (first..).zip(bytes.chunks(BLOCK as usize)) {
            sums.extend_from_slice(&self.sum(index, block).to_le_bytes());
        }
        self.file.write_all_at(&sums, self.sum_at(first))
    }

    /// The block is not here any more.
    pub fn forget(&self, index: u32) -> io::Result<()> {
        self.file.write_all_at(&0u64.to_le_bytes(), self.sum_at(index))
    }

    /// On return everything written before is with the disk. Damage by a drive's own cache shows in the checksums.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.file)?)
    }

    fn sums(&self, blocks: Range<u32>) -> io::Result<Vec<u64>> {
        let mut raw = vec![0; (blocks.len() as u64 * SUM) as usize];
        self.file.read_exact_at(&mut raw, self.sum_at(blocks.start))?;
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or(0);
        Ok(raw.chunks_exact(SUM as usize).map(word).collect())
    }

    fn sum_at(&self, index: u32) -> u64 {
        self.size + u64::from(index) * SUM
    }

    fn sum(&self, index: u32, block: &[u8]) -> u64 {
        BlockId { content: self.key, index }.checksum(block).max(1)
    }
}
