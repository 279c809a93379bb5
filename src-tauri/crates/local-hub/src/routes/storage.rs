//! What signed URLs lead to. A token brought along is refused, as the real storage does: a client that
//! sends one to another origin is found out here.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use crate::cas::xorb::Span;
use crate::cas::{file_bytes, parse_hash};
use crate::hub::Hub;
use crate::page::{ByteRange, byte_ranges, decode};
use crate::seal::SealFault;

/// What a call with a signed URL answers when it is refused.
type Refused = Box<Response>;

/// `GET /_storage/xorbs/{hash}?ranges=…`: only ranges that were signed.
pub async fn xorb(
    State(hub): State<Arc<Hub>>,
    Path(hash): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    match xorb_spans(&hub, &uri, &headers) {
        Err(refused) => *refused,
        Ok(spans) => match parse_hash(&hash) {
            Some(hash) => hub.cas.xorb_ranges(&hash, spans).await,
            None => denied(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
    }
}

/// `GET /_storage/files/{hash}?size=…&type=…`
pub async fn file(
    State(hub): State<Arc<Hub>>,
    Path(hash): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let fields = match signed_fields(&hub, &uri, &headers) {
        Ok(fields) => fields,
        Err(refused) => return *refused,
    };
    let field =
        |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let (Some(hash), Ok(size)) = (parse_hash(&hash), field("size").parse::<u64>()) else {
        return denied(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let asked = byte_ranges(&headers).unwrap_or_default().first().copied();
    let (status, span) = match asked {
        None => (StatusCode::OK, Some((0, size))),
        Some(range) => (StatusCode::PARTIAL_CONTENT, range.within(size)),
    };
    let Some((start, end)) = span else {
        let total = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
        return (total, denied(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange")).into_response();
    };
    let body = if start == end { Body::empty() } else { file_bytes::body(hub, hash, start, end) };
    let mut response = (status, body).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut text = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.insert(name, value);
        }
    };
    text(header::CONTENT_TYPE, decode(field("type")));
    text(header::ETAG, format!("\"{}\"", hash.hex()));
    if status == StatusCode::PARTIAL_CONTENT {
        text(header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1));
    }
    response
}

/// 403, as storage answers an expired signature.
pub fn url_expired() -> Response {
    denied(StatusCode::FORBIDDEN, "AccessDenied: Request has expired")
}

fn xorb_spans(hub: &Hub, uri: &Uri, headers: &HeaderMap) -> Result<Vec<Span>, Refused> {
    let fields = signed_fields(hub, uri, headers)?;
    let signed = fields.iter().find(|(name, _)| name == "ranges").map_or("", |(_, value)| value.as_str());
    let signed: Vec<Span> = signed.split(',').filter_map(inclusive).collect();
    let asked =
        byte_ranges(headers).ok_or_else(|| Box::new(denied(StatusCode::BAD_REQUEST, "InvalidRange")))?;
    let spans: Vec<Span> =
        if asked.is_empty() { signed.clone() } else { asked.iter().filter_map(bounded).collect() };
    let covered = |span: &Span| signed.iter().any(|whole| whole.0 <= span.0 && span.1 <= whole.1);
    if spans.is_empty() || !spans.iter().all(covered) || (!asked.is_empty() && spans.len() != asked.len()) {
        return Err(Box::new(denied(StatusCode::FORBIDDEN, "AccessDenied: these ranges were not signed")));
    }
    Ok(spans)
}

fn signed_fields(hub: &Hub, uri: &Uri, headers: &HeaderMap) -> Result<Vec<(String, String)>, Refused> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(Box::new(denied(
            StatusCode::BAD_REQUEST,
            "InvalidArgument: only one authentication mechanism",
        )));
    }
    match hub.storage_urls.check(uri.path(), uri.query().unwrap_or("")) {
        Ok(fields) => {
            Ok(fields.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
        }
        Err(SealFault::Expired) => Err(Box::new(url_expired())),
        Err(SealFault::Forged) => Err(Box::new(denied(StatusCode::FORBIDDEN, "SignatureDoesNotMatch"))),
    }
}

fn denied(status: StatusCode, why: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/xml")], format!("<Error><Message>{why}</Message></Error>"))
        .into_response()
}

fn inclusive(text: &str) -> Option<Span> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?))
}

fn bounded(range: &ByteRange) -> Option<Span> {
    match range {
        ByteRange::Bounded { start, end } => Some((*start, *end)),
        ByteRange::From(_) | ByteRange::Last(_) => None,
    }
}
