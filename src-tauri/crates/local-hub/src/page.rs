//! Small things many routes share: query strings, paging by `Link`, byte ranges.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// Kept as they are in a path segment or a query value.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes one path segment or query value, `/` included.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Undoes percent-encoding; what is no UTF-8 is replaced.
pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The fields of a query string or a form; `+` is a space.
pub fn fields(text: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(&value.replace('+', " ")))
    };
    text.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

/// The fields of a request's query.
pub fn query(uri: &Uri) -> BTreeMap<String, String> {
    fields(uri.query().unwrap_or(""))
}

/// A page of a listing; `next` is where the following one starts, put into an absolute `Link` that
/// repeats the request's own parameters (hub-api.md 2.3).
pub fn paged(endpoint: &str, uri: &Uri, entries: Vec<Value>, next: Option<&str>) -> Response {
    let mut response = Json(Value::Array(entries)).into_response();
    if let Some(next) = next {
        let kept = query(uri).into_iter().filter(|(name, _)| name != "cursor");
        let mut parameters: Vec<String> =
            kept.map(|(name, value)| format!("{}={}", encode(&name), encode(&value))).collect();
        parameters.push(format!("cursor={}", encode(next)));
        let link = format!("<{endpoint}{}?{}>; rel=\"next\"", uri.path(), parameters.join("&"));
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert("link", link);
        }
    }
    response
}

/// One byte range as asked for (RFC 9110, 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// First byte, byte after the last.
    Bounded { start: u64, end: u64 },
    /// From here to the end.
    From(u64),
    /// So many last bytes.
    Last(u64),
}

impl ByteRange {
    /// Start and end within an object of `size` bytes; `None` when nothing of it is there.
    pub fn within(self, size: u64) -> Option<(u64, u64)> {
        let (start, end) = match self {
            ByteRange::Bounded { start, end } => (start, end.min(size)),
            ByteRange::From(start) => (start, size),
            ByteRange::Last(length) => (size.saturating_sub(length), size),
        };
        (start < end).then_some((start, end))
    }
}

/// The ranges of a request: none asked for is an empty list, nonsense is `None`.
pub fn byte_ranges(headers: &HeaderMap) -> Option<Vec<ByteRange>> {
    let Some(header) = headers.get("range") else { return Some(Vec::new()) };
    header.to_str().ok()?.strip_prefix("bytes=")?.split(',').map(|text| byte_range(text.trim())).collect()
}

fn byte_range(text: &str) -> Option<ByteRange> {
    match text.split_once('-')? {
        ("", last) => Some(ByteRange::Last(last.parse().ok()?)),
        (start, "") => Some(ByteRange::From(start.parse().ok()?)),
        (start, last) => {
            let (start, end) = (start.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?);
            (start < end).then_some(ByteRange::Bounded { start, end })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let check = |header: &str, want: Option<Vec<ByteRange>>| {
            let mut headers = HeaderMap::new();
            headers.insert("range", HeaderValue::from_str(header).unwrap());
            assert_eq!(byte_ranges(&headers), want, "{header}");
        };
        check("bytes=0-9", Some(vec![ByteRange::Bounded { start: 0, end: 10 }]));
        check("bytes=5-", Some(vec![ByteRange::From(5)]));
        check("bytes=-5", Some(vec![ByteRange::Last(5)]));
        check(
            "bytes=0-0, 7-8",
            Some(vec![ByteRange::Bounded { start: 0, end: 1 }, ByteRange::Bounded { start: 7, end: 9 }]),
        );
        check("bytes=9-5", None);
        check("lines=1-2", None);
        check("bytes=1-18446744073709551615", None);
        assert_eq!(byte_ranges(&HeaderMap::new()), Some(vec![]));
        assert_eq!(ByteRange::Last(5).within(3), Some((0, 3)));
        assert_eq!(ByteRange::From(3).within(3), None);
        assert_eq!(ByteRange::Bounded { start: 1, end: 10 }.within(3), Some((1, 3)));
    }

    #[test]
    fn a_query_comes_apart_and_together_again() {
        assert_eq!(fields("a=1&b=x%2Fy+z&c")["b"], "x/y z");
        assert_eq!(decode(&encode("é/#?% 😀")), "é/#?% 😀");
    }
}
