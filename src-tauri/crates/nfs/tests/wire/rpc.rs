//! RPC: everything RFC 5531 rejects a call for, and who is served.

use nfs3_types::nfs3::NFS_PROGRAM::*;
use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use nfs3_types::rpc::{accept_stat_data, auth_flavor, auth_stat, opaque_auth, rejected_reply};
use nfs3_types::xdr_codec::{Opaque, Void};

use crate::harness::{Harness, OWNER, at, credential, failure, status};
use crate::memory_fs::ROOT;
use crate::raw::{Raw, Verdict, call, framed, nfs_call};

const NFS: u32 = 100_003;
const NFS_ACL: u32 = 100_227;
const MOUNT: u32 = 100_005;

#[tokio::test(flavor = "multi_thread")]
async fn programs_versions_and_procedures_we_lack_are_said_to_be_lacking() {
    let server = Harness::start().await;
    let mut raw = Raw::connect(server.address).await;
    for (xid, what, expected) in [
        (1, (NFS_ACL, 3, 0), accept_stat_data::PROG_UNAVAIL),
        (2, (NFS, 2, 0), accept_stat_data::PROG_MISMATCH { low: 3, high: 3 }),
        (3, (NFS, 4, 0), accept_stat_data::PROG_MISMATCH { low: 3, high: 3 }),
        (4, (NFS, 3, 22), accept_stat_data::PROC_UNAVAIL),
        (5, (NFS, 3, u32::MAX), accept_stat_data::PROC_UNAVAIL),
        (6, (MOUNT, 4, 0), accept_stat_data::PROG_MISMATCH { low: 1, high: 3 }),
        (7, (MOUNT, 3, 6), accept_stat_data::PROC_UNAVAIL),
    ] {
        raw.send(&framed(&call(xid, what, credential(OWNER), &Void))).await;
        let reply = raw.reply().await;
        let (verdict, rest) = reply.verdict();
        assert!(rest.is_empty());
        let Verdict::Accepted(got) = verdict else { panic!("{verdict:?}") };
        assert_eq!((reply.xid, format!("{got:?}")), (xid, format!("{expected:?}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_rpc_version_is_denied_with_ours() {
    let server = Harness::start().await;
    let mut raw = Raw::connect(server.address).await;
    let mut bytes = nfs_call(1, NFSPROC3_NULL, &Void);
    bytes[11] = 3;
    raw.send(&framed(&bytes)).await;
    let reply = raw.reply().await;
    let (Verdict::Denied(rejected_reply::RPC_MISMATCH { low: 2, high: 2 }), _) = reply.verdict() else {
        panic!("{reply:?}")
    };
    assert!(raw.call(2, NFSPROC3_NULL, &Void).await.results().is_empty(), "the connection lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_are_cut_short_anywhere_are_garbage() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"");
    let root = server.root().await;
    let mut raw = Raw::connect(server.address).await;
    let create = CREATE3args { where_: at(&root, "b"), how: createhow3::UNCHECKED(sattr3::default()) };
    let whole = nfs_call(1, NFSPROC3_CREATE, &create);
    let args_start = nfs_call(1, NFSPROC3_CREATE, &Void).len();
    for length in (args_start..whole.len()).step_by(4) {
        let mut cut = whole[..length].to_vec();
        cut[..4].copy_from_slice(&(length as u32).to_be_bytes());
        raw.send(&framed(&cut)).await;
        let reply = raw.reply().await;
        let (verdict, _) = reply.verdict();
        assert!(
            matches!(verdict, Verdict::Accepted(accept_stat_data::GARBAGE_ARGS)),
            "{length}: {verdict:?}"
        );
    }
    assert_eq!(server.fs.runs("CREATE"), 0);
    let long_handle = GETATTR3args { object: nfs_fh3 { data: Opaque::owned(vec![0; 65]) } };
    let reply = raw.call(2, NFSPROC3_GETATTR, &long_handle).await;
    assert!(matches!(reply.verdict().0, Verdict::Accepted(accept_stat_data::GARBAGE_ARGS)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_lies_is_garbage_not_memory() {
    let server = Harness::start().await;
    let root = server.root().await;
    let mut raw = Raw::connect(server.address).await;
    for lie in [5u32, 1 << 20, 1 << 31, u32::MAX] {
        let mut bytes = nfs_call(1, NFSPROC3_LOOKUP, &LOOKUP3args { what: at(&root, "abcd") });
        let length_at = bytes.len() - 8;
        bytes[length_at..length_at + 4].copy_from_slice(&lie.to_be_bytes());
        raw.send(&framed(&bytes)).await;
        let reply = raw.reply().await;
        assert!(matches!(reply.verdict().0, Verdict::Accepted(accept_stat_data::GARBAGE_ARGS)), "{lie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_and_root_are_served_others_get_acces_for_everything() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"");
    let root = server.root().await;
    for uid in [OWNER, 0] {
        let mut client = server.client_as(credential(uid)).await;
        assert_eq!(status(&client.getattr(&root.clone().into()).await.unwrap()), NFS3_OK);
        assert_eq!(status(&client.lookup(&LOOKUP3args { what: at(&root, "a") }).await.unwrap()), NFS3_OK);
    }
    let runs = server.fs.runs("GETATTR");
    let mut client = server.client_as(credential(OWNER + 1)).await;
    client.null().await.unwrap();
    assert_eq!(status(&client.getattr(&root.clone().into()).await.unwrap()), NFS3ERR_ACCES);
    let (no, fail) = failure(client.lookup(&LOOKUP3args { what: at(&root, "a") }).await.unwrap());
    assert_eq!(no, NFS3ERR_ACCES);
    assert!(fail.dir_attributes.is_none(), "and learn nothing");
    let (no, _) = failure(client.remove(&REMOVE3args { object: at(&root, "a") }).await.unwrap());
    assert_eq!(no, NFS3ERR_ACCES);
    assert_eq!(status(&client.fsinfo(&root.clone().into()).await.unwrap()), NFS3ERR_ACCES);
    assert_eq!((server.fs.runs("GETATTR"), server.fs.runs("REMOVE")), (runs, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_a_name_is_too_weak_and_a_broken_credential_bad() {
    let server = Harness::start().await;
    let root = server.root().await;
    let mut raw = Raw::connect(server.address).await;
    let getattr = GETATTR3args { object: root };
    let broken = opaque_auth { flavor: auth_flavor::AUTH_UNIX, body: Opaque::borrowed(&[0; 8]) };
    let short = opaque_auth { flavor: auth_flavor::AUTH_SHORT, body: Opaque::borrowed(&[]) };
    for (xid, cred, expected) in [
        (1, opaque_auth::default(), auth_stat::AUTH_TOOWEAK),
        (2, broken, auth_stat::AUTH_BADCRED),
        (3, short, auth_stat::AUTH_BADCRED),
    ] {
        raw.send(&framed(&call(xid, (NFS, 3, 1), cred, &getattr))).await;
        let reply = raw.reply().await;
        let (Verdict::Denied(rejected_reply::AUTH_ERROR(got)), _) = reply.verdict() else {
            panic!("{reply:?}")
        };
        assert_eq!(got, expected);
    }
    raw.send(&framed(&call(4, (NFS, 3, 0), opaque_auth::default(), &Void))).await;
    assert!(raw.reply().await.results().is_empty(), "NULL is for everybody");
    assert_eq!(
        raw.call(5, NFSPROC3_GETATTR, &getattr).await.decode::<GETATTR3res>().unwrap().obj_attributes.fileid,
        ROOT
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_many_fragments_are_calls() {
    let server = Harness::start().await;
    let root = server.root().await;
    let mut raw = Raw::connect(server.address).await;
    let bytes = nfs_call(9, NFSPROC3_GETATTR, &GETATTR3args { object: root });
    for size in [1, 3, 4, 50] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        for (at, piece) in pieces.iter().enumerate() {
            raw.send(&crate::raw::fragment(piece, at + 1 == pieces.len())).await;
        }
        assert_eq!(raw.reply().await.decode::<GETATTR3res>().unwrap().obj_attributes.fileid, ROOT);
    }
}
