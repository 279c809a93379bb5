//! Whether a changed file goes up as an edit of what the Hub has, or whole: the bytes of both ways, counted.
//!
//! Measured (hub-api.md 5.2): a range upload fetches the untouched rest of every *segment* it touches (a run
//! of one xorb, at most 64 MiB) and sends the new bytes and about 130 KB. A whole upload fetches whatever of
//! the base is not on this machine; deduplication keeps what it sends to the new bytes and about 130 KB too.
//! So what is sent is the same, and what is fetched decides; a range upload asks eight times more.

use std::ops::Range;
use std::time::Duration;

use crate::staging::{Layout, Piece};

/// With less than this to be fetched for a whole upload, no question is worth its own cost.
pub const WORTH_ASKING: u64 = 1 << 20;
/// What eight more calls cost, in bytes of a line that carries 100 of them in a second at 10 MB/s.
const MORE_CALLS: u64 = 800 << 10;
/// No line that somebody works with is slower, in bytes a second.
const SLOWEST: u64 = 100_000;

/// Bytes of the base that a whole upload would have to fetch.
pub fn missing(layout: &Layout) -> u64 {
    let pieces = layout.pieces(0..layout.size);
    pieces.iter().filter(|piece| matches!(piece, Piece::Base(_))).map(|piece| length(&piece.range())).sum()
}

/// The edit as replacements: (range of the original, range of the file that takes its place), in order.
pub fn parts(layout: &Layout) -> Vec<(Range<u64>, Range<u64>)> {
    let base = layout.base.as_ref().map_or(0, |base| base.size);
    let kept = layout.base_visible;
    let mut parts: Vec<_> = layout
        .local
        .overlapping(0..kept)
        .map(|range| range.start..range.end.min(kept))
        .map(|range| (range.clone(), range))
        .collect();
    if base > kept || layout.size > kept {
        parts.push((kept..base, kept..layout.size));
    }
    parts
}

/// Bytes that a range upload fetches: the segments it touches, less what it replaces of them.
pub fn fetched(segments: &[u64], replaced: &[Range<u64>]) -> u64 {
    let total: u64 = segments.iter().sum();
    let (mut start, mut bytes) = (0, 0);
    for length in segments {
        let segment = start..start + length;
        start = segment.end;
        if replaced.iter().any(|range| touches(range, &segment, total)) {
            let gone: u64 = replaced.iter().map(|range| overlap(range, &segment)).sum();
            bytes += length - gone.min(*length);
        }
    }
    bytes
}

/// An insertion belongs to the segment it lies in; one at the very end to the last.
fn touches(range: &Range<u64>, segment: &Range<u64>, total: u64) -> bool {
    if !range.is_empty() {
        return overlap(range, segment) > 0;
    }
    segment.contains(&range.start) || (range.start == total && segment.end == total && segment.start < total)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> u64 {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// Both ways send the same; `fetched` (by ranges) and `missing` (whole) is what they fetch.
pub fn ranges_are_cheaper(fetched: u64, missing: u64) -> bool {
    fetched.saturating_add(MORE_CALLS) < missing
}

/// How long so many bytes may take, with a limit on uploads or without.
pub fn patience(bytes: u64, limit: Option<u64>) -> Duration {
    let rate = limit.map_or(SLOWEST, |limit| (limit / 2).clamp(1, SLOWEST));
    Duration::from_secs(120 + bytes / rate)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one edit is a list of one range
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SEGMENT: u64 = 64 * MIB;

    #[test]
    fn what_a_range_upload_fetches_is_as_measured() {
        // hub-api.md 5.2: 256 MiB in four segments.
        let segments = [SEGMENT; 4];
        let middle = 128 * MIB + 5;
        assert_eq!(
            fetched(&segments, std::slice::from_ref(&(middle..middle + 1))),
            SEGMENT - 1,
            "1 byte: one segment"
        );
        assert_eq!(fetched(&segments, std::slice::from_ref(&(middle..middle))), SEGMENT, "an insertion");
        assert_eq!(
            fetched(&segments, std::slice::from_ref(&(256 * MIB..256 * MIB))),
            SEGMENT,
            "appending touches the last one"
        );
        assert_eq!(
            fetched(&segments, std::slice::from_ref(&(128 * MIB..256 * MIB))),
            0,
            "cut at a segment's edge"
        );
        assert_eq!(fetched(&segments, &[0..1, SEGMENT - 1..SEGMENT + 1]), 2 * SEGMENT - 3, "two segments");
        assert_eq!(fetched(&[], std::slice::from_ref(&(0..0))), 0);
    }

    #[test]
    fn the_cheaper_way_is_taken() {
        let segments = vec![SEGMENT; 800]; // 50 GiB
        let edit = fetched(&segments, std::slice::from_ref(&(25 << 30..(25 << 30) + MIB)));
        assert!(ranges_are_cheaper(edit, (50 << 30) - MIB), "1 MiB in the middle of 50 GiB");
        assert!(!ranges_are_cheaper(edit, 0), "everything is on this machine");
        assert!(!ranges_are_cheaper(edit, 20 * MIB), "less is missing than a segment's rest");
        let everywhere: Vec<_> = (0..800).map(|n| n * SEGMENT..n * SEGMENT + 1).collect();
        assert!(!ranges_are_cheaper(fetched(&segments, &everywhere), (50 << 30) - 800), "every segment");
        assert!(ranges_are_cheaper(0, 2 * MIB), "a cut that fetches nothing");
    }

    #[test]
    fn a_limit_gives_more_time() {
        assert_eq!(patience(10_000_000, None), Duration::from_secs(220));
        assert_eq!(patience(10_000_000, Some(10_000)), Duration::from_secs(2120));
    }
}
