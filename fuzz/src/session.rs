//! Whole sessions: many calls to one server, with handles that it gave out, against the reference file system.
//!
//! The data is calls one after another: procedure, two bytes of length, arguments. A handle in the arguments (length
//! 34) is replaced by one that the server has given, chosen by its first byte, unless its second is 255.

use crate::server::{NFS, Server, header};

const MOST_CALLS: usize = 64;

pub fn run(mut data: &[u8]) {
    let mut server = Server::new();
    for xid in 0..MOST_CALLS {
        let Some(([procedure, high, low], rest)) = data.split_first_chunk::<3>() else { return };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (args, rest) = rest.split_at(length);
        data = rest;
        let mut call = header(xid as u32, NFS, u32::from(*procedure) % 24);
        let start = call.len();
        call.extend_from_slice(args);
        server.put_handles(&mut call[start..]);
        let reply = server.answer(&call).expect("a call with a good header is answered");
        server.check(&reply);
        server.learn(&reply);
    }
}
