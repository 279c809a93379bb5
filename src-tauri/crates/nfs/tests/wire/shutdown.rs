//! The server's end: within its deadline, whoever is connected.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nfs3_types::nfs3::NFS_PROGRAM::*;
use nfs3_types::nfs3::*;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::harness::{Harness, at, eventually, status};
use crate::memory_fs::{Act, ROOT};
use crate::raw::Raw;

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_do_not_keep_the_server() {
    let server = Harness::start().await;
    let root = server.root().await;
    let mut connections = Vec::new();
    for _ in 0..10 {
        let mut raw = Raw::connect(server.address).await;
        raw.call(1, NFSPROC3_GETATTR, &GETATTR3args { object: root.clone() }).await;
        connections.push(raw);
    }
    // One within a record.
    connections[0].send(&[0x80, 0, 0, 50, 1, 2]).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for connection in &mut connections {
        assert!(connection.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_answered_before_the_end() {
    let server = Harness::start().await;
    let root = server.root().await;
    let gate = Arc::new(Semaphore::new(0));
    server.fs.script("CREATE", Act::Wait(Arc::clone(&gate)));
    let mut raw = Raw::connect(server.address).await;
    let create = CREATE3args { where_: at(&root, "a"), how: createhow3::GUARDED(sattr3::default()) };
    raw.ask(1, NFSPROC3_CREATE, &create).await;
    eventually("it runs", || server.fs.runs("CREATE") == 1).await;
    let opener = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        gate.add_permits(1);
    });
    server.stop().await;
    assert_eq!(status(&raw.reply().await.decode::<CREATE3res>()), nfsstat3::NFS3_OK);
    opener.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_hang_do_not_keep_the_server_beyond_its_drain_time() {
    let server = Harness::with(|config| config.limits.drain_time = Duration::from_millis(400)).await;
    let root = server.root().await;
    server.fs.script("CREATE", Act::Hang);
    server.fs.script("LOOKUP", Act::Hang);
    let mut raw = Raw::connect(server.address).await;
    let create = CREATE3args { where_: at(&root, "a"), how: createhow3::GUARDED(sattr3::default()) };
    raw.ask(1, NFSPROC3_CREATE, &create).await;
    raw.ask(2, NFSPROC3_LOOKUP, &LOOKUP3args { what: at(&root, "a") }).await;
    eventually("both run", || server.fs.runs("CREATE") + server.fs.runs("LOOKUP") == 2).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(raw.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_others_could_reach_is_refused() {
    let server = Harness::start().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = server.server.clone().serve(listener, tokio_util::sync::CancellationToken::new()).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(server.fs.attr(ROOT).nlink, 2);
}
