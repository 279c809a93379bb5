//! A file's plain bytes, put together from its xorbs: what is behind `/resolve`.

use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use xet_client::cas_types::{FileRange, QueryReconstructionResponse, XorbReconstructionTerm};
use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::xorb_object::deserialize_chunks;

use super::Cas;
use crate::hub::Hub;

/// Decoded at a time, so that memory stays small whatever the file's size.
const WINDOW: u64 = 4 << 20;

/// A body that yields bytes `start..end` of a file; the range lies within the file.
pub fn body(hub: Arc<Hub>, hash: MerkleHash, start: u64, end: u64) -> Body {
    let windows = stream::try_unfold(start, move |at| {
        let hub = hub.clone();
        async move {
            if at >= end {
                return Ok(None);
            }
            let upto = end.min(at + WINDOW);
            let bytes = hub.cas.file_window(&hash, at, upto).await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(Some((bytes, upto)))
        }
    });
    Body::from_stream(windows)
}

impl Cas {
    /// Bytes `start..end` of a file.
    async fn file_window(&self, hash: &MerkleHash, start: u64, end: u64) -> anyhow::Result<Bytes> {
        let found = self.local.get_reconstruction_v1(hash, Some(FileRange::new(start, end))).await?;
        let plan = found.context("range outside the file")?;
        let mut bytes = Vec::new();
        for term in &plan.terms {
            bytes.extend_from_slice(&self.term(&plan, term)?);
        }
        let skip = usize::try_from(plan.offset_into_first_range)?;
        let length = usize::try_from(end - start)?;
        anyhow::ensure!(bytes.len() >= skip + length, "the CAS's plan is shorter than the range");
        Ok(Bytes::from(bytes).slice(skip..skip + length))
    }

    /// The decoded chunks of one term.
    fn term(
        &self,
        plan: &QueryReconstructionResponse,
        term: &XorbReconstructionTerm,
    ) -> anyhow::Result<Bytes> {
        let fetches = plan.fetch_info.get(&term.hash).context("a term without its xorb")?;
        let fetch = fetches
            .iter()
            .find(|fetch| fetch.range.start <= term.range.start && term.range.end <= fetch.range.end)
            .context("a term outside what its xorb offers")?;
        let length = usize::try_from(fetch.url_range.end - fetch.url_range.start + 1)?;
        let mut stored = vec![0; length];
        File::open(self.xorb_path(&term.hash.0))?.read_exact_at(&mut stored, fetch.url_range.start)?;
        let (decoded, bounds) = deserialize_chunks(&mut Cursor::new(stored))?;
        let bound = |chunk: u32| -> anyhow::Result<usize> {
            let index = usize::try_from(chunk - fetch.range.start)?;
            Ok(usize::try_from(*bounds.get(index).context("a xorb with too few chunks")?)?)
        };
        Ok(Bytes::from(decoded).slice(bound(term.range.start)?..bound(term.range.end)?))
    }
}
