//! Xorb bytes straight from the stored file: what a signed URL of a reconstruction leads to.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, header};
use xet_core_structures::merklehash::MerkleHash;

use super::Cas;

/// Bodies leave in pieces of this size, so that a limited or cut connection shows.
const PIECE: usize = 256 << 10;
const BOUNDARY: &str = "xorb_ranges";

/// A range of a stored object: first byte, byte after the last.
pub type Span = (u64, u64);

impl Cas {
    /// Answers with `spans` of a xorb: one as 206, several as `multipart/byteranges` (RFC 9110, 14.6).
    /// Reads nothing else of it.
    pub async fn xorb_ranges(&self, xorb: &MerkleHash, spans: Vec<Span>) -> Response {
        let path = self.xorb_path(xorb);
        let read = tokio::task::spawn_blocking(move || read_spans(&path, &spans)).await;
        match read {
            Ok(Ok((total, parts))) => answer(total, parts),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidInput => {
                (StatusCode::RANGE_NOT_SATISFIABLE, error.to_string()).into_response()
            }
            Ok(Err(error)) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

fn read_spans(path: &Path, spans: &[Span]) -> std::io::Result<(u64, Vec<(Span, Bytes)>)> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let read = |&(start, end): &Span| {
        let end = end.min(total);
        let outside = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "range outside the object");
        let length = end.checked_sub(start).filter(|length| *length > 0).ok_or_else(outside)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| outside())?];
        file.read_exact_at(&mut bytes, start)?;
        Ok(((start, end), Bytes::from(bytes)))
    };
    Ok((total, spans.iter().map(read).collect::<std::io::Result<_>>()?))
}

fn answer(total: u64, mut parts: Vec<(Span, Bytes)>) -> Response {
    let content_range = |(start, end): Span| format!("bytes {start}-{}/{total}", end - 1);
    if parts.len() == 1 {
        let (span, bytes) = parts.remove(0);
        let headers = [
            (header::CONTENT_TYPE, "application/octet-stream".to_string()),
            (header::CONTENT_LENGTH, bytes.len().to_string()),
            (header::CONTENT_RANGE, content_range(span)),
        ];
        return (StatusCode::PARTIAL_CONTENT, headers, in_pieces(bytes)).into_response();
    }
    let mut body = Vec::new();
    for (span, bytes) in parts {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Range: {}\r\n\r\n",
            content_range(span)
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let headers = [
        (header::CONTENT_TYPE, format!("multipart/byteranges; boundary={BOUNDARY}")),
        (header::CONTENT_LENGTH, body.len().to_string()),
    ];
    (StatusCode::PARTIAL_CONTENT, headers, in_pieces(body.into())).into_response()
}

fn in_pieces(bytes: Bytes) -> Body {
    let length = bytes.len();
    let pieces = (0..length)
        .step_by(PIECE)
        .map(move |at| Ok::<_, std::io::Error>(bytes.slice(at..length.min(at + PIECE))));
    Body::from_stream(stream::iter(pieces))
}
