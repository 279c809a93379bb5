//! File ids that are never given twice, even when the database is lost (design.md promise 5).
//!
//! The file `ids` beside the database holds a mark above every id ever given. Ids are taken below the mark;
//! before they reach it, a higher mark is written and synced.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::attr::FileId;
use crate::durable::replace_file;
use crate::error::{Error, Result};

/// Below this are fixed ids (root, orphans, virtual files) and the cookies of `.` and `..`.
pub const FIRST: u64 = 64;
const STEP: u64 = 1 << 16;
/// More ids than one bucket is ever given between two looks at its database.
const FAR: u64 = 1 << 32;

pub struct Ids {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    next: u64,
    mark: u64,
}

impl Ids {
    /// `highest` is the greatest id in the database: a mark below it (an old backup) is not believed.
    pub fn open(path: &Path, highest: u64) -> Result<Self> {
        let mark = match fs::read(path) {
            Ok(bytes) => std::str::from_utf8(&bytes).ok().and_then(parse).unwrap_or_else(|| {
                tracing::error!(file = %path.display(), "the mark of file ids is damaged; ids go on far above");
                highest.saturating_add(FAR)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::disk(format!("reading {}", path.display()), &error)),
        };
        // What lies below the mark may have been given in a life whose database is lost.
        let next = mark.max(highest + 1).max(FIRST);
        Ok(Ids { path: path.to_owned(), state: Mutex::new(State { next, mark: next }) })
    }

    /// A new id, below a mark that is on stable storage.
    pub fn take(&self) -> Result<FileId> {
        let mut state = self.state.lock();
        if state.next >= state.mark {
            let mark = state.next + STEP;
            replace_file(&self.path, render(mark).as_bytes())
                .map_err(|error| Error::disk("reserving file ids", &error))?;
            state.mark = mark;
        }
        let id = FileId(state.next);
        state.next += 1;
        Ok(id)
    }
}

const MAGIC: &str = "BBIDS1";

/// `BBIDS1 MARK CRC32`: a mark that is damaged and still reads as a number is not believed.
fn render(mark: u64) -> String {
    let digits = mark.to_string();
    format!("{MAGIC} {digits} {:08x}\n", crc32fast::hash(digits.as_bytes()))
}

fn parse(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    if first != MAGIC {
        // Before the checksum there was the number alone.
        return words.next().is_none().then(|| first.parse().ok())?;
    }
    let (digits, crc) = (words.next()?, words.next()?);
    let sound = u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(digits.as_bytes());
    sound.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_come_twice_whatever_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids");
        let first = Ids::open(&path, 0).unwrap();
        let given: Vec<_> = (0..100).map(|_| first.take().unwrap()).collect();
        drop(first);
        // The database is lost: nobody knows the highest id, the mark does.
        let second = Ids::open(&path, 0).unwrap();
        assert!(second.take().unwrap() > *given.last().unwrap());
        // The mark is unreadable: ids that were given and erased since are not given again.
        fs::write(&path, b"\xff damaged").unwrap();
        assert!(Ids::open(&path, 100).unwrap().take().unwrap().0 > 1 << 32);
        // A flipped bit that leaves a smaller number.
        let sound = render(1 << 33);
        for at in 0..sound.len() - 1 {
            for bit in 0..7 {
                let mut bad = sound.clone().into_bytes();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).unwrap();
                let next = Ids::open(&path, 100).unwrap().take().unwrap().0;
                assert!(next >= 1 << 32, "{} was believed", String::from_utf8_lossy(&bad));
            }
            fs::write(&path, &sound[..at]).unwrap();
            assert!(Ids::open(&path, 100).unwrap().take().unwrap().0 > 1 << 32, "cut at {at}");
        }
        fs::write(&path, "70000").unwrap();
        assert_eq!(Ids::open(&path, 100).unwrap().take().unwrap().0, 70_000, "as written by older versions");
        // The mark is older than the database.
        let third = Ids::open(&path, 1 << 40).unwrap();
        assert_eq!(third.take().unwrap().0, (1 << 40) + 1);
    }
}
