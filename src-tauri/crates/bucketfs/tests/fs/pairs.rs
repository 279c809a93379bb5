//! Every pair of a change here and a change there: the table of docs/semantics.md, a test for each row.
//!
//! Each is played twice: the change there is known here before ours leaves (the feed has told it), and it is
//! not (only the look before the batch finds it).

use std::collections::BTreeMap;
use std::sync::Arc;

use bucketfs::{BucketFs, ROOT, SetAttr};
use bytes::Bytes;

use crate::rig::{Rig, find, names, read_file, remove, rename, sync, undated, until, write_file};

type Fs = Arc<BucketFs>;

/// Plays both orders over a bucket that holds `before`; the Hub must hold `after` then, and the mount shows
/// the same.
async fn pair(
    before: &[(&str, &str)],
    here: impl AsyncFn(&Fs),
    there: impl Fn(&Rig),
    after: &[(&str, &str)],
) {
    let after: BTreeMap<String, String> =
        after.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    for told_first in [true, false] {
        let rig = Rig::new();
        before.iter().for_each(|(path, content)| drop(rig.put(path, content.as_bytes())));
        let fs = if told_first { rig.open().await } else { rig.open_quiet().await };
        fs.pause();
        look_everywhere(&fs, "").await;
        here(&fs).await;
        there(&rig);
        if told_first {
            // Later news than the change: when this shows, the feed has told of both.
            rig.put("zz-news", b"n");
            until(async || names(&fs, "").await.contains(&"zz-news".to_owned()).then_some(())).await;
            rig.hub.client().delete(&rig.bucket, "zz-news");
            until(async || (!names(&fs, "").await.contains(&"zz-news".to_owned())).then_some(())).await;
        } else {
            fs.start_sync();
        }
        fs.resume();
        sync(&fs).await;
        assert_eq!(rig.everything(), after, "told first: {told_first}");
        if told_first {
            let mut shown = BTreeMap::new();
            for _ in 0..200 {
                shown = look_everywhere(&fs, "").await;
                if shown == after {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert_eq!(shown, after, "what the mount shows");
        }
    }
}

/// Every file of the mount with its content.
async fn look_everywhere(fs: &Fs, folder: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in names(fs, folder).await {
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let Ok(id) = find(fs, &path).await else { continue };
        if fs.kind(id).await.unwrap() == bucketfs::Kind::Directory {
            all.extend(Box::pin(look_everywhere(fs, &path)).await);
        } else {
            all.insert(undated(&path), String::from_utf8_lossy(&read_file(fs, &path).await).into_owned());
        }
    }
    all
}

async fn make(fs: &Fs, path: &str, content: &[u8]) {
    write_file(fs, path, content).await;
}

async fn edit(fs: &Fs, path: &str) {
    let id = find(fs, path).await.unwrap();
    fs.write(id, 0, Bytes::from_static(b"OURS"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
}

fn renamed_there(rig: &Rig, from: &str, to: &str) {
    rig.hub.client().copy(&rig.bucket, from, to);
    rig.hub.client().delete(&rig.bucket, from);
}

fn made_anew_there(rig: &Rig, path: &str) {
    rig.hub.client().delete(&rig.bucket, path);
    rig.put(path, b"anew");
}

const BASE: &[(&str, &str)] = &[("f", "base")];

#[tokio::test(flavor = "multi_thread")]
async fn edited_here_edited_there_both_are_kept() {
    let there = |rig: &Rig| drop(rig.put("f", b"theirs"));
    pair(BASE, async |fs| edit(fs, "f").await, there, &[("f", "theirs"), ("f (conflict)", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_here_deleted_there_the_edit_stays() {
    let there = |rig: &Rig| rig.hub.client().delete(&rig.bucket, "f");
    pair(BASE, async |fs| edit(fs, "f").await, there, &[("f", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_here_renamed_there_the_edit_stays_beside_the_new_name() {
    let there = |rig: &Rig| renamed_there(rig, "f", "g");
    pair(BASE, async |fs| edit(fs, "f").await, there, &[("f", "OURS"), ("g", "base")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_here_made_anew_there_both_are_kept() {
    let there = |rig: &Rig| made_anew_there(rig, "f");
    pair(BASE, async |fs| edit(fs, "f").await, there, &[("f", "anew"), ("f (conflict)", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_here_edited_there_theirs_stays() {
    let there = |rig: &Rig| drop(rig.put("f", b"theirs"));
    pair(BASE, async |fs| remove(fs, "f").await, there, &[("f", "theirs")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_here_deleted_there_it_is_gone() {
    let there = |rig: &Rig| rig.hub.client().delete(&rig.bucket, "f");
    pair(BASE, async |fs| remove(fs, "f").await, there, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_here_renamed_there_the_new_name_stays() {
    let there = |rig: &Rig| renamed_there(rig, "f", "g");
    pair(BASE, async |fs| remove(fs, "f").await, there, &[("g", "base")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_here_made_anew_there_theirs_stays() {
    let there = |rig: &Rig| made_anew_there(rig, "f");
    pair(BASE, async |fs| remove(fs, "f").await, there, &[("f", "anew")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_here_edited_there_both_are_kept() {
    let there = |rig: &Rig| drop(rig.put("f", b"theirs"));
    pair(BASE, async |fs| rename(fs, "f", "g").await, there, &[("f", "theirs"), ("g", "base")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_here_deleted_there_the_new_name_stays() {
    let there = |rig: &Rig| rig.hub.client().delete(&rig.bucket, "f");
    pair(BASE, async |fs| rename(fs, "f", "g").await, there, &[("g", "base")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_here_renamed_there_both_names_are_kept() {
    let there = |rig: &Rig| renamed_there(rig, "f", "h");
    pair(BASE, async |fs| rename(fs, "f", "g").await, there, &[("g", "base"), ("h", "base")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_here_to_a_name_made_there_both_are_kept() {
    let there = |rig: &Rig| drop(rig.put("g", b"theirs"));
    let after = &[("g", "theirs"), ("g (conflict)", "base")];
    pair(BASE, async |fs| rename(fs, "f", "g").await, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_here_over_a_file_edited_there_both_are_kept() {
    let before = &[("f", "base"), ("g", "old")];
    let there = |rig: &Rig| drop(rig.put("g", b"theirs"));
    let after = &[("g", "theirs"), ("g (conflict)", "base")];
    pair(before, async |fs| rename(fs, "f", "g").await, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_here_made_there_both_are_kept() {
    let here = async |fs: &Fs| make(fs, "n", b"OURS").await;
    let there = |rig: &Rig| drop(rig.put("n", b"theirs"));
    pair(&[], here, there, &[("n", "theirs"), ("n (conflict)", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_here_the_same_made_there_is_one_file() {
    let here = async |fs: &Fs| make(fs, "n", b"same").await;
    let there = |rig: &Rig| drop(rig.put("n", b"same"));
    pair(&[], here, there, &[("n", "same")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_here_made_and_edited_there_both_are_kept() {
    let here = async |fs: &Fs| make(fs, "n", b"OURS").await;
    let there = |rig: &Rig| {
        rig.put("n", b"theirs");
        rig.put("n", b"theirs, edited");
    };
    pair(&[], here, there, &[("n", "theirs, edited"), ("n (conflict)", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_here_made_and_deleted_there_ours_stays() {
    let here = async |fs: &Fs| make(fs, "n", b"OURS").await;
    let there = |rig: &Rig| {
        rig.put("n", b"theirs");
        rig.hub.client().delete(&rig.bucket, "n");
    };
    pair(&[], here, there, &[("n", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_here_another_renamed_to_it_there_both_are_kept() {
    let here = async |fs: &Fs| make(fs, "n", b"OURS").await;
    let there = |rig: &Rig| renamed_there(rig, "f", "n");
    pair(BASE, here, there, &[("n", "base"), ("n (conflict)", "OURS")]).await;
}

const FOLDER: &[(&str, &str)] = &[("d/a", "A"), ("d/b", "B")];

#[tokio::test(flavor = "multi_thread")]
async fn folder_renamed_here_file_edited_there_the_edit_goes_along() {
    let there = |rig: &Rig| drop(rig.put("d/a", b"theirs"));
    let after = &[("e/a", "theirs"), ("e/b", "B")];
    pair(FOLDER, async |fs| rename(fs, "d", "e").await, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_renamed_here_file_deleted_there_it_is_gone() {
    let there = |rig: &Rig| rig.hub.client().delete(&rig.bucket, "d/a");
    pair(FOLDER, async |fs| rename(fs, "d", "e").await, there, &[("e/b", "B")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_renamed_here_file_made_there_it_goes_along() {
    let there = |rig: &Rig| drop(rig.put("d/c", b"C"));
    let after = &[("e/a", "A"), ("e/b", "B"), ("e/c", "C")];
    pair(FOLDER, async |fs| rename(fs, "d", "e").await, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_renamed_here_to_a_name_taken_there_everything_is_kept() {
    let there = |rig: &Rig| drop(rig.put("e/a", b"theirs"));
    let after = &[("e/a", "theirs"), ("e/a (conflict)", "A"), ("e/b", "B")];
    pair(FOLDER, async |fs| rename(fs, "d", "e").await, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_renamed_and_file_edited_here_file_edited_there_both_are_kept() {
    let here = async |fs: &Fs| {
        rename(fs, "d", "e").await;
        edit(fs, "e/a").await;
    };
    let there = |rig: &Rig| drop(rig.put("d/a", b"theirs"));
    let after = &[("e/a", "theirs"), ("e/a (conflict)", "OURS"), ("e/b", "B")];
    pair(FOLDER, here, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_deleted_here_file_made_there_theirs_stays() {
    let here = async |fs: &Fs| {
        let d = find(fs, "d").await.unwrap();
        fs.remove(d, b"a", None).await.unwrap();
        fs.remove(d, b"b", None).await.unwrap();
        fs.rmdir(ROOT, b"d", None).await.unwrap();
    };
    let there = |rig: &Rig| drop(rig.put("d/c", b"C"));
    pair(FOLDER, here, there, &[("d/c", "C")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_made_here_in_a_folder_deleted_there_ours_stays() {
    let here = async |fs: &Fs| make(fs, "d/n", b"OURS").await;
    let there = |rig: &Rig| {
        rig.hub.client().delete(&rig.bucket, "d/a");
        rig.hub.client().delete(&rig.bucket, "d/b");
    };
    pair(FOLDER, here, there, &[("d/n", "OURS")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_renamed_there_file_edited_here_the_edit_stays() {
    let there = |rig: &Rig| {
        renamed_there(rig, "d/a", "e/a");
        renamed_there(rig, "d/b", "e/b");
    };
    let after = &[("d/a", "OURS"), ("e/a", "A"), ("e/b", "B")];
    pair(FOLDER, async |fs| edit(fs, "d/a").await, there, after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_made_here_where_a_file_was_made_there_is_told() {
    // One key cannot be file and folder in a file system: both are on the Hub, one is shown under a marked name.
    let rig = Rig::new();
    let fs = rig.open().await;
    names(&fs, "").await;
    fs.pause();
    fs.mkdir(ROOT, b"x", SetAttr::default(), None).await.unwrap();
    write_file(&fs, "x/inner", b"OURS").await;
    rig.put("x", b"theirs");
    until(async || (names(&fs, "").await.len() == 2).then_some(())).await;
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.on_hub("x").unwrap(), b"theirs");
    assert_eq!(rig.on_hub("x/inner").unwrap(), b"OURS");
}
