//! The sidecar beside each staged file: what of the data file counts, written so that a reader after a
//! crash knows exactly what was acknowledged (design.md promises 6, 17).
//!
//! Layout: the eight bytes `BBSTAGE1`, then records `length u32 | crc32 u32 | body`, little-endian, where
//! `crc32` covers the body. A record is appended (plain write, no sync) after the bytes it tells of are in
//! the data file and before the reply; COMMIT syncs data first, then this file. Damage and its meaning:
//! a short or wrong record ends the log there: what follows was never acknowledged as durable, and what was
//! acknowledged after kill -9 is whole, because the page cache keeps it. A wrong magic means the file is not
//! ours: it is kept aside, never deleted.
//!
//! Body: one tag byte, then fixed fields; `Born` and `Named` carry JSON.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::attr::{FileId, Timestamp};
use crate::names::Content;

pub const MAGIC: &[u8; 8] = b"BBSTAGE1";
/// A record is small; a greater length is damage.
const MAX_RECORD: u32 = 1 << 20;

/// Who this staged file is, so that the tree can be rebuilt from sidecars alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    pub id: FileId,
    /// Visible path when staged, lossy for names that are not UTF-8.
    pub path: String,
    pub mode: u32,
    /// Stays on this machine.
    pub local: bool,
    pub base_hash: Option<String>,
    pub base_size: u64,
    /// Boot in which it was staged: an open epoch of another boot has lost its client.
    pub boot: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Born(Birth),
    /// Bytes `offset..offset+length` of the data file count from now on.
    Extent {
        offset: u64,
        length: u64,
        mtime: Timestamp,
        durable: bool,
    },
    /// The file got this size; bytes past it are forgotten.
    Resized {
        size: u64,
        mtime: Timestamp,
    },
    /// mtime was set by hand.
    Timed {
        mtime: Timestamp,
    },
    /// Every extent before this record is on stable storage: the epoch is closed.
    Closed,
    /// The Hub has this content: what the data file does not hold comes from there.
    Rebased {
        hash: String,
        size: u64,
    },
    /// The Hub holds this content now, but more was written since: the identity the next save starts from.
    Saved {
        hash: String,
    },
    /// The visible path changed.
    Named {
        path: String,
    },
    /// Taken up in this boot of the machine: an epoch that opens from here on has a client of this boot.
    Taken {
        boot: String,
    },
    /// A WRITE to this range failed; its bytes are unknown.
    Hole {
        offset: u64,
        length: u64,
    },
    /// The hole is gone (rewritten or given up).
    Filled {
        offset: u64,
        length: u64,
    },
}

impl Record {
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(40);
        let put = |body: &mut Vec<u8>, tag: u8, fields: &[u64]| {
            body.push(tag);
            for field in fields {
                body.extend_from_slice(&field.to_le_bytes());
            }
        };
        match self {
            Record::Born(birth) => {
                body.push(1);
                body.extend(serde_json::to_vec(birth).unwrap_or_default());
            }
            Record::Extent { offset, length, mtime, durable } => {
                put(&mut body, 2, &[*offset, *length, mtime.0 as u64, u64::from(*durable)]);
            }
            Record::Resized { size, mtime } => put(&mut body, 3, &[*size, mtime.0 as u64]),
            Record::Timed { mtime } => put(&mut body, 4, &[mtime.0 as u64]),
            Record::Closed => body.push(5),
            Record::Rebased { hash, size } => {
                put(&mut body, 6, &[*size]);
                body.extend_from_slice(hash.as_bytes());
            }
            Record::Named { path } => {
                body.push(7);
                body.extend_from_slice(path.as_bytes());
            }
            Record::Hole { offset, length } => put(&mut body, 8, &[*offset, *length]),
            Record::Filled { offset, length } => put(&mut body, 9, &[*offset, *length]),
            Record::Taken { boot } => {
                body.push(11);
                body.extend_from_slice(boot.as_bytes());
            }
            Record::Saved { hash } => {
                body.push(10);
                body.extend_from_slice(hash.as_bytes());
            }
        }
        body
    }

    fn parse(body: &[u8]) -> Option<Record> {
        let (tag, rest) = body.split_first()?;
        let field = |index: usize| -> Option<u64> {
            Some(u64::from_le_bytes(rest.get(index * 8..index * 8 + 8)?.try_into().ok()?))
        };
        let text = |from: usize| String::from_utf8(rest.get(from..)?.to_vec()).ok();
        Some(match tag {
            1 => Record::Born(serde_json::from_slice(rest).ok()?),
            2 => Record::Extent {
                offset: field(0)?,
                length: field(1)?,
                mtime: Timestamp(field(2)? as i64),
                durable: field(3)? != 0,
            },
            3 => Record::Resized { size: field(0)?, mtime: Timestamp(field(1)? as i64) },
            4 => Record::Timed { mtime: Timestamp(field(0)? as i64) },
            5 => Record::Closed,
            6 => Record::Rebased { size: field(0)?, hash: text(8)? },
            7 => Record::Named { path: text(0)? },
            8 => Record::Hole { offset: field(0)?, length: field(1)? },
            9 => Record::Filled { offset: field(0)?, length: field(1)? },
            10 => Record::Saved { hash: text(0)? },
            11 => Record::Taken { boot: text(0)? },
            _ => return None,
        })
    }

    /// The record as it stands in the file.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.body();
        let mut record = Vec::with_capacity(body.len() + 8);
        record.extend_from_slice(&(body.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        record.extend(body);
        record
    }
}

