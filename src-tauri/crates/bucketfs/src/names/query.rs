//! Questions to the database, the same for the writer inside a transaction and for readers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};
use unicode_normalization::{UnicodeNormalization, is_nfc_quick};

use super::Layer;
use super::node::{COLUMNS, Node, Place, columns, from_row};
use crate::attr::{Attr, FileId, Kind, ROOT};
use crate::error::Result;

/// Folders nest no deeper: a guard against a damaged `parent` column that forms a ring.
const MAX_DEPTH: usize = 4096;

/// The form in which names are compared when the exact bytes are not there (macos-nfs.md B11).
pub fn folded(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if is_nfc_quick(text.chars()) != unicode_normalization::IsNormalized::Yes => {
            text.nfc().collect::<String>().into_bytes()
        }
        _ => name.to_vec(),
    }
}

/// Whole rows of `nodes`; the statement is made when the program is built.
macro_rules! select {
    ($which:literal) => {
        concat!("SELECT ", columns!(), " FROM nodes ", $which)
    };
}

const BY_NAME: &str = select!("WHERE parent = ?1 AND name = ?2 AND gone = 0");
const BY_KEY: &str =
    select!("WHERE parent = ?1 AND key = ?2 AND gone = 0 AND layer = 0 AND kind = ?3 ORDER BY id LIMIT 1");

const MARKED: &str = select!("WHERE parent = ?1 AND key = ?2 AND gone = 0 LIMIT 1");
const ALIKE: &str = select!("WHERE parent = ?1 AND folded = ?2 AND gone = 0 ORDER BY id LIMIT 1");
const CHILDREN: &str =
    select!("WHERE parent = ?1 AND id > ?2 AND gone = 0 AND id <> ?1 ORDER BY id LIMIT ?3");

/// The same with what a listing shows and no more.
const ENTRIES: &str = "SELECT id, name, kind, mode, uid, gid, size, atime, mtime, ctime FROM nodes \
     WHERE parent = ?1 AND id > ?2 AND gone = 0 AND id <> ?1 ORDER BY id LIMIT ?3";

pub fn node(db: &Connection, id: FileId) -> Result<Option<Node>> {
    let sql = select!("WHERE id = ?1");
    Ok(db.prepare_cached(sql)?.query_row([id], from_row).optional()?)
}

/// The child with exactly these bytes, else one whose key they are and that is shown under a marked name because its
/// own was taken, else one that is equal under NFC. So nothing new gets a name that is another's key.
pub fn child(db: &Connection, parent: FileId, name: &[u8]) -> Result<Option<Node>> {
    let found = db.prepare_cached(BY_NAME)?.query_row(params![parent, name], from_row).optional()?;
    if found.is_some() {
        return Ok(found);
    }
    if let Ok(key) = std::str::from_utf8(name) {
        let found = db.prepare_cached(MARKED)?.query_row(params![parent, key], from_row).optional()?;
        if found.is_some() || name.is_ascii() {
            return Ok(found);
        }
    }
    Ok(db.prepare_cached(ALIKE)?.query_row(params![parent, folded(name)], from_row).optional()?)
}

