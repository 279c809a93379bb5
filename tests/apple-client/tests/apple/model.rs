//! The model keeps, sends again, throws away and tells as Apple's source says. Each test names the function.

use std::sync::atomic::Ordering;
use std::time::Duration;

use apple_client::{Change, Errno, Flags};
use nfs::types::nfsstat3::*;

use crate::fake::Fake;
use crate::memory_fs::Act;

const MIB: usize = 1 << 20;

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    testkit::bytes(seed, length)
}

/// nfs_buf_write_finish, nfs_vnop_write.
#[tokio::test]
async fn a_failed_write_is_thrown_away_and_the_next_write_is_told_once() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    fake.fail("WRITE", NFS3ERR_NOSPC, 1);
    file.write(&bytes(1, MIB)).await.unwrap();
    testkit_wait(|| fake.ledger.has_discards()).await;
    assert_eq!(file.write(&[1]).await, Err(Errno::ENOSPC), "the next write hears of it");
    file.write(&bytes(2, MIB)).await.unwrap();
    assert_eq!(file.close().await, Ok(()), "once only");
    assert_eq!(fake.on_server("a").unwrap()[..MIB], vec![0; MIB], "nobody sends it again");
    let findings = fake.findings().hold();
    assert_eq!((findings.discards, findings.told), (1, 1));
}

/// nfs_flush, nfs_vnop_close: the last error wins, one slot for each file.
#[tokio::test]
async fn close_tells_the_last_of_two_errors() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    fake.fs.script("WRITE", Act::Fail(NFS3ERR_NOSPC));
    file.write(&bytes(1, MIB)).await.unwrap();
    testkit_wait(|| fake.ledger.has_discards()).await;
    fake.fs.script("WRITE", Act::Fail(NFS3ERR_IO));
    // Not a write(2) of the program's descriptor: the slot still holds the first error.
    file.node.with(|state| state.write_error = Some(Errno::ENOSPC));
    let node = file.node.clone();
    node.with(|state| {
        let buffer = state.buffers.entry(1).or_default();
        buffer.fill(0, b"second");
        buffer.dirty = 0..6;
        buffer.delayed = true;
        state.size += 6;
        state.modified = true;
    });
    assert_eq!(file.close().await, Err(Errno::EIO));
}

/// nfs_vinvalbuf2: its second round drops the error. This is hf-mount#178.
#[tokio::test]
async fn ftruncate_and_utimes_swallow_the_error_and_the_ledger_says_so() {
    for swallow in [Change::size(MIB as u64), Change::times(5)] {
        let fake = Fake::start().await;
        let mut file = fake.create("a").await;
        fake.fail("WRITE", NFS3ERR_NOSPC, 1);
        file.write(&bytes(1, MIB)).await.unwrap();
        file.set(swallow).await.unwrap();
        assert_eq!(file.close().await, Ok(()), "close has nothing left to tell");
        let findings = fake.findings();
        assert_eq!(findings.told, 0);
        assert_eq!(findings.broken.len(), 1, "{findings}");
        assert!(findings.broken[0].contains("swallowed: true"), "{findings}");
    }
}

/// The same with a server whose SETATTR is sticky: the program hears of it.
#[tokio::test]
async fn an_error_of_setattr_reaches_the_program() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    fake.fail("WRITE", NFS3ERR_NOSPC, 1);
    file.write(&bytes(1, MIB)).await.unwrap();
    testkit_wait(|| fake.ledger.has_discards()).await;
    fake.fail("SETATTR", NFS3ERR_NOSPC, 1);
    assert_eq!(file.set(Change::times(5)).await, Err(Errno::ENOSPC));
    file.close().await.unwrap();
    fake.findings().hold();
}

