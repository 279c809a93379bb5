//! The jobs. Each gives figures of itself; nothing here judges them.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Serialize;

use crate::client::{Client, Handle};

const BLOCK: u64 = 1 << 20;
/// A prime that no count of files has as a factor.
const STRIDE: u64 = 7_368_787;

/// What a job did. Times are in seconds, latencies in milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub job: String,
    pub operations: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
    /// Calls answered with JUKEBOX.
    pub put_off: u32,
}

/// Latencies of the operations of one job.
struct Clock {
    began: Instant,
    each: Vec<f64>,
}

impl Clock {
    fn start() -> Clock {
        Clock { began: Instant::now(), each: Vec::new() }
    }

    fn note(&mut self, took: Duration) {
        self.each.push(took.as_secs_f64() * 1000.0);
    }

    fn figures(mut self, job: &str, bytes: u64, client: &Client) -> Figures {
        let seconds = self.began.elapsed().as_secs_f64();
        self.each.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = ((self.each.len() as f64 * part) as usize).min(self.each.len().saturating_sub(1));
            self.each.get(index).copied().unwrap_or_default()
        };
        Figures {
            job: job.to_owned(),
            operations: self.each.len() as u64,
            bytes,
            seconds,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            longest_ms: at(1.0),
            put_off: client.put_off.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}

/// A part of a file; without a length, to its end.
pub struct Part {
    pub offset: u64,
    pub length: Option<u64>,
}

/// Files as `scripts/bench` makes them.
pub struct Spread {
    pub files: u64,
    pub per_folder: u64,
}

pub struct Load {
    pub client: Arc<Client>,
    pub root: Handle,
    pub depth: usize,
}

impl Load {
    /// Runs `one` for each item, `depth` at a time.
    async fn all<T, F>(&self, items: impl Iterator<Item = T>, one: impl Fn(T) -> F) -> Result<Clock>
    where
        F: Future<Output = Result<()>>,
    {
        let mut clock = Clock::start();
        let mut running = stream::iter(items)
            .map(|item| {
                let work = one(item);
                async move {
                    let began = Instant::now();
                    work.await.map(|()| began.elapsed())
                }
            })
            .buffer_unordered(self.depth);
        while let Some(took) = running.try_next().await? {
            clock.note(took);
        }
        drop(running);
        Ok(clock)
    }

    /// Bytes that do not repeat: deduplication must find nothing in them.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        SmallRng::seed_from_u64(seed).fill(&mut noise[..]);
        noise
    }

    pub async fn write(&self, path: &str, size: u64, seed: u64, commit: bool) -> Result<Figures> {
        let noise = Bytes::from(Self::noise(seed, usize::try_from(size)?));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.client.walk(&self.root, folder).await?;
        let began = Instant::now();
        let file = self.client.create(&folder, name).await?;
        let clock = self.write_blocks(&file, &noise).await?;
        if commit {
            self.client.commit(&file).await?;
        }
        Ok(Clock { began, ..clock }.figures("write", size, &self.client))
    }

    async fn write_blocks(&self, file: &Handle, data: &Bytes) -> Result<Clock> {
        let size = data.len() as u64;
        self.all((0..size).step_by(BLOCK as usize), |offset| async move {
            let block = data.slice(offset as usize..(offset + BLOCK).min(size) as usize);
            let written = self.client.write(file, offset, &block).await?;
            ensure!(written as usize == block.len(), "a short WRITE");
            Ok(())
        })
        .await
    }

    /// One WRITE into a file that is there, and its COMMIT; the longest of the latencies is the WRITE's or COMMIT's.
    pub async fn edit(&self, path: &str, offset: u64, size: u64, seed: u64) -> Result<Figures> {
        let file = self.client.walk(&self.root, path).await?;
        let noise = Self::noise(seed, usize::try_from(size)?);
        let mut clock = Clock::start();
        ensure!(self.client.write(&file, offset, &noise).await? as usize == noise.len(), "a short WRITE");
        clock.note(clock.began.elapsed());
        let written = Instant::now();
        self.client.commit(&file).await?;
        clock.note(written.elapsed());
        Ok(clock.figures("edit", size, &self.client))
    }

    /// Reads `length` bytes from `offset` on, by default all. With a `seed`, they must be what `write` wrote with it.
    pub async fn read(&self, path: &str, part: Part, seed: Option<u64>) -> Result<Figures> {
        let file = self.client.walk(&self.root, path).await?;
        let size = self.client.getattr(&file).await?;
        let noise =
            seed.map(|seed| Ok::<_, anyhow::Error>(Self::noise(seed, usize::try_from(size)?))).transpose()?;
        let end = part.length.map_or(size, |length| (part.offset + length).min(size));
        let clock = self
            .all((part.offset..end).step_by(BLOCK as usize), |offset| {
                let (file, noise) = (&file, noise.as_deref());
                async move { self.whole(file, offset, BLOCK.min(end - offset) as u32, noise).await }
            })
            .await?;
        Ok(clock.figures("read", end - part.offset, &self.client))
    }

