//! The content-addressed storage behind the Hub: xet-client's own simulated CAS, in this process.
//!
//! `LocalClient` keeps xorbs and shards in files and its index in redb; `LocalServer` speaks the CAS
//! protocol over it, on a private port, without any check of tokens. What it does well (uploads,
//! deduplication, shards) is passed on to it by [`Cas::pass_on`]; what it lacks or does slowly is
//! answered here: [`reconstruction`] with signed URLs that expire, [`xorb`] ranges read from the stored
//! file (LocalServer reads a whole 64 MiB xorb for each), [`chunk_hashes`] (it has no such route).

pub mod chunk_hashes;
pub mod file_bytes;
pub mod ingest;
pub mod reconstruction;
pub mod xorb;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use xet_client::cas_client::{DirectAccessClient, LocalClient, LocalServer};
use xet_core_structures::merklehash::MerkleHash;
use xet_runtime::config::XetConfig;
use xet_runtime::core::XetContext;

use crate::cas::ingest::Ingest;

/// The storage of one Hub.
pub struct Cas {
    local: Arc<LocalClient>,
    /// `http://127.0.0.1:PORT` of the LocalServer.
    backend: String,
    http: HttpClient<HttpConnector, Body>,
    xorbs: PathBuf,
    ingest: Ingest,
    /// Ends the LocalServer; taken by [`Cas::close`].
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Cas {
    /// Opens the storage in `data` and starts its server.
    pub async fn start(data: &Path) -> anyhow::Result<Self> {
        let mut config = XetConfig::new();
        config.telemetry.enabled = false;
        let context = XetContext::with_config(config)?;
        let root = data.join("cas");
        let local = LocalClient::new(context.clone(), &root).await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server =
            LocalServer::from_client(local.clone(), Some(local.clone()), "127.0.0.1".into(), address.port());
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(error) = server.serve_until_stopped(listener, stopped).await {
                eprintln!("local-hub: the CAS ended: {error}");
            }
        });
        let backend = format!("http://{address}");
        Ok(Self {
            local,
            ingest: Ingest::new(&context, &backend, &data.join("ingest"))?,
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            xorbs: root.join("xorbs"),
            backend,
            stop: Mutex::new(Some(stop)),
        })
    }

    /// Lets the server end.
    pub fn close(&self) {
        if let Some(stop) = self.stop.lock().take() {
            let _ = stop.send(());
        }
    }

    /// The size of the file with this Xet hash; `None` when the CAS has no such file.
    pub async fn file_size(&self, hash: &MerkleHash) -> Option<u64> {
        if *hash == MerkleHash::default() {
            // The empty file has no content to be stored.
            return Some(0);
        }
        self.local.get_file_size(hash).await.ok()
    }

    /// Has LocalServer answer. The Host header stays ours, so the URLs it builds lead back here.
    pub async fn pass_on(&self, request: Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        match format!("{}{path}", self.backend).parse::<Uri>() {
            Ok(uri) => parts.uri = uri,
            Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
        let what = format!("{} {}", parts.method, parts.uri.path());
        // In a task of its own: LocalServer drops a call whose caller is gone, and a client killed in the moment in which
        // its shard is registered would spoil LocalClient's index of shards for good (`RwTaskLock::read` of xet-runtime
        // 1.8.0 is not to be cancelled): 500 to every shard from then on.
        let answer = tokio::spawn(self.http.request(Request::from_parts(parts, body)));
        let Ok(answer) = answer.await else {
            return (StatusCode::BAD_GATEWAY, "the CAS does not answer").into_response();
        };
        match answer {
            Ok(response) if response.status().is_server_error() => told(&what, response.map(Body::new)).await,
            Ok(response) => response.map(Body::new),
            Err(error) => {
                (StatusCode::BAD_GATEWAY, format!("the CAS does not answer: {error}")).into_response()
            }
        }
    }

    fn xorb_path(&self, hash: &MerkleHash) -> PathBuf {
        self.xorbs.join(format!("default.{}", hash.hex()))
    }
}

/// Says on stderr what the CAS could not do, for whoever reads a test's output; the answer stays as it is.
async fn told(what: &str, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    eprintln!("local-hub: the CAS answers {} to {what}: {}", parts.status, String::from_utf8_lossy(&body));
    Response::from_parts(parts, Body::from(body))
}

/// A hash in the CAS's notation, from a path or a header.
pub fn parse_hash(text: &str) -> Option<MerkleHash> {
    MerkleHash::from_hex(text).ok().filter(|_| text.len() == 64)
}
