//! A plain client for looking at a Hub from outside the product.

use std::time::Duration;

use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Counters;

const TIMEOUT: Duration = Duration::from_secs(120);

/// Kept as they are in a path segment; everything else is percent-encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A file or directory in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `file` or `directory`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Full key.
    pub path: String,
    /// Bytes; 0 for a directory.
    #[serde(default)]
    pub size: u64,
    /// Xet hash; empty for a directory.
    #[serde(default)]
    pub xet_hash: String,
    /// ISO 8601 with milliseconds, as the uploader sent it.
    pub mtime: Option<String>,
    /// ISO 8601 with milliseconds.
    pub uploaded_at: Option<String>,
}

/// What the Hub says about a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketInfo {
    /// `namespace/name`.
    pub id: String,
    /// Only its owners see it.
    pub private: bool,
    /// Sum of the files' sizes in bytes.
    pub size: u64,
    /// Number of files.
    pub total_files: u64,
    /// Moves on every change; ISO 8601 with milliseconds.
    pub updated_at: String,
}

/// A raw answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Blocking, one token, no retries, a deadline of two minutes on every call.
///
/// Every method but [`HubClient::request`] panics when the Hub refuses: a test that expects a refusal
/// asks with `request` and looks at the status.
#[derive(Clone)]
pub struct HubClient {
    agent: ureq::Agent,
    endpoint: String,
    token: Option<String>,
}

