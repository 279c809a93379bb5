//! CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK.

use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Opaque;

use crate::harness::{Client, Harness, after, at, before, failure, handle_of, status, times, truth};
use crate::memory_fs::ROOT;

fn plain() -> sattr3 {
    sattr3::default()
}

async fn create(client: &mut Client, dir: &nfs_fh3, name: &str, how: createhow3) -> CREATE3res {
    client.create(&CREATE3args { where_: at(dir, name), how }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn create_makes_a_file_with_a_usable_handle_and_exact_wcc_data() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    let was = truth(&server.fs, ROOT);
    let attr = sattr3 { mode: set_mode3::Some(0o600), ..plain() };
    let made = create(&mut client, &root, "a", createhow3::UNCHECKED(attr)).await.unwrap();
    assert_eq!((before(&made.dir_wcc), after(&made.dir_wcc)), (was, truth(&server.fs, ROOT)));
    let attr = made.obj_attributes.clone().unwrap();
    assert_eq!((attr.type_, attr.mode, attr.size), (ftype3::NF3REG, 0o600, 0));
    let object = made.obj.unwrap();
    assert_eq!(object, handle_of(&mut client, &root, "a").await);
    let again = client.getattr(&GETATTR3args { object }).await.unwrap().unwrap();
    assert_eq!(again.obj_attributes.fileid, attr.fileid);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_of_an_existing_name_does_as_its_mode_says() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "a", b"content");
    let (mut client, root) = server.client_and_root().await;
    let (exists, fail) = failure(create(&mut client, &root, "a", createhow3::GUARDED(plain())).await);
    assert_eq!(exists, NFS3ERR_EXIST);
    assert_eq!(
        (before(&fail.dir_wcc), after(&fail.dir_wcc)),
        (truth(&server.fs, ROOT), truth(&server.fs, ROOT))
    );
    let other = createhow3::EXCLUSIVE(createverf3([7; 8]));
    assert_eq!(status(&create(&mut client, &root, "a", other).await), NFS3ERR_EXIST);
    let same = create(&mut client, &root, "a", createhow3::UNCHECKED(plain())).await.unwrap();
    assert_eq!(same.obj_attributes.unwrap().fileid, id);
    assert_eq!(server.fs.content(id), b"content");
    let cut = sattr3 { size: set_size3::Some(0), ..plain() };
    create(&mut client, &root, "a", createhow3::UNCHECKED(cut)).await.unwrap();
    assert_eq!(server.fs.content(id), b"", "O_TRUNC");
}

#[tokio::test(flavor = "multi_thread")]
async fn exclusive_create_is_idempotent_for_its_verifier() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    let how = |byte| createhow3::EXCLUSIVE(createverf3([byte; 8]));
    let first = create(&mut client, &root, "a", how(1)).await.unwrap().obj.unwrap();
    let second = create(&mut client, &root, "a", how(1)).await.unwrap().obj.unwrap();
    assert_eq!(first, second);
    assert_eq!(status(&create(&mut client, &root, "a", how(2)).await), NFS3ERR_EXIST);
}

