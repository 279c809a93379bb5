//! Buckets, their files and the changes made to them, in one SQLite database.
//!
//! One connection behind one mutex: every call is a few index look-ups and never waits for anything but
//! this disk. A batch is one transaction, so a killed Hub has a batch wholly or not at all. The journal
//! is a WAL without a sync for each commit: what was answered survives `kill -9`, not a power cut.

mod changes;
pub mod repos;
mod tree;

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::now_ms;

pub use changes::{Change, ChangeSet, FileFacts};
pub use tree::TreeEntry;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS buckets (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL, name TEXT NOT NULL, oid TEXT NOT NULL, private INTEGER NOT NULL, region TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    UNIQUE (namespace, name));
CREATE TABLE IF NOT EXISTS files (
    bucket INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, hash TEXT NOT NULL,
    mtime INTEGER, uploaded_at INTEGER NOT NULL, content_type TEXT,
    PRIMARY KEY (bucket, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, bucket INTEGER NOT NULL, at INTEGER NOT NULL, changes TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS changes_by_bucket ON changes (bucket, seq);
";

/// Buckets and files. Every method is one transaction.
pub struct Store {
    connection: Mutex<Connection>,
}

/// A bucket as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Never reused, stays over renames.
    pub key: i64,
    pub namespace: String,
    pub name: String,
    pub oid: String,
    pub private: bool,
    pub region: Option<String>,
    pub created_at: i64,
    /// Moves up with every change, by at least a millisecond.
    pub updated_at: i64,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub size: u64,
    pub files: u64,
}

/// A file as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub facts: FileFacts,
    pub uploaded_at: i64,
}

impl Bucket {
    /// `namespace/name`
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Store {
    /// Opens or makes the database of `directory`.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(directory.join("hub.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(repos::SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// 32 random bytes, drawn once for this data directory.
    pub fn secret(&self) -> anyhow::Result<[u8; 32]> {
        let mut fresh = [0u8; 32];
        getrandom::fill(&mut fresh).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        let connection = self.connection.lock();
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?1)", [&fresh[..]])?;
        let kept: Vec<u8> =
            connection.query_row("SELECT value FROM meta WHERE name = 'secret'", [], |row| row.get(0))?;
        kept.try_into().map_err(|_| anyhow::anyhow!("hub.sqlite is damaged: its secret has a wrong length"))
    }

    /// A stored value that is no bucket's.
    pub fn meta(&self, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        let connection = self.connection.lock();
        connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
    }

