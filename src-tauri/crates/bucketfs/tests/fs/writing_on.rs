//! Files that are written to while they go up, and files that are written to for ever.

use std::time::{Duration, Instant};

use bucketfs::faults::{Harm, Part, Step};
use bucketfs::{BucketFs, Config, Create, Event, ROOT, SetAttr};
use bytes::Bytes;

use crate::rig::{Rig, sync, write_file};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_during_an_upload_neither_waits_for_it_nor_ends_it() {
    let rig = Rig::new();
    let fs = rig.open().await;
    let before = testkit::bytes(1, 24 << 20);
    // The upload reads a chunk of 4 MiB each 300 ms.
    rig.faults.fail(Step::Read, Part::Data, Harm::Slow(Duration::from_millis(300)), None);
    let id = write_file(&fs, "busy", &before).await;
    let going_up =
        || fs.queue().iter().any(|item| matches!(item.state, bucketfs::ItemState::Uploading { .. }));
    testkit::eventually(Duration::from_secs(20), || going_up().then_some(()).ok_or(fs.queue()));
    let saved = || rig.events.any(|event| matches!(event, Event::Saved { path, .. } if path == "busy"));
    let (start, mut writes, mut slowest) = (Instant::now(), 0u64, Duration::ZERO);
    while !saved() {
        assert!(start.elapsed() < Duration::from_secs(60), "the upload never ended: {:?}", fs.queue());
        let offset = (writes * 1_234_567) % (24 << 20);
        let began = Instant::now();
        fs.write(id, offset, Bytes::from_static(b"NEW NEW NEW"), false).await.unwrap();
        fs.commit(id, 0, 0).await.unwrap();
        slowest = slowest.max(began.elapsed());
        writes += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(writes > 2, "the upload was over after {writes} writes, {:?}", start.elapsed());
    assert!(slowest < Duration::from_secs(5), "a writer waited {slowest:?}");
    assert!(rig.on_hub("busy").unwrap() == before, "the version of one moment");
    assert!(!fs.status().all_saved, "what came since goes up next");
    rig.faults.clear();
    sync(&fs).await;
    let now = crate::rig::read_id(&fs, id).await;
    assert!(now != before && rig.on_hub("busy").unwrap() == now);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_never_rests_goes_up_in_between_as_what_is_committed() {
    for commits in [true, false] {
        let rig = Rig::new();
        let config = Config { forever: Duration::from_secs(2), ..rig.config() };
        let fs = BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
        fs.start_sync();
        let id = fs.create(ROOT, b"log", Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id;
        let (mut log, mut committed) = (Vec::new(), 0);
        let start = Instant::now();
        let mut versions = Vec::new();
        while versions.len() < 2 {
            assert!(start.elapsed() < Duration::from_secs(60), "{versions:?} {:?}", fs.queue());
            let line = format!("line {} of a log that never rests\n", log.len());
            fs.write(id, log.len() as u64, Bytes::from(line.clone()), false).await.unwrap();
            log.extend_from_slice(line.as_bytes());
            // Without commits of its own the kernel still commits some of it, and never the end.
            if commits || log.len() % 5 == 0 {
                fs.commit(id, 0, 0).await.unwrap();
                committed = log.len();
            }
            if let Some(there) = rig.on_hub("log").filter(|there| !there.is_empty()) {
                assert!(there.len() <= committed && log.starts_with(&there), "a committed prefix, no more");
                if versions.last() != Some(&there.len()) {
                    versions.push(there.len());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(start.elapsed() > Duration::from_secs(3), "not more often than it should be");
        fs.commit(id, 0, 0).await.unwrap();
        sync(&fs).await;
        assert_eq!(rig.on_hub("log").unwrap(), log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_way_is_no_log() {
    let rig = Rig::new();
    // Neither the debounce nor a slow machine is to be what this is about: the copy keeps its pace by the clock.
    let debounce = Duration::from_secs(60);
    let config = Config { forever: Duration::from_secs(1), debounce, ..rig.config() };
    let fs = BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
    fs.start_sync();
    let id = fs.create(ROOT, b"copy", Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id;
    let content = testkit::bytes(3, 12 << 20);
    let (start, mut written) = (Instant::now(), 0);
    while written < content.len() {
        let due = ((4 << 20) + (2 << 20) * start.elapsed().as_millis() as usize / 1000).min(content.len());
        for chunk in content[written..due].chunks(1 << 19) {
            fs.write(id, written as u64, Bytes::copy_from_slice(chunk), false).await.unwrap();
            written += chunk.len();
        }
        fs.commit(id, 0, 0).await.unwrap();
        assert!(rig.on_hub("copy").is_none_or(|there| there.is_empty()), "no half of a copy");
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    sync(&fs).await;
    assert_eq!(rig.on_hub("copy").unwrap(), content);
}
