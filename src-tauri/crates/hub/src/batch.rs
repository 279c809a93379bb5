//! Changes to a bucket's names: add (or replace), copy by content, delete. The Hub takes them in
//! batches that are not transactional: each entry may fail alone (hub-api.md 2.6).

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::error::HubError;
use crate::http::Call;
use crate::store_name::StoreName;

/// Operations in one request, as the official client does.
const OPERATIONS_A_CALL: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOp {
    /// The content must be stored already ([`crate::UploadSession::finish`] returned).
    Add {
        path: String,
        xet_hash: String,
        mtime_ms: Option<i64>,
        content_type: Option<String>,
    },
    /// Gives content that `source` holds a name in this bucket; no bytes move.
    Copy {
        path: String,
        xet_hash: String,
        mtime_ms: Option<i64>,
        source: StoreName,
    },
    Delete {
        path: String,
    },
}

impl BatchOp {
    pub fn path(&self) -> &str {
        match self {
            BatchOp::Add { path, .. } | BatchOp::Copy { path, .. } | BatchOp::Delete { path } => path,
        }
    }
}

/// What became of a batch: every operation that is not in `failed` was applied.
#[derive(Clone, Debug, Default)]
pub struct BatchOutcome {
    pub failed: Vec<BatchFailure>,
}

#[derive(Clone, Debug)]
pub struct BatchFailure {
    pub path: String,
    /// The server's words, or ours when the operation was never sent.
    pub error: String,
    /// The call's own error, when the operation failed with its whole request. Whether such an
    /// operation was applied is unknown unless the class says it can't have been.
    pub call: Option<HubError>,
}

impl Bucket {
    /// Applies `ops`. They go in requests of at most 1,000; when that cuts them apart (and no path
    /// appears twice), copies go first, then additions, deletions last, so that a rename that is broken
    /// off leaves two names and never none. `Err` means nothing is known to be applied; a failure of a
    /// later request is told entry by entry in the outcome.
    ///
    /// A request whose answer was lost is not sent again here: it may have been applied, and somebody
    /// may have changed the file since.
    pub async fn batch(&self, ops: &[BatchOp]) -> Result<BatchOutcome, HubError> {
        self.refuse_read_only()?;
        let ordered = in_order(ops);
        let mut outcome = BatchOutcome::default();
        for (index, part) in ordered.chunks(OPERATIONS_A_CALL).enumerate() {
            match self.request(part).await {
                Ok(failed) => outcome.failed.extend(failed),
                Err(error) if index == 0 => return Err(error),
                Err(error) => {
                    let unsent = &ordered[index * OPERATIONS_A_CALL..];
                    outcome.failed.extend(unsent.iter().map(|op| BatchFailure {
                        path: op.path().to_owned(),
                        error: error.to_string(),
                        call: Some(error.clone()),
                    }));
                    break;
                }
            }
        }
        Ok(outcome)
    }

    async fn request(&self, ops: &[&BatchOp]) -> Result<Vec<BatchFailure>, HubError> {
        let mut body = Vec::with_capacity(ops.len() * 160);
        for op in ops {
            serde_json::to_writer(&mut body, &WireOp::from(*op))
                .map_err(|e| HubError::broken("A change can't be written as JSON").caused_by(e))?;
            body.push(b'\n');
        }
        let failure = format!("Changing {} failed", self.name());
        let call = Call::new(Method::POST, self.url("/batch")?, failure)
            .body("application/x-ndjson", Bytes::from(body));
        match self.state.http.send_or_refusal(call).await {
            Ok(answer) => Ok(answer.json::<WireOutcome>()?.failures()),
            // 422: the same body, everything in `failed`.
            Err(refusal) if refusal.error.status == Some(422) => {
                let outcome: Option<WireOutcome> = serde_json::from_slice(&refusal.body).ok();
                match outcome.map(WireOutcome::failures) {
                    Some(failed) if !failed.is_empty() => Ok(failed),
                    _ => Err(refusal.error),
                }
            }
            Err(refusal) => Err(refusal.error),
        }
    }
}

