//! Keeping offline, over the control socket.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bucketfs::{CacheReport, PinCost, PinReport};
use serde::{Deserialize, Serialize};

use super::api::{Empty, Refusal};
use super::server::Controls;

type Engine = State<Arc<Controls>>;
type Answer<T> = Result<Json<T>, Response>;

/// GET `/pins`: what is kept offline, and all that lies on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    pub pins: Vec<PinReport>,
    pub cache: CacheReport,
}

/// POST `/pins` (keeps it; answered with [`PinReport`]), `/pins/cost` (answered with [`PinCost`]), `/pins/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRequest {
    /// The visible path inside the bucket; `""` is everything.
    pub path: String,
}

pub(super) fn routes() -> Router<Arc<Controls>> {
    Router::new()
        .route("/pins", get(pins).post(pin))
        .route("/pins/cost", post(cost))
        .route("/pins/remove", post(unpin))
}

async fn pins(State(engine): Engine) -> Answer<Pins> {
    let fs = engine.fs.clone();
    let looked = tokio::task::spawn_blocking(move || Ok((fs.pins()?, fs.cache_report()))).await;
    let (pins, cache) = looked.unwrap_or_else(|_| Ok(Default::default())).map_err(refused)?;
    Ok(Json(Pins { pins, cache }))
}

async fn cost(State(engine): Engine, Json(request): Json<PinRequest>) -> Answer<PinCost> {
    Ok(Json(engine.fs.pin_cost(&request.path).await.map_err(refused)?))
}

async fn pin(State(engine): Engine, Json(request): Json<PinRequest>) -> Answer<PinReport> {
    Ok(Json(engine.fs.pin(&request.path).await.map_err(refused)?))
}

async fn unpin(State(engine): Engine, Json(request): Json<PinRequest>) -> Answer<Empty> {
    engine.fs.unpin(&request.path).await.map_err(refused)?;
    Ok(Json(Empty {}))
}

fn refused(error: bucketfs::Error) -> Response {
    (StatusCode::CONFLICT, Json(Refusal { what: error.what, advice: error.advice })).into_response()
}