    /// Several files, each read from beginning to end by a reader of its own with `depth` reads in flight.
    pub async fn readers(&self, paths: &[String]) -> Result<Figures> {
        let (mut all, mut bytes) = (Clock::start(), 0);
        let each = paths.iter().map(|path| async move {
            let file = self.client.walk(&self.root, path).await?;
            let size = self.client.getattr(&file).await?;
            let clock = self
                .all((0..size).step_by(BLOCK as usize), |offset| {
                    let file = &file;
                    async move { self.whole(file, offset, BLOCK.min(size - offset) as u32, None).await }
                })
                .await?;
            Ok::<_, anyhow::Error>((clock, size))
        });
        for (clock, size) in futures_util::future::try_join_all(each).await? {
            all.each.extend(clock.each);
            bytes += size;
        }
        Ok(all.figures("readers", bytes, &self.client))
    }

    /// GETATTR, one after the other, while a bulk read or write goes on over the same connection with `depth` in
    /// flight: the latencies are GETATTR's, the bytes the bulk's.
    pub async fn mixed(&self, path: &str, count: u64, write: Option<u64>) -> Result<Figures> {
        let file = self.client.walk(&self.root, path).await?;
        let size = self.client.getattr(&file).await?;
        let noise = Bytes::from(Self::noise(write.unwrap_or_default(), BLOCK as usize));
        let moved = std::sync::atomic::AtomicU64::new(0);
        let bulk = async {
            let (file, noise, moved) = (&file, &noise, &moved);
            let blocks = (0..size / BLOCK).cycle().map(|block| block * BLOCK);
            self.all(blocks, |offset| async move {
                match write {
                    Some(_) => drop(self.client.write(file, offset, noise).await?),
                    None => self.whole(file, offset, BLOCK as u32, None).await?,
                }
                moved.fetch_add(BLOCK, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            })
            .await
        };
        let mut clock = Clock::start();
        let small = async {
            for _ in 0..count {
                let began = Instant::now();
                self.client.getattr(&self.root).await?;
                clock.note(began.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::select! {
            ended = bulk => { ended?; anyhow::bail!("{path} is too small for a bulk transfer"); }
            done = small => done?,
        }
        Ok(clock.figures("mixed", moved.into_inner(), &self.client))
    }

    /// A READ, and those that go on where the server answered short.
    async fn whole(
        &self,
        file: &Handle,
        mut offset: u64,
        mut count: u32,
        noise: Option<&[u8]>,
    ) -> Result<()> {
        while count > 0 {
            let (data, end) = self.client.read(file, offset, count).await?;
            ensure!(!data.is_empty() || end, "an empty READ before the end");
            if let Some(noise) = noise {
                let right = noise.get(offset as usize..offset as usize + data.len());
                ensure!(right == Some(&data[..]), "wrong bytes at {offset}");
            }
            offset += data.len() as u64;
            count -= (data.len() as u32).min(count);
            if end {
                break;
            }
        }
        Ok(())
    }

    pub async fn random(&self, path: &str, count: u64, block: u32, seed: u64) -> Result<Figures> {
        let file = self.client.walk(&self.root, path).await?;
        let size = self.client.getattr(&file).await?;
        ensure!(size > u64::from(block), "{path} is too small");
        let mut random = SmallRng::seed_from_u64(seed);
        let blocks = size / u64::from(block);
        let offsets: Vec<u64> =
            (0..count).map(|_| random.random_range(0..blocks) * u64::from(block)).collect();
        let clock = self
            .all(offsets.into_iter(), |offset| {
                let file = &file;
                async move { self.whole(file, offset, block, None).await }
            })
            .await?;
        Ok(clock.figures("random", count * u64::from(block), &self.client))
    }

    /// Small files: CREATE, WRITE, COMMIT for each.
    pub async fn create(&self, folder: &str, count: u64, size: usize, seed: u64) -> Result<Figures> {
        let dir = self.client.mkdir(&self.root, folder).await?;
        let noise = Self::noise(seed, size + count as usize);
        let clock = self
            .all(0..count, |number| {
                let (dir, data) = (&dir, &noise[number as usize..number as usize + size]);
                async move {
                    let file = self.client.create(dir, &format!("{number:06}.bin")).await?;
                    if size > 0 {
                        self.client.write(&file, 0, data).await?;
                        self.client.commit(&file).await?;
                    }
                    Ok(())
                }
            })
            .await?;
        Ok(clock.figures("create", count * size as u64, &self.client))
    }

    pub async fn remove(&self, folder: &str, count: u64) -> Result<Figures> {
        let dir = self.client.lookup(&self.root, folder).await?;
        let clock = self
            .all(0..count, |number| {
                let dir = &dir;
                async move { self.client.remove(dir, &format!("{number:06}.bin")).await }
            })
            .await?;
        Ok(clock.figures("remove", 0, &self.client))
    }

    /// Small files: LOOKUP, READ for each.
    pub async fn fetch(&self, folder: &str, count: u64) -> Result<Figures> {
        let dir = self.client.walk(&self.root, folder).await?;
        let bytes = std::sync::atomic::AtomicU64::new(0);
        let clock = self
            .all(0..count, |number| {
                let (dir, bytes) = (&dir, &bytes);
                async move {
                    let file = self.client.lookup(dir, &format!("{number:06}.bin")).await?;
                    let (data, _) = self.client.read(&file, 0, 65_536).await?;
                    bytes.fetch_add(data.len() as u64, std::sync::atomic::Ordering::Relaxed);
                    Ok(())
                }
            })
            .await?;
        Ok(clock.figures("fetch", bytes.into_inner(), &self.client))
    }

    /// LOOKUP of one name again and again.
    pub async fn lookup(&self, path: &str, count: u64) -> Result<Figures> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.client.walk(&self.root, folder).await?;
        let clock =
            self.all(0..count, |_| async { self.client.lookup(&folder, name).await.map(|_| ()) }).await?;
        Ok(clock.figures("lookup", 0, &self.client))
    }

    /// GETATTR, one after the other; while something else loads the server, its latency under load.
    pub async fn getattr(&self, path: &str, count: u64) -> Result<Figures> {
        let file = self.client.walk(&self.root, path).await?;
        let clock = self
            .all(0..count, |_| {
                let file = &file;
                async move { self.client.getattr(file).await.map(|_| ()) }
            })
            .await?;
        Ok(clock.figures("getattr", 0, &self.client))
    }

    /// LOOKUP and GETATTR of files in an order that jumps from folder to folder and meets each once.
    pub async fn scatter(&self, folder: &str, all: Spread, which: Range<u64>) -> Result<Figures> {
        ensure!(which.end <= all.files, "there are not so many files");
        let top = self.client.walk(&self.root, folder).await?;
        let mut folders = Vec::new();
        for number in 0..all.files.div_ceil(all.per_folder.max(1)) {
            folders.push(self.client.lookup(&top, &format!("{number:06}")).await?);
        }
        let clock = self
            .all(which, |number| {
                let file = number * STRIDE % all.files;
                let dir = &folders[(file / all.per_folder.max(1)) as usize];
                async move {
                    let file = self.client.lookup(dir, &format!("{file:06}.bin")).await?;
                    self.client.getattr(&file).await.map(|_| ())
                }
            })
            .await?;
        Ok(clock.figures("scatter", 0, &self.client))
    }

    /// Every name below `folder`, with attributes and handles: `find`. Operations are names.
    pub async fn list(&self, folder: &str, times: u64) -> Result<Figures> {
        let mut clock = Clock::start();
        let top = self.client.walk(&self.root, folder).await?;
        let mut names = 0;
        for _ in 0..times {
            names += self.list_all(&top, &mut clock).await?;
        }
        let mut figures = clock.figures("list", 0, &self.client);
        figures.operations = names;
        Ok(figures)
    }

    async fn list_all(&self, top: &Handle, clock: &mut Clock) -> Result<u64> {
        let mut names = 0;
        let mut folders = vec![top.clone()];
        while !folders.is_empty() {
            let level = std::mem::take(&mut folders);
            let mut lists =
                stream::iter(level).map(|folder| self.list_one(folder)).buffer_unordered(self.depth);
            while let Some((count, inner, took)) = lists.try_next().await? {
                names += count;
                folders.extend(inner);
                took.into_iter().for_each(|took| clock.note(took));
            }
        }
        Ok(names)
    }

    async fn list_one(&self, folder: Handle) -> Result<(u64, Vec<Handle>, Vec<Duration>)> {
        let (mut cookie, mut verifier, mut names) = (0, 0, 0);
        let (mut inner, mut took) = (Vec::new(), Vec::new());
        loop {
            let began = Instant::now();
            let (entries, next, end) = self.client.list(&folder, cookie, verifier).await?;
            took.push(began.elapsed());
            verifier = next;
            for entry in &entries {
                cookie = entry.cookie;
                if entry.name == "." || entry.name == ".." {
                    continue;
                }
                names += 1;
                if entry.is_folder {
                    inner.push(entry.handle.clone().context("a folder without a handle")?);
                }
            }
            if end {
                return Ok((names, inner, took));
            }
            ensure!(!entries.is_empty(), "an empty page before the end");
        }
    }
}
