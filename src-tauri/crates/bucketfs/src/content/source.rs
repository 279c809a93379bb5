//! Where content comes from.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use hub::HubError;

/// Whoever can fetch a range of a content: the bucket on the Hub.
pub trait Source: Send + Sync + 'static {
    /// The bytes `range` (within `0..file_size`) of the content `hash`, in order, exactly `range.len()` of
    /// them, or an error. Dropping the stream ends the fetch.
    fn fetch(
        &self,
        hash: &str,
        file_size: u64,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, HubError>>;
}

impl Source for hub::Bucket {
    fn fetch(
        &self,
        hash: &str,
        file_size: u64,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, HubError>> {
        self.read(hash, file_size, range)
    }
}
