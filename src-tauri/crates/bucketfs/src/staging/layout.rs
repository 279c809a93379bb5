//! What the bytes of one staged file are: local ranges, the part of the base still visible, zeros between.
//!
//! One value, owned by one [`super::Staged`], changed only under its lock; it dies with the staged copy
//! (hf-mount's sparse state outlived its session and corrupted files).

use std::ops::Range;

use rangemap::RangeSet;

use super::log::{Birth, Record, birth_base};
use crate::attr::Timestamp;
use crate::names::Content;

/// Where a stretch of the file's bytes is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// In the data file, at the same offset.
    Local(Range<u64>),
    /// In the Hub's content `base`, at the same offset.
    Base(Range<u64>),
    /// Zeros.
    Zero(Range<u64>),
}

#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub size: u64,
    pub mtime: Timestamp,
    /// What the parts that are not local come from.
    pub base: Option<Content>,
    /// Xet hash the Hub held when this write session began, or that we put there since: what a save may
    /// replace (design.md promise 9). `None`: the Hub had nothing.
    pub identity: Option<String>,
    /// Bytes of the base below this offset still show through; truncation lowers it for good.
    pub base_visible: u64,
    /// Ranges the data file holds.
    pub local: RangeSet<u64>,
    /// Acknowledged UNSTABLE and not committed since: the client may send them again.
    pub unstable: RangeSet<u64>,
    /// The part of `unstable` whose sync failed. The kernel may call such pages clean, so no later sync brings
    /// them: only writing them again does.
    pub suspect: RangeSet<u64>,
    /// Ranges whose WRITE failed (design.md promise 4).
    pub holes: RangeSet<u64>,
    /// Differs from what the Hub has.
    pub dirty: bool,
    /// Moves with every change of content, before the first byte of it: a snapshot taken between two equal
    /// values is whole.
    pub generation: u64,
    /// Writes that have moved the generation and not finished.
    pub in_flight: u32,
}

impl Layout {
    /// The state of a file of the Hub before its first local byte.
    pub fn of_base(base: Option<Content>, size: u64, mtime: Timestamp) -> Self {
        let base_visible = base.as_ref().map_or(0, |base| base.size.min(size));
        let identity = base.as_ref().map(|base| base.hash.clone());
        Layout { size, mtime, base, identity, base_visible, ..Layout::default() }
    }

    pub fn wrote(&mut self, range: Range<u64>, durable: bool) {
        if range.is_empty() {
            return;
        }
        self.size = self.size.max(range.end);
        self.holes.remove(range.clone());
        self.suspect.remove(range.clone());
        if durable {
            self.unstable.remove(range.clone());
        } else {
            self.unstable.insert(range.clone());
        }
        self.local.insert(range);
        self.dirty = true;
    }

    pub fn resized(&mut self, size: u64) {
        if size < self.size {
            for set in [&mut self.local, &mut self.unstable, &mut self.suspect, &mut self.holes] {
                set.remove(size..u64::MAX);
            }
            self.base_visible = self.base_visible.min(size);
        }
        if size == 0 {
            self.holes.clear();
        }
        self.size = size;
        self.dirty = true;
    }

    pub fn failed(&mut self, range: Range<u64>) {
        if !range.is_empty() {
            self.holes.insert(range);
            self.dirty = true; // what the program wrote is on the Hub no more than here: nothing of this file is "saved"
        }
    }

    /// A sync of the bytes failed: what it was to bring must be written again.
    pub fn sync_failed(&mut self) {
        self.suspect = self.unstable.clone();
    }

    /// A sync of the bytes is done; `later` came in after it began. `true` when nothing is left open.
    pub fn synced(&mut self, later: RangeSet<u64>) -> bool {
        self.unstable = later;
        for range in self.suspect.iter() {
            self.unstable.insert(range.clone());
        }
        self.unstable.is_empty()
    }

    /// The client has been told that what a failed sync was to bring is lost.
    pub fn give_up_suspect(&mut self) -> Vec<Range<u64>> {
        let lost: Vec<_> = std::mem::take(&mut self.suspect).into_iter().collect();
        for range in &lost {
            self.unstable.remove(range.clone());
            self.failed(range.clone());
        }
        lost
    }

