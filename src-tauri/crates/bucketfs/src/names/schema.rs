//! The state database of one bucket: opening, pragmas, tables.
//!
//! WAL with `synchronous = NORMAL`: a transaction that returned survives kill -9 of this process, and a
//! power cut once [`super::NameStore::sync`] returned (design.md promise 6).

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, ErrorKind, Result};

/// Format of the tables; a database of another version is refused, never guessed at.
pub const VERSION: i64 = 1;

/// STRICT: a value of the wrong type cannot get in, and the check at a start finds one that damage has put there.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS nodes(
  id INTEGER PRIMARY KEY,
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  folded BLOB NOT NULL,
  key TEXT,
  kind INTEGER NOT NULL,
  layer INTEGER NOT NULL,
  gone INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  size INTEGER NOT NULL,
  atime INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  ctime INTEGER NOT NULL,
  base_hash TEXT,
  base_size INTEGER,
  place INTEGER NOT NULL,
  place_path TEXT,
  expect TEXT,
  verifier BLOB,
  target BLOB,
  listed INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS nodes_by_name ON nodes(parent, name) WHERE gone = 0;
CREATE INDEX IF NOT EXISTS nodes_by_folded ON nodes(parent, folded) WHERE gone = 0;
CREATE INDEX IF NOT EXISTS nodes_in_order ON nodes(parent, id) WHERE gone = 0;
CREATE INDEX IF NOT EXISTS nodes_displaced ON nodes(place_path) WHERE place = 2;
CREATE INDEX IF NOT EXISTS nodes_unplaced ON nodes(id) WHERE kind = 1 AND place = 0 AND layer = 0 AND gone = 0;
CREATE INDEX IF NOT EXISTS nodes_by_key ON nodes(parent, key) WHERE key IS NOT NULL AND gone = 0;
CREATE INDEX IF NOT EXISTS nodes_links ON nodes(id) WHERE kind = 3 AND layer = 0 AND gone = 0;
CREATE INDEX IF NOT EXISTS nodes_new_folders ON nodes(id) WHERE kind = 2 AND layer = 0 AND gone = 0 AND place = 0;
-- Keys to be deleted on the Hub, with the content they had when the file was removed here. `since` is when
-- that was; 0: it goes at once (the file was moved and its copy stands, or the person said so).
CREATE TABLE IF NOT EXISTS deletes(
  path TEXT PRIMARY KEY,
  hash TEXT,
  since INTEGER NOT NULL
) STRICT;
-- Answers of calls that must not be done twice.
CREATE TABLE IF NOT EXISTS replies(
  seq INTEGER PRIMARY KEY,
  key BLOB NOT NULL,
  reply BLOB NOT NULL
) STRICT;
-- What this machine is about to put at a key ('' for a deletion), stored before the Hub is told.
CREATE TABLE IF NOT EXISTS commits(
  path TEXT NOT NULL,
  hash TEXT NOT NULL,
  seen TEXT,
  slipped TEXT,
  slipped_size INTEGER,
  at INTEGER NOT NULL,
  done INTEGER NOT NULL,
  heard INTEGER NOT NULL,
  PRIMARY KEY(path, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS commits_done ON commits(at) WHERE done = 1;
-- Two files that are versions of one, until somebody solves it.
CREATE TABLE IF NOT EXISTS conflicts(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  path TEXT NOT NULL,
  kept_as TEXT NOT NULL,
  mine INTEGER NOT NULL,
  theirs INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;
-- Contents that were deleted or overwritten through the mount.
CREATE TABLE IF NOT EXISTS removed(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  path TEXT NOT NULL,
  hash TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  at INTEGER NOT NULL,
  how INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS removed_by_path ON removed(path, seq);
-- What had failed for good, and the queue's settings.
CREATE TABLE IF NOT EXISTS troubles(
  kind TEXT NOT NULL,
  what TEXT NOT NULL,
  class TEXT NOT NULL,
  why TEXT NOT NULL,
  advice TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  signed_out INTEGER NOT NULL,
  PRIMARY KEY(kind, what)
) STRICT, WITHOUT ROWID;
-- What is kept offline: `path` as it is seen, `node` what was there when somebody looked last.
CREATE TABLE IF NOT EXISTS pins(path TEXT PRIMARY KEY, node INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
";

/// Opens (and makes) the database for its one writer and checks that it is sound.
///
/// Errors: [`ErrorKind::Damaged`] for a corrupt or foreign file, `Unsupported` for a newer format.
pub fn open_writer(path: &Path) -> Result<Connection> {
    let db = Connection::open(path)?;
    configure(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // What a savepoint may have to undo would go to a file in /tmp beyond 64 KiB, with a system call a page.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != 0 && found != VERSION {
        return Err(foreign(found));
    }
    check(&db)?;
    db.execute_batch(TABLES)?;
    db.pragma_update(None, "user_version", VERSION)?;
    Ok(db)
}

pub fn open_reader(path: &Path) -> Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    configure(&db)?;
    Ok(db)
}

/// Whether the database at `path` is sound, without changing it or any file beside it; a server may run.
///
/// Errors: as [`open_writer`], and what the disk says.
pub fn inspect(path: &Path) -> Result<()> {
    let beside = |suffix: &str| Path::new(&format!("{}{suffix}", path.display())).to_owned();
    let has_log = std::fs::metadata(beside("-wal")).is_ok_and(|wal| wal.len() > 0);
    if has_log && !beside("-shm").exists() {
        return Err(Error::new(ErrorKind::Slow, "Its log can only be read by the next start."));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = if has_log || beside("-shm").exists() {
        Connection::open_with_flags(path, flags)?
    } else {
        // Nobody has it open. Without this SQLite would make the two files beside it.
        let mut url = String::from("file:");
        for byte in path.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                    url.push(char::from(*byte))
                }
                _ => url.push_str(&format!("%{byte:02x}")),
            }
        }
        url.push_str("?immutable=1");
        Connection::open_with_flags(url, flags | OpenFlags::SQLITE_OPEN_URI)?
    };
    db.busy_timeout(Duration::from_secs(5))?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found != 0 && found != VERSION {
        return Err(foreign(found));
    }
    check(&db)
}

fn foreign(found: i64) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("The state database has format {found}, this version knows {VERSION}."),
    )
    .advise("Use the newer BucketBar that made it; nothing was changed.")
}

fn configure(db: &Connection) -> Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "cache_size", -8 * 1024)?;
    // On macOS a plain fsync leaves data in the drive's cache; elsewhere these are no-ops.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn check(db: &Connection) -> Result<()> {
    let verdict: String = db.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Damaged, format!("The state database is damaged: {verdict}.")))
    }
}
