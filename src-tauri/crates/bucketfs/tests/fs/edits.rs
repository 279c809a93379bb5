//! Only the change travels: edits of files that were never downloaded, counted at the Hub.

use bucketfs::{FileId, SetAttr};
use bytes::Bytes;

use crate::rig::{Rig, find, read_id, sync, until};

const MIB: usize = 1 << 20;

async fn overwrite(fs: &bucketfs::BucketFs, id: FileId, content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
    for (index, piece) in bytes.chunks(MIB).enumerate() {
        let offset = (at + index * MIB) as u64;
        fs.write(id, offset, Bytes::copy_from_slice(piece), false).await.unwrap();
    }
    fs.commit(id, 0, 0).await.unwrap();
}

/// What travelled since the counters were reset: (content down, content up).
fn travelled(rig: &Rig) -> (u64, u64) {
    let counters = rig.hub.counters();
    (counters.of("/_storage/").down, counters.of("xorb").up + counters.of("shards").up)
}

/// 150 MiB are three segments of at most 64 MiB; this machine has never sent or read the file.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_file_never_downloaded_only_the_change_travels() {
    let rig = Rig::new();
    let mut content = testkit::bytes(11, 150 * MIB);
    rig.put("big", &content);
    let fs = rig.open().await;
    let id = find(&fs, "big").await.unwrap();
    let size = |size: usize| SetAttr { size: Some(size as u64), ..SetAttr::default() };
    let steps = [
        ("edit 1 MiB in the middle", 70 * MIB, testkit::bytes(12, MIB), None, 66, 3),
        ("append 1 MiB", 150 * MIB, testkit::bytes(13, MIB), None, 66, 3),
        ("cut to 100 MiB", 0, Vec::new(), Some(100 * MIB), 66, 3),
        ("extend by a hole and 1 KiB", 104 * MIB, testkit::bytes(14, 1024), None, 66, 3),
    ];
    for (what, at, bytes, cut, down_at_most, up_at_most) in steps {
        rig.hub.reset_counters();
        match cut {
            Some(cut) => {
                content.truncate(cut);
                fs.setattr(id, size(cut), None, None).await.unwrap();
            }
            None => overwrite(&fs, id, &mut content, at, &bytes).await,
        }
        assert_eq!(rig.hub.counters().calls("reconstructions"), 0, "{what}: nothing is asked at the change");
        sync(&fs).await;
        let (down, up) = travelled(&rig);
        println!("{what}: {:.2} MB down, {:.2} MB up", down as f64 / 1e6, up as f64 / 1e6);
        assert!(down <= (down_at_most * MIB) as u64, "{what}: {down} bytes down");
        assert!(up <= (up_at_most * MIB) as u64, "{what}: {up} bytes up");
        let there = rig.on_hub("big").unwrap();
        let differs = there.iter().zip(&content).position(|(there, here)| there != here);
        assert_eq!((there.len(), differs), (content.len(), None), "{what}: the content is right");
    }
    assert!(read_id(&fs, id).await == content, "and so it is here");
}

/// The figure of issue C: 1 MiB in the middle of 2 GB with BUCKETBAR_FULL, of 400 MB without.
#[tokio::test(flavor = "multi_thread")]
async fn one_mebibyte_in_the_middle_costs_one_segment_down_and_the_change_up() {
    let size = if std::env::var_os("BUCKETBAR_FULL").is_some() { 2_000_000_000 } else { 400_000_000 };
    let rig = Rig::new();
    let mut content = testkit::bytes(15, size);
    rig.put("big", &content);
    let fs = rig.open().await;
    let id = find(&fs, "big").await.unwrap();
    rig.hub.reset_counters();
    overwrite(&fs, id, &mut content, size / 5 * 2, &testkit::bytes(16, MIB)).await;
    assert_eq!(rig.hub.counters().calls("reconstructions"), 0, "nothing is asked at the change");
    let report = fs.sync(Some(std::time::Duration::from_secs(160))).await;
    assert!(report.complete, "left: {:?}", report.left);
    let (down, up) = travelled(&rig);
    println!(
        "1 MiB in the middle of {} MB: {:.2} MB down, {:.2} MB up",
        size / 1_000_000,
        down as f64 / 1e6,
        up as f64 / 1e6
    );
    assert!(down <= 66 * MIB as u64 && up <= 3 * MIB as u64, "{down} down, {up} up");
    assert!(rig.on_hub("big").unwrap() == content, "the content is right");
}

