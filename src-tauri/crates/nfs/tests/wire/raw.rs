//! A client that can do what a library doesn't: choose its xids, have many calls in flight, resend them over
//! another connection, and send nonsense.

use std::net::SocketAddr;
use std::time::Duration;

use nfs3_types::nfs3;
use nfs3_types::rpc::{
    accept_stat_data, call_body, msg_body, opaque_auth, rejected_reply, reply_body, rpc_msg,
};
use nfs3_types::xdr_codec::{Pack, Unpack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{OWNER, credential};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Raw {
    pub socket: TcpStream,
}

/// A reply: what RPC says, and the bytes of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply {
    pub xid: u32,
    /// Everything after the xid.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub enum Verdict {
    Accepted(accept_stat_data),
    Denied(rejected_reply),
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Raw { socket: TcpStream::connect(address).await.unwrap() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends an NFS call as the owner.
    pub async fn ask(&mut self, xid: u32, procedure: nfs3::NFS_PROGRAM, args: &impl Pack) {
        self.send(&framed(&nfs_call(xid, procedure, args))).await;
    }

    /// The next reply, whichever call it belongs to.
    pub async fn reply(&mut self) -> RawReply {
        timeout(PATIENCE, self.read_reply()).await.expect("a reply in time").expect("a reply, not the end")
    }

    pub async fn call(&mut self, xid: u32, procedure: nfs3::NFS_PROGRAM, args: &impl Pack) -> RawReply {
        self.ask(xid, procedure, args).await;
        self.reply().await
    }

    async fn read_reply(&mut self) -> std::io::Result<RawReply> {
        let mark = self.socket.read_u32().await?;
        assert!(mark & 1 << 31 != 0, "replies are single fragments");
        let mut bytes = vec![0; (mark & !(1 << 31)) as usize];
        self.socket.read_exact(&mut bytes).await?;
        let xid = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        Ok(RawReply { xid, bytes: bytes.split_off(4) })
    }

    /// True when the server closes the connection without another word.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(timeout(PATIENCE, self.socket.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }
}

impl RawReply {
    pub fn verdict(&self) -> (Verdict, &[u8]) {
        let mut rest = &self.bytes[4..];
        let (body, _) = reply_body::unpack(&mut rest).unwrap();
        match body {
            reply_body::MSG_ACCEPTED(accepted) => (Verdict::Accepted(accepted.reply_data), rest),
            reply_body::MSG_DENIED(denied) => (Verdict::Denied(denied), rest),
        }
    }

    /// The bytes of the results of a call that was accepted.
    pub fn results(&self) -> &[u8] {
        match self.verdict() {
            (Verdict::Accepted(accept_stat_data::SUCCESS), results) => results,
            (other, _) => panic!("not accepted: {other:?}"),
        }
    }

    pub fn decode<T: Unpack>(&self) -> T {
        let mut rest = self.results();
        let (value, _) = T::unpack(&mut rest).unwrap();
        assert!(rest.is_empty(), "{} bytes follow the results", rest.len());
        value
    }
}

pub fn nfs_call(xid: u32, procedure: nfs3::NFS_PROGRAM, args: &impl Pack) -> Vec<u8> {
    call(xid, (nfs3::PROGRAM, nfs3::VERSION, procedure as u32), credential(OWNER), args)
}

/// The bytes of a call: `(program, version, procedure)`.
pub fn call(xid: u32, what: (u32, u32, u32), cred: opaque_auth<'static>, args: &impl Pack) -> Vec<u8> {
    let (prog, vers, proc) = what;
    let body = call_body { rpcvers: 2, prog, vers, proc, cred, verf: opaque_auth::default() };
    let mut bytes = Vec::new();
    rpc_msg { xid, body: msg_body::CALL(body) }.pack(&mut bytes).unwrap();
    args.pack(&mut bytes).unwrap();
    bytes
}

/// A record of one fragment.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    fragment(bytes, true)
}

pub fn fragment(bytes: &[u8], last: bool) -> Vec<u8> {
    let mark = bytes.len() as u32 | if last { 1 << 31 } else { 0 };
    [&mark.to_be_bytes()[..], bytes].concat()
}
