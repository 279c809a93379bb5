//! Who holds what: decisions about requests, from plain facts.

use std::path::Path;

use crate::protocol::{Life, Refusal, Registration, Serves};

/// What is known of one port that is held.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub key: &'a Path,
    pub port: u16,
    pub serves: &'a Serves,
    pub life: Life,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The port is held for this very server: it gets the socket that waits.
    TakeOver(usize),
    /// Its old port is closed, a new one bound.
    Move(usize),
    Bind,
    Refuse(Refusal),
}

/// What a server that asks for `wanted` gets.
///
/// Whoever asks owns its state directory (it has the lock), so an earlier server of the same key is dead,
/// even where its connection has not told so yet.
pub fn decide(known: &[Known<'_>], wanted: &Registration) -> Decision {
    if let Some(other) = overlapping(known, wanted) {
        let slash = if other.serves.prefix.is_empty() { "" } else { "/" };
        let bucket = format!("{}{slash}{}", other.serves.bucket, other.serves.prefix);
        return Decision::Refuse(Refusal::Overlap { bucket, key: other.key.to_owned() });
    }
    if known.iter().any(|one| one.key != wanted.key && one.port == wanted.port) {
        return Decision::Refuse(Refusal::PortTaken { port: wanted.port });
    }
    match known.iter().position(|one| one.key == wanted.key) {
        Some(at) if known[at].port == wanted.port => Decision::TakeOver(at),
        Some(at) => Decision::Move(at),
        None => Decision::Bind,
    }
}

/// Another server of the same files that runs or is about to.
fn overlapping<'a, 'k>(known: &'a [Known<'k>], wanted: &Registration) -> Option<&'a Known<'k>> {
    known.iter().find(|one| {
        matches!(one.life, Life::Alive | Life::Reviving)
            && one.key != wanted.key
            && one.serves.hub == wanted.serves.hub
            && one.serves.bucket == wanted.serves.bucket
            && overlap(&one.serves.prefix, &wanted.serves.prefix)
    })
}

/// One of two folders of a bucket lies in the other, or they are the same.
pub fn overlap(a: &str, b: &str) -> bool {
    let inside = |inner: &str, outer: &str| {
        outer.is_empty()
            || inner == outer
            || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    inside(a, b) || inside(b, a)
}

/// Whether a keeper of version `mine` makes room for one of `theirs`. What is no version makes nobody move.
pub fn is_newer(theirs: &str, mine: &str) -> bool {
    let parts = |text: &str| -> Option<Vec<u64>> {
        let core = text.split(['-', '+']).next()?;
        core.split('.').map(|part| part.parse().ok()).collect()
    };
    matches!((parts(theirs), parts(mine)), (Some(theirs), Some(mine)) if theirs > mine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serves(bucket: &str, prefix: &str) -> Serves {
        Serves { hub: "https://hub".into(), bucket: bucket.into(), prefix: prefix.into() }
    }

    fn wants(key: &str, port: u16, bucket: &str, prefix: &str) -> Registration {
        Registration { key: key.into(), port, pid: 1, serves: serves(bucket, prefix), respawn: None }
    }

    #[test]
    fn a_server_gets_its_own_socket_back_and_nobody_elses() {
        let (a, b) = (serves("u/a", ""), serves("u/b", ""));
        let known = [
            Known { key: Path::new("/a"), port: 1, serves: &a, life: Life::Dead },
            Known { key: Path::new("/b"), port: 2, serves: &b, life: Life::Alive },
        ];
        assert_eq!(decide(&known, &wants("/a", 1, "u/a", "")), Decision::TakeOver(0));
        assert_eq!(decide(&known, &wants("/b", 2, "u/b", "")), Decision::TakeOver(1));
        assert_eq!(decide(&known, &wants("/a", 3, "u/a", "")), Decision::Move(0));
        assert_eq!(decide(&known, &wants("/c", 3, "u/c", "")), Decision::Bind);
        let taken = Decision::Refuse(Refusal::PortTaken { port: 1 });
        assert_eq!(decide(&known, &wants("/c", 1, "u/c", "")), taken);
        assert_eq!(decide(&known, &wants("/b", 1, "u/b", "")), taken);
    }

    #[test]
    fn two_servers_of_the_same_files_are_refused_while_the_first_lives() {
        let folder = serves("u/a", "2024");
        let ask = |life, bucket: &str, prefix: &str| {
            let known = [Known { key: Path::new("/a"), port: 1, serves: &folder, life }];
            decide(&known, &wants("/other", 2, bucket, prefix))
        };
        let refused = Decision::Refuse(Refusal::Overlap { bucket: "u/a/2024".into(), key: "/a".into() });
        for life in [Life::Alive, Life::Reviving] {
            assert_eq!(ask(life, "u/a", ""), refused);
            assert_eq!(ask(life, "u/a", "2024/may"), refused);
            assert_eq!(ask(life, "u/a", "2025"), Decision::Bind);
            assert_eq!(ask(life, "u/b", ""), Decision::Bind);
        }
        for life in [Life::Dead, Life::GivenUp] {
            assert_eq!(ask(life, "u/a", ""), Decision::Bind);
        }
    }

    #[test]
    fn versions() {
        assert!(is_newer("0.2.0", "0.1.9") && is_newer("0.1.10", "0.1.9") && is_newer("1.0.0-beta", "0.9"));
        for (theirs, mine) in [("0.1.0", "0.1.0"), ("0.1.0", "0.2.0"), ("new", "0.1.0"), ("", "0.1.0")] {
            assert!(!is_newer(theirs, mine), "{theirs} {mine}");
        }
    }
}