/// nfs_vnop_setattr: "make every effort to resync file size w/ server".
#[tokio::test]
async fn a_failed_size_change_is_followed_by_one_with_the_old_size() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    file.write(b"12345").await.unwrap();
    file.fsync().await.unwrap();
    let before = fake.fs.runs("SETATTR");
    fake.fail("SETATTR", NFS3ERR_NOSPC, 1);
    assert_eq!(file.ftruncate(100).await, Err(Errno::ENOSPC));
    assert_eq!(fake.fs.runs("SETATTR"), before + 2);
    assert_eq!(fake.on_server("a").unwrap(), b"12345");
    file.close().await.unwrap();
}

/// nfs_vnop_write with IO_APPEND: nfs_vinvalbuf(V_SAVE) takes the error.
#[tokio::test]
async fn an_append_swallows_the_error_of_the_write_before() {
    let fake = Fake::start().await;
    let mut file = fake.program.open("log", Flags::append()).await.unwrap();
    file.write(b"first\n").await.unwrap();
    file.node.until(|state| (state.output == 0).then_some(())).await;
    // The COMMIT of the flush comes back with another verifier, and the FILE_SYNC rewrite fails.
    fake.fs.set_verifier(*b"epoch--2");
    fake.fail("WRITE", NFS3ERR_IO, 1);
    file.write(b"second\n").await.unwrap();
    assert_eq!(file.close().await, Ok(()));
    let findings = fake.findings();
    assert_eq!((findings.discards, findings.told), (1, 0), "{findings}");
    assert!(!findings.broken.is_empty());
}

/// nfs_flushcommits, nfs_flush: a COMMIT error loses nothing, the second pass is FILE_SYNC.
#[tokio::test]
async fn a_failed_commit_is_followed_by_file_sync_writes() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    file.write(&bytes(1, 2 * MIB)).await.unwrap();
    fake.fail("COMMIT", NFS3ERR_IO, 1);
    file.fsync().await.unwrap();
    assert_eq!(fake.mount.sent.unstable.load(Ordering::Relaxed), 2);
    assert_eq!(fake.mount.sent.file_sync.load(Ordering::Relaxed), 2, "both blocks again, FILE_SYNC");
    file.close().await.unwrap();
    assert_eq!(fake.findings().hold().discards, 0);
}

/// nfs_buf_check_write_verifier: one verifier for the mount; a change means all uncommitted blocks of all files.
#[tokio::test]
async fn another_verifier_makes_every_file_of_the_mount_write_again() {
    let fake = Fake::start().await;
    let mut files = Vec::new();
    for name in ["a", "b", "c"] {
        let mut file = fake.create(name).await;
        file.write(&bytes(1, MIB)).await.unwrap();
        files.push(file);
    }
    for file in &files {
        file.node.until(|state| (state.output == 0).then_some(())).await;
    }
    // The server restarted: everything UNSTABLE is gone.
    for name in ["a", "b", "c"] {
        fake.tamper(name, |content| content.fill(0));
    }
    fake.fs.set_verifier(*b"epoch--2");
    for file in files {
        file.close().await.unwrap();
    }
    assert_eq!(fake.findings().hold().files, 3);
    assert!(
        fake.mount.sent.unstable.load(Ordering::Relaxed) + fake.mount.sent.file_sync.load(Ordering::Relaxed)
            >= 6
    );
}

/// nfs_buf_write_finish: a FILE_SYNC reply frees the block at once, no COMMIT comes.
#[tokio::test]
async fn a_file_sync_reply_is_never_committed() {
    let fake = Fake::start().await;
    let mut file = fake.program.open("a", Flags { sync: true, ..Flags::exclusive() }).await.unwrap();
    file.write(&bytes(1, MIB)).await.unwrap();
    file.close().await.unwrap();
    assert_eq!(fake.mount.sent.file_sync.load(Ordering::Relaxed), 1);
    assert_eq!(fake.mount.sent.commits.load(Ordering::Relaxed), 0);
    // And so a server that says FILE_SYNC and then loses it is found out.
    fake.findings().hold();
    fake.tamper("a", |content| content.fill(0));
    assert!(fake.findings().broken[0].contains("no write of them failed"));
}

