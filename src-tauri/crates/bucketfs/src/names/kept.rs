//! What the queue knows and must know again after a restart: settings, and what had failed for good.

use rusqlite::{Connection, OptionalExtension, params};

use super::transaction::Tx;
use crate::error::Result;

/// One failure as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTrouble {
    /// "file", "folder" or "delete".
    pub kind: String,
    /// File id, or key.
    pub what: String,
    pub class: String,
    pub why: String,
    pub advice: String,
    pub attempts: u32,
    pub signed_out: bool,
}

pub fn troubles(db: &Connection) -> Result<Vec<StoredTrouble>> {
    let mut statement =
        db.prepare_cached("SELECT kind, what, class, why, advice, attempts, signed_out FROM troubles")?;
    let rows = statement.query_map([], |row| {
        Ok(StoredTrouble {
            kind: row.get(0)?,
            what: row.get(1)?,
            class: row.get(2)?,
            why: row.get(3)?,
            advice: row.get(4)?,
            attempts: row.get(5)?,
            signed_out: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub fn setting(db: &Connection, name: &str) -> Result<Option<String>> {
    let mut statement = db.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

impl Tx<'_> {
    pub fn keep_setting(&mut self, name: &str, value: &str) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO settings(name, value) VALUES (?1, ?2)")?
            .execute([name, value])?;
        Ok(())
    }

    /// Replaces what was stored.
    pub fn keep_troubles(&mut self, all: &[StoredTrouble]) -> Result<()> {
        self.db.execute("DELETE FROM troubles", [])?;
        let mut statement = self.db.prepare_cached(
            "INSERT OR REPLACE INTO troubles(kind, what, class, why, advice, attempts, signed_out) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for one in all {
            statement.execute(params![
                one.kind,
                one.what,
                one.class,
                one.why,
                one.advice,
                one.attempts,
                one.signed_out
            ])?;
        }
        Ok(())
    }
}
