//! The name of a volume: one component of a path and of an NFS export, shown by Finder.

use std::fmt;

/// The longest name that macOS's and Linux's file systems take, in bytes (NAME_MAX).
const MAX_BYTES: usize = 255;

/// A name that can be neither a path, nor an option, nor hidden, nor pass for another on a screen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

impl VolumeName {
    /// # Errors
    /// A sentence saying what is wrong with it.
    pub fn parse(name: &str) -> Result<VolumeName, String> {
        match fault(name) {
            None => Ok(VolumeName(name.to_owned())),
            Some(why) => Err(format!("This is no name for a volume: {why}.")),
        }
    }

    /// The nearest name to `wanted` that is allowed; `fallback` if nothing of it can stay. `fallback` must be a
    /// valid name itself.
    ///
    /// macos-nfs.md A6: a comma together with a colon in the path would be read as more locations, so colons
    /// never stay.
    pub fn nearest(wanted: &str, fallback: &str) -> VolumeName {
        let kept: String = wanted.chars().map(|c| if is_forbidden(c) { '-' } else { c }).collect();
        let kept = kept.trim_start_matches(['.', '-', ' ']).trim_end();
        let mut end = kept.len().min(MAX_BYTES);
        while !kept.is_char_boundary(end) {
            end -= 1;
        }
        let kept = kept[..end].trim_end();
        VolumeName(if fault(kept).is_none() { kept } else { fallback }.to_owned())
    }

    /// `NAME 2`, `NAME 3`, …: what macOS calls a second volume of one name. The ending always stays whole.
    pub fn numbered(&self, number: u32) -> VolumeName {
        let ending = format!(" {number}");
        let mut end = self.0.len().min(MAX_BYTES - ending.len());
        while !self.0.is_char_boundary(end) {
            end -= 1;
        }
        VolumeName(format!("{}{ending}", &self.0[..end]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_BYTES {
        Some("it is longer than 255 bytes")
    } else if name.starts_with(['.', '-']) {
        Some("it begins with a dot or a hyphen")
    } else if name.starts_with(' ') || name.ends_with(' ') {
        Some("it begins or ends with a space")
    } else if name.chars().any(is_forbidden) {
        Some("it holds a slash, a colon, a backslash, or a character that cannot be seen")
    } else {
        None
    }
}

/// Besides what no path takes: what turns the reading direction or is invisible (a name could pass for
/// another), and the backslash, which mount tables escape with.
fn is_forbidden(c: char) -> bool {
    let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}');
    c.is_control() || invisible || matches!(c, '/' | ':' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["models", "My Bucket", "a,b=c", "données", "日本語", "a.b-c", &"x".repeat(255)] {
            assert_eq!(VolumeName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_be_something_else_do_not() {
        let long = "é".repeat(128);
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "-o",
            "a/b",
            "../etc",
            "/etc",
            "a\0b",
            "a\nb",
            "a\tb",
            "a\u{7f}",
            "a\u{85}b",
            "a:b",
            "a\\b",
            " a",
            "a ",
            "a\u{202e}txt.exe",
            "a\u{200b}",
            &long,
        ] {
            assert!(VolumeName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_nearest_name_is_always_a_name() {
        let nearest = |wanted: &str| VolumeName::nearest(wanted, "Bucket").as_str().to_owned();
        assert_eq!(nearest("models"), "models");
        assert_eq!(nearest("a/b:c"), "a-b-c");
        assert_eq!(nearest("../x"), "x");
        assert_eq!(nearest("-..- "), "Bucket");
        assert_eq!(nearest(""), "Bucket");
        assert_eq!(nearest(&"é".repeat(200)).len(), 254);
        for wanted in ["\u{202e}", " ", "...", "a\0", &format!("{} x", "y".repeat(254))] {
            assert!(VolumeName::parse(&nearest(wanted)).is_ok(), "{wanted:?}");
        }
    }

    #[test]
    fn a_number_fits_whatever_the_length() {
        let name = VolumeName::parse(&"é".repeat(127)).unwrap().numbered(12);
        assert!(VolumeName::parse(name.as_str()).is_ok());
        assert!(name.as_str().ends_with(" 12"));
    }
}