/// NFS_A_LOT_OF_NEEDCOMMITS.
#[tokio::test]
async fn many_uncommitted_blocks_are_committed_in_mid_file() {
    let fake = Fake::with(|options| options.many_need_commit = 4).await;
    let mut file = fake.create("a").await;
    for block in 0..12 {
        file.write(&bytes(block, MIB)).await.unwrap();
        file.node.until(|state| (state.output == 0).then_some(())).await;
    }
    assert!(fake.mount.sent.commits.load(Ordering::Relaxed) >= 2);
    assert!(fake.mount.sent.partial_commits.load(Ordering::Relaxed) >= 1);
    file.close().await.unwrap();
    fake.findings().hold();
}

/// nfs_vnop_write: a block with a dirty range that the new one does not touch is written FILE_SYNC first.
#[tokio::test]
async fn dirty_ranges_apart_from_each_other_are_never_joined() {
    let fake = Fake::start().await;
    let file = fake.create("a").await;
    file.ftruncate(MIB as u64).await.unwrap();
    file.pwrite(0, b"one").await.unwrap();
    file.pwrite(500_000, b"two").await.unwrap();
    assert_eq!(fake.mount.sent.file_sync.load(Ordering::Relaxed), 1);
    file.close().await.unwrap();
    fake.findings().hold();
}

/// nfs_vnop_write: a partial page of a file is read before it is kept. This READ came before the WRITE in the
/// project's seed bug.
#[tokio::test]
async fn a_partial_page_is_read_before_it_is_written() {
    let fake = Fake::start().await;
    fake.program.overwrite("a", &bytes(1, 100_000)).await.unwrap();
    let again = Fake::read_anew(&fake).await;
    let file = again.open("a", Flags::write()).await.unwrap();
    file.pwrite(50_000, b"in the middle of a page").await.unwrap();
    assert!(again.mount.sent.reads.load(Ordering::Relaxed) >= 1);
    file.close().await.unwrap();
}

/// The seed bug: READ, then WRITE on the same handle answered STALE. The model throws the data away, as macOS
/// did, and a program that ends in utimes hears nothing: such a server cannot pass.
#[tokio::test]
async fn a_server_that_answers_stale_to_write_after_read_fails_the_ledger() {
    let fake = Fake::start().await;
    fake.program.overwrite("a", &bytes(1, 100_000)).await.unwrap();
    let file = fake.program.open("a", Flags::write()).await.unwrap();
    file.pread(0, 4096).await.unwrap();
    fake.fail("WRITE", NFS3ERR_STALE, 1);
    file.pwrite(0, &bytes(2, 100_000)).await.unwrap();
    file.set(Change::times(7)).await.unwrap();
    file.close().await.unwrap();
    let findings = fake.findings();
    assert!(findings.broken.iter().any(|broken| broken.contains("ESTALE")), "{findings}");
}

#[tokio::test]
async fn a_server_that_says_ok_and_loses_data_fails_the_ledger() {
    let fake = Fake::start().await;
    fake.program.finder_copy("a", &bytes(1, 3 * MIB + 17)).await.unwrap();
    fake.findings().hold();
    fake.tamper("a", |content| content[2_000_000] ^= 1);
    assert_eq!(
        fake.findings().broken,
        ["a: bytes 2000000..2000001 are not what was written, and no write of them failed"]
    );
    fake.tamper("a", |content| content.truncate(5));
    assert!(fake.findings().broken[0].contains("has 5 bytes instead of"));
    fake.fs.take_away(crate::memory_fs::ROOT, "a");
    assert_eq!(fake.findings().broken, ["a is not there"]);
}

#[tokio::test]
async fn an_error_told_before_the_discard_does_not_excuse_it() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    fake.fail("SETATTR", NFS3ERR_IO, 1);
    assert!(file.set(Change::times(5)).await.is_err());
    fake.fail("WRITE", NFS3ERR_IO, 1);
    file.write(&bytes(1, MIB)).await.unwrap();
    file.set(Change::times(5)).await.unwrap();
    file.close().await.unwrap();
    assert_eq!(fake.findings().broken.len(), 1);
}

