//! NULL, FSSTAT, FSINFO, PATHCONF: what a kernel asks when it mounts (macos-nfs.md B1).

use nfs3_types::nfs3::*;

use crate::harness::{Harness, times, truth};
use crate::memory_fs::ROOT;

#[tokio::test(flavor = "multi_thread")]
async fn fsinfo_offers_a_mebibyte_and_the_largest_files() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    client.null().await.unwrap();
    let info = client.fsinfo(&root.into()).await.unwrap().unwrap();
    let mebibyte = 1 << 20;
    assert_eq!([info.rtmax, info.rtpref, info.wtmax, info.wtpref], [mebibyte; 4]);
    assert!(info.rtmult >= 512 && info.wtmult >= 512);
    assert_eq!((info.dtpref, info.maxfilesize), (65_536, i64::MAX as u64));
    assert_eq!(info.time_delta, nfstime3 { seconds: 0, nseconds: 1 });
    assert_eq!(info.properties, FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME, "no FSF3_LINK");
    assert_eq!(times(&info.obj_attributes), truth(&server.fs, ROOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn fsstat_gives_the_file_systems_figures() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    let stat = client.fsstat(&root.into()).await.unwrap().unwrap();
    assert_eq!((stat.tbytes, stat.fbytes, stat.abytes), (1000 << 20, 600 << 20, 500 << 20));
    assert_eq!((stat.tfiles, stat.ffiles, stat.afiles), (1_000_000, 900_000, 800_000));
    assert_eq!(times(&stat.obj_attributes), truth(&server.fs, ROOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn pathconf_keeps_case_apart_and_cuts_no_name() {
    let server = Harness::start().await;
    let (mut client, root) = server.client_and_root().await;
    let conf = client.pathconf(&root.into()).await.unwrap().unwrap();
    assert_eq!((conf.linkmax, conf.name_max), (1, 255));
    assert!(conf.no_trunc && conf.chown_restricted && conf.case_preserving && !conf.case_insensitive);
    assert!(conf.obj_attributes.is_some());
}