    /// Records that tell the same story in fewer words: replayed they give this layout again.
    pub fn records(&self, birth: &Birth) -> Vec<Record> {
        let base = self.base.clone().unwrap_or(Content { hash: String::new(), size: 0 });
        let birth = Birth {
            base_hash: self.base.as_ref().map(|base| base.hash.clone()),
            base_size: base.size,
            ..birth.clone()
        };
        let mut records = vec![Record::Born(birth)];
        if self.dirty {
            let none = Timestamp(i64::MIN);
            records.push(Record::Resized { size: self.base_visible, mtime: none });
            records.push(Record::Resized { size: self.size, mtime: none });
        }
        let extent = |range: &Range<u64>, durable| Record::Extent {
            offset: range.start,
            length: range.end - range.start,
            mtime: Timestamp(i64::MIN),
            durable,
        };
        records.extend(self.local.iter().map(|range| extent(range, true)));
        records.extend(self.unstable.iter().map(|range| extent(range, false)));
        if !self.dirty && self.base.is_some() {
            records.push(Record::Rebased { hash: base.hash.clone(), size: base.size });
        }
        if let Some(hash) = self.identity.clone().filter(|hash| self.base.is_none() || *hash != base.hash) {
            records.push(Record::Saved { hash });
        }
        records.extend(
            self.holes
                .iter()
                .map(|range| Record::Hole { offset: range.start, length: range.end - range.start }),
        );
        records.push(Record::Timed { mtime: self.mtime });
        records
    }

    /// The whole of the file as of now is on the Hub as `content`.
    pub fn rebased(&mut self, content: Content) {
        self.base_visible = content.size.min(self.size);
        self.identity = Some(content.hash.clone());
        self.base = Some(content);
        self.dirty = false;
    }

    /// What to read for `range`, in order, without gaps, cut at the end of the file.
    pub fn pieces(&self, range: Range<u64>) -> Vec<Piece> {
        let end = range.end.min(self.size);
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < end {
            let piece = self.piece_at(at, end);
            at = piece.range().end;
            pieces.push(piece);
        }
        pieces
    }

    fn piece_at(&self, at: u64, end: u64) -> Piece {
        if let Some(local) = self.local.get(&at) {
            return Piece::Local(at..local.end.min(end));
        }
        let gap_end = self.local.overlapping(at..end).next().map_or(end, |next| next.start);
        if at < self.base_visible {
            Piece::Base(at..gap_end.min(self.base_visible))
        } else {
            Piece::Zero(at..gap_end)
        }
    }

    /// How far the file is committed without a gap; nothing while it has a hole.
    pub fn committed_prefix(&self) -> u64 {
        if !self.holes.is_empty() {
            return 0;
        }
        self.unstable.iter().next().map_or(self.size, |open| open.start.min(self.size))
    }

    /// How many bytes of `range` the data file has no place for yet.
    pub fn not_local(&self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        self.local.gaps(&range).map(|gap| gap.end - gap.start).sum()
    }

    /// Bytes the data file holds.
    pub fn local_bytes(&self) -> u64 {
        self.local.iter().map(|range| range.end - range.start).sum()
    }

    /// Builds the state a crash left: records in the order they were acknowledged.
    pub fn replay(records: &[Record]) -> Self {
        let mut layout = Layout::default();
        for record in records {
            match record {
                Record::Born(birth) => {
                    layout = Layout::of_base(birth_base(birth), birth.base_size, Timestamp(0));
                }
                Record::Extent { offset, length, mtime, durable } => {
                    layout.wrote(*offset..offset.saturating_add(*length), *durable);
                    layout.mtime = layout.mtime.max(*mtime);
                }
                Record::Resized { size, mtime } => {
                    layout.resized(*size);
                    layout.mtime = layout.mtime.max(*mtime);
                }
                Record::Timed { mtime } => layout.mtime = *mtime,
                Record::Closed => layout.unstable.clear(),
                Record::Rebased { hash, size } => {
                    layout.rebased(Content { hash: hash.clone(), size: *size });
                }
                Record::Saved { hash } => layout.identity = Some(hash.clone()),
                Record::Named { .. } | Record::Taken { .. } => {}
                Record::Hole { offset, length } => layout.failed(*offset..offset.saturating_add(*length)),
                Record::Filled { offset, length } => {
                    layout.holes.remove(*offset..offset.saturating_add(*length).max(offset + 1));
                }
            }
        }
        layout
    }
}

