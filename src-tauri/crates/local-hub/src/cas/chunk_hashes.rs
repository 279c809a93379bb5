//! `GET /v2/file-chunk-hashes/{file}`: what a range upload asks for. LocalServer has no such route,
//! LocalClient has the answer.

use http::StatusCode;
use serde_json::Value;
use xet_client::cas_client::Client;
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;

use super::Cas;
use super::reconstruction::{CasRefusal, refusal};

impl Cas {
    /// `dirty` is the header `X-Range-Dirty: bytes=a-b,c-d` (inclusive).
    pub async fn chunk_hashes(&self, file: &MerkleHash, dirty: &str) -> Result<Value, CasRefusal> {
        let ranges = dirty_ranges(dirty).ok_or((StatusCode::BAD_REQUEST, "bad X-Range-Dirty".to_string()))?;
        let hashes = self.local.get_file_chunk_hashes(file, ranges).await.map_err(refusal)?;
        serde_json::to_value(hashes).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }
}

fn dirty_ranges(header: &str) -> Option<Vec<FileRange>> {
    let one = |text: &str| {
        let (first, last) = text.trim().split_once('-')?;
        Some(FileRange::new(first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?))
    };
    let list = header.strip_prefix("bytes=").unwrap_or(header);
    list.split(',').filter(|text| !text.trim().is_empty()).map(one).collect()
}