/// What no call could have told is excused by the server's own list, and by nothing else.
#[tokio::test]
async fn out_of_band_counts_only_where_no_call_could_have_told() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    fake.fail("WRITE", NFS3ERR_IO, 1);
    file.write(&bytes(1, MIB)).await.unwrap();
    testkit_wait(|| fake.ledger.has_discards()).await;
    // A getattr that sees a changed mtime takes the error (nfs_getattr_internal).
    file.node.with(|state| state.mtime.seconds += 1);
    fake.mount.getattr(&file.node, apple_client::Fresh::Asked).await.unwrap();
    file.close().await.unwrap();
    let read = |path: &str| fake.on_server(path);
    assert_eq!(fake.ledger.compare(read, &[]).broken.len(), 1);
    let told = fake.ledger.compare(read, &["Part of a could not be written".to_owned()]).hold();
    assert_eq!(told.out_of_band, 1);
}

/// nfs_request_finish: 4, 8, 16, 30, 30 s, each time a new xid.
#[tokio::test]
async fn jukebox_waits_grow_to_half_a_minute_and_nothing_fails() {
    let fake = Fake::start().await;
    fake.fail("WRITE", NFS3ERR_JUKEBOX, 5);
    let start = fake.mount.clock.now();
    let mut file = fake.create("a").await;
    file.write(&bytes(1, MIB)).await.unwrap();
    file.close().await.unwrap();
    let waited = (fake.mount.clock.now() - start).as_secs_f64();
    assert!(waited >= 88.0, "4 + 8 + 16 + 30 + 30, not {waited}");
    assert_eq!(fake.mount.transport.counts.jukebox.load(Ordering::Relaxed), 5);
    assert_eq!(fake.findings().hold().discards, 0);
}

/// nfs3_remove_rpc, nfs_vnop_rename: ENOENT is taken for the answer to a retransmission.
#[tokio::test]
async fn a_false_noent_hides_a_failed_delete() {
    let fake = Fake::start().await;
    fake.program.overwrite("a", b"x").await.unwrap();
    fake.fail("REMOVE", NFS3ERR_NOENT, 1);
    assert_eq!(fake.program.unlink("a").await, Ok(()));
    assert!(fake.on_server("a").is_some());
    fake.fail("RENAME", NFS3ERR_NOENT, 1);
    fake.program.overwrite("b", b"x").await.unwrap();
    assert_eq!(fake.program.rename("b", "c").await, Ok(()));
}

/// nfs_sillyrename, nfs_vnop_inactive.
#[tokio::test]
async fn an_open_file_that_is_removed_lives_as_dot_nfs_until_it_is_closed() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    file.write(b"still here").await.unwrap();
    fake.program.unlink("a").await.unwrap();
    let names = fake.program.readdir("").await.unwrap();
    let silly = names.iter().find(|name| name.starts_with(".nfs.")).unwrap();
    assert_eq!(silly.len(), ".nfs.00000000.0000".len());
    assert_eq!(file.pread(0, 100).await, Ok(b"still here".to_vec()), "{names:?}");
    file.close().await.unwrap();
    assert!(fake.program.readdir("").await.unwrap().is_empty());
}

/// macos-nfs.md B8: BAD_COOKIE ends the listing, and nobody is told.
#[tokio::test]
async fn a_bad_cookie_cuts_the_listing_in_silence() {
    let fake = Fake::start().await;
    for number in 0..300 {
        fake.fs.put(crate::memory_fs::ROOT, &format!("file number {number}"), b"");
    }
    assert_eq!(fake.program.readdir("").await.unwrap().len(), 300);
    fake.fs.put(crate::memory_fs::ROOT, "one more", b"");
    fake.mount.clock.sleep(Duration::from_secs(2)).await;
    let dir = fake.program.find("").await.unwrap();
    let mut walk = fake.mount.walk(&dir);
    (walk.dircount, walk.maxcount) = (512, 2048);
    assert!(walk.more().await.unwrap());
    // MemoryFs calls both listings READDIR.
    fake.fail("READDIR", NFS3ERR_BAD_COOKIE, 1);
    assert_eq!(walk.more().await, Ok(false));
    assert!(walk.cut && walk.names.len() < 300);
}

