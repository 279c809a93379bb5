//! A full local disk is an error, not a loss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bucketfs::faults::{Harm, Order, Part, Step};
use bucketfs::{BucketFs, Create, ErrorKind, FileId, ROOT, SetAttr};
use bytes::Bytes;

use crate::rig::{Rig, find, read_id, sync, write_file};

/// Bytes that the state directory takes now.
fn used(rig: &Rig) -> u64 {
    fn below(folder: &std::path::Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let of = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => below(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        };
        std::fs::read_dir(folder).map_or(0, |entries| entries.flatten().map(of).sum())
    }
    below(&rig.config().state_dir)
}

/// As a kernel writes: what is put off is sent again.
async fn copy(fs: &BucketFs, name: &str, content: &[u8]) -> bucketfs::Result<FileId> {
    let id = fs.create(ROOT, name.as_bytes(), Create::Guarded(SetAttr::default()), None).await?.attr.id;
    let start = Instant::now();
    for (index, chunk) in content.chunks(1 << 20).enumerate() {
        loop {
            match fs.write(id, (index as u64) << 20, Bytes::copy_from_slice(chunk), false).await {
                Ok(_) => break,
                Err(error) if error.kind == ErrorKind::Slow => {
                    assert!(start.elapsed() < Duration::from_secs(120), "put off for ever: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
    fs.commit(id, 0, 0).await.map(|_| id)
}

async fn small_disk(rig: &Rig, bytes: u64, patience: Duration) -> Arc<BucketFs> {
    let config = bucketfs::Config { full_patience: patience, ..rig.config() };
    let fs = BucketFs::open(config, rig.client(), rig.events.clone()).await.unwrap();
    crate::rig::names(&fs, "").await;
    rig.faults.limit_disk(Some(used(rig) + bytes));
    fs.start_sync();
    fs
}

/// The first two WRITEs of a file: one makes the staged copy, slowly, the other is refused meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_refused_while_the_staged_copy_is_being_made_leaves_its_hole() {
    let rig = Rig::new();
    let fs = small_disk(&rig, 4 << 20, Duration::from_secs(1)).await;
    let create = Create::Guarded(SetAttr::default());
    let id = fs.create(ROOT, b"two", create, None).await.unwrap().attr.id;
    let slow = Harm::Slow(Duration::from_millis(400));
    rig.faults.order(Order {
        step: Step::Write,
        part: Some(Part::Data),
        file: None,
        harm: slow,
        times: Some(1),
    });
    let first = {
        let fs = fs.clone();
        tokio::spawn(async move { fs.write(id, 0, Bytes::from_static(b"fits"), false).await })
    };
    tokio::time::sleep(Duration::from_millis(150)).await;
    let refused = fs.write(id, 1 << 20, Bytes::from(vec![1; 8 << 20]), false).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::NoSpace);
    first.await.unwrap().unwrap();
    assert_eq!(fs.commit(id, 0, 0).await.unwrap_err().kind, ErrorKind::NoSpace, "a part is missing");
    fs.setattr(id, SetAttr { size: Some(0), ..SetAttr::default() }, None, None).await.unwrap();
    fs.write(id, 0, Bytes::from_static(b"anew"), false).await.unwrap();
    fs.commit(id, 0, 0).await.unwrap();
    sync(&fs).await;
    assert_eq!(rig.on_hub("two").unwrap(), b"anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_larger_than_the_disk_finishes_while_uploads_free_space() {
    let rig = Rig::new();
    let fs = small_disk(&rig, 14 << 20, Duration::from_secs(60)).await;
    for index in 0..8u64 {
        copy(&fs, &format!("f{index}"), &testkit::bytes(index, 4 << 20)).await.unwrap();
    }
    sync(&fs).await;
    for index in 0..8u64 {
        assert_eq!(rig.on_hub(&format!("f{index}")).unwrap(), testkit::bytes(index, 4 << 20));
        let id = find(&fs, &format!("f{index}")).await.unwrap();
        assert_eq!(fs.getattr(id).await.unwrap().size, 4 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_everything_else_is_intact() {
    let rig = Rig::new();
    let fs = small_disk(&rig, 6 << 20, Duration::from_secs(1)).await;
    fs.pause();
    let first = copy(&fs, "first", &testkit::bytes(1, 3 << 20)).await.unwrap();
    assert!(fs.space().unwrap().available < 4 << 20, "FSSTAT says what can be taken");
    let start = Instant::now();
    let error = copy(&fs, "too much", &testkit::bytes(2, 8 << 20)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSpace);
    assert!(start.elapsed() < Duration::from_secs(10), "no upload can help, so nobody waits");
    let much = find(&fs, "too much").await.unwrap();
    assert_eq!(fs.commit(much, 0, 0).await.unwrap_err().kind, ErrorKind::NoSpace, "the hole sticks");
    assert_eq!(read_id(&fs, first).await, testkit::bytes(1, 3 << 20));
    fs.write(first, 5, Bytes::from_static(b"in place"), true).await.expect("bytes that have their place");
    let mut expected = testkit::bytes(1, 3 << 20);
    expected[5..13].copy_from_slice(b"in place");
    fs.remove(ROOT, b"too much", None).await.expect("names go on");
    let again = copy(&fs, "fits", &testkit::bytes(3, 1 << 20)).await.expect("space came back");
    assert_eq!(read_id(&fs, again).await, testkit::bytes(3, 1 << 20));
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.on_hub("first").unwrap(), expected);
    assert_eq!(rig.on_hub("too much"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_put_off_for_a_bounded_time_only() {
    let rig = Rig::new();
    let fs = small_disk(&rig, 6 << 20, Duration::from_secs(4)).await;
    // It could free space, and does not: the Hub hangs.
    rig.hub.faults().add(testkit::Fault::on("/batch", testkit::Harm::Hang));
    copy(&fs, "waiting", &testkit::bytes(1, 4 << 20)).await.unwrap();
    let start = Instant::now();
    let mut put_off = 0;
    let id = fs.create(ROOT, b"more", Create::Guarded(SetAttr::default()), None).await.unwrap().attr.id;
    let error = loop {
        match fs.write(id, 0, Bytes::from(vec![1u8; 3 << 20]), false).await {
            Ok(_) => panic!("there is no space for it"),
            Err(error) if error.kind == ErrorKind::Slow => put_off += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::NoSpace);
    assert!(put_off >= 1, "the client is told to ask again first");
    assert!((3.0..15.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_caches_are_given_back_before_a_write_is_refused() {
    let rig = Rig::new();
    rig.put("remote.bin", &testkit::bytes(5, 6 << 20));
    let fs = small_disk(&rig, 10 << 20, Duration::from_secs(1)).await;
    let remote = find(&fs, "remote.bin").await.unwrap();
    assert_eq!(read_id(&fs, remote).await, testkit::bytes(5, 6 << 20));
    testkit::eventually(Duration::from_secs(10), || match used(&rig) {
        enough if enough > 6 << 20 => Ok(()),
        less => Err(less),
    });
    write_file(&fs, "saved.bin", &testkit::bytes(6, 2 << 20)).await;
    sync(&fs).await;
    fs.pause(); // nothing but the caches can help
    assert!(fs.space().unwrap().available > 8 << 20, "{:?}: what would be given back counts", fs.space());
    let id = copy(&fs, "new.bin", &testkit::bytes(7, 8 << 20)).await.expect("the caches made room");
    assert_eq!(read_id(&fs, id).await, testkit::bytes(7, 8 << 20));
    let saved = find(&fs, "saved.bin").await.unwrap();
    assert_eq!(read_id(&fs, saved).await, testkit::bytes(6, 2 << 20), "from the Hub again");
    fs.resume();
    sync(&fs).await;
    assert_eq!(rig.on_hub("new.bin").unwrap(), testkit::bytes(7, 8 << 20));
}
