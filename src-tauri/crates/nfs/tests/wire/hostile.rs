//! Peers that are no NFS client, or a bad one: only their own connection suffers.

use std::time::{Duration, Instant};

use nfs3_types::nfs3::NFS_PROGRAM::*;
use nfs3_types::nfs3::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Harness, at, handle_of};
use crate::io::pattern;
use crate::memory_fs::ROOT;
use crate::raw::{Raw, fragment, framed, nfs_call};

/// A good connection from before must still work.
async fn check_alive(good: &mut Raw, root: &nfs_fh3) {
    let reply = good.call(1, NFSPROC3_GETATTR, &GETATTR3args { object: root.clone() }).await;
    assert_eq!(reply.decode::<GETATTR3res>().unwrap().obj_attributes.fileid, ROOT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_record_closes_its_connection_and_nothing_else() {
    let server = Harness::start().await;
    let root = server.root().await;
    let mut good = Raw::connect(server.address).await;
    check_alive(&mut good, &root).await;
    let getattr = nfs_call(1, NFSPROC3_GETATTR, &GETATTR3args { object: root.clone() });
    let mut a_reply = getattr.clone();
    a_reply[7] = 1;
    let too_much = fragment(&vec![0; 700 << 10], false).repeat(2);
    for (what, bytes) in [
        ("2 GiB announced", 0xffff_ffff_u32.to_be_bytes().to_vec()),
        ("2 GiB announced in a first fragment", 0x7fff_ffff_u32.to_be_bytes().to_vec()),
        ("fragments too large together", too_much),
        ("endless empty fragments", fragment(&[], false).repeat(5000)),
        ("an empty record", framed(&[])),
        ("half an xid", framed(&[1, 2])),
        ("a header cut short", framed(&getattr[..20])),
        ("a reply", framed(&a_reply)),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ] {
        let mut bad = Raw::connect(server.address).await;
        // The server may close while this is being sent.
        let _ = bad.socket.write_all(&bytes).await;
        assert!(bad.is_closed().await, "{what}");
        check_alive(&mut good, &root).await;
    }
}

/// Seeded, so that what it finds can be found again: random bytes, and good calls with random damage.
#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_and_damaged_calls_never_hurt_others() {
    let server = Harness::start().await;
    server.fs.put(ROOT, "a", b"abc");
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let mut good = Raw::connect(server.address).await;
    let calls = [
        nfs_call(1, NFSPROC3_LOOKUP, &LOOKUP3args { what: at(&root, "a") }),
        nfs_call(2, NFSPROC3_READ, &READ3args { file: file.clone(), offset: 0, count: 100 }),
        nfs_call(
            3,
            NFSPROC3_CREATE,
            &CREATE3args { where_: at(&root, "b"), how: createhow3::EXCLUSIVE(createverf3([1; 8])) },
        ),
        nfs_call(
            4,
            NFSPROC3_SETATTR,
            &SETATTR3args { object: file, new_attributes: sattr3::default(), guard: sattrguard3::None },
        ),
        nfs_call(
            5,
            NFSPROC3_READDIRPLUS,
            &READDIRPLUS3args {
                dir: root.clone(),
                cookie: 0,
                cookieverf: cookieverf3::default(),
                dircount: 4096,
                maxcount: 8192,
            },
        ),
    ];
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bad = Raw::connect(server.address).await;
        for _ in 0..5 {
            let bytes = match random.random_range(0..3) {
                0 => (0..random.random_range(1..300)).map(|_| random.random()).collect(),
                1 => framed(&damaged(&calls[random.random_range(0..calls.len())], &mut random)),
                _ => damaged(&framed(&calls[random.random_range(0..calls.len())]), &mut random),
            };
            let _ = bad.socket.write_all(&bytes).await;
        }
        let _ = bad.socket.shutdown().await;
        // Whatever it answers, it comes to an end.
        let mut answers = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), bad.socket.read_to_end(&mut answers)).await;
        assert!(ended.is_ok(), "seed {seed} is still open");
        check_alive(&mut good, &root).await;
    }
    assert!(!server.heard.all().iter().any(|heard| heard.contains("panicked")), "{:?}", server.heard.all());
}

