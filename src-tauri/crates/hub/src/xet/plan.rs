//! One reconstruction plan: which chunks of which stored blocks ("xorbs") make up a window of a file,
//! and the signed addresses they are fetched from.
//!
//! A term is a run of chunks; the plan says how many bytes the run unpacks to, not where in it a chunk
//! begins, and an address is signed for exactly one range of a xorb. So a plan for a wide window can
//! serve a narrow read, but fetches whole terms for it: up to 64 MiB for 4 KiB. [`Plan::cost`] tells.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use xet_client::cas_types::{
    ChunkRange, HexMerkleHash, HttpRange, QueryReconstructionResponseV2, XorbMultiRangeFetch,
    XorbRangeDescriptor, XorbReconstructionTerm,
};

use crate::error::HubError;

pub(crate) struct Plan {
    /// The bytes of the file it covers.
    pub window: Range<u64>,
    /// Consecutive in the file. The first begins at or before the window.
    terms: Vec<Term>,
    sources: Vec<Source>,
    pub made: Instant,
}

#[derive(PartialEq)]
struct Term {
    /// Where in the file it begins.
    start: u64,
    length: u32,
    xorb: HexMerkleHash,
    chunks: ChunkRange,
    /// Index into the plan's sources.
    source: usize,
}

struct Source {
    xorb: HexMerkleHash,
    chunks: ChunkRange,
    bytes: HttpRange,
    address: Arc<str>,
}

/// One request of a read: a stretch of chunks of a xorb, and which of them the file is made of.
#[derive(Clone)]
pub(crate) struct Part {
    /// Index into the plan's sources.
    pub source: usize,
    /// What the request brings.
    pub chunks: Range<u32>,
    /// Consecutive in the file, rising in the xorb; not empty.
    pub runs: Vec<Run>,
}

/// Chunks that follow each other in xorb and file.
#[derive(Clone)]
pub(crate) struct Run {
    pub chunks: Range<u32>,
    /// Where in the file it begins.
    pub start: u64,
    pub length: u32,
}

impl Plan {
    /// `Broken` unless the answer covers `window` without a gap and says where to fetch each part. A
    /// window that ends with the file must end exactly there.
    pub fn new(
        answer: QueryReconstructionResponseV2,
        window: Range<u64>,
        file_size: u64,
    ) -> Result<Plan, HubError> {
        let broken = |why| HubError::broken(format!("The storage's plan for a file is wrong: {why}"));
        let mut sources = Sources::default();
        let mut terms = Vec::with_capacity(answer.terms.len());
        let mut at = window
            .start
            .checked_sub(answer.offset_into_first_range)
            .ok_or_else(|| broken("it begins before the file"))?;
        for term in &answer.terms {
            let fetches = answer.xorbs.get(&term.hash).map(Vec::as_slice).unwrap_or_default();
            let source = sources.find(term, fetches).ok_or_else(|| broken("a part has no address"))?;
            let (start, length) = (at, term.unpacked_length);
            terms.push(Term { start, length, xorb: term.hash, chunks: term.range, source });
            at += u64::from(length);
        }
        let begins = terms.first().is_some_and(|t| t.start + u64::from(t.length) > window.start);
        if !begins || at < window.end {
            return Err(broken("it leaves a gap"));
        }
        if window.end == file_size && at != file_size {
            return Err(broken("it does not end where the file ends"));
        }
        Ok(Plan { window, terms, sources: sources.list, made: Instant::now() })
    }

    pub fn covers(&self, range: &Range<u64>) -> bool {
        self.window.start <= range.start && range.end <= self.window.end
    }

    /// Bytes that travel when `range` is read by this plan.
    pub fn cost(&self, range: &Range<u64>) -> u64 {
        let mut used: Vec<usize> = self.terms_of(range).iter().map(|term| term.source).collect();
        used.sort_unstable();
        used.dedup();
        used.into_iter().map(|i| self.sources[i].bytes.length()).sum()
    }

    /// Bytes of its longest fetch.
    pub fn largest_source(&self) -> u64 {
        self.sources.iter().map(|source| source.bytes.length()).max().unwrap_or(0)
    }

    /// About how much memory it takes.
    pub fn weight(&self) -> u64 {
        let addresses: usize = self.sources.iter().map(|s| s.address.len()).sum();
        (size_of::<Plan>()
            + self.terms.len() * size_of::<Term>()
            + self.sources.len() * size_of::<Source>()
            + addresses) as u64
    }

