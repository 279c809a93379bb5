//! File handles (RFC 1813 2.3.3 `nfs_fh3`): stateless, unforgeable, good for as long as the key is kept.
//!
//! ```text
//! 0      1      2            10           18                34
//! | 0x01 | type | fsid (BE)  | fileid (BE)| MAC (16 bytes)  |
//! ```
//!
//! The MAC is BLAKE3 keyed with the server's key over all before it, cut to 128 bits: whoever has not been
//! given a handle can't make one, the root's included (macos-nfs.md C). The type never changes for a
//! fileid, so it travels in the handle and calls on the wrong type need no look at the file. There is no
//! generation: file ids are never reused.

use bytes::Bytes;
use constant_time_eq::constant_time_eq_16;

use crate::file_system::FileId;
use crate::types::{fattr3, ftype3};

/// Bytes of a handle; RFC 1813 allows 64.
pub const HANDLE_LENGTH: usize = 34;

const VERSION: u8 = 1;
const SIGNED: usize = 18;

/// One handle as it goes over the wire. Never printed: it is the right to use the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub [u8; HANDLE_LENGTH]);

/// What a genuine handle says.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub id: FileId,
    pub kind: ftype3,
}

impl Target {
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, ftype3::NF3DIR)
    }

    pub fn is_file(&self) -> bool {
        matches!(self.kind, ftype3::NF3REG)
    }

    pub fn is_symlink(&self) -> bool {
        matches!(self.kind, ftype3::NF3LNK)
    }
}

/// Makes and checks the handles of one file system.
#[derive(Clone)]
pub struct Handles {
    key: [u8; 32],
    fsid: u64,
}

impl Handles {
    /// `key` must be the same for all server lives of one file system.
    pub fn new(key: &[u8; 32], fsid: u64) -> Self {
        Handles { key: blake3::derive_key("bucketbar nfs 2026 file handle MAC", key), fsid }
    }

    /// The one handle of `id`.
    pub fn make(&self, id: FileId, kind: ftype3) -> Handle {
        let mut bytes = [0; HANDLE_LENGTH];
        bytes[0] = VERSION;
        bytes[1] = kind as u8;
        bytes[2..10].copy_from_slice(&self.fsid.to_be_bytes());
        bytes[10..SIGNED].copy_from_slice(&id.to_be_bytes());
        let mac = self.mac(&bytes[..SIGNED]);
        bytes[SIGNED..].copy_from_slice(&mac);
        Handle(bytes)
    }

    /// The handle of an object whose attributes are at hand.
    pub fn of(&self, id: FileId, attr: &fattr3) -> Handle {
        self.make(id, attr.ftype)
    }

    /// `None` for everything this server (with this key) never gave out.
    pub fn check(&self, bytes: &Bytes) -> Option<Target> {
        let bytes: &[u8; HANDLE_LENGTH] = bytes.as_ref().try_into().ok()?;
        let (signed, mac) = bytes.split_at(SIGNED);
        let mac: &[u8; 16] = mac.try_into().ok()?;
        if !constant_time_eq_16(&self.mac(signed), mac) || signed[0] != VERSION {
            return None;
        }
        let fsid = u64::from_be_bytes(signed[2..10].try_into().ok()?);
        let id = FileId::from_be_bytes(signed[10..SIGNED].try_into().ok()?);
        (fsid == self.fsid).then_some(Target { id, kind: kind_of(signed[1])? })
    }

    fn mac(&self, signed: &[u8]) -> [u8; 16] {
        let whole = blake3::keyed_hash(&self.key, signed);
        let mut mac = [0; 16];
        mac.copy_from_slice(&whole.as_bytes()[..16]);
        mac
    }
}

fn kind_of(byte: u8) -> Option<ftype3> {
    use ftype3::*;
    [NF3REG, NF3DIR, NF3BLK, NF3CHR, NF3LNK, NF3SOCK, NF3FIFO].into_iter().find(|kind| *kind as u8 == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(handles: &Handles, handle: [u8; HANDLE_LENGTH]) -> Option<(FileId, u8)> {
        handles.check(&Bytes::copy_from_slice(&handle)).map(|target| (target.id, target.kind as u8))
    }

    #[test]
    fn a_handle_is_good_for_every_server_with_its_key_and_fsid() {
        let given = Handles::new(&[7; 32], 3).make(42, ftype3::NF3LNK);
        assert_eq!(check(&Handles::new(&[7; 32], 3), given.0), Some((42, 5)));
        assert_eq!(check(&Handles::new(&[7; 32], 4), given.0), None, "another file system");
        assert_eq!(check(&Handles::new(&[8; 32], 3), given.0), None, "another key");
    }

    #[test]
    fn one_flipped_bit_anywhere_makes_it_worthless() {
        let handles = Handles::new(&[7; 32], 3);
        let good = handles.make(42, ftype3::NF3REG).0;
        for bit in 0..HANDLE_LENGTH * 8 {
            let mut forged = good;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&handles, forged), None, "bit {bit}");
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let handles = Handles::new(&[7; 32], 3);
        let good = handles.make(1, ftype3::NF3DIR).0;
        for length in [0, 1, HANDLE_LENGTH - 1] {
            assert!(handles.check(&Bytes::copy_from_slice(&good[..length])).is_none());
        }
        let mut longer = good.to_vec();
        longer.push(0);
        assert!(handles.check(&longer.into()).is_none());
    }
}
