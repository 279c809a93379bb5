//! File systems that panic, hang or dawdle: one call suffers, not the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nfs3_types::nfs3::NFS_PROGRAM::*;
use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use tokio::sync::Semaphore;

use crate::harness::{Harness, at, eventually, handle_of, status};
use crate::memory_fs::{Act, ROOT};
use crate::raw::Raw;

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_answered_serverfault_and_ends_nothing_else() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    for procedure in ["READ", "CREATE", "GETATTR"] {
        server.fs.script(procedure, Act::Panic);
    }
    let getattr = GETATTR3args { object: file.clone() };
    assert_eq!(status(&client.getattr(&getattr).await.unwrap()), NFS3ERR_SERVERFAULT);
    let read = READ3args { file, offset: 0, count: 3 };
    assert_eq!(status(&client.read(&read).await.unwrap()), NFS3ERR_SERVERFAULT);
    let how = || createhow3::UNCHECKED(sattr3::default());
    let made = client.create(&CREATE3args { where_: at(&root, "b"), how: how() }).await.unwrap();
    assert_eq!(status(&made), NFS3ERR_SERVERFAULT);
    assert_eq!(
        client.read(&read).await.unwrap().unwrap().data.as_ref(),
        b"abc",
        "the same connection goes on"
    );
    let made = client.create(&CREATE3args { where_: at(&root, "b"), how: how() }).await.unwrap();
    assert_eq!(status(&made), NFS3_OK);
    let heard = server.heard.all();
    assert_eq!(
        heard[1..],
        [
            format!("panicked (scripted panic in GETATTR) GETATTR {id} NFS3ERR_SERVERFAULT"),
            format!("panicked (scripted panic in READ) READ {id} NFS3ERR_SERVERFAULT"),
            format!("panicked (scripted panic in CREATE) CREATE {ROOT} NFS3ERR_SERVERFAULT"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_answered_jukebox_at_last() {
    let server = Harness::with(|config| config.limits.call_time = Duration::from_millis(300)).await;
    server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    for procedure in ["READ", "LOOKUP", "READDIR", "GETATTR", "FSSTAT"] {
        server.fs.script(procedure, Act::Hang);
    }
    let begun = Instant::now();
    let read = client.read(&READ3args { file, offset: 0, count: 3 }).await.unwrap();
    assert_eq!(status(&read), NFS3ERR_JUKEBOX);
    assert_eq!(status(&client.lookup(&LOOKUP3args { what: at(&root, "a") }).await.unwrap()), NFS3ERR_JUKEBOX);
    let args = READDIR3args { dir: root.clone(), cookie: 0, cookieverf: cookieverf3::default(), count: 4096 };
    assert_eq!(status(&client.readdir(&args).await.unwrap()), NFS3ERR_JUKEBOX);
    assert_eq!(status(&client.getattr(&root.clone().into()).await.unwrap()), NFS3ERR_JUKEBOX);
    assert_eq!(status(&client.fsstat(&root.clone().into()).await.unwrap()), NFS3ERR_JUKEBOX);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(status(&client.lookup(&LOOKUP3args { what: at(&root, "a") }).await.unwrap()), NFS3_OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_call_holds_up_no_other_on_its_connection() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let gate = Arc::new(Semaphore::new(0));
    server.fs.script("READ", Act::Wait(Arc::clone(&gate)));
    server.fs.script("LOOKUP", Act::Wait(Arc::clone(&gate)));
    let mut raw = Raw::connect(server.address).await;
    raw.ask(1, NFSPROC3_READ, &READ3args { file, offset: 0, count: 3 }).await;
    raw.ask(2, NFSPROC3_LOOKUP, &LOOKUP3args { what: at(&root, "a") }).await;
    for xid in 3..20 {
        let reply = raw.call(xid, NFSPROC3_GETATTR, &GETATTR3args { object: root.clone() }).await;
        assert_eq!(reply.xid, xid, "answered though 1 and 2 wait");
    }
    gate.add_permits(2);
    let mut late = [raw.reply().await.xid, raw.reply().await.xid];
    late.sort_unstable();
    assert_eq!(late, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_its_budget_in_flight_is_not_read_until_answers_leave() {
    let server = Harness::with(|config| config.limits.calls = 4).await;
    server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..10 {
        server.fs.script("READ", Act::Wait(Arc::clone(&gate)));
    }
    let mut raw = Raw::connect(server.address).await;
    for xid in 0..10 {
        raw.ask(xid, NFSPROC3_READ, &READ3args { file: file.clone(), offset: 0, count: 3 }).await;
    }
    eventually("four run", || server.fs.runs("READ") == 4).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.fs.runs("READ"), 4, "and no more");
    gate.add_permits(10);
    let mut answered: Vec<u32> = Vec::new();
    for _ in 0..10 {
        answered.push(raw.reply().await.xid);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..10).collect::<Vec<_>>());
}
