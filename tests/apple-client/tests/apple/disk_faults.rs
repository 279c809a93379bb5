//! The local disk fails. Only on Linux, where a test can stand between the program and its disk.

use std::sync::atomic::Ordering;
use std::time::Duration;

use apple_client::{Change, Errno, Flags};

use crate::disk::Disk;
use crate::real::{Inside, Room};

const MIB: usize = 1 << 20;

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    testkit::bytes(seed, length)
}

/// The state directory, once it is there.
fn disk(room: &Room) -> Disk {
    Disk::at(&room.state())
}

/// macos-nfs.md B3: the copy of hf-mount#178, which lost data in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_writes_fail_is_told_although_it_ends_in_ftruncate_and_utimes() {
    let room = Room::new();
    let inside = room.serve().await;
    let disk = disk(&room);
    for (number, errno) in [libc::ENOSPC, libc::EIO].into_iter().enumerate() {
        let (mount, program) = inside.mount().await;
        for failing in 0..4 {
            disk.fail_writes(errno, failing, 1);
            let path = format!("{number} copy {failing}");
            let copied = program.finder_copy_kept(&path, &bytes(7, 4 * MIB + 100)).await;
            assert_eq!(disk.heal().0, 1, "the disk failed as asked");
            assert_eq!(copied, Err(Errno(errno)), "{path}");
        }
        let findings = inside.judge(&mount).await.hold();
        assert!(findings.discards >= 4, "{findings}");
        // What is on the Hub is whole, or not there.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(room.on_hub(&format!("{number} copy 0")).is_none(), "a file with a hole is never uploaded");
        // Copied once more it is fine.
        program.cp(&format!("{number} copy 0"), &bytes(8, 2 * MIB)).await.unwrap();
        inside.judge(&mount).await.hold();
        mount.unmount().await.unwrap();
    }
    assert!(inside.events().iter().any(|event| event.contains("0 copy 1")), "{:?}", inside.events());
}

/// The same for a program that is only told by close: no SETATTR follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_writer_hears_of_the_failed_write_at_close() {
    let room = Room::new();
    let inside = room.serve().await;
    let disk = disk(&room);
    let (mount, program) = inside.mount().await;
    for failing in 0..3 {
        disk.fail_writes(libc::EIO, failing, 1);
        let path = format!("plain {failing}");
        assert_eq!(program.dd(&path, &bytes(1, 3 * MIB), MIB).await, Err(Errno::EIO));
        disk.heal();
    }
    inside.judge(&mount).await.hold();
}

/// An O_APPEND write takes the error of the one before (nfs_vnop_write), and no SETATTR ever follows. What remains
/// is the close: its COMMIT fails because of the hole, the kernel writes the block again FILE_SYNC, and that WRITE
/// must fail.
#[tokio::test(flavor = "multi_thread")]
async fn an_appending_program_is_told_by_the_file_sync_write_after_a_failed_commit() {
    let room = Room::new();
    let inside = room.serve().await;
    let disk = disk(&room);
    let (mount, program) = inside.mount().await;
    let mut file = program.open("log", Flags::append()).await.unwrap();
    file.write(b"first line\n").await.unwrap();
    file.node.until(|state| (state.output == 0).then_some(())).await;
    // The flush inside the next append: its COMMIT cannot sync, the FILE_SYNC rewrite cannot write.
    disk.fail_syncs(1);
    disk.fail_writes(libc::EIO, 0, 1);
    let second = file.write(b"second line\n").await;
    let struck = disk.heal();
    assert_eq!(struck, (1, 1));
    assert_eq!(second, Ok(()), "macOS swallowed it");
    let closed = file.close().await;
    let findings = inside.judge(&mount).await.hold();
    assert_eq!(closed, Err(Errno::EIO), "{findings}");
    assert!(findings.discards >= 1);
}

/// Promise 3: a failed sync is answered OK with a new verifier; the client sends everything again, FILE_SYNC.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_of_the_disk_makes_the_client_write_again_and_nothing_is_lost() {
    let room = Room::new();
    let inside = room.serve().await;
    let disk = disk(&room);
    let (mount, program) = inside.mount().await;
    for round in 0..5_u64 {
        let mut other = program.open(&format!("other {round}"), Flags::exclusive()).await.unwrap();
        other.write(&bytes(round, MIB)).await.unwrap();
        let before = mount.sent.file_sync.load(Ordering::Relaxed);
        disk.fail_syncs(1);
        program.dd(&format!("file {round}"), &bytes(round + 50, 2 * MIB + 9), MIB).await.unwrap();
        assert_eq!(disk.heal().1, 1);
        assert!(mount.sent.file_sync.load(Ordering::Relaxed) > before, "written again");
        other.close().await.unwrap();
    }
    let findings = inside.judge(&mount).await.hold();
    assert_eq!((findings.files, findings.discards, findings.told), (10, 0, 0), "{findings}");
    room.hub_agrees(&mount.ledger);
}

/// A change of times by path, on a file whose write failed: chmod and touch are told too, and unlink works.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_hole_refuses_attributes_until_it_is_cut_or_removed() {
    let room = Room::new();
    let inside: Inside = room.serve().await;
    let disk = disk(&room);
    let (mount, program) = inside.mount().await;
    let mut file = program.open("a", Flags::exclusive()).await.unwrap();
    disk.fail_writes(libc::EIO, 0, 1);
    file.write(&bytes(1, MIB)).await.unwrap();
    file.node.until(|state| (state.output == 0).then_some(())).await;
    disk.heal();
    assert_eq!(program.set("a", Change::times(9)).await, Err(Errno::EIO));
    assert!(file.ftruncate(2 * MIB as u64).await.is_err());
    let _ = file.close().await;
    inside.judge(&mount).await.hold();
    program.rename("a", "b").await.unwrap();
    program.overwrite("b", &bytes(2, 50_000)).await.unwrap();
    program.set("b", Change::times(9)).await.unwrap();
    inside.judge(&mount).await.hold();
    program.unlink("b").await.unwrap();
    assert_eq!(program.find("b").await.err(), Some(Errno::ENOENT));
}
