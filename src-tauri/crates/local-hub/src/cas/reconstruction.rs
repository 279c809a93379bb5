//! How a file is put together from xorbs, with a signed URL for each piece (hub-api.md 4.1).

use http::StatusCode;
use serde_json::Value;
use xet_client::cas_client::{Client, DirectAccessClient};
use xet_client::cas_types::{FileRange, HttpRange, XorbReconstructionFetchInfo};
use xet_client::error::ClientError;
use xet_core_structures::merklehash::MerkleHash;

use super::Cas;
use crate::page::ByteRange;
use crate::storage_url::StorageUrls;

/// A CAS refusal: status and plain text.
pub type CasRefusal = (StatusCode, String);

impl Cas {
    /// `GET /v2/reconstructions/{file}`
    pub async fn reconstruction_v2(
        &self,
        file: &MerkleHash,
        range: Option<ByteRange>,
        urls: &StorageUrls,
    ) -> Result<Value, CasRefusal> {
        let range = self.file_range(file, range).await?;
        let found = self.local.get_reconstruction_v2(file, range).await.map_err(refusal)?;
        let mut plan = found.ok_or_else(past_the_end)?;
        for (xorb, fetches) in &mut plan.xorbs {
            for fetch in fetches {
                let ranges: Vec<HttpRange> = fetch.ranges.iter().map(|range| range.bytes).collect();
                fetch.url = signed(urls, &xorb.0, &ranges);
            }
        }
        serde_json::to_value(plan).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    /// `GET /v1/reconstructions/{file}`
    pub async fn reconstruction_v1(
        &self,
        file: &MerkleHash,
        range: Option<ByteRange>,
        urls: &StorageUrls,
    ) -> Result<Value, CasRefusal> {
        let range = self.file_range(file, range).await?;
        let found = self.local.get_reconstruction_v1(file, range).await.map_err(refusal)?;
        let mut plan = found.ok_or_else(past_the_end)?;
        plan.fetch_info.iter_mut().for_each(|(xorb, fetches)| sign_each(urls, &xorb.0, fetches));
        serde_json::to_value(plan).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    /// `GET /v1/reconstructions?file_id=…&file_id=…`
    pub async fn reconstruction_batch(
        &self,
        files: &[MerkleHash],
        urls: &StorageUrls,
    ) -> Result<Value, CasRefusal> {
        let mut plan = self.local.batch_get_reconstruction(files).await.map_err(refusal)?;
        plan.fetch_info.iter_mut().for_each(|(xorb, fetches)| sign_each(urls, &xorb.0, fetches));
        serde_json::to_value(plan).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    async fn file_range(
        &self,
        file: &MerkleHash,
        range: Option<ByteRange>,
    ) -> Result<Option<FileRange>, CasRefusal> {
        let Some(range) = range else { return Ok(None) };
        let (start, end) = match range {
            ByteRange::Bounded { start, end } => (start, end),
            open => {
                let size = self.local.get_file_size(file).await.map_err(refusal)?;
                open.within(size).ok_or_else(past_the_end)?
            }
        };
        Ok(Some(FileRange::new(start, end)))
    }
}

fn sign_each(urls: &StorageUrls, xorb: &MerkleHash, fetches: &mut [XorbReconstructionFetchInfo]) {
    for fetch in fetches {
        fetch.url = signed(urls, xorb, &[fetch.url_range]);
    }
}

fn signed(urls: &StorageUrls, xorb: &MerkleHash, ranges: &[HttpRange]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|range| format!("{}-{}", range.start, range.end)).collect();
    urls.sign(&format!("/_storage/xorbs/{}", xorb.hex()), &format!("ranges={}", ranges.join(",")))
}

fn past_the_end() -> CasRefusal {
    (StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable".into())
}

/// The status the CAS gives an error of its storage.
pub fn refusal(error: ClientError) -> CasRefusal {
    let status = match &error {
        ClientError::XORBNotFound(_) | ClientError::FileNotFound(_) => StatusCode::NOT_FOUND,
        ClientError::InvalidRange => StatusCode::RANGE_NOT_SATISFIABLE,
        ClientError::InvalidArguments => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}
