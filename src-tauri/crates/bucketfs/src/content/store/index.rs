//! Which blocks are on disk and where: a small SQLite database. Losing its last moments costs a fetch,
//! never a wrong byte: a block's checksum covers its bytes and its identity.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, params};

use crate::content::block::{BlockId, ContentKey};

/// Where a block lies: `len` bytes at `offset` of a segment, and their checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub segment: u32,
    pub offset: u32,
    pub len: u32,
    pub checksum: u64,
}

/// What the index knows of a segment: `used` orders segments by their last use.
#[derive(Clone, Copy, Debug)]
pub struct SegmentRow {
    pub id: u32,
    pub size: u64,
    pub used: u64,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS segments (id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL, used INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS blocks (
        content BLOB NOT NULL, number INTEGER NOT NULL,
        segment INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (content, number)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS blocks_by_segment ON blocks (segment);
    PRAGMA user_version = 1;";

/// The open database.
pub struct Index {
    connection: Connection,
}

impl Index {
    /// Opens or creates the database at `path`. Fails on one that is damaged or of another version.
    pub fn open(path: &Path) -> Result<Index, Error> {
        Index::prepare(Connection::open(path)?)
    }

    fn prepare(connection: Connection) -> Result<Index, Error> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // No sync per commit: after a power cut the last rows may be gone, the database is whole.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -2048)?;
        connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > 1 {
            return Err(Error::InvalidQuery);
        }
        connection.execute_batch(SCHEMA)?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Index { connection })
    }

    pub fn segments(&self) -> Result<Vec<SegmentRow>, Error> {
        let mut query = self.connection.prepare_cached("SELECT id, size, used FROM segments ORDER BY id")?;
        let rows = query.query_map([], |row| {
            let (size, used): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(SegmentRow { id: row.get(0)?, size: size as u64, used: used as u64 })
        })?;
        rows.collect()
    }

    /// Creates a segment's row; its id was never used before.
    pub fn add_segment(&self, used: u64) -> Result<u32, Error> {
        self.connection
            .prepare_cached("INSERT INTO segments (size, used) VALUES (0, ?1)")?
            .execute(params![used as i64])?;
        Ok(self.connection.last_insert_rowid() as u32)
    }

    /// Forgets the segment and every block in it.
    pub fn remove_segment(&mut self, id: u32) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        transaction.prepare_cached("DELETE FROM blocks WHERE segment = ?1")?.execute(params![id])?;
        transaction.prepare_cached("DELETE FROM segments WHERE id = ?1")?.execute(params![id])?;
        transaction.commit()
    }

    /// The places of the blocks `from..to` of `content`, by rising number.
    pub fn places(&self, content: &ContentKey, from: u32, to: u64) -> Result<Vec<(u32, Place)>, Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT number, segment, start, length, checksum FROM blocks
             WHERE content = ?1 AND number >= ?2 AND number < ?3 ORDER BY number",
        )?;
        let rows = query.query_map(params![content.0, from, to as i64], |row| {
            let checksum: i64 = row.get(4)?;
            let place = Place {
                segment: row.get(1)?,
                offset: row.get(2)?,
                len: row.get(3)?,
                checksum: checksum as u64,
            };
            Ok((row.get(0)?, place))
        })?;
        rows.collect()
    }

    /// Notes all of `blocks` and the segments' new sizes and uses, or nothing.
    pub fn record(&mut self, blocks: &[(BlockId, Place)], segments: &[SegmentRow]) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (id, place) in blocks {
                insert.execute(params![
                    id.content.0,
                    id.index,
                    place.segment,
                    place.offset,
                    place.len,
                    place.checksum as i64
                ])?;
            }
            let mut update =
                transaction.prepare_cached("UPDATE segments SET size = ?2, used = ?3 WHERE id = ?1")?;
            for segment in segments {
                update.execute(params![segment.id, segment.size as i64, segment.used as i64])?;
            }
        }
        transaction.commit()
    }

    /// Forgets one block, if it is still at `place`.
    pub fn forget(&self, id: &BlockId, place: &Place) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "DELETE FROM blocks WHERE content = ?1 AND number = ?2 AND segment = ?3 AND start = ?4",
            )?
            .execute(params![id.content.0, id.index, place.segment, place.offset])?;
        Ok(())
    }

    /// Brings the log into the database file, so that the next start finds one small file.
    pub fn settle(&self) {
        let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpoint {
            tracing::debug!(%error, "the read cache's index keeps its log");
        }
    }

    /// An empty index that lives in memory only.
    pub fn nowhere() -> Result<Index, Error> {
        Index::prepare(Connection::open_in_memory()?)
    }
}

/// Whether the database itself is damaged, rather than the disk full or the call refused.
pub fn is_damage(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
