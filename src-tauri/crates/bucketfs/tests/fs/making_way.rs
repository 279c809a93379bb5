//! Keys that change hands: a content's last key is never written over before it has another one, and no row of the
//! tree takes another's place. Found by a reviewer who only read (2026-11-25).

use std::time::Duration;

use bucketfs::faults::{Harm as DiskHarm, Part, Step};
use bucketfs::{Create, ErrorKind, Event, ROOT, SetAttr};
use bytes::Bytes;
use testkit::{Fault, Harm};

use crate::rig::{Rig, names, read_file, remove, rename, sync, undated, until, write_file};

fn contents(rig: &Rig) -> Vec<Vec<u8>> {
    rig.paths().iter().map(|path| rig.on_hub(path).unwrap()).collect()
}

/// Somebody slips in before our deletion of a file whose name a folder of ours has by now.
#[tokio::test(flavor = "multi_thread")]
async fn what_slips_in_before_a_deletion_takes_no_folders_place() {
    let rig = Rig::new();
    rig.put("f", b"base");
    let fs = rig.open().await;
    names(&fs, "").await;
    fs.pause();
    remove(&fs, "f").await;
    fs.mkdir(ROOT, b"f", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "f/a", b"ours").await;
    let fault = rig.hub.faults().add(Fault::on("/batch", Harm::Delay { ms: 1500 }).times(1));
    fs.resume();
    let syncing = tokio::spawn({
        let fs = fs.clone();
        async move { sync(&fs).await }
    });
    until(async || (rig.hub.faults().struck(fault) > 0).then_some(())).await;
    rig.put("f", b"theirs");
    syncing.await.unwrap();
    sync(&fs).await;
    until(async || rig.events.any(|event| matches!(event, Event::Overwrote { .. })).then_some(())).await;
    sync(&fs).await;
    assert_eq!(read_file(&fs, "f/a").await, b"ours");
    let there: Vec<String> = rig.paths().iter().map(|path| undated(path)).collect();
    assert_eq!(there, ["f (conflict)", "f/a"]);
    assert_eq!(contents(&rig), [b"theirs".to_vec(), b"ours".to_vec()]);
}

/// A new file's only WRITE fails after its copy was made: nothing of it goes up, and it is not called saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_only_write_failed_is_not_saved_as_an_empty_one() {
    for part in [Part::Data, Part::Log] {
        let rig = Rig::new();
        rig.put("doc", b"precious");
        let fs = rig.open().await;
        names(&fs, "").await;
        let made = fs.create(ROOT, b"new", Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id;
        fs.write(made, 0, Bytes::new(), false).await.unwrap(); // the copy is there
        rig.faults.fail(Step::Write, part, DiskHarm::Io, Some(1));
        fs.write(made, 0, Bytes::from_static(b"lost"), false).await.unwrap_err();
        rename(&fs, "new", "doc").await;
        assert!(!fs.sync(Some(Duration::from_secs(2))).await.complete, "a file with a hole waits");
        assert_eq!(rig.on_hub("doc").unwrap(), b"precious");
    }
}

/// A file of the Hub whose only WRITE failed, and others change it: the program is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_outlives_what_others_do_to_the_file() {
    let rig = Rig::new();
    rig.put("f", &[1; 1000]);
    let fs = rig.open().await;
    names(&fs, "").await;
    let id = fs.lookup(ROOT, b"f").await.unwrap().id;
    fs.write(id, 0, Bytes::new(), false).await.unwrap();
    rig.faults.fail(Step::Write, Part::Data, DiskHarm::Io, Some(1));
    fs.write(id, 5, Bytes::from_static(b"lost"), false).await.unwrap_err();
    rig.put("f", &[2; 1000]);
    rig.listed_anew(&fs, "sign").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::LocalDisk);
}