impl HubClient {
    /// A client of `endpoint` (no trailing `/`); `None` is an anonymous caller.
    pub fn new(endpoint: &str, token: Option<&str>) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        Self { agent: config.into(), endpoint: endpoint.to_string(), token: token.map(str::to_string) }
    }

    /// Creates a private bucket (`namespace/name`).
    pub fn create_bucket(&self, bucket: &str) {
        self.expect_json("POST", &format!("/api/buckets/{bucket}"), &json!({"visibility": "private"}));
    }

    /// Deletes a bucket with everything in it.
    pub fn delete_bucket(&self, bucket: &str) {
        self.expect("DELETE", &format!("/api/buckets/{bucket}"), &[], b"");
    }

    /// What the Hub says about `bucket`.
    pub fn bucket_info(&self, bucket: &str) -> BucketInfo {
        decode(&self.expect("GET", &format!("/api/buckets/{bucket}"), &[], b""))
    }

    /// Stores `content` under `path`, really chunked and in the CAS, over what is there. Returns its Xet hash.
    pub fn put(&self, bucket: &str, path: &str, content: &[u8]) -> String {
        let target = format!("/_control/put?bucket={}&path={}", encode(bucket), encode(path));
        let stored = self.expect("POST", &target, &[], content).json();
        stored["xetHash"]
            .as_str()
            .unwrap_or_else(|| panic!("local-hub did not store {path}: {stored}"))
            .to_string()
    }

    /// Stores many files in one upload session and one batch: for directories of thousands.
    pub fn put_many<'a>(&self, bucket: &str, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let base64 = base64::engine::general_purpose::STANDARD;
        let files: Vec<Value> = files
            .into_iter()
            .map(|(path, content)| json!({"path": path, "base64": base64.encode(content)}))
            .collect();
        self.control("POST", &format!("put-many?bucket={}", encode(bucket)), &json!({"files": files}));
    }

    /// The whole content of a file, through the resolve route and the storage URL behind it.
    pub fn read(&self, bucket: &str, path: &str) -> Vec<u8> {
        self.expect("GET", &resolve(bucket, path), &[], b"").body
    }

    /// `length` bytes of a file from `offset`.
    pub fn read_range(&self, bucket: &str, path: &str, offset: u64, length: u64) -> Vec<u8> {
        let range = format!("bytes={offset}-{}", offset + length - 1);
        self.expect("GET", &resolve(bucket, path), &[("range", &range)], b"").body
    }

    /// Every file of a bucket, ordered by path.
    pub fn list(&self, bucket: &str) -> Vec<Entry> {
        self.pages(&format!("/api/buckets/{bucket}/tree?recursive=true"))
    }

    /// One level: what is directly in directory `prefix` (`""` is the root).
    pub fn list_dir(&self, bucket: &str, prefix: &str) -> Vec<Entry> {
        if prefix.is_empty() {
            return self.pages(&format!("/api/buckets/{bucket}/tree?recursive=false"));
        }
        let all = self.pages(&format!("/api/buckets/{bucket}/tree/{}?recursive=false", encode(prefix)));
        // The Hub's prefix is a raw key prefix: `logs` also brings `logs.json`.
        all.into_iter().filter(|entry| entry.path.starts_with(&format!("{prefix}/"))).collect()
    }

    /// The paths of every file, ordered.
    pub fn paths(&self, bucket: &str) -> Vec<String> {
        self.list(bucket).into_iter().map(|entry| entry.path).collect()
    }

    /// A file's entry; `None` when there is no such file.
    pub fn stat(&self, bucket: &str, path: &str) -> Option<Entry> {
        let found: Vec<Entry> = decode(&self.expect_json(
            "POST",
            &format!("/api/buckets/{bucket}/paths-info"),
            &json!({"paths": [path]}),
        ));
        found.into_iter().next()
    }

    /// Deletes one file; a missing one is no error.
    pub fn delete(&self, bucket: &str, path: &str) {
        self.batch(bucket, &[json!({"type": "deleteFile", "path": path})]);
    }

    /// Copies a file within the bucket (no data moves).
    pub fn copy(&self, bucket: &str, from: &str, to: &str) {
        let source = self.stat(bucket, from).unwrap_or_else(|| panic!("{from} is not in {bucket}"));
        let operation = json!({"type": "copyFile", "path": to, "xetHash": source.xet_hash,
            "sourceRepoType": "bucket", "sourceRepoId": bucket});
        self.batch(bucket, &[operation]);
    }

    /// Sends operations as one batch; panics unless every one succeeded.
    pub fn batch(&self, bucket: &str, operations: &[Value]) {
        let body: String = operations.iter().map(|operation| format!("{operation}\n")).collect();
        let headers = [("content-type", "application/x-ndjson")];
        let answer = self.expect("POST", &format!("/api/buckets/{bucket}/batch"), &headers, body.as_bytes());
        assert_eq!(answer.json()["success"], json!(true), "batch on {bucket}: {}", answer.text());
    }

    /// Makes a repo (`models/alice/bert`) with an empty first commit on `main`. `more`: `&private=1`, `&gated=1`.
    pub fn create_repo(&self, repo: &str, more: &str) {
        self.control("POST", &format!("repo?repo={}{more}", encode(repo)), &Value::Null);
    }

    /// Puts a commit on top of a branch: files as path, content and `git`, `lfs` or `xet`. Returns its name.
    pub fn commit_repo(
        &self,
        repo: &str,
        branch: &str,
        files: &[(&str, &[u8], &str)],
        delete: &[&str],
    ) -> String {
        let base64 = base64::engine::general_purpose::STANDARD;
        let file = |(path, content, storage): &(&str, &[u8], &str)| json!({"path": path, "base64": base64.encode(content), "storage": storage});
        let body =
            json!({"branch": branch, "files": files.iter().map(file).collect::<Vec<_>>(), "delete": delete});
        let made = self.control("POST", &format!("repo-commit?repo={}", encode(repo)), &body);
        made["sha"].as_str().unwrap_or_else(|| panic!("local-hub made no commit: {made}")).to_owned()
    }

    /// Gives the commit that `at` means a tag.
    pub fn tag_repo(&self, repo: &str, tag: &str, at: &str) {
        let what = format!("repo-ref?repo={}&tag=1&name={}&at={}", encode(repo), encode(tag), encode(at));
        self.control("POST", &what, &Value::Null);
    }

    /// What reached the Hub since the last reset.
    pub fn counters(&self) -> Counters {
        decode(&self.expect("GET", "/_control/counters", &[], b""))
    }

    /// Sets every counter to zero.
    pub fn reset_counters(&self) {
        self.control("DELETE", "counters", &Value::Null);
    }

    /// Any call, any answer. `path` begins with `/` and is already percent-encoded.
    ///
    /// # Errors
    /// When no whole answer came (refused, reset, timed out, cut short).
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let url = if path.starts_with('/') { format!("{}{path}", self.endpoint) } else { path.to_string() };
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let said = |error: ureq::Error| format!("{method} {path}: {error}");
        let answer = if body.is_empty() && method != "POST" && method != "PUT" {
            self.agent.run(request.body(()).map_err(|error| error.to_string())?)
        } else {
            self.agent.run(request.body(body).map_err(|error| error.to_string())?)
        };
        let (parts, mut body) = answer.map_err(said)?.into_parts();
        let body = body.with_config().limit(u64::MAX).read_to_vec().map_err(said)?;
        let headers = parts.headers.iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        Ok(Answer { status: parts.status.as_u16(), headers: headers.collect(), body })
    }

    /// A call on local-hub's control endpoint, `POST /_control/…` and its like.
    pub fn control(&self, method: &str, what: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/json")];
        self.expect(method, &format!("/_control/{what}"), &headers, body.as_bytes()).json()
    }

    /// What a file holds in this moment; `None` when there is none.
    pub fn read_if_there(&self, bucket: &str, path: &str) -> Option<Vec<u8>> {
        let at = resolve(bucket, path);
        let answer = self.request("GET", &at, &[], b"").unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(answer.status, 200 | 404), "GET {at}: {} {}", answer.status, answer.text());
        (answer.status == 200).then_some(answer.body)
    }

    fn pages(&self, first: &str) -> Vec<Entry> {
        let mut all = Vec::new();
        let mut next = Some(first.to_string());
        while let Some(path) = next {
            let answer = self.expect("GET", &path, &[], b"");
            all.extend(decode::<Vec<Entry>>(&answer));
            next = answer.header("link").and_then(next_link);
        }
        all
    }

    fn expect_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.expect(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    fn expect(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.request(method, path, headers, body).unwrap_or_else(|error| panic!("{error}"));
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        answer
    }
}

/// Percent-encodes one path segment or query value, `/` included.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn resolve(bucket: &str, path: &str) -> String {
    format!("/buckets/{bucket}/resolve/{}", encode(path))
}

fn next_link(header: &str) -> Option<String> {
    let (url, rest) = header.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then(|| url.to_string())
}

fn decode<T: serde::de::DeserializeOwned>(answer: &Answer) -> T {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error} in {}", answer.text()))
}
