//! The audit log: one line for each request, on stderr, which launchd and systemd keep. Who, what, the outcome;
//! never a token.
//!
//! A flood must not fill a disk: beyond a number of lines a minute the rest is counted, and the count is said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::peer::Peer;
use crate::protocol::{Reply, Request};

const LINES: u32 = 120;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
}

/// Where lines go.
#[derive(Debug)]
pub struct Audit(Mutex<Window>);

impl Default for Audit {
    fn default() -> Audit {
        Audit(Mutex::new(Window { since: Instant::now(), lines: 0 }))
    }
}

impl Audit {
    pub fn note(&self, text: &str) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in window.admit(Instant::now(), text) {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            eprintln!("bucketbar-helper[{}] {seconds} {line}", std::process::id());
        }
    }
}

impl Window {
    /// The lines to print for `text`: none in a flood, a count first after one.
    fn admit(&mut self, now: Instant, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if now.duration_since(self.since) >= MINUTE {
            if self.lines > LINES {
                lines.push(format!("{} more lines were left out", self.lines - LINES));
            }
            *self = Window { since: now, lines: 0 };
        }
        self.lines += 1;
        if self.lines <= LINES {
            lines.push(text.to_owned());
        }
        lines
    }
}

/// One request and its outcome.
pub fn describe(peer: Peer, request: &Request, reply: &Reply) -> String {
    let asked = match request {
        Request::Version => "version".to_owned(),
        Request::List => "list".to_owned(),
        Request::Mount(mount) => {
            let access = if mount.read_only { "read-only" } else { "read-write" };
            format!("mount {:?} port {} {access}", mount.volume.as_str(), mount.port)
        }
        Request::Unmount { volume, force } => {
            format!("unmount {:?}{}", volume.as_str(), if *force { " by force" } else { "" })
        }
    };
    format!("uid {} pid {}: {asked}: {}", peer.uid, peer.pid, outcome(reply))
}

fn outcome(reply: &Reply) -> String {
    match reply {
        Reply::Refused(refusal) => format!("{}: {}", refusal.code.word(), refusal.what),
        _ => "done".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_written() {
        let start = Instant::now();
        let mut window = Window { since: start, lines: 0 };
        let written: usize = (0..1000).map(|_| window.admit(start, "x").len()).sum();
        assert_eq!(written, LINES as usize);
        let later = window.admit(start + MINUTE, "y");
        assert_eq!(later, ["880 more lines were left out", "y"]);
    }

    #[test]
    fn a_line_has_who_what_and_outcome_and_no_token() {
        let token = "0123456789abcdef0123456789abcdef";
        let request = Request::parse(&format!("mount\t20490\t{token}\trw\tMy Bucket")).unwrap();
        let peer = Peer { uid: 501, gid: 20, pid: 77 };
        let line = describe(peer, &request, &Reply::Mounted { path: "/Volumes/My Bucket".into() });
        assert_eq!(line, "uid 501 pid 77: mount \"My Bucket\" port 20490 read-write: done");
    }
}
