//! XDR (RFC 4506) over the record's own buffer.
//!
//! Fixed-size types go through nfsserve's codec. Everything with a length on the wire is read here, because
//! nfsserve's `Vec` decoder allocates what the peer announces, and because a WRITE's payload must stay a
//! slice of the record.

use bytes::{Buf, Bytes};
use nfsserve::xdr::XDR;

use crate::file_system::Wcc;
use crate::types::{fattr3, wcc_attr};

/// The arguments can't be decoded: RPC GARBAGE_ARGS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// What is still to be read of one record.
#[derive(Debug, Clone)]
pub struct Args {
    rest: Bytes,
}

impl Args {
    pub fn new(rest: Bytes) -> Self {
        Args { rest }
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    pub fn u32(&mut self) -> Result<u32, Garbage> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Garbage> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// Fixed-length opaque data whose length is a multiple of four.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Garbage> {
        let bytes: [u8; N] = self.rest.get(..N).and_then(|slice| slice.try_into().ok()).ok_or(Garbage)?;
        self.rest.advance(N);
        Ok(bytes)
    }

    /// Variable-length opaque data of at most `max` bytes, as a slice of the record.
    pub fn opaque(&mut self, max: usize) -> Result<Bytes, Garbage> {
        let length = usize::try_from(self.u32()?).map_err(|_| Garbage)?;
        if length > max {
            return Err(Garbage);
        }
        let padded = length.checked_next_multiple_of(4).ok_or(Garbage)?;
        if padded > self.rest.len() {
            return Err(Garbage);
        }
        let mut data = self.rest.split_to(padded);
        data.truncate(length);
        Ok(data)
    }

    /// A type without variable lengths, by nfsserve's codec.
    pub fn plain<T: XDR + Default>(&mut self) -> Result<T, Garbage> {
        let mut value = T::default();
        let mut slice: &[u8] = &self.rest;
        value.deserialize(&mut slice).map_err(|_| Garbage)?;
        let read = self.rest.len() - slice.len();
        self.rest.advance(read);
        Ok(value)
    }
}

/// A reply being written.
#[derive(Debug, Default)]
pub struct Out(pub Vec<u8>);

impl Out {
    pub fn with_capacity(bytes: usize) -> Self {
        Out(Vec::with_capacity(bytes))
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// Fixed-length opaque data whose length is a multiple of four.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Variable-length opaque data. Everything served is far below 4 GiB.
    pub fn opaque(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len() + padding(bytes.len()), 0);
    }

    /// A type of nfsserve's.
    pub fn plain<T: XDR>(&mut self, value: &T) {
        // A Vec takes every write: there is no error to hand on.
        let written = value.serialize(&mut self.0);
        debug_assert!(written.is_ok());
    }

    pub fn post_op_attr(&mut self, attr: Option<&fattr3>) {
        match attr {
            Some(attr) => self.attributes(attr),
            None => self.bool(false),
        }
    }

    /// A post_op_attr that is there, as nfsserve's codec writes it; in one piece, because a listing has thousands.
    fn attributes(&mut self, attr: &fattr3) {
        let mut bytes = [0; 4 + ATTRIBUTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        for word in [1, attr.ftype as u32, attr.mode, attr.nlink, attr.uid, attr.gid] {
            put(&word.to_be_bytes());
        }
        put(&attr.size.to_be_bytes());
        put(&attr.used.to_be_bytes());
        put(&attr.rdev.specdata1.to_be_bytes());
        put(&attr.rdev.specdata2.to_be_bytes());
        put(&attr.fsid.to_be_bytes());
        put(&attr.fileid.to_be_bytes());
        for time in [&attr.atime, &attr.mtime, &attr.ctime] {
            put(&time.seconds.to_be_bytes());
            put(&time.nseconds.to_be_bytes());
        }
        self.0.extend_from_slice(&bytes);
    }

    pub fn pre_op_attr(&mut self, attr: Option<&wcc_attr>) {
        self.bool(attr.is_some());
        if let Some(attr) = attr {
            self.plain(attr);
        }
    }

    pub fn wcc(&mut self, wcc: &Wcc) {
        self.pre_op_attr(wcc.before.as_ref());
        self.post_op_attr(wcc.after.as_ref());
    }
}

/// Bytes of a fattr3.
pub const ATTRIBUTES: usize = 84;

/// Bytes of zeros after `length` bytes of opaque data.
pub fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ftype3, nfstime3, specdata3};

    #[test]
    fn opaque_data_is_a_slice_of_the_record_and_never_longer_than_it() {
        let record = Bytes::from_static(&[0, 0, 0, 3, b'a', b'b', b'c', 0, 0, 0, 0, 7]);
        let mut args = Args::new(record.clone());
        let data = args.opaque(8).unwrap();
        assert_eq!(&data[..], b"abc");
        assert_eq!(data.as_ptr(), record[4..].as_ptr(), "no copy was made");
        assert_eq!(args.u32().unwrap(), 7);
        assert_eq!(args.u32(), Err(Garbage), "nothing is left");
    }

    #[test]
    fn a_length_beyond_the_record_or_the_bound_is_garbage() {
        for announced in [9u32, 1 << 20, u32::MAX - 2, u32::MAX] {
            let mut record = announced.to_be_bytes().to_vec();
            record.extend_from_slice(b"12345678");
            assert_eq!(Args::new(record.into()).opaque(usize::MAX), Err(Garbage), "{announced}");
        }
        let record = Bytes::from_static(&[0, 0, 0, 4, 1, 2, 3, 4]);
        assert_eq!(Args::new(record).opaque(3), Err(Garbage));
    }

    #[test]
    fn plain_types_move_on_by_their_own_length() {
        let mut args = Args::new(Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]));
        let time: nfstime3 = args.plain().unwrap();
        assert_eq!((time.seconds, time.nseconds), (1, 2));
        assert_eq!(args.plain::<nfstime3>().map(|_| ()), Err(Garbage));
    }

    #[test]
    fn attributes_are_written_as_by_the_codec() {
        let time = |seconds| nfstime3 { seconds, nseconds: seconds + 1 };
        let attr = fattr3 {
            ftype: ftype3::NF3LNK,
            mode: 0o640,
            nlink: 3,
            uid: 4,
            gid: 5,
            size: 6 << 32,
            used: 7 << 33,
            rdev: specdata3 { specdata1: 8, specdata2: 9 },
            fsid: 10 << 40,
            fileid: 11 << 41,
            atime: time(12),
            mtime: time(14),
            ctime: time(16),
        };
        let (mut ours, mut theirs) = (Out::default(), Out::default());
        ours.post_op_attr(Some(&attr));
        ours.post_op_attr(None);
        theirs.bool(true);
        theirs.plain(&attr);
        theirs.bool(false);
        assert_eq!(ours.0, theirs.0);
    }

    #[test]
    fn written_opaque_data_is_padded_to_four() {
        for length in 0..9 {
            let mut out = Out::default();
            out.opaque(&vec![7; length]);
            assert_eq!(out.0.len(), 4 + length.next_multiple_of(4));
        }
    }
}
