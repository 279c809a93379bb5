//! A repo's files outside Xet storage: small ones, which git keeps, and old large ones (LFS). The Hub gives them by
//! commit and path, over `/resolve/`.
//!
//! Their content's identity is git's, or LFS's. Where a content is read it comes with its path: `blob:OID:PATH`. Which
//! commit has it there is found out when it is read: the one that is shown, or one that was shown before.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Response, StatusCode};

use crate::bucket::Bucket;
use crate::error::{ErrorClass, ErrorCode, HubError};
use crate::http::{Call, Fetched};
use crate::xet::ByteStream;

const SCHEME: &str = "blob:";
/// Failures in a row without a byte in between.
const MOST_TRIES: u32 = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// 40 hexadecimal digits of git's, or 64 of LFS's.
    oid: String,
    path: String,
}

/// The hexadecimal digits that name a content outside Xet: 40 or 64 of them. `None` for one inside.
pub fn blob_oid(identity: &str) -> Option<&str> {
    let (oid, _) = identity.strip_prefix(SCHEME)?.split_once(':')?;
    let hexadecimal = oid.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && matches!(oid.len(), 40 | 64)).then_some(oid)
}

impl Blob {
    /// The identity of what lies at `path`.
    pub fn identity(oid: &str, path: &str) -> String {
        format!("{SCHEME}{}:{path}", oid.to_ascii_lowercase())
    }

    pub fn parse(identity: &str) -> Option<Blob> {
        let oid = blob_oid(identity)?;
        let path = &identity[SCHEME.len() + oid.len() + 1..];
        Some(Blob { oid: oid.to_owned(), path: path.to_owned() })
    }
}

impl Bucket {
    /// As [`Bucket::read`], of what lies outside Xet.
    pub(crate) fn read_blob(&self, blob: Blob, size: u64, range: Range<u64>) -> ByteStream {
        let reading = Reading { bucket: self.clone(), blob, size, rest: range, body: None, failures: 0 };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        })
        .boxed()
    }
}

struct Reading {
    bucket: Bucket,
    blob: Blob,
    size: u64,
    /// What was not delivered yet.
    rest: Range<u64>,
    body: Option<Body>,
    failures: u32,
}

struct Body {
    response: Response,
    /// Bytes before the wanted ones: the server gave the whole file.
    skip: u64,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        if self.rest.end > self.size {
            return Err(HubError::new(ErrorClass::Rejected, "The bytes asked for lie behind the file's end"));
        }
        while !self.rest.is_empty() {
            match self.piece().await {
                Ok(bytes) => {
                    self.failures = 0;
                    self.rest.start += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Err(error) => {
                    self.body = None;
                    self.failures += 1;
                    let limits = &self.bucket.state.http.config.limits;
                    if !error.may_retry() || self.failures >= MOST_TRIES {
                        return Err(error);
                    }
                    let wait = limits.retry_base.saturating_mul(1 << self.failures);
                    let wait = error.retry_after().unwrap_or(wait);
                    if wait > limits.read_stall {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
        Ok(None)
    }

    /// The next bytes, at least one.
    async fn piece(&mut self) -> Result<Bytes, HubError> {
        let stall = self.bucket.state.http.config.limits.read_idle;
        let failure = self.failure();
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                let fresh = self.begin().await?;
                self.body.insert(fresh)
            }
        };
        loop {
            let mut bytes = match tokio::time::timeout(stall, body.response.chunk()).await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => return Err(HubError::broken(format!("{failure}: the Hub sent too little"))),
                Ok(Err(e)) => {
                    let broke = HubError::offline(format!("{failure}: the connection broke"));
                    return Err(broke.caused_by(e.without_url()));
                }
                Err(_) => return Err(silent(&failure, stall)),
            };
            let skipped = body.skip.min(bytes.len() as u64);
            body.skip -= skipped;
            let _ = bytes.split_to(skipped as usize);
            let left = self.rest.end - self.rest.start;
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
    }

    /// Finds the commit that has this content at this path; the answer's body is at or before the rest's beginning.
    async fn begin(&self) -> Result<Body, HubError> {
        let mut tried = HashSet::new();
        for commit in self.bucket.commits().await? {
            if !tried.insert(commit.clone()) {
                continue;
            }
            match self.ask(&commit).await {
                Ok(fetched) if self.is_it(&fetched) => return self.body_of(fetched),
                Ok(_) => {}
                // Nothing there at that commit, or a commit that a rewritten branch has lost.
                Err(error)
                    if matches!(error.code, Some(ErrorCode::EntryNotFound | ErrorCode::RevisionNotFound)) => {
                }
                Err(error) => return Err(error),
            }
        }
        Err(HubError::new(
            ErrorClass::NotFound,
            format!("{}: the repo has another file there by now", self.failure()),
        )
        .with_advice("Open it again: the new one is shown in a moment."))
    }

    async fn ask(&self, commit: &str) -> Result<Fetched, HubError> {
        let nowhere =
            || HubError::new(ErrorClass::Rejected, format!("{}: no such path can be", self.failure()));
        let repo = self.bucket.name().repo().ok_or_else(nowhere)?;
        let address = repo.resolve(commit, &self.blob.path).ok_or_else(nowhere)?;
        let http = &self.bucket.state.http;
        http.fetch(Call::get(http.url(&address)?, self.failure()).range(self.rest.clone())).await
    }

    /// Some servers on the way give no identity; then the length has to do.
    fn is_it(&self, fetched: &Fetched) -> bool {
        match &fetched.etag {
            Some(etag) if matches!(etag.len(), 40 | 64) => etag.eq_ignore_ascii_case(&self.blob.oid),
            _ => fetched.size().is_none_or(|size| size == self.size),
        }
    }

    fn body_of(&self, fetched: Fetched) -> Result<Body, HubError> {
        let response = fetched.response;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(Body { response, skip: self.rest.start });
        }
        match content_range(response.headers()) {
            Some((start, _)) if start == self.rest.start => Ok(Body { response, skip: 0 }),
            _ => {
                Err(HubError::broken(format!("{}: the Hub sent other bytes than asked for", self.failure())))
            }
        }
    }

    fn failure(&self) -> String {
        format!("Reading “{}” of {} failed", self.blob.path, self.bucket.name())
    }
}

fn silent(failure: &str, stall: Duration) -> HubError {
    let busy = ErrorClass::Busy { retry_after: None };
    HubError::new(busy, format!("{failure}: nothing came for {} s", stall.as_secs()))
}

/// The first byte's place and the whole length, of `Content-Range: bytes 0-9/100`.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (span, whole) = text.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    Some((start.parse().ok()?, whole.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_apart_as_it_was_put_together() {
        let oid = "0123456789abcdef0123456789abcdef01234567";
        let identity = Blob::identity(oid, "a:b/README.md");
        assert_eq!(blob_oid(&identity), Some(oid));
        assert_eq!(Blob::parse(&identity).unwrap().path, "a:b/README.md");
        for other in ["", "blob:", "blob:xyz:path", &"ab".repeat(32), "blob:0123:path"] {
            assert_eq!(blob_oid(other), None, "{other}");
        }
    }

    #[test]
    fn a_content_range_says_where_the_bytes_lie() {
        let range =
            |text: &str| content_range(&[(CONTENT_RANGE, text.parse().unwrap())].into_iter().collect());
        assert_eq!(range("bytes 5-9/100"), Some((5, Some(100))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(range("bytes */100"), None);
    }
}
