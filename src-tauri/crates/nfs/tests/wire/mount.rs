//! MOUNT: who gets the root's handle.

use std::time::Duration;

use nfs::MountWindow;
use nfs3_client::MountError;
use nfs3_types::mount::{self, dirpath, mountres3, mountstat3};
use nfs3_types::rpc::{accept_stat_data, opaque_auth};
use nfs3_types::xdr_codec::{Opaque, Void};

use crate::harness::{Harness, OWNER, credential};
use crate::raw::{Raw, RawReply, Verdict, call, framed};

const MNT: u32 = 1;
const UMNT: u32 = 3;
const UMNTALL: u32 = 4;

async fn ask(raw: &mut Raw, xid: u32, version: u32, procedure: u32, uid: u32, path: &str) -> RawReply {
    let args = dirpath(Opaque::borrowed(path.as_bytes()));
    raw.send(&framed(&call(xid, (mount::PROGRAM, version, procedure), credential(uid), &args))).await;
    raw.reply().await
}

fn is_mounted(reply: &RawReply) -> bool {
    match reply.decode::<mountres3<'_>>() {
        mountres3::Ok(ok) => {
            assert_eq!(ok.auth_flavors, [1], "AUTH_SYS");
            true
        }
        mountres3::Err(mountstat3::MNT3ERR_ACCES) => false,
        mountres3::Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_exact_path_with_the_token_mounts() {
    let server = Harness::start().await;
    let token = &server.config.export.token;
    let mut client = server.mount_client().await;
    for path in [
        "/".to_owned(),
        String::new(),
        "/My Bucket".to_owned(),
        format!("/{token}"),
        format!("/{token}/"),
        format!("/{token}/my bucket"),
        format!("/{token}/My Bucket/"),
        format!("{token}/My Bucket"),
        format!("/{}/My Bucket", token.to_uppercase()),
        format!("/{}/My Bucket", "0".repeat(32)),
    ] {
        let refused = client.mnt(dirpath(Opaque::borrowed(path.as_bytes()))).await;
        assert!(matches!(refused, Err(MountError::Denied(mountstat3::MNT3ERR_ACCES))), "{path}");
    }
    assert!(server.heard.all().is_empty());
    let path = server.export();
    client.mnt(dirpath(Opaque::borrowed(path.as_bytes()))).await.unwrap();
    client.mnt(dirpath(Opaque::borrowed(path.as_bytes()))).await.unwrap();
    assert_eq!(server.heard.all(), ["mounted", "mounted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_answers_one_mnt_per_window_and_its_retransmission() {
    let server = Harness::with(|config| config.export.window = MountWindow::Once).await;
    let path = server.export();
    let mut raw = Raw::connect(server.address).await;
    assert!(!is_mounted(&ask(&mut raw, 1, 3, MNT, OWNER, &path).await), "no window is open");
    server.server.open_mount_window(Duration::from_secs(30));
    let first = ask(&mut raw, 2, 3, MNT, OWNER, &path).await;
    assert!(is_mounted(&first));
    let mut reconnected = Raw::connect(server.address).await;
    assert_eq!(ask(&mut reconnected, 2, 3, MNT, OWNER, &path).await, first, "the same call again");
    assert!(!is_mounted(&ask(&mut reconnected, 3, 3, MNT, OWNER, &path).await), "another call");
    assert_eq!(server.heard.all(), ["mounted"]);
    server.server.open_mount_window(Duration::from_secs(30));
    assert!(is_mounted(&ask(&mut raw, 4, 3, MNT, OWNER, &path).await), "a new window");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_ends_by_itself_and_its_answer_with_it() {
    let server = Harness::with(|config| config.export.window = MountWindow::Once).await;
    let path = server.export();
    let mut raw = Raw::connect(server.address).await;
    server.server.open_mount_window(Duration::from_millis(300));
    assert!(is_mounted(&ask(&mut raw, 1, 3, MNT, OWNER, &path).await));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(!is_mounted(&ask(&mut raw, 1, 3, MNT, OWNER, &path).await), "too late for a retransmission");
    server.server.open_mount_window(Duration::from_millis(1));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!is_mounted(&ask(&mut raw, 2, 3, MNT, OWNER, &path).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_do_not_mount_root_and_owner_do() {
    let server = Harness::start().await;
    let path = server.export();
    let mut raw = Raw::connect(server.address).await;
    assert!(!is_mounted(&ask(&mut raw, 1, 3, MNT, OWNER + 1, &path).await));
    assert!(is_mounted(&ask(&mut raw, 2, 3, MNT, 0, &path).await));
    assert!(is_mounted(&ask(&mut raw, 3, 3, MNT, OWNER, &path).await));
    let args = dirpath(Opaque::borrowed(path.as_bytes()));
    raw.send(&framed(&call(4, (mount::PROGRAM, 3, MNT), opaque_auth::default(), &args))).await;
    assert!(matches!(raw.reply().await.verdict().0, Verdict::Denied(_)), "nobody in particular");
}

#[tokio::test(flavor = "multi_thread")]
async fn dump_and_export_tell_nothing() {
    let server = Harness::start().await;
    let mut client = server.mount_client().await;
    client.null().await.unwrap();
    server.root().await;
    assert!(client.dump().await.unwrap().is_empty());
    assert!(client.export().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unmounting_is_heard_of_in_both_versions() {
    let server = Harness::start().await;
    let path = server.export();
    let mut raw = Raw::connect(server.address).await;
    for (xid, version) in [(1, 3), (2, 1)] {
        assert!(ask(&mut raw, xid, version, UMNT, OWNER, &path).await.results().is_empty());
    }
    assert!(ask(&mut raw, 3, 3, UMNT, OWNER, "/something/else").await.results().is_empty());
    assert_eq!(server.heard.all(), ["unmounted"; 2]);
    raw.send(&framed(&call(4, (mount::PROGRAM, 3, UMNTALL), credential(OWNER), &Void))).await;
    assert!(raw.reply().await.results().is_empty());
    assert_eq!(server.heard.all(), ["unmounted"; 3]);
    let old = ask(&mut raw, 5, 1, MNT, OWNER, &path).await;
    assert!(matches!(old.verdict().0, Verdict::Accepted(accept_stat_data::PROC_UNAVAIL)));
}