/// Appends in one write, so that a crash leaves at most one torn record at the end.
pub fn append(mut log: &File, records: &[Record]) -> io::Result<()> {
    log.write_all(&encoded(Vec::new(), records))
}

/// `bytes` and the records behind them.
pub fn encoded(mut bytes: Vec<u8>, records: &[Record]) -> Vec<u8> {
    for record in records {
        bytes.extend_from_slice(&record.encode());
    }
    bytes
}

/// Begins an empty log with these records, in one write.
pub fn begin(mut log: &File, head: &[Record]) -> io::Result<()> {
    log.write_all(&encoded(MAGIC.to_vec(), head))
}

/// What was read, and where the sound part ends.
pub struct Replay {
    pub records: Vec<Record>,
    /// Length of the sound part in bytes; a torn tail after it is cut off before appending again.
    pub sound: u64,
}

/// Reads a log to its end or to the first damage. `None`: not a sidecar of ours.
pub fn read(mut log: &File) -> io::Result<Option<Replay>> {
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Ok(None);
    }
    let mut records = Vec::new();
    let mut at = MAGIC.len();
    while let Some((record, range)) = next(&bytes, at) {
        records.push(record);
        at = range.end;
    }
    Ok(Some(Replay { records, sound: at as u64 }))
}

fn next(bytes: &[u8], at: usize) -> Option<(Record, Range<usize>)> {
    let word = |from: usize| Some(u32::from_le_bytes(bytes.get(from..from + 4)?.try_into().ok()?));
    let length = word(at)?;
    let crc = word(at + 4)?;
    if length > MAX_RECORD {
        return None;
    }
    let body = bytes.get(at + 8..at + 8 + length as usize)?;
    if crc32fast::hash(body) != crc {
        return None;
    }
    Some((Record::parse(body)?, at..at + 8 + length as usize))
}

pub fn birth_base(birth: &Birth) -> Option<Content> {
    birth.base_hash.clone().map(|hash| Content { hash, size: birth.base_size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    fn all_kinds() -> Vec<Record> {
        vec![
            Record::Born(Birth {
                id: FileId(77),
                path: "a/größe.bin".into(),
                mode: 0o644,
                local: false,
                base_hash: Some("ab".repeat(32)),
                base_size: 9,
                boot: "b".into(),
            }),
            Record::Extent { offset: 1, length: 2, mtime: Timestamp(3), durable: true },
            Record::Resized { size: 4, mtime: Timestamp(-5) },
            Record::Timed { mtime: Timestamp(6) },
            Record::Closed,
            Record::Rebased { hash: "cd".repeat(32), size: 7 },
            Record::Saved { hash: "ef".repeat(32) },
            Record::Taken { boot: "c".into() },
            Record::Named { path: "b".into() },
            Record::Hole { offset: 8, length: 9 },
            Record::Filled { offset: 8, length: 9 },
        ]
    }

    #[test]
    fn records_read_back_and_any_cut_or_flipped_byte_ends_the_log_before_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(MAGIC).unwrap();
        for record in all_kinds() {
            append(&file, &[record]).unwrap();
        }
        file.rewind().unwrap();
        let whole = read(&file).unwrap().unwrap();
        assert_eq!(whole.records, all_kinds());

        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(whole.sound, bytes.len() as u64);
        for cut in MAGIC.len()..bytes.len() {
            let mut torn = tempfile::tempfile().unwrap();
            torn.write_all(&bytes[..cut]).unwrap();
            torn.rewind().unwrap();
            let replay = read(&torn).unwrap().unwrap();
            assert_eq!(replay.records, all_kinds()[..replay.records.len()], "a prefix, never nonsense");
            assert!(replay.sound as usize <= cut);
        }
        for flip in MAGIC.len()..bytes.len() {
            let mut bad = bytes.clone();
            bad[flip] ^= 0x40;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bad).unwrap();
            file.rewind().unwrap();
            let replay = read(&file).unwrap().unwrap();
            assert!(replay.records.len() < all_kinds().len(), "damage at {flip} is seen");
            assert_eq!(replay.records, all_kinds()[..replay.records.len()]);
        }
    }
}
