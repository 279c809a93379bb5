//! Names: create, rename, remove, listings, litter, handles.

use std::time::Duration;

use bucketfs::{Create, ErrorKind, Kind, ROOT, Receipt, SetAttr, SetTime, Timestamp};
use bytes::Bytes;
use testkit::{Fault, Harm};

use crate::rig::{Rig, find, names, read_file, sync, write_file};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_has_is_listed_and_read_byte_for_byte() {
    let rig = Rig::new();
    let big = testkit::bytes(1, 3_000_000);
    rig.put("a.txt", b"hello");
    rig.put("deep/er/größe #1 100%.bin", &big);
    rig.put("deep-neighbour", b"n");
    let fs = rig.open().await;
    assert_eq!(names(&fs, "").await, ["a.txt", "deep", "deep-neighbour"]);
    assert_eq!(names(&fs, "deep/er").await, ["größe #1 100%.bin"]);
    assert_eq!(read_file(&fs, "deep/er/größe #1 100%.bin").await, big);
    assert_eq!(fs.lookup(ROOT, b"missing").await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(
        fs.lookup(find(&fs, "a.txt").await.unwrap(), b"x").await.unwrap_err().kind,
        ErrorKind::NotDirectory
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_found_in_either_normal_form_exact_bytes_first() {
    let rig = Rig::new();
    let (nfc, nfd) = ("caf\u{e9}", "cafe\u{301}");
    rig.put(nfc, b"composed");
    rig.put(nfd, b"decomposed");
    rig.put("only-nfd-e\u{301}", b"x");
    let fs = rig.open().await;
    assert_eq!(names(&fs, "").await.len(), 3, "both are shown, one of them under a marked name");
    let composed = read_file(&fs, nfc).await;
    assert!(composed == b"composed" || composed == b"decomposed");
    assert_eq!(read_file(&fs, "only-nfd-\u{e9}").await, b"x", "a Mac asks in NFC");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_folder_keeps_ids_and_the_hub_follows_by_hash() {
    let rig = Rig::new();
    for index in 0..20 {
        rig.put(&format!("old/sub/{index}.bin"), format!("content {index}").as_bytes());
    }
    let fs = rig.open().await;
    let id = find(&fs, "old/sub/7.bin").await.unwrap();
    fs.rename(ROOT, b"old", ROOT, b"new", None).await.unwrap();
    assert_eq!(find(&fs, "new/sub/7.bin").await.unwrap(), id);
    assert_eq!(read_file(&fs, "new/sub/3.bin").await, b"content 3", "readable at once");
    assert!(fs.lookup(ROOT, b"old").await.is_err());
    // Something new under the old name must survive the move.
    fs.mkdir(ROOT, b"old", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "old/fresh.txt", b"fresh").await;
    rig.hub.reset_counters();
    sync(&fs).await;
    let mut paths = rig.paths();
    paths.sort();
    let mut expected: Vec<String> = (0..20).map(|index| format!("new/sub/{index}.bin")).collect();
    expected.push("old/fresh.txt".into());
    expected.sort();
    assert_eq!(paths, expected);
    assert_eq!(rig.on_hub("new/sub/19.bin").unwrap(), b"content 19");
    assert_eq!(names(&fs, "new/sub").await.len(), 20);
    assert_eq!(find(&fs, "new/sub/7.bin").await.unwrap(), id, "the handle is still the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_replaces_as_posix_says() {
    let rig = Rig::new();
    let fs = rig.open().await;
    write_file(&fs, "a", b"A").await;
    write_file(&fs, "b", b"B").await;
    fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.unwrap();
    fs.mkdir(ROOT, b"full", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "full/x", b"X").await;
    let kind = |error: bucketfs::Error| error.kind;
    assert_eq!(kind(fs.rename(ROOT, b"a", ROOT, b"d", None).await.unwrap_err()), ErrorKind::IsDirectory);
    assert_eq!(kind(fs.rename(ROOT, b"d", ROOT, b"a", None).await.unwrap_err()), ErrorKind::NotDirectory);
    assert_eq!(kind(fs.rename(ROOT, b"d", ROOT, b"full", None).await.unwrap_err()), ErrorKind::NotEmpty);
    let full = find(&fs, "full").await.unwrap();
    assert_eq!(kind(fs.rename(ROOT, b"full", full, b"in", None).await.unwrap_err()), ErrorKind::Invalid);
    assert_eq!(kind(fs.rename(ROOT, b"gone", ROOT, b"z", None).await.unwrap_err()), ErrorKind::NotFound);
    fs.rename(ROOT, b"full", ROOT, b"d", None).await.unwrap();
    let id = find(&fs, "a").await.unwrap();
    fs.rename(ROOT, b"a", ROOT, b"b", None).await.unwrap();
    assert_eq!(find(&fs, "b").await.unwrap(), id);
    fs.rename(ROOT, b"b", ROOT, b"b", None).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.paths(), ["b", "d/x"]);
    assert_eq!(rig.on_hub("b").unwrap(), b"A");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editors_safe_save_costs_one_upload_and_no_delete() {
    let rig = Rig::new();
    rig.put("doc.txt", b"version 1");
    let fs = rig.open().await;
    find(&fs, "doc.txt").await.unwrap();
    rig.hub.reset_counters();
    write_file(&fs, "doc.txt.tmp", b"version 2").await;
    fs.rename(ROOT, b"doc.txt", ROOT, b"doc.txt~", None).await.unwrap();
    fs.rename(ROOT, b"doc.txt.tmp", ROOT, b"doc.txt", None).await.unwrap();
    fs.remove(ROOT, b"doc.txt~", None).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.paths(), ["doc.txt"]);
    assert_eq!(rig.on_hub("doc.txt").unwrap(), b"version 2");
    assert!(
        !rig.events.any(|event| matches!(event, bucketfs::Event::Conflict { .. })),
        "no conflict with oneself"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn litter_stays_here_and_a_folder_with_nothing_else_is_empty() {
    let rig = Rig::new();
    rig.put("d/real.txt", b"real");
    let fs = rig.open().await;
    write_file(&fs, "d/.DS_Store", b"finder").await;
    write_file(&fs, "d/._real.txt", b"apple double").await;
    let silly = write_file(&fs, "d/.nfs000000000001a2b30000004c", b"still open").await;
    sync(&fs).await;
    assert_eq!(rig.paths(), ["d/real.txt"], "no litter in the bucket");
    assert_eq!(read_file(&fs, "d/.DS_Store").await, b"finder", "Finder sees its files as ever");
    assert_eq!(fs.rmdir(ROOT, b"d", None).await.unwrap_err().kind, ErrorKind::NotEmpty);
    let d = find(&fs, "d").await.unwrap();
    fs.remove(d, b"real.txt", None).await.unwrap();
    fs.rmdir(ROOT, b"d", None).await.unwrap();
    assert_eq!(fs.getattr(d).await.unwrap_err().kind, ErrorKind::Gone);
    assert_eq!(crate::rig::read_id(&fs, silly).await, b"still open", "an open unlinked file lives on");
    sync(&fs).await;
    assert!(rig.paths().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinked_open_file_stays_readable_and_writable_while_the_hub_forgets_it() {
    let rig = Rig::new();
    rig.put("open.bin", b"remote content");
    let fs = rig.open().await;
    let id = find(&fs, "open.bin").await.unwrap();
    fs.rename(ROOT, b"open.bin", ROOT, b".nfs.0001f2a3.4c5d", None).await.unwrap();
    sync(&fs).await;
    assert!(rig.paths().is_empty(), "the person deleted it");
    assert_eq!(crate::rig::read_id(&fs, id).await, b"remote content");
    fs.write(id, 0, Bytes::from_static(b"LOCAL"), false).await.unwrap();
    assert_eq!(crate::rig::read_id(&fs, id).await, b"LOCALe content");
    fs.remove(ROOT, b".nfs.0001f2a3.4c5d", None).await.unwrap();
    assert_eq!(fs.getattr(id).await.unwrap_err().kind, ErrorKind::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_times_symlinks_and_empty_folders_outlive_a_restart() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = write_file(&fs, "script", b"#!/bin/sh\n").await;
    let then = Timestamp(1_000_000_000_123_456_789);
    let change = SetAttr { mode: Some(0o755), mtime: Some(SetTime::To(then)), ..SetAttr::default() };
    fs.setattr(id, change, None, None).await.unwrap();
    fs.symlink(ROOT, b"link", b"script".to_vec(), SetAttr::default(), None).await.unwrap();
    fs.mkdir(ROOT, b"empty", SetAttr::default(), None).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.paths(), ["script"]);
    assert_eq!(fs.status().local_only, 2, "told, not hidden");
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    let fs = rig.open().await;
    let attr = fs.lookup(ROOT, b"script").await.unwrap();
    assert_eq!((attr.id, attr.mode, attr.mtime), (id, 0o755, then));
    assert_eq!(fs.readlink(find(&fs, "link").await.unwrap()).await.unwrap(), b"script");
    assert_eq!(names(&fs, "").await, ["empty", "link", "script"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_exclusive_is_idempotent_for_one_verifier_only() {
    let rig = Rig::new();
    let fs = rig.open_quiet().await;
    let first = fs.create(ROOT, b"x", Create::Exclusive([7; 8]), None).await.unwrap();
    let again = fs.create(ROOT, b"x", Create::Exclusive([7; 8]), None).await.unwrap();
    assert_eq!(first.attr.id, again.attr.id);
    let other = fs.create(ROOT, b"x", Create::Exclusive([8; 8]), None).await.unwrap_err();
    assert_eq!(other.kind, ErrorKind::Exists);
    let guarded = fs.create(ROOT, b"x", Create::Guarded(SetAttr::default()), None).await.unwrap_err();
    assert_eq!(guarded.kind, ErrorKind::Exists);
    assert_eq!(first.attr.kind, Kind::File);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folders_clock_moves_with_every_name_and_wcc_is_exact() {
    let rig = Rig::new();
    let fs = rig.open_quiet().await;
    let mut last = fs.getattr(ROOT).await.unwrap();
    for index in 0..50 {
        let name = format!("f{index}");
        let made = fs.create(ROOT, name.as_bytes(), Create::Guarded(SetAttr::default()), None).await.unwrap();
        assert_eq!(made.dir.before, last.stamp(), "before is what was shown last");
        assert!(made.dir.after.mtime > last.mtime);
        last = made.dir.after;
    }
    let change = fs.remove(ROOT, b"f0", None).await.unwrap();
    assert_eq!(change.before, last.stamp());
    assert_eq!(fs.getattr(ROOT).await.unwrap(), change.after);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_stored_with_its_change_and_found_after_a_restart() {
    let rig = Rig::new();
    let fs = rig.open_quiet().await;
    let receipt = |tag: u8| Receipt::new(vec![tag; 32], move |_| vec![tag, 1, 2]);
    fs.create(ROOT, b"x", Create::Guarded(SetAttr::default()), Some(receipt(1))).await.unwrap();
    let refused = Receipt::new(vec![9; 32], |_: &bucketfs::Made| vec![9]);
    fs.create(ROOT, b"x", Create::Guarded(SetAttr::default()), Some(refused)).await.unwrap_err();
    fs.remove(ROOT, b"x", Some(Receipt::new(vec![2; 32], |_| vec![2]))).await.unwrap();
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    let stored = rig.open_quiet().await.stored_replies();
    assert_eq!(stored, [(vec![1; 32], vec![1, 1, 2]), (vec![2; 32], vec![2])], "none for the failure");
}

/// A listing shows a key whose batch has been applied but not answered; the person has removed the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_removed_while_its_save_is_under_way_does_not_come_back() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    rig.hub.faults().add(Fault::on("POST */batch", Harm::HoldAnswer { ms: 5000 }).times(1));
    write_file(&fs, "f", b"soon gone").await;
    let saving = tokio::spawn({
        let fs = fs.clone();
        async move { fs.sync(Some(Duration::from_secs(60))).await }
    });
    while rig.on_hub("f").is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs.remove(ROOT, b"f", None).await.unwrap();
    rig.put("other", b"news that makes the folder be listed");
    let mut listed_before_the_answer = false;
    while !saving.is_finished() {
        let names = names(&fs, "").await;
        assert!(!names.contains(&"f".to_owned()), "a removed file came back");
        // `f` is there as long as the answer is held back: nobody has told the Hub to delete it.
        listed_before_the_answer |= names.contains(&"other".to_owned()) && rig.on_hub("f").is_some();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(listed_before_the_answer, "the race was not met: no listing saw the key before the answer came");
    saving.await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.paths(), ["other"]);
    assert_eq!(names(&fs, "").await, ["other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_removed_here_stays_removed_while_the_hub_still_implies_it() {
    let rig = Rig::new();
    rig.put("d/e/x", b"x");
    let fs = rig.open().await;
    assert_eq!(names(&fs, "d/e").await, ["x"]);
    fs.pause();
    let (d, e) = (find(&fs, "d").await.unwrap(), find(&fs, "d/e").await.unwrap());
    fs.remove(e, b"x", None).await.unwrap();
    fs.rmdir(d, b"e", None).await.unwrap();
    fs.rmdir(ROOT, b"d", None).await.unwrap();
    let before = fs.getattr(ROOT).await.unwrap().mtime;
    rig.put("other", b"news that makes the folder be listed");
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while fs.getattr(ROOT).await.unwrap().mtime == before {
        assert!(tokio::time::Instant::now() < end, "the news never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(names(&fs, "").await, ["other"]);
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.paths(), ["other"]);
    // Somebody else's file below the same key shows as soon as ours is gone.
    rig.put("d/theirs", b"t");
    while !names(&fs, "").await.contains(&"d".to_owned()) {
        assert!(tokio::time::Instant::now() < end, "their folder never showed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_under_a_renamed_folders_old_name_is_not_carried_along() {
    let rig = Rig::new();
    rig.put("old/x", b"x");
    let fs = rig.open().await;
    assert_eq!(names(&fs, "old").await, ["x"]);
    fs.rename(ROOT, b"old", ROOT, b"new", None).await.unwrap();
    fs.mkdir(ROOT, b"old", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "old/fresh", b"fresh").await;
    // The upload's debounce is shorter than the wait of a folder's move: the new file is there first.
    testkit::eventually(Duration::from_secs(20), || rig.on_hub("old/fresh").ok_or("not yet saved"));
    sync(&fs).await;
    let mut paths = rig.paths();
    paths.sort();
    assert_eq!(paths, ["new/x", "old/fresh"]);
}
