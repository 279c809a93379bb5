//! Whose program is at the other end of a connection on this machine.
//!
//! On Linux every local user can have the mount's root handle: `name_to_handle_at(2)` gives out what the kernel's
//! client got from MNT, the port is in the mount table, and AUTH_SYS says of itself who calls. So the kernel is asked:
//! its own client's socket stands in `/proc/net/tcp` with uid 0, a program's with its user's. macOS gives nobody a
//! handle (`getfh(2)` is root's), and has no such table to ask without rights.

use std::net::{IpAddr, SocketAddr};

/// What the kernel says of the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    User(u32),
    /// Nobody has it open any more (then the table says 0 for its owner), or it is not listed.
    Nobody,
    /// This system does not tell.
    Unknown,
}

/// Asks for the owner of the socket `theirs` that is connected to `ours`. Reads a file of the kernel: blocks for about
/// a millisecond per thousand connections.
pub fn ask(theirs: SocketAddr, ours: SocketAddr) -> Whose {
    let table = match theirs.ip() {
        IpAddr::V4(_) => "/proc/net/tcp",
        IpAddr::V6(_) => "/proc/net/tcp6",
    };
    match std::fs::read_to_string(table) {
        Ok(table) => find(&table, theirs, ours),
        Err(_) => Whose::Unknown,
    }
}

fn find(table: &str, theirs: SocketAddr, ours: SocketAddr) -> Whose {
    const ESTABLISHED: &str = "01";
    let (theirs, ours) = (written(theirs), written(ours));
    let owner = table.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let pair = (words.next()?, words.next()?, words.next()?);
        (pair == (&theirs, &ours, ESTABLISHED)).then(|| words.nth(3)?.parse().ok()).flatten()
    });
    owner.map_or(Whose::Nobody, Whose::User)
}

/// As the kernel writes an address: each 32 bits as this machine's number, then the port.
fn written(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|four| {
        let four = <[u8; 4]>::try_from(four).unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(four))
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_of_the_kernels_table() {
        let table =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 2 1 0 20 4 30 10 -1
   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:000017A8 00000000     0        0 0 3 0
";
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(find(table, at(50000), at(8080)), Whose::User(1001));
        assert_eq!(find(table, at(50001), at(8080)), Whose::Nobody, "closed: the 0 is nobody's");
        assert_eq!(find(table, at(50002), at(8080)), Whose::Nobody);
        assert_eq!(written("[::1]:80".parse().expect("an address")), "00000000000000000000000001000000:0050");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_of_this_process_is_this_users() {
        use std::os::unix::fs::MetadataExt;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("it")).expect("connects");
        let (accepted, theirs) = listener.accept().expect("accepts");
        let me = std::fs::metadata("/proc/self").expect("itself").uid();
        assert_eq!(ask(theirs, accepted.local_addr().expect("it")), Whose::User(me));
        drop(client);
        assert_eq!(ask(theirs, accepted.local_addr().expect("it")), Whose::Nobody);
    }
}
