//! Changes to files (hub-api.md 2.6): NDJSON, one operation a line, answered operation by operation.
//!
//! Each operation is judged by itself; those that are fine are applied in the order of their lines, as
//! one transaction. 200 with `failed` entries is a partial failure, 422 says that all failed.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::split_id;
use crate::accounts::{Caller, Role};
use crate::arguments::MissingDelete;
use crate::cas::parse_hash;
use crate::front::FailOperations;
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::key_rules;
use crate::store::{Change, FileFacts};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum Operation {
    #[serde(rename = "addFile")]
    Add { path: String, xet_hash: String, mtime: Option<i64>, content_type: Option<String> },
    #[serde(rename = "copyFile")]
    Copy {
        path: String,
        xet_hash: String,
        mtime: Option<i64>,
        source_repo_type: String,
        source_repo_id: String,
    },
    #[serde(rename = "deleteFile")]
    Delete { path: String },
}

impl Operation {
    fn path(&self) -> &str {
        match self {
            Operation::Add { path, .. } | Operation::Copy { path, .. } | Operation::Delete { path } => path,
        }
    }
}

/// `POST /api/buckets/{ns}/{name}/batch`
pub async fn batch(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name)): Path<(String, String)>,
    demanded: Option<Extension<FailOperations>>,
    headers: HeaderMap,
    body: Bytes,
) -> HubResult<Response> {
    let bucket = hub.allowed(&caller, &ns, &name, Role::Write)?;
    let operations = parse(&headers, &body)?;
    if operations.len() > hub.arguments.batch_max {
        let text = format!("at most {} operations in one batch", hub.arguments.batch_max);
        return Err(HubError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let mut judge = Judge { hub: &hub, caller: &caller, bucket: bucket.key, present: HashMap::new() };
    let (mut changes, mut failed) = (Vec::new(), Vec::new());
    for operation in &operations {
        let demanded = demanded.as_ref().filter(|fail| operation.path().contains(&fail.path));
        let judged = match demanded {
            Some(fail) => Err(fail.error.clone()),
            None => judge.change(operation).await?,
        };
        match judged {
            Ok(change) => changes.push(change),
            Err(error) => failed.push(json!({"path": operation.path(), "error": error})),
        }
    }
    hub.commit(bucket.key, &changes)?;
    Ok(answer(operations.len(), failed))
}

fn parse(headers: &HeaderMap, body: &[u8]) -> HubResult<Vec<Operation>> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !content_type.starts_with("application/x-ndjson") {
        return Err(HubError::bad_request("expected Content-Type: application/x-ndjson"));
    }
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(HubError::from)).collect()
}

fn answer(processed: usize, failed: Vec<Value>) -> Response {
    let all_failed = processed > 0 && failed.len() == processed;
    let status = if all_failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = json!({"success": failed.is_empty(), "processed": processed, "succeeded": processed - failed.len(),
        "failed": failed});
    (status, Json(body)).into_response()
}

/// Judges the operations of one batch, each in the light of those before it.
struct Judge<'a> {
    hub: &'a Hub,
    caller: &'a Caller,
    bucket: i64,
    /// What earlier lines made of a path.
    present: HashMap<String, bool>,
}

impl Judge<'_> {
    /// The change an operation asks for, or why it fails.
    async fn change(&mut self, operation: &Operation) -> HubResult<Result<Change, String>> {
        let path = operation.path().to_string();
        if let Some(fault) = key_rules::fault_of(&path) {
            return Ok(Err(fault.into()));
        }
        let (hash, mtime, content_type) = match operation {
            Operation::Delete { .. } => return self.delete(path),
            Operation::Add { xet_hash, mtime, content_type, .. } => (xet_hash, mtime, content_type.clone()),
            Operation::Copy { xet_hash, mtime, source_repo_type, source_repo_id, .. } => {
                if !self.readable(source_repo_type, source_repo_id) {
                    return Ok(Err("source not found".into()));
                }
                (xet_hash, mtime, None)
            }
        };
        let known = match operation {
            Operation::Add { .. } => self.hub.collected.named(hash),
            _ => !self.hub.collected.is_gone(hash),
        };
        if !known {
            return Ok(Err("xetHash is not known to the storage".into()));
        }
        let Some(parsed) = parse_hash(hash) else { return Ok(Err("invalid xetHash".into())) };
        // No size is sent: the CAS knows it, if the upload came first.
        let Some(size) = self.hub.cas.file_size(&parsed).await else {
            return Ok(Err("xetHash is not known to the storage".into()));
        };
        self.present.insert(path.clone(), true);
        let facts = FileFacts { size, hash: hash.clone(), mtime: *mtime, content_type };
        Ok(Ok(Change::Put { path, facts }))
    }

    fn delete(&mut self, path: String) -> HubResult<Result<Change, String>> {
        if self.hub.arguments.delete_missing == MissingDelete::Fails {
            let present = match self.present.get(&path) {
                Some(present) => *present,
                None => self.hub.store.file(self.bucket, &path)?.is_some(),
            };
            if !present {
                return Ok(Err("file not found".into()));
            }
        }
        self.present.insert(path.clone(), false);
        Ok(Ok(Change::Delete { path }))
    }

    fn readable(&self, kind: &str, id: &str) -> bool {
        // Models, datasets and spaces are not kept here; their content is judged by its hash alone.
        kind != "bucket"
            || split_id(id).is_ok_and(|(ns, name)| self.hub.readable(self.caller, ns, name).is_ok())
    }
}
