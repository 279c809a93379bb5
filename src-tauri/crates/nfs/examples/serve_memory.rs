//! Serves the tests' in-memory file system to a real kernel client: `serve_memory PORT`, then mount
//! `127.0.0.1:/00000000000000000000000000000000/Memory` with `port=PORT,mountport=PORT`.

use std::sync::Arc;
use std::time::Duration;

#[path = "../tests/wire/memory_fs.rs"]
mod memory_fs;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: serve_memory PORT")?.parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let export = nfs::ExportPolicy {
        volume: "Memory".to_owned(),
        token: "0".repeat(32),
        window: nfs::MountWindow::WhileRunning,
    };
    let config = nfs::ServerConfig {
        key: [1; 32],
        fsid: memory_fs::FSID,
        owner_uid: 0,
        any_uid: true,
        export,
        limits: nfs::Limits { drain_time: Duration::from_secs(1), ..nfs::Limits::default() },
    };
    let server = nfs::Server::new(memory_fs::MemoryFs::new(), config, Arc::new(nfs::Silent));
    server.serve(listener, tokio_util::sync::CancellationToken::new()).await?;
    Ok(())
}
