//! Mounts that an earlier run left: which are taken up again, which are cleared away, which are nobody's business.

use std::path::{Path, PathBuf};

use mounter::VolumeName;

use crate::endpoint::Endpoint;

/// What is to become of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Served again: the state at this place of the list is its own.
    Adopt(usize),
    /// Somebody else serves it, or may: another app, another Hub's, a person's own `serve`.
    Leave,
    /// Nobody can ever serve it again, and whoever touches it hangs: unmounted by force.
    Clear,
}

/// A mount, and what was found about it without touching it.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub place: &'a Path,
    pub token: &'a str,
    /// Somebody listens on its port, or that could not be told.
    pub served: bool,
}

/// Where mounts of ours are.
#[derive(Debug, Clone)]
pub(super) struct Ground<'a> {
    /// Our Hub.
    pub origin: &'a str,
    /// The person's mount folder.
    pub folder: &'a Path,
    /// Where the helper makes volumes, and which it has made for this user.
    pub volumes: &'a Path,
    pub made: &'a [VolumeName],
}

/// `known` are the states of this user's buckets.
pub(super) fn fate(found: &Found<'_>, known: &[(PathBuf, Endpoint)], ground: &Ground<'_>) -> Fate {
    if let Some(at) = known.iter().position(|(_, endpoint)| endpoint.mount_token == found.token) {
        return if known[at].1.hub == ground.origin { Fate::Adopt(at) } else { Fate::Leave };
    }
    // Without its state it can never be served again; whether it is served now is another question.
    if !found.served && is_ours(found.place, ground) { Fate::Clear } else { Fate::Leave }
}

/// Only by name: nothing is touched.
fn is_ours(place: &Path, ground: &Ground<'_>) -> bool {
    if place.parent() == Some(ground.folder) {
        return true;
    }
    let name = place.strip_prefix(ground.volumes).ok().and_then(Path::to_str);
    name.is_some_and(|name| ground.made.iter().any(|made| made.as_str() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://huggingface.co";

    fn endpoint(token: &str, hub: &str) -> (PathBuf, Endpoint) {
        let text = serde_json::json!({
            "version": 1, "port": 1, "mount_token": token, "hub": hub, "bucket_id": "a/b", "prefix": "", "volume": "b",
        });
        ("/state".into(), serde_json::from_value(text).unwrap())
    }

    fn fate_of(place: &str, token: &str, served: bool) -> Fate {
        let known = [endpoint("one", "https://other"), endpoint("two", ORIGIN)];
        let made = [VolumeName::parse("My Bucket").unwrap()];
        let ground = Ground {
            origin: ORIGIN,
            folder: Path::new("/Users/ann/Buckets"),
            volumes: Path::new("/Volumes"),
            made: &made,
        };
        fate(&Found { place: Path::new(place), token, served }, &known, &ground)
    }

    #[test]
    fn one_of_ours_is_taken_up_wherever_it_is_and_one_of_another_hub_is_left() {
        for place in ["/Users/ann/Buckets/b", "/Volumes/x", "/anywhere"] {
            for served in [true, false] {
                assert_eq!(fate_of(place, "two", served), Fate::Adopt(1));
                assert_eq!(fate_of(place, "one", served), Fate::Leave);
            }
        }
    }

    #[test]
    fn one_without_a_state_is_cleared_away_only_when_dead_and_ours() {
        assert_eq!(fate_of("/Users/ann/Buckets/b", "gone", false), Fate::Clear);
        assert_eq!(fate_of("/Volumes/My Bucket", "gone", false), Fate::Clear);
        for place in ["/Users/ann/Buckets/b", "/Volumes/My Bucket"] {
            assert_eq!(fate_of(place, "gone", true), Fate::Leave, "it lives");
        }
        let elsewhere = [
            "/Users/ann/Buckets",
            "/Users/ann/Buckets/a/b",
            "/Users/ben/Buckets/b",
            "/Volumes/Other",
            "/mnt",
        ];
        for place in elsewhere {
            assert_eq!(fate_of(place, "gone", false), Fate::Leave, "{place}");
        }
    }
}
