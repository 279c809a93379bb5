//! Changes that slip in between our look and our batch, answers that never come, readers beside a change.

use std::collections::HashMap;
use std::time::Duration;

use bucketfs::faults::{Harm as DiskHarm, Part, Step};
use bucketfs::{BucketFs, Event, ROOT};
use bytes::Bytes;
use testkit::{Fault, Harm};

use crate::rig::{Rig, find, names, read_file, read_id, sync, undated, until, write_file};

/// The batch is under way and not applied.
async fn batch_is_on_its_way(rig: &Rig, fault: u64) {
    until(async || (rig.hub.faults().struck(fault) > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slips_in_between_look_and_batch_is_kept_beside_ours() {
    let rig = Rig::new();
    rig.put("f.txt", b"base");
    let fs = rig.open().await;
    let id = find(&fs, "f.txt").await.unwrap();
    let fault = rig.hub.faults().add(Fault::on("POST */batch", Harm::Delay { ms: 1500 }).times(1));
    fs.write(id, 0, Bytes::from_static(b"OURS"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    batch_is_on_its_way(&rig, fault).await;
    put_past_the_fault(&rig, "f.txt", b"theirs slipped in").await;
    until(async || rig.everything().get("f.txt").is_some_and(|content| content == "OURS").then_some(()))
        .await;
    until(async || rig.events.any(|event| matches!(event, Event::Overwrote { .. })).then_some(())).await;
    sync(&fs).await;
    let everything = rig.everything();
    assert_eq!(everything["f.txt"], "OURS");
    assert_eq!(everything["f (conflict).txt"], "theirs slipped in");
    let conflicts = fs.conflicts().unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(
        (conflicts[0].path.as_str(), undated(&conflicts[0].kept_as).as_str()),
        ("f.txt", "f (conflict).txt")
    );
    fs.resolve(conflicts[0].id, bucketfs::Resolution::KeepTheirs).await.unwrap();
    sync(&fs).await;
    assert_eq!(
        rig.everything().into_iter().collect::<Vec<_>>(),
        [("f.txt".into(), "theirs slipped in".into())]
    );
}

/// The control endpoint commits without the route that the fault strikes.
async fn put_past_the_fault(rig: &Rig, path: &str, content: &[u8]) {
    rig.put(path, content);
    assert_eq!(rig.on_hub(path).unwrap(), content, "the race was not met: our batch was there first");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_slips_in_before_a_deletion_comes_back() {
    let rig = Rig::new();
    rig.put("f", b"base");
    rig.put("other", b"o");
    let fs = rig.open().await;
    names(&fs, "").await;
    let fault = rig.hub.faults().add(Fault::on("POST */batch", Harm::Delay { ms: 1500 }).times(1));
    fs.remove(ROOT, b"f", None).await.unwrap();
    let syncing = tokio::spawn({
        let fs = fs.clone();
        async move { fs.sync(Some(Duration::from_secs(30))).await }
    });
    batch_is_on_its_way(&rig, fault).await;
    put_past_the_fault(&rig, "f", b"theirs slipped in").await;
    syncing.await.unwrap();
    until(async || rig.events.any(|event| matches!(event, Event::Overwrote { .. })).then_some(())).await;
    sync(&fs).await;
    assert_eq!(rig.on_hub("f").unwrap(), b"theirs slipped in");
    assert_eq!(read_id(&fs, find(&fs, "f").await.unwrap()).await, b"theirs slipped in");
    assert!(fs.conflicts().unwrap().is_empty(), "there is only one version");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_changes_are_nobodys_conflict() {
    let rig = Rig::new();
    let fs = rig.open().await;
    for round in 0..5u8 {
        write_file(&fs, "a", &[round; 10]).await;
        write_file(&fs, "b", &[round; 20]).await;
        sync(&fs).await;
    }
    fs.rename(ROOT, b"a", ROOT, b"b", None).await.unwrap();
    sync(&fs).await;
    fs.remove(ROOT, b"b", None).await.unwrap();
    sync(&fs).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(rig.paths().is_empty());
    assert!(!rig.events.any(|event| matches!(event, Event::Overwrote { .. } | Event::Conflict { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_after_a_lost_answer_and_a_crash_is_no_conflict_with_oneself() {
    let rig = Rig::new();
    rig.put("f", b"base");
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    rig.hub.faults().add(Fault::on("POST */batch", Harm::HoldAnswer { ms: 20_000 }).times(1));
    fs.write(id, 0, Bytes::from_static(b"ONE!"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    until(async || (rig.on_hub("f").unwrap() == b"ONE!").then_some(())).await;
    // The process dies before the answer: only what was stored before the batch knows that it is ours.
    let crashed = rig.crash_copy();
    fs.shutdown(Duration::from_millis(100)).await;
    drop(fs);
    let config = bucketfs::Config { state_dir: crashed, ..rig.config() };
    let fs = bucketfs::BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
    fs.write(id, 0, Bytes::from_static(b"TWO!"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    fs.start_sync();
    sync(&fs).await;
    assert_eq!(rig.everything().into_iter().collect::<Vec<_>>(), [("f".into(), "TWO!".into())]);
    assert!(!rig.events.any(|event| matches!(event, Event::Conflict { .. } | Event::Overwrote { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_one_version_with_its_own_times_never_a_mix() {
    const SIZE: usize = 600_000;
    let rig = Rig::new();
    rig.put("f", &vec![b'a'; SIZE]);
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    let replacing = {
        let client = testkit::HubClient::new(rig.hub.endpoint(), Some(rig.hub.token()));
        let bucket = rig.bucket.clone();
        std::thread::spawn(move || {
            for (index, letter) in (b'b'..=b'h').enumerate() {
                client.put(&bucket, "f", &vec![letter; SIZE + index + 1]);
                std::thread::sleep(Duration::from_millis(300));
            }
        })
    };
    let mut versions: HashMap<bucketfs::Timestamp, (u8, u64)> = HashMap::new();
    let mut last = fs.getattr(id).await.unwrap().mtime;
    let mut offset = 0;
    while !replacing.is_finished() || versions.len() < 2 {
        fs.getattr(ROOT).await.unwrap(); // as a kernel does; makes the folder be followed
        let read = fs.read(id, offset % SIZE as u64, 65_536).await.unwrap();
        let bytes = read.data.concat();
        let letter = bytes[0];
        assert!(bytes.iter().all(|byte| *byte == letter), "one READ mixes two versions");
        let seen = *versions.entry(read.attr.mtime).or_insert((letter, read.attr.size));
        assert_eq!(seen, (letter, read.attr.size), "one mtime shows two versions");
        assert!(read.attr.mtime >= last, "a clock went back");
        last = read.attr.mtime;
        offset += 65_536;
        assert!(offset < 1 << 40, "the change never came");
    }
    replacing.join().unwrap();
    let letters: std::collections::HashSet<u8> = versions.values().map(|(letter, _)| *letter).collect();
    assert_eq!(letters.len(), versions.len(), "every version has an mtime of its own");
}

/// The disk fails just when a saved copy that others have overtaken was to be given up: it is later, and nobody reads
/// old bytes under new attributes for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_copy_is_given_up_later_when_the_disk_fails_first() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = write_file(&fs, "f", &[1; 1000]).await;
    sync(&fs).await;
    rig.faults.fail(Step::Sync, Part::Database, DiskHarm::Io, Some(1));
    rig.put("f", &[2; 100]);
    until(async || {
        names(&fs, "").await;
        (fs.getattr(id).await.unwrap().size == 100).then_some(())
    })
    .await;
    until(async || {
        names(&fs, "").await;
        (read_id(&fs, id).await == [2; 100]).then_some(())
    })
    .await;
    fs.write(id, 100, Bytes::from_static(b"ours"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("f").unwrap(), [&[2; 100][..], b"ours"].concat());
}

/// The process ends between learning of others' version and giving the old copy up: the start does it.
#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_copy_is_not_read_after_a_restart() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = write_file(&fs, "f", &[1; 1000]).await;
    sync(&fs).await;
    rig.faults.fail(Step::Sync, Part::Database, DiskHarm::Io, Some(1000));
    rig.put("f", &[2; 1000]);
    // The row is written, and what must be on stable storage before the copy goes is not.
    until(async || {
        names(&fs, "").await;
        rig.faults.left().iter().any(|order| order.times < Some(1000)).then_some(())
    })
    .await;
    assert!(read_id(&fs, id).await == [1; 1000], "the copy is there still");
    let crashed = rig.crash_copy();
    rig.faults.clear();
    let config = bucketfs::Config { state_dir: crashed, ..rig.config() };
    // No listing is taken in: what the start finds is what counts.
    let again = BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
    assert!(read_id(&again, id).await == [2; 1000]);
}

/// Somebody else's file is found at the key, and ours was renamed while we looked: theirs has that name, ours its new
/// one, and there is no conflict.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_renamed_during_the_look_leaves_the_name_to_theirs() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    fs.pause();
    write_file(&fs, "a", b"ours").await;
    rig.put("a", b"theirs");
    let look = rig.hub.faults().add(Fault::on("/paths-info", Harm::HoldAnswer { ms: 1500 }).times(1));
    fs.resume();
    until(async || (rig.hub.faults().struck(look) == 1).then_some(())).await;
    fs.rename(ROOT, b"a", ROOT, b"x", None).await.unwrap();
    sync(&fs).await;
    until(async || (names(&fs, "").await == ["a", "x"]).then_some(())).await;
    assert_eq!(rig.paths(), ["a", "x"]);
    assert_eq!((rig.on_hub("a").unwrap(), rig.on_hub("x").unwrap()), (b"theirs".to_vec(), b"ours".to_vec()));
    assert_eq!(
        (read_file(&fs, "a").await, read_file(&fs, "x").await),
        (b"theirs".to_vec(), b"ours".to_vec())
    );
    assert!(!rig.events.any(|event| matches!(event, Event::Conflict { .. })));
}

/// The database cannot be written when a file was saved: not the whole content again and again, and a person hears.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_noted_here_is_not_sent_for_ever_and_told() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.pause();
    let id = write_file(&fs, "f", &testkit::bytes(5, 3_000_000)).await;
    fs.commit(id, 0, 0).await.unwrap();
    let before = rig.hub.counters().calls("shards");
    rig.faults.fail(Step::Write, Part::Database, DiskHarm::Io, None);
    fs.resume();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let sent = rig.hub.counters().calls("shards") - before;
    assert!(sent <= 6, "{sent} uploads in 6 s");
    rig.faults.clear();
    until(async || rig.on_hub("f").map(drop)).await;
}
