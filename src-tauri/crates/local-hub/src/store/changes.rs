//! Changes to a bucket's files, and the record of them that the event feed replays.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::Store;
use crate::clock::{iso, now_ms};

/// What a file is, apart from its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    pub size: u64,
    pub hash: String,
    /// As the uploader sent it, ms.
    pub mtime: Option<i64>,
    pub content_type: Option<String>,
}

/// One change to one file.
#[derive(Clone, Debug)]
pub enum Change {
    Put { path: String, facts: FileFacts },
    Delete { path: String },
}

/// Changes that were applied together, as the feed tells them.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// Grows over all buckets; the feed's cursor.
    pub seq: u64,
    pub bucket: i64,
    /// The feed's JSON array.
    pub changes: Value,
}

impl Store {
    /// Applies `changes` in their order, all or (on a database error) none, moves `updatedAt`, and
    /// records them for the feed. `None` when nothing changed (deletes of missing files only).
    pub fn apply(&self, bucket: i64, changes: &[Change]) -> rusqlite::Result<Option<ChangeSet>> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        let at = next_instant(&transaction, bucket)?;
        let mut told = Vec::new();
        for change in changes {
            told.extend(apply_one(&transaction, bucket, at, change)?);
        }
        if told.is_empty() {
            return Ok(None);
        }
        transaction.execute("UPDATE buckets SET updated_at = ?2 WHERE key = ?1", [bucket, at])?;
        let changes = Value::Array(told);
        transaction.execute(
            "INSERT INTO changes (bucket, at, changes) VALUES (?1, ?2, ?3)",
            params![bucket, at, changes.to_string()],
        )?;
        let seq = transaction.last_insert_rowid().unsigned_abs();
        transaction.commit()?;
        Ok(Some(ChangeSet { seq, bucket, changes }))
    }

    /// The newest change of any bucket; 0 when there was none.
    pub fn last_seq(&self) -> rusqlite::Result<u64> {
        let connection = self.connection.lock();
        let seq = connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'changes'", [], |row| {
                row.get::<_, i64>(0)
            })
            .optional()?;
        Ok(seq.unwrap_or(0).unsigned_abs())
    }

    /// What happened to `bucket` after change `seq`, oldest first.
    pub fn changes_after(&self, bucket: i64, seq: u64) -> rusqlite::Result<Vec<ChangeSet>> {
        self.recorded(
            "SELECT * FROM changes WHERE bucket = ?1 AND seq > ?2 ORDER BY seq",
            bucket,
            seq.cast_signed(),
        )
    }

    /// What happened to `bucket` after the instant `at` (ms), oldest first.
    pub fn changes_since(&self, bucket: i64, at: i64) -> rusqlite::Result<Vec<ChangeSet>> {
        self.recorded("SELECT * FROM changes WHERE bucket = ?1 AND at > ?2 ORDER BY seq", bucket, at)
    }

    /// Contents that files of any bucket or repo refer to.
    pub fn named_contents(&self) -> rusqlite::Result<HashSet<String>> {
        let connection = self.connection.lock();
        let mut query =
            connection.prepare_cached("SELECT hash FROM files UNION SELECT hash FROM repo_files")?;
        query.query_map([], |row| row.get(0))?.collect()
    }

    /// Contents that a file of any bucket ever referred to.
    pub fn contents_ever_named(&self) -> rusqlite::Result<HashSet<String>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(
            "SELECT DISTINCT json_extract(one.value, '$.xetHash') FROM changes, json_each(changes.changes) one \
             WHERE json_extract(one.value, '$.xetHash') IS NOT NULL",
        )?;
        query.query_map([], |row| row.get(0))?.collect()
    }

    fn recorded(&self, sql: &str, bucket: i64, from: i64) -> rusqlite::Result<Vec<ChangeSet>> {
        let connection = self.connection.lock();
        let mut query = connection.prepare_cached(sql)?;
        let sets = query.query_map([bucket, from], |row| {
            let changes: String = row.get("changes")?;
            Ok(ChangeSet {
                seq: row.get::<_, i64>("seq")?.unsigned_abs(),
                bucket: row.get("bucket")?,
                changes: serde_json::from_str(&changes).unwrap_or_default(),
            })
        })?;
        sets.collect()
    }
}

