//! The crates' own Rust client against this CAS: what a mount does, and what it costs on the wire.

use std::io::Cursor;
use std::sync::Arc;

use testkit::{LocalHub, bytes};
use xet_client::cas_client::auth::AuthConfig;
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;
use xet_data::file_reconstruction::FileReconstructor;
use xet_data::processing::configurations::{SessionContext, TranslatorConfig};
use xet_data::processing::{
    CasClient, DirtyInput, FileUploadSession, Sha256Policy, create_remote_client, upload_ranges,
};
use xet_runtime::config::XetConfig;
use xet_runtime::core::XetContext;

const SIZE: usize = 80 << 20;

struct Client {
    context: XetContext,
    config: Arc<TranslatorConfig>,
    remote: Arc<dyn CasClient>,
}

async fn client(hub: &LocalHub, bucket: &str, cache: &std::path::Path) -> Client {
    let path = format!("/api/buckets/{bucket}/xet-write-token");
    let token = hub.client().request("GET", &path, &[], b"").unwrap().json();
    let text = |name: &str| token[name].as_str().unwrap().to_string();
    let mut config = XetConfig::new();
    config.telemetry.enabled = false;
    let context = XetContext::with_config(config).unwrap();
    let session = SessionContext {
        endpoint: text("casUrl"),
        auth: AuthConfig::maybe_new(Some(text("accessToken")), token["exp"].as_u64(), None),
        custom_headers: None,
        repo_paths: vec![String::new()],
        session_id: None,
        cache_root: Some(cache.to_path_buf()),
    };
    let config = Arc::new(TranslatorConfig::new(&context, session).unwrap());
    let remote = create_remote_client(&config, "test", false).await.unwrap();
    Client { context, config, remote }
}

impl Client {
    async fn upload(&self, content: &[u8]) -> MerkleHash {
        let session = FileUploadSession::new(self.config.clone()).await.unwrap();
        let (_, mut cleaner) =
            session.start_clean(None, Some(content.len() as u64), Sha256Policy::Skip).unwrap();
        cleaner.add_data(content).await.unwrap();
        let (info, _) = cleaner.finish().await.unwrap();
        session.finalize().await.unwrap();
        info.merkle_hash().unwrap()
    }

    async fn read(&self, hash: MerkleHash, start: u64, end: u64) -> Vec<u8> {
        let reconstructor = FileReconstructor::new(&self.context, &self.remote, hash);
        let ranged = reconstructor.with_byte_range(FileRange::new(start, end)).with_file_size(SIZE as u64);
        let mut stream = ranged.reconstruct_to_stream();
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_read_costs_a_plan_and_a_chunk_or_two() {
    let (hub, cache) = (LocalHub::start(), testkit::tempdir().unwrap());
    let bucket = hub.create_bucket("one");
    let client = client(&hub, &bucket, cache.path()).await;
    let content = bytes(11, SIZE);
    let hash = client.upload(&content).await;
    hub.reset_counters();
    let at = SIZE / 2 + 12_345;
    assert!(client.read(hash, at as u64, at as u64 + 4096).await == content[at..at + 4096]);
    let counters = hub.counters();
    assert_eq!(
        (counters.calls("/v2/reconstructions"), counters.calls("/_storage/xorbs")),
        (1, 1),
        "{counters:?}"
    );
    assert!(counters.of("/_storage/xorbs").down < 300_000, "{counters:?}");
    assert!(client.read(hash, 0, SIZE as u64).await == content);
    hub.faults().expire_storage_urls();
    assert!(client.read(hash, 5, 9).await == content[5..9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_upload_equals_a_clean_upload_of_the_result() {
    let (hub, cache) = (LocalHub::start(), testkit::tempdir().unwrap());
    let bucket = hub.create_bucket("one");
    let client = client(&hub, &bucket, cache.path()).await;
    let mut content = bytes(12, SIZE);
    let hash = client.upload(&content).await;
    let (at, new) = (SIZE - (3 << 20), bytes(13, 4096));
    let edit = DirtyInput {
        original_range: at as u64..(at + new.len()) as u64,
        new_length: new.len() as u64,
        reader: Box::pin(Cursor::new(new.clone())),
    };
    hub.reset_counters();
    let edited = upload_ranges(client.config.clone(), client.remote.clone(), hash, SIZE as u64, vec![edit])
        .await
        .unwrap();
    let counters = hub.counters();
    assert_eq!(counters.calls("/v2/file-chunk-hashes"), 1, "{counters:?}");
    assert!(counters.of("xorb-uploads").up < 1 << 20, "only the change travels: {counters:?}");
    content[at..at + new.len()].copy_from_slice(&new);
    assert_eq!(client.upload(&content).await, edited.merkle_hash().unwrap());
}
