//! Messages on a Unix stream: four bytes of length, that many bytes of JSON, and at most one descriptor, which
//! travels with the first byte.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A command line and its environment fit many times over; nothing is longer.
const MAX: usize = 1 << 20;

/// Sends `message`; `fd` goes along and stays the caller's.
pub fn send(stream: &UnixStream, message: &impl Serialize, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= MAX);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    let sent = send_first(stream, &bytes, fd)?;
    (&mut &*stream).write_all(&bytes[sent..])
}

fn send_first(stream: &UnixStream, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    loop {
        match rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, NO_SIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// A peer that is gone is an error, not a signal. macOS has no such flag for a call: both programs ignore
/// SIGPIPE, as every Rust program does.
#[cfg(not(target_os = "macos"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_os = "macos")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

#[cfg(not(target_os = "macos"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// macOS cannot mark it on arrival; [`mark`] does right after, and nothing of ours starts programs in between
/// but the app, whose children get a socket at worst that they do not know of.
#[cfg(target_os = "macos")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

/// Receives a message and the descriptor that came along; `None` at the end of the connection.
///
/// # Errors
/// A torn or senseless message, and whatever the stream says; its read time-out counts for each part.
pub fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut head = [0u8; 4];
    let (got, fd) = receive_first(stream, &mut head)?;
    if got == 0 {
        return Ok(None);
    }
    (&mut &*stream).read_exact(&mut head[got..])?;
    let length = u32::from_be_bytes(head) as usize;
    if length > MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut body = vec![0u8; length];
    (&mut &*stream).read_exact(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, fd)))
}

fn receive_first(stream: &UnixStream, head: &mut [u8; 4]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match rustix::net::recvmsg(stream, &mut [IoSliceMut::new(head)], &mut control, CLOSE_ON_EXEC) {
            Err(rustix::io::Errno::INTR) => {}
            got => break got?.bytes,
        }
    };
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            // More than one is none of our doing; the rest is closed here.
            fds.for_each(|one| fd = Some(one));
        }
    }
    if let Some(fd) = &fd {
        mark(fd.as_fd())?;
    }
    Ok((got, fd))
}

/// Not for children.
fn mark(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::io::fcntl_getfd(fd)?;
    Ok(rustix::io::fcntl_setfd(fd, flags | rustix::io::FdFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_message_and_its_descriptor_arrive_and_the_end_is_none() {
        let (here, there) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        (&mut &file).write_all(b"passed on").unwrap();
        send(&here, &"with one", Some(file.as_fd())).unwrap();
        send(&here, &"without", None).unwrap();
        let (first, fd) = receive::<String>(&there).unwrap().unwrap();
        assert_eq!(first, "with one");
        let passed = File::from(fd.unwrap());
        assert_eq!(passed.metadata().unwrap().len(), 9);
        let flags = rustix::io::fcntl_getfd(&passed).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let (second, none) = receive::<String>(&there).unwrap().unwrap();
        assert!(second == "without" && none.is_none());
        drop(here);
        assert!(receive::<String>(&there).unwrap().is_none());
    }

    #[test]
    fn torn_long_and_senseless_messages_are_errors() {
        for bytes in [&b"\0\0\0\x09\"half"[..], b"\xff\xff\xff\xff", b"\0\0\0\x02{]", b"\0\0"] {
            let (mut here, there) = UnixStream::pair().unwrap();
            here.write_all(bytes).unwrap();
            drop(here);
            assert!(receive::<String>(&there).is_err(), "{bytes:?}");
        }
    }
}
