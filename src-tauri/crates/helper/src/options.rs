//! The options of a mount, by operating system: pure functions of the port and whether it is read-only.
//!
//! macOS: macos-nfs.md A1 says for each option why. Linux: the same promises in its words.

/// Whose NFS client is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    Linux,
    MacOs,
}

impl Os {
    /// The system this binary runs on.
    pub const fn here() -> Os {
        if cfg!(target_os = "macos") { Os::MacOs } else { Os::Linux }
    }
}

/// What is mounted: a server on this machine and its export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub port: u16,
    /// `/TOKEN/VOLUME`, as the server prints it; begins with `/`.
    pub export: String,
    pub read_only: bool,
}

impl Source {
    /// `127.0.0.1:/TOKEN/VOLUME`. An address, not a name: nothing to resolve, never IPv6.
    pub fn device(&self) -> String {
        format!("127.0.0.1:{}", self.export)
    }
}

/// The comma-separated options for `-o`.
///
/// Everything we depend on is said, defaults too: `/etc/nfs.conf` (macOS) and `/etc/nfsmount.conf` (Linux)
/// may have changed them.
pub fn mount_options(os: Os, port: u16, read_only: bool) -> String {
    let mut options = match os {
        Os::MacOs => macos(port),
        Os::Linux => linux(port),
    };
    if read_only {
        options.push_str(",ro");
    }
    options
}

fn macos(port: u16) -> String {
    format!(
        "vers=3,proto=tcp,port={port},mountport={port},rsize=1048576,wsize=1048576,dsize=65536,\
         readahead=16,rdirplus,locallocks,nfc,actimeo=1,noquota,hard,intr,deadtimeout=300,mutejukebox,\
         retrycnt=0,nosuid,nodev"
    )
}

/// `nolock`: locks are kept by the kernel, no NLM is asked for. `noresvport`: a reconnect comes from a
/// fresh port, so that no dead connection is in its way. `retry=0`: a failed mount says so at once.
fn linux(port: u16) -> String {
    format!(
        "vers=3,proto=tcp,mountproto=tcp,mountvers=3,port={port},mountport={port},rsize=1048576,\
         wsize=1048576,nolock,noacl,noresvport,actimeo=1,hard,timeo=600,retrans=2,retry=0,nosuid,nodev"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macos_options_are_those_of_the_fact_sheet() {
        assert_eq!(
            mount_options(Os::MacOs, 20490, false),
            "vers=3,proto=tcp,port=20490,mountport=20490,rsize=1048576,wsize=1048576,dsize=65536,\
             readahead=16,rdirplus,locallocks,nfc,actimeo=1,noquota,hard,intr,deadtimeout=300,mutejukebox,\
             retrycnt=0,nosuid,nodev"
        );
    }

    #[test]
    fn linux_options() {
        assert_eq!(
            mount_options(Os::Linux, 20490, true),
            "vers=3,proto=tcp,mountproto=tcp,mountvers=3,port=20490,mountport=20490,rsize=1048576,\
             wsize=1048576,nolock,noacl,noresvport,actimeo=1,hard,timeo=600,retrans=2,retry=0,nosuid,nodev,ro"
        );
    }

    #[test]
    fn read_only_is_the_last_option_and_soft_is_never_one() {
        for os in [Os::Linux, Os::MacOs] {
            assert!(mount_options(os, 1, true).ends_with(",ro"));
            let options = mount_options(os, 1, false);
            let names: Vec<_> = options.split(',').collect();
            assert!(names.contains(&"hard") && !names.contains(&"soft") && !names.contains(&"ro"));
            assert!(!names.contains(&"noac"), "listings would never expire on macOS");
        }
    }

    #[test]
    fn the_device_names_an_address() {
        let source = Source { port: 1, export: "/0a/My Bucket".into(), read_only: false };
        assert_eq!(source.device(), "127.0.0.1:/0a/My Bucket");
    }
}
