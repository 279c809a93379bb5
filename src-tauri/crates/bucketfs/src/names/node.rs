//! One row of the tree: what is stored of a file, folder or symlink.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::attr::{Attr, FileId, Kind, Stamp, Timestamp};

/// Content on the Hub, by its Xet hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub hash: String,
    pub size: u64,
}

/// Where the Hub has this node now, as far as we know. The *desired* place is always its path.
///
/// A folder's rename changes one row: it turns `Inherited` into `At(old path)`, and everything below goes
/// on inheriting from there until the sync queue has moved the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Not on the Hub (new, or a folder without a stored key below it).
    Nowhere,
    /// At the parent's place plus the own key.
    Inherited,
    /// At this full key of the bucket.
    At(String),
}

/// Whether a node belongs to the bucket or stays on this machine (design.md promise 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    Bucket,
    Local,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: FileId,
    pub parent: FileId,
    /// The name shown. Unique in its folder among nodes that are not `gone`.
    pub name: Vec<u8>,
    /// The Hub's key component where it differs from the name shown.
    pub key: Option<String>,
    pub kind: Kind,
    pub layer: Layer,
    /// Deleted or replaced by somebody else: the handle stays good (promise 1), the name is free.
    pub gone: bool,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    /// The Hub's content of this file as last seen or committed by us: the identity an edit starts from.
    pub base: Option<Content>,
    pub place: Place,
    /// What the Hub holds at the path where this file is going to be put, when it is not there yet.
    pub expect: Option<String>,
    /// CREATE EXCLUSIVE's verifier.
    pub verifier: Option<[u8; 8]>,
    /// A symlink's target.
    pub target: Option<Vec<u8>>,
    /// Folders: the Hub's listing has been taken in.
    pub listed: bool,
}

impl Node {
    pub fn new(id: FileId, parent: FileId, name: &[u8], kind: Kind, layer: Layer) -> Self {
        let now = Timestamp::now();
        Node {
            id,
            parent,
            name: name.to_vec(),
            key: None,
            kind,
            layer,
            gone: false,
            mode: if kind == Kind::Directory { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            size: 0,
            atime: now,
            mtime: now,
            ctime: now,
            base: None,
            place: Place::Nowhere,
            expect: None,
            verifier: None,
            target: None,
            listed: false,
        }
    }

    pub fn attr(&self) -> Attr {
        Attr {
            id: self.id,
            kind: self.kind,
            mode: self.mode,
            nlink: self.kind.nlink(),
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
        }
    }

    pub fn stamp(&self) -> Stamp {
        Stamp { size: self.size, mtime: self.mtime, ctime: self.ctime }
    }

    /// The content changed: both clocks move to a time never shown before.
    pub fn touch(&mut self) {
        self.mtime = Timestamp::after(self.mtime.max(self.ctime));
        self.ctime = self.mtime;
    }

    /// The Hub's component for this node; `None` when its name cannot be a key.
    pub fn key(&self) -> Option<&str> {
        match &self.key {
            Some(key) => Some(key),
            None => std::str::from_utf8(&self.name).ok(),
        }
    }

    /// For messages.
    pub fn display_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// What [`from_row`] reads, for statements that are whole when the program is built.
macro_rules! columns {
    () => {
        "id, parent, name, key, kind, layer, gone, mode, uid, gid, size, atime, mtime, ctime, base_hash, base_size, place, \
         place_path, expect, verifier, target, listed"
    };
}
pub(super) use columns;

pub(super) const COLUMNS: &str = columns!();

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Node> {
    let base_hash: Option<String> = row.get(14)?;
    let base_size: i64 = row.get::<_, Option<i64>>(15)?.unwrap_or(0);
    let place = match row.get::<_, i64>(16)? {
        0 => Place::Nowhere,
        1 => Place::Inherited,
        _ => Place::At(row.get::<_, Option<String>>(17)?.unwrap_or_default()),
    };
    let verifier: Option<Vec<u8>> = row.get(19)?;
    Ok(Node {
        id: row.get(0)?,
        parent: row.get(1)?,
        name: row.get(2)?,
        key: row.get(3)?,
        kind: row.get(4)?,
        layer: if row.get::<_, i64>(5)? == 0 { Layer::Bucket } else { Layer::Local },
        gone: row.get(6)?,
        mode: row.get(7)?,
        uid: row.get(8)?,
        gid: row.get(9)?,
        size: row.get::<_, i64>(10)?.max(0) as u64,
        atime: row.get(11)?,
        mtime: row.get(12)?,
        ctime: row.get(13)?,
        base: base_hash.map(|hash| Content { hash, size: base_size.max(0) as u64 }),
        place,
        expect: row.get(18)?,
        verifier: verifier.and_then(|v| v.try_into().ok()),
        target: row.get(20)?,
        listed: row.get(21)?,
    })
}

impl ToSql for FileId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0 as i64))
    }
}

impl FromSql for FileId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|id| FileId(id as u64))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Timestamp)
    }
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Kind::File => 1i64,
            Kind::Directory => 2,
            Kind::Symlink => 3,
        }))
    }
}

impl FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match i64::column_result(value)? {
            1 => Ok(Kind::File),
            2 => Ok(Kind::Directory),
            3 => Ok(Kind::Symlink),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}
