//! Random Finder-like work while disk, connection and Hub fail. Seeded: a failure names its seed, and
//! `APPLE_SEED=N` runs that one alone.

use std::sync::Arc;
use std::time::Duration;

use apple_client::{Change, Flags, Mount, Program};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{Fault, Harm};

use crate::disk::Disk;
use crate::real::{LONG, Room, everything};

const MIB: usize = 1 << 20;
const OPERATIONS: usize = 60;
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

fn rng(seed: u64, stream: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1000) + stream)
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

struct Worker {
    program: Program,
    rng: StdRng,
    folder: String,
    names: u64,
}

impl Worker {
    /// Errors are what the disk's failures must become; the ledger judges whether they were all told.
    async fn work(mut self) {
        for _ in 0..OPERATIONS {
            let (size, seed) = (self.size(), self.rng.random());
            let content = testkit::bytes(seed, size);
            let name = self.name();
            let path = format!("{}/{name}", self.folder);
            let program = self.program.clone();
            let _ = match self.rng.random_range(0..12) {
                0 | 1 => {
                    self.names += 1;
                    program.finder_copy_kept(&format!("{}/copy {}", self.folder, self.names), &content).await
                }
                2 => program.safe_save(&path, &content, self.rng.random()).await,
                3 => program.overwrite(&path, &content).await,
                4 => program.cp(&path, &content).await,
                5 => program.dd(&path, &content, 70_000).await,
                6 => program.append(&path, &content[..size.min(3000)]).await,
                7 => program.unlink(&path).await,
                8 => {
                    let other = self.name();
                    program.rename(&path, &format!("{}/{other}", self.folder)).await
                }
                9 => program.set(&path, Change::times(self.rng.random_range(1..2_000_000_000))).await,
                _ => self.edit(&path, &content).await,
            };
            if self.rng.random_range(0..10) == 0 {
                // Somebody looks: what is read back is what was written, or an error was told.
                let _ = program.read_file(&path).await;
            }
        }
    }

    /// A database or a disk image: reads and writes here and there, sometimes cut, sometimes synced.
    async fn edit(&mut self, path: &str, content: &[u8]) -> apple_client::Result<()> {
        let file = self.program.open(path, Flags { write: true, create: true, ..Flags::default() }).await?;
        let mut done = Ok(());
        for piece in content.chunks(50_000).take(12) {
            let at = self.rng.random_range(0..3 * MIB as u64);
            done = match self.rng.random_range(0..8) {
                0 => file.pread(at, 4096).await.map(drop),
                1 => file.fsync().await,
                2 => file.ftruncate(at).await,
                3 => file.set(Change::times(5)).await,
                _ => file.pwrite(at, piece).await,
            };
            if done.is_err() {
                break;
            }
        }
        done.and(file.close().await)
    }

    fn size(&mut self) -> usize {
        match self.rng.random_range(0..6) {
            0 => 0,
            1 => self.rng.random_range(1..5000),
            2 | 3 => self.rng.random_range(5000..300_000),
            4 => MIB,
            _ => self.rng.random_range(MIB..3 * MIB),
        }
    }

    fn name(&mut self) -> String {
        format!("file {}", self.rng.random_range(0..6))
    }
}
