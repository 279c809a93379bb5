//! The local disk fails: what the client is told, what it is made to send again, what is never uploaded.

use std::time::Duration;

use bucketfs::faults::{Harm, Order, Part, Step};
use bucketfs::{BucketFs, Create, ErrorKind, Event, FileId, ROOT, SetAttr, SetTime, Timestamp};
use bytes::Bytes;

use crate::rig::{Rig, find, read_id, sync, until, write_file};

async fn new_file(fs: &BucketFs, name: &str) -> FileId {
    fs.create(ROOT, name.as_bytes(), Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id
}

async fn write(fs: &BucketFs, id: FileId, offset: u64, data: &'static [u8], durable: bool) -> u64 {
    fs.write(id, offset, Bytes::from_static(data), durable).await.unwrap().verifier
}

fn times() -> SetAttr {
    SetAttr { mtime: Some(SetTime::To(Timestamp(1_000_000_000))), ..SetAttr::default() }
}

/// Nothing of the file may leave this machine.
async fn stays_here(rig: &Rig, fs: &std::sync::Arc<BucketFs>, path: &str) {
    assert!(!fs.sync(Some(Duration::from_secs(2))).await.complete);
    assert_eq!(rig.on_hub(path), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_answered_with_a_new_verifier_and_only_what_is_sent_again_counts() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let (a, b) = (new_file(&fs, "a").await, new_file(&fs, "b").await);
    let first = write(&fs, a, 0, b"aaaa", false).await;
    assert_eq!(write(&fs, b, 0, b"bbbb", false).await, first, "one verifier for every file");
    rig.faults.fail(Step::Sync, Part::Data, Harm::Io, Some(1));
    let second = fs.commit(a, 0, 0).await.unwrap().verifier;
    assert_ne!(second, first, "OK, and the client has to send everything again");
    assert!(rig.events.any(|event| matches!(event, Event::SyncToDiskFailed { .. })));
    assert_eq!(fs.commit(b, 0, 0).await.unwrap().verifier, second, "the other file's client learns it too");
    // A later sync succeeds, but the kernel calls the lost pages clean: `a` is not a version yet.
    assert_eq!(fs.commit(a, 0, 0).await.unwrap().verifier, second);
    stays_here(&rig, &fs, "a").await;
    // What macOS does: FILE_SYNC, and no COMMIT after it.
    assert_eq!(write(&fs, a, 0, b"aaaa", true).await, second);
    write(&fs, b, 0, b"bbbb", true).await;
    sync(&fs).await;
    assert_eq!(rig.on_hub("a").unwrap(), b"aaaa");
    assert_eq!(rig.on_hub("b").unwrap(), b"bbbb");
    // What Linux does: UNSTABLE once more, then COMMIT.
    write(&fs, a, 4, b"more", false).await;
    rig.faults.fail(Step::Sync, Part::Log, Harm::Io, Some(1));
    let third = fs.commit(a, 0, 0).await.unwrap().verifier;
    assert_ne!(third, second);
    write(&fs, a, 4, b"more", false).await;
    assert_eq!(fs.commit(a, 0, 0).await.unwrap().verifier, third);
    // The log was written anew after its failed sync: all of it is there after a crash.
    let crashed = bucketfs::Config { state_dir: rig.crash_copy(), ..rig.config() };
    let again = BucketFs::open(crashed, rig.client(), rig.events.clone()).await.unwrap();
    assert_eq!(read_id(&again, a).await, b"aaaamore");
    sync(&fs).await;
    assert_eq!(rig.on_hub("a").unwrap(), b"aaaamore");
}

/// Two COMMITs at once: one meets the failure, the other's sync finds the lost pages clean. Neither may say that the
/// bytes are safe, else the client throws away the one copy there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_commits_at_once_and_a_failed_sync_neither_says_it_is_safe() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = new_file(&fs, "twice").await;
    for round in 0..50 {
        let unstable = write(&fs, id, 0, b"data", false).await;
        rig.faults.fail(Step::Sync, Part::Data, Harm::Io, Some(1));
        let both = futures_util::future::join(fs.commit(id, 0, 0), fs.commit(id, 0, 0)).await;
        for answer in [both.0, both.1] {
            assert_ne!(answer.unwrap().verifier, unstable, "round {round}");
        }
        // Sent again, as the new verifier asks for.
        let again = write(&fs, id, 0, b"data", false).await;
        assert_eq!(fs.commit(id, 0, 0).await.unwrap().verifier, again);
    }
    sync(&fs).await;
    assert_eq!(rig.on_hub("twice").unwrap(), b"data");
}

/// As `fork`ed programs do: a synchronous WRITE and a COMMIT of one file at once. The kernel tells of lost pages once: the
/// WRITE's sync has met that and not said so yet, the COMMIT's finds all clean.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_synchronous_write_that_fails_beside_a_commit_takes_nothing_with_it() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = new_file(&fs, "beside").await;
    let unstable = write(&fs, id, 100, b"before", false).await;
    rig.faults.fail(Step::Sync, Part::Data, Harm::SlowIo(Duration::from_millis(300)), Some(1));
    let beside = fs.clone();
    let writing = tokio::spawn(async move { beside.write(id, 0, Bytes::from_static(b"x"), true).await });
    until(async || rig.faults.left().is_empty().then_some(())).await;
    let committed = fs.commit(id, 0, 0).await;
    assert!(!committed.as_ref().is_ok_and(|commit| commit.verifier == unstable), "{committed:?}");
    writing.await.unwrap().unwrap_err();
}

