//! Contents that files had before they were deleted or overwritten through the mount: the Hub keeps them
//! for a while, and by their hash they can be had again.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::node::{Content, Node};
use super::query;
use super::transaction::Tx;
use crate::attr::{Kind, Timestamp};
use crate::error::Result;
use crate::local::litter;

/// The Hub may have given the content up long before; nobody looks for what is older.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;
const KEPT: i64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovedHow {
    Deleted,
    Overwritten,
}

/// A version of a file that is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its path in the mount; in the database its full key.
    pub path: String,
    /// Xet hash.
    pub hash: String,
    pub size: u64,
    pub mtime_ms: i64,
    /// When it was deleted or overwritten.
    pub at_ms: i64,
    pub how: RemovedHow,
}

fn removed(row: &Row<'_>) -> rusqlite::Result<Removed> {
    Ok(Removed {
        path: row.get(0)?,
        hash: row.get(1)?,
        size: row.get::<_, i64>(2)?.max(0) as u64,
        mtime_ms: row.get(3)?,
        at_ms: row.get(4)?,
        how: if row.get::<_, i64>(5)? == 0 { RemovedHow::Deleted } else { RemovedHow::Overwritten },
    })
}

const COLUMNS: &str = "path, hash, size, mtime, at, how";

/// Newest first.
pub fn all(db: &Connection) -> Result<Vec<Removed>> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM removed ORDER BY seq DESC"))?;
    let rows = statement.query_map([], removed)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The newest at this key.
pub fn latest(db: &Connection, key: &str) -> Result<Option<Removed>> {
    let sql = format!("SELECT {COLUMNS} FROM removed WHERE path = ?1 ORDER BY seq DESC LIMIT 1");
    Ok(db.prepare_cached(&sql)?.query_row([key], removed).optional()?)
}

/// What was known of this content when it was removed from this key.
pub fn facts_of(db: &Connection, key: &str, hash: &str) -> Result<Option<Removed>> {
    let sql =
        format!("SELECT {COLUMNS} FROM removed WHERE path = ?1 AND hash = ?2 ORDER BY seq DESC LIMIT 1");
    Ok(db.prepare_cached(&sql)?.query_row([key, hash], removed).optional()?)
}

impl Tx<'_> {
    /// A file of the Hub is being deleted here, or another is renamed over it: its content stays to be had.
    pub fn remember_removed(&mut self, node: &Node, how: RemovedHow) -> Result<()> {
        if node.kind != Kind::File || litter::is_litter(&node.name) {
            return Ok(());
        }
        match (query::actual_place(self.db, node)?, &node.base) {
            (Some(key), Some(base)) => self.remember_version(&key, base, node.mtime, how),
            _ => Ok(()),
        }
    }

    /// This content was at this key and is not any more.
    pub fn remember_version(
        &mut self,
        key: &str,
        content: &Content,
        mtime: Timestamp,
        how: RemovedHow,
    ) -> Result<()> {
        if content.size == 0 {
            return Ok(());
        }
        let now = Timestamp::now().as_ms();
        // The same version again: only its last end counts.
        self.db
            .prepare_cached("DELETE FROM removed WHERE path = ?1 AND hash = ?2")?
            .execute(params![key, content.hash])?;
        self.db
            .prepare_cached(
                "INSERT INTO removed(path, hash, size, mtime, at, how) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![key, content.hash, content.size as i64, mtime.as_ms(), now, how as i64])?;
        let last = self.db.last_insert_rowid();
        if last % 64 == 0 {
            self.db
                .prepare_cached("DELETE FROM removed WHERE seq <= ?1 OR at < ?2")?
                .execute(params![last - KEPT, now - KEPT_MS])?;
        }
        Ok(())
    }
}
