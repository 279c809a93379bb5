//! Xet's client as one read sees it: plans come from [`Plans`], addresses are looked up when they are
//! fetched, all stops when the read is dropped, and the first failure is kept with its class (Xet hands
//! on texts).
//!
//! In a plan that Xet is given, `plan:K/I` stands in the place of each signed address: source I of the
//! K-th plan this read got. So an expired address is exchanged in one place, for all parts that wait,
//! and a renewed plan can't shift what an old one said (Xet itself would take chunks by position from
//! whatever the new addresses yield).

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use xet_client::ClientError;
use xet_client::cas_client::adaptive_concurrency::ConnectionPermit;
use xet_client::cas_client::{Client, ProgressCallback, ShardUploadProgressCallback, URLProvider};
use xet_client::cas_types::{
    BatchQueryReconstructionResponse, FileChunkHashesResponse, FileRange, HttpRange,
    QueryReconstructionResponseV2,
};
use xet_core_structures::merklehash::MerkleHash;
use xet_core_structures::metadata_shard::file_structs::MDBFileInfo;
use xet_core_structures::xorb_object::SerializedXorbObject;

use super::failure;
use super::plan::Plan;
use super::plans::{PlannedFile, Plans};
use crate::error::HubError;

type XetResult<T> = Result<T, ClientError>;

pub(crate) struct PlannedClient {
    read: Arc<Read>,
    cancelled: CancellationToken,
}

/// What a read and its addresses share.
struct Read {
    file: PlannedFile,
    plans: Arc<Plans>,
    /// The plans this read got, each replaced in place when it is renewed.
    got: Mutex<Vec<Arc<Plan>>>,
    failure: Mutex<Option<HubError>>,
}

impl Read {
    fn note(&self, error: HubError) {
        self.failure.lock().get_or_insert(error);
    }
}

impl PlannedClient {
    pub fn new(file: PlannedFile, plans: Arc<Plans>, cancelled: CancellationToken) -> PlannedClient {
        let read = Arc::new(Read { file, plans, got: Mutex::default(), failure: Mutex::default() });
        PlannedClient { read, cancelled }
    }

    /// The failure that ended the read, classed.
    pub fn first_failure(&self) -> Option<HubError> {
        self.read.failure.lock().clone()
    }

    async fn plan(&self, range: Range<u64>) -> Result<QueryReconstructionResponseV2, HubError> {
        let plan = self.read.plans.plan(&self.read.file, &range).await?;
        let mut got = self.read.got.lock();
        let number = got.len();
        got.push(plan.clone());
        Ok(plan.answer(&range, |source| format!("plan:{number}/{source}")))
    }
}

#[async_trait]
impl Client for PlannedClient {
    async fn get_reconstruction(
        &self,
        file_id: &MerkleHash,
        bytes_range: Option<FileRange>,
    ) -> XetResult<Option<QueryReconstructionResponseV2>> {
        let file = &self.read.file;
        if *file_id != file.hash {
            return self.read.file.client.get_reconstruction(file_id, bytes_range).await;
        }
        let range = bytes_range.map_or(0..file.size, |r| r.start..r.end.min(file.size));
        if range.is_empty() {
            return Ok(None);
        }
        match self.plan(range).await {
            Ok(answer) => Ok(Some(answer)),
            Err(e) => {
                self.read.note(e.clone());
                Err(ClientError::Other(e.to_string()))
            }
        }
    }

