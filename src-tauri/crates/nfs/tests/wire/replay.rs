//! The duplicate-request cache, as a kernel meets it: the same call again over another connection.

use std::sync::Arc;
use std::time::Duration;

use nfs3_types::nfs3::NFS_PROGRAM::*;
use nfs3_types::nfs3::nfsstat3::*;
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::{Opaque, Pack};
use tokio::sync::Semaphore;

use crate::harness::{Harness, at, eventually, handle_of, status};
use crate::memory_fs::{Act, ROOT};
use crate::raw::{Raw, RawReply};

/// Sends a call, loses the connection, sends it again over a new one, and again after a restart.
/// The file system must have run it once, and all answers be the same.
async fn check(server: Harness, name: &str, procedure: NFS_PROGRAM, args: &impl Pack) -> (Harness, RawReply) {
    let first = Raw::connect(server.address).await.call(7, procedure, args).await;
    let again = Raw::connect(server.address).await.call(7, procedure, args).await;
    assert_eq!(first, again, "{name} after a reconnect");
    let runs = server.fs.runs(name);
    let server = server.restart().await;
    let stored = Raw::connect(server.address).await.call(7, procedure, args).await;
    assert_eq!(first, stored, "{name} after a restart");
    assert_eq!((runs, server.fs.runs(name)), (1, 1), "{name} ran once");
    (server, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_sent_again_is_answered_again_not_made_again_restart_or_not() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "old", b"");
    let root = server.root().await;
    let how = createhow3::GUARDED(sattr3::default());
    let create = CREATE3args { where_: at(&root, "a"), how };
    let (server, reply) = check(server, "CREATE", NFSPROC3_CREATE, &create).await;
    let file = reply.decode::<CREATE3res>().unwrap().obj.unwrap();

    let mkdir = MKDIR3args { where_: at(&root, "d"), attributes: sattr3::default() };
    let (server, _) = check(server, "MKDIR", NFSPROC3_MKDIR, &mkdir).await;

    let symlink_data = nfspath3(Opaque::borrowed(b"target"));
    let symlink = symlinkdata3 { symlink_attributes: sattr3::default(), symlink_data };
    let symlink = SYMLINK3args { where_: at(&root, "l"), symlink };
    let (server, _) = check(server, "SYMLINK", NFSPROC3_SYMLINK, &symlink).await;

    let rename = RENAME3args { from: at(&root, "a"), to: at(&root, "b") };
    let (server, _) = check(server, "RENAME", NFSPROC3_RENAME, &rename).await;

    let new_attributes = sattr3 { mode: set_mode3::Some(0o600), ..sattr3::default() };
    let setattr = SETATTR3args { object: file, new_attributes, guard: sattrguard3::None };
    let (server, _) = check(server, "SETATTR", NFSPROC3_SETATTR, &setattr).await;

    let (server, _) =
        check(server, "REMOVE", NFSPROC3_REMOVE, &REMOVE3args { object: at(&root, "old") }).await;
    let (server, reply) =
        check(server, "RMDIR", NFSPROC3_RMDIR, &RMDIR3args { object: at(&root, "d") }).await;
    assert_eq!(status(&reply.decode::<RMDIR3res>()), NFS3_OK, "not the NOENT a second run would give");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_an_answer_too() {
    let server = Harness::start().await;
    let root = server.root().await;
    let remove = REMOVE3args { object: at(&root, "a") };
    let first = Raw::connect(server.address).await.call(7, NFSPROC3_REMOVE, &remove).await;
    assert_eq!(status(&first.decode::<REMOVE3res>()), NFS3ERR_NOENT);
    server.fs.put(ROOT, "a", b"made by somebody else meanwhile");
    let again = Raw::connect(server.address).await.call(7, NFSPROC3_REMOVE, &remove).await;
    assert_eq!(first, again, "an old REMOVE must not remove the new file");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_same_call_by_the_same_caller_is_a_retransmission() {
    let server = Harness::start().await;
    let root = server.root().await;
    let mut raw = Raw::connect(server.address).await;
    let create = |name| CREATE3args { where_: at(&root, name), how: createhow3::GUARDED(sattr3::default()) };
    let made = |reply: RawReply| status(&reply.decode::<CREATE3res>());
    assert_eq!(made(raw.call(7, NFSPROC3_CREATE, &create("a")).await), NFS3_OK);
    assert_eq!(made(raw.call(7, NFSPROC3_CREATE, &create("b")).await), NFS3_OK, "other arguments");
    assert_eq!(made(raw.call(8, NFSPROC3_CREATE, &create("a")).await), NFS3ERR_EXIST, "another xid");
    let program = (nfs3_types::nfs3::PROGRAM, nfs3_types::nfs3::VERSION, NFSPROC3_CREATE as u32);
    let as_root = crate::raw::call(7, program, crate::harness::credential(0), &create("a"));
    raw.send(&crate::raw::framed(&as_root)).await;
    assert_eq!(made(raw.reply().await), NFS3ERR_EXIST, "another caller");
    assert_eq!(made(raw.call(7, NFSPROC3_CREATE, &create("a")).await), NFS3_OK, "and the first again");
    assert_eq!(server.fs.runs("CREATE"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_a_running_call_wait_for_its_one_answer() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "file", b"");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "file").await;
    let data = vec![9; 300_000];
    let write = WRITE3args {
        file: file.clone(),
        offset: 5,
        count: data.len() as u32,
        stable: stable_how::UNSTABLE,
        data: Opaque::borrowed(&data),
    };
    let commit = COMMIT3args { file, offset: 0, count: 0 };
    let create = CREATE3args { where_: at(&root, "a"), how: createhow3::GUARDED(sattr3::default()) };
    check_running(&server, "WRITE", NFSPROC3_WRITE, &write).await;
    check_running(&server, "COMMIT", NFSPROC3_COMMIT, &commit).await;
    check_running(&server, "CREATE", NFSPROC3_CREATE, &create).await;
}

async fn check_running(server: &Harness, name: &'static str, procedure: NFS_PROGRAM, args: &impl Pack) {
    let gate = Arc::new(Semaphore::new(0));
    server.fs.script(name, Act::Wait(Arc::clone(&gate)));
    let mut first = Raw::connect(server.address).await;
    first.ask(70, procedure, args).await;
    eventually("the first runs", || server.fs.runs(name) == 1).await;
    let mut second = Raw::connect(server.address).await;
    second.ask(70, procedure, args).await;
    // On the same connection, too.
    first.ask(70, procedure, args).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.fs.runs(name), 1, "{name} did not run twice at once");
    gate.add_permits(1);
    let answers = [first.reply().await, first.reply().await, second.reply().await];
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{name}: one answer for all");
    assert_eq!(server.fs.runs(name), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_answered_runs_again_so_that_its_verifier_is_of_now() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "file", b"");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "file").await;
    let write =
        WRITE3args { file, offset: 0, count: 1, stable: stable_how::UNSTABLE, data: Opaque::borrowed(b"x") };
    let mut raw = Raw::connect(server.address).await;
    let verifier = |reply: RawReply| reply.decode::<WRITE3res>().unwrap().verf.0;
    assert_eq!(verifier(raw.call(7, NFSPROC3_WRITE, &write).await), *b"epoch--1");
    server.fs.set_verifier(*b"epoch--2");
    assert_eq!(verifier(raw.call(7, NFSPROC3_WRITE, &write).await), *b"epoch--2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_connection_breaks_runs_to_its_end_and_its_answer_waits() {
    let server = Harness::with(|config| config.limits.drain_time = Duration::from_millis(50)).await;
    let root = server.root().await;
    let gate = Arc::new(Semaphore::new(0));
    server.fs.script("CREATE", Act::Wait(Arc::clone(&gate)));
    let create = CREATE3args { where_: at(&root, "a"), how: createhow3::GUARDED(sattr3::default()) };
    let mut raw = Raw::connect(server.address).await;
    raw.ask(7, NFSPROC3_CREATE, &create).await;
    eventually("it runs", || server.fs.runs("CREATE") == 1).await;
    drop(raw);
    // Longer than the connection lives on by itself.
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.add_permits(1);
    let again = Raw::connect(server.address).await.call(7, NFSPROC3_CREATE, &create).await;
    assert_eq!(status(&again.decode::<CREATE3res>()), NFS3_OK);
    assert_eq!(server.fs.runs("CREATE"), 1);
}