/// A storage that fails at the calls of an edit, and only there, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_and_again_as_an_edit_goes_up_whole() {
    let rig = Rig::new();
    let mut content = testkit::bytes(17, 150 * MIB);
    rig.put("big", &content);
    let fs = rig.open().await;
    let id = find(&fs, "big").await.unwrap();
    let harm = testkit::Harm::Status { status: 500, retry_after: None };
    rig.hub.faults().add(testkit::Fault::on("file-chunk-hashes", harm));
    overwrite(&fs, id, &mut content, 70 * MIB, b"EDIT").await;
    let report = fs.sync(Some(std::time::Duration::from_secs(120))).await;
    assert!(report.complete, "left: {:?}", report.left);
    assert!(rig.on_hub("big").unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_sent_whole_and_deduplicates() {
    let rig = Rig::new();
    let mut content = testkit::bytes(21, 12 * MIB);
    rig.put("f", &content);
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    rig.hub.reset_counters();
    overwrite(&fs, id, &mut content, 6 * MIB, b"EDIT").await;
    sync(&fs).await;
    let (down, up) = travelled(&rig);
    assert!(down <= 13 * MIB as u64 && up <= MIB as u64, "{down} down, {up} up");
    assert_eq!(rig.hub.counters().calls("file-chunk-hashes"), 0, "as an edit it would have fetched the same");
    assert!(rig.on_hub("f").unwrap() == content);
}

/// The Hub collects the base of an edit as soon as nothing refers to it.
async fn base_is_kept(lose: impl Fn(&Rig), expected: &str) {
    let rig = Rig::new();
    let mut content = testkit::bytes(31, 3 * MIB);
    rig.put("f", &content);
    let fs = rig.open().await;
    let id = find(&fs, "f").await.unwrap();
    fs.pause();
    overwrite(&fs, id, &mut content, MIB, b"EDIT").await;
    rig.hub.reset_counters();
    lose(&rig);
    until(async || (travelled(&rig).0 >= 3 * MIB as u64 - 4).then_some(())).await;
    let reading = read_id(&fs, id).await;
    assert!(reading == content);
    tokio::time::sleep(std::time::Duration::from_millis(700)).await; // kept on disk, synced
    let crashed = rig.crash_copy();
    fs.shutdown(std::time::Duration::from_secs(5)).await;
    drop(fs);
    assert_eq!(rig.hub.faults().collect_garbage(), 1);
    // A new life without the old one's cache: what is not in the staged copy is nowhere.
    std::fs::remove_dir_all(crashed.join("cache")).unwrap();
    let config = bucketfs::Config { state_dir: crashed, ..rig.config() };
    let fs = rig.open_with(config, rig.client()).await;
    fs.resume();
    sync(&fs).await;
    let everything = rig.paths();
    let ours = everything.iter().find(|path| crate::rig::undated(path) == expected).unwrap();
    assert!(rig.on_hub(ours).unwrap() == content, "every byte of the edit and of its base");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_of_an_edit_is_kept_when_the_file_is_deleted_there() {
    base_is_kept(|rig| rig.hub.client().delete(&rig.bucket, "f"), "f").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_of_an_edit_is_kept_when_the_file_is_replaced_there() {
    base_is_kept(|rig| drop(rig.put("f", b"theirs")), "f (conflict)").await;
}
