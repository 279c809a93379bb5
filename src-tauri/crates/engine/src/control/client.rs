//! The typed way to a running engine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bucketfs::{Conflict, DeletesAnswer, HeldDeletes, PinCost, PinReport, Removed, Resolution, SyncLimits};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::{
    Empty, EngineStatus, Events, MAX_SYNC_MS, MountWindowRequest, PauseRequest, Queue, Refusal, Retried,
    RetryRequest, SyncRequest, Version,
};
use super::decisions::{
    AnswerRequest, Conflicts, Count, Deletes, DiscardRequest, RemovedList, ResolveRequest, RestoreRequest,
    Restored,
};
use super::pins::{PinRequest, Pins};
use super::socket;
use crate::error::{EngineError, Result};

/// Every answer but a sync's is at hand at once.
const CALL: Duration = Duration::from_secs(15);
/// One that asks the Hub something first.
const LONG_CALL: Duration = Duration::from_secs(90);
/// A queue of a million files is about 200 MB of JSON; nothing is larger.
const MAX_ANSWER: usize = 512 << 20;

/// Talks to the engine that serves a state directory; one connection for each call.
#[derive(Debug, Clone)]
pub struct ControlClient {
    state_dir: PathBuf,
    /// `OWNER/BUCKET[/PREFIX]`, for the advice when no engine is there.
    bucket: String,
}

impl ControlClient {
    /// Connects to nothing yet. `bucket` is what the person calls it.
    pub fn new(state_dir: &Path, bucket: &str) -> Self {
        ControlClient { state_dir: state_dir.to_owned(), bucket: bucket.to_owned() }
    }

    /// True when an engine answers.
    pub async fn is_running(&self) -> bool {
        self.version().await.is_ok()
    }

    pub async fn version(&self) -> Result<Version> {
        self.call(Method::GET, "/version", &Empty {}, CALL).await
    }

    pub async fn status(&self) -> Result<EngineStatus> {
        self.call(Method::GET, "/status", &Empty {}, CALL).await
    }

    pub async fn queue(&self) -> Result<Queue> {
        self.call(Method::GET, "/queue", &Empty {}, CALL).await
    }

    pub async fn events(&self, after: u64) -> Result<Events> {
        self.call(Method::GET, &format!("/events?after={after}"), &Empty {}, CALL).await
    }

    pub async fn pause(&self, until_ms: Option<i64>) -> Result<EngineStatus> {
        self.call(Method::POST, "/pause", &PauseRequest { until_ms }, CALL).await
    }

    pub async fn limits(&self) -> Result<SyncLimits> {
        self.call(Method::GET, "/limits", &Empty {}, CALL).await
    }

    pub async fn set_limits(&self, limits: SyncLimits) -> Result<SyncLimits> {
        self.call(Method::PUT, "/limits", &limits, CALL).await
    }

    pub async fn held_deletes(&self) -> Result<Option<HeldDeletes>> {
        self.call::<_, Deletes>(Method::GET, "/deletes", &Empty {}, CALL).await.map(|answer| answer.held)
    }

    pub async fn answer_deletes(&self, answer: DeletesAnswer) -> Result<u64> {
        let request = AnswerRequest { answer };
        self.call::<_, Count>(Method::POST, "/deletes", &request, LONG_CALL).await.map(|answer| answer.count)
    }

    pub async fn conflicts(&self) -> Result<Vec<Conflict>> {
        let answer = self.call::<_, Conflicts>(Method::GET, "/conflicts", &Empty {}, CALL).await?;
        Ok(answer.conflicts)
    }

    pub async fn resolve(&self, id: u64, how: Resolution) -> Result<()> {
        let request = ResolveRequest { id, how };
        self.call::<_, Empty>(Method::POST, "/resolve", &request, LONG_CALL).await.map(|_| ())
    }

    pub async fn discard(&self, path: &str) -> Result<()> {
        let request = DiscardRequest { path: path.to_owned() };
        self.call::<_, Empty>(Method::POST, "/discard", &request, LONG_CALL).await.map(|_| ())
    }

    pub async fn removed(&self) -> Result<Vec<Removed>> {
        let answer = self.call::<_, RemovedList>(Method::GET, "/removed", &Empty {}, CALL).await?;
        Ok(answer.removed)
    }

    pub async fn restore(&self, path: &str, as_name: Option<&str>) -> Result<String> {
        let request = RestoreRequest { path: path.to_owned(), as_name: as_name.map(str::to_owned) };
        let answer = self.call::<_, Restored>(Method::POST, "/restore", &request, LONG_CALL).await?;
        Ok(answer.path)
    }

    pub async fn pins(&self) -> Result<Pins> {
        self.call(Method::GET, "/pins", &Empty {}, CALL).await
    }

    pub async fn pin_cost(&self, path: &str) -> Result<PinCost> {
        self.call(Method::POST, "/pins/cost", &PinRequest { path: path.to_owned() }, LONG_CALL).await
    }

    pub async fn pin(&self, path: &str) -> Result<PinReport> {
        self.call(Method::POST, "/pins", &PinRequest { path: path.to_owned() }, LONG_CALL).await
    }

    pub async fn unpin(&self, path: &str) -> Result<()> {
        let request = PinRequest { path: path.to_owned() };
        self.call::<_, Empty>(Method::POST, "/pins/remove", &request, CALL).await.map(|_| ())
    }

