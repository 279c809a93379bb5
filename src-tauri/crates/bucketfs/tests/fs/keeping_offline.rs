//! Keeping offline: what is pinned is here, stays here, follows the Hub, and is read without it.

use std::sync::Arc;
use std::time::Duration;

use bucketfs::{BucketFs, ErrorKind, PinReport, PinState, ROOT};
use bytes::Bytes;

use crate::rig::{Rig, find, names, parent_of, read_file, sync, until, write_file};

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(next).collect()
}

fn pin_of(fs: &BucketFs, path: &str) -> Option<PinReport> {
    fs.pins().unwrap().into_iter().find(|pin| pin.path == path)
}

async fn kept(fs: &Arc<BucketFs>, path: &str) -> PinReport {
    until(async || pin_of(fs, path).filter(|pin| pin.state == PinState::Kept)).await
}

async fn offline(fs: &Arc<BucketFs>, rig: &mut Rig) {
    rig.hub.kill();
    until(async || (!fs.status().online).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_folder_is_listed_and_read_whole_without_the_hub_and_after_a_restart() {
    let mut rig = Rig::new();
    let large = noise(3_000_000, 1);
    rig.put("d/large", &large);
    rig.put("d/sub/deep/small", b"small");
    rig.put("d/empty", b"");
    rig.put("beside", b"not pinned");
    let fs = rig.open().await;
    let cost = fs.pin_cost("d").await.unwrap();
    assert_eq!((cost.files, cost.bytes, cost.download_bytes), (3, 3_000_005, 3_000_005));
    fs.pin("/d/").await.unwrap();
    let report = kept(&fs, "d").await;
    assert_eq!((report.files, report.bytes, report.bytes_here), (3, 3_000_005, 3_000_005));
    assert!(report.folder);
    assert_eq!(fs.pin_cost("d/sub").await.unwrap().download_bytes, 0);
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);

    rig.hub.kill();
    let fs = rig.open().await;
    assert_eq!(names(&fs, "d").await, ["empty", "large", "sub"]);
    assert_eq!(names(&fs, "d/sub/deep").await, ["small"]);
    assert!(read_file(&fs, "d/large").await == large);
    assert_eq!(read_file(&fs, "d/sub/deep/small").await, b"small");
    assert_eq!(fs.downloaded_to_keep(), 0);
    assert_eq!(kept(&fs, "d").await.bytes_here, 3_000_005);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_pinned_is_an_error_offline_and_what_is_pinned_is_not() {
    let mut rig = Rig::new();
    rig.put("kept", &noise(200_000, 2));
    rig.put("other", &noise(200_000, 3));
    let fs = rig.open().await;
    let other = find(&fs, "other").await.unwrap();
    fs.pin("kept").await.unwrap();
    kept(&fs, "kept").await;
    offline(&fs, &mut rig).await;
    assert!(read_file(&fs, "kept").await == noise(200_000, 2));
    let missing = tokio::time::timeout(Duration::from_secs(60), fs.read(other, 0, 1000)).await;
    assert!(missing.expect("bounded").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_elsewhere_is_followed_and_the_old_content_goes() {
    let mut rig = Rig::new();
    rig.put("d/f", &noise(300_000, 4));
    let fs = rig.open().await;
    fs.pin("d").await.unwrap();
    kept(&fs, "d").await;
    rig.put("d/f", &noise(400_000, 5));
    rig.put("d/new/g", &noise(100_000, 6));
    until(async || pin_of(&fs, "d").filter(|pin| pin.bytes_here == 500_000)).await;
    assert_eq!(kept(&fs, "d").await.files, 2);
    offline(&fs, &mut rig).await;
    assert!(read_file(&fs, "d/f").await == noise(400_000, 5));
    assert!(read_file(&fs, "d/new/g").await == noise(100_000, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_saved_here_is_kept_without_a_download() {
    let mut rig = Rig::new();
    rig.put("d/f", b"there");
    let fs = rig.open().await;
    fs.pin("d").await.unwrap();
    kept(&fs, "d").await;
    let before = fs.downloaded_to_keep();
    let content = noise(2_500_000, 7);
    write_file(&fs, "d/mine", &content).await;
    sync(&fs).await;
    until(async || (fs.cache_report().kept_bytes == 2_500_005).then_some(())).await;
    assert_eq!(fs.downloaded_to_keep(), before);
    offline(&fs, &mut rig).await;
    assert!(read_file(&fs, "d/mine").await == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_follows_a_rename_and_stays_with_its_name_when_a_program_saves_over_it() {
    let rig = Rig::new();
    rig.put("report", b"first version");
    let fs = rig.open().await;
    fs.pin("report").await.unwrap();
    kept(&fs, "report").await;
    write_file(&fs, "report.tmp", b"second version, longer").await;
    fs.rename(ROOT, b"report.tmp", ROOT, b"report", None).await.unwrap();
    sync(&fs).await;
    until(async || pin_of(&fs, "report").filter(|p| p.bytes == 22 && p.state == PinState::Kept)).await;
    fs.rename(ROOT, b"report", ROOT, b"renamed", None).await.unwrap();
    until(async || pin_of(&fs, "renamed").filter(|pin| pin.state == PinState::Kept)).await;
    assert_eq!(fs.pins().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_taken_up_where_a_crash_left_it() {
    let mut rig = Rig::new();
    let content = noise(40 << 20, 8);
    rig.put("large", &content);
    rig.hub.faults().network(20, 5_000_000);
    let fs = rig.open().await;
    fs.pin("large").await.unwrap();
    until(async || pin_of(&fs, "large").filter(|pin| pin.bytes_here > 8 << 20)).await;
    let crashed = rig.crash_copy();
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);

    rig.hub.faults().network(0, 0);
    let mut config = rig.config();
    config.state_dir = crashed;
    let fs = rig.open_with(config, rig.client()).await;
    kept(&fs, "large").await;
    let downloaded = fs.downloaded_to_keep();
    assert!(downloaded > 0 && downloaded < 33 << 20, "{downloaded} bytes were downloaded after the crash");
    offline(&fs, &mut rig).await;
    assert!(read_file(&fs, "large").await == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_much_else_does_not_drive_out_what_is_pinned() {
    let mut rig = Rig::new();
    rig.put("kept", &noise(4_000_000, 9));
    for number in 0..4 {
        rig.put(&format!("other{number}"), &noise(4_000_000, 10 + number));
    }
    let mut config = rig.config();
    config.cache_bytes = 5_000_000;
    let fs = rig.open_with(config, rig.client()).await;
    fs.pin("kept").await.unwrap();
    kept(&fs, "kept").await;
    for number in 0..4 {
        read_file(&fs, &format!("other{number}")).await;
    }
    let report = fs.cache_report();
    assert_eq!(report.kept_bytes, 4_000_000);
    assert!(report.read_bytes <= 5_000_000, "{report:?}");
    offline(&fs, &mut rig).await;
    assert!(read_file(&fs, "kept").await == noise(4_000_000, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn unpinning_gives_the_space_back_but_not_what_another_pin_wants() {
    let rig = Rig::new();
    rig.put("d/a", &noise(200_000, 20));
    rig.put("d/b", &noise(300_000, 21));
    let fs = rig.open().await;
    fs.pin("d").await.unwrap();
    fs.pin("d/a").await.unwrap();
    kept(&fs, "d").await;
    kept(&fs, "d/a").await;
    let error = fs.unpin("d/b").await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.what.contains("because d is"), "{error}");
    fs.unpin("d").await.unwrap();
    until(async || (fs.cache_report().kept_bytes == 200_000).then_some(())).await;
    fs.unpin("d/a").await.unwrap();
    until(async || (fs.cache_report().kept_bytes == 0).then_some(())).await;
    assert!(fs.pins().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(rig.config().state_dir.join("kept")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_cannot_take_is_refused_before_anything_is_downloaded() {
    let rig = Rig::new();
    rig.put("large", &noise(6_000_000, 30));
    let fs = rig.open().await;
    rig.faults.limit_disk(Some(2_000_000));
    let error = fs.pin("large").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSpace, "{error}");
    assert!(error.what.contains("6.0 MB"), "{error}");
    assert!(fs.pins().unwrap().is_empty());
    assert_eq!(fs.downloaded_to_keep(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_stops_the_download_and_room_lets_it_go_on() {
    let rig = Rig::new();
    rig.put("large", &noise(48 << 20, 31));
    rig.hub.faults().network(20, 10_000_000);
    let fs = rig.open().await;
    fs.pin("large").await.unwrap();
    until(async || pin_of(&fs, "large").filter(|pin| pin.bytes_here > 1 << 20)).await;
    rig.faults.limit_disk(Some(1));
    let failed = |pin: &PinReport| matches!(&pin.state, PinState::Failed { why, .. } if why.contains("full"));
    let seen =
        tokio::time::timeout(Duration::from_secs(19), until(async || pin_of(&fs, "large").filter(&failed)))
            .await;
    assert!(seen.is_ok(), "{:?} {:?}", fs.pins(), fs.cache_report());
    until(async || {
        rig.events
            .any(|event| matches!(event, bucketfs::Event::KeepOfflineFailed { full: true, .. }))
            .then_some(())
    })
    .await;
    rig.faults.limit_disk(None);
    rig.hub.faults().network(0, 0);
    until(async || pin_of(&fs, "large").filter(|pin| pin.state == PinState::Kept)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_elsewhere_is_said_to_be_gone_and_kept_again_when_it_is_back() {
    let rig = Rig::new();
    rig.put("f", b"one");
    let fs = rig.open().await;
    fs.pin("f").await.unwrap();
    kept(&fs, "f").await;
    rig.hub.client().delete(&rig.bucket, "f");
    until(async || pin_of(&fs, "f").filter(|pin| pin.state == PinState::Gone)).await;
    rig.put("f", b"back again");
    until(async || pin_of(&fs, "f").filter(|pin| pin.state == PinState::Kept && pin.bytes == 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_pinned_file_works_offline_and_arrives() {
    let mut rig = Rig::new();
    rig.put("f", &noise(300_000, 40));
    let fs = rig.open().await;
    fs.pin("f").await.unwrap();
    kept(&fs, "f").await;
    offline(&fs, &mut rig).await;
    let id = find(&fs, "f").await.unwrap();
    fs.write(id, 100_000, Bytes::from_static(b"EDIT"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    let mut expected = noise(300_000, 40);
    expected[100_000..100_004].copy_from_slice(b"EDIT");
    assert!(read_file(&fs, "f").await == expected);
    rig.hub.restart();
    sync(&fs).await;
    assert!(rig.on_hub("f").unwrap() == expected);
    kept(&fs, "f").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_outlive_a_lost_database() {
    let rig = Rig::new();
    rig.put("d/f", &noise(100_000, 50));
    let fs = rig.open().await;
    fs.pin("d").await.unwrap();
    kept(&fs, "d").await;
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    for name in ["names.db", "names.db-wal", "names.db-shm"] {
        let _ = std::fs::remove_file(rig.config().state_dir.join(name));
    }
    let fs = rig.open().await;
    kept(&fs, "d").await;
    assert_eq!(fs.downloaded_to_keep(), 0, "what was here is still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_costs_one_listing_of_a_kept_tree_and_finds_what_changed_meanwhile() {
    let rig = Rig::new();
    let files: Vec<(String, Vec<u8>)> =
        (0..40).map(|number| (format!("d/{number:02}/f"), vec![number as u8; 10])).collect();
    rig.hub
        .client()
        .put_many(&rig.bucket, files.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
    let fs = rig.open().await;
    fs.pin("d").await.unwrap();
    until(async || pin_of(&fs, "d").filter(|pin| pin.state == PinState::Kept && pin.files == 40)).await;
    fs.shutdown(Duration::from_secs(5)).await;
    drop(fs);
    rig.put("d/07/f", b"changed meanwhile");
    rig.hub.reset_counters();
    let fs = rig.open().await;
    until(async || pin_of(&fs, "d").filter(|pin| pin.bytes == 407 && pin.state == PinState::Kept)).await;
    let calls = rig.hub.counters().calls("/tree");
    assert!(calls <= 8, "{calls} listings for 41 folders");
    let (dir, name) = parent_of(&fs, "d/07/f").await;
    assert_eq!(fs.lookup(dir, name).await.unwrap().size, 17);
}