/// The record of a cut counts from the moment it is on stable storage; an error after it would tell a lie.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_the_disk_refuses_is_the_same_before_and_after_a_restart() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = write_file(&fs, "cut", &[7; 100]).await;
    fs.commit(id, 0, 0).await.unwrap();
    rig.faults.fail(Step::Write, Part::Data, Harm::Io, Some(1));
    let size = SetAttr { size: Some(10), ..SetAttr::default() };
    let cut = fs.setattr(id, size, None, None).await.is_ok();
    let shown = read_id(&fs, id).await;
    assert_eq!(shown.len(), if cut { 10 } else { 100 });
    fs.commit(id, 0, 0).await.unwrap();
    let again =
        rig.open_with(bucketfs::Config { state_dir: rig.crash_copy(), ..rig.config() }, rig.client()).await;
    let id = find(&again, "cut").await.unwrap();
    assert!(read_id(&again, id).await == shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_broken_is_an_error_after_three_rotations() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = new_file(&fs, "broken").await;
    let mut last = write(&fs, id, 0, b"data", false).await;
    rig.faults.fail(Step::Sync, Part::Data, Harm::Io, None);
    for _ in 0..3 {
        let verifier = fs.commit(id, 0, 0).await.unwrap().verifier;
        assert_ne!(verifier, last);
        last = verifier;
        write(&fs, id, 0, b"data", false).await;
    }
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::LocalDisk);
    // The client throws its bytes away now and the program may not hear: the error sticks.
    rig.faults.clear();
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::LocalDisk);
    assert_eq!(fs.setattr(id, times(), None, None).await.unwrap_err().kind, ErrorKind::LocalDisk);
    stays_here(&rig, &fs, "broken").await;
    write(&fs, id, 0, b"data", false).await;
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("broken").unwrap(), b"data");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_sync_write_whose_sync_fails_is_an_error_at_once_and_leaves_a_hole() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = new_file(&fs, "sync").await;
    let unstable = write(&fs, id, 100, b"before", false).await;
    rig.faults.fail(Step::Sync, Part::Data, Harm::Io, Some(1));
    let error = fs.write(id, 0, Bytes::from_static(b"x"), true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LocalDisk);
    assert!(rig.events.any(|event| matches!(event, Event::WriteFailed { path, .. } if path == "sync")));
    assert_ne!(fs.write_verifier(), unstable, "bytes that shared the failed sync are sent again");
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::LocalDisk);
    write(&fs, id, 0, b"x", true).await;
    write(&fs, id, 100, b"before", false).await;
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    // The state database's own sync.
    rig.faults.fail(Step::Sync, Part::Database, Harm::Io, Some(1));
    new_file(&fs, "a change of names").await;
    fs.write(id, 0, Bytes::from_static(b"y"), true).await.unwrap_err();
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::LocalDisk);
    write(&fs, id, 0, b"y", true).await;
    let last = fs.write_verifier();
    new_file(&fs, "another").await;
    rig.faults.fail(Step::Sync, Part::Database, Harm::Io, Some(4));
    for _ in 0..3 {
        assert_ne!(fs.commit(id, 0, 0).await.unwrap().verifier, last);
    }
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::LocalDisk);
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_sticks_until_it_is_written_emptied_or_removed() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let harms =
        [(Part::Data, Harm::Io, ErrorKind::LocalDisk), (Part::Log, Harm::NoSpace, ErrorKind::NoSpace)];
    for (part, harm, kind) in harms {
        let id = write_file(&fs, "file", b"0123456789").await;
        rig.faults.order(Order { step: Step::Write, part: Some(part), file: Some(id), harm, times: Some(1) });
        assert_eq!(fs.write(id, 4, Bytes::from_static(b"XX"), false).await.unwrap_err().kind, kind);
        write(&fs, id, 8, b"YY", false).await; // later writes are still tried
        fs.commit(id, 0, 0).await.unwrap_err();
        fs.setattr(id, times(), None, None).await.unwrap_err();
        let cut = SetAttr { size: Some(9), ..SetAttr::default() };
        fs.setattr(id, cut, None, None).await.unwrap_err();
        let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
        fs.setattr(id, mode, None, None).await.expect("modes are no content");
        fs.rename(ROOT, b"file", ROOT, b"moved", None).await.expect("names go on");
        assert_eq!(fs.getattr(id).await.unwrap().id, id);
        // It sticks after kill -9 too.
        let crashed = bucketfs::Config { state_dir: rig.crash_copy(), ..rig.config() };
        if part == Part::Data {
            let again = BucketFs::open(crashed, rig.client(), rig.events.clone()).await.unwrap();
            again.commit(id, 0, 0).await.unwrap_err();
        }
        assert!(!fs.sync(Some(Duration::from_secs(2))).await.complete, "a file with a hole is never sent");
        match part {
            Part::Data => write(&fs, id, 3, b"XXX", false).await,
            _ => {
                let empty = SetAttr { size: Some(0), ..SetAttr::default() };
                fs.setattr(id, empty, None, None).await.expect("size 0 heals");
                0
            }
        };
        fs.commit(id, 0, 0).await.expect("healed");
        sync(&fs).await;
        fs.remove(ROOT, b"moved", None).await.unwrap();
    }
    let id = new_file(&fs, "removed").await;
    rig.faults.fail(Step::Write, Part::Data, Harm::Io, Some(1));
    fs.write(id, 0, Bytes::from_static(b"x"), false).await.unwrap_err();
    fs.remove(ROOT, b"removed", None).await.expect("REMOVE heals");
    sync(&fs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_refused_before_its_staged_copy_could_be_made_leaves_a_hole_too() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = new_file(&fs, "refused").await;
    rig.faults.fail(Step::Write, Part::Data, Harm::NoSpace, None);
    let error = fs.write(id, 10, Bytes::from_static(b"lost"), false).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSpace);
    let crashed = bucketfs::Config { state_dir: rig.crash_copy(), ..rig.config() };
    let again = BucketFs::open(crashed, rig.client(), rig.events.clone()).await.unwrap();
    for fs in [&fs, &again] {
        fs.commit(id, 0, 0).await.unwrap_err();
        fs.setattr(id, times(), None, None).await.unwrap_err();
    }
    assert!(!fs.sync(Some(Duration::from_secs(2))).await.complete);
    assert_eq!(rig.on_hub("refused"), None, "not even as the empty file it seems to be");
    rig.faults.clear();
    write(&fs, id, 0, b"first", false).await;
    fs.commit(id, 0, 0).await.unwrap_err();
    write(&fs, id, 5, b"until here", false).await;
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("refused").unwrap(), b"firstuntil here");
}

/// The only WRITE of a new file failed, and the program opens it again to write it anew: Linux's kernel sees that it is
/// empty and sends the time alone. `touch` and a Mac's `utimes` are told of the hole as ever.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_whose_only_write_failed_can_be_opened_to_be_written_anew() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let id = new_file(&fs, "anew").await;
    rig.faults.fail(Step::Write, Part::Data, Harm::NoSpace, Some(1));
    fs.write(id, 0, Bytes::from_static(b"first"), false).await.unwrap_err();
    assert_eq!(fs.getattr(id).await.unwrap().size, 0);
    let now = SetTime::ToNow;
    let touch = SetAttr { atime: Some(now), mtime: Some(now), ..SetAttr::default() };
    fs.setattr(id, touch, None, None).await.expect_err("it has a hole");
    fs.setattr(id, times(), None, None).await.expect_err("it has a hole");
    fs.commit(id, 0, 0).await.expect_err("it has a hole");
    let opened = SetAttr { mtime: Some(now), ..SetAttr::default() };
    fs.setattr(id, opened, None, None).await.expect("O_TRUNC");
    write(&fs, id, 0, b"second", false).await;
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("anew").unwrap(), b"second");
}
