//! LOOKUP, READLINK.

use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Opaque;

use crate::harness::{Harness, at, failure, handle_of, status, times, truth};
use crate::memory_fs::ROOT;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_gives_one_handle_however_often_it_is_looked_up() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let found = client.lookup(&LOOKUP3args { what: at(&root, "a") }).await.unwrap().unwrap();
    assert_eq!(found.obj_attributes.clone().unwrap().fileid, id);
    assert_eq!(times(&found.dir_attributes), truth(&server.fs, ROOT));
    assert_eq!(found.object, handle_of(&mut client, &root, "a").await);
    assert!(found.object.data.len() <= 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn dot_is_the_directory_and_dotdot_its_parent() {
    let server = Harness::start().await;
    server.fs.put_dir(ROOT, "d");
    let (mut client, root) = server.client_and_root().await;
    let dir = handle_of(&mut client, &root, "d").await;
    assert_eq!(handle_of(&mut client, &dir, ".").await, dir);
    assert_eq!(handle_of(&mut client, &dir, "..").await, root);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_no_directory_says_so_with_attributes() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "file", b"");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "file").await;
    let long = "x".repeat(256);
    for (dir, name, expected, attributes_of) in [
        (&root, "nothing", NFS3ERR_NOENT, ROOT),
        (&file, "a", NFS3ERR_NOTDIR, id),
        (&root, &long, NFS3ERR_NAMETOOLONG, ROOT),
        (&root, "a/b", NFS3ERR_INVAL, ROOT),
        (&root, "", NFS3ERR_INVAL, ROOT),
        (&root, "a\0b", NFS3ERR_INVAL, ROOT),
    ] {
        let (status_of, fail) = failure(client.lookup(&LOOKUP3args { what: at(dir, name) }).await.unwrap());
        assert_eq!(status_of, expected, "{name:?}");
        assert_eq!(times(&fail.dir_attributes), truth(&server.fs, attributes_of));
    }
    assert_eq!(server.fs.runs("LOOKUP"), 2, "the last five never reached the file system");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_foreign_handles_are_badhandle_never_stale() {
    let server = Harness::start().await;
    let other = Harness::with(|config| config.key = [1; 32]).await;
    let (mut client, root) = server.client_and_root().await;
    let foreign = other.root().await;
    let mut forged = vec![root.data.to_vec(), root.data.to_vec(), Vec::new(), vec![0; 64]];
    // Another file id, and another last byte.
    forged[0][17] ^= 1;
    *forged[1].last_mut().unwrap() ^= 1;
    forged.push(foreign.data.to_vec());
    forged.push(root.data[..root.data.len() - 1].to_vec());
    for data in forged {
        let object = nfs_fh3 { data: Opaque::owned(data) };
        let got = client.getattr(&GETATTR3args { object: object.clone() }).await.unwrap();
        assert_eq!(status(&got), NFS3ERR_BADHANDLE);
        let got = client.lookup(&LOOKUP3args { what: at(&object, "a") }).await.unwrap();
        assert_eq!(status(&got), NFS3ERR_BADHANDLE);
    }
    assert_eq!(server.fs.runs("GETATTR") + server.fs.runs("LOOKUP"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_are_good_after_a_restart() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"hello");
    let (mut client, root) = server.client_and_root().await;
    let object = handle_of(&mut client, &root, "a").await;
    drop(client);
    let server = server.restart().await;
    let mut client = server.client().await;
    let attr = client.getattr(&GETATTR3args { object }).await.unwrap().unwrap();
    assert_eq!(attr.obj_attributes.fileid, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn readlink_gives_the_target_and_only_of_a_link() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "file", b"");
    let (mut client, root) = server.client_and_root().await;
    let target = "../somewhere else/…";
    let args = SYMLINK3args {
        where_: at(&root, "link"),
        symlink: symlinkdata3 {
            symlink_attributes: sattr3::default(),
            symlink_data: nfspath3(Opaque::borrowed(target.as_bytes())),
        },
    };
    let made = client.symlink(&args).await.unwrap().unwrap();
    let symlink = made.obj.unwrap();
    let read = client.readlink(&READLINK3args { symlink }).await.unwrap().unwrap();
    assert_eq!(read.data.as_ref(), target.as_bytes());
    assert_eq!(read.symlink_attributes.unwrap().type_, ftype3::NF3LNK);
    let file = handle_of(&mut client, &root, "file").await;
    let (status_of, fail) = failure(client.readlink(&READLINK3args { symlink: file }).await.unwrap());
    assert_eq!(status_of, NFS3ERR_INVAL);
    assert!(fail.symlink_attributes.is_some());
}
