//! Signed storage URLs: where content is fetched from, without a token, for a limited time.
//!
//! Two kinds of object: a xorb as it is stored, and a file's plain bytes (what is behind `/resolve`).
//! Like the real storage, it is another origin than the Hub (`localhost` instead of `127.0.0.1`) and it
//! refuses a request that brings a token along: a client that leaks one is found out.

use std::collections::BTreeMap;

use crate::clock::now_ms;
use crate::seal::{SealFault, Seals};

/// Gives out and checks signed URLs.
pub struct StorageUrls {
    pub seals: Seals,
    lifetime_ms: i64,
    origin: String,
}

impl StorageUrls {
    /// `origin` is scheme, host and port.
    pub fn new(seals: Seals, lifetime_seconds: u64, origin: String) -> Self {
        let lifetime_ms = i64::try_from(lifetime_seconds * 1000).unwrap_or(i64::MAX);
        Self { seals, lifetime_ms, origin }
    }

    /// A URL for `path` (`/_storage/…`); `query` is encoded already and becomes part of what is signed.
    pub fn sign(&self, path: &str, query: &str) -> String {
        let issued = now_ms();
        let expires = issued.saturating_add(self.lifetime_ms);
        let mark = self.seals.mark(&format!("{path}?{query}"), issued, expires);
        let join = if query.is_empty() { "" } else { "&" };
        format!("{}{path}?{query}{join}issued={issued}&expires={expires}&signature={mark}", self.origin)
    }

    /// Checks what [`StorageUrls::sign`] made; returns the query's own fields, still encoded.
    pub fn check<'a>(&self, path: &str, query: &'a str) -> Result<BTreeMap<&'a str, &'a str>, SealFault> {
        let mut fields: BTreeMap<&str, &str> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let mut take = |name: &str| fields.remove(name).ok_or(SealFault::Forged);
        let (issued, expires, mark) = (take("issued")?, take("expires")?, take("signature")?);
        let (Ok(issued), Ok(expires)) = (issued.parse(), expires.parse()) else {
            return Err(SealFault::Forged);
        };
        let signed = query.split("issued=").next().unwrap_or("").trim_end_matches('&');
        self.seals.check(&format!("{path}?{signed}"), issued, expires, mark)?;
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_url_is_good_for_its_path_and_query_until_it_expires() {
        let urls = StorageUrls::new(Seals::new([3; 32], "storage"), 60, "http://localhost:1".into());
        let url = urls.sign("/_storage/xorbs/ab", "ranges=0-9");
        let (path, query) = url.strip_prefix("http://localhost:1").unwrap().split_once('?').unwrap();
        assert_eq!(urls.check(path, query).unwrap()["ranges"], "0-9");
        assert_eq!(urls.check("/_storage/xorbs/cd", query).unwrap_err(), SealFault::Forged);
        assert_eq!(urls.check(path, &query.replace("0-9", "0-99")).unwrap_err(), SealFault::Forged);
        urls.seals.expire_all();
        assert_eq!(urls.check(path, query).unwrap_err(), SealFault::Expired);
        let bare = urls.sign("/_storage/xorbs/ab", "");
        let (path, query) = bare.strip_prefix("http://localhost:1").unwrap().split_once('?').unwrap();
        assert!(urls.check(path, query).unwrap().is_empty());
    }
}
