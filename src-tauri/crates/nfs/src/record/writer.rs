//! Replies to the socket: whatever is ready goes out in one vectored write; READ data is never copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::LAST_FRAGMENT;
use crate::reply::Reply;
use crate::xdr::padding;

/// Slices handed to one writev; the kernels' IOV_MAX is 1024.
const SLICES: usize = 64;
/// A head up to this length is copied beside its neighbours instead of having a slice of its own.
const COPIED: usize = 2 << 10;
/// Replies gathered before writing.
const GATHERED: usize = 32;

/// A reply on its way out, with the share of the connection's budget it holds until it is written.
pub struct Outgoing {
    pub xid: u32,
    pub reply: Reply,
    pub share: Option<OwnedSemaphorePermit>,
}

/// Writes replies until all senders are gone. Fails when the peer takes no byte for `stall`.
///
/// The receiver is unbounded; what bounds it are the shares.
pub async fn write_replies<W: AsyncWrite + Unpin>(
    mut socket: W,
    replies: &mut UnboundedReceiver<Outgoing>,
    stall: Duration,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(GATHERED);
    while replies.recv_many(&mut batch, GATHERED).await > 0 {
        let (mut pieces, shares) = pieces_of(&mut batch);
        while !pieces.is_empty() {
            let written = timeout(stall, write_some(&mut socket, &pieces)).await;
            let written = written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            advance(&mut pieces, written);
        }
        drop(shares);
    }
    Ok(())
}

async fn write_some<W: AsyncWrite + Unpin>(socket: &mut W, pieces: &VecDeque<Bytes>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let used = pieces.len().min(SLICES);
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    match socket.write_vectored(&slices[..used]).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// The batch as wire bytes: marks, xids and short heads copied together, data by reference.
fn pieces_of(batch: &mut Vec<Outgoing>) -> (VecDeque<Bytes>, Vec<Option<OwnedSemaphorePermit>>) {
    let mut pieces = VecDeque::new();
    let mut shares = Vec::with_capacity(batch.len());
    let mut copied = BytesMut::new();
    for Outgoing { xid, reply, share } in batch.drain(..) {
        shares.push(share);
        let data_length: usize = reply.data.iter().map(Bytes::len).sum();
        let length = 4 + reply.head.len() + data_length.next_multiple_of(4);
        copied.extend_from_slice(&(LAST_FRAGMENT | length as u32).to_be_bytes());
        copied.extend_from_slice(&xid.to_be_bytes());
        if reply.head.len() <= COPIED {
            copied.extend_from_slice(&reply.head);
        } else {
            pieces.push_back(copied.split().freeze());
            pieces.push_back(reply.head);
        }
        for data in reply.data.into_iter().filter(|data| !data.is_empty()) {
            if !copied.is_empty() {
                pieces.push_back(copied.split().freeze());
            }
            pieces.push_back(data);
        }
        copied.extend_from_slice(&[0; 3][..padding(data_length)]);
    }
    if !copied.is_empty() {
        pieces.push_back(copied.freeze());
    }
    (pieces, shares)
}

fn advance(pieces: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = pieces.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        pieces.pop_front();
    }
}