    pub async fn resume(&self) -> Result<EngineStatus> {
        self.call(Method::POST, "/resume", &Empty {}, CALL).await
    }

    pub async fn retry(&self, path: Option<String>) -> Result<Retried> {
        self.call(Method::POST, "/retry", &RetryRequest { path }, CALL).await
    }

    pub async fn open_mount_window(&self, window: Duration) -> Result<()> {
        let request = MountWindowRequest { seconds: window.as_secs() };
        self.call::<_, Empty>(Method::POST, "/mount-window", &request, CALL).await.map(|_| ())
    }

    pub async fn finish(&self) -> Result<EngineStatus> {
        self.call(Method::POST, "/finish", &Empty {}, CALL).await
    }

    pub async fn shutdown(&self) -> Result<EngineStatus> {
        self.call(Method::POST, "/shutdown", &Empty {}, CALL).await
    }

    /// Starts the uploads and waits until everything is on the Hub, until nothing more can happen without
    /// somebody doing something, or until `deadline`.
    pub async fn sync(&self, deadline: Option<Instant>) -> Result<bucketfs::SyncReport> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let wait_ms = left.map_or(MAX_SYNC_MS, |left| millis(left).min(MAX_SYNC_MS));
            let request = SyncRequest { wait_ms };
            let limit = CALL + Duration::from_millis(wait_ms);
            let report: bucketfs::SyncReport = self.call(Method::POST, "/sync", &request, limit).await?;
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if report.complete || over || is_stuck(&report) {
                return Ok(report);
            }
        }
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        request: &Q,
        limit: Duration,
    ) -> Result<A> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(&error.to_string()))?;
        match tokio::time::timeout(limit, self.exchange(method, path, body)).await {
            Ok(Ok((true, answer))) => {
                serde_json::from_slice(&answer).map_err(|error| self.broken(&error.to_string()))
            }
            Ok(Ok((false, answer))) => Err(self.refused(&answer)),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(EngineError {
                what: format!("The engine of {} did not answer in time.", self.bucket),
                advice: "Try again; if it stays so, end it and start it anew: nothing staged is lost."
                    .to_owned(),
                may_retry: true,
            }),
        }
    }

    /// Sends one request; gives whether it succeeded, and the body.
    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> io::Result<(bool, Bytes)> {
        let stream = socket::connect(&self.state_dir).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends with the connection, which ends with `sender`.
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "engine")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let success = response.status().is_success();
        let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        driver.abort();
        let answer = answer.map_err(|error| io::Error::other(error.to_string()))?;
        Ok((success, answer.to_bytes()))
    }

    fn refused(&self, answer: &[u8]) -> EngineError {
        match serde_json::from_slice::<Refusal>(answer) {
            Ok(refusal) => EngineError::new(refusal.what, refusal.advice),
            Err(_) => self.broken(&String::from_utf8_lossy(answer)),
        }
    }

    fn unreachable(&self, error: &io::Error) -> EngineError {
        let state = self.state_dir.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => EngineError::new(
                format!("No engine is running for this state directory ({state})."),
                format!("Start it with: bucketbarctl serve {} --state {state}", self.bucket),
            ),
            io::ErrorKind::PermissionDenied => EngineError::new(
                format!("The state directory {state} belongs to another user."),
                "Run the command as that user.",
            ),
            _ => EngineError::new(
                format!("The engine of {state} broke the connection ({error})."),
                "It may just be ending; try again.",
            ),
        }
    }

    fn broken(&self, detail: &str) -> EngineError {
        EngineError::new(
            format!(
                "The engine of {} answered what this program does not understand ({detail}).",
                self.bucket
            ),
            "Both must be of one version: end the engine and start it anew.",
        )
    }
}

/// Nothing of what is left moves by itself.
fn is_stuck(report: &bucketfs::SyncReport) -> bool {
    use bucketfs::ItemState as S;
    !report.left.is_empty()
        && report
            .left
            .iter()
            .all(|item| matches!(item.state, S::Failed { .. } | S::Held { .. } | S::LocalOnly { .. }))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bucketfs::{ItemState, QueueItem, SyncReport};

    use super::*;

    fn report(states: &[ItemState]) -> SyncReport {
        let item = |state: &ItemState| QueueItem {
            path: "a".into(),
            action: "upload".into(),
            bytes: 1,
            attempts: 1,
            state: state.clone(),
        };
        SyncReport { complete: false, left: states.iter().map(item).collect() }
    }

    #[test]
    fn stuck_is_when_nothing_moves_by_itself() {
        let failed = ItemState::Failed {
            class: bucketfs::FailureClass::Other,
            why: String::new(),
            advice: String::new(),
        };
        let local = ItemState::LocalOnly { why: String::new() };
        assert!(is_stuck(&report(&[failed.clone(), local])));
        assert!(!is_stuck(&report(&[failed, ItemState::Queued])));
        assert!(!is_stuck(&report(&[])));
    }

    #[tokio::test]
    async fn without_an_engine_the_sentence_says_how_to_start_one() {
        let temp = tempfile::tempdir().unwrap();
        let error = ControlClient::new(temp.path(), "alice/photos").status().await.unwrap_err();
        assert!(error.what.starts_with("No engine is running for this state directory"), "{error}");
        assert!(error.advice.contains("bucketbarctl serve alice/photos --state "), "{error}");
    }
}
