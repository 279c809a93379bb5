//! Content that this Hub stores itself (the demo bucket, tests without Python): a real upload by
//! xet-data, past the counters and faults of the front.

use std::path::Path;
use std::sync::Arc;

use xet_client::cas_client::auth::AuthConfig;
use xet_data::processing::configurations::{SessionContext, TranslatorConfig};
use xet_data::processing::{FileUploadSession, Sha256Policy};
use xet_runtime::core::XetContext;

/// What was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub hash: String,
    pub size: u64,
}

/// Uploads into the Hub's own CAS.
pub struct Ingest {
    config: Arc<TranslatorConfig>,
}

impl Ingest {
    /// `endpoint` is LocalServer's, `directory` is where xet-data keeps its working files.
    pub fn new(context: &XetContext, endpoint: &str, directory: &Path) -> anyhow::Result<Self> {
        let session = SessionContext {
            endpoint: endpoint.into(),
            auth: AuthConfig::maybe_new(None, None, None),
            custom_headers: None,
            repo_paths: vec![String::new()],
            session_id: None,
            cache_root: Some(directory.to_path_buf()),
        };
        Ok(Self { config: Arc::new(TranslatorConfig::new(context, session)?) })
    }

    /// Stores every content in one upload session. On return all of it can be read by its hash.
    pub async fn store(&self, contents: Vec<Vec<u8>>) -> anyhow::Result<Vec<Stored>> {
        let session = FileUploadSession::new(self.config.clone()).await?;
        let mut uploads = Vec::with_capacity(contents.len());
        for content in contents {
            let size = content.len() as u64;
            let (_, upload) = session.spawn_upload_bytes(content, Sha256Policy::Skip, None).await?;
            uploads.push((size, upload));
        }
        let mut stored = Vec::with_capacity(uploads.len());
        for (size, upload) in uploads {
            let (info, _) = upload.await??;
            stored.push(Stored { hash: info.hash().to_string(), size });
        }
        session.finalize().await?;
        Ok(stored)
    }
}

impl super::Cas {
    /// Stores contents of the Hub's own; in their order, what they became.
    pub async fn store(&self, contents: Vec<Vec<u8>>) -> anyhow::Result<Vec<Stored>> {
        self.ingest.store(contents).await
    }
}