    pub fn set_meta(&self, name: &str, value: &[u8]) -> rusqlite::Result<()> {
        let connection = self.connection.lock();
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![name, value])?;
        Ok(())
    }

    pub fn bucket(&self, namespace: &str, name: &str) -> rusqlite::Result<Option<Bucket>> {
        find_bucket(&self.connection.lock(), namespace, name)
    }

    /// The buckets of a namespace by name; only public ones unless `private` too.
    pub fn buckets(&self, namespace: &str, private: bool) -> rusqlite::Result<Vec<Bucket>> {
        let connection = self.connection.lock();
        let mut query = connection
            .prepare_cached("SELECT * FROM buckets WHERE namespace = ?1 AND private <= ?2 ORDER BY name")?;
        query.query_map(params![namespace, private], bucket_row)?.collect()
    }

    pub fn totals(&self, bucket: i64) -> rusqlite::Result<Totals> {
        let connection = self.connection.lock();
        let mut query = connection
            .prepare_cached("SELECT coalesce(sum(size), 0), count(*) FROM files WHERE bucket = ?1")?;
        query.query_row([bucket], |row| Ok(Totals { size: unsigned(row, 0)?, files: unsigned(row, 1)? }))
    }

    /// Makes a bucket; `None` when there is one of that name.
    pub fn create_bucket(
        &self,
        namespace: &str,
        name: &str,
        private: bool,
        region: Option<&str>,
    ) -> rusqlite::Result<Option<Bucket>> {
        let connection = self.connection.lock();
        let oid = format!("{:024x}", rand::random::<u64>());
        let inserted = connection.execute(
            "INSERT OR IGNORE INTO buckets (namespace, name, oid, private, region, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
            params![namespace, name, oid, private, region, now_ms()],
        )?;
        if inserted == 0 { Ok(None) } else { find_bucket(&connection, namespace, name) }
    }

    /// Removes a bucket with everything in it.
    pub fn delete_bucket(&self, bucket: i64) -> rusqlite::Result<()> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM files WHERE bucket = ?1", [bucket])?;
        transaction.execute("DELETE FROM changes WHERE bucket = ?1", [bucket])?;
        transaction.execute("DELETE FROM buckets WHERE key = ?1", [bucket])?;
        transaction.commit()
    }

    /// Gives a bucket another id; false when that one is taken.
    pub fn move_bucket(&self, bucket: i64, namespace: &str, name: &str) -> rusqlite::Result<bool> {
        let connection = self.connection.lock();
        let moved = connection.execute(
            "UPDATE OR IGNORE buckets SET namespace = ?2, name = ?3, updated_at = max(?4, updated_at + 1)
             WHERE key = ?1",
            params![bucket, namespace, name, now_ms()],
        )?;
        Ok(moved > 0)
    }

    pub fn set_private(&self, bucket: i64, private: bool) -> rusqlite::Result<()> {
        let connection = self.connection.lock();
        connection.execute(
            "UPDATE buckets SET private = ?2, updated_at = max(?3, updated_at + 1) WHERE key = ?1",
            params![bucket, private, now_ms()],
        )?;
        Ok(())
    }

    pub fn file(&self, bucket: i64, path: &str) -> rusqlite::Result<Option<File>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached("SELECT * FROM files WHERE bucket = ?1 AND path = ?2")?;
        query.query_row(params![bucket, path], file_row).optional()
    }
}

fn find_bucket(connection: &Connection, namespace: &str, name: &str) -> rusqlite::Result<Option<Bucket>> {
    let mut query = connection.prepare_cached("SELECT * FROM buckets WHERE namespace = ?1 AND name = ?2")?;
    query.query_row([namespace, name], bucket_row).optional()
}

fn bucket_row(row: &Row<'_>) -> rusqlite::Result<Bucket> {
    Ok(Bucket {
        key: row.get("key")?,
        namespace: row.get("namespace")?,
        name: row.get("name")?,
        oid: row.get("oid")?,
        private: row.get("private")?,
        region: row.get("region")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn file_row(row: &Row<'_>) -> rusqlite::Result<File> {
    Ok(File {
        path: row.get("path")?,
        facts: FileFacts {
            size: row.get::<_, i64>("size")?.unsigned_abs(),
            hash: row.get("hash")?,
            mtime: row.get("mtime")?,
            content_type: row.get("content_type")?,
        },
        uploaded_at: row.get("uploaded_at")?,
    })
}

/// SQLite has no unsigned integers; what is stored here is never negative.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

#[cfg(test)]
pub(crate) fn temporary() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_made_once_moved_and_removed() {
        let (_directory, store) = temporary();
        let bucket = store.create_bucket("alice", "one", true, Some("eu")).unwrap().unwrap();
        assert_eq!(store.create_bucket("alice", "one", true, None).unwrap(), None);
        assert!(
            store.buckets("alice", false).unwrap().is_empty(),
            "a private one is not listed for strangers"
        );
        assert_eq!(store.buckets("alice", true).unwrap().len(), 1);
        store.create_bucket("alice", "two", false, None).unwrap().unwrap();
        assert!(!store.move_bucket(bucket.key, "alice", "two").unwrap(), "two is taken");
        assert!(store.move_bucket(bucket.key, "acme", "three").unwrap());
        let moved = store.bucket("acme", "three").unwrap().unwrap();
        assert!(moved.key == bucket.key && moved.updated_at > bucket.updated_at);
        store.delete_bucket(moved.key).unwrap();
        assert_eq!(store.bucket("acme", "three").unwrap(), None);
    }

    #[test]
    fn the_secret_stays_over_a_restart() {
        let (directory, store) = temporary();
        let secret = store.secret().unwrap();
        drop(store);
        assert_eq!(Store::open(directory.path()).unwrap().secret().unwrap(), secret);
    }
}
