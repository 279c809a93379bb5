//! READ, WRITE, COMMIT.

use std::sync::Arc;

use nfs3_types::nfs3::NFS_PROGRAM::{NFSPROC3_READ, NFSPROC3_WRITE};
use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Opaque;
use tokio::sync::Semaphore;

use crate::harness::{Harness, after, before, eventually, failure, handle_of, status, times, truth};
use crate::memory_fs::{Act, ROOT};
use crate::raw::Raw;

/// Bytes that say where they belong.
pub fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at + seed) * 31 % 251) as u8).collect()
}

fn read(file: &nfs_fh3, offset: u64, count: u32) -> READ3args {
    READ3args { file: file.clone(), offset, count }
}

fn write<'a>(file: &nfs_fh3, offset: u64, data: &'a [u8], stable: stable_how) -> WRITE3args<'a> {
    WRITE3args { file: file.clone(), offset, count: data.len() as u32, stable, data: Opaque::borrowed(data) }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_gives_every_byte_at_every_offset_and_says_where_the_end_is() {
    let server = Harness::start().await;
    let content = pattern(3 << 20, 0);
    let id = server.fs.put(ROOT, "a", &content);
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let size = content.len() as u64;
    for (offset, count) in [
        (0, 1),
        (1, 2),
        (0, 1 << 20),
        (99_999, 3),
        (77, 1_000_003),
        (size - 5, 5),
        (size - 5, 100),
        (size, 10),
    ] {
        let got = client.read(&read(&file, offset, count)).await.unwrap().unwrap();
        let end = (offset + u64::from(count)).min(size);
        assert_eq!(got.data.as_ref(), &content[offset as usize..end as usize], "{offset} {count}");
        assert_eq!(got.count as u64, end - offset);
        assert_eq!(got.eof, end == size, "{offset} {count}");
        assert_eq!(times(&got.file_attributes), truth(&server.fs, id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_gives_no_more_than_rtmax_and_nothing_beyond_the_largest_offset() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", &pattern(3 << 20, 0));
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let got = client.read(&read(&file, 0, u32::MAX)).await.unwrap().unwrap();
    assert_eq!((got.count, got.eof), (1 << 20, false));
    for offset in [1 << 62, i64::MAX as u64, u64::MAX] {
        let got = client.read(&read(&file, offset, 1 << 20)).await.unwrap().unwrap();
        assert_eq!((got.count, got.eof), (0, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_takes_all_three_promises_and_its_wcc_data_is_exact() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let mut expected = Vec::new();
    for (at, stable) in
        [stable_how::UNSTABLE, stable_how::DATA_SYNC, stable_how::FILE_SYNC].into_iter().enumerate()
    {
        let data = pattern(1000 + at, at);
        let was = truth(&server.fs, id);
        let args = write(&file, expected.len() as u64, &data, stable);
        let done = client.write(&args).await.unwrap().unwrap();
        assert_eq!((done.count as usize, done.committed, done.verf.0), (data.len(), stable, *b"epoch--1"));
        assert_eq!((before(&done.file_wcc), after(&done.file_wcc)), (was, truth(&server.fs, id)));
        expected.extend_from_slice(&data);
    }
    assert_eq!(server.fs.content(id), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_tells_the_verifier_of_now() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let commit = |offset, count| COMMIT3args { file: file.clone(), offset, count };
    assert_eq!(client.commit(&commit(0, 0)).await.unwrap().unwrap().verf.0, *b"epoch--1");
    server.fs.set_verifier(*b"epoch--2");
    let done = client.commit(&commit(1, 1)).await.unwrap().unwrap();
    assert_eq!(done.verf.0, *b"epoch--2");
    assert_eq!(
        (before(&done.file_wcc), after(&done.file_wcc)),
        (truth(&server.fs, id), truth(&server.fs, id))
    );
    let written = client.write(&write(&file, 0, b"x", stable_how::UNSTABLE)).await.unwrap().unwrap();
    assert_eq!(written.verf.0, *b"epoch--2");
    assert_eq!(status(&client.commit(&commit(u64::MAX, 2)).await.unwrap()), NFS3ERR_INVAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_can_not_be_is_refused_before_the_file_system() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let mut short = write(&file, 0, b"abcd", stable_how::UNSTABLE);
    short.count = 5;
    let far = write(&file, i64::MAX as u64 - 3, b"abcd", stable_how::UNSTABLE);
    let farther = write(&file, u64::MAX, b"abcd", stable_how::UNSTABLE);
    for (args, expected) in [(short, NFS3ERR_INVAL), (far, NFS3ERR_FBIG), (farther, NFS3ERR_FBIG)] {
        let (status_of, fail) = failure(client.write(&args).await.unwrap());
        assert_eq!(status_of, expected);
        assert_eq!(
            (before(&fail.file_wcc), after(&fail.file_wcc)),
            (truth(&server.fs, id), truth(&server.fs, id))
        );
    }
    let on_dir = client.write(&write(&root, 0, b"a", stable_how::UNSTABLE)).await.unwrap();
    assert_eq!(status(&on_dir), NFS3ERR_INVAL);
    assert_eq!(status(&client.read(&read(&root, 0, 1)).await.unwrap()), NFS3ERR_INVAL);
    assert_eq!(server.fs.runs("WRITE"), 0);
    let mut longer = write(&file, 0, b"xyz!", stable_how::UNSTABLE);
    longer.count = 2;
    assert_eq!(client.write(&longer).await.unwrap().unwrap().count, 2);
    assert_eq!(server.fs.content(id), b"xyc", "count says how much of the data is meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_write_commit_and_setattr_is_heard_of() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let full = client.write(&write(&file, 64 << 20, b"x", stable_how::UNSTABLE)).await.unwrap();
    let (status_of, fail) = failure(full);
    assert_eq!(status_of, NFS3ERR_NOSPC);
    assert_eq!(after(&fail.file_wcc), truth(&server.fs, id));
    server.fs.script("COMMIT", Act::Fail(nfs::types::nfsstat3::NFS3ERR_IO));
    server.fs.script("SETATTR", Act::Fail(nfs::types::nfsstat3::NFS3ERR_DQUOT));
    server.fs.script("READ", Act::Fail(nfs::types::nfsstat3::NFS3ERR_IO));
    let commit = COMMIT3args { file: file.clone(), offset: 0, count: 0 };
    let (status_of, fail) = failure(client.commit(&commit).await.unwrap());
    assert_eq!(status_of, NFS3ERR_IO);
    assert_eq!(after(&fail.file_wcc), truth(&server.fs, id), "attributes though the file system gave none");
    let setattr =
        SETATTR3args { object: file.clone(), new_attributes: sattr3::default(), guard: sattrguard3::None };
    assert_eq!(status(&client.setattr(&setattr).await.unwrap()), NFS3ERR_DQUOT);
    let (_, fail) = failure(client.read(&read(&file, 0, 1)).await.unwrap());
    assert!(fail.file_attributes.is_some());
    let heard = server.heard.all();
    assert_eq!(
        heard[1..],
        [
            format!("failed WRITE {id} NFS3ERR_NOSPC"),
            format!("failed COMMIT {id} NFS3ERR_IO"),
            format!("failed SETATTR {id} NFS3ERR_DQUOT"),
            format!("failed READ {id} NFS3ERR_IO"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_and_twenty_eight_writes_in_flight_are_answered_as_they_end() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let (count, size) = (128usize, 256 << 10);
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..count {
        server.fs.script("WRITE", Act::Wait(Arc::clone(&gate)));
    }
    let mut raw = Raw::connect(server.address).await;
    // From the last to the first, so that none can be "the next".
    for index in (0..count).rev() {
        let data = pattern(size, index);
        raw.ask(
            index as u32,
            NFSPROC3_WRITE,
            &write(&file, (index * size) as u64, &data, stable_how::UNSTABLE),
        )
        .await;
    }
    eventually("all writes run at once", || server.fs.runs("WRITE") == count).await;
    gate.add_permits(count);
    let mut answered: Vec<u32> = Vec::new();
    for _ in 0..count {
        let reply = raw.reply().await;
        assert_eq!(reply.decode::<WRITE3res>().unwrap().count as usize, size);
        answered.push(reply.xid);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..count as u32).collect::<Vec<_>>(), "each once");
    let expected: Vec<u8> = (0..count).flat_map(|index| pattern(size, index)).collect();
    assert!(server.fs.content(id) == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reads_in_flight_each_get_their_own_bytes() {
    let server = Harness::start().await;
    let content = pattern(8 << 20, 3);
    server.fs.put(ROOT, "a", &content);
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let mut raw = Raw::connect(server.address).await;
    let ranges: Vec<(usize, usize)> = (0..64).map(|n| (n * 100_003, (n * 37_777) % (1 << 20))).collect();
    for (xid, (offset, count)) in ranges.iter().enumerate() {
        raw.ask(xid as u32, NFSPROC3_READ, &read(&file, *offset as u64, *count as u32)).await;
    }
    for _ in &ranges {
        let reply = raw.reply().await;
        let (offset, count) = ranges[reply.xid as usize];
        let got = reply.decode::<READ3res>().unwrap();
        assert!(got.data.as_ref() == &content[offset..offset + count], "xid {}", reply.xid);
    }
}
