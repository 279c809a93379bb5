//! Changes that others make are seen, and never lose a local edit.

use std::time::Duration;

use bucketfs::{ErrorKind, ROOT};
use bytes::Bytes;

use testkit::{Fault, Harm};

use crate::rig::{Rig, find, names, read_id, sync, write_file};

async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not happen within 20 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_change_moves_mtime_and_gives_the_new_content() {
    let rig = Rig::new();
    rig.put("f", b"old");
    let fs = rig.open().await;
    let before = fs.lookup(ROOT, b"f").await.unwrap();
    let root_before = fs.getattr(ROOT).await.unwrap();
    rig.put("f", b"new content");
    rig.put("g", b"another");
    let after = until(async || {
        let attr = fs.getattr(before.id).await.unwrap();
        fs.getattr(ROOT).await.unwrap();
        (attr.size == 11).then_some(attr)
    })
    .await;
    assert!(after.mtime > before.mtime);
    assert!(fs.getattr(ROOT).await.unwrap().mtime > root_before.mtime, "the only clock for names");
    assert_eq!(read_id(&fs, before.id).await, b"new content");
    assert_eq!(names(&fs, "").await, ["f", "g"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_deleted_elsewhere_keeps_its_handle_and_a_write_brings_it_back() {
    let rig = Rig::new();
    rig.put("f", b"still readable");
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    rig.hub.client().delete(&rig.bucket, "f");
    until(async || {
        let looked = fs.lookup(ROOT, b"f").await;
        looked.is_err_and(|error| error.kind == ErrorKind::NotFound).then_some(())
    })
    .await;
    assert_eq!(read_id(&fs, id).await, b"still readable", "no STALE: it goes by its hash");
    fs.write(id, 0, Bytes::from_static(b"STILL"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("f").unwrap(), b"STILL readable");
}

/// The feed begins where the bucket stood when it was first asked about; a folder may have been listed before.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_between_the_first_listing_and_the_feeds_beginning_is_seen() {
    let rig = Rig::new();
    rig.put("f", b"content");
    let harm = Harm::Refuse { status: 403, code: None, message: "not yet".into() };
    let first = rig.hub.faults().add(Fault::on("GET */buckets/", harm).times(1));
    let config = bucketfs::Config { poll: Duration::from_secs(2), ..rig.config() };
    let fs = rig.open_with(config, rig.client()).await;
    until(async || (rig.hub.faults().struck(first) == 1).then_some(())).await;
    assert_eq!(names(&fs, "").await, ["f"]);
    rig.hub.client().delete(&rig.bucket, "f");
    until(async || names(&fs, "").await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_here_and_replaced_elsewhere_is_read_anew() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = write_file(&fs, "f", b"ours, saved").await;
    sync(&fs).await;
    let before = fs.getattr(id).await.unwrap();
    rig.put("f", b"theirs");
    let after = until(async || {
        fs.getattr(ROOT).await.unwrap();
        let attr = fs.getattr(id).await.unwrap();
        (attr.size == 6).then_some(attr)
    })
    .await;
    assert!(after.mtime > before.mtime);
    assert_eq!(read_id(&fs, id).await, b"theirs", "not the saved copy of the old content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_saved_file_that_was_deleted_elsewhere_is_not_lost() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = write_file(&fs, "f", b"saved").await;
    sync(&fs).await;
    rig.hub.client().delete(&rig.bucket, "f");
    until(async || fs.lookup(ROOT, b"f").await.is_err().then_some(())).await;
    assert_eq!(read_id(&fs, id).await, b"saved");
    fs.write(id, 5, Bytes::from_static(b" and more"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("f").unwrap(), b"saved and more");
    assert_eq!(find(&fs, "f").await.unwrap(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_survives_the_remote_deletion_of_its_file() {
    let rig = Rig::new();
    rig.put("d/f", b"base");
    let fs = rig.open().await;
    let id = find(&fs, "d/f").await.unwrap();
    fs.pause();
    fs.write(id, 0, Bytes::from_static(b"EDIT"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    rig.hub.client().delete(&rig.bucket, "d/f");
    tokio::time::sleep(Duration::from_secs(2)).await;
    names(&fs, "d").await;
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.on_hub("d/f").unwrap(), b"EDIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_hub_is_an_error_and_never_an_empty_folder() {
    let mut rig = Rig::new();
    rig.put("d/f", b"x");
    let fs = rig.open_quiet().await;
    let d = find(&fs, "d").await.unwrap();
    rig.hub.kill();
    let listing =
        tokio::time::timeout(Duration::from_secs(60), fs.readdir(d, 0, 100)).await.expect("bounded");
    assert_eq!(listing.unwrap_err().kind, ErrorKind::Offline);
    let lookup = tokio::time::timeout(Duration::from_secs(60), fs.lookup(d, b"f")).await.expect("bounded");
    assert_ne!(lookup.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(names(&fs, "").await, ["d"], "what was listed before is still there");
}