fn in_order(ops: &[BatchOp]) -> Vec<&BatchOp> {
    let mut ordered: Vec<&BatchOp> = ops.iter().collect();
    let paths: HashSet<&str> = ops.iter().map(BatchOp::path).collect();
    if ops.len() > OPERATIONS_A_CALL && paths.len() == ops.len() {
        ordered.sort_by_key(|op| match op {
            BatchOp::Copy { .. } => 0,
            BatchOp::Add { .. } => 1,
            BatchOp::Delete { .. } => 2,
        });
    }
    ordered
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum WireOp<'a> {
    #[serde(rename = "addFile")]
    Add {
        path: &'a str,
        xet_hash: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<&'a str>,
    },
    #[serde(rename = "copyFile")]
    Copy {
        path: &'a str,
        xet_hash: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<i64>,
        source_repo_type: &'static str,
        source_repo_id: String,
    },
    #[serde(rename = "deleteFile")]
    Delete { path: &'a str },
}

impl<'a> From<&'a BatchOp> for WireOp<'a> {
    fn from(op: &'a BatchOp) -> WireOp<'a> {
        match op {
            BatchOp::Add { path, xet_hash, mtime_ms, content_type } => {
                WireOp::Add { path, xet_hash, mtime: *mtime_ms, content_type: content_type.as_deref() }
            }
            BatchOp::Copy { path, xet_hash, mtime_ms, source } => WireOp::Copy {
                path,
                xet_hash,
                mtime: *mtime_ms,
                source_repo_type: source.source().0,
                source_repo_id: source.source().1,
            },
            BatchOp::Delete { path } => WireOp::Delete { path },
        }
    }
}

#[derive(Deserialize)]
struct WireOutcome {
    #[serde(default)]
    failed: Vec<WireFailure>,
}

#[derive(Deserialize)]
struct WireFailure {
    path: String,
    #[serde(default)]
    error: String,
}

impl WireOutcome {
    fn failures(self) -> Vec<BatchFailure> {
        let failure = |f: WireFailure| BatchFailure { path: f.path, error: f.error, call: None };
        self.failed.into_iter().map(failure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket_name::BucketName;

    fn delete(i: usize) -> BatchOp {
        BatchOp::Delete { path: format!("old/{i}") }
    }

    fn copy(i: usize) -> BatchOp {
        let source = BucketName::new("a", "b").into();
        BatchOp::Copy { path: format!("new/{i}"), xet_hash: "h".into(), mtime_ms: Some(5), source }
    }

    #[test]
    fn a_rename_cut_apart_copies_before_it_deletes() {
        let ops: Vec<BatchOp> = (0..600).flat_map(|i| [delete(i), copy(i)]).collect();
        let ordered = in_order(&ops);
        assert!(ordered[..600].iter().all(|op| matches!(op, BatchOp::Copy { .. })));
        assert!(ordered[600..].iter().all(|op| matches!(op, BatchOp::Delete { .. })));
    }

    #[test]
    fn a_path_named_twice_keeps_the_callers_order() {
        let mut ops: Vec<BatchOp> = (0..1200).map(delete).collect();
        ops.push(BatchOp::Add {
            path: "old/7".into(),
            xet_hash: "h".into(),
            mtime_ms: None,
            content_type: None,
        });
        assert!(matches!(in_order(&ops).last(), Some(BatchOp::Add { .. })));
    }

    #[test]
    fn operations_are_written_as_the_hub_reads_them() {
        let line = serde_json::to_string(&WireOp::from(&copy(1))).unwrap();
        let want = r#"{"type":"copyFile","path":"new/1","xetHash":"h","mtime":5,"sourceRepoType":"bucket","sourceRepoId":"a/b"}"#;
        assert_eq!(line, want);
        let add = BatchOp::Add { path: "p".into(), xet_hash: "h".into(), mtime_ms: None, content_type: None };
        let line = serde_json::to_string(&WireOp::from(&add)).unwrap();
        assert_eq!(line, r#"{"type":"addFile","path":"p","xetHash":"h"}"#);
    }
}
