//! Pairs of files that are two versions of one: kept until a person, or the course of things, has solved
//! them.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::query;
use super::transaction::Tx;
use crate::attr::{FileId, Timestamp};
use crate::error::Result;

/// Two files that came from one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub id: u64,
    /// The visible path both wanted, at that time.
    pub path: String,
    /// The visible path of the other one, at that time.
    pub kept_as: String,
    pub mine: FileId,
    pub theirs: FileId,
    pub at_ms: i64,
}

fn pair(row: &Row<'_>) -> rusqlite::Result<Pair> {
    Ok(Pair {
        id: row.get::<_, i64>(0)? as u64,
        path: row.get(1)?,
        kept_as: row.get(2)?,
        mine: row.get(3)?,
        theirs: row.get(4)?,
        at_ms: row.get(5)?,
    })
}

const COLUMNS: &str = "id, path, kept_as, mine, theirs, at";

/// All whose both files are still there, oldest first: deleting one of the two solves a conflict.
pub fn all(db: &Connection) -> Result<Vec<Pair>> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM conflicts ORDER BY id"))?;
    let rows = statement.query_map([], pair)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut open = Vec::new();
    for pair in rows {
        if lives(db, pair.mine)? && lives(db, pair.theirs)? {
            open.push(pair);
        }
    }
    Ok(open)
}

pub fn get(db: &Connection, id: u64) -> Result<Option<Pair>> {
    let sql = format!("SELECT {COLUMNS} FROM conflicts WHERE id = ?1");
    Ok(db.prepare_cached(&sql)?.query_row([id as i64], pair).optional()?)
}

fn lives(db: &Connection, id: FileId) -> Result<bool> {
    Ok(query::node(db, id)?.is_some_and(|node| !node.gone))
}

impl Tx<'_> {
    /// Notes that `mine` and `theirs` both wanted `path`.
    pub fn keep_conflict(&mut self, path: &str, kept_as: &str, mine: FileId, theirs: FileId) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO conflicts(path, kept_as, mine, theirs, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![path, kept_as, mine, theirs, Timestamp::now().as_ms()])?;
        Ok(())
    }

    pub fn forget_conflict(&mut self, id: u64) -> Result<()> {
        self.db.prepare_cached("DELETE FROM conflicts WHERE id = ?1")?.execute([id as i64])?;
        Ok(())
    }

    /// Takes conflicts out of which one file is gone.
    pub fn forget_solved_conflicts(&mut self) -> Result<()> {
        self.db.execute(
            "DELETE FROM conflicts WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = mine AND gone = 0) \
             OR NOT EXISTS (SELECT 1 FROM nodes WHERE id = theirs AND gone = 0)",
            [],
        )?;
        Ok(())
    }
}
