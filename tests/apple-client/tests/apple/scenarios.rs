//! What people do, with BucketBar behind it and nothing in its way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use apple_client::{Change, Errno, Flags, workloads};

use crate::real::{Room, everything};

const MIB: usize = 1 << 20;

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    testkit::bytes(seed, length)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mount_sequence_gives_what_macos_needs() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    assert_eq!((mount.wsize, mount.rsize, mount.block), (1 << 20, 1 << 20, 1 << 20));
    assert_eq!(mount.name_max, 255);
    assert_eq!(mount.access(&mount.root).await.unwrap() & 0x1f, 0x1f);
    assert_eq!(program.find(&"x".repeat(256)).await.err(), Some(Errno::ENAMETOOLONG));
    assert!(program.readdir("").await.unwrap().iter().all(|name| name.starts_with('.')));
    mount.unmount().await.unwrap();
    assert_eq!(program.find("a").await.err(), Some(Errno::ENXIO));
    // Nobody without the token gets a handle.
    let wrong = apple_client::Options { export: "/Bucket".to_owned(), ..inside.options.clone() };
    assert_eq!(apple_client::Mount::mount(wrong, Default::default()).await.err(), Some(Errno::EACCES));
}

#[tokio::test(flavor = "multi_thread")]
async fn finder_copies_many_files_and_all_of_them_arrive() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    program.mkdir("Holiday").await.unwrap();
    for number in 0..60_usize {
        let size = [0, 1, 4096, 40_000, MIB, 3 * MIB + 17][number % 6];
        let name = format!("Holiday/photo {number}.jpg");
        program.finder_copy(&name, &bytes(number as u64, size)).await.unwrap();
    }
    let findings = inside.judge(&mount).await.hold();
    assert_eq!((findings.files, findings.discards, findings.told), (120, 0, 0), "{findings}");
    assert_eq!(program.stat("Holiday/photo 5.jpg").await.unwrap().mtime.seconds, 1_000_000_000);
    room.hub_agrees(&mount.ledger);
    assert!(
        room.hub.client().paths(&room.bucket).iter().all(|path| !path.contains("._")),
        "litter stays home"
    );
    assert_eq!(mount.transport.counts.jukebox.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_save_costs_one_upload_of_one_file() {
    let room = Room::new();
    room.put("text.md", b"the first draft");
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    let before = program.stat("text.md").await.unwrap();
    for (number, in_folder) in [(1, false), (2, true)] {
        room.hub.reset_counters();
        program.safe_save("text.md", &bytes(number, 200_000), in_folder).await.unwrap();
        room.hub_agrees(&mount.ledger);
        let uploads = room.hub.counters().calls("/batch");
        assert_eq!(uploads, 1, "one batch, and nothing of the file aside");
    }
    assert_eq!(room.hub.client().paths(&room.bucket), ["text.md"]);
    assert!(program.stat("text.md").await.unwrap().mtime != before.mtime);
    inside.judge(&mount).await.hold();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_is_setattr_size_0_on_the_old_handle_and_works_at_once() {
    let room = Room::new();
    room.put("notes.txt", &bytes(1, 300_000));
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    let handle = program.find("notes.txt").await.unwrap().handle.clone();
    assert_eq!(program.read_file("notes.txt").await.unwrap(), bytes(1, 300_000));
    for (number, size) in [(2, 100_000), (3, 5), (4, 0), (5, 2 * MIB)] {
        program.overwrite("notes.txt", &bytes(number, size)).await.unwrap();
    }
    assert!(program.find("notes.txt").await.unwrap().handle == handle);
    inside.judge(&mount).await.hold();
    room.hub_agrees(&mount.ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn cp_dd_tar_and_rm_work_and_leave_nothing_behind() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    program.cp("copy", &bytes(1, MIB + 1)).await.unwrap();
    program.cp("copy", &bytes(2, 3000)).await.unwrap();
    program.dd("disk.img", &bytes(3, 2 * MIB + 512), 512 * 100).await.unwrap();
    let files: Vec<_> = (0..80_u64)
        .map(|number| {
            (format!("d{}/e{}/f{number}", number % 3, number % 4), bytes(number, 100 * number as usize))
        })
        .collect();
    program.untar("tree", &files).await.unwrap();
    for line in 0..20 {
        program.append("log", format!("line {line}\n").as_bytes()).await.unwrap();
    }
    assert_eq!(inside.judge(&mount).await.hold().files, 83);
    room.hub_agrees(&mount.ledger);
    program.remove_tree("tree").await.unwrap();
    let left = everything(&inside.options).await;
    let left: Vec<_> = left.keys().filter(|path| !path.starts_with('.')).cloned().collect();
    assert_eq!(left, ["copy", "disk.img", "log"]);
    inside.judge(&mount).await.hold();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_and_twenty_eight_writes_out_of_order_with_holes_and_overlaps() {
    let room = Room::new();
    let inside = room.serve().await;
    for seed in 0..3 {
        let (mount, program) = inside
            .mount_with(|options| {
                options.shuffle = Some(seed);
                (options.wsize, options.rsize) = (32 << 10, 32 << 10);
            })
            .await;
        let path = format!("sparse {seed}");
        let file = program.open(&path, Flags::exclusive()).await.unwrap();
        // 300 blocks of 32 KiB in an order of its own, every seventh left out; then many written over in part.
        let block = 32 << 10;
        for step in 0..300_u64 {
            let at = step * 97 % 300;
            if at % 7 != 3 {
                file.pwrite(at * block, &bytes(step, block as usize)).await.unwrap();
            }
        }
        for step in 0..60_u64 {
            let middle = (step * 97 % 300 * block).saturating_sub(10_000);
            file.pwrite(middle, &bytes(step + 1000, 20_000)).await.unwrap();
        }
        assert!(mount.sent.most_writes.load(Ordering::Relaxed) > 32);
        file.close().await.unwrap();
        inside.judge(&mount).await.hold();
        room.hub_agrees(&mount.ledger);
        mount.unmount().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_commits_in_mid_file_are_answered_and_mean_no_upload() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount_with(|options| options.many_need_commit = 4).await;
    let mut file = program.open("long", Flags::exclusive()).await.unwrap();
    for block in 0..24 {
        file.write(&bytes(block, MIB)).await.unwrap();
        if block % 6 == 0 {
            mount.memory_pressure().await;
        }
    }
    assert!(mount.sent.partial_commits.load(Ordering::Relaxed) >= 3);
    assert_eq!(room.hub.counters().calls("/batch"), 0, "COMMIT is not an upload");
    file.close().await.unwrap();
    inside.judge(&mount).await.hold();
    room.hub_agrees(&mount.ledger);
}

/// The project's seed bug: a file that was only read is written through the same handle.
#[tokio::test(flavor = "multi_thread")]
async fn read_then_write_on_the_same_handle_never_loses_a_byte() {
    let room = Room::new();
    let original = bytes(1, 3 * MIB);
    room.put("model.bin", &original);
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    let node = program.find("model.bin").await.unwrap();
    mount.ledger.known(node.number, &original);
    let file = program.open("model.bin", Flags::write()).await.unwrap();
    assert_eq!(file.pread(0, 3 * MIB).await.unwrap(), original);
    file.pwrite(MIB as u64 + 5, b"changed").await.unwrap();
    file.set(Change::times(77)).await.unwrap();
    file.close().await.unwrap();
    let findings = inside.judge(&mount).await.hold();
    assert_eq!((findings.files, findings.discards), (1, 0));
    room.hub_agrees(&mount.ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_hub_is_a_jukebox_and_the_read_comes_out_right() {
    let room = Room::new();
    room.put("far.bin", &bytes(9, 2 * MIB));
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    program.stat("far.bin").await.unwrap();
    room.hub.faults().network(4000, 0);
    let read = program.read_file("far.bin").await.unwrap();
    room.hub.faults().network(0, 0);
    assert_eq!(read, bytes(9, 2 * MIB));
    assert!(mount.transport.counts.jukebox.load(Ordering::Relaxed) >= 1);
    let slowest = Duration::from_micros(mount.transport.counts.slowest_us.load(Ordering::Relaxed));
    assert!(
        slowest < Duration::from_secs(5),
        "after 5 s Finder shows its dialog; the slowest took {slowest:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_misses_nothing_that_stayed_while_names_go_and_come() {
    let room = Room::new();
    let names: Vec<String> = (0..600).map(|number| format!("file {number:04}")).collect();
    room.hub.client().put_many(&room.bucket, names.iter().map(|name| (name.as_str(), &b"x"[..])));
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    program.readdir("").await.unwrap();
    let dir = program.find("").await.unwrap();
    let mut walk = mount.walk(&dir);
    (walk.dircount, walk.maxcount) = (1024, 8192);
    let mut step = 0;
    while walk.more().await.unwrap() {
        // We delete, and somebody else adds and deletes, in the middle of it.
        program.unlink(&names[step * 7]).await.unwrap();
        room.put(&format!("new {step}"), b"new");
        room.hub.client().delete(&room.bucket, &names[step * 7 + 1]);
        step += 1;
    }
    assert!(step > 5, "in pieces");
    assert!(!walk.cut, "no BAD_COOKIE");
    let seen: Vec<String> =
        walk.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    for name in names.iter().skip(7 * step + 2) {
        assert_eq!(seen.iter().filter(|seen| *seen == name).count(), 1, "{name}");
    }
    program.mkdir("folder").await.unwrap();
    for number in 0..200 {
        program.overwrite(&format!("folder/{number}"), b"y").await.unwrap();
    }
    program.remove_tree("folder").await.unwrap();
    assert_eq!(program.find("folder").await.err(), Some(Errno::ENOENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_either_normal_form_lead_to_one_file() {
    let room = Room::new();
    room.put("caf\u{e9}.txt", b"composed");
    let inside = room.serve().await;
    for nfc in [true, false] {
        let (mount, program) = inside.mount_with(|options| options.nfc = nfc).await;
        // What Cocoa gives: decomposed.
        assert_eq!(program.read_file("cafe\u{301}.txt").await.unwrap(), b"composed");
        program.finder_copy(&format!("re\u{301}sume\u{301} {nfc}"), &bytes(3, 5000)).await.unwrap();
        program.safe_save(&format!("re\u{301}sume\u{301} {nfc}"), &bytes(4, 5000), true).await.unwrap();
        let names = program.readdir("").await.unwrap();
        assert_eq!(
            names.iter().filter(|name| name.contains("sum") && name.contains(&nfc.to_string())).count(),
            2,
            "{names:?}"
        );
        inside.judge(&mount).await.hold();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_change_is_seen_by_its_mtime_alone_and_no_reader_gets_a_mix() {
    let room = Room::new();
    let size = 2 * MIB;
    room.put("shared.bin", &vec![0; size]);
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    assert_eq!(program.read_file("shared.bin").await.unwrap(), vec![0; size]);
    for version in 1..=4_u8 {
        // The same size: only the mtime can tell.
        room.put("shared.bin", &vec![version; size]);
        let mut last = 0;
        for _ in 0..3000 {
            let read = program.read_file("shared.bin").await.unwrap();
            assert_eq!(read.len(), size);
            last = read[0];
            assert!(read.iter().all(|byte| *byte == last), "a mix of two versions");
            if last == version {
                break;
            }
            assert_eq!(last, version - 1);
            mount.clock.sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(last, version, "seen after actimeo");
    }
    assert!(mount.sent.invalidations.load(Ordering::Relaxed) >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_writes_never_look_like_somebody_elses() {
    let room = Room::new();
    let inside = room.serve().await;
    let (mount, program) = inside.mount().await;
    let mut file = program.open("growing", Flags::exclusive()).await.unwrap();
    for step in 0..40 {
        file.write(&bytes(step, 100_000)).await.unwrap();
        // One at a time: of two WRITEs in flight the server may do the later one first, and then macOS itself takes
        // the file for changed (nfs_loadattrcache drops the older call's attributes).
        file.node.until(|state| (state.output == 0).then_some(())).await;
        if step % 4 == 0 {
            file.fsync().await.unwrap();
            // Uploads go on meanwhile; the mtime we were given must stay.
            mount.clock.sleep(Duration::from_secs(3)).await;
            assert_eq!(file.pread(0, 10).await.unwrap().len(), 10);
        }
    }
    file.close().await.unwrap();
    room.hub_agrees(&mount.ledger);
    mount.clock.sleep(Duration::from_secs(3)).await;
    program.stat("growing").await.unwrap();
    assert_eq!(
        mount.sent.invalidations.load(Ordering::Relaxed),
        0,
        "wcc data is exact, and an upload moves no mtime"
    );
    assert!(workloads::double("a/b") == "a/._b");
}
