//! Record marking on TCP (RFC 5531 11): each record is one or more fragments, each with a four-byte header
//! of its length and, in the top bit, whether it is the last.
//!
//! Small records are read many at a time into one buffer. Of a large record at most [`AHEAD`] bytes come in
//! that way; the rest goes straight into a pooled buffer of the record's own, and everything made from it
//! is a slice of that buffer. Lengths are checked before a buffer is taken.

mod pool;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

pub use pool::BufferPool;
pub use writer::{Outgoing, write_replies};

use crate::limits::Limits;

/// Bytes read before a record's length is known.
const AHEAD: usize = 4 << 10;
const LAST_FRAGMENT: u32 = 1 << 31;

/// Why no further record comes from a connection.
#[derive(Debug)]
pub enum RecordError {
    /// The peer closed between two records.
    Closed,
    /// Nothing came for [`Limits::idle_time`].
    Idle,
    /// Not a record within the limits, or one left unfinished.
    Malformed(&'static str),
    Io(io::Error),
}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> Self {
        RecordError::Io(error)
    }
}

/// Reads the records of one connection.
pub struct RecordReader<R> {
    socket: R,
    ahead: BytesMut,
    pool: Arc<BufferPool>,
    longest: usize,
    fragments: usize,
    idle_time: Duration,
    record_time: Duration,
}

impl<R: AsyncRead + Unpin> RecordReader<R> {
    pub fn new(socket: R, pool: Arc<BufferPool>, limits: &Limits) -> Self {
        RecordReader {
            socket,
            ahead: BytesMut::with_capacity(AHEAD),
            pool,
            longest: limits.record,
            fragments: limits.fragments,
            idle_time: limits.idle_time,
            record_time: limits.record_time,
        }
    }

    /// The next whole record, without its headers. After an error the connection is of no more use.
    pub async fn next(&mut self) -> Result<Bytes, RecordError> {
        if self.ahead.is_empty() {
            let arrived = timeout(self.idle_time, self.read_ahead()).await;
            if arrived.map_err(|_| RecordError::Idle)?? == 0 {
                return Err(RecordError::Closed);
            }
        }
        let whole = timeout(self.record_time, self.record()).await;
        whole.map_err(|_| RecordError::Malformed("not complete in time"))?
    }

    async fn record(&mut self) -> Result<Bytes, RecordError> {
        let (length, last) = self.fragment_header().await?;
        if last {
            return self.single_fragment(length).await;
        }
        self.many_fragments(length).await
    }

    async fn single_fragment(&mut self, length: usize) -> Result<Bytes, RecordError> {
        self.check(length)?;
        if length <= self.ahead.len() {
            return Ok(self.ahead.split_to(length).freeze());
        }
        let mut buffer = self.pool.take(length);
        self.fill(&mut buffer.as_mut_slice()[..length]).await?;
        Ok(buffer.freeze(length))
    }

    /// Rare (kernels send one fragment): the length of the whole is only known at the end.
    async fn many_fragments(&mut self, first: usize) -> Result<Bytes, RecordError> {
        let mut whole = Vec::new();
        let (mut length, mut last) = (first, false);
        for _ in 0..self.fragments {
            let start = whole.len();
            self.check(start + length)?;
            whole.resize(start + length, 0);
            self.fill(&mut whole[start..]).await?;
            if last {
                return Ok(whole.into());
            }
            (length, last) = self.fragment_header().await?;
        }
        Err(RecordError::Malformed("too many fragments"))
    }

    async fn fragment_header(&mut self) -> Result<(usize, bool), RecordError> {
        while self.ahead.len() < 4 {
            if self.read_ahead().await? == 0 {
                return Err(RecordError::Malformed("ends within a fragment header"));
            }
        }
        let header = self.ahead.get_u32();
        Ok(((header & !LAST_FRAGMENT) as usize, header & LAST_FRAGMENT != 0))
    }

    fn check(&self, length: usize) -> Result<(), RecordError> {
        if length > self.longest {
            return Err(RecordError::Malformed("longer than any call we serve"));
        }
        Ok(())
    }

