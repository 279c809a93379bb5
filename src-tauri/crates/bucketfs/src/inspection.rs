//! A look at a state directory that changes nothing, for a diagnosis; a server may be using it.

use std::fs;
use std::path::Path;

use crate::error::{ErrorKind, Result};
use crate::names;

/// What a state directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub database: Database,
    /// Staged copies, with their sidecars.
    pub staged: u64,
    /// Staged data without a sidecar, which no start can take up.
    pub without_sidecar: u64,
    /// Sidecars and data that an earlier start could not read and kept apart.
    pub kept_apart: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// Never served.
    Absent,
    Sound,
    /// The sentence says how.
    Damaged(String),
    /// Made by a newer version.
    Foreign(String),
    /// It could not be read now, which says nothing about it.
    Unread(String),
}

/// Reads the whole database: seconds for a million files. Call it off the async threads.
pub fn inspect(state_dir: &Path) -> Inspection {
    let (staged, without_sidecar) = staged(&state_dir.join("staged"));
    let kept_apart = entries(&state_dir.join("staged/unreadable")).count() as u64;
    Inspection { database: database(&state_dir.join("names.db")), staged, without_sidecar, kept_apart }
}

fn database(path: &Path) -> Database {
    if !path.exists() {
        return Database::Absent;
    }
    judge(names::inspect(path))
}

fn judge(found: Result<()>) -> Database {
    match found {
        Ok(()) => Database::Sound,
        Err(error) => match error.kind {
            ErrorKind::Damaged => Database::Damaged(error.to_string()),
            ErrorKind::Unsupported => Database::Foreign(error.to_string()),
            _ => Database::Unread(error.to_string()),
        },
    }
}

fn staged(dir: &Path) -> (u64, u64) {
    let (mut with, mut without) = (0, 0);
    for path in entries(dir).filter(|path| path.extension().is_some_and(|kind| kind == "data")) {
        if path.with_extension("log").exists() {
            with += 1;
        } else if path.exists() {
            // Still there after the sidecar was looked for: not one that was being removed.
            without += 1;
        }
    }
    (with, without)
}

fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = entries(dir).map(|path| path.display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_sound_a_damaged_a_newer_and_no_database_and_nothing_is_made_beside_it() {
        let temp = tempfile::tempdir().unwrap();
        // A name that must be escaped in SQLite's address of a file.
        let dir = temp.path().join("a ?#%b");
        fs::create_dir(&dir).unwrap();
        let path = dir.join("names.db");
        assert_eq!(inspect(&dir).database, Database::Absent);
        let db = rusqlite::Connection::open(&path).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(100000))").unwrap();
        assert_eq!(inspect(&dir).database, Database::Sound, "while somebody has it open");
        drop(db);
        assert_eq!(inspect(&dir).database, Database::Sound);
        assert_eq!(listing(&dir), [path.display().to_string()]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[4096..8192].fill(0xff);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(inspect(&dir).database, Database::Damaged(_)), "{:?}", inspect(&dir));
        fs::write(&path, b"this is no database at all, of any format").unwrap();
        assert!(matches!(inspect(&dir).database, Database::Damaged(_)), "{:?}", inspect(&dir));
        fs::remove_file(&path).unwrap();
        rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(inspect(&dir).database, Database::Foreign(_)));
    }

    #[test]
    fn staged_copies_are_counted_and_the_orphans_named() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("staged/unreadable")).unwrap();
        for name in ["1.data", "1.log", "2.data", "refused", "unreadable/3.log"] {
            fs::write(temp.path().join("staged").join(name), b"x").unwrap();
        }
        let found = inspect(temp.path());
        assert_eq!((found.staged, found.without_sidecar, found.kept_apart), (1, 1, 1));
    }
}
