//! Range reads.

use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;
use xet_data::file_reconstruction::FileReconstructor;
use xet_data::processing::DownloadStream;

use super::failure;
use super::tokens::Scope;
use crate::bucket::Bucket;
use crate::error::{ErrorClass, HubError};

/// A file's bytes in order, in pieces of any length.
pub type ByteStream = BoxStream<'static, Result<Bytes, HubError>>;

impl Bucket {
    /// Bytes `range` of the content `hash` of `file_size` bytes: exactly `range.len()` of them, in
    /// order, or an error. Nothing is fetched before the first poll; dropping it cancels the fetches.
    pub fn read(&self, hash: &str, file_size: u64, range: Range<u64>) -> ByteStream {
        let reading =
            Reading { bucket: self.clone(), hash: parse_hash(hash), file_size, rest: range, stream: None };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        })
        .boxed()
    }
}

struct Reading {
    bucket: Bucket,
    hash: Result<MerkleHash, HubError>,
    file_size: u64,
    rest: Range<u64>,
    stream: Option<DownloadStream>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let hash = self.hash.clone()?;
        if self.stream.is_none() {
            let side = self.bucket.state.xet.side(Scope::Read).await?;
            let stream = FileReconstructor::new(&side.context, &side.client, hash)
                .with_byte_range(FileRange::new(self.rest.start, self.rest.end))
                .with_file_size(self.file_size)
                .reconstruct_to_stream();
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        match stream.next().await.map_err(|e| failure::of_reconstruction(e, "Reading failed"))? {
            Some(bytes) => {
                self.rest.start += bytes.len() as u64;
                Ok(Some(bytes))
            }
            None => Err(HubError::broken("The storage holds fewer bytes than the file has")),
        }
    }
}

pub(super) fn parse_hash(hash: &str) -> Result<MerkleHash, HubError> {
    MerkleHash::from_hex(hash).map_err(|e| {
        HubError::new(ErrorClass::Broken, format!("“{hash}” is not the identity of a content")).caused_by(e)
    })
}
