//! The engine's side of the control socket.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bucketfs::{BucketFs, SyncReport};
use nfs::Server;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::api::{
    API_VERSION, Empty, EngineStatus, Events, EventsRequest, MAX_SYNC_MS, MountWindowRequest, PauseRequest,
    Queue, Refusal, Retried, RetryRequest, SyncRequest, Version,
};
use super::{decisions, pins};
use crate::notices::Notices;

/// A window longer than this would be no window.
const MAX_WINDOW: Duration = Duration::from_secs(120);

/// What the control socket has its hands on.
pub(crate) struct Controls {
    pub fs: Arc<BucketFs>,
    pub server: Server,
    pub notices: Arc<Notices>,
    /// Ends the engine.
    pub stop: CancellationToken,
    /// True: the engine ends when everything is on the Hub.
    pub finishing: tokio::sync::watch::Sender<bool>,
    pub about: About,
}

/// What does not change while the engine runs.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub bucket: String,
    pub hub: String,
    pub port: u16,
    pub started_ms: i64,
    pub any_uid: bool,
}

impl Controls {
    pub(crate) fn status(&self) -> EngineStatus {
        EngineStatus {
            bucket: self.about.bucket.clone(),
            hub: self.about.hub.clone(),
            port: self.about.port,
            pid: std::process::id(),
            started_ms: self.about.started_ms,
            finishing: *self.finishing.borrow(),
            any_uid: self.about.any_uid,
            gauges: self.fs.gauges(),
            sync: self.fs.status(),
        }
    }
}

type Engine = State<Arc<Controls>>;

/// Answers until `stop`; calls in flight are then answered still, as long as the caller lets this run.
pub(crate) async fn serve(
    listener: UnixListener,
    controls: Arc<Controls>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/version", get(version))
        .route("/status", get(status))
        .route("/queue", get(queue))
        .route("/events", get(events))
        .route("/sync", post(sync))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/retry", post(retry))
        .route("/mount-window", post(mount_window))
        .route("/finish", post(finish))
        .route("/shutdown", post(shutdown))
        .merge(decisions::routes())
        .merge(pins::routes())
        .fallback(unknown)
        .with_state(controls);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn version() -> Json<Version> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Version { api: API_VERSION, version, pid: std::process::id() })
}

async fn status(State(engine): Engine) -> Json<EngineStatus> {
    Json(engine.status())
}

async fn queue(State(engine): Engine) -> Json<Queue> {
    Json(Queue { items: engine.fs.queue() })
}

async fn events(State(engine): Engine, Query(request): Query<EventsRequest>) -> Json<Events> {
    Json(Events { events: engine.notices.after(request.after) })
}

async fn sync(State(engine): Engine, Json(request): Json<SyncRequest>) -> Json<SyncReport> {
    let wait = Duration::from_millis(request.wait_ms.min(MAX_SYNC_MS));
    // The engine's end does not wait for a sync.
    tokio::select! {
        report = engine.fs.sync(Some(wait)) => Json(report),
        () = engine.stop.cancelled() => Json(SyncReport { complete: false, left: engine.fs.queue() }),
    }
}

async fn pause(State(engine): Engine, Json(request): Json<PauseRequest>) -> Json<EngineStatus> {
    match request.until_ms {
        Some(until_ms) => engine.fs.pause_until(until_ms),
        None => engine.fs.pause(),
    }
    Json(engine.status())
}

async fn resume(State(engine): Engine) -> Json<EngineStatus> {
    engine.fs.resume();
    Json(engine.status())
}

async fn retry(State(engine): Engine, Json(request): Json<RetryRequest>) -> Json<Retried> {
    Json(Retried { retried: engine.fs.retry(request.path.as_deref()) })
}

async fn mount_window(State(engine): Engine, Json(request): Json<MountWindowRequest>) -> Json<Empty> {
    engine.server.open_mount_window(Duration::from_secs(request.seconds).min(MAX_WINDOW));
    Json(Empty {})
}

async fn finish(State(engine): Engine) -> Json<EngineStatus> {
    // Asked for when the folder was unmounted, politely or not: no kernel will commit what is open.
    if let Err(error) = engine.fs.client_is_gone().await {
        tracing::warn!(%error, "what the kernel left could not be tidied up; the next start does it");
    }
    engine.finishing.send_replace(true);
    Json(engine.status())
}

async fn shutdown(State(engine): Engine) -> Json<EngineStatus> {
    let status = engine.status();
    engine.stop.cancel();
    Json(status)
}

async fn unknown(uri: Uri) -> Response {
    let refusal = Refusal {
        what: format!("This engine does not know {}.", uri.path()),
        advice: "Program and engine must be of one version: end the engine and start it anew.".to_owned(),
    };
    (StatusCode::NOT_FOUND, Json(refusal)).into_response()
}
