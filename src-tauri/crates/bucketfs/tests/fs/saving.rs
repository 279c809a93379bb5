//! Writes reach the bucket: whole, once, and never over somebody else's change.

use std::time::Duration;

use bucketfs::{Create, ErrorKind, Event, ROOT, SetAttr};
use bytes::Bytes;
use testkit::{Fault, Harm};

use crate::rig::{Rig, find, names, read_file, read_id, sync, write_file};

#[tokio::test(flavor = "multi_thread")]
async fn written_files_arrive_byte_for_byte() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let big = testkit::bytes(2, 12_345_678);
    write_file(&fs, "big.bin", &big).await;
    write_file(&fs, "empty", b"").await;
    fs.mkdir(ROOT, b"new", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "new/ü ☃ #%.txt", b"odd name").await;
    sync(&fs).await;
    assert_eq!(rig.on_hub("big.bin").unwrap(), big);
    assert_eq!(rig.on_hub("empty").unwrap(), b"");
    assert_eq!(rig.on_hub("new/ü ☃ #%.txt").unwrap(), b"odd name");
    assert!(fs.status().all_saved);
    assert_eq!(read_file(&fs, "big.bin").await, big, "and still reads the same here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_place_keeps_the_rest_and_downloads_nothing_at_the_write() {
    let rig = Rig::new();
    let mut content = testkit::bytes(3, 5_000_000);
    rig.put("model.bin", &content);
    let fs = rig.open().await;
    let id = find(&fs, "model.bin").await.unwrap();
    fs.read(id, 0, 4096).await.unwrap(); // READ first: the seed bug's beginning
    rig.hub.reset_counters();
    fs.write(id, 2_000_000, Bytes::from_static(b"EDIT"), false).await.unwrap();
    assert_eq!(rig.hub.counters().calls("reconstructions"), 0, "a WRITE asks the Hub for nothing");
    content[2_000_000..2_000_004].copy_from_slice(b"EDIT");
    assert_eq!(read_id(&fs, id).await, content);
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("model.bin").unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn cutting_and_growing_a_remote_file_shows_zeros_where_nothing_is() {
    let rig = Rig::new();
    rig.put("f", &[7u8; 1000]);
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    let size = |size| SetAttr { size: Some(size), ..SetAttr::default() };
    fs.setattr(id, size(100), None, None).await.unwrap();
    fs.setattr(id, size(300), None, None).await.unwrap();
    fs.write(id, 400, Bytes::from_static(b"end"), false).await.unwrap();
    let mut expected = vec![7u8; 100];
    expected.resize(400, 0);
    expected.extend_from_slice(b"end");
    assert_eq!(read_id(&fs, id).await, expected);
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("f").unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_unstable_data_is_never_sent() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = fs.create(ROOT, b"open", Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id;
    fs.write(id, 0, Bytes::from_static(b"half"), false).await.unwrap();
    let report = fs.sync(Some(Duration::from_secs(2))).await;
    assert!(!report.complete);
    assert_eq!(rig.on_hub("open"), None, "half a file is not a version");
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("open").unwrap(), b"half");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_change_is_kept_beside_ours() {
    let rig = Rig::new();
    rig.put("doc.txt", b"base version");
    let fs = rig.open_quiet().await;
    let id = find(&fs, "doc.txt").await.unwrap();
    fs.write(id, 0, Bytes::from_static(b"OURS"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    rig.put("doc.txt", b"theirs, a newer version");
    fs.start_sync();
    sync(&fs).await;
    assert_eq!(rig.on_hub("doc.txt").unwrap(), b"theirs, a newer version");
    let kept: Vec<_> = rig.paths().into_iter().filter(|path| path.contains("(conflict")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(rig.on_hub(&kept[0]).unwrap(), b"OURS version");
    assert!(rig.events.any(|event| matches!(event, Event::Conflict { .. })));
    assert_eq!(read_id(&fs, id).await, b"OURS version", "who has it open keeps what they wrote");
    assert_eq!(read_file(&fs, "doc.txt").await, b"theirs, a newer version");
    assert_eq!(names(&fs, "").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_never_overwrites_one_that_appeared_meanwhile() {
    let rig = Rig::new();
    let fs = rig.open_quiet().await;
    names(&fs, "").await;
    write_file(&fs, "same.txt", b"ours").await;
    rig.put("same.txt", b"theirs");
    fs.start_sync();
    sync(&fs).await;
    assert_eq!(rig.on_hub("same.txt").unwrap(), b"theirs");
    assert_eq!(rig.paths().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_that_somebody_replaced_is_not_deleted() {
    let rig = Rig::new();
    rig.put("shared.bin", b"one");
    let fs = rig.open_quiet().await;
    find(&fs, "shared.bin").await.unwrap();
    fs.remove(ROOT, b"shared.bin", None).await.unwrap();
    rig.put("shared.bin", b"two, by somebody else");
    fs.start_sync();
    sync(&fs).await;
    assert_eq!(rig.on_hub("shared.bin").unwrap(), b"two, by somebody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_neither_lost_nor_doubled() {
    let rig = Rig::new();
    let fs = rig.open().await;
    rig.hub.faults().add(Fault::on("/batch", Harm::LoseAnswer).times(2));
    write_file(&fs, "once.txt", b"exactly once").await;
    sync(&fs).await;
    assert_eq!(rig.paths(), ["once.txt"]);
    assert_eq!(rig.on_hub("once.txt").unwrap(), b"exactly once");
    assert!(!rig.events.any(|event| matches!(event, Event::Conflict { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_edits_wait_and_arrive_when_the_hub_is_back() {
    let mut rig = Rig::new();
    rig.put("known.txt", b"known");
    let fs = rig.open().await;
    assert_eq!(read_file(&fs, "known.txt").await, b"known");
    rig.hub.kill();
    write_file(&fs, "offline.txt", b"written on a train").await;
    assert_eq!(read_file(&fs, "offline.txt").await, b"written on a train");
    assert_eq!(read_file(&fs, "known.txt").await, b"known", "cached reads go on");
    let report = fs.sync(Some(Duration::from_secs(3))).await;
    assert!(!report.complete, "it does not claim what is not so");
    assert!(!fs.status().all_saved);
    rig.hub.restart();
    sync(&fs).await;
    assert_eq!(rig.on_hub("offline.txt").unwrap(), b"written on a train");
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_uploads_wait_and_refused_ones_say_why_until_retried() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.pause();
    write_file(&fs, "later.txt", b"later").await;
    assert!(!fs.sync(Some(Duration::from_secs(1))).await.complete);
    assert_eq!(rig.on_hub("later.txt"), None);
    let fault =
        rig.hub.faults().add(Fault::on("/batch", Harm::Status { status: 403, retry_after: None }).times(100));
    fs.resume();
    let report = fs.sync(Some(Duration::from_secs(20))).await;
    assert_eq!(report.left.len(), 1);
    assert!(matches!(report.left[0].state, bucketfs::ItemState::Failed { .. }), "{report:?}");
    assert!(rig.hub.faults().struck(fault) >= 1);
    assert!(rig.events.any(|event| matches!(event, Event::UploadFailed { will_retry: false, .. })));
    rig.hub.faults().clear();
    assert_eq!(fs.retry(Some("later.txt")), 1);
    sync(&fs).await;
    assert_eq!(rig.on_hub("later.txt").unwrap(), b"later");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_refuses_every_change() {
    let rig = Rig::new();
    rig.put("f", b"x");
    let config = bucketfs::Config { read_only: true, ..rig.config() };
    let fs = bucketfs::BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
    let id = find(&fs, "f").await.unwrap();
    let refused = [
        fs.write(id, 0, Bytes::from_static(b"y"), false).await.map(|_| ()).unwrap_err(),
        fs.remove(ROOT, b"f", None).await.map(|_| ()).unwrap_err(),
        fs.setattr(id, SetAttr::default(), None, None).await.map(|_| ()).unwrap_err(),
        fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.map(|_| ()).unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.kind == ErrorKind::ReadOnly));
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_copies_are_given_up_when_there_are_too_many_and_nothing_changes_for_the_reader() {
    let rig = Rig::new();
    let config = bucketfs::Config { saved_copies_bytes: 3_000_000, ..rig.config() };
    let fs = bucketfs::BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
    fs.start_sync();
    let mut shown = Vec::new();
    for index in 0..6u64 {
        let id = write_file(&fs, &format!("f{index}"), &testkit::bytes(index, 1_000_000)).await;
        sync(&fs).await;
        shown.push(fs.getattr(id).await.unwrap());
    }
    testkit::eventually(Duration::from_secs(10), || {
        let staged = std::fs::read_dir(rig.config().state_dir.join("staged")).unwrap();
        let data =
            staged.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "data"));
        let kept = data.count();
        if kept == 3 { Ok(()) } else { Err(kept) }
    });
    for (index, before) in shown.into_iter().enumerate() {
        let after = fs.getattr(before.id).await.unwrap();
        assert_eq!((after.size, after.mtime), (before.size, before.mtime), "the kernel's cache stays good");
        assert!(after.ctime >= before.ctime);
        assert_eq!(read_id(&fs, before.id).await, testkit::bytes(index as u64, 1_000_000));
    }
    let unsent = write_file(&fs, "unsent", &testkit::bytes(99, 5_000_000)).await;
    assert_eq!(read_id(&fs, unsent).await, testkit::bytes(99, 5_000_000), "never what is not on the Hub");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_saved_empty_before_its_first_write_is_no_conflict() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = fs.create(ROOT, b"slow", Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id;
    rig.hub.faults().add(Fault::on("POST */batch", Harm::HoldAnswer { ms: 4000 }).times(1));
    testkit::eventually(Duration::from_secs(20), || rig.on_hub("slow").ok_or("not yet saved empty"));
    // The batch is applied and not answered: the tree does not know the empty file's identity yet.
    fs.write(id, 0, Bytes::from_static(b"content"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    let state = fs.queue().into_iter().map(|item| item.state).collect::<Vec<_>>();
    assert_eq!(state, [bucketfs::ItemState::Committing], "the race was not met: the answer came too early");
    sync(&fs).await;
    assert_eq!(rig.paths(), ["slow"]);
    assert_eq!(rig.on_hub("slow").unwrap(), b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_while_signed_out_goes_up_at_the_next_sign_in() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    let signed_out = Harm::Status { status: 401, retry_after: None };
    rig.hub.faults().add(Fault::on("/api/buckets/", signed_out));
    write_file(&fs, "f", b"kept").await;
    let report = fs.sync(Some(Duration::from_secs(20))).await;
    assert_eq!(report.left.len(), 1);
    assert!(matches!(report.left[0].state, bucketfs::ItemState::Failed { .. }), "{report:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!fs.status().all_saved, "it waits");
    rig.hub.faults().clear();
    let saved = async {
        while !fs.status().all_saved {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), saved).await.expect("nobody has to say retry");
    assert_eq!(rig.on_hub("f").unwrap(), b"kept");
}