/// Children with an id above `after`, in id order: an order no insertion or deletion disturbs.
pub fn children(db: &Connection, parent: FileId, after: FileId, limit: usize) -> Result<Vec<Node>> {
    let mut statement = db.prepare_cached(CHILDREN)?;
    let rows = statement.query_map(params![parent, after, limit as i64], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What a listing shows of the same.
pub fn entries(db: &Connection, parent: FileId, after: FileId, limit: usize) -> Result<Vec<(Vec<u8>, Attr)>> {
    let mut statement = db.prepare_cached(ENTRIES)?;
    let rows = statement.query_map(params![parent, after, limit as i64], |row| {
        let kind = row.get(2)?;
        let attr = Attr {
            id: row.get(0)?,
            kind,
            mode: row.get(3)?,
            nlink: kind.nlink(),
            uid: row.get(4)?,
            gid: row.get(5)?,
            size: row.get::<_, i64>(6)?.max(0) as u64,
            atime: row.get(7)?,
            mtime: row.get(8)?,
            ctime: row.get(9)?,
        };
        Ok((row.get(1)?, attr))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// No live node is in this folder.
pub fn is_empty(db: &Connection, folder: FileId) -> Result<bool> {
    let sql = "SELECT 1 FROM nodes WHERE parent = ?1 AND gone = 0 AND id <> ?1 LIMIT 1";
    Ok(!db.prepare_cached(sql)?.exists([folder])?)
}

/// Something of ours was moved, and the Hub has not heard.
pub fn any_displaced(db: &Connection) -> Result<bool> {
    let sql = "SELECT 1 FROM nodes WHERE place = 2 AND gone = 0 AND id <> ?1 LIMIT 1";
    Ok(db.prepare_cached(sql)?.exists([ROOT])?)
}

/// Nodes the Hub has somewhere else than where their parent's place says.
pub fn displaced(db: &Connection) -> Result<Vec<Node>> {
    let sql = select!("WHERE place = 2 AND gone = 0 ORDER BY id");
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those of them that the Hub has below this key, by number.
pub fn displaced_below(db: &Connection, path: &str, after: FileId, limit: usize) -> Result<Vec<Node>> {
    let sql = select!(
        "WHERE place = 2 AND place_path > ?1 || '/' AND place_path < ?1 || '0' \
         AND gone = 0 AND id > ?2 ORDER BY id LIMIT ?3"
    );
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params![path, after, limit as i64], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Files of the bucket that the Hub has nowhere, staged or not, by number.
pub fn unplaced(db: &Connection) -> Result<Vec<FileId>> {
    let sql = "SELECT id FROM nodes WHERE kind = 1 AND place = 0 AND layer = 0 AND gone = 0 ORDER BY id";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The live file or folder of the bucket's layer that stands for this key component. A symlink stands for none, and
/// a bucket can have a file and a folder of one key: what is asked for is one of the two.
pub fn child_by_key(db: &Connection, parent: FileId, key: &str, kind: Kind) -> Result<Option<Node>> {
    // Two questions, each with an index of its own: of one with OR SQLite reads the whole folder.
    let named =
        db.prepare_cached(BY_NAME)?.query_row(params![parent, key.as_bytes()], from_row).optional()?;
    let named = named.filter(|node| node.key.is_none() && node.kind == kind && node.layer == Layer::Bucket);
    let marked = db.prepare_cached(BY_KEY)?.query_row(params![parent, key, kind], from_row).optional()?;
    Ok(match (named, marked) {
        (Some(named), Some(marked)) if marked.id < named.id => Some(marked),
        (Some(named), _) => Some(named),
        (None, marked) => marked,
    })
}

/// The same for a path of components below `from`, each of which `may_pass`.
fn walk_keys(
    db: &Connection,
    from: Node,
    path: &str,
    kind: Kind,
    may_pass: impl Fn(&Node) -> bool,
) -> Result<Option<Node>> {
    let mut current = from;
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let wanted = if parts.peek().is_some() { Kind::Directory } else { kind };
        match child_by_key(db, current.id, part, wanted)? {
            Some(next) if may_pass(&next) => current = next,
            _ => return Ok(None),
        }
    }
    Ok(Some(current).filter(|found| found.kind == kind))
}

pub fn symlinks(db: &Connection) -> Result<Vec<Node>> {
    let sql = select!("WHERE kind = 3 AND layer = 0 AND gone = 0 ORDER BY id");
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Files that a kernel renamed because somebody had them open, orphaned ones included.
pub fn silly(db: &Connection) -> Result<Vec<Node>> {
    let sql = select!(
        "WHERE kind <> 2 AND layer = 1 AND gone = 0 \
         AND name >= CAST('.nfs' AS BLOB) AND name < CAST('.nft' AS BLOB) ORDER BY id"
    );
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Files deleted or replaced elsewhere and kept for whoever has it open.
pub fn tombstones(db: &Connection) -> Result<Vec<Node>> {
    let sql = select!("WHERE gone = 1 AND kind <> 2 ORDER BY id");
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Folders of the bucket in which nothing is that the Hub could hold.
pub fn empty_folders(db: &Connection) -> Result<Vec<Node>> {
    let columns =
        COLUMNS.split(", ").map(|column| format!("d.{}", column.trim())).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {columns} FROM nodes d WHERE d.kind = 2 AND d.layer = 0 AND d.gone = 0 AND d.place = 0 AND d.id > 64 \
         AND NOT EXISTS (SELECT 1 FROM nodes c WHERE c.parent = d.id AND c.gone = 0 AND c.layer = 0 AND c.kind <> 3)"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A key waiting to be deleted on the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelete {
    pub path: String,
    /// The content it had when it was removed here; another one on the Hub is somebody else's newer file.
    pub hash: Option<String>,
    /// When that was; 0: it goes at once.
    pub since_ms: i64,
}

impl PendingDelete {
    /// A person removed the file, and nobody has said yet that it is to go at once.
    pub fn is_held(&self) -> bool {
        self.since_ms > 0
    }
}

pub fn deletes(db: &Connection) -> Result<Vec<PendingDelete>> {
    let mut statement = db.prepare_cached("SELECT path, hash, since FROM deletes ORDER BY path")?;
    let rows = statement.query_map([], |row| {
        Ok(PendingDelete { path: row.get(0)?, hash: row.get(1)?, since_ms: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Files that the Hub has, as far as this machine knows.
pub fn known_files(db: &Connection) -> Result<u64> {
    let sql = "SELECT COUNT(*) FROM nodes WHERE kind = 1 AND layer = 0 AND gone = 0 AND place <> 0";
    let count: i64 = db.query_row(sql, [], |row| row.get(0))?;
    Ok(count.max(0) as u64)
}

/// `false`: no key waits to be deleted.
pub fn any_deletes(db: &Connection) -> Result<bool> {
    Ok(db.prepare_cached("SELECT 1 FROM deletes LIMIT 1")?.exists([])?)
}

pub fn delete_at(db: &Connection, path: &str) -> Result<Option<PendingDelete>> {
    let mut statement = db.prepare_cached("SELECT path, hash, since FROM deletes WHERE path = ?1")?;
    Ok(statement
        .query_row([path], |row| {
            Ok(PendingDelete { path: row.get(0)?, hash: row.get(1)?, since_ms: row.get(2)? })
        })
        .optional()?)
}

/// `true` when a node that was moved away locally still has its content at this key of the Hub.
pub fn moved_away_from(db: &Connection, path: &str) -> Result<bool> {
    let mut statement =
        db.prepare_cached("SELECT 1 FROM nodes WHERE place = 2 AND place_path = ?1 AND gone = 0 LIMIT 1")?;
    Ok(statement.exists([path])?)
}

/// `true` while the Hub has not heard that something below this key was removed here.
pub fn deletes_below(db: &Connection, path: &str) -> Result<bool> {
    // All keys that begin with `path/`: `0` is the character after `/`.
    let mut statement =
        db.prepare_cached("SELECT 1 FROM deletes WHERE path > ?1 || '/' AND path < ?1 || '0' LIMIT 1")?;
    Ok(statement.exists([path])?)
}

/// `true` while a file that was moved away here still stands below this key on the Hub.
pub fn moved_away_below(db: &Connection, path: &str) -> Result<bool> {
    let mut statement = db.prepare_cached(
        "SELECT 1 FROM nodes WHERE place = 2 AND place_path > ?1 || '/' AND place_path < ?1 || '0' AND gone = 0 \
         LIMIT 1",
    )?;
    Ok(statement.exists([path])?)
}

/// `true` while the Hub has another folder of ours at this place, or above it: one that was moved away here, before
/// `folder` got the name.
pub fn is_overlaid(db: &Connection, folder: &Node, place: &str) -> Result<bool> {
    let sql =
        "SELECT id FROM nodes WHERE place = 2 AND place_path = ?1 AND kind = 2 AND gone = 0 AND id <> ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut end = Some(place.len()).filter(|end| *end > 0);
    while let Some(cut) = end {
        let above = statement.query_map(params![&place[..cut], ROOT], |row| row.get(0))?;
        for id in above.collect::<rusqlite::Result<Vec<FileId>>>()? {
            if !is_below(db, folder.id, id)? {
                return Ok(true);
            }
        }
        end = place[..cut].rfind('/');
    }
    Ok(false)
}

/// The live files whose content the Hub has at just this key, as far as is known here. More than one only where
/// a save is about to replace what others of our files left there.
pub fn placed_at(db: &Connection, path: &str) -> Result<Vec<Node>> {
    let sql = select!("WHERE place = 2 AND place_path = ?1 AND gone = 0");
    let mut statement = db.prepare_cached(sql)?;
    let mut all = Vec::new();
    let mut end = Some(path.len());
    while let Some(cut) = end {
        let (above, below) = (&path[..cut], path[cut..].trim_start_matches('/'));
        for from in statement.query_map([above], from_row)?.collect::<rusqlite::Result<Vec<_>>>()? {
            // What has its place from there.
            all.extend(walk_keys(db, from, below, Kind::File, |next| next.place == Place::Inherited)?);
        }
        end = match above.rfind('/') {
            None if cut > 0 => Some(0), // the whole bucket's root
            further => further,
        };
    }
    Ok(all)
}

pub fn highest_id(db: &Connection) -> Result<u64> {
    let highest: i64 = db.query_row("SELECT COALESCE(MAX(id), 0) FROM nodes", [], |row| row.get(0))?;
    Ok(highest.max(0) as u64)
}

pub fn stored_replies(db: &Connection) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut statement = db.prepare_cached("SELECT key, reply FROM replies ORDER BY seq")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub fn join(folder: &str, key: &str) -> String {
    if folder.is_empty() { key.to_owned() } else { format!("{folder}/{key}") }
}

/// The node's path as a person sees it, for messages; without a leading slash.
pub fn shown_path(db: &Connection, node: &Node) -> Result<String> {
    let mut parts = vec![node.display_name()];
    let mut up = node.parent;
    for _ in 0..MAX_DEPTH {
        if up == ROOT {
            break;
        }
        let Some(parent) = self::node(db, up)? else { break };
        parts.push(parent.display_name());
        up = parent.parent;
    }
    parts.reverse();
    Ok(parts.join("/"))
}

/// The key the node ought to have on the Hub: the root's place plus the keys on the way down. `None` for
/// nodes that never leave this machine, or have a name on the way that cannot be a key.
pub fn desired_place(db: &Connection, node: &Node) -> Result<Option<String>> {
    let mut parts: Vec<String> = Vec::new();
    let mut current = node.clone();
    for _ in 0..MAX_DEPTH {
        if current.id == ROOT {
            let Place::At(prefix) = &current.place else { return Ok(None) };
            let mut path = prefix.clone();
            for part in parts.iter().rev() {
                path = join(&path, part);
            }
            return Ok(Some(path));
        }
        match wanted_key(&current) {
            Some(key) => parts.push(key.to_owned()),
            None => return Ok(None),
        }
        match self::node(db, current.parent)? {
            Some(parent) => current = parent,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Paths of many nodes: what is above them is looked up once. For one look; names move.
#[derive(Default)]
pub struct Paths {
    desired: HashMap<FileId, Option<String>>,
    shown: HashMap<FileId, String>,
}

impl Paths {
    /// As [`desired_place`].
    pub fn desired(&mut self, db: &Connection, node: &Node) -> Result<Option<String>> {
        if node.id == ROOT || node.parent == ROOT {
            return desired_place(db, node);
        }
        let Some(key) = wanted_key(node) else { return Ok(None) };
        let above = match self.desired.entry(node.parent) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(match self::node(db, node.parent)? {
                Some(parent) => desired_place(db, &parent)?,
                None => None,
            }),
        };
        Ok(above.as_ref().map(|above| join(above, key)))
    }

    /// As [`shown_path`].
    pub fn shown(&mut self, db: &Connection, node: &Node) -> Result<String> {
        if node.parent == ROOT {
            return Ok(node.display_name());
        }
        let above = match self.shown.entry(node.parent) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let Some(parent) = self::node(db, node.parent)? else { return shown_path(db, node) };
                free.insert(shown_path(db, &parent)?)
            }
        };
        Ok(format!("{above}/{}", node.display_name()))
    }
}

/// The component a node adds to the key it ought to have; `None` when it can have none.
fn wanted_key(node: &Node) -> Option<&str> {
    if node.layer == Layer::Local || node.gone {
        return None;
    }
    node.key().filter(|_| node.key.is_some() || crate::local::litter::refused_by_hub(&node.name).is_none())
}

/// The key under which the Hub has the node now; for a folder the prefix of what is below it.
pub fn actual_place(db: &Connection, node: &Node) -> Result<Option<String>> {
    let mut parts: Vec<String> = Vec::new();
    let mut current = node.clone();
    for _ in 0..MAX_DEPTH {
        match &current.place {
            Place::Nowhere => return Ok(None),
            Place::At(path) => {
                let mut path = path.clone();
                for part in parts.iter().rev() {
                    path = join(&path, part);
                }
                return Ok(Some(path));
            }
            Place::Inherited => {
                let Some(key) = current.key() else { return Ok(None) };
                parts.push(key.to_owned());
                match self::node(db, current.parent)? {
                    Some(parent) => current = parent,
                    None => return Ok(None),
                }
            }
        }
    }
    Ok(None)
}

/// The live file or folder that a full key leads to, by the names as they are now.
pub fn resolve(db: &Connection, path: &str, kind: Kind) -> Result<Option<Node>> {
    let Some(root) = node(db, ROOT)? else { return Ok(None) };
    let Place::At(prefix) = &root.place else { return Ok(None) };
    let rest = match path.strip_prefix(prefix.as_str()) {
        Some(rest) if prefix.is_empty() => rest,
        Some(rest) => rest.strip_prefix('/').unwrap_or(""),
        None => return Ok(None),
    };
    walk_keys(db, root, rest, kind, |_| true)
}

/// The live file or folder that stands for what the Hub has at a full key: a folder renamed here is still found by its
/// old keys.
pub fn resolve_placed(db: &Connection, path: &str, kind: Kind) -> Result<Option<Node>> {
    let sql = select!("WHERE place = 2 AND place_path = ?1 AND gone = 0 AND id <> ?2 LIMIT 1");
    let mut statement = db.prepare_cached(sql)?;
    let mut end = path.len();
    loop {
        let moved = statement.query_row(params![&path[..end], ROOT], from_row).optional()?;
        if let Some(found) = moved {
            return walk_keys(db, found, &path[end..], kind, |_| true);
        }
        match path[..end].rfind('/') {
            Some(cut) => end = cut,
            None => return resolve(db, path, kind),
        }
    }
}

/// The live node at a visible path, as a person writes it.
pub fn at_shown_path(db: &Connection, path: &str) -> Result<Option<Node>> {
    let Some(mut current) = node(db, ROOT)? else { return Ok(None) };
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match child(db, current.id, part.as_bytes())? {
            Some(next) => current = next,
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}

/// `path` is `above` or lies below it; everything lies below `""`.
pub fn is_within(path: &str, above: &str) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `true` when `inner` is `outer` or below it.
pub fn is_below(db: &Connection, inner: FileId, outer: FileId) -> Result<bool> {
    let mut current = inner;
    for _ in 0..MAX_DEPTH {
        if current == outer {
            return Ok(true);
        }
        if current == ROOT {
            return Ok(false);
        }
        match node(db, current)? {
            Some(found) => current = found.parent,
            None => return Ok(false),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite does for a statement, in its own words.
    fn plan(db: &Connection, sql: &str) -> String {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let blanks = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(blanks), |row| row.get::<_, String>(3));
        rows.unwrap().collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
    }

    #[test]
    fn no_question_about_one_name_reads_its_whole_folder() {
        let dir = tempfile::tempdir().unwrap();
        let db = crate::names::schema::open_writer(&dir.path().join("names.db")).unwrap();
        for (sql, index) in [
            (BY_NAME, "nodes_by_name (parent=? AND name=?)"),
            (BY_KEY, "nodes_by_key (parent=? AND key=?)"),
            (MARKED, "nodes_by_key (parent=? AND key=?)"),
            (ALIKE, "nodes_by_folded (parent=? AND folded=?)"),
            (CHILDREN, "nodes_in_order (parent=? AND id>?)"),
            (ENTRIES, "nodes_in_order (parent=? AND id>?)"),
        ] {
            let plan = plan(&db, sql);
            assert!(plan.contains(index) && !plan.contains(';'), "{sql}: {plan}");
        }
    }

    #[test]
    fn a_key_leads_to_the_file_or_folder_that_stands_for_it_marked_or_not() {
        use crate::names::ids::Ids;
        let dir = tempfile::tempdir().unwrap();
        let db = crate::names::schema::open_writer(&dir.path().join("names.db")).unwrap();
        let ids = Ids::open(&dir.path().join("ids"), 0).unwrap();
        let mut tx = crate::names::Tx { db: &db, ids: &ids, touched: Vec::new() };
        let mut put = |name: &str, key: Option<&str>, kind, layer| {
            let mut node = tx.new_node(ROOT, name.as_bytes(), kind, layer).unwrap();
            node.key = key.map(str::to_owned);
            tx.put(&node).unwrap();
            node.id
        };
        let file = put("a", None, Kind::File, Layer::Bucket);
        let folder = put("a~12", Some("a"), Kind::Directory, Layer::Bucket);
        put("here", None, Kind::File, Layer::Local);
        put("link", None, Kind::Symlink, Layer::Bucket);
        let hidden = put("shown", Some("key"), Kind::File, Layer::Bucket);
        let find = |key, kind| child_by_key(&db, ROOT, key, kind).unwrap().map(|node| node.id);
        assert_eq!(find("a", Kind::File), Some(file));
        assert_eq!(find("a", Kind::Directory), Some(folder));
        assert_eq!(find("key", Kind::File), Some(hidden));
        for absent in ["here", "link", "shown", "a~12", "b"] {
            assert_eq!(find(absent, Kind::File), None, "{absent}");
        }
    }
}