    async fn fill(&mut self, target: &mut [u8]) -> Result<(), RecordError> {
        let here = self.ahead.len().min(target.len());
        self.ahead.copy_to_slice(&mut target[..here]);
        match self.socket.read_exact(&mut target[here..]).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(RecordError::Malformed("ends within a fragment"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there, at most [`AHEAD`] bytes; 0 at the end of the stream.
    async fn read_ahead(&mut self) -> io::Result<usize> {
        self.ahead.reserve(AHEAD);
        let mut limited = (&mut self.socket).take(AHEAD as u64);
        limited.read_buf(&mut self.ahead).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn limits() -> Limits {
        Limits {
            record: 64 << 10,
            fragments: 8,
            record_time: Duration::from_millis(200),
            ..Limits::default()
        }
    }

    fn fragment(last: bool, bytes: &[u8]) -> Vec<u8> {
        let mut framed = (bytes.len() as u32 | if last { LAST_FRAGMENT } else { 0 }).to_be_bytes().to_vec();
        framed.extend_from_slice(bytes);
        framed
    }

    /// Everything read from a connection that sends `wire` in pieces of `step` and closes.
    async fn read_all(wire: Vec<u8>, step: usize) -> (Vec<Bytes>, RecordError) {
        let (mut peer, socket) = tokio::io::duplex(1 << 20);
        let sender = tokio::spawn(async move {
            for piece in wire.chunks(step) {
                if peer.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let pool = Arc::new(BufferPool::new(limits().record, 2));
        let mut reader = RecordReader::new(socket, pool, &limits());
        let mut records = Vec::new();
        let error = loop {
            match reader.next().await {
                Ok(record) => records.push(record),
                Err(error) => break error,
            }
        };
        drop(reader);
        sender.await.unwrap();
        (records, error)
    }

    #[tokio::test]
    async fn records_come_out_as_they_went_in_however_the_stream_is_cut() {
        let bodies: Vec<Vec<u8>> =
            [0usize, 1, 40, 4096, 5000, 64 << 10].iter().map(|n| vec![*n as u8; *n]).collect();
        let wire: Vec<u8> = bodies.iter().flat_map(|body| fragment(true, body)).collect();
        for step in [1, 3, 1000, 4096, 1 << 20] {
            let (records, error) = read_all(wire.clone(), step).await;
            assert!(records.iter().zip(&bodies).all(|(a, b)| a == b) && records.len() == bodies.len());
            assert!(matches!(error, RecordError::Closed), "{error:?}");
        }
    }

    #[tokio::test]
    async fn fragments_are_joined_empty_ones_too() {
        let wire =
            [fragment(false, b"one"), fragment(false, b""), fragment(true, b"two"), fragment(true, b"3")]
                .concat();
        let (records, _) = read_all(wire, 2).await;
        assert_eq!(records, [Bytes::from("onetwo"), Bytes::from("3")]);
    }

    #[tokio::test]
    async fn too_long_too_many_or_unfinished_is_malformed() {
        let too_long = (LAST_FRAGMENT | ((64 << 10) + 1)).to_be_bytes().to_vec();
        let two_gib = 0x7fff_ffff_u32.to_be_bytes().to_vec();
        let sum_too_long = [fragment(false, &vec![0; 60 << 10]), fragment(true, &vec![0; 60 << 10])].concat();
        let too_many = fragment(false, b"").repeat(9);
        let unfinished = fragment(true, b"abcdef")[..7].to_vec();
        for wire in [too_long, two_gib, sum_too_long, too_many, unfinished, vec![0x80, 0]] {
            let (records, error) = read_all(wire, 1 << 20).await;
            assert!(records.is_empty());
            assert!(matches!(error, RecordError::Malformed(_)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_dawdles_within_a_record_is_given_up() {
        let (mut peer, socket) = tokio::io::duplex(64);
        let mut reader = RecordReader::new(socket, Arc::new(BufferPool::new(64 << 10, 1)), &limits());
        peer.write_all(&[0x80, 0, 0, 9, 1]).await.unwrap();
        assert!(matches!(reader.next().await, Err(RecordError::Malformed(_))));
    }

    #[tokio::test]
    async fn a_large_record_is_one_buffer_that_returns_to_the_pool() {
        let pool = Arc::new(BufferPool::new(64 << 10, 2));
        let (mut peer, socket) = tokio::io::duplex(1 << 20);
        let mut reader = RecordReader::new(socket, Arc::clone(&pool), &limits());
        peer.write_all(&fragment(true, &vec![7; 50_000])).await.unwrap();
        let record = reader.next().await.unwrap();
        let payload = record.slice(100..40_000);
        let at = record.as_ptr();
        drop(record);
        assert_eq!(pool.spare(), 0, "a slice of it is still in use");
        drop(payload);
        assert_eq!(pool.spare(), 1);
        peer.write_all(&fragment(true, &vec![8; 50_000])).await.unwrap();
        assert_eq!(reader.next().await.unwrap().as_ptr(), at, "used again");
    }
}