/// A new file moves to a name that stays on this machine while it is being saved: its copy is all there is of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_moved_to_a_local_name_during_its_save_keeps_its_copy() {
    let rig = Rig::new();
    let config = bucketfs::Config { saved_copies_bytes: 0, delete_hold: Duration::ZERO, ..rig.config() };
    let fs = rig.open_with(config, rig.client()).await;
    names(&fs, "").await;
    let batch = rig.hub.faults().add(Fault::on("/batch", Harm::HoldAnswer { ms: 1000 }).times(1));
    write_file(&fs, "x", b"precious").await;
    until(async || (rig.hub.faults().struck(batch) > 0).then_some(())).await;
    rename(&fs, "x", "._x").await;
    sync(&fs).await;
    until(async || rig.paths().is_empty().then_some(())).await;
    write_file(&fs, "other", b"other").await;
    sync(&fs).await; // saved copies are trimmed after a save
    rig.hub.faults().collect_garbage();
    assert_eq!(read_file(&fs, "._x").await, b"precious");
}

/// The Hub refuses the new key of a file, or others have it: who takes the old key waits until the content has another.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_key_waits_until_its_content_has_another() {
    for how in ["one entry", "the batch", "a conflict"] {
        let rig = Rig::new();
        rig.put("x", b"precious");
        let fs = rig.open().await;
        names(&fs, "").await;
        fs.pause();
        rename(&fs, "x", "z").await;
        write_file(&fs, "x", b"new").await;
        let refusing = match how {
            "one entry" => Harm::FailOperations { path: "z".into(), error: "refused".into() },
            "the batch" => Harm::PoisonBatch { path: "z".into(), status: Some(400) },
            _ => {
                rig.put("z", b"theirs");
                Harm::Delay { ms: 0 }
            }
        };
        rig.hub.faults().add(Fault::on("/batch", refusing));
        fs.resume();
        for _ in 0..20 {
            fs.sync(Some(Duration::from_millis(100))).await;
            assert!(contents(&rig).contains(&b"precious".to_vec()), "{how}: {:?}", rig.paths());
        }
        rig.hub.faults().clear();
        until(async || {
            fs.retry(None);
            fs.sync(Some(Duration::from_millis(300))).await.complete.then_some(())
        })
        .await;
        let all = contents(&rig);
        assert!(
            all.contains(&b"precious".to_vec()) && all.contains(&b"new".to_vec()),
            "{how}: {:?}",
            rig.paths()
        );
        assert_eq!(rig.on_hub("x").unwrap(), b"new", "{how}");
    }
}

/// The same for a folder that moves to where a file was moved away from.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_a_key_waits_until_its_content_has_another() {
    let rig = Rig::new();
    rig.put("d/f", b"precious");
    rig.put("e/f", b"other");
    let fs = rig.open().await;
    names(&fs, "d").await;
    names(&fs, "e").await;
    fs.pause();
    rename(&fs, "d/f", "g").await;
    fs.rmdir(ROOT, b"d", None).await.unwrap();
    rename(&fs, "e", "d").await;
    rig.hub
        .faults()
        .add(Fault::on("/batch", Harm::FailOperations { path: "g".into(), error: "refused".into() }));
    fs.resume();
    for _ in 0..20 {
        fs.sync(Some(Duration::from_millis(100))).await;
        assert!(contents(&rig).contains(&b"precious".to_vec()), "{:?}", rig.paths());
    }
    rig.hub.faults().clear();
    until(async || {
        fs.retry(None);
        fs.sync(Some(Duration::from_millis(300))).await.complete.then_some(())
    })
    .await;
    assert_eq!(rig.paths(), ["d/f", "g"]);
    assert_eq!(
        (rig.on_hub("d/f").unwrap(), rig.on_hub("g").unwrap()),
        (b"other".to_vec(), b"precious".to_vec())
    );
}

/// A deletion is taken back while it is on its way, or done without an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_taken_back_on_its_way_brings_the_file_to_the_hub_again() {
    for harm in [Harm::HoldAnswer { ms: 1500 }, Harm::LoseAnswer] {
        let rig = Rig::new();
        rig.put("f", b"precious");
        let config = bucketfs::Config { delete_hold: Duration::ZERO, ..rig.config() };
        let fs = rig.open_with(config, rig.client()).await;
        names(&fs, "").await;
        let batch = rig.hub.faults().add(Fault::on("/batch", harm.clone()).times(1));
        remove(&fs, "f").await;
        until(async || (rig.hub.faults().struck(batch) > 0).then_some(())).await;
        fs.restore("f", None).await.unwrap();
        sync(&fs).await;
        until(async || (rig.on_hub("f").as_deref() == Some(b"precious")).then_some(())).await;
        rig.listed_anew(&fs, "sign").await;
        assert_eq!(read_file(&fs, "f").await, b"precious", "{harm:?}");
    }
}

