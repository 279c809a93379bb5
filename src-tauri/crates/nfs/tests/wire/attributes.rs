//! GETATTR, SETATTR, ACCESS.

use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;

use crate::harness::{Harness, after, before, failure, handle_of, status, truth};
use crate::memory_fs::ROOT;

fn no_change() -> sattr3 {
    sattr3::default()
}

fn setattr(object: &nfs_fh3, new_attributes: sattr3) -> SETATTR3args {
    SETATTR3args { object: object.clone(), new_attributes, guard: sattrguard3::None }
}

#[tokio::test(flavor = "multi_thread")]
async fn getattr_says_what_the_file_system_says() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    let attr = client.getattr(&GETATTR3args { object }).await.unwrap().unwrap().obj_attributes;
    let truth = server.fs.attr(id);
    assert_eq!((attr.type_, attr.mode, attr.nlink, attr.size), (ftype3::NF3REG, 0o644, 1, 5));
    assert_eq!((attr.fsid, attr.fileid, attr.used), (truth.fsid, id, truth.used));
    assert_eq!((attr.mtime.seconds, attr.mtime.nseconds), (truth.mtime.seconds, truth.mtime.nseconds));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_for_good_is_stale_and_the_observer_hears_it() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    server.fs.take_away(ROOT, "a");
    let gone = client.getattr(&GETATTR3args { object: object.clone() }).await.unwrap();
    assert_eq!(status(&gone), NFS3ERR_STALE);
    let gone = client.setattr(&setattr(&object, no_change())).await.unwrap();
    assert_eq!(status(&gone), NFS3ERR_STALE);
    let heard = server.heard.all();
    assert_eq!(
        heard[1..],
        [format!("stale GETATTR {id} NFS3ERR_STALE"), format!("stale SETATTR {id} NFS3ERR_STALE")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn setattr_changes_what_it_names_and_its_wcc_data_is_exact() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    let was = truth(&server.fs, id);
    let mtime = nfstime3 { seconds: 1_234_567, nseconds: 999_999_999 };
    let change = sattr3 {
        mode: set_mode3::Some(0o640),
        size: set_size3::Some(3),
        mtime: set_mtime::SET_TO_CLIENT_TIME(mtime),
        atime: set_atime::SET_TO_SERVER_TIME,
        ..no_change()
    };
    let wcc = client.setattr(&setattr(&object, change)).await.unwrap().unwrap().obj_wcc;
    assert_eq!(before(&wcc), was);
    assert_eq!(after(&wcc), truth(&server.fs, id));
    let attr = server.fs.attr(id);
    assert_eq!((attr.mode, attr.size, attr.mtime.seconds), (0o640, 3, 1_234_567));
    assert_eq!(server.fs.content(id), b"hel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_does_not_match_changes_nothing() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    let was = truth(&server.fs, id);
    let guarded = |guard| SETATTR3args {
        object: object.clone(),
        new_attributes: sattr3 { size: set_size3::Some(0), ..no_change() },
        guard: sattrguard3::Some(guard),
    };
    let wrong = nfstime3 { seconds: 1, nseconds: 1 };
    let (status_of, fail) = failure(client.setattr(&guarded(wrong)).await.unwrap());
    assert_eq!(status_of, NFS3ERR_NOT_SYNC);
    assert_eq!((before(&fail.obj_wcc), after(&fail.obj_wcc)), (was, was));
    assert_eq!(server.fs.content(id), b"hello");
    assert_eq!(status(&client.setattr(&guarded(was.2)).await.unwrap()), NFS3_OK);
    assert_eq!(server.fs.content(id), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_nothing_can_have_are_refused_with_wcc_data() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    let too_large = sattr3 { size: set_size3::Some(1 << 63), ..no_change() };
    let odd_time = nfstime3 { seconds: 1, nseconds: 1_000_000_000 };
    let odd = sattr3 { mtime: set_mtime::SET_TO_CLIENT_TIME(odd_time), ..no_change() };
    let cut = sattr3 { size: set_size3::Some(0), ..no_change() };
    for (object, change, expected, id) in [
        (&object, too_large, NFS3ERR_FBIG, id),
        (&object, odd, NFS3ERR_INVAL, id),
        (&root, cut, NFS3ERR_INVAL, ROOT),
    ] {
        let (status_of, fail) = failure(client.setattr(&setattr(object, change)).await.unwrap());
        assert_eq!(status_of, expected);
        assert_eq!(before(&fail.obj_wcc), after(&fail.obj_wcc));
        assert_eq!(after(&fail.obj_wcc), truth(&server.fs, id));
    }
    assert_eq!(server.fs.runs("SETATTR"), 0, "none of them reached the file system");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_may_read_and_write_whatever_the_mode_says() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    let mode = sattr3 { mode: set_mode3::Some(0), ..no_change() };
    client.setattr(&setattr(&object, mode)).await.unwrap().unwrap();
    let all =
        ACCESS3_READ | ACCESS3_LOOKUP | ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE | ACCESS3_EXECUTE;
    let ask = |object: &nfs_fh3, access| ACCESS3args { object: object.clone(), access };
    let write = ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE;
    let got = client.access(&ask(&object, all)).await.unwrap().unwrap();
    assert_eq!(got.access, ACCESS3_READ | write, "and no EXECUTE: nobody has it");
    assert!(got.obj_attributes.is_some());
    let got = client.access(&ask(&root, all)).await.unwrap().unwrap();
    assert_eq!(got.access, ACCESS3_READ | ACCESS3_LOOKUP | write);
    let got = client.access(&ask(&root, ACCESS3_LOOKUP)).await.unwrap().unwrap();
    assert_eq!(got.access, ACCESS3_LOOKUP, "nothing that was not asked");
    let mode = sattr3 { mode: set_mode3::Some(0o100), ..no_change() };
    client.setattr(&setattr(&object, mode)).await.unwrap().unwrap();
    assert_eq!(client.access(&ask(&object, ACCESS3_EXECUTE)).await.unwrap().unwrap().access, ACCESS3_EXECUTE);
    server.fs.set_read_only();
    let got = client.access(&ask(&root, all)).await.unwrap().unwrap();
    assert_eq!(got.access, ACCESS3_READ | ACCESS3_LOOKUP, "read-only");
}
