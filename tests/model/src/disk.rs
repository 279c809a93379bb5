//! The state directory as a power cut leaves it.
//!
//! `model-fs` has `fsync` and `fdatasync` of its own, which every caller in that process uses, SQLite
//! included. They tell [`Stable`], which then takes the file's content (or the folder's names) aside. So at any
//! moment there is, beside the state directory, exactly what a disk is obliged to have: contents by inode, and
//! names by folder, each as of its last successful sync.
//!
//! [`cut`] builds the directory that the next boot finds. What was not synced may have reached the disk or not,
//! page by page and name by name: [`Luck`] says how much of it did. Nothing is assumed of the order, as with a
//! real disk: a file's content does not bring its name along, a rename may be there without what it renamed.
//!
//! A *failed* sync loses what it was to bring: the kernel calls those pages clean, and no later sync writes
//! them (only writing them again does).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::steps::Dice;

const PAGE: usize = 4096;

/// How much of what was never synced reached the disk all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Luck {
    Nothing,
    Everything,
    /// Each page and each name with this chance in a hundred.
    Percent(u8),
}

/// A file or folder by what it is, not by its name; inode numbers are reused, times of birth are not.
type Key = String;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    name: String,
    key: Key,
    folder: bool,
}

/// Keeps what is on stable storage of one state directory.
pub struct Stable {
    state: PathBuf,
    aside: PathBuf,
    one: Mutex<()>,
}

impl Stable {
    pub fn open(state: &Path, aside: &Path) -> io::Result<Self> {
        for folder in ["contents", "folders", "lost"] {
            fs::create_dir_all(aside.join(folder))?;
        }
        Ok(Stable { state: state.to_owned(), aside: aside.to_owned(), one: Mutex::new(()) })
    }

    /// The file or folder at `path` was synced.
    pub fn synced(&self, path: &Path) -> io::Result<()> {
        let Ok(inside) = path.strip_prefix(&self.state) else { return Ok(()) };
        let _one = self.one.lock();
        if path.is_dir() {
            let names = serde_json::to_vec(&names_of(path)?)?;
            return replace(&self.folder(inside), &names);
        }
        let (key, mut content) = content_at(path)?;
        let lost = self.lost(&key);
        if !lost.is_empty() {
            let before = fs::read(self.content(&key)).unwrap_or_default();
            for page in lost {
                let from = page * PAGE;
                let to = content.len().min(from + PAGE);
                for (at, byte) in content.iter_mut().enumerate().take(to).skip(from) {
                    *byte = before.get(at).copied().unwrap_or(0);
                }
            }
        }
        replace(&self.content(&key), &content)
    }

    /// A sync of the file at `path` failed: what it was to write is lost.
    pub fn failed(&self, path: &Path) -> io::Result<()> {
        if !path.starts_with(&self.state) || path.is_dir() {
            return Ok(());
        }
        let _one = self.one.lock();
        let (key, content) = content_at(path)?;
        let before = fs::read(self.content(&key)).unwrap_or_default();
        let mut lost = self.lost(&key);
        for (page, bytes) in content.chunks(PAGE).enumerate() {
            let from = page * PAGE;
            if before.get(from..from + bytes.len()) != Some(bytes) {
                lost.insert(page);
            }
        }
        replace(&self.aside.join("lost").join(&key), &serde_json::to_vec(&lost)?)
    }

    /// Bytes of the file at `path` were written: their pages will be in the next sync.
    pub fn wrote(&self, path: &Path, offset: u64, length: usize) -> io::Result<()> {
        if !path.starts_with(&self.state) || length == 0 {
            return Ok(());
        }
        let _one = self.one.lock();
        let key = key_of(&fs::metadata(path)?);
        let mut lost = self.lost(&key);
        if lost.is_empty() {
            return Ok(());
        }
        let first = offset as usize / PAGE;
        let last = (offset as usize + length - 1) / PAGE;
        lost.retain(|page| !(first..=last).contains(page));
        replace(&self.aside.join("lost").join(&key), &serde_json::to_vec(&lost)?)
    }