    async fn get_file_term_data(
        &self,
        url_info: Box<dyn URLProvider>,
        download_permit: ConnectionPermit,
        progress_callback: Option<ProgressCallback>,
        uncompressed_size_if_known: Option<usize>,
    ) -> XetResult<(Bytes, Vec<u32>)> {
        let address = Address { place: url_info, read: self.read.clone(), used: Mutex::default() };
        let fetch = self.read.file.client.get_file_term_data(
            Box::new(address),
            download_permit,
            progress_callback,
            uncompressed_size_if_known,
        );
        let fetched = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Err(ClientError::Other("the read was dropped".to_owned())),
            fetched = fetch => fetched,
        };
        fetched.inspect_err(|e| self.read.note(failure::of_client_ref(e, "Reading a file's contents failed")))
    }

    async fn acquire_download_permit(&self) -> XetResult<ConnectionPermit> {
        self.read.file.client.acquire_download_permit().await
    }

    async fn get_file_reconstruction_info(
        &self,
        file_hash: &MerkleHash,
    ) -> XetResult<Option<(MDBFileInfo, Option<MerkleHash>)>> {
        self.read.file.client.get_file_reconstruction_info(file_hash).await
    }

    async fn batch_get_reconstruction(
        &self,
        file_ids: &[MerkleHash],
    ) -> XetResult<BatchQueryReconstructionResponse> {
        self.read.file.client.batch_get_reconstruction(file_ids).await
    }

    async fn query_for_global_dedup_shard(
        &self,
        prefix: &str,
        chunk_hash: &MerkleHash,
    ) -> XetResult<Option<Bytes>> {
        self.read.file.client.query_for_global_dedup_shard(prefix, chunk_hash).await
    }

    async fn acquire_upload_permit(&self) -> XetResult<ConnectionPermit> {
        self.read.file.client.acquire_upload_permit().await
    }

    async fn upload_shard(
        &self,
        shard_data: Bytes,
        upload_permit: ConnectionPermit,
        progress_callback: Option<ShardUploadProgressCallback>,
    ) -> XetResult<Option<MerkleHash>> {
        self.read.file.client.upload_shard(shard_data, upload_permit, progress_callback).await
    }

    async fn upload_xorb(
        &self,
        prefix: &str,
        serialized_xorb_object: SerializedXorbObject,
        progress_callback: Option<ProgressCallback>,
        upload_permit: ConnectionPermit,
    ) -> XetResult<u64> {
        let client = &self.read.file.client;
        client.upload_xorb(prefix, serialized_xorb_object, progress_callback, upload_permit).await
    }

    async fn get_file_chunk_hashes(
        &self,
        file_id: &MerkleHash,
        dirty_ranges: Vec<FileRange>,
    ) -> XetResult<FileChunkHashesResponse> {
        self.read.file.client.get_file_chunk_hashes(file_id, dirty_ranges).await
    }
}

/// The address of one part, looked up at each try.
struct Address {
    place: Box<dyn URLProvider>,
    read: Arc<Read>,
    /// The plan the last try took its address from.
    used: Mutex<Option<(usize, Arc<Plan>)>>,
}

#[async_trait]
impl URLProvider for Address {
    async fn retrieve_url(&self) -> XetResult<(String, Vec<HttpRange>)> {
        let (marker, ranges) = self.place.retrieve_url().await?;
        let lost = || ClientError::Other(format!("{marker} is no part of this read's plans"));
        let (number, source) = parse(&marker).ok_or_else(lost)?;
        let plan = self.read.got.lock().get(number).cloned().ok_or_else(lost)?;
        let (address, bytes) = plan.address(source).ok_or_else(lost)?;
        if ranges != [bytes] {
            return Err(lost());
        }
        *self.used.lock() = Some((number, plan));
        Ok((address.to_string(), ranges))
    }

    async fn refresh_url(&self) -> XetResult<()> {
        let Some((number, refused)) = self.used.lock().clone() else { return Ok(()) };
        let fresh = self.read.plans.renew(&self.read.file, &refused).await;
        let fresh = fresh.map_err(|e| {
            self.read.note(e.clone());
            ClientError::InvalidResponse(e.to_string())
        })?;
        if let Some(plan) = self.read.got.lock().get_mut(number) {
            *plan = fresh;
        }
        Ok(())
    }
}

fn parse(marker: &str) -> Option<(usize, usize)> {
    let (plan, source) = marker.strip_prefix("plan:")?.split_once('/')?;
    Some((plan.parse().ok()?, source.parse().ok()?))
}
