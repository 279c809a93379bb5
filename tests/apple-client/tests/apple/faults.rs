//! What goes wrong: the local disk, the server, the connection, the patience of the kernel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apple_client::{Errno, Flags, Program};

use crate::real::{Room, judge, mounted};

const MIB: usize = 1 << 20;

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    testkit::bytes(seed, length)
}

/// kill -9 in mid-copy, a new process on the same port: the same xids, no MNT, every file whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_copy_comes_back_and_no_program_notices() {
    let room = Room::new();
    let mut server = room.process(None);
    let (port, options) = (server.port, server.options.clone());
    let (mount, program) = mounted(&options, |options| options.shuffle = Some(1)).await;
    program.mkdir("d").await.unwrap();
    let copying = tokio::spawn(work_for_a_while(program.clone(), 12));
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(120 + 90 * round)).await;
        server.kill();
        server = tokio::task::block_in_place(|| room.process(Some(port)));
        assert_eq!(server.port, port);
    }
    copying.await.unwrap();
    let counts = &mount.transport.counts;
    assert!(counts.connections.load(Ordering::Relaxed) >= 4);
    let findings = judge(&options, &mount.ledger, &[]).await.hold();
    assert_eq!((findings.discards, findings.told), (0, 0), "{findings}");
    room.hub_agrees(&mount.ledger);
    drop(server);
}

/// Copies, safe-saves, overwrites, renames and deletes, none of which may fail.
pub async fn work_for_a_while(program: Program, rounds: u64) {
    for round in 0..rounds {
        let name = format!("d/file {round}");
        program.finder_copy(&name, &bytes(round, 2 * MIB + 77)).await.unwrap();
        program.safe_save(&name, &bytes(round + 100, 300_000), round % 2 == 0).await.unwrap();
        program.overwrite(&format!("d/note {}", round % 3), &bytes(round, 90_000)).await.unwrap();
        program.rename(&name, &format!("d/moved {round}")).await.unwrap();
        program.append("d/log", format!("{round}\n").as_bytes()).await.unwrap();
        if round % 4 == 3 {
            program.unlink(&format!("d/moved {}", round - 1)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_again_and_again_doubles_and_loses_nothing() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount_with(|options| options.shuffle = Some(5)).await;
    program.mkdir("d").await.unwrap();
    let cutting = Arc::clone(&mount.transport);
    let cuts = tokio::spawn(async move {
        for step in 0_u64.. {
            tokio::time::sleep(Duration::from_millis(7 + step * 13 % 40)).await;
            cutting.cut();
        }
    });
    work_for_a_while(program, 10).await;
    cuts.abort();
    assert!(mount.transport.counts.resent.load(Ordering::Relaxed) > 0);
    let findings = inside.judge(&mount).await.hold();
    assert_eq!((findings.discards, findings.told), (0, 0), "{findings}");
    room.hub_agrees(&mount.ledger);
}

/// Both ends stop, the connection does not survive; uptime clocks stood still.
#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_of_sleep_in_mid_copy_are_no_event() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside
        .mount_with(|options| {
            options.speed = 400.0;
            options.deadtimeout = Some(Duration::from_secs(300));
        })
        .await;
    program.mkdir("d").await.unwrap();
    // Long enough to be under way when the sleep comes, on a quick machine too.
    let copying = tokio::spawn(work_for_a_while(program, 24));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!copying.is_finished(), "the copy was over before the sleep");
    mount.sleep(Duration::from_secs(600)).await;
    copying.await.unwrap();
    assert!(!mount.transport.is_dead());
    assert!(mount.transport.counts.connections.load(Ordering::Relaxed) >= 2);
    let findings = inside.judge(&mount).await.hold();
    assert_eq!((findings.discards, findings.told), (0, 0), "{findings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_unmount_loses_only_what_open_files_are_told_of() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    program.finder_copy("closed", &bytes(1, 2 * MIB)).await.unwrap();
    let mut synced = program.open("synced", Flags::exclusive()).await.unwrap();
    synced.write(&bytes(2, 100_000)).await.unwrap();
    synced.fsync().await.unwrap();
    let mut open = program.open("open", Flags::exclusive()).await.unwrap();
    open.write(&bytes(3, MIB + 100)).await.unwrap();
    mount.force_unmount().await;
    assert_eq!(open.close().await, Err(Errno::ENXIO));
    let _ = synced.close().await;
    let findings = inside.judge(&mount).await.hold();
    assert!(findings.discards >= 1);
    // Mounted again everything goes on.
    let (again, program) = inside.mount().await;
    program.overwrite("open", &bytes(4, MIB)).await.unwrap();
    inside.judge(&again).await.hold();
}

/// A server that hangs: back before deadtimeout all is well, after it the mount is dead and open files say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_waited_for_until_deadtimeout_and_no_longer() {
    let room = Room::new();
    let server = room.process(None);
    let limit = |options: &mut apple_client::Options| {
        options.speed = 20.0;
        options.deadtimeout = Some(Duration::from_secs(60));
    };
    let (mount, program) = mounted(&server.options, limit).await;
    program.finder_copy("before", &bytes(1, MIB)).await.unwrap();
    let mut file = program.open("patience", Flags::exclusive()).await.unwrap();
    server.stop();
    file.write(&bytes(2, 2 * MIB)).await.unwrap();
    let closing = tokio::spawn(file.close());
    // 20 virtual seconds: "not responding", and back in time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.go_on();
    assert_eq!(closing.await.unwrap(), Ok(()));
    assert!(!mount.transport.is_dead());
    judge(&server.options, &mount.ledger, &[]).await.hold();
    let mut file = program.open("too late", Flags::exclusive()).await.unwrap();
    server.stop();
    file.write(&bytes(3, MIB)).await.unwrap();
    assert_eq!(file.close().await, Err(Errno::ENXIO));
    assert!(mount.transport.is_dead());
    server.go_on();
    let findings = judge(&server.options, &mount.ledger, &[]).await.hold();
    assert_eq!(findings.told, 1);
}
