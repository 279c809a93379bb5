//! A range of a content as it comes from the storage: one plan, one request for each stored block it lies in, and the
//! bytes handed on chunk by chunk.
//!
//! Xet's own reader (`FileReconstructor`, still used for what is put together out of order) fetches each part whole,
//! up to 64 MiB, before it hands out the first byte. So parts had to be small, each with a plan of its own, and the
//! memory was that of all parts under way. Here a part may be long, and nothing of it waits in memory but a chunk.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use reqwest::header::RANGE;
use reqwest::{Response, StatusCode};
use xet_core_structures::xorb_object::{
    CompressionScheme, XORB_CHUNK_HEADER_LENGTH, XorbChunkHeader, parse_chunk_header,
};

use super::failure;
use super::plan::{Part, Plan};
use super::plans::{PlannedFile, Plans};
use crate::error::HubError;

const FAILURE: &str = "Reading a file's contents failed";

pub(super) struct Arriving {
    http: reqwest::Client,
    plans: Arc<Plans>,
    file: PlannedFile,
    plan: Arc<Plan>,
    /// What is still to come of the file.
    rest: Range<u64>,
    /// The parts it lies in, the next one last.
    parts: Vec<Part>,
    body: Option<Body>,
}

impl Arriving {
    /// The bytes `range` of the file by `plan`; `None` when the plan puts them together out of order.
    pub fn new(
        http: reqwest::Client,
        plans: Arc<Plans>,
        file: PlannedFile,
        plan: Arc<Plan>,
        range: Range<u64>,
    ) -> Option<Arriving> {
        let mut parts = plan.parts(&range)?;
        parts.reverse();
        Some(Arriving { http, plans, file, plan, rest: range, parts, body: None })
    }

    /// The next bytes; empty at the end of the range.
    pub async fn next(&mut self) -> Result<Bytes, HubError> {
        while !self.rest.is_empty() {
            let Some(part) = self.parts.last() else {
                return Err(broken("the plan ends before the file does"));
            };
            let body = match &mut self.body {
                Some(body) => body,
                None => {
                    let part = part.clone();
                    let body = self.open(&part).await?;
                    self.body.insert(body)
                }
            };
            let Some((at, bytes)) = body.next().await? else {
                self.body = None;
                self.parts.pop();
                continue;
            };
            let wanted = self.rest.start.max(at)..self.rest.end.min(at + bytes.len() as u64);
            if wanted.is_empty() {
                continue;
            }
            if wanted.start != self.rest.start {
                return Err(broken("a part of the file is missing"));
            }
            self.rest.start = wanted.end;
            return Ok(bytes.slice((wanted.start - at) as usize..(wanted.end - at) as usize));
        }
        Ok(Bytes::new())
    }

    /// Asks for a part, with a new address when the one at hand is refused.
    async fn open(&mut self, part: &Part) -> Result<Body, HubError> {
        let mut response = self.ask(part).await?;
        if response.status() == StatusCode::FORBIDDEN {
            self.plan = self.plans.renew(&self.file, &self.plan).await?;
            response = self.ask(part).await?;
        }
        match response.status() {
            StatusCode::PARTIAL_CONTENT => Ok(Body::new(response, part.clone())),
            status if status.is_success() => Err(broken("it does not send the part that was asked for")),
            status => Err(failure::of_status(status.as_u16(), FAILURE)),
        }
    }

    async fn ask(&self, part: &Part) -> Result<Response, HubError> {
        let (address, bytes) =
            self.plan.address(part.source).ok_or_else(|| broken("a part has no address"))?;
        let request = self.http.get(&*address).header(RANGE, bytes.range_header());
        request.send().await.map_err(|e| failure::of_http(e, FAILURE))
    }
}

/// The chunks of one part.
struct Body {
    response: Response,
    /// Arrived and not handed on.
    buffer: BytesMut,
    /// The chunk that comes next.
    chunk: u32,
    /// Where in the file the next wanted byte belongs.
    at: u64,
    part: Part,
}

impl Body {
    fn new(response: Response, part: Part) -> Body {
        let at = part.runs.first().map_or(0, |run| run.start);
        Body { response, buffer: BytesMut::new(), chunk: part.chunks.start, at, part }
    }

    /// The next wanted chunk and where in the file it lies; `None` after the last one.
    async fn next(&mut self) -> Result<Option<(u64, Bytes)>, HubError> {
        while let Some(run) = self.part.runs.first().cloned() {
            let header = self.header().await?;
            let packed = self.take(header.get_compressed_length() as usize).await?;
            let number = self.chunk;
            self.chunk += 1;
            if number < run.chunks.start {
                continue;
            }
            let at = self.at.max(run.start);
            let bytes = unpacked(&header, packed)?;
            self.at = at + bytes.len() as u64;
            let (ends, end) = (self.chunk == run.chunks.end, run.start + u64::from(run.length));
            if self.at > end || ends != (self.at == end) {
                return Err(broken("a part unpacks to another length than it should"));
            }
            if ends {
                self.part.runs.remove(0);
            }
            return Ok(Some((at, bytes)));
        }
        Ok(None)
    }

    async fn header(&mut self) -> Result<XorbChunkHeader, HubError> {
        let mut header = [0; XORB_CHUNK_HEADER_LENGTH];
        self.take(XORB_CHUNK_HEADER_LENGTH).await?.copy_to_slice(&mut header);
        parse_chunk_header(header).map_err(|e| broken("a chunk's head makes no sense").caused_by(e))
    }

    async fn take(&mut self, length: usize) -> Result<Bytes, HubError> {
        while self.buffer.len() < length {
            match self.response.chunk().await {
                Ok(Some(more)) => self.buffer.extend_from_slice(&more),
                Ok(None) => return Err(broken("a part is shorter than it should be")),
                Err(e) => return Err(failure::of_http(e, FAILURE)),
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }
}

fn unpacked(header: &XorbChunkHeader, packed: Bytes) -> Result<Bytes, HubError> {
    let garbled = |e| broken("a chunk can't be unpacked").caused_by(e);
    let bytes = match header.get_compression_scheme().map_err(garbled)? {
        CompressionScheme::None => packed,
        scheme => Bytes::from(scheme.decompress_from_slice(&packed).map_err(garbled)?.into_owned()),
    };
    if bytes.len() != header.get_uncompressed_length() as usize || bytes.is_empty() {
        return Err(broken("a chunk unpacks to another length than it should"));
    }
    Ok(bytes)
}

fn broken(why: &str) -> HubError {
    HubError::broken(format!("{FAILURE}: the storage's answer makes no sense, {why}"))
}