#[tokio::test(flavor = "multi_thread")]
async fn mkdir_and_symlink_make_what_they_say() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    let was = truth(&server.fs, ROOT);
    let attributes = sattr3 { mode: set_mode3::Some(0o711), ..plain() };
    let made = client.mkdir(&MKDIR3args { where_: at(&root, "d"), attributes }).await.unwrap().unwrap();
    assert_eq!((before(&made.dir_wcc), after(&made.dir_wcc)), (was, truth(&server.fs, ROOT)));
    let attr = made.obj_attributes.unwrap();
    assert_eq!((attr.type_, attr.mode), (ftype3::NF3DIR, 0o711));
    let dir = made.obj.unwrap();
    let made = create(&mut client, &dir, "inside", createhow3::GUARDED(plain())).await;
    assert_eq!(status(&made), NFS3_OK);
    let again = client.mkdir(&MKDIR3args { where_: at(&root, "d"), attributes: plain() }).await.unwrap();
    assert_eq!(status(&again), NFS3ERR_EXIST);
    let long_target = vec![b'x'; 5000];
    for (target, expected) in [
        (&b"d/inside"[..], NFS3_OK),
        (b"", NFS3ERR_INVAL),
        (b"a\0", NFS3ERR_INVAL),
        (&long_target, NFS3ERR_NAMETOOLONG),
    ] {
        let symlink_data = nfspath3(Opaque::borrowed(target));
        let symlink = symlinkdata3 { symlink_attributes: plain(), symlink_data };
        let made = client.symlink(&SYMLINK3args { where_: at(&root, "l"), symlink }).await.unwrap();
        assert_eq!(status(&made), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mknod_and_link_are_an_honest_no_with_wcc_data() {
    let server = Harness::start().await;
    let id = server.fs.put(ROOT, "file", b"");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "file").await;
    let device = || devicedata3 { dev_attributes: plain(), spec: specdata3::default() };
    for what in [
        mknoddata3::NF3CHR(device()),
        mknoddata3::NF3BLK(device()),
        mknoddata3::NF3SOCK(plain()),
        mknoddata3::NF3FIFO(plain()),
    ] {
        let args = MKNOD3args { where_: at(&root, "n"), what };
        let (no, fail) = failure(client.mknod(&args).await.unwrap());
        assert_eq!(no, NFS3ERR_NOTSUPP);
        assert_eq!(before(&fail.dir_wcc), truth(&server.fs, ROOT));
    }
    let args = LINK3args { file: file.clone(), link: at(&root, "hard") };
    let (no, fail) = failure(client.link(&args).await.unwrap());
    assert_eq!(no, NFS3ERR_NOTSUPP);
    assert_eq!(times(&fail.file_attributes), truth(&server.fs, id));
    assert_eq!(after(&fail.linkdir_wcc), truth(&server.fs, ROOT));
    let args = LINK3args { file, link: at(&nfs_fh3::default(), "hard") };
    assert_eq!(status(&client.link(&args).await.unwrap()), NFS3ERR_BADHANDLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_is_for_files_and_rmdir_for_empty_directories() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "file", b"");
    let full = server.fs.put_dir(ROOT, "full");
    server.fs.put(full, "x", b"");
    server.fs.put_dir(ROOT, "empty");
    let (mut client, root) = server.client_and_root().await;
    for (name, expected) in
        [("full", NFS3ERR_ISDIR), ("nothing", NFS3ERR_NOENT), (".", NFS3ERR_INVAL), ("..", NFS3ERR_INVAL)]
    {
        let (no, fail) = failure(client.remove(&REMOVE3args { object: at(&root, name) }).await.unwrap());
        assert_eq!(no, expected, "{name}");
        assert_eq!(
            (before(&fail.dir_wcc), after(&fail.dir_wcc)),
            (truth(&server.fs, ROOT), truth(&server.fs, ROOT))
        );
    }
    for (name, expected) in
        [("file", NFS3ERR_NOTDIR), ("full", NFS3ERR_NOTEMPTY), (".", NFS3ERR_INVAL), ("..", NFS3ERR_EXIST)]
    {
        let (no, fail) = failure(client.rmdir(&RMDIR3args { object: at(&root, name) }).await.unwrap());
        assert_eq!(no, expected, "{name}");
        assert_eq!(after(&fail.dir_wcc), truth(&server.fs, ROOT));
    }
    let was = truth(&server.fs, ROOT);
    let done = client.remove(&REMOVE3args { object: at(&root, "file") }).await.unwrap().unwrap();
    assert_eq!((before(&done.dir_wcc), after(&done.dir_wcc)), (was, truth(&server.fs, ROOT)));
    let was = truth(&server.fs, ROOT);
    let done = client.rmdir(&RMDIR3args { object: at(&root, "empty") }).await.unwrap().unwrap();
    assert_eq!((before(&done.dir_wcc), after(&done.dir_wcc)), (was, truth(&server.fs, ROOT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_keeps_the_handle_replaces_the_target_and_tells_of_both_directories() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"mine");
    let dir_id = server.fs.put_dir(ROOT, "d");
    server.fs.put(dir_id, "b", b"old");
    let (mut client, root) = server.client_and_root().await;
    let dir = handle_of(&mut client, &root, "d").await;
    let object = handle_of(&mut client, &root, "a").await;
    let (was_from, was_to) = (truth(&server.fs, ROOT), truth(&server.fs, dir_id));
    let args = RENAME3args { from: at(&root, "a"), to: at(&dir, "b") };
    let done = client.rename(&args).await.unwrap().unwrap();
    assert_eq!((before(&done.fromdir_wcc), after(&done.fromdir_wcc)), (was_from, truth(&server.fs, ROOT)));
    assert_eq!((before(&done.todir_wcc), after(&done.todir_wcc)), (was_to, truth(&server.fs, dir_id)));
    assert_eq!(handle_of(&mut client, &dir, "b").await, object);
    let read = client.read(&READ3args { file: object, offset: 0, count: 10 }).await.unwrap().unwrap();
    assert_eq!(read.data.as_ref(), b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_can_not_be_says_why_with_wcc_data_of_both_directories() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"");
    let dir_id = server.fs.put_dir(ROOT, "d");
    server.fs.put_dir(dir_id, "sub");
    let (mut client, root) = server.client_and_root().await;
    let dir = handle_of(&mut client, &root, "d").await;
    let file = handle_of(&mut client, &root, "a").await;
    let long = "x".repeat(256);
    for (name, to, to_name, expected) in [
        ("nothing", &dir, "b", NFS3ERR_NOENT),
        ("a", &dir, "sub", NFS3ERR_EXIST),
        ("a", &dir, "..", NFS3ERR_INVAL),
        (".", &dir, "b", NFS3ERR_INVAL),
        ("a", &dir, &long, NFS3ERR_NAMETOOLONG),
        ("a", &dir, "x/y", NFS3ERR_INVAL),
    ] {
        let args = RENAME3args { from: at(&root, name), to: at(to, to_name) };
        let (no, fail) = failure(client.rename(&args).await.unwrap());
        assert_eq!(no, expected, "{name} {to_name}");
        assert_eq!(after(&fail.fromdir_wcc), truth(&server.fs, ROOT));
        assert_eq!(
            (before(&fail.todir_wcc), after(&fail.todir_wcc)),
            (truth(&server.fs, dir_id), truth(&server.fs, dir_id))
        );
    }
    let args = RENAME3args { from: at(&root, "a"), to: at(&file, "b") };
    assert_eq!(status(&client.rename(&args).await.unwrap()), NFS3ERR_NOTDIR);
    let args = RENAME3args { from: at(&root, "a"), to: at(&nfs_fh3::default(), "b") };
    assert_eq!(status(&client.rename(&args).await.unwrap()), NFS3ERR_BADHANDLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_can_not_be_never_reach_the_file_system() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    let long = "x".repeat(256);
    for (name, expected) in [
        ("", NFS3ERR_INVAL),
        ("a/b", NFS3ERR_INVAL),
        ("../escape", NFS3ERR_INVAL),
        ("nul\0", NFS3ERR_INVAL),
        (".", NFS3ERR_EXIST),
        ("..", NFS3ERR_EXIST),
        (&long, NFS3ERR_NAMETOOLONG),
    ] {
        let (no, fail) = failure(create(&mut client, &root, name, createhow3::UNCHECKED(plain())).await);
        assert_eq!(no, expected, "{name:?}");
        assert_eq!(before(&fail.dir_wcc), truth(&server.fs, ROOT));
        let made = client.mkdir(&MKDIR3args { where_: at(&root, name), attributes: plain() }).await.unwrap();
        assert_eq!(status(&made), expected, "{name:?}");
    }
    assert_eq!(server.fs.runs("CREATE") + server.fs.runs("MKDIR"), 0);
    let longest = "x".repeat(255);
    assert_eq!(status(&create(&mut client, &root, &longest, createhow3::UNCHECKED(plain())).await), NFS3_OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_system_takes_no_change_of_any_kind() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    server.fs.set_read_only();
    let write = WRITE3args {
        file: file.clone(),
        offset: 0,
        count: 1,
        stable: stable_how::UNSTABLE,
        data: Opaque::borrowed(b"x"),
    };
    let (no, fail) = failure(client.write(&write).await.unwrap());
    assert_eq!(no, NFS3ERR_ROFS);
    assert!(fail.file_wcc.after.is_some());
    assert_eq!(status(&create(&mut client, &root, "b", createhow3::UNCHECKED(plain())).await), NFS3ERR_ROFS);
    assert_eq!(status(&client.remove(&REMOVE3args { object: at(&root, "a") }).await.unwrap()), NFS3ERR_ROFS);
    let args = RENAME3args { from: at(&root, "a"), to: at(&root, "b") };
    assert_eq!(status(&client.rename(&args).await.unwrap()), NFS3ERR_ROFS);
    let args = SETATTR3args { object: file.clone(), new_attributes: plain(), guard: sattrguard3::None };
    assert_eq!(status(&client.setattr(&args).await.unwrap()), NFS3ERR_ROFS);
    assert_eq!(status(&client.commit(&COMMIT3args { file, offset: 0, count: 0 }).await.unwrap()), NFS3_OK);
}
