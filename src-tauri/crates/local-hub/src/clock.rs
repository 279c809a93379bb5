//! Instants as the Hub writes them. Inside they are milliseconds since 1970.

use chrono::{DateTime, SecondsFormat, Utc};

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// ISO 8601 with milliseconds, as in every JSON answer; `None` outside the calendar.
pub fn iso(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The reverse of [`iso`], for any RFC 3339 text.
pub fn from_iso(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis())
}

/// As in `Last-Modified` (RFC 9110, 5.6.7).
pub fn http_date(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
