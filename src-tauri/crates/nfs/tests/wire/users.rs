//! Many users (`ServerConfig::any_uid`): what each may do.

use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use nfs3_types::rpc::{auth_unix, opaque_auth};

use crate::harness::{Client, Harness, OWNER, at, credential, handle_of, status};
use crate::memory_fs::ROOT;

/// Somebody who is neither the owner nor in a group of the owner's.
async fn stranger(server: &Harness) -> Client {
    let (uid, gid) = (OWNER + 1, 9_999);
    let credential = opaque_auth::auth_unix(&auth_unix { uid, gid, gids: vec![gid], ..auth_unix::default() });
    server.client_as(credential).await
}

fn emptied() -> createhow3 {
    createhow3::UNCHECKED(sattr3 { size: set_size3::Some(0), ..sattr3::default() })
}

async fn set_mode(client: &mut Client, object: &nfs_fh3, mode: u32) {
    let new_attributes = sattr3 { mode: set_mode3::Some(mode), ..sattr3::default() };
    let args = SETATTR3args { object: object.clone(), new_attributes, guard: sattrguard3::None };
    assert_eq!(status(&client.setattr(&args).await.unwrap()), NFS3_OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_empties_an_existing_file_only_for_who_may_write_it() {
    let server = Harness::with(|config| config.any_uid = true).await;
    let id = server.fs.put(ROOT, "a", b"content");
    let root = server.root().await;
    let mut superuser = server.client_as(credential(0)).await;
    let file = handle_of(&mut superuser, &root, "a").await;
    set_mode(&mut superuser, &root, 0o777).await;
    set_mode(&mut superuser, &file, 0o644).await;
    let mut stranger = stranger(&server).await;
    let refused = stranger.create(&CREATE3args { where_: at(&root, "a"), how: emptied() }).await.unwrap();
    assert_eq!(status(&refused), NFS3ERR_ACCES);
    assert_eq!(server.fs.content(id), b"content");
    let opened = createhow3::UNCHECKED(sattr3::default());
    let opened = stranger.create(&CREATE3args { where_: at(&root, "a"), how: opened }).await.unwrap();
    assert_eq!(status(&opened), NFS3_OK, "changes nothing");
    set_mode(&mut superuser, &file, 0o666).await;
    let allowed = stranger.create(&CREATE3args { where_: at(&root, "a"), how: emptied() }).await.unwrap();
    assert_eq!(status(&allowed), NFS3_OK);
    assert_eq!(server.fs.content(id), b"");
    let made = stranger.create(&CREATE3args { where_: at(&root, "new"), how: emptied() }).await.unwrap();
    assert_eq!(status(&made), NFS3_OK);
    set_mode(&mut superuser, &root, 0o755).await;
    let refused =
        stranger.create(&CREATE3args { where_: at(&root, "another"), how: emptied() }).await.unwrap();
    assert_eq!(status(&refused), NFS3ERR_ACCES);
}
