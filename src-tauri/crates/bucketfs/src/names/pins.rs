//! Files and folders that are kept offline, and what lies in them.

use rusqlite::{Connection, params};

use super::transaction::Tx;
use crate::attr::{FileId, Kind};
use crate::error::Result;

/// A file or folder that somebody wants kept offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The visible path, `""` for everything. It follows the node when that is moved.
    pub path: String,
    /// What was there when it was looked at last; 0 when nothing was.
    pub node: FileId,
    /// When it was asked for.
    pub at_ms: i64,
}

/// All pins, by path.
pub fn all(db: &Connection) -> Result<Vec<Pin>> {
    let mut statement = db.prepare_cached("SELECT path, node, at FROM pins ORDER BY path")?;
    let rows = statement
        .query_map([], |row| Ok(Pin { path: row.get(0)?, node: row.get(1)?, at_ms: row.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// One node of a kept tree, as far as keeping it matters.
pub struct Below {
    pub id: FileId,
    pub kind: Kind,
    pub size: u64,
    /// The Hub's content, if it has one of this file.
    pub base: Option<(String, u64)>,
    /// The Hub has it somewhere.
    pub placed: bool,
    pub listed: bool,
}

/// Shows `visit` the node and everything of the bucket below it that is known.
pub fn below(db: &Connection, top: FileId, mut visit: impl FnMut(Below)) -> Result<()> {
    let mut statement = db.prepare_cached(
        "WITH RECURSIVE tree(id) AS (
           SELECT id FROM nodes WHERE id = ?1 AND gone = 0
           UNION ALL
           SELECT n.id FROM nodes n JOIN tree t ON n.parent = t.id
           WHERE n.gone = 0 AND n.layer = 0 AND n.id <> n.parent)
         SELECT n.id, n.kind, n.size, n.base_hash, n.base_size, n.place, n.listed
         FROM tree t CROSS JOIN nodes n ON n.id = t.id",
    )?;
    let mut rows = statement.query([top])?;
    while let Some(row) = rows.next()? {
        let hash: Option<String> = row.get(3)?;
        let base_size = row.get::<_, Option<i64>>(4)?.unwrap_or(0).max(0) as u64;
        visit(Below {
            id: row.get(0)?,
            kind: row.get(1)?,
            size: row.get::<_, i64>(2)?.max(0) as u64,
            base: hash.map(|hash| (hash, base_size)),
            placed: row.get::<_, i64>(5)? != 0,
            listed: row.get(6)?,
        });
    }
    Ok(())
}

impl Tx<'_> {
    /// Adds the pin, or replaces the one at its path.
    pub fn put_pin(&mut self, pin: &Pin) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO pins(path, node, at) VALUES (?1, ?2, ?3)")?
            .execute(params![pin.path, pin.node, pin.at_ms])?;
        Ok(())
    }

    /// `true` when there was one.
    pub fn remove_pin(&mut self, path: &str) -> Result<bool> {
        let removed = self.db.prepare_cached("DELETE FROM pins WHERE path = ?1")?.execute([path])?;
        Ok(removed > 0)
    }
}

/// Shows `visit` the kind, key and content ("" of a folder) of everything that the Hub has in this folder under its
/// own name, as far as is known.
pub fn on_hub_in(db: &Connection, folder: FileId, mut visit: impl FnMut(Kind, &str, &str)) -> Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT kind, key, name, base_hash FROM nodes
         WHERE parent = ?1 AND gone = 0 AND layer = 0 AND place = 1 AND kind <> 3 AND id <> parent",
    )?;
    let mut rows = statement.query([folder])?;
    while let Some(row) = rows.next()? {
        let key: Option<String> = row.get(1)?;
        let name: Vec<u8> = row.get(2)?;
        let hash: Option<String> = row.get(3)?;
        let key = key.unwrap_or_else(|| String::from_utf8_lossy(&name).into_owned());
        visit(row.get(0)?, &key, hash.as_deref().unwrap_or(""));
    }
    Ok(())
}
