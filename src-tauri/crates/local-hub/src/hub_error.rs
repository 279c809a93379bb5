//! A refusal as the Hub words it (hub-api.md 2.11): status, JSON `error`, `X-Error-Code`,
//! `X-Error-Message`.

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// A refusal.
#[derive(Debug)]
pub struct HubError {
    status: StatusCode,
    code: Option<Cow<'static, str>>,
    message: String,
    /// More fields of the JSON body.
    fields: Map<String, Value>,
}

/// What a route answers.
pub type HubResult<T> = Result<T, HubError>;

impl HubError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), fields: Map::new() }
    }

    /// The token is no good.
    pub fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid credentials in Authorization header")
    }

    /// A token is needed.
    pub fn sign_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid username or password.")
    }

    /// Missing, or private and not the caller's. An anonymous caller learns nothing: 401.
    pub fn no_bucket(anonymous: bool) -> Self {
        let status = if anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::NOT_FOUND };
        Self::new(status, "Repository not found").code("RepoNotFound")
    }

    /// No such file in the bucket.
    pub fn no_entry() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Entry not found").code("EntryNotFound")
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Sorry, we can't find the page you are looking for.")
    }

    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }
}

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        let mut body = self.fields;
        body.insert("error".into(), self.message.clone().into());
        let mut response = (self.status, Json(Value::Object(body))).into_response();
        let headers = response.headers_mut();
        if let Some(code) = self.code.and_then(|code| HeaderValue::from_str(&code).ok()) {
            headers.insert("x-error-code", code);
        }
        if let Ok(message) = HeaderValue::from_str(&self.message) {
            headers.insert("x-error-message", message);
        }
        response
    }
}

impl From<rusqlite::Error> for HubError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("local-hub's own state: {error}"))
    }
}

impl From<anyhow::Error> for HubError {
    fn from(error: anyhow::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl From<axum::Error> for HubError {
    fn from(error: axum::Error) -> Self {
        Self::bad_request(format!("the request's body: {error}"))
    }
}

impl From<serde_json::Error> for HubError {
    fn from(error: serde_json::Error) -> Self {
        Self::bad_request(format!("the request's JSON: {error}"))
    }
}
