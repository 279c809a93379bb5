//! A program that works at random.

use apple_client::{Change, Flags, Program};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MIB: usize = 1 << 20;
const OPERATIONS: usize = 60;

pub fn rng(seed: u64, stream: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1000) + stream)
}

pub struct Worker {
    pub program: Program,
    pub rng: StdRng,
    pub folder: String,
    /// New names it has made.
    pub names: u64,
}

impl Worker {
    /// Errors are what the disk's failures must become; the ledger judges whether they were all told.
    pub async fn work(mut self) {
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
