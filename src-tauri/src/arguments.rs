//! The command line of the app: little, because a person starts it by a click.

use std::ffi::OsString;

use crate::page::Page;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// Runs the app. The page is shown by a first start that was asked for it, and by every second start.
    Run {
        page: Option<Page>,
        by: By,
    },
    Help,
    Version,
    /// Not understood; the sentence says what.
    Wrong(String),
}

/// Who started the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Somebody looks: the first start welcomes, a second one shows itself in the first.
    Person,
    /// The session, or whoever brings it back after a crash: nothing is shown.
    Nobody,
    /// The same by launchd or systemd, which bring it back themselves.
    Supervisor,
}

pub const HELP: &str = "\
bucketbar: Hugging Face buckets in the menu bar
  --page PAGE   show activity, settings, welcome, new-bucket or offline
  --quiet       show nothing by itself
  --supervised  the same, by launchd or systemd, which start it again after a crash
  --version     print the version
Without a window: bucketbarctl.";

pub fn parse(words: impl IntoIterator<Item = OsString>) -> Arguments {
    let (mut page, mut by) = (None, By::Person);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--page") => match words.next().and_then(|name| Page::of_name(name.to_str()?)) {
                Some(known) => page = Some(known),
                None => {
                    return Arguments::Wrong(
                        "--page needs activity, settings, welcome, new-bucket or offline.".into(),
                    );
                }
            },
            Some("--quiet") => by = By::Nobody,
            Some("--supervised") => by = By::Supervisor,
            Some("--help" | "-h") => return Arguments::Help,
            Some("--version" | "-V") => return Arguments::Version,
            // macOS gave programs started by the Finder a process serial number; some tools still do.
            Some(number) if number.starts_with("-psn_") => {}
            _ => return Arguments::Wrong(format!("{} is not understood.", word.to_string_lossy())),
        }
    }
    Arguments::Run { page, by }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Arguments {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn pages_and_nothing_else_are_understood() {
        assert_eq!(parsed(&[]), Arguments::Run { page: None, by: By::Person });
        assert_eq!(parsed(&["-psn_0_12345"]), Arguments::Run { page: None, by: By::Person });
        assert_eq!(parsed(&["--supervised"]), Arguments::Run { page: None, by: By::Supervisor });
        assert_eq!(parsed(&["--quiet"]), Arguments::Run { page: None, by: By::Nobody });
        assert_eq!(
            parsed(&["--page", "settings"]),
            Arguments::Run { page: Some(Page::Settings), by: By::Person }
        );
        assert!(matches!(parsed(&["--page"]), Arguments::Wrong(_)));
        assert!(matches!(parsed(&["--page", "x"]), Arguments::Wrong(_)));
        assert!(
            matches!(parsed(&["--token", "hf_x"]), Arguments::Wrong(_)),
            "there is no way to pass a token"
        );
        assert_eq!(parsed(&["-h"]), Arguments::Help);
        assert_eq!(parsed(&["-V"]), Arguments::Version);
    }
}
