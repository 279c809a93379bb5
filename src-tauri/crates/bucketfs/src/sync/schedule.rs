//! Which uploads start now: small files first and many in one session, and no large one starves.

use super::work::FileWork;
use crate::attr::FileId;

/// Files up to this size share sessions: one session costs several calls.
pub const SMALL: u64 = 8 << 20;
const GROUP_FILES: usize = 256;
const GROUP_BYTES: u64 = 64 << 20;
/// With one slot only, a large file has its turn after so many groups of small ones.
const SMALL_IN_A_ROW: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
}

/// What runs and what waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slots {
    pub parallel: usize,
    pub running_small: usize,
    pub running_large: usize,
    /// Groups of small files that have been started since a large one was.
    pub small_in_a_row: u32,
}

impl Slots {
    /// What gets the next slot; `None` when it has to wait.
    ///
    /// With more than one slot, large files never take the last one (a small file saved now does not wait for
    /// hours), and small ones leave one to a large one that waits.
    pub fn next(&self, small: bool, large: bool) -> Option<Size> {
        let free = self.parallel.saturating_sub(self.running_small + self.running_large);
        if free == 0 {
            return None;
        }
        let large_may = large && self.running_large < self.parallel.saturating_sub(1).max(1);
        if !small {
            return large_may.then_some(Size::Large);
        }
        let turn_of_large = match self.parallel {
            1 => self.small_in_a_row >= SMALL_IN_A_ROW,
            _ => self.running_large == 0 && free == 1,
        };
        Some(if large_may && turn_of_large { Size::Large } else { Size::Small })
    }

    pub fn started(&mut self, size: Size) {
        match size {
            Size::Small => {
                self.running_small += 1;
                self.small_in_a_row += 1;
            }
            Size::Large => {
                self.running_large += 1;
                self.small_in_a_row = 0;
            }
        }
    }
}

/// Small files in groups, in their order. `alone` says how many at most may share a session with a file that
/// failed in company.
pub fn groups(files: Vec<FileWork>, apart: impl Fn(FileId) -> Option<usize>) -> Vec<Vec<FileWork>> {
    let mut groups: Vec<(usize, u64, Vec<FileWork>)> = Vec::new();
    for file in files {
        let most = apart(file.node.id).unwrap_or(GROUP_FILES).clamp(1, GROUP_FILES);
        match groups.iter_mut().rev().find(|(limit, ..)| *limit == most) {
            Some((limit, bytes, group)) if group.len() < *limit && *bytes + file.size <= GROUP_BYTES => {
                *bytes += file.size;
                group.push(file);
            }
            _ => groups.push((most, file.size, vec![file])),
        }
    }
    groups.into_iter().map(|(.., group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small groups end at once, large files after 100 rounds; both always wait.
    fn started(parallel: usize, rounds: usize) -> (usize, usize) {
        let mut slots = Slots { parallel, ..Slots::default() };
        let (mut small, mut large) = (0, 0);
        for round in 0..rounds {
            while let Some(size) = slots.next(true, true) {
                slots.started(size);
                match size {
                    Size::Small => small += 1,
                    Size::Large => large += 1,
                }
            }
            slots.running_small = 0;
            if round % 100 == 99 {
                slots.running_large = 0;
            }
        }
        (small, large)
    }

    #[test]
    fn neither_small_nor_large_files_starve() {
        for parallel in [1, 2, 3, 16] {
            let (small, large) = started(parallel, 1000);
            assert!(
                small >= 40 && large >= 9,
                "{parallel}: {small} groups of small files, {large} large ones"
            );
        }
    }

    #[test]
    fn large_files_leave_a_slot_to_small_ones() {
        let slots = Slots { parallel: 3, running_large: 2, ..Slots::default() };
        assert_eq!(slots.next(false, true), None);
        assert_eq!(slots.next(true, true), Some(Size::Small));
        let full = Slots { parallel: 3, running_large: 2, running_small: 1, ..Slots::default() };
        assert_eq!(full.next(true, true), None);
        let one = Slots { parallel: 1, ..Slots::default() };
        assert_eq!(one.next(false, true), Some(Size::Large), "a single slot serves both");
    }
}