/// nfs3_write_rpc_async_finish: the mtime before must be the one we knew, else the whole cache goes.
#[tokio::test]
async fn a_change_by_somebody_else_drops_the_files_pages() {
    let fake = Fake::start().await;
    fake.program.overwrite("a", b"mine").await.unwrap();
    let file = fake.program.open("a", Flags::write()).await.unwrap();
    assert_eq!(file.pread(0, 10).await.unwrap(), b"mine");
    let before = fake.mount.sent.invalidations.load(Ordering::Relaxed);
    file.pwrite(0, b"M").await.unwrap();
    file.fsync().await.unwrap();
    assert_eq!(file.pread(0, 10).await.unwrap(), b"Mine");
    assert_eq!(fake.mount.sent.invalidations.load(Ordering::Relaxed), before, "our own change is ours");
    fake.tamper("a", |content| *content = b"theirs".to_vec());
    fake.mount.clock.sleep(Duration::from_secs(2)).await;
    assert_eq!(file.pread(0, 10).await.unwrap(), b"theirs");
    assert_eq!(fake.mount.sent.invalidations.load(Ordering::Relaxed), before + 1);
    file.close().await.unwrap();
}

/// nfs_vnop_lookup, cache_enter: names are known until the folder's mtime moves.
#[tokio::test]
async fn names_that_are_there_or_not_are_known_until_the_folders_mtime_moves() {
    let fake = Fake::start().await;
    assert_eq!(fake.program.find("later").await.err(), Some(Errno::ENOENT));
    let asked = fake.mount.sent.lookups.load(Ordering::Relaxed);
    assert_eq!(fake.program.find("later").await.err(), Some(Errno::ENOENT));
    assert_eq!(fake.mount.sent.lookups.load(Ordering::Relaxed), asked, "a negative entry answers");
    fake.fs.put(crate::memory_fs::ROOT, "later", b"now");
    fake.mount.clock.sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.program.read_file("later").await.unwrap(), b"now");
}

/// nfs_reconnect: the same xids from a new port; the server's reply cache answers the second CREATE.
#[tokio::test]
async fn a_break_resends_what_waits_with_its_xid() {
    let fake = Fake::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    fake.fs.script("CREATE", Act::Wait(gate.clone()));
    let creating = fake.program.open("a", Flags::exclusive());
    let breaking = async {
        testkit_wait(|| fake.fs.runs("CREATE") == 1).await;
        fake.mount.transport.cut();
        testkit_wait(|| fake.mount.transport.counts.resent.load(Ordering::Relaxed) > 0).await;
        gate.add_permits(1);
    };
    let (made, ()) = tokio::join!(creating, breaking);
    made.unwrap().close().await.unwrap();
    assert_eq!(fake.fs.runs("CREATE"), 1, "ran once");
    assert_eq!(fake.mount.transport.counts.connections.load(Ordering::Relaxed), 2);
}

/// nfs_down: the clock of deadtimeout; then every call fails and what was held is gone, which close tells.
#[tokio::test]
async fn a_mount_without_an_answer_dies_after_its_deadtimeout() {
    let fake = Fake::with(|options| options.deadtimeout = Some(Duration::from_secs(45))).await;
    let mut file = fake.create("a").await;
    fake.fs.script("WRITE", Act::Hang);
    file.write(&bytes(1, MIB)).await.unwrap();
    assert_eq!(file.close().await, Err(Errno::ENXIO));
    assert!(fake.mount.transport.is_dead());
    assert!(fake.mount.transport.counts.not_responding.load(Ordering::Relaxed) >= 1);
    assert_eq!(fake.program.find("b").await.err(), Some(Errno::ENXIO));
    assert_eq!(fake.findings().hold().discards, 1);
}