    /// Everything in the state directory is on stable storage: what a machine finds after it came up.
    pub fn all(&self) -> io::Result<()> {
        let mut folders = vec![self.state.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { self.synced(&path)? }
            }
            self.synced(&folder)?;
        }
        Ok(())
    }

    fn lost(&self, key: &str) -> BTreeSet<usize> {
        let noted = fs::read(self.aside.join("lost").join(key)).unwrap_or_default();
        serde_json::from_slice(&noted).unwrap_or_default()
    }

    fn content(&self, key: &str) -> PathBuf {
        self.aside.join("contents").join(key)
    }

    fn folder(&self, inside: &Path) -> PathBuf {
        self.aside.join("folders").join(format!("={}", inside.display().to_string().replace('/', "=")))
    }
}

/// Builds in `into` what the disk has of `state` after its power was cut.
pub fn cut(state: &Path, aside: &Path, into: &Path, luck: Luck, dice: &mut Dice) -> io::Result<()> {
    let stable = Stable::open(state, aside)?;
    let mut now = BTreeMap::new();
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for named in names_of(&folder)? {
            let path = folder.join(&named.name);
            if named.folder {
                folders.push(path);
            } else {
                now.insert(named.key, path);
            }
        }
    }
    Cut { stable: &stable, now, luck, dice }.folder(Path::new(""), into)
}

struct Cut<'a> {
    stable: &'a Stable,
    now: BTreeMap<Key, PathBuf>,
    luck: Luck,
    dice: &'a mut Dice,
}

impl Cut<'_> {
    fn folder(&mut self, inside: &Path, into: &Path) -> io::Result<()> {
        fs::create_dir_all(into)?;
        let noted = fs::read(self.stable.folder(inside)).unwrap_or_default();
        let durable: Vec<Named> = serde_json::from_slice(&noted).unwrap_or_default();
        let current = names_of(&self.stable.state.join(inside)).unwrap_or_default();
        let names: BTreeSet<&str> = durable.iter().chain(&current).map(|named| named.name.as_str()).collect();
        for name in names {
            let old = durable.iter().find(|named| named.name == name);
            let new = current.iter().find(|named| named.name == name);
            let kept = if old == new || !self.lucky() { old } else { new };
            let Some(kept) = kept else { continue };
            if kept.folder {
                self.folder(&inside.join(name), &into.join(name))?;
            } else if !name.ends_with("-shm") {
                fs::write(into.join(name), self.content(&kept.key))?;
            }
        }
        Ok(())
    }

    fn content(&mut self, key: &str) -> Vec<u8> {
        let durable = fs::read(self.stable.content(key)).unwrap_or_default();
        let Some(now) = self.now.get(key).and_then(|path| fs::read(path).ok()) else { return durable };
        let length = if self.lucky() { now.len() } else { durable.len() };
        let mut content = durable;
        content.resize(length, 0);
        for from in (0..length.min(now.len())).step_by(PAGE) {
            let to = length.min(now.len()).min(from + PAGE);
            if content[from..to] != now[from..to] && self.lucky() {
                content[from..to].copy_from_slice(&now[from..to]);
            }
        }
        content
    }

    fn lucky(&mut self) -> bool {
        match self.luck {
            Luck::Nothing => false,
            Luck::Everything => true,
            Luck::Percent(chance) => self.dice.percent(chance),
        }
    }
}

fn names_of(folder: &Path) -> io::Result<Vec<Named>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may go away between the two calls.
        let Ok(meta) = entry.metadata() else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = if meta.is_dir() { String::new() } else { key_of(&meta) };
        names.push(Named { name, key, folder: meta.is_dir() });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(names)
}

fn key_of(meta: &fs::Metadata) -> Key {
    let born = meta.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}", meta.ino(), born.map_or(0, |at| at.as_nanos()))
}

