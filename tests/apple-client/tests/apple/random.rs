//! Random Finder-like work while disk, connection and Hub fail. Seeded: a failure names its seed, and
//! `APPLE_SEED=N` runs that one alone.

use std::sync::Arc;
use std::time::Duration;

use apple_client::Mount;
use rand::Rng;
use rand::rngs::StdRng;
use testkit::{Fault, Harm};

use crate::disk::Disk;
use crate::real::{LONG, Room, everything};
use crate::worker::{Worker, rng};

/// Programs at work at the same time, each in a folder of its own.
const PROGRAMS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn random_work_with_faults_throws_nothing_away_untold() {
    let seeds: Vec<u64> = match std::env::var("APPLE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if std::env::var_os("BUCKETBAR_FULL").is_some() => (0..12).collect(),
        Err(_) => (0..3).collect(),
    };
    for seed in seeds {
        let ran = tokio::spawn(one(seed)).await;
        assert!(ran.is_ok(), "seed {seed} failed; APPLE_SEED={seed} runs it again: {:?}", ran.err());
    }
}

async fn one(seed: u64) {
    let room = Room::new();
    let inside = room.serve().await;
    let disk = Arc::new(Disk::at(&room.state()));
    let (mount, program) = inside
        .mount_with(|options| {
            options.shuffle = Some(seed);
            options.many_need_commit = 3;
            options.speed = 100.0;
        })
        .await;
    let mut working = Vec::new();
    for number in 0..PROGRAMS {
        let folder = format!("p{number}");
        program.mkdir(&folder).await.unwrap();
        let worker = Worker { program: program.clone(), rng: rng(seed, number), folder, names: 0 };
        working.push(tokio::spawn(worker.work()));
    }
    let troubling = tokio::spawn(trouble(Arc::clone(&mount), Arc::clone(&disk), rng(seed, 99)));
    if seed % 2 == 1 {
        let faults = room.hub.faults();
        faults.add(Fault::on("/batch", Harm::LoseAnswer).probability(0.3, seed).times(6));
        faults.add(
            Fault::on("/api/", Harm::Status { status: 503, retry_after: None })
                .probability(0.2, seed)
                .times(20),
        );
    }
    for worker in working {
        worker.await.unwrap();
    }
    troubling.abort();
    let _ = troubling.await;
    disk.heal();
    room.hub.faults().clear();
    let found = everything(&inside.options).await;
    let findings = mount.ledger.compare(|path| found.get(path).cloned(), &inside.events());
    println!("seed {seed}: {findings}");
    if !findings.broken.is_empty() {
        let sizes: Vec<_> = found.iter().map(|(path, content)| (path, content.len())).collect();
        println!("on the server: {sizes:?}\nsent: {:?}\n{:?}", mount.sent, mount.transport.counts);
        println!("events: {:#?}", inside.events());
    }
    findings.hold();
    testkit::eventually(LONG, || {
        for path in mount.ledger.untroubled() {
            if path.contains("/._") {
                continue;
            }
            if room.on_hub(&path) != mount.ledger.content(&path) {
                return Err(format!("the Hub has no {path} as it was written: {:?}", inside.served.status()));
            }
        }
        Ok(())
    });
    // Nobody else was there.
    let shown = everything(&inside.options).await.into_keys();
    let names = shown.chain(room.hub.client().paths(&room.bucket));
    let conflicts: Vec<String> = names.filter(|name| name.contains(" (conflict ")).collect();
    assert!(conflicts.is_empty(), "conflicts with oneself: {conflicts:?}");
}

/// What fails while they work.
async fn trouble(mount: Arc<Mount>, disk: Arc<Disk>, mut rng: StdRng) {
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(5..60))).await;
        match rng.random_range(0..10) {
            0 => disk.fail_writes(libc::ENOSPC, rng.random_range(0..4), rng.random_range(1..3)),
            1 => disk.fail_writes(libc::EIO, rng.random_range(0..4), 1),
            2 => disk.fail_syncs(rng.random_range(1..3)),
            3 | 4 => mount.transport.cut(),
            5 => mount.memory_pressure().await,
            6 => mount.sleep(Duration::from_secs(2)).await,
            _ => {
                disk.heal();
            }
        }
    }
}
