//! What this machine is about to tell the Hub, stored before it is told (design.md promise 9).
//!
//! A row answers two questions later. *Is what the Hub has there ours?* An answer may be lost, the process
//! may die: the next look at the key finds a content nobody here remembers, but for the row. *Did somebody
//! change the key between our look and our batch?* The Hub has no preconditions; its feed tells the order:
//! their content, then ours, means that we have overwritten theirs.

use rusqlite::{Connection, OptionalExtension, params};

use super::node::Content;
use super::transaction::Tx;
use crate::attr::Timestamp;
use crate::error::Result;

/// Rows whose outcome is known are of no use any more after this long.
const FORGOTTEN_AFTER_MS: i64 = 3_600_000;

/// One key that this machine has written or deleted, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCommit {
    pub path: String,
    /// `None`: a deletion.
    pub hash: Option<String>,
    /// What the look before the batch found there.
    pub seen: Option<String>,
    /// Somebody else's content that the feed told of after the look and before our own change.
    pub slipped: Option<Content>,
    /// The feed has told of our change.
    pub heard: bool,
}

/// Contents of ours that the Hub may have at the key: put there, or sent without an answer, and nobody else's has
/// been seen there since.
pub fn own_at(db: &Connection, path: &str) -> Result<Vec<String>> {
    let mut statement = db.prepare_cached("SELECT hash FROM commits WHERE path = ?1 AND hash <> ''")?;
    let rows = statement.query_map([path], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// `true` while the Hub may have been told to delete this key, and has not answered.
pub fn deletion_unanswered(db: &Connection, path: &str) -> Result<bool> {
    let mut statement =
        db.prepare_cached("SELECT 1 FROM commits WHERE path = ?1 AND hash = '' AND done = 0 LIMIT 1")?;
    Ok(statement.exists([path])?)
}

/// Keys that the Hub may have from us although nobody answered so: this one and those below it, each with one
/// content.
pub fn unanswered_from(db: &Connection, path: &str) -> Result<Vec<(String, String)>> {
    let mut statement = db.prepare_cached(
        "SELECT path, max(hash) FROM commits WHERE (path = ?1 OR (path > ?1 || '/' AND path < ?1 || '0')) \
         AND done = 0 AND hash <> '' GROUP BY path",
    )?;
    let rows = statement.query_map([path], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The rows of a key that the feed has not told of, the latest last.
pub fn unheard_at(db: &Connection, path: &str) -> Result<Vec<OwnCommit>> {
    let mut statement = db.prepare_cached(
        "SELECT path, hash, seen, slipped, slipped_size, heard FROM commits WHERE path = ?1 AND heard = 0 \
         ORDER BY at",
    )?;
    let rows = statement.query_map([path], |row| {
        let hash: String = row.get(1)?;
        let slipped: Option<String> = row.get(3)?;
        let size: i64 = row.get::<_, Option<i64>>(4)?.unwrap_or(0);
        Ok(OwnCommit {
            path: row.get(0)?,
            hash: (!hash.is_empty()).then_some(hash),
            seen: row.get(2)?,
            slipped: slipped.map(|hash| Content { hash, size: size.max(0) as u64 }),
            heard: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// `true` while the feed may have something to tell about our own changes.
pub fn any_unheard(db: &Connection) -> Result<bool> {
    let since = Timestamp::now().as_ms() - FORGOTTEN_AFTER_MS;
    let found: Option<i64> = db
        .query_row("SELECT 1 FROM commits WHERE heard = 0 AND at > ?1 LIMIT 1", [since], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

impl Tx<'_> {
    /// Before the look at the key: this is what will be put there (`None`: it will be deleted).
    pub fn commit_begins(&mut self, path: &str, hash: Option<&str>) -> Result<()> {
        let now = Timestamp::now().as_ms();
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO commits(path, hash, at, done, heard) VALUES (?1, ?2, ?3, 0, 0)",
            )?
            .execute(params![path, hash.unwrap_or(""), now])?;
        self.db
            .prepare_cached("DELETE FROM commits WHERE done = 1 AND at < ?1")?
            .execute([now - FORGOTTEN_AFTER_MS])?;
        Ok(())
    }

    /// After the look, before the batch: this is what it found. What slipped in before the look has been
    /// seen by it.
    pub fn commit_checked(&mut self, path: &str, hash: Option<&str>, seen: Option<&str>) -> Result<()> {
        self.db
            .prepare_cached(
                "UPDATE commits SET seen = ?3, slipped = CASE WHEN slipped = ?3 THEN NULL ELSE slipped END \
                 WHERE path = ?1 AND hash = ?2",
            )?
            .execute(params![path, hash.unwrap_or(""), seen])?;
        Ok(())
    }

    /// It is not going to be put there: the content goes elsewhere.
    pub fn commit_withdrawn(&mut self, path: &str, hash: Option<&str>) -> Result<()> {
        self.db
            .prepare_cached("DELETE FROM commits WHERE path = ?1 AND hash = ?2 AND done = 0")?
            .execute(params![path, hash.unwrap_or("")])?;
        Ok(())
    }

    /// The Hub has said that it is so; answers that never came do not matter any more.
    pub fn commit_done(&mut self, path: &str, hash: Option<&str>) -> Result<()> {
        let hash = hash.unwrap_or("");
        self.db
            .prepare_cached("DELETE FROM commits WHERE path = ?1 AND hash <> ?2 AND (done = 0 OR heard = 1)")?
            .execute(params![path, hash])?;
        self.db
            .prepare_cached("UPDATE commits SET done = 1 WHERE path = ?1 AND hash = ?2")?
            .execute(params![path, hash])?;
        Ok(())
    }

    /// The feed tells of somebody else's content at a key that we are changing.
    pub fn commit_met(&mut self, path: &str, theirs: Option<&Content>) -> Result<()> {
        self.db
            .prepare_cached(
                "UPDATE commits SET slipped = CASE WHEN seen = ?2 THEN NULL ELSE ?2 END, slipped_size = ?3 \
                 WHERE path = ?1 AND heard = 0",
            )?
            .execute(params![path, theirs.map(|c| &c.hash), theirs.map(|c| c.size as i64)])?;
        self.commit_overtaken(path)
    }

    /// Somebody else's content is at the key after ours: what we had put there is not ours any more if it comes
    /// back.
    pub fn commit_overtaken(&mut self, path: &str) -> Result<()> {
        self.db
            .prepare_cached("DELETE FROM commits WHERE path = ?1 AND done = 1 AND heard = 1")?
            .execute([path])?;
        Ok(())
    }

    /// The feed tells of our own change.
    pub fn commit_heard(&mut self, path: &str, hash: Option<&str>) -> Result<()> {
        let hash = hash.unwrap_or("");
        self.db
            .prepare_cached("UPDATE commits SET heard = 1, slipped = NULL WHERE path = ?1 AND hash = ?2")?
            .execute(params![path, hash])?;
        Ok(())
    }
}
