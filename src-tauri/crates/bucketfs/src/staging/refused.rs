//! Ranges whose WRITE was refused before the file had a staged copy: holes without a place in a sidecar
//! (design.md promise 4). The disk was full or failing at that moment, so they are kept in a small file whose
//! blocks were taken when the bucket was opened.
//!
//! The file has slots of 28 bytes: file id, start, end, CRC-32 of these. A slot of zeros is free. A range is in
//! the page cache when [`Refused::add`] returned; without a free slot, or when even this write fails, it is
//! remembered in memory only, and that is logged.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use parking_lot::Mutex;
use rangemap::RangeSet;

use super::staged::Refusal;
use crate::attr::FileId;

const SLOT: usize = 28;
const SLOTS: usize = 146;

pub struct Refused {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    holes: HashMap<FileId, RangeSet<u64>>,
    /// In this life, refused for want of room.
    full: HashSet<FileId>,
    slots: Vec<Option<FileId>>,
    file: Option<File>,
}

impl Refused {
    /// Reads what an earlier life left and takes the blocks for what may come.
    pub fn open(path: &Path) -> Self {
        let mut state = State { slots: vec![None; SLOTS], ..State::default() };
        match open_file(path) {
            Ok((file, bytes)) => {
                for (index, slot) in bytes.chunks_exact(SLOT).enumerate() {
                    if let Some((id, range)) = decode(slot) {
                        state.slots[index] = Some(id);
                        state.holes.entry(id).or_default().insert(range);
                    }
                }
                state.file = Some(file);
            }
            Err(error) => tracing::warn!(%error, "refused writes are remembered in memory only"),
        }
        Refused { state: Mutex::new(state) }
    }

    /// `full`: for want of room.
    pub fn add(&self, id: FileId, range: Range<u64>, full: bool) {
        if range.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.holes.entry(id).or_default().insert(range.clone());
        if full {
            state.full.insert(id);
        }
        let free = state.slots.iter().position(Option::is_none);
        match (free, &state.file) {
            (Some(index), Some(file)) => {
                match file.write_all_at(&encode(id, &range), (index * SLOT) as u64) {
                    Ok(()) => state.slots[index] = Some(id),
                    Err(error) => tracing::error!(file = %id, %error, "a refused write could not be noted"),
                }
            }
            _ => tracing::error!(file = %id, "a refused write could not be noted: too many of them"),
        }
    }

    pub fn has(&self, id: FileId) -> bool {
        self.state.lock().holes.contains_key(&id)
    }

    /// What is answered while the file has such a hole.
    pub fn hole_of(&self, id: FileId) -> Option<Refusal> {
        let state = self.state.lock();
        state.holes.contains_key(&id).then(|| match state.full.contains(&id) {
            true => Refusal::HoleForWantOfRoom,
            false => Refusal::Hole,
        })
    }

    pub fn holes_of(&self, id: FileId) -> RangeSet<u64> {
        self.state.lock().holes.get(&id).cloned().unwrap_or_default()
    }

    /// The file is gone, or its holes are in its sidecar now.
    pub fn forget(&self, id: FileId) {
        let mut state = self.state.lock();
        state.full.remove(&id);
        if state.holes.remove(&id).is_none() {
            return;
        }
        for index in 0..state.slots.len() {
            if state.slots[index] == Some(id) {
                state.slots[index] = None;
                if let Some(file) = &state.file
                    && let Err(error) = file.write_all_at(&[0; SLOT], (index * SLOT) as u64)
                {
                    tracing::warn!(%error, "a refused write that is over could not be taken off its list");
                }
            }
        }
    }
}

fn open_file(path: &Path) -> io::Result<(File, Vec<u8>)> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let mut bytes = vec![0; SLOT * SLOTS];
    let had = file.metadata()?.len().min(bytes.len() as u64) as usize;
    file.read_exact_at(&mut bytes[..had], 0)?;
    if had < bytes.len() {
        file.write_all_at(&bytes, 0)?;
    }
    Ok((file, bytes))
}

fn encode(id: FileId, range: &Range<u64>) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    for (index, field) in [id.0, range.start, range.end].into_iter().enumerate() {
        slot[index * 8..index * 8 + 8].copy_from_slice(&field.to_le_bytes());
    }
    let crc = crc32fast::hash(&slot[..24]);
    slot[24..].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<(FileId, Range<u64>)> {
    let field = |index: usize| Some(u64::from_le_bytes(slot.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    let crc = u32::from_le_bytes(slot.get(24..28)?.try_into().ok()?);
    let (id, start, end) = (field(0)?, field(1)?, field(2)?);
    (crc == crc32fast::hash(&slot[..24]) && start < end).then_some((FileId(id), start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_ranges_outlive_the_process_until_they_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused");
        let first = Refused::open(&path);
        first.add(FileId(70), 5..9, true);
        first.add(FileId(70), 20..30, true);
        first.add(FileId(71), 0..1, false);
        first.forget(FileId(71));
        let again = Refused::open(&path);
        assert_eq!(again.holes_of(FileId(70)).iter().cloned().collect::<Vec<_>>(), [5..9, 20..30]);
        assert!(!again.has(FileId(71)));
        again.forget(FileId(70));
        assert!(!Refused::open(&path).has(FileId(70)));
        for number in 0..SLOTS as u64 + 5 {
            again.add(FileId(100 + number), 0..8, false);
        }
        assert!(again.has(FileId(100 + SLOTS as u64 + 4)), "more than there are slots: in memory");
        assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, SLOT * SLOTS, "no block more");
    }
}
