//! Changes to the tree, inside the writer's transaction.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::ids::Ids;
use super::node::{Content, Layer, Node, Place, columns};
use super::{commits, query};
use crate::attr::{FileId, Kind, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::receipt::Receipt;

/// Answers kept for calls resent after a crash; a client resends within minutes.
const REPLIES_KEPT: i64 = 4096;

/// A row that a change touched: as it is now, or unknown (not worth a place in the cache, or gone).
pub(super) type Touched = (FileId, Option<Arc<Node>>);

/// The writer's view of the database while one change runs. What it touched is brought into the cache, or dropped
/// from it, when the transaction has been committed.
pub struct Tx<'a> {
    pub(super) db: &'a Connection,
    pub(super) ids: &'a Ids,
    pub(super) touched: Vec<Touched>,
}

impl Tx<'_> {
    pub fn db(&self) -> &Connection {
        self.db
    }

    pub fn node(&self, id: FileId) -> Result<Option<Node>> {
        query::node(self.db, id)
    }

    /// The live node, or `Gone`.
    pub fn live(&self, id: FileId) -> Result<Node> {
        self.node(id)?.ok_or_else(|| Error::new(ErrorKind::Gone, "This file has been removed."))
    }

    /// The live folder, or `Gone` / `NotDirectory`.
    pub fn folder(&self, id: FileId) -> Result<Node> {
        let node = self.live(id)?;
        if node.kind != Kind::Directory {
            return Err(Error::new(
                ErrorKind::NotDirectory,
                format!("{} is not a folder.", node.display_name()),
            ));
        }
        if node.gone {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} was deleted elsewhere.", node.display_name()),
            ));
        }
        Ok(node)
    }

    pub fn child(&self, parent: FileId, name: &[u8]) -> Result<Option<Node>> {
        query::child(self.db, parent, name)
    }

    pub fn all_children(&self, parent: FileId) -> Result<Vec<Node>> {
        query::children(self.db, parent, FileId(0), i64::MAX as usize)
    }

    /// A fresh node; not in the database before [`Tx::put`].
    pub fn new_node(&self, parent: FileId, name: &[u8], kind: Kind, layer: Layer) -> Result<Node> {
        Ok(Node::new(self.ids.take()?, parent, name, kind, layer))
    }

    /// The row as it is now, new or not.
    pub fn put(&mut self, node: &Node) -> Result<()> {
        if !self.put_unindexed(node)? {
            self.put_all(node)?;
        }
        self.touched.push((node.id, Some(Arc::new(node.clone()))));
        Ok(())
    }

    /// The row of a node that has none yet, of which a listing has thousands: it gets no place in the cache.
    pub fn put_listed(&mut self, node: &Node) -> Result<()> {
        self.put_all(node)?;
        self.touched.push((node.id, None));
        Ok(())
    }

    /// The row of a node that has none yet, and that somebody is going to use.
    pub fn put_new(&mut self, node: &Node) -> Result<()> {
        self.put_all(node)?;
        self.touched.push((node.id, Some(Arc::new(node.clone()))));
        Ok(())
    }

    /// Most changes move nothing that an index holds. SQLite takes every index's entry out and puts it back for a
    /// column that is set, whether or not it changes: here none is. `false` when there is no such row.
    fn put_unindexed(&mut self, node: &Node) -> Result<bool> {
        let (place, place_path) = place_columns(&node.place);
        let sql = "UPDATE nodes SET (mode, uid, gid, size, atime, mtime, ctime, base_hash, base_size, expect, verifier, \
             target, listed) = (?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14) WHERE id = ?1 AND parent = ?15 AND name = ?16 \
             AND key IS ?17 AND kind = ?18 AND layer = ?19 AND gone = ?20 AND place = ?21 AND place_path IS ?22";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            node.id,
            node.mode,
            node.uid,
            node.gid,
            node.size as i64,
            node.atime,
            node.mtime,
            node.ctime,
            node.base.as_ref().map(|base| &base.hash),
            node.base.as_ref().map(|base| base.size as i64),
            node.expect,
            node.verifier.as_ref().map(|v| v.as_slice()),
            node.target,
            node.listed,
            node.parent,
            node.name,
            node.key,
            node.kind,
            layer_column(node.layer),
            node.gone,
            place,
            place_path,
        ])?;
        Ok(changed > 0)
    }

    fn put_all(&mut self, node: &Node) -> Result<()> {
        let (place, place_path) = place_columns(&node.place);
        // By its number alone: a name that another row has is an error, and never the end of that row.
        let sql = concat!(
            "INSERT INTO nodes(",
            columns!(),
            ", folded) VALUES \
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23) \
             ON CONFLICT(id) DO UPDATE SET (parent, name, key, kind, layer, gone, mode, uid, gid, size, atime, mtime, \
             ctime, base_hash, base_size, place, place_path, expect, verifier, target, listed, folded) = \
             (?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23)"
        );
        self.db.prepare_cached(sql)?.execute(params![
            node.id,
            node.parent,
            node.name,
            node.key,
            node.kind,
            layer_column(node.layer),
            node.gone,
            node.mode,
            node.uid,
            node.gid,
            node.size as i64,
            node.atime,
            node.mtime,
            node.ctime,
            node.base.as_ref().map(|base| &base.hash),
            node.base.as_ref().map(|base| base.size as i64),
            place,
            place_path,
            node.expect,
            node.verifier.as_ref().map(|v| v.as_slice()),
            node.target,
            node.listed,
            query::folded(&node.name),
        ])?;
        Ok(())
    }

    /// Takes the row away: the id is gone for good.
    pub fn erase(&mut self, id: FileId) -> Result<()> {
        self.db.prepare_cached("DELETE FROM nodes WHERE id = ?1")?.execute([id])?;
        self.touched.push((id, None));
        Ok(())
    }

    /// Moves the folder's clock: the kernel's only sign that its names changed.
    pub fn touch_folder(&mut self, id: FileId) -> Result<Node> {
        let mut folder = self.live(id)?;
        self.touch(&mut folder)?;
        Ok(folder)
    }

    /// The same for a folder whose row is at hand.
    pub fn touch(&mut self, folder: &mut Node) -> Result<()> {
        folder.touch();
        self.db.prepare_cached("UPDATE nodes SET mtime = ?2, ctime = ?3 WHERE id = ?1")?.execute(params![
            folder.id,
            folder.mtime,
            folder.ctime
        ])?;
        self.touched.push((folder.id, Some(Arc::new(folder.clone()))));
        Ok(())
    }

    /// Notes that the key is to be deleted on the Hub, where it holds `hash`.
    pub fn delete_later(&mut self, path: &str, hash: Option<&str>) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO deletes(path, hash, since) VALUES (?1, ?2, ?3)")?
            .execute(params![path, hash, Timestamp::now().as_ms()])?;
        Ok(())
    }

    /// Notes that the key is to be deleted at once: its content stands at another key already.
    pub fn delete_at_once(&mut self, path: &str, hash: Option<&str>) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO deletes(path, hash, since) VALUES (?1, ?2, 0)")?
            .execute(params![path, hash])?;
        Ok(())
    }

    /// Nothing of ours is going to be put at this key, or below it, any more: what was sent there without an answer
    /// is to go, if the Hub has it. A file that stands there is left to its own move or removal.
    pub fn abandon(&mut self, path: &str) -> Result<()> {
        for (path, hash) in commits::unanswered_from(self.db, path)? {
            let known = query::delete_at(self.db, &path)?.is_some();
            if !known && query::placed_at(self.db, &path)?.is_empty() {
                self.delete_at_once(&path, Some(&hash))?;
            }
        }
        Ok(())
    }

    /// The Hub gets another file's content at this key, or may have got it: files of ours that had theirs there have
    /// it nowhere, and are still to be brought to where their names are, by its hash. Answers what it was.
    pub fn displace(&mut self, path: &str, by: FileId) -> Result<Vec<Content>> {
        let mut contents = Vec::new();
        for mut node in query::placed_at(self.db, path)?.into_iter().filter(|node| node.id != by) {
            node.place = Place::Nowhere;
            self.put(&node)?;
            contents.extend(node.base);
        }
        Ok(contents)
    }

    /// The person wants every pending deletion to leave; how many that are.
    pub fn release_deletes(&mut self) -> Result<u64> {
        Ok(self.db.execute("UPDATE deletes SET since = 0 WHERE since > 0", [])? as u64)
    }

    /// Forgets a delete (it was done, or a new file stands at the key).
    pub fn forget_delete(&mut self, path: &str) -> Result<()> {
        self.db.prepare_cached("DELETE FROM deletes WHERE path = ?1")?.execute([path])?;
        Ok(())
    }

    /// A number kept beside the tree.
    pub fn meta(&self, name: &str) -> Result<Option<i64>> {
        use rusqlite::OptionalExtension;
        let mut statement = self.db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    pub fn set_meta(&mut self, name: &str, value: i64) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO meta(name, value) VALUES (?1, ?2)")?
            .execute(params![name, value])?;
        Ok(())
    }

    /// Stores the caller's answer together with the change.
    pub fn keep_receipt<T>(&mut self, receipt: Option<Receipt<T>>, success: &T) -> Result<()> {
        let Some(receipt) = receipt else { return Ok(()) };
        let (key, reply) = receipt.encode(success);
        self.db
            .prepare_cached("INSERT INTO replies(key, reply) VALUES (?1, ?2)")?
            .execute(params![key, reply])?;
        let last = self.db.last_insert_rowid();
        if last % 256 == 0 {
            self.db.prepare_cached("DELETE FROM replies WHERE seq <= ?1")?.execute([last - REPLIES_KEPT])?;
        }
        Ok(())
    }

    /// Says where the Hub has the node now, in the shortest form: inherited where that is the same.
    pub fn set_place(&mut self, node: &mut Node, path: &str) -> Result<()> {
        let inherited = match (self.node(node.parent)?, node.key()) {
            (Some(parent), Some(key)) => {
                query::actual_place(self.db, &parent)?.map(|folder| query::join(&folder, key))
            }
            _ => None,
        };
        node.place =
            if inherited.as_deref() == Some(path) { Place::Inherited } else { Place::At(path.to_owned()) };
        Ok(())
    }
}

fn place_columns(place: &Place) -> (i64, Option<&str>) {
    match place {
        Place::Nowhere => (0, None),
        Place::Inherited => (1, None),
        Place::At(path) => (2, Some(path)),
    }
}

fn layer_column(layer: Layer) -> i64 {
    match layer {
        Layer::Bucket => 0,
        Layer::Local => 1,
    }
}