    /// The part of the plan `range` needs, as the storage would have answered. In the place of an
    /// address stands what `marker` makes of the source's index.
    pub fn answer(
        &self,
        range: &Range<u64>,
        marker: impl Fn(usize) -> String,
    ) -> QueryReconstructionResponseV2 {
        let needed = self.terms_of(range);
        let mut xorbs: HashMap<HexMerkleHash, Vec<XorbMultiRangeFetch>> = HashMap::new();
        let mut used: Vec<usize> = needed.iter().map(|term| term.source).collect();
        used.sort_unstable();
        used.dedup();
        for index in used {
            let Source { xorb, chunks, bytes, .. } = &self.sources[index];
            let ranges = vec![XorbRangeDescriptor { chunks: *chunks, bytes: *bytes }];
            xorbs.entry(*xorb).or_default().push(XorbMultiRangeFetch { url: marker(index), ranges });
        }
        let term =
            |t: &Term| XorbReconstructionTerm { hash: t.xorb, unpacked_length: t.length, range: t.chunks };
        QueryReconstructionResponseV2 {
            offset_into_first_range: needed.first().map_or(0, |first| range.start - first.start),
            terms: needed.iter().map(term).collect(),
            xorbs,
        }
    }

    /// The requests that bring `range`, in the file's order. `None` when one would be needed twice, because the file goes
    /// back in a xorb or comes back to it.
    pub fn parts(&self, range: &Range<u64>) -> Option<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        for term in self.terms_of(range) {
            let run =
                Run { chunks: term.chunks.start..term.chunks.end, start: term.start, length: term.length };
            match parts.iter().position(|part| part.source == term.source) {
                Some(at) if at + 1 == parts.len() => {
                    let part = &mut parts[at];
                    part.runs.last().filter(|last| last.chunks.end <= run.chunks.start)?;
                    part.runs.push(run);
                }
                Some(_) => return None,
                None => {
                    let chunks = &self.sources.get(term.source)?.chunks;
                    let chunks = chunks.start..chunks.end;
                    parts.push(Part { source: term.source, chunks, runs: vec![run] });
                }
            }
        }
        Some(parts)
    }

    /// Where source `index` is fetched from, and the bytes of the xorb the address is good for.
    pub fn address(&self, index: usize) -> Option<(Arc<str>, HttpRange)> {
        self.sources.get(index).map(|source| (source.address.clone(), source.bytes))
    }

    /// Whether `other` says the same but for the addresses: then one may stand in for the other in the
    /// middle of a read.
    pub fn same_content(&self, other: &Plan) -> bool {
        let alike =
            |(a, b): (&Source, &Source)| a.xorb == b.xorb && a.chunks == b.chunks && a.bytes == b.bytes;
        self.window == other.window
            && self.terms == other.terms
            && self.sources.len() == other.sources.len()
            && self.sources.iter().zip(&other.sources).all(alike)
    }

    fn terms_of(&self, range: &Range<u64>) -> &[Term] {
        let first = self.terms.partition_point(|t| t.start + u64::from(t.length) <= range.start);
        let end = self.terms.partition_point(|t| t.start < range.end);
        &self.terms[first..end.max(first)]
    }
}

/// The distinct fetches of a plan under construction.
#[derive(Default)]
struct Sources {
    list: Vec<Source>,
    /// Xet takes two fetches of one xorb that begin with the same chunk for the same; so does this,
    /// and keeps the longest.
    index: HashMap<(HexMerkleHash, u32), usize>,
}

