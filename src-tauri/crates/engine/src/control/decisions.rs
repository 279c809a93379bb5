//! What a person decides over the control socket: limits, deletions, conflicts, undo.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bucketfs::{Conflict, DeletesAnswer, HeldDeletes, Removed, Resolution, Saved, SyncLimits};
use serde::{Deserialize, Serialize};

use super::api::{Empty, Refusal};
use super::server::Controls;

type Engine = State<Arc<Controls>>;
type Answer<T> = Result<Json<T>, Response>;

/// GET `/deletes`: what waits for an answer, if anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletes {
    pub held: Option<HeldDeletes>,
}

/// POST `/deletes`; answered with [`Count`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRequest {
    pub answer: DeletesAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub count: u64,
}

/// GET `/conflicts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflicts {
    pub conflicts: Vec<Conflict>,
}

/// POST `/resolve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveRequest {
    pub id: u64,
    pub how: Resolution,
}

/// POST `/discard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscardRequest {
    pub path: String,
}

/// GET `/removed`: what was deleted or overwritten, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedList {
    pub removed: Vec<Removed>,
}

/// POST `/restore`; answered with [`Restored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    pub path: String,
    #[serde(default)]
    pub as_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub path: String,
}

/// GET `/saved`: what has reached the Hub lately, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedList {
    pub saved: Vec<Saved>,
}

pub(super) fn routes() -> Router<Arc<Controls>> {
    Router::new()
        .route("/limits", get(limits).put(set_limits))
        .route("/deletes", get(deletes).post(answer_deletes))
        .route("/conflicts", get(conflicts))
        .route("/resolve", post(resolve))
        .route("/discard", post(discard))
        .route("/removed", get(removed))
        .route("/restore", post(restore))
        .route("/saved", get(saved))
}

async fn limits(State(engine): Engine) -> Json<SyncLimits> {
    Json(engine.fs.limits())
}

async fn set_limits(State(engine): Engine, Json(limits): Json<SyncLimits>) -> Json<SyncLimits> {
    engine.fs.set_limits(limits);
    Json(engine.fs.limits())
}

async fn deletes(State(engine): Engine) -> Json<Deletes> {
    Json(Deletes { held: engine.fs.held_deletes() })
}

async fn answer_deletes(State(engine): Engine, Json(request): Json<AnswerRequest>) -> Answer<Count> {
    let count = engine.fs.answer_deletes(request.answer).await.map_err(refused)?;
    Ok(Json(Count { count }))
}

async fn conflicts(State(engine): Engine) -> Answer<Conflicts> {
    Ok(Json(Conflicts { conflicts: engine.fs.conflicts().map_err(refused)? }))
}

async fn resolve(State(engine): Engine, Json(request): Json<ResolveRequest>) -> Answer<Empty> {
    engine.fs.resolve(request.id, request.how).await.map_err(refused)?;
    Ok(Json(Empty {}))
}

async fn discard(State(engine): Engine, Json(request): Json<DiscardRequest>) -> Answer<Empty> {
    engine.fs.discard(&request.path).await.map_err(refused)?;
    Ok(Json(Empty {}))
}

async fn removed(State(engine): Engine) -> Answer<RemovedList> {
    Ok(Json(RemovedList { removed: engine.fs.recent_deletes().map_err(refused)? }))
}

async fn restore(State(engine): Engine, Json(request): Json<RestoreRequest>) -> Answer<Restored> {
    let path = engine.fs.restore(&request.path, request.as_name.as_deref()).await.map_err(refused)?;
    Ok(Json(Restored { path }))
}

async fn saved(State(engine): Engine) -> Json<SavedList> {
    Json(SavedList { saved: engine.fs.recently_saved() })
}

fn refused(error: bucketfs::Error) -> Response {
    (StatusCode::CONFLICT, Json(Refusal { what: error.what, advice: error.advice })).into_response()
}
