//! The app over HTTP, for a plain browser in development and for tests: the same commands, the same events.
//!
//! Loopback only. Every call needs the token, which is made at each start and told to whoever started the
//! program; Host and Origin are checked, so that no page of elsewhere gets in by a rebound name.

use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::api::error::{AppError, AppResult, ErrorCode};
use super::api::event::AppEvent;
use super::core::{App, AppEvents};

const LONGEST_BODY: usize = 1 << 20;
const PING: Duration = Duration::from_secs(15);

/// A listening HTTP API; [`HttpApi::serve`] answers.
pub struct HttpApi {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    app: Arc<App>,
    token: String,
    port: u16,
    ui: Option<PathBuf>,
}

/// What the starter is told, one JSON line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAddress {
    pub url: String,
    pub token: String,
    /// The UI's page; its fragment holds the token, which a browser sends to nobody.
    pub page: String,
}

impl HttpApi {
    /// Listens on 127.0.0.1, `port` or a free one; `ui` is a folder of pages to serve.
    ///
    /// # Errors
    /// `System` when the port is taken.
    pub async fn bind(app: Arc<App>, port: u16, ui: Option<PathBuf>) -> AppResult<HttpApi> {
        let failed = |error: std::io::Error| {
            AppError::new(
                ErrorCode::System,
                format!("Port {port} of this machine cannot be used ({error})."),
                "Choose another one.",
            )
        };
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|_| {
            AppError::new(ErrorCode::System, "The system gave no random bytes.", "Try again.")
        })?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(HttpApi { listener, shared: Arc::new(Shared { app, token, port, ui }) })
    }

    pub fn address(&self) -> HttpAddress {
        let url = format!("http://127.0.0.1:{}/", self.shared.port);
        let token = self.shared.token.clone();
        HttpAddress { page: format!("{url}#token={token}"), url, token }
    }

    /// Answers until the app has ended.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self) -> std::io::Result<()> {
        let app = Arc::clone(&self.shared.app);
        let api = Router::new()
            .route("/api/call/{name}", post(call))
            .route("/api/events", get(events))
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .route_layer(middleware::from_fn_with_state(Arc::clone(&self.shared), with_token));
        let router = api
            .fallback(pages)
            .layer(middleware::from_fn_with_state(Arc::clone(&self.shared), from_here))
            .with_state(self.shared);
        axum::serve(self.listener, router).with_graceful_shutdown(async move { app.ended().await }).await
    }
}

type Api = State<Arc<Shared>>;

/// Only what was addressed to this very server, by no page of elsewhere.
async fn from_here(State(shared): Api, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let here = [format!("127.0.0.1:{}", shared.port), format!("localhost:{}", shared.port)];
    let host = text(header::HOST).is_some_and(|host| here.iter().any(|one| one == host));
    let origin = text(header::ORIGIN)
        .is_none_or(|origin| here.iter().any(|one| origin.strip_prefix("http://") == Some(one.as_str())));
    if !host || !origin {
        return refuse(StatusCode::FORBIDDEN, "This request was not meant for here.");
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}

#[derive(Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

async fn with_token(
    State(shared): Api,
    Query(query): Query<TokenQuery>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::to_owned);
    // EventSource cannot send headers: only there the address may hold the token.
    let asked = bearer.or(query.token.filter(|_| request.uri().path() == "/api/events"));
    if !asked
        .is_some_and(|token| constant_time_eq::constant_time_eq(token.as_bytes(), shared.token.as_bytes()))
    {
        return refuse(StatusCode::UNAUTHORIZED, "The token is missing or wrong.");
    }
    next.run(request).await
}

async fn call(
    State(shared): Api,
    axum::extract::Path(name): axum::extract::Path<String>,
    body: Bytes,
) -> Response {
    let args = if body.is_empty() { Ok(serde_json::json!({})) } else { serde_json::from_slice(&body) };
    let Ok(args) = args else { return refuse(StatusCode::BAD_REQUEST, "The body is no JSON.") };
    let app = Arc::clone(&shared.app);
    // A command that began is finished although its caller goes away.
    let running = tokio::spawn(async move { app.call(&name, args).await });
    match running.await {
        Ok(Ok(answer)) => axum::Json(answer).into_response(),
        Ok(Err(error)) => (status(error.code), axum::Json(error)).into_response(),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "The command broke inside BucketBar."),
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Invalid => StatusCode::BAD_REQUEST,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Exists | ErrorCode::Busy | ErrorCode::Unsent => StatusCode::CONFLICT,
        ErrorCode::Forbidden | ErrorCode::SignedOut => StatusCode::FORBIDDEN,
        ErrorCode::Offline | ErrorCode::Hub | ErrorCode::Timeout => StatusCode::BAD_GATEWAY,
        ErrorCode::System | ErrorCode::Disk | ErrorCode::Cancelled | ErrorCode::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn refuse(status: StatusCode, what: &str) -> Response {
    (status, axum::Json(AppError::invalid(what, ""))).into_response()
}

async fn events(State(shared): Api) -> impl IntoResponse {
    Sse::new(stream(shared.app.events())).keep_alive(KeepAlive::new().interval(PING))
}

fn stream(events: AppEvents) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let event = events.next().await;
        let last = event == AppEvent::Ended;
        let sent = Event::default().json_data(&event).unwrap_or_default();
        Some((Ok(sent), (!last).then_some(events)))
    })
}

/// The UI's files; unknown paths are its first page.
async fn pages(State(shared): Api, uri: Uri) -> Response {
    let Some(folder) = &shared.ui else { return refuse(StatusCode::NOT_FOUND, "There is nothing here.") };
    let asked = Path::new(uri.path().trim_start_matches('/'));
    let plain = asked.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || uri.path().starts_with("/api/") {
        return refuse(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let first = folder.join("index.html");
    let file = if uri.path() == "/" { first.clone() } else { folder.join(asked) };
    let (file, bytes) = match tokio::fs::read(&file).await {
        Ok(bytes) => (file, bytes),
        Err(_) => match tokio::fs::read(&first).await {
            Ok(bytes) => (first, bytes),
            Err(_) => return refuse(StatusCode::NOT_FOUND, "The pages are not built."),
        },
    };
    ([(header::CONTENT_TYPE, content_type(&file))], Body::from(bytes)).into_response()
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