fn content_at(path: &Path) -> io::Result<(Key, Vec<u8>)> {
    let mut file = fs::File::open(path)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok((key_of(&file.metadata()?), content))
}

/// In one step: the process may be killed at any moment.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, bytes)?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bed {
        dir: testkit::TempDir,
        stable: Stable,
    }

    impl Bed {
        fn new() -> Self {
            let dir = testkit::tempdir().unwrap();
            fs::create_dir(dir.path().join("state")).unwrap();
            let stable = Stable::open(&dir.path().join("state"), &dir.path().join("stable")).unwrap();
            Bed { dir, stable }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join("state").join(name)
        }

        fn after(&self, luck: Luck, name: &str) -> Option<Vec<u8>> {
            let into = self.dir.path().join("after");
            let _ = fs::remove_dir_all(&into);
            let (state, aside) = (self.dir.path().join("state"), self.dir.path().join("stable"));
            cut(&state, &aside, &into, luck, &mut Dice::new(7)).unwrap();
            fs::read(into.join(name)).ok()
        }
    }

    #[test]
    fn a_synced_file_without_a_synced_name_is_not_there() {
        let bed = Bed::new();
        fs::write(bed.path("a"), b"one").unwrap();
        bed.stable.synced(&bed.path("a")).unwrap();
        assert_eq!(bed.after(Luck::Nothing, "a"), None);
        bed.stable.synced(&bed.path("")).unwrap();
        assert_eq!(bed.after(Luck::Nothing, "a").unwrap(), b"one");
    }

    #[test]
    fn what_was_written_after_the_sync_is_there_with_luck_only() {
        let bed = Bed::new();
        fs::write(bed.path("a"), b"one").unwrap();
        bed.stable.all().unwrap();
        fs::write(bed.path("a"), b"two and more").unwrap();
        fs::remove_file(bed.path("b")).unwrap_err();
        assert_eq!(bed.after(Luck::Nothing, "a").unwrap(), b"one");
        assert_eq!(bed.after(Luck::Everything, "a").unwrap(), b"two and more");
        fs::remove_file(bed.path("a")).unwrap();
        assert_eq!(bed.after(Luck::Nothing, "a").unwrap(), b"one", "a removal is a change of the folder");
        assert_eq!(bed.after(Luck::Everything, "a"), None);
    }

    #[test]
    fn a_rename_comes_with_the_sync_of_its_folder() {
        let bed = Bed::new();
        fs::write(bed.path("a"), b"old").unwrap();
        bed.stable.all().unwrap();
        fs::write(bed.path("a.new"), b"new").unwrap();
        bed.stable.synced(&bed.path("a.new")).unwrap();
        fs::rename(bed.path("a.new"), bed.path("a")).unwrap();
        assert_eq!(bed.after(Luck::Nothing, "a").unwrap(), b"old");
        bed.stable.synced(&bed.path("")).unwrap();
        assert_eq!(bed.after(Luck::Nothing, "a").unwrap(), b"new");
    }

    #[test]
    fn pages_of_a_failed_sync_are_lost_until_written_again() {
        let bed = Bed::new();
        fs::write(bed.path("a"), [1u8; 2 * PAGE]).unwrap();
        bed.stable.all().unwrap();
        fs::write(bed.path("a"), [2u8; 2 * PAGE]).unwrap();
        bed.stable.failed(&bed.path("a")).unwrap();
        bed.stable.synced(&bed.path("a")).unwrap();
        assert_eq!(
            bed.after(Luck::Nothing, "a").unwrap(),
            [1u8; 2 * PAGE],
            "a later sync does not bring them"
        );
        bed.stable.wrote(&bed.path("a"), 0, 10).unwrap();
        bed.stable.synced(&bed.path("a")).unwrap();
        let after = bed.after(Luck::Nothing, "a").unwrap();
        assert_eq!((after[0], after[PAGE]), (2, 1), "the page that was written again is there");
    }
}
