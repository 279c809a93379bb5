//! Does anybody still serve a mount? Asked of its port, never of the mount: whoever touches a dead one hangs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use helper::table::OwnMount;
use tokio::net::TcpStream;

/// A listener on loopback takes a connection at once, the keeper's too.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether somebody listens where the mount's server was. True when its port cannot be told: what may live is not to be
/// taken for dead.
pub async fn is_served(mount: &OwnMount) -> bool {
    let port = match mount.port {
        Some(port) => Some(port),
        None => asked_port(mount).await,
    };
    let Some(port) = port else { return true };
    let connect = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    // A full backlog refuses nobody at once: it is somebody's.
    !matches!(tokio::time::timeout(LIMIT, connect).await, Ok(Err(_)))
}

#[cfg(not(target_os = "macos"))]
async fn asked_port(_: &OwnMount) -> Option<u16> {
    None
}

/// macOS's table of mounts has no ports; `nfsstat -m` asks the kernel for the mount's arguments.
#[cfg(target_os = "macos")]
async fn asked_port(mount: &OwnMount) -> Option<u16> {
    let args = ["-m".as_ref(), mount.mount_point.as_os_str()];
    let outcome = crate::command::run("/usr/bin/nfsstat", args, Duration::from_secs(10)).await.ok()?;
    port_in(&outcome.stdout)
}

/// The `port=` of a mount's options, which is not the one of `mountport=`.
#[cfg(any(target_os = "macos", test))]
fn port_in(options: &str) -> Option<u16> {
    let words = options.split(|c: char| c == ',' || c.is_whitespace());
    words.filter_map(|word| word.strip_prefix("port=")).find_map(|port| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(port: Option<u16>) -> OwnMount {
        OwnMount {
            mount_point: "/no/such".into(),
            port,
            export: "/0/v".into(),
            token: String::new(),
            volume: "v".into(),
            read_only: false,
        }
    }

    #[tokio::test]
    async fn a_listener_is_somebody_and_a_closed_port_is_nobody() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_served(&mount(Some(port))).await);
        drop(listener);
        assert!(!is_served(&mount(Some(port))).await);
    }

    #[cfg(not(target_os = "macos"))]
    #[tokio::test]
    async fn what_cannot_be_told_is_alive() {
        assert!(is_served(&mount(None)).await);
    }

    #[test]
    fn the_port_in_what_nfsstat_prints() {
        let said = "/Users/a/hub from 127.0.0.1:/0/v\n  -- Current mount parameters:\n     NFS parameters: \
                    vers=3,tcp,mountport=20491,port=20490,hard,intr,rsize=1048576\n     File system locations:\n";
        assert_eq!(port_in(said), Some(20490));
        assert_eq!(port_in("vers=3,mountport=1"), None);
        assert_eq!(port_in("port=x,port=70000"), None);
    }
}
