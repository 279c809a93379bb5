//! Which blocks of an unfinished content are here: one bit each.

use std::ops::Range;

use super::len_of;
use crate::content::block::BLOCK;

pub struct Blocks {
    count: u32,
    here: u32,
    bits: Vec<u64>,
}

impl Blocks {
    pub fn none(count: u32) -> Blocks {
        Blocks { count, here: 0, bits: vec![0; count.div_ceil(64) as usize] }
    }

    pub fn all(count: u32) -> Blocks {
        let mut blocks = Blocks::none(count);
        blocks.add(0..count);
        blocks
    }

    pub fn add(&mut self, blocks: Range<u32>) {
        for index in blocks.start..blocks.end.min(self.count) {
            if !self.has(index) {
                self.bits[index as usize / 64] |= 1 << (index % 64);
                self.here += 1;
            }
        }
    }

    pub fn remove(&mut self, index: u32) {
        if index < self.count && self.has(index) {
            self.bits[index as usize / 64] &= !(1 << (index % 64));
            self.here -= 1;
        }
    }

    pub fn has(&self, index: u32) -> bool {
        self.bits.get(index as usize / 64).is_some_and(|bits| bits & (1 << (index % 64)) != 0)
    }

    pub fn has_all(&self, mut blocks: Range<u32>) -> bool {
        blocks.all(|index| self.has(index))
    }

    pub fn is_complete(&self) -> bool {
        self.here == self.count
    }

    /// Bytes of what is here, of a content of `size` bytes.
    pub fn bytes(&self, size: u64) -> u64 {
        match self.count.checked_sub(1) {
            Some(last) if self.has(last) => u64::from(self.here - 1) * BLOCK + len_of(last, size),
            _ => u64::from(self.here) * BLOCK,
        }
    }

    /// What is not here, in runs of at most `longest`.
    pub fn missing(&self, longest: u32) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for index in (0..self.count).filter(|index| !self.has(*index)) {
            match runs.last_mut() {
                Some(run) if run.end == index && run.end - run.start < longest => run.end += 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }
}