/// Ours meets a file of others whose key is the beginning of others' keys: the folder is no file's keeper.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_beside_a_folder_of_the_same_key_leaves_the_folder_alone() {
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    fs.pause();
    write_file(&fs, "x", b"ours").await;
    rig.put("x", b"theirs");
    rig.put("x/inner", b"inner");
    until(async || (names(&fs, "").await.len() >= 2).then_some(())).await;
    fs.resume();
    sync(&fs).await;
    until(async || rig.events.any(|event| matches!(event, Event::Conflict { .. })).then_some(())).await;
    sync(&fs).await;
    let mut paths: Vec<String> = rig.paths().iter().map(|path| undated(path)).collect();
    paths.sort();
    assert_eq!(paths, ["x", "x (conflict)", "x/inner"]);
    assert_eq!(
        (rig.on_hub("x").unwrap(), rig.on_hub("x/inner").unwrap()),
        (b"theirs".to_vec(), b"inner".to_vec())
    );
    rig.listed_anew(&fs, "sign").await;
    let shown = names(&fs, "").await;
    let folder = shown.iter().find(|name| name.starts_with("x~")).unwrap();
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert_eq!(fs.lookup(ROOT, folder.as_bytes()).await.unwrap().kind, bucketfs::Kind::Directory);
    assert_eq!(read_file(&fs, "x").await, b"theirs");
    assert_eq!(read_file(&fs, &format!("{folder}/inner")).await, b"inner");
}

/// The bucket's state is not known yet when the first save goes out, and somebody slips in.
#[tokio::test(flavor = "multi_thread")]
async fn what_slips_in_before_the_feed_has_begun_is_kept_too() {
    let rig = Rig::new();
    rig.put("f", b"base");
    let harm = Harm::Refuse { status: 403, code: None, message: "not yet".into() };
    let first = rig.hub.faults().add(Fault::on("GET */buckets/", harm).times(1));
    let config = bucketfs::Config { poll: Duration::from_secs(4), ..rig.config() };
    let fs = rig.open_with(config, rig.client()).await;
    until(async || (rig.hub.faults().struck(first) == 1).then_some(())).await;
    let batch = rig.hub.faults().add(Fault::on("/batch", Harm::Delay { ms: 1500 }).times(1));
    write_file(&fs, "f", b"ours").await;
    until(async || (rig.hub.faults().struck(batch) > 0).then_some(())).await;
    rig.put("f", b"theirs");
    assert_eq!(rig.on_hub("f").unwrap(), b"theirs", "the race was not met: our batch was there first");
    until(async || rig.events.any(|event| matches!(event, Event::Overwrote { .. })).then_some(())).await;
    sync(&fs).await;
    assert_eq!(contents(&rig), [b"ours".to_vec(), b"theirs".to_vec()]);
}

/// A file has the name of a folder whose file's sidecar still says the folder's old name, and the database is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_rebuilt_from_sidecars_has_a_place_for_each() {
    let rig = Rig::new();
    let fs = rig.open_quiet().await;
    write_file(&fs, "q", b"file").await;
    fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "d/a", b"in a folder").await;
    rename(&fs, "d", "e").await;
    rename(&fs, "q", "d").await;
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    std::fs::write(rig.config().state_dir.join("names.db"), b"this is no database").unwrap();
    for _ in 0..2 {
        let fs = rig.open_quiet().await;
        let folder = names(&fs, "").await.into_iter().find(|name| name.starts_with("d (recovered")).unwrap();
        assert_eq!(read_file(&fs, "d").await, b"file");
        assert_eq!(read_file(&fs, &format!("{folder}/a")).await, b"in a folder");
        fs.shutdown(Duration::from_secs(5)).await;
    }
}
