//! Names change faster than the Hub can follow: what stands under an old key meanwhile is known as ours, and no
//! content is taken for another's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bucketfs::faults::{Harm as Failure, Part, Step};
use bucketfs::{BucketFs, Event, ROOT, SetAttr};
use testkit::{Fault, Harm};

use crate::rig::{Rig, find, names, parent_of, read_file, remove, rename, sync, until, write_file};

/// Waits until the Hub has it, without hurrying the moves.
async fn arrives(rig: &Rig, path: &str, content: &[u8]) {
    until(async || (rig.on_hub(path)? == content).then_some(())).await;
}

/// Everything is saved: Hub and mount have just these files, and nobody was told of a conflict.
async fn is_just(rig: &Rig, fs: &Arc<BucketFs>, files: &[(&str, &str)]) {
    sync(fs).await;
    let wanted: BTreeMap<String, String> =
        files.iter().map(|(path, content)| (path.to_string(), content.to_string())).collect();
    assert_eq!(rig.everything(), wanted);
    for (path, content) in files {
        assert_eq!(read_file(fs, path).await, content.as_bytes(), "{path}");
    }
    let told = |event: &Event| matches!(event, Event::Conflict { .. } | Event::Overwrote { .. });
    assert!(!rig.events.any(told), "{:?}", rig.events.0.lock());
    assert!(fs.status().all_saved, "{:?}", fs.queue());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_moved_aside_and_back_over_what_took_its_name_keeps_its_content() {
    let rig = Rig::new();
    let fs = rig.open().await;
    write_file(&fs, "a", b"one").await;
    sync(&fs).await;
    rename(&fs, "a", "a.bak").await;
    write_file(&fs, "a", b"two").await;
    arrives(&rig, "a", b"two").await; // the move is still held back
    rename(&fs, "a.bak", "a").await;
    is_just(&rig, &fs, &[("a", "one")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_moved_back_while_what_took_its_name_is_being_saved_keeps_its_content() {
    for harm in [Harm::HoldAnswer { ms: 1500 }, Harm::LoseAnswer] {
        let rig = Rig::new();
        let fs = rig.open().await;
        write_file(&fs, "a", b"one").await;
        sync(&fs).await;
        rename(&fs, "a", "a.bak").await;
        rig.hub.faults().add(Fault::on("/batch", harm).times(1));
        write_file(&fs, "a", b"two").await;
        arrives(&rig, "a", b"two").await; // and nobody here has been told
        rename(&fs, "a.bak", "a").await;
        is_just(&rig, &fs, &[("a", "one")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_rotated_without_a_moment_in_which_a_content_has_no_name() {
    let rig = Rig::new();
    let fs = rig.open().await;
    write_file(&fs, "log", b"day 2").await;
    write_file(&fs, "log.1", b"day 1").await;
    sync(&fs).await;
    rename(&fs, "log.1", "log.2").await;
    rename(&fs, "log", "log.1").await;
    write_file(&fs, "log", b"day 3").await;
    arrives(&rig, "log", b"day 3").await;
    let there: Vec<String> = rig.everything().into_values().collect();
    assert!(["day 1", "day 2"].iter().all(|day| there.iter().any(|one| one == day)), "{there:?}");
    is_just(&rig, &fs, &[("log", "day 3"), ("log.1", "day 2"), ("log.2", "day 1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_moved_aside_and_a_new_one_of_its_name_are_two() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "d/a", b"old a").await;
    write_file(&fs, "d/b", b"old b").await;
    sync(&fs).await;
    rename(&fs, "d", "d.old").await;
    fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "d/a", b"new a").await;
    arrives(&rig, "d/a", b"new a").await;
    // The new folder is on the Hub now, and listed with what the old one still has there.
    fs.getattr(find(&fs, "d").await.unwrap()).await.unwrap();
    rig.put("elsewhere", b"theirs"); // news: folders that somebody looks at are listed anew
    until(async || names(&fs, "").await.contains(&"elsewhere".to_owned()).then_some(())).await;
    assert_eq!(names(&fs, "d").await, ["a"]);
    let all = [("d/a", "new a"), ("d.old/a", "old a"), ("d.old/b", "old b"), ("elsewhere", "theirs")];
    is_just(&rig, &fs, &all).await;
    assert_eq!(names(&fs, "d").await, ["a"]);
    assert_eq!(names(&fs, "d.old").await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_folder_stays_removed_while_what_was_moved_out_of_it_stands_there_still() {
    let rig = Rig::new();
    let fs = rig.open().await;
    fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "d/a", b"a").await;
    sync(&fs).await;
    rename(&fs, "d/a", "a").await;
    fs.rmdir(ROOT, b"d", None).await.unwrap();
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    let fs = rig.open_quiet().await; // listed before the Hub has heard of the move
    rig.put("elsewhere", b"theirs");
    fs.start_sync();
    until(async || names(&fs, "").await.contains(&"elsewhere".to_owned()).then_some(())).await;
    assert_eq!(names(&fs, "").await, ["a", "elsewhere"]);
    is_just(&rig, &fs, &[("a", "a"), ("elsewhere", "theirs")]).await;
    assert_eq!(names(&fs, "").await, ["a", "elsewhere"]);
}

/// A batch is applied, and its answer lost or unreadable; the file goes elsewhere before it is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_without_an_answer_goes_when_its_file_goes() {
    for harm in [Harm::LoseAnswer, Harm::Truncate { after: 10 }, Harm::Short { by: 7 }] {
        for how in ["renamed", "folder renamed", "removed", "replaced and removed"] {
            let rig = Rig::new();
            let fs = rig.open().await;
            fs.mkdir(ROOT, b"d", SetAttr::default(), None).await.unwrap();
            names(&fs, "").await;
            rig.hub.faults().add(Fault::on("POST */batch", harm.clone()).times(1));
            write_file(&fs, "d/a", b"one").await;
            arrives(&rig, "d/a", b"one").await;
            match how {
                "renamed" => rename(&fs, "d/a", "d/b").await,
                "folder renamed" => rename(&fs, "d", "e").await,
                "removed" => remove(&fs, "d/a").await,
                _ => {
                    write_file(&fs, "d/aside", b"two").await;
                    rename(&fs, "d/aside", "d/a").await;
                    remove(&fs, "d/a").await;
                }
            }
            let left: &[(&str, &str)] = match how {
                "renamed" => &[("d/b", "one")],
                "folder renamed" => &[("e/a", "one")],
                _ => &[],
            };
            is_just(&rig, &fs, left).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_the_local_disk_could_not_note_is_no_conflict_with_the_next() {
    let rig = Rig::new();
    let fs = rig.open().await;
    rig.hub.faults().add(Fault::on("/batch", Harm::HoldAnswer { ms: 1500 }).times(1));
    write_file(&fs, "a", b"one").await;
    arrives(&rig, "a", b"one").await;
    fs.pause(); // what is under way comes to its end
    rig.faults.fail(Step::Write, Part::Log, Failure::Io, Some(1));
    until(async || (rig.faults.left().is_empty()).then_some(())).await;
    write_file(&fs, "a", b"two").await;
    fs.resume();
    is_just(&rig, &fs, &[("a", "two")]).await;
}

/// Others put a file where one of ours stands that was never saved; ours goes, by its name or by its removal.
#[tokio::test(flavor = "multi_thread")]
async fn what_ours_hid_shows_when_ours_is_gone() {
    for how in ["removed", "renamed"] {
        let rig = Rig::new();
        let fs = rig.open().await;
        fs.pause();
        write_file(&fs, "a", b"ours").await;
        rig.put("a", b"theirs");
        rig.put("elsewhere", b"theirs, too");
        until(async || names(&fs, "").await.contains(&"elsewhere".to_owned()).then_some(())).await;
        assert_eq!(read_file(&fs, "a").await, b"ours", "not over an edit");
        match how {
            "removed" => remove(&fs, "a").await,
            _ => rename(&fs, "a", "b").await,
        }
        until(async || names(&fs, "").await.contains(&"a".to_owned()).then_some(())).await;
        assert_eq!(read_file(&fs, "a").await, b"theirs");
        fs.resume();
        sync(&fs).await;
        assert_eq!(rig.on_hub("a").unwrap(), b"theirs");
        assert_eq!(rig.on_hub("b"), (how == "renamed").then(|| b"ours".to_vec()));
    }
}

/// What others do to a file that was moved away here shows when the move has been told.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_where_a_moved_file_stands_shows_after_the_move() {
    let rig = Rig::new();
    let fs = rig.open().await;
    write_file(&fs, "a", b"ours").await;
    sync(&fs).await;
    fs.pause();
    rename(&fs, "a", "b").await;
    rig.put("a", b"theirs");
    rig.put("elsewhere", b"theirs, too");
    until(async || names(&fs, "").await.contains(&"elsewhere".to_owned()).then_some(())).await;
    fs.resume();
    sync(&fs).await;
    until(async || names(&fs, "").await.contains(&"a".to_owned()).then_some(())).await;
    assert_eq!(read_file(&fs, "a").await, b"theirs");
    assert_eq!(read_file(&fs, "b").await, b"ours");
    assert_eq!(rig.on_hub("b").unwrap(), b"ours");
}

async fn mkdir(fs: &BucketFs, path: &str) {
    let (dir, name) = parent_of(fs, path).await;
    fs.mkdir(dir, name, SetAttr::default(), None).await.unwrap();
}

/// `rm -r dist; mv dist.new dist`.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_moved_to_the_name_of_one_that_was_removed_replaces_it() {
    let rig = Rig::new();
    let fs = rig.open().await;
    for (folder, version) in [("dist", "old"), ("dist.new", "new")] {
        mkdir(&fs, folder).await;
        write_file(&fs, &format!("{folder}/index"), version.as_bytes()).await;
        write_file(&fs, &format!("{folder}/only {version}"), b"x").await;
    }
    sync(&fs).await;
    remove(&fs, "dist/index").await;
    remove(&fs, "dist/only old").await;
    fs.rmdir(ROOT, b"dist", None).await.unwrap();
    rename(&fs, "dist.new", "dist").await;
    is_just(&rig, &fs, &[("dist/index", "new"), ("dist/only new", "x")]).await;
    assert_eq!(names(&fs, "dist").await, ["index", "only new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_rotated() {
    let rig = Rig::new();
    let fs = rig.open().await;
    for (folder, day) in [("backup", "2"), ("backup.1", "1")] {
        mkdir(&fs, folder).await;
        write_file(&fs, &format!("{folder}/a"), day.as_bytes()).await;
        write_file(&fs, &format!("{folder}/only {day}"), b"x").await;
    }
    sync(&fs).await;
    rename(&fs, "backup.1", "backup.2").await;
    rename(&fs, "backup", "backup.1").await;
    mkdir(&fs, "backup").await;
    write_file(&fs, "backup/a", b"3").await;
    let all = [
        ("backup/a", "3"),
        ("backup.1/a", "2"),
        ("backup.1/only 2", "x"),
        ("backup.2/a", "1"),
        ("backup.2/only 1", "x"),
    ];
    is_just(&rig, &fs, &all).await;
    for (folder, there) in [("backup.1", ["a", "only 2"]), ("backup.2", ["a", "only 1"])] {
        assert_eq!(names(&fs, folder).await, there);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_folders_change_places() {
    let rig = Rig::new();
    let fs = rig.open().await;
    for folder in ["a", "b"] {
        mkdir(&fs, folder).await;
        write_file(&fs, &format!("{folder}/x"), folder.as_bytes()).await;
        write_file(&fs, &format!("{folder}/only {folder}"), b"x").await;
    }
    sync(&fs).await;
    rename(&fs, "a", "t").await;
    rename(&fs, "b", "a").await;
    rename(&fs, "t", "b").await;
    is_just(&rig, &fs, &[("a/x", "b"), ("a/only b", "x"), ("b/x", "a"), ("b/only a", "x")]).await;
    assert_eq!(names(&fs, "a").await, ["only b", "x"]);
    assert_eq!(names(&fs, "b").await, ["only a", "x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_one_in_it_are_renamed_at_once() {
    let rig = Rig::new();
    let fs = rig.open().await;
    mkdir(&fs, "d").await;
    mkdir(&fs, "d/in").await;
    write_file(&fs, "d/a", b"a").await;
    write_file(&fs, "d/in/b", b"b").await;
    sync(&fs).await;
    rename(&fs, "d/in", "d/inner").await;
    rename(&fs, "d", "e").await;
    is_just(&rig, &fs, &[("e/a", "a"), ("e/inner/b", "b")]).await;
    assert_eq!(names(&fs, "e").await, ["a", "inner"]);
    assert_eq!(names(&fs, "e/inner").await, ["b"]);
}

/// The copies have been made, the deletions not; meanwhile a file that was copied is edited.
#[tokio::test(flavor = "multi_thread")]
async fn a_folders_move_that_was_broken_off_is_no_conflict_with_itself() {
    let rig = Rig::new();
    let fs = rig.open().await;
    mkdir(&fs, "d").await;
    write_file(&fs, "d/a", b"one").await;
    sync(&fs).await;
    rig.hub.faults().add(Fault::on("POST */batch", Harm::LoseAnswer).times(1));
    rename(&fs, "d", "e").await;
    arrives(&rig, "e/a", b"one").await;
    write_file(&fs, "e/a", b"two").await;
    is_just(&rig, &fs, &[("e/a", "two")]).await;
}

/// A folder of more files than one batch carries is looked at while it is moved.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_folder_that_is_being_moved_stay_in_it_with_their_numbers() {
    let rig = Rig::new();
    let name = |number: usize| format!("f{number:03}");
    for number in 0..505 {
        rig.put(&format!("d/{}", name(number)), format!("content {number}").as_bytes());
    }
    rig.put("d/in/g", b"below");
    let fs = rig.open().await;
    let before: Vec<_> = names(&fs, "d").await;
    assert_eq!((before.len(), names(&fs, "d/in").await.len()), (506, 1));
    let (first, below) = (find(&fs, "d/f000").await.unwrap(), find(&fs, "d/in/g").await.unwrap());
    rename(&fs, "d", "e").await;
    for after in 0..4 {
        rig.hub.faults().add(Fault::on("POST */batch", Harm::HoldAnswer { ms: 700 }).after(after).times(1));
    }
    let syncing = tokio::spawn({
        let fs = fs.clone();
        async move { fs.sync(Some(Duration::from_secs(60))).await }
    });
    let mut news = 0;
    while !syncing.is_finished() {
        rig.put(&format!("news {news}"), b"a reason to look again");
        rig.hub.faults().feed_gap(); // everything is listed anew
        news += 1;
        let now = names(&fs, "e").await;
        assert_eq!(now.len(), before.len(), "{:?}", before.iter().find(|name| !now.contains(name)));
        assert_eq!(names(&fs, "e/in").await, ["g"]);
        assert_eq!(find(&fs, "e/f000").await.unwrap(), first);
        assert_eq!(find(&fs, "e/in/g").await.unwrap(), below);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(news > 5, "it was over before anybody looked");
    sync(&fs).await;
    assert_eq!(rig.paths().iter().filter(|path| path.starts_with("e/")).count(), 506);
    assert!(!rig.paths().iter().any(|path| path.starts_with("d/")));
    assert_eq!(read_file(&fs, "e/f000").await, b"content 0");
    assert_eq!(find(&fs, "e/f000").await.unwrap(), first);
}

/// Some files of a folder have been moved, the others not; then it is renamed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_renamed_again_in_the_middle_of_its_move_loses_nothing() {
    let rig = Rig::new();
    let fs = rig.open().await;
    mkdir(&fs, "d").await;
    for name in ["a", "b", "c"] {
        write_file(&fs, &format!("d/{name}"), name.as_bytes()).await;
    }
    sync(&fs).await;
    for harm in [
        Harm::LoseAnswer,
        Harm::FailOperations { path: "/b".into(), error: "not now".into() },
        Harm::Status { status: 503, retry_after: None },
    ] {
        for after in 0..3 {
            rig.hub.faults().add(Fault::on("POST */batch", harm.clone()).after(after).times(1));
            rename(&fs, "d", "e").await;
            let _ = fs.sync(Some(Duration::from_millis(300))).await;
            rename(&fs, "e", "f").await;
            rig.hub.faults().clear();
            fs.retry(None); // what was refused for good
            is_just(&rig, &fs, &[("f/a", "a"), ("f/b", "b"), ("f/c", "c")]).await;
            assert_eq!(names(&fs, "f").await, ["a", "b", "c"]);
            rename(&fs, "f", "d").await;
            sync(&fs).await;
        }
    }
}

/// The Hub has not heard of all that was moved out of a folder when its name is a file's.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_takes_a_folders_name_is_alone_there() {
    let rig = Rig::new();
    let fs = rig.open().await;
    mkdir(&fs, "d").await;
    write_file(&fs, "d/a", b"a").await;
    sync(&fs).await;
    fs.pause();
    remove(&fs, "d/a").await;
    fs.rmdir(ROOT, b"d", None).await.unwrap();
    write_file(&fs, "d", b"a file").await;
    rig.put("elsewhere", b"theirs");
    until(async || names(&fs, "").await.contains(&"elsewhere".to_owned()).then_some(())).await;
    assert_eq!(names(&fs, "").await, ["d", "elsewhere"]);
    fs.resume();
    is_just(&rig, &fs, &[("d", "a file"), ("elsewhere", "theirs")]).await;
    assert_eq!(names(&fs, "").await, ["d", "elsewhere"]);
}

/// A file whose new name the Hub refuses leaves its content at the old key, by whose hash it is read. When another file
/// is saved there, that content gets a key of its own in the same batch: the Hub collects what has no name.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_name_the_hub_refuses_keeps_its_content_when_its_old_key_is_taken() {
    for by in ["a file", "a folder"] {
        let rig = Rig::new();
        rig.put("d/a", b"precious");
        rig.put("e/a", b"other");
        let fs = rig.open().await;
        names(&fs, "d").await;
        names(&fs, "e").await;
        match by {
            "a file" => {
                rename(&fs, "d/a", "d/b\\c..").await;
                write_file(&fs, "d/a", b"new").await;
            }
            _ => {
                rename(&fs, "d", "d\\x").await;
                rename(&fs, "e", "d").await;
            }
        }
        sync(&fs).await;
        let mut all: Vec<Vec<u8>> = rig.paths().iter().map(|path| rig.on_hub(path).unwrap()).collect();
        all.sort();
        let others: &[&[u8]] =
            if by == "a file" { &[b"new", b"other", b"precious"] } else { &[b"other", b"precious"] };
        assert_eq!(all, others, "by {by}: {:?}", rig.paths());
        let name = if by == "a file" { "d/b\\c.." } else { "d\\x/a" };
        assert_eq!(read_file(&fs, name).await, b"precious");
        // And it is one file here and there, over listings and a restart.
        rig.listed_anew(&fs, "sign").await;
        names(&fs, "d").await;
        sync(&fs).await;
        assert_eq!(read_file(&fs, name).await, b"precious");
        let shown = if by == "a file" { names(&fs, "d").await } else { names(&fs, "").await };
        let wanted: &[&str] = if by == "a file" { &["a", "b\\c.."] } else { &["d", "d\\x", "sign"] };
        assert_eq!(shown, wanted);
    }
}

/// The content of a file of the bucket would have no name on the Hub when the file moved to a name that stays on this
/// machine: whoever moves it is told to copy it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_bucket_is_not_moved_to_a_name_that_stays_here() {
    let rig = Rig::new();
    rig.put("a", b"precious");
    let fs = rig.open().await;
    names(&fs, "").await;
    let refused = fs.rename(ROOT, b"a", ROOT, b"._a", None).await.unwrap_err();
    assert_eq!(refused.kind, bucketfs::ErrorKind::CrossesLayers);
    assert_eq!(read_file(&fs, "a").await, b"precious");
    // What a kernel does with an open file that is removed still works, and so does what was never on the Hub.
    rename(&fs, "a", ".nfs000000000001a2b30000004c").await;
    write_file(&fs, "new", b"new").await;
    rename(&fs, "new", "._new").await;
    assert_eq!(read_file(&fs, "._new").await, b"new");
}
