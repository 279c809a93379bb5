//! Names inside addresses. A bucket's paths hold anything but NUL; `#`, `?`, `%`, spaces and every
//! byte above ASCII must be encoded or the server sees another path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One segment, `/` encoded too.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A bucket's path, `/` kept. `None` for what no key can be (empty, `.` or `..` segments): an address
/// would be folded to another one.
pub(crate) fn path(text: &str) -> Option<String> {
    let segments: Vec<&str> = text.split('/').collect();
    if segments.iter().any(|s| matches!(*s, "" | "." | "..")) {
        return None;
    }
    Some(segments.into_iter().map(segment).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_would_swallow_is_encoded() {
        assert_eq!(path("a b/c#d?e%f/é").unwrap(), "a%20b/c%23d%3Fe%25f/%C3%A9");
        assert_eq!(path("e\u{301}").unwrap(), "e%CC%81");
        assert_eq!(segment("a/b"), "a%2Fb");
    }

    #[test]
    fn a_path_that_would_fold_is_none() {
        for text in ["", "a//b", "a/../b", "./a", "a/"] {
            assert_eq!(path(text), None, "{text}");
        }
    }
}