impl Piece {
    pub fn range(&self) -> Range<u64> {
        match self {
            Piece::Local(range) | Piece::Base(range) | Piece::Zero(range) => range.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 200;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, u64, u8),
        Resize(u64),
        Upload,
        Hole(u64, u64),
        Commit,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..LIMIT, 0..40u64, any::<u8>()).prop_map(|(at, length, byte)| Step::Write(at, length, byte)),
            (0..LIMIT).prop_map(Step::Resize),
            Just(Step::Upload),
            (0..LIMIT, 1..40u64).prop_map(|(at, length)| Step::Hole(at, length)),
            Just(Step::Commit),
        ]
    }

    fn birth(layout: &Layout) -> Birth {
        Birth {
            id: crate::attr::FileId(1),
            path: "p".into(),
            mode: 0o600,
            local: false,
            base_hash: layout.base.as_ref().map(|base| base.hash.clone()),
            base_size: 0,
            boot: "b".into(),
        }
    }

    /// Everything of a layout that outlives the process.
    fn shown(layout: &Layout) -> String {
        let Layout { size, mtime, base, identity, base_visible, local, unstable, holes, dirty, .. } = layout;
        format!(
            "{size} {mtime:?} {base:?} {identity:?} {base_visible} {local:?} {unstable:?} {holes:?} {dirty}"
        )
    }

    fn render(layout: &Layout, data: &[u8], base: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in layout.pieces(0..u64::MAX) {
            let range = piece.range();
            let cut = range.start as usize..range.end as usize;
            match piece {
                Piece::Local(_) => bytes.extend_from_slice(&data[cut]),
                Piece::Base(_) => bytes.extend_from_slice(&base[cut]),
                Piece::Zero(_) => bytes.extend(cut.map(|_| 0)),
            }
        }
        bytes
    }

    proptest! {
        /// The coverage map against a plain byte array; the log tells the same story.
        #[test]
        fn the_layout_agrees_with_a_plain_array(
            base in prop::collection::vec(any::<u8>(), 0..120),
            steps in prop::collection::vec(step(), 0..40),
        ) {
            let content = Content { hash: "h".into(), size: base.len() as u64 };
            let mut layout = Layout::of_base(Some(content.clone()), base.len() as u64, Timestamp(1));
            let mut plain = base.clone();
            let mut base = base;
            let mut data = vec![0xEEu8; 2 * LIMIT as usize];
            for step in steps {
                match step {
                    Step::Write(at, length, byte) => {
                        let cut = at as usize..(at + length) as usize;
                        if plain.len() < cut.end && length > 0 {
                            plain.resize(cut.end, 0);
                        }
                        if length > 0 {
                            plain[cut.clone()].fill(byte);
                        }
                        data[cut].fill(byte);
                        layout.wrote(at..at + length, false);
                    }
                    Step::Resize(size) => {
                        plain.resize(size as usize, 0);
                        layout.resized(size);
                    }
                    Step::Hole(at, length) => layout.failed(at..at + length),
                    Step::Commit => {
                        layout.synced(RangeSet::new());
                    }
                    Step::Upload if !layout.holes.is_empty() || !layout.unstable.is_empty() => {}
                    Step::Upload => {
                        base = plain.clone();
                        layout.rebased(Content { hash: "n".into(), size: plain.len() as u64 });
                    }
                }
                prop_assert_eq!(shown(&Layout::replay(&layout.records(&birth(&layout)))), shown(&layout));
                prop_assert_eq!(layout.size, plain.len() as u64);
                prop_assert_eq!(render(&layout, &data, &base), plain.clone());
            }
        }
    }
}