fn damaged(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..4) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, random.random()),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_dribbles_in_is_given_up_while_others_are_served() {
    let server = Harness::with(|config| config.limits.record_time = Duration::from_millis(300)).await;
    let root = server.root().await;
    let mut good = Raw::connect(server.address).await;
    let mut slow = Raw::connect(server.address).await;
    let begun = Instant::now();
    slow.send(&[0x80, 0, 0, 100]).await;
    let mut closed = false;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        if slow.socket.write_all(&[0]).await.is_err() {
            closed = true;
            break;
        }
    }
    assert!(closed || slow.is_closed().await);
    assert!(begun.elapsed() < Duration::from_secs(3), "each byte does not buy more time");
    check_alive(&mut good, &root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed_after_its_time() {
    let server = Harness::with(|config| config.limits.idle_time = Duration::from_millis(200)).await;
    let mut silent = Raw::connect(server.address).await;
    assert!(silent.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_cost_a_stranger_his_never_a_client_that_holds_a_handle() {
    let server = Harness::with(|config| config.limits.connections = 4).await;
    let root = server.root().await;
    let mut good = Raw::connect(server.address).await;
    check_alive(&mut good, &root).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        let mut stranger = Raw::connect(server.address).await;
        stranger.send(&framed(&nfs_call(1, NFSPROC3_NULL, &nfs3_types::xdr_codec::Void))).await;
        stranger.reply().await;
        strangers.push(stranger);
    }
    check_alive(&mut good, &root).await;
    assert!(strangers[0].is_closed().await, "the one silent longest went");
    assert!(strangers[10].is_closed().await);
}

/// All of them stay open at the stranger's end, as long as the machine lets him. A thousand of them by default: the
/// kernel's table of connections, which the server reads for each, is the whole machine's, other tests' too.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_costs_no_client_that_holds_a_handle_anything() {
    let wanted = if std::env::var_os("BUCKETBAR_FULL").is_some() { 10_000 } else { 1_000 };
    let mut files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files.current = files.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files).unwrap();
    let many = files.maximum.map_or(wanted, |most| wanted.min(most.saturating_sub(1_000)));
    assert!(many >= wanted / 3, "{many} is no flood: raise the limit of open files");
    let server = Harness::start().await;
    let limit = server.config.limits.connections;
    let root = server.root().await;
    let mut good = Raw::connect(server.address).await;
    check_alive(&mut good, &root).await;
    let mut flood = Vec::new();
    for number in 0..many {
        flood.push(tokio::net::TcpStream::connect(server.address).await.unwrap());
        if number % 250 == 0 {
            check_alive(&mut good, &root).await;
        }
    }
    check_alive(&mut good, &root).await;
    // Whoever comes after the flood is served, although nobody has left.
    let mut late = Raw::connect(server.address).await;
    check_alive(&mut late, &root).await;
    let is_open = |socket: &tokio::net::TcpStream| matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    let begun = Instant::now();
    while flood.iter().filter(|socket| is_open(socket)).count() > limit {
        assert!(begun.elapsed() < Duration::from_secs(30), "the server holds more than its {limit}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check_alive(&mut good, &root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_asks_and_never_reads_is_cut_off_and_costs_no_more_than_its_budget() {
    let server = Harness::with(|config| {
        config.limits.write_stall = Duration::from_millis(300);
        config.limits.bytes = 8 << 20;
    })
    .await;
    server.fs.put(ROOT, "a", &pattern(4 << 20, 0));
    let (mut client, root) = server.client_and_root().await;
    let file = handle_of(&mut client, &root, "a").await;
    let mut greedy = Raw::connect(server.address).await;
    let read = framed(&nfs_call(1, NFSPROC3_READ, &READ3args { file, offset: 0, count: 1 << 20 }));
    let mut cut_off = false;
    for _ in 0..200_000 {
        let sent = tokio::time::timeout(Duration::from_secs(10), greedy.socket.write_all(&read)).await;
        if sent.expect("the server ends it, not our patience").is_err() {
            cut_off = true;
            break;
        }
    }
    assert!(cut_off);
    assert!(server.fs.runs("READ") < 100, "{} READs ran for nobody", server.fs.runs("READ"));
    assert!(client.getattr(&root.into()).await.is_ok());
}
