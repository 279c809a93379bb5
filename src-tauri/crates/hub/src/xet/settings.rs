//! How Xet is set up. Its defaults are for bulk transfers on servers: a read may be held for minutes,
//! take a quarter of the memory, and the shard cache 16 GB. Set here, not by `HF_XET_*` variables, so
//! that a mount behaves the same on every machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use xet_runtime::config::XetConfig;
use xet_runtime::core::XetContext;
use xet_runtime::utils::ByteSize;

use super::tokens::Scope;
use crate::config::{HubConfig, Limits};
use crate::error::HubError;

/// Shared by all buckets of a Hub. Reading and writing differ in patience: a read has a kernel waiting,
/// an upload has a slow line and a body of up to 64 MiB.
pub(crate) struct XetSettings {
    read: XetContext,
    write: XetContext,
    /// Writing without asking what the storage has.
    unasked: XetContext,
    /// For what is read straight from signed addresses.
    pub storage: reqwest::Client,
    pub directory: PathBuf,
    pub headers: Arc<HeaderMap>,
}

impl XetSettings {
    pub fn new(config: &HubConfig) -> Result<XetSettings, HubError> {
        let directory = config.cache_root.join("xet");
        std::fs::create_dir_all(&directory)
            .map_err(|e| HubError::local(format!("The folder {} can't be made.", directory.display()), e))?;
        let context = |xet| {
            XetContext::with_config(xet)
                .map_err(|e| HubError::broken("The storage client can't be started").caused_by(e))
        };
        let mut headers = HeaderMap::new();
        if let Ok(agent) = HeaderValue::from_str(&config.user_agent) {
            headers.insert(USER_AGENT, agent);
        }
        let limits = &config.limits;
        let storage = reqwest::Client::builder()
            .default_headers(headers.clone())
            .http1_only()
            .connect_timeout(limits.connect_timeout)
            .read_timeout(limits.read_idle)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
            .map_err(|e| {
                HubError::broken("The encrypted connection to the storage can't be set up").caused_by(e)
            })?;
        Ok(XetSettings {
            storage,
            read: context(for_reading(limits))?,
            write: context(for_writing(limits))?,
            unasked: context(for_writing_unasked(limits))?,
            directory,
            headers: Arc::new(headers),
        })
    }

    pub fn unasked(&self) -> &XetContext {
        &self.unasked
    }

    pub fn context(&self, scope: Scope) -> &XetContext {
        match scope {
            Scope::Read => &self.read,
            Scope::Write => &self.write,
        }
    }
}

/// Xorbs on their way to the storage.
const UPLOADS_AT_ONCE: usize = 4;

fn common(limits: &Limits) -> XetConfig {
    let mut xet = XetConfig::default();
    xet.telemetry.enabled = false;
    xet.shard.cache_size_limit = ByteSize::new(limits.shard_cache);
    xet.client.connect_timeout = limits.connect_timeout;
    xet
}

fn for_reading(limits: &Limits) -> XetConfig {
    let mut xet = common(limits);
    xet.client.read_timeout = limits.read_idle;
    xet.client.retry_max_attempts = 3;
    xet.client.retry_base_delay = Duration::from_millis(200);
    xet.client.retry_max_duration = Duration::from_secs(5);
    xet.client.ac_initial_download_concurrency = 16;
    let reconstruction = &mut xet.reconstruction;
    reconstruction.min_reconstruction_fetch_size = ByteSize::new(limits.read_piece);
    reconstruction.max_reconstruction_fetch_size = ByteSize::new(4 * limits.read_piece);
    reconstruction.min_prefetch_buffer = ByteSize::new(2 * limits.read_piece);
    reconstruction.download_buffer_size = ByteSize::new(limits.read_buffer / 2);
    reconstruction.download_buffer_perfile_size = ByteSize::new(2 * limits.read_piece);
    reconstruction.download_buffer_limit = ByteSize::new(limits.read_buffer);
    xet
}

fn for_writing(limits: &Limits) -> XetConfig {
    let mut xet = for_reading(limits);
    xet.client.read_timeout = limits.upload_exchange;
    // All uploads share these connections: with the default of two, two that hang would hold up every other. Each holds
    // what it sends in memory, and on a fast line Xet would go on to 64 of them.
    xet.client.ac_initial_upload_concurrency = UPLOADS_AT_ONCE;
    xet.client.ac_min_upload_concurrency = UPLOADS_AT_ONCE;
    xet.client.ac_max_upload_concurrency = UPLOADS_AT_ONCE;
    xet.client.retry_max_attempts = 4;
    xet.client.retry_base_delay = Duration::from_millis(500);
    xet.client.retry_max_duration = Duration::from_secs(60);
    xet
}

fn for_writing_unasked(limits: &Limits) -> XetConfig {
    let mut xet = for_writing(limits);
    xet.deduplication.global_dedup_query_enabled = false;
    xet
}