impl Sources {
    fn find(&mut self, term: &XorbReconstructionTerm, fetches: &[XorbMultiRangeFetch]) -> Option<usize> {
        let all =
            || fetches.iter().flat_map(|fetch| fetch.ranges.iter().map(move |range| (range, &fetch.url)));
        let holds =
            |r: &XorbRangeDescriptor| r.chunks.start <= term.range.start && term.range.end <= r.chunks.end;
        let start = all().find(|(range, _)| holds(range))?.0.chunks.start;
        let (range, url) =
            all().filter(|(r, _)| r.chunks.start == start).max_by_key(|(r, _)| r.chunks.end)?;
        let list = &mut self.list;
        Some(*self.index.entry((term.hash, start)).or_insert_with(|| {
            let (chunks, bytes) = (range.chunks, range.bytes);
            list.push(Source { xorb: term.hash, chunks, bytes, address: Arc::from(url.as_str()) });
            list.len() - 1
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A plan answer of terms `(xorb, chunks, length)`; each xorb is fetched whole, one byte a chunk.
    pub fn answer(offset: u64, terms: &[(u8, Range<u32>, u32)]) -> QueryReconstructionResponseV2 {
        let mut xorbs: HashMap<HexMerkleHash, Vec<XorbMultiRangeFetch>> = HashMap::new();
        let mut list = Vec::new();
        for (xorb, chunks, length) in terms {
            let hash: HexMerkleHash =
                xet_core_structures::merklehash::MerkleHash::from([u64::from(*xorb); 4]).into();
            let range = ChunkRange::new(chunks.start, chunks.end);
            list.push(XorbReconstructionTerm { hash, unpacked_length: *length, range });
            let bytes = HttpRange::new(u64::from(chunks.start), u64::from(chunks.end) - 1);
            let ranges = vec![XorbRangeDescriptor { chunks: range, bytes }];
            xorbs
                .entry(hash)
                .or_default()
                .push(XorbMultiRangeFetch { url: format!("http://s/{xorb}"), ranges });
        }
        QueryReconstructionResponseV2 { offset_into_first_range: offset, terms: list, xorbs }
    }

    #[test]
    fn a_part_is_what_the_storage_would_have_said() {
        let plan =
            Plan::new(answer(0, &[(1, 0..10, 100), (2, 3..8, 50), (1, 20..30, 100)]), 0..250, 250).unwrap();
        let part = plan.answer(&(120..180), |i| format!("m{i}"));
        assert_eq!(part.offset_into_first_range, 20);
        assert_eq!(part.terms.iter().map(|t| t.unpacked_length).collect::<Vec<_>>(), [50, 100]);
        assert_eq!(part.xorbs.values().flatten().count(), 2);
        assert_eq!(plan.cost(&(120..180)), 5 + 10);
        assert_eq!(plan.cost(&(0..1)), 10);
    }

    #[test]
    fn a_read_is_one_request_for_each_xorb_unless_it_comes_back() {
        let plan = |terms: &[(u8, Range<u32>, u32)]| {
            let size = terms.iter().map(|(_, _, length)| u64::from(*length)).sum();
            (Plan::new(answer(0, terms), 0..size, size).unwrap(), size)
        };
        let (two, size) = plan(&[(1, 0..10, 100), (2, 3..8, 50), (2, 8..9, 10)]);
        let parts = two.parts(&(0..size)).unwrap();
        assert_eq!(parts.iter().map(|part| part.runs.len()).collect::<Vec<_>>(), [1, 1, 1]);
        let (back, size) = plan(&[(1, 0..10, 100), (2, 3..8, 50), (1, 0..10, 100)]);
        assert!(back.parts(&(0..size)).is_none(), "the first xorb twice");
        assert_eq!(back.parts(&(0..120)).unwrap().len(), 2);
        let (again, size) = plan(&[(1, 0..10, 100), (1, 0..10, 100)]);
        assert!(again.parts(&(0..size)).is_none(), "the same chunks twice");
    }

    #[test]
    fn a_plan_with_a_gap_or_without_an_address_is_refused() {
        assert!(Plan::new(answer(0, &[(1, 0..10, 100)]), 0..101, 200).is_err());
        assert!(Plan::new(answer(100, &[(1, 0..10, 100)]), 100..110, 200).is_err());
        assert!(Plan::new(answer(5, &[(1, 0..10, 100)]), 0..10, 200).is_err());
        assert!(Plan::new(answer(0, &[]), 0..10, 200).is_err());
        assert!(Plan::new(answer(0, &[(1, 0..10, 100)]), 0..90, 90).is_err());
        let mut lost = answer(0, &[(1, 0..10, 100)]);
        lost.xorbs.clear();
        assert!(Plan::new(lost, 0..100, 100).is_err());
    }

    #[test]
    fn only_addresses_may_differ_between_a_plan_and_its_renewal() {
        let plan = |terms: &[(u8, Range<u32>, u32)]| Plan::new(answer(0, terms), 0..100, 100).unwrap();
        let one = plan(&[(1, 0..10, 100)]);
        assert!(one.same_content(&plan(&[(1, 0..10, 100)])));
        assert!(!one.same_content(&plan(&[(1, 1..11, 100)])));
        assert!(!one.same_content(&plan(&[(2, 0..10, 100)])));
    }
}
