//! What happens to every request before and after its route: counted, logged, held back by the
//! pretended network, limited, and harmed when a fault strikes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::faults::Harm;
use crate::hub::Hub;
use crate::hub_error::HubError;
use crate::network::Line;
use crate::rate_limit::{self, Class};
use crate::routes::repos;
use crate::routes::storage::url_expired;
use crate::server::Connection;

/// Those operations of a batch that a fault makes fail; an extension of the request.
#[derive(Clone, Debug)]
pub struct FailOperations {
    pub path: String,
    pub error: String,
}

/// The middleware around every route.
pub async fn front(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/_control/") {
        return next.run(request).await;
    }
    let began = Instant::now();
    let (method, path) = (request.method().to_string(), request.uri().path().to_string());
    let route = format!("{method} {}", pattern(&request));
    hub.counters.call(&route);
    hub.network.latency().await;
    let class = Class::of(&path);
    let standing = class.map(|class| hub.rate_limits.count(class, request.headers()));
    let request = request.map(|body| counted_up(&hub, &route, body));
    let mut response = match standing.and_then(|standing| standing.refusal()) {
        Some(refusal) => refusal.into_response(),
        None => match hub.faults.strike(&method, &path) {
            Some(harm) => harmed(harm, request, next).await,
            None => next.run(request).await,
        },
    };
    if let Some(standing) = standing {
        standing.tell(response.headers_mut());
    }
    let request_id = format!("Root=1-{:016x}", rand::random::<u64>());
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    if hub.arguments.log {
        eprintln!("{} {method} {path} {} ms", response.status().as_u16(), began.elapsed().as_millis());
    }
    counted_down(&hub, route, response)
}

/// The route's pattern, so that the counters stay few.
fn pattern(request: &Request) -> String {
    match request.extensions().get::<MatchedPath>() {
        Some(matched) if matched.as_str().ends_with("/{*rest}") => {
            repos::pattern(request.uri().path()).unwrap_or_else(|| matched.as_str().to_string())
        }
        Some(matched) => matched.as_str().to_string(),
        None => repos::pattern(request.uri().path()).unwrap_or_else(|| "{unknown}".to_string()),
    }
}

async fn harmed(harm: Harm, mut request: Request, next: Next) -> Response {
    let class = Class::of(request.uri().path());
    let connection = request.extensions().get::<Arc<Connection>>().cloned().unwrap_or_default();
    match harm {
        Harm::Status { status, retry_after } => refused(status, retry_after, class),
        Harm::Refuse { status, code, message } => {
            let refusal = HubError::new(status_code(status), message);
            code.into_iter().fold(refusal, HubError::code).into_response()
        }
        Harm::TokenExpired => HubError::bad_credentials().into_response(),
        Harm::UrlExpired => url_expired(),
        Harm::Reset => connection.reset().await,
        Harm::Hang => std::future::pending().await,
        Harm::LoseAnswer => {
            let response = next.run(request).await;
            let _ = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            connection.reset().await
        }
        Harm::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
        Harm::HoldAnswer { ms } => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            response
        }
        Harm::FailOperations { path, error } => {
            request.extensions_mut().insert(FailOperations { path, error });
            next.run(request).await
        }
        Harm::PoisonBatch { path, status } => match poisoned(request, &path).await {
            Ok(request) => next.run(request).await,
            Err(()) => match status {
                Some(status) => refused(status, None, class),
                None => std::future::pending().await,
            },
        },
        Harm::Truncate { after } => truncated(next.run(request).await, after),
        Harm::Short { by } => shortened(next.run(request).await, by).await,
        Harm::Bandwidth { bytes_per_second } => slowed(next.run(request).await, bytes_per_second),
    }
}

/// The request again, whole; `Err` when its body speaks of `path`.
async fn poisoned(request: Request, path: &str) -> Result<Request, ()> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(drop)?;
    if String::from_utf8_lossy(&bytes).contains(path) {
        return Err(());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn refused(status: u16, retry_after: Option<u64>, class: Option<Class>) -> Response {
    let mut response = HubError::new(status_code(status), "a fault on demand").into_response();
    if let Some(seconds) = retry_after {
        rate_limit::used_up(response.headers_mut(), class, seconds);
    }
    response
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Ends the body after `after` bytes without changing what its headers promise.
fn truncated(response: Response, after: u64) -> Response {
    let response = with_length(response);
    response.map(|body| {
        let mut left = usize::try_from(after).unwrap_or(usize::MAX);
        let pieces = body.into_data_stream().map_err(std::io::Error::other).map_ok(move |piece| {
            let kept = piece.slice(..piece.len().min(left));
            left -= kept.len();
            kept
        });
        let pieces = pieces.take_while(|piece| {
            let more = !matches!(piece, Ok(piece) if piece.is_empty());
            std::future::ready(more)
        });
        let cut = stream::once(async { Err(std::io::Error::other("cut on demand")) });
        Body::from_stream(pieces.chain(cut))
    })
}

/// A well-formed answer whose body lacks its last `by` bytes.
async fn shortened(response: Response, by: u64) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return HubError::from(error).into_response(),
    };
    let kept = bytes.len().saturating_sub(usize::try_from(by).unwrap_or(usize::MAX));
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(kept));
    Response::from_parts(parts, Body::from(bytes.slice(..kept)))
}

fn slowed(response: Response, bytes_per_second: u64) -> Response {
    let line = Arc::new(Line::new(bytes_per_second));
    with_length(response).map(|body| {
        let pieces = body.into_data_stream().map_err(std::io::Error::other).flat_map(small_pieces);
        Body::from_stream(pieces.then(move |piece| {
            let line = line.clone();
            async move {
                line.pass(piece.as_ref().map_or(0, Bytes::len)).await;
                piece
            }
        }))
    })
}

/// Pieces small enough that a slow line shows them one after the other.
fn small_pieces(piece: std::io::Result<Bytes>) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    const SMALL: usize = 16 << 10;
    let pieces: Vec<std::io::Result<Bytes>> = match piece {
        Ok(bytes) => (0..bytes.len())
            .step_by(SMALL)
            .map(|at| Ok(bytes.slice(at..bytes.len().min(at + SMALL))))
            .collect(),
        Err(error) => vec![Err(error)],
    };
    stream::iter(pieces)
}

fn counted_up(hub: &Arc<Hub>, route: &str, body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let (hub, route) = (hub.clone(), route.to_string());
    Body::from_stream(body.into_data_stream().then(move |piece| {
        let (hub, route) = (hub.clone(), route.clone());
        async move {
            let length = piece.as_ref().map_or(0, Bytes::len);
            hub.counters.up(&route, length);
            hub.network.line().pass(length).await;
            piece
        }
    }))
}

/// Counts what really leaves, at the pretended network's pace.
fn counted_down(hub: &Arc<Hub>, route: String, response: Response) -> Response {
    if response.body().is_end_stream() {
        return response;
    }
    let hub = hub.clone();
    with_length(response).map(|body| {
        Body::from_stream(body.into_data_stream().then(move |piece| {
            let (hub, route) = (hub.clone(), route.clone());
            async move {
                let length = piece.as_ref().map_or(0, Bytes::len);
                hub.network.line().pass(length).await;
                hub.counters.down(&route, length);
                piece
            }
        }))
    })
}

/// Writes the body's known length into the headers: a body turned into a stream loses it otherwise.
fn with_length(mut response: Response) -> Response {
    let known = response.body().size_hint().exact();
    let headers: &mut HeaderMap = response.headers_mut();
    if let Some(length) = known
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
