//! Messages on the keeper's socket, from either side: as the bytes come, and as JSON that is framed right.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use keeper::protocol::{Reply, Request};
use keeper::wire;

/// More would not fit into the socket's buffer at once.
const LONGEST: usize = 60_000;

pub fn run(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    receive_all(data);
    let mut framed = (data.len() as u32).to_be_bytes().to_vec();
    framed.extend_from_slice(data);
    receive_all(&framed);
}

fn receive_all(bytes: &[u8]) {
    let ours = || {
        let (mut there, here) = UnixStream::pair().expect("a pair of sockets");
        there.write_all(bytes).expect("the buffer takes it");
        there.shutdown(Shutdown::Write).expect("it is open");
        (there, here)
    };
    let (_there, here) = ours();
    while let Ok(Some((request, _))) = wire::receive::<Request>(&here) {
        let (out, back) = UnixStream::pair().expect("a pair of sockets");
        wire::send(&out, &request, None).expect("what was received can be sent");
        let again = wire::receive::<Request>(&back).expect("and received").expect("and is there");
        assert_eq!(again.0, request);
    }
    let (_there, here) = ours();
    while let Ok(Some(_)) = wire::receive::<Reply>(&here) {}
}
