//! What the test and `model-fs` say to each other, over a pipe.
//!
//! A frame: length of the head and of the payload (u32, little-endian each), the head in JSON, the payload.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What `model-fs` is started with, in its one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    pub state: String,
    /// Where the stable part of the state directory is noted.
    pub stable: String,
    pub xet: String,
    pub endpoint: String,
    pub token: String,
    pub bucket: String,
    pub boot: String,
    pub debounce_ms: u64,
}

/// One operation; those of NFS carry the payload of a WRITE behind them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Call {
    Lookup { dir: u64, name: String },
    Getattr { id: u64 },
    SetSize { id: u64, size: u64 },
    SetMtime { id: u64, mtime: i64 },
    Create { dir: u64, name: String, how: How },
    Mkdir { dir: u64, name: String },
    Symlink { dir: u64, name: String, target: String },
    Remove { dir: u64, name: String },
    Rmdir { dir: u64, name: String },
    Rename { dir: u64, name: String, to_dir: u64, to_name: String },
    Write { id: u64, offset: u64, durable: bool },
    Read { id: u64, offset: u64, count: u32 },
    Commit { id: u64 },
    Readdir { dir: u64 },
    StartSync,
    Sync { ms: u64 },
    Status,
    Pause,
    Resume,
    Retry,
    Fail(Local),
    Heal,
    Shutdown,
}

/// How CREATE treats a name that is there.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum How {
    Guarded,
    /// O_CREAT | O_TRUNC.
    Emptied,
    Exclusive(u64),
}

/// What the local disk is to refuse, so many times.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Local {
    /// fsync and fdatasync answer EIO, and what was to be synced never reaches the disk unless written again.
    Syncs(u32),
    /// A write to a staged data file answers ENOSPC.
    Writes(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    File,
    Folder,
    Symlink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attr {
    pub id: u64,
    pub kind: Kind,
    pub size: u64,
    pub mtime: i64,
    pub ctime: i64,
}

/// Attributes around a change of a folder or file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Change {
    pub before_size: u64,
    pub before_mtime: i64,
    pub after: Attr,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    pub attr: Attr,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// Open, with the write verifier of this life.
    Ready {
        verifier: u64,
    },
    Attr(Attr),
    Made {
        attr: Attr,
        dir: Change,
    },
    Changed(Change),
    Renamed {
        from: Change,
        to: Change,
    },
    Wrote {
        verifier: u64,
        durable: bool,
        change: Change,
    },
    Committed {
        verifier: u64,
        attr: Attr,
    },
    /// The bytes are the payload.
    Read {
        eof: bool,
        attr: Attr,
    },
    Entries(Vec<Entry>),
    Synced {
        complete: bool,
        left: Vec<String>,
    },
    Status {
        all_saved: bool,
        failed: u64,
        text: String,
    },
    /// How often an armed local fault has struck.
    Struck(u32),
    Done,
    Refused {
        kind: String,
        what: String,
    },
}

/// Head of a frame: answers may come in any order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Numbered<T> {
    pub number: u64,
    pub body: T,
}

/// Writes one frame and flushes.
pub fn send<T: Serialize>(to: &mut impl Write, head: &T, payload: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let mut frame = Vec::with_capacity(8 + head.len() + payload.len());
    frame.extend((head.len() as u32).to_le_bytes());
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(head);
    frame.extend(payload);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame; an error at the end of the pipe, also in the middle of a frame.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(T, Vec<u8>)> {
    let mut lengths = [0u8; 8];
    from.read_exact(&mut lengths)?;
    let length =
        |at: usize| u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]);
    let mut head = vec![0; length(0) as usize];
    from.read_exact(&mut head)?;
    let mut payload = vec![0; length(4) as usize];
    from.read_exact(&mut payload)?;
    Ok((serde_json::from_slice(&head)?, payload))
}
