//! How a file is being read, and what to fetch before it is asked for.
//!
//! A kernel sends many reads at once and out of order, and a file may have several readers. So access is
//! followed by *region*: the stretch one stream of reads moves through. A region whose bytes are mostly
//! read, and whose end moves on, is sequential: a window beyond its end is fetched ahead, growing with
//! what was consumed. Windows that were fetched and never read shrink what the file may have.

use std::ops::Range;

use super::block::BLOCK;

/// Streams followed in one file; the least recently used is forgotten.
const REGIONS: usize = 16;

/// A read this long is a kernel's own read-ahead at work: at a file's start it is worth a window at once.
const BULK_READ: u64 = 512 * 1024;

/// The first window of such a read.
const FIRST_WINDOW: u64 = 4 << 20;

/// A file up to this size is fetched whole by its first read: it costs the same call.
pub const SMALL_FILE: u64 = 512 * 1024;

const SMALLEST_WINDOW: u64 = 2 * BLOCK;

/// Long windows end at multiples of this: requests of full length, none that fetches a rest.
const STEP: u64 = 16 << 20;

/// How far one file is fetched ahead at most: the bandwidth × latency of a fast line.
pub const LARGEST_WINDOW: u64 = 256 << 20;

/// The streams of one file.
pub struct Pattern {
    regions: Vec<Region>,
    clock: u64,
    /// What this file's windows may measure, halved for each wasted one.
    cap: u64,
}

struct Region {
    /// The hull of the reads of this stream.
    low: u64,
    high: u64,
    /// Bytes read in it.
    read: u64,
    /// Fetched, or being fetched, up to here.
    fetched_to: u64,
    used: u64,
}

impl Pattern {
    pub fn new() -> Pattern {
        Pattern { regions: Vec::new(), clock: 0, cap: LARGEST_WINDOW }
    }

    /// Notes a read of `range` and answers what to fetch ahead now: whole blocks (up to the file's end),
    /// beyond the read, possibly empty. No window is larger than `most`.
    pub fn note(&mut self, range: &Range<u64>, file_size: u64, most: u64) -> Range<u64> {
        self.clock += 1;
        let ahead = match self.nearest(range) {
            Some(at) => self.advance(at, range, most),
            None => self.begin(range, file_size, most),
        };
        ahead.start..ahead.end.next_multiple_of(BLOCK).min(file_size).max(ahead.start)
    }

    /// What was to be fetched from `from` on was not: it is asked for again.
    pub fn pull_back(&mut self, from: u64) {
        for region in &mut self.regions {
            if region.high <= from && from < region.fetched_to {
                region.fetched_to = from;
            }
        }
    }

    /// The region `range` continues: it begins in, or not far from, what was read or fetched. How far is a
    /// matter of the reads' size, as a kernel has a number of reads on the way.
    fn nearest(&self, range: &Range<u64>) -> Option<usize> {
        let slack = (16 * (range.end - range.start)).clamp(4 * BLOCK, 32 << 20);
        let near = |region: &Region| {
            range.start <= region.high.max(region.fetched_to) + slack && range.end + slack >= region.low
        };
        let candidates = self.regions.iter().enumerate().filter(|(_, region)| near(region));
        candidates.min_by_key(|(_, region)| region.high.abs_diff(range.start)).map(|(at, _)| at)
    }

    fn begin(&mut self, range: &Range<u64>, file_size: u64, most: u64) -> Range<u64> {
        let window = if file_size <= SMALL_FILE {
            file_size
        } else if range.start == 0 && range.end >= BULK_READ {
            FIRST_WINDOW.min(self.cap).min(most)
        } else {
            0
        };
        let fetched_to = range.end.max((range.end + window).min(file_size));
        self.forget_oldest();
        self.regions.push(Region {
            low: range.start,
            high: range.end,
            read: range.end - range.start,
            fetched_to,
            used: self.clock,
        });
        range.end..fetched_to
    }

    fn advance(&mut self, at: usize, range: &Range<u64>, most: u64) -> Range<u64> {
        let clock = self.clock;
        let region = &mut self.regions[at];
        let grows = range.end > region.high;
        region.low = region.low.min(range.start);
        region.high = region.high.max(range.end);
        region.read += range.end - range.start;
        region.used = clock;
        let consumed = region.high - region.low;
        if !grows || region.read * 2 < consumed {
            return range.end..range.end;
        }
        let window = (consumed * 8).clamp(SMALLEST_WINDOW, self.cap.min(most).max(SMALLEST_WINDOW));
        let (high, before) = (region.high, region.fetched_to);
        if before > high + window / 4 {
            return range.end..range.end;
        }
        if before > region.low && high >= before {
            self.cap = (self.cap * 2).min(LARGEST_WINDOW);
        }
        let region = &mut self.regions[at];
        let end = high + window;
        region.fetched_to = if window < 2 * STEP { end } else { end / STEP * STEP };
        before.max(high)..region.fetched_to
    }

    fn forget_oldest(&mut self) {
        if self.regions.len() < REGIONS {
            return;
        }
        let oldest = self.regions.iter().enumerate().min_by_key(|(_, region)| region.used);
        if let Some(at) = oldest.map(|(at, _)| at) {
            let region = self.regions.swap_remove(at);
            if region.fetched_to > region.high + SMALLEST_WINDOW {
                self.cap = (self.cap / 2).max(SMALLEST_WINDOW);
            }
        }
    }
}
