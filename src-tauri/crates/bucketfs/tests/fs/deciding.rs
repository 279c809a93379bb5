//! What a person decides: deletions that wait and ask, conflicts, dropping an edit, undo.

use std::time::Duration;

use bucketfs::{DeletesAnswer, ErrorKind, Event, ItemState, ROOT, RemovedHow, Resolution};
use bytes::Bytes;

use crate::rig::{Rig, find, names, read_file, sync, undated, until, write_file};

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_before_it_leaves_and_can_be_taken_back() {
    let rig = Rig::new();
    rig.put("f", b"kept a while");
    rig.put("g", b"goes");
    let mut config = rig.config();
    config.delete_hold = Duration::from_secs(8);
    let fs = rig.open_with(config, rig.client()).await;
    names(&fs, "").await;
    fs.remove(ROOT, b"f", None).await.unwrap();
    fs.remove(ROOT, b"g", None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await; // longer than moves wait
    assert_eq!(rig.paths(), ["f", "g"], "they have not left");
    let waiting = fs.queue();
    assert!(waiting.iter().all(|item| matches!(&item.state, ItemState::Waiting { until_ms: Some(_), .. })));
    assert_eq!(fs.restore("f", None).await.unwrap(), "f");
    assert_eq!(read_file(&fs, "f").await, b"kept a while");
    until(async || (rig.paths() == ["f"]).then_some(())).await;
    assert_eq!(names(&fs, "").await, ["f"]);
    assert!(fs.status().all_saved);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deletions_at_once_ask_first_and_come_back_or_go() {
    let rig = Rig::new();
    let paths: Vec<String> = (0..30).map(|n| format!("d/{n}")).collect();
    paths.iter().for_each(|path| drop(rig.put(path, path.as_bytes())));
    let fs = rig.open().await;
    assert_eq!(names(&fs, "d").await.len(), 30);
    let d = find(&fs, "d").await.unwrap();
    for answer in [DeletesAnswer::Restore, DeletesAnswer::Send] {
        for path in &paths {
            fs.remove(d, &path.as_bytes()[2..], None).await.unwrap();
        }
        let report = fs.sync(Some(Duration::from_secs(20))).await;
        assert!(!report.complete, "it does not claim what is not so");
        assert!(report.left.iter().all(|item| matches!(item.state, ItemState::Held { .. })), "{report:?}");
        assert_eq!(rig.paths().len(), 30, "nothing left before somebody has answered");
        let held = fs.held_deletes().unwrap();
        assert_eq!((held.count, held.of, held.paths.len()), (30, 30, 30));
        assert_eq!(fs.status().held_deletes, 30);
        until(async || {
            rig.events.any(|event| matches!(event, Event::DeletesHeld { count: 21.., .. })).then_some(())
        })
        .await;
        assert_eq!(fs.answer_deletes(answer).await.unwrap(), 30);
        assert!(fs.held_deletes().is_none());
        if answer == DeletesAnswer::Restore {
            assert_eq!(names(&fs, "d").await.len(), 30, "they are back at once");
            assert_eq!(read_file(&fs, "d/7").await, b"d/7");
        }
        sync(&fs).await;
        assert_eq!(rig.paths().len(), if answer == DeletesAnswer::Restore { 30 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_deletions_and_deletions_of_moved_files_do_not_ask() {
    let rig = Rig::new();
    (0..60).for_each(|n| drop(rig.put(&format!("{n}"), b"x")));
    let fs = rig.open().await;
    names(&fs, "").await;
    for n in 0..20 {
        fs.remove(ROOT, n.to_string().as_bytes(), None).await.unwrap();
    }
    for n in 20..60 {
        let (from, to) = (n.to_string(), format!("moved-{n}"));
        fs.rename(ROOT, from.as_bytes(), ROOT, to.as_bytes(), None).await.unwrap();
    }
    assert!(fs.held_deletes().is_none());
    sync(&fs).await;
    assert_eq!(rig.paths().len(), 40);
    assert!(rig.paths().iter().all(|path| path.starts_with("moved-")));
}

/// Ours and theirs of `doc.txt`, both on the Hub.
async fn conflict(rig: &Rig) -> std::sync::Arc<bucketfs::BucketFs> {
    rig.put("doc.txt", b"base version");
    let fs = rig.open_quiet().await;
    let id = find(&fs, "doc.txt").await.unwrap();
    fs.write(id, 0, Bytes::from_static(b"OURS"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    rig.put("doc.txt", b"theirs");
    fs.start_sync();
    sync(&fs).await;
    fs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_known_after_a_restart_until_it_is_solved() {
    for (how, left, content) in [
        (Resolution::KeepMine, vec!["doc.txt"], &b"OURS version"[..]),
        (Resolution::KeepTheirs, vec!["doc.txt"], b"theirs"),
        (Resolution::KeepBoth, vec!["doc (conflict).txt", "doc.txt"], b"theirs"),
    ] {
        let rig = Rig::new();
        let fs = conflict(&rig).await;
        fs.shutdown(Duration::from_secs(5)).await;
        drop(fs);
        let fs = rig.open().await;
        let conflicts = fs.conflicts().unwrap();
        assert_eq!(conflicts.len(), 1);
        let one = &conflicts[0];
        assert_eq!((one.path.as_str(), undated(&one.kept_as)), ("doc.txt", "doc (conflict).txt".to_owned()));
        assert_eq!((one.mine.unwrap().size, one.theirs.unwrap().size), (12, 6));
        assert_eq!(fs.status().conflicts, 1);
        fs.resolve(one.id, how).await.unwrap();
        assert!(fs.conflicts().unwrap().is_empty());
        assert_eq!(fs.resolve(one.id, how).await.unwrap_err().kind, ErrorKind::NotFound);
        sync(&fs).await;
        let mut paths: Vec<String> = rig.paths().iter().map(|path| undated(path)).collect();
        paths.sort();
        assert_eq!(paths, left, "{how:?}");
        assert_eq!(rig.on_hub("doc.txt").unwrap(), content, "{how:?}");
        let gone = fs.recent_deletes().unwrap();
        assert_eq!(
            gone.is_empty(),
            how == Resolution::KeepBoth,
            "what was dropped can be restored: {gone:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_solved_when_one_of_the_two_is_deleted() {
    let rig = Rig::new();
    let fs = conflict(&rig).await;
    let kept_as = fs.conflicts().unwrap()[0].kept_as.clone();
    fs.remove(ROOT, kept_as.as_bytes(), None).await.unwrap();
    assert!(fs.conflicts().unwrap().is_empty());
    assert_eq!(fs.status().conflicts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_edit_shows_the_hubs_version_again() {
    let rig = Rig::new();
    rig.put("f", b"the Hub's");
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    fs.pause();
    assert_eq!(fs.discard("f").await.unwrap_err().kind, ErrorKind::Invalid, "there is nothing to drop");
    fs.write(id, 0, Bytes::from_static(b"MINE!"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    let shown = fs.getattr(id).await.unwrap();
    fs.discard("f").await.unwrap();
    let now = fs.getattr(id).await.unwrap();
    assert!(now.mtime > shown.mtime && now.ctime > shown.ctime, "the kernel reads anew");
    assert_eq!(read_file(&fs, "f").await, b"the Hub's");
    assert!(fs.status().all_saved, "{:?}", fs.queue());
    write_file(&fs, "new", b"only here").await;
    assert_eq!(fs.discard("new").await.unwrap_err().kind, ErrorKind::Invalid, "it would be lost for good");
    fs.remove(ROOT, b"f", None).await.unwrap();
    fs.discard("f").await.unwrap();
    assert_eq!(read_file(&fs, "f").await, b"the Hub's", "a deletion is a change too");
    assert_eq!(fs.discard("no such").await.unwrap_err().kind, ErrorKind::NotFound);
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.on_hub("f").unwrap(), b"the Hub's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_or_overwritten_can_be_restored_while_the_hub_has_it() {
    let rig = Rig::new();
    rig.put("dir/f", b"version 1");
    let fs = rig.open().await;
    find(&fs, "dir/f").await.unwrap();
    write_file(&fs, "dir/f", b"version two").await;
    sync(&fs).await;
    let d = find(&fs, "dir").await.unwrap();
    fs.remove(d, b"f", None).await.unwrap();
    fs.rmdir(ROOT, b"dir", None).await.unwrap();
    sync(&fs).await;
    assert!(rig.paths().is_empty());
    let gone: Vec<_> =
        fs.recent_deletes().unwrap().into_iter().map(|one| (one.path, one.size, one.how)).collect();
    let at = |size, how| ("dir/f".to_owned(), size, how);
    assert_eq!(gone, [at(11, RemovedHow::Deleted), at(9, RemovedHow::Overwritten)], "newest first");
    rig.hub.reset_counters();
    assert_eq!(fs.restore("dir/f", None).await.unwrap(), "dir/f");
    assert_eq!(
        undated(&fs.restore("dir/f", None).await.unwrap()),
        "dir/f (restored)",
        "a taken name is kept"
    );
    assert_eq!(fs.restore("dir/f", Some("other")).await.unwrap(), "dir/other");
    assert_eq!(fs.restore("dir/f", Some("a/b")).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(fs.restore("never", None).await.unwrap_err().kind, ErrorKind::NotFound);
    sync(&fs).await;
    assert_eq!(rig.hub.counters().of("/_storage/").down, 0, "no byte came here");
    assert_eq!(rig.everything().len(), 3);
    assert!(rig.everything().values().all(|content| content == "version two"));
    assert_eq!(read_file(&fs, "dir/other").await, b"version two");
    // The Hub collects what has no name.
    fs.remove(ROOT, b"nothing", None).await.unwrap_err();
    rig.put("lost", b"soon collected");
    until(async || names(&fs, "").await.contains(&"lost".to_owned()).then_some(())).await;
    fs.remove(ROOT, b"lost", None).await.unwrap();
    sync(&fs).await;
    rig.hub.faults().collect_garbage();
    let error = fs.restore("lost", None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}
