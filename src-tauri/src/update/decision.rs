//! Whether an update is fetched, and whether what was fetched is installed now. Facts in, a verdict out.

use semver::Version;

use crate::bundle::Place;

/// What was found when looking for updates.
#[derive(Debug, Clone)]
pub struct Offer<'a> {
    pub current: &'a Version,
    pub offered: &'a Version,
    /// This machine's, like `14.5.1`; `None` when it is not known.
    pub macos: Option<&'a str>,
    pub minimum_macos: &'a str,
    pub place: &'a Place,
}

/// Whether the offered version is one to fetch. Never an older one: whoever can only replay what we signed once
/// brings nobody back to it.
pub fn is_wanted(offer: &Offer<'_>) -> bool {
    let fits = offer.macos.is_some_and(|macos| numbers(macos) >= numbers(offer.minimum_macos));
    // A release is no reason to leave it for a trial version.
    let kind = offer.offered.pre.is_empty() || !offer.current.pre.is_empty();
    offer.offered > offer.current && kind && fits && matches!(offer.place, Place::Installed(_))
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// How the app ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The person quit it.
    Quit,
    /// A signal, a log-out, a shutdown: there is no time.
    System,
}

/// What is known at the end, after the last server has ended.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub end: End,
    pub current: &'a Version,
    /// Fetched, and checked again just now.
    pub fetched: Option<&'a Version>,
    pub place: &'a Place,
    /// Nothing of any bucket is missing on the Hub, and that is known.
    pub all_on_the_hub: bool,
    /// Buckets that are still mounted, by us or by `bucketbarctl`.
    pub mounted: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Install,
    /// Another time, and why.
    Wait(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    NothingFetched,
    NotNewer,
    NotInstalled,
    NoTime,
    Unsent,
    Mounted,
}

/// Installed is at quit, and never with dirty data: a version that turned out bad must not stand between a person and
/// what only this disk has.
pub fn may_install_now(facts: &Facts<'_>) -> Verdict {
    let why = match facts.fetched {
        None => Why::NothingFetched,
        Some(version) if version <= facts.current => Why::NotNewer,
        Some(_) if !matches!(facts.place, Place::Installed(_)) => Why::NotInstalled,
        Some(_) if facts.end == End::System => Why::NoTime,
        Some(_) if facts.mounted > 0 => Why::Mounted,
        Some(_) if !facts.all_on_the_hub => Why::Unsent,
        Some(_) => return Verdict::Install,
    };
    Verdict::Wait(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn app() -> Place {
        Place::Installed("/Applications/BucketBar.app".into())
    }

    fn wanted(current: &str, offered: &str, macos: Option<&str>, place: &Place) -> bool {
        let (current, offered) = (version(current), version(offered));
        is_wanted(&Offer { current: &current, offered: &offered, macos, minimum_macos: "13.0", place })
    }

    #[test]
    fn only_a_newer_version_that_runs_here_is_fetched() {
        let mac = Some("14.5.1");
        assert!(wanted("0.1.0", "0.2.0", mac, &app()));
        assert!(wanted("0.9.0", "0.10.0", Some("13.0"), &app()));
        assert!(wanted("0.2.0-beta.1", "0.2.0-beta.2", mac, &app()));
        assert!(wanted("0.2.0-beta.1", "0.2.0", mac, &app()));
        for (current, offered) in [("0.2.0", "0.2.0"), ("0.2.0", "0.1.9"), ("0.1.0", "0.2.0-beta.1")] {
            assert!(!wanted(current, offered, mac, &app()), "{current} {offered}");
        }
        for macos in [None, Some("12.7"), Some("?")] {
            assert!(!wanted("0.1.0", "0.2.0", macos, &app()), "{macos:?}");
        }
        for place in [Place::Loose, Place::DiskImage, Place::Translocated] {
            assert!(!wanted("0.1.0", "0.2.0", mac, &place), "{place:?}");
        }
    }

    #[test]
    fn it_is_installed_only_when_the_person_quits_and_everything_is_on_the_hub() {
        let (current, newer, place) = (version("0.1.0"), version("0.2.0"), app());
        let good = Facts {
            end: End::Quit,
            current: &current,
            fetched: Some(&newer),
            place: &place,
            all_on_the_hub: true,
            mounted: 0,
        };
        assert_eq!(may_install_now(&good), Verdict::Install);
        let why = |facts: Facts<'_>| match may_install_now(&facts) {
            Verdict::Wait(why) => why,
            Verdict::Install => panic!("installed with {facts:?}"),
        };
        assert_eq!(why(Facts { all_on_the_hub: false, ..good.clone() }), Why::Unsent);
        assert_eq!(why(Facts { mounted: 1, ..good.clone() }), Why::Mounted);
        assert_eq!(why(Facts { end: End::System, ..good.clone() }), Why::NoTime);
        assert_eq!(why(Facts { fetched: None, ..good.clone() }), Why::NothingFetched);
        assert_eq!(why(Facts { fetched: Some(&current), ..good.clone() }), Why::NotNewer);
        assert_eq!(why(Facts { place: &Place::Loose, ..good.clone() }), Why::NotInstalled);
        assert_eq!(why(Facts { place: &Place::DiskImage, ..good }), Why::NotInstalled);
    }
}