/// `mutejukebox`: a JUKEBOX spell longer than deadtimeout kills nothing.
#[tokio::test]
async fn jukebox_does_not_run_the_deadtimeout_clock() {
    let fake = Fake::with(|options| options.deadtimeout = Some(Duration::from_secs(20))).await;
    fake.fail("WRITE", NFS3ERR_JUKEBOX, 4);
    let mut file = fake.create("a").await;
    file.write(&bytes(1, MIB)).await.unwrap();
    assert_eq!(file.close().await, Ok(()));
    assert!(!fake.mount.transport.is_dead());
}

/// nfs_vfs_unmount with MNT_FORCE.
#[tokio::test]
async fn a_forced_unmount_drops_what_is_dirty_and_the_open_file_says_so() {
    let fake = Fake::start().await;
    let mut file = fake.create("a").await;
    file.write(b"only in memory").await.unwrap();
    assert_eq!(fake.mount.unmount().await, Err(Errno::EBUSY), "politely first");
    fake.mount.force_unmount().await;
    assert_eq!(file.close().await, Err(Errno::ENXIO));
    fake.findings().hold();
}

/// nfs_buf_write_rpc_finish: a reply of 0 bytes is EIO; nfs3_vnop_create: EXCLUSIVE, then SETATTR.
#[tokio::test]
async fn exclusive_create_is_followed_by_setattr_with_the_mode() {
    let fake = Fake::start().await;
    let file = fake.create("a").await;
    assert_eq!(fake.fs.runs("SETATTR"), 1);
    file.close().await.unwrap();
    assert_eq!(fake.program.stat("a").await.unwrap().mode & 0o777, 0o644);
    assert_eq!(fake.program.open("a", Flags::exclusive()).await.err(), Some(Errno::EEXIST));
    let creates = fake.fs.runs("CREATE");
    fake.program.overwrite("a", b"cut").await.unwrap();
    assert_eq!(fake.fs.runs("CREATE"), creates, "O_TRUNC of a known file is no CREATE");
}

/// nfsm_chain_add_name.
#[tokio::test]
async fn with_nfc_names_go_out_composed() {
    for (nfc, expected) in
        [(true, "e\u{301}t\u{e9}".replace("e\u{301}", "\u{e9}")), (false, "e\u{301}t\u{e9}".to_owned())]
    {
        let fake = Fake::with(|options| options.nfc = nfc).await;
        fake.program.overwrite("e\u{301}t\u{e9}", b"summer").await.unwrap();
        assert_eq!(fake.on_server(&expected).unwrap(), b"summer");
    }
}

/// At most 128 WRITEs at once for the whole mount (nfs_async_write_start).
#[tokio::test]
async fn no_more_writes_are_in_flight_than_the_mount_allows() {
    let fake = Fake::with(|options| {
        options.async_writes = 8;
        (options.wsize, options.rsize) = (4096, 4096);
        options.shuffle = Some(3);
    })
    .await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    (0..64).for_each(|_| fake.fs.script("WRITE", Act::Wait(gate.clone())));
    let mut file = fake.create("a").await;
    let opening = async {
        testkit_wait(|| fake.fs.runs("WRITE") == 8).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(fake.fs.runs("WRITE"), 8, "the ninth waits in the client");
        gate.add_permits(64);
    };
    let content = bytes(1, 64 * 4096);
    let (written, ()) = tokio::join!(file.write(&content), opening);
    written.unwrap();
    file.close().await.unwrap();
    assert_eq!(fake.mount.sent.most_writes.load(Ordering::Relaxed), 8);
    fake.findings().hold();
}

impl Fake {
    /// Another mount of the same server: nothing of it is cached.
    async fn read_anew(fake: &Fake) -> apple_client::Program {
        let ledger = std::sync::Arc::default();
        let mount = apple_client::Mount::mount(fake.options.clone(), ledger).await.unwrap();
        apple_client::Program::new(&mount)
    }
}

/// Waits for something another task brings about.
async fn testkit_wait(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never happened");
}