/// Strictly after everything before, however many changes a millisecond sees.
fn next_instant(transaction: &Transaction<'_>, bucket: i64) -> rusqlite::Result<i64> {
    let last: i64 =
        transaction.query_row("SELECT updated_at FROM buckets WHERE key = ?1", [bucket], |row| row.get(0))?;
    Ok(now_ms().max(last + 1))
}

/// Applies one change; the feed's words for it, `None` when it changed nothing.
fn apply_one(
    transaction: &Transaction<'_>,
    bucket: i64,
    at: i64,
    change: &Change,
) -> rusqlite::Result<Option<Value>> {
    match change {
        Change::Delete { path } => {
            let mut delete =
                transaction.prepare_cached("DELETE FROM files WHERE bucket = ?1 AND path = ?2")?;
            let removed = delete.execute(params![bucket, path])?;
            Ok((removed > 0).then(|| json!({"path": path, "op": "delete"})))
        }
        Change::Put { path, facts } => {
            let mut find =
                transaction.prepare_cached("SELECT 1 FROM files WHERE bucket = ?1 AND path = ?2")?;
            let op = if find.exists(params![bucket, path])? { "update" } else { "add" };
            let mut put = transaction
                .prepare_cached("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            let FileFacts { size, hash, mtime, content_type } = facts;
            put.execute(params![bucket, path, size.cast_signed(), hash, mtime, at, content_type])?;
            let mut told =
                json!({"path": path, "op": op, "size": size, "xetHash": hash, "uploadedAt": iso(at)});
            if let Some(mtime) = mtime.and_then(iso) {
                told["mtime"] = mtime.into();
            }
            Ok(Some(told))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::temporary;

    fn put(path: &str) -> Change {
        let facts = FileFacts { size: 3, hash: "ab".into(), mtime: Some(5), content_type: None };
        Change::Put { path: path.into(), facts }
    }

    #[test]
    fn every_change_moves_updated_at_and_is_recorded_in_order() {
        let (_directory, store) = temporary();
        let bucket = store.create_bucket("alice", "one", true, None).unwrap().unwrap();
        let mut instants = vec![bucket.updated_at];
        for n in 0..50 {
            store.apply(bucket.key, &[put(&format!("f{n}"))]).unwrap().unwrap();
            instants.push(store.bucket("alice", "one").unwrap().unwrap().updated_at);
        }
        assert!(instants.is_sorted_by(|a, b| a < b), "updatedAt must move on every change");
        let recorded = store.changes_after(bucket.key, 0).unwrap();
        assert_eq!(recorded.len(), 50);
        assert_eq!(store.changes_since(bucket.key, instants[48]).unwrap().len(), 2);
        assert_eq!(store.last_seq().unwrap(), recorded[49].seq);
    }

    #[test]
    fn a_delete_of_nothing_changes_nothing() {
        let (_directory, store) = temporary();
        let bucket = store.create_bucket("alice", "one", true, None).unwrap().unwrap();
        assert!(store.apply(bucket.key, &[Change::Delete { path: "no".into() }]).unwrap().is_none());
        assert_eq!(store.bucket("alice", "one").unwrap().unwrap().updated_at, bucket.updated_at);
        let set = store
            .apply(bucket.key, &[put("a"), put("a"), Change::Delete { path: "a".into() }])
            .unwrap()
            .unwrap();
        let ops: Vec<&str> =
            set.changes.as_array().unwrap().iter().filter_map(|c| c["op"].as_str()).collect();
        assert_eq!(ops, ["add", "update", "delete"]);
        assert_eq!(store.file(bucket.key, "a").unwrap(), None);
    }
}
