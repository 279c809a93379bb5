//! Bringing wanted contents here: several beside each other, in pieces that can be interrupted anywhere.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub::{ErrorClass, HubError};
use tokio::task::JoinSet;

use super::Trouble;
use super::plan::Wanted;
use crate::bucket_fs::{BucketFs, blocking};
use crate::content::{BLOCK, ContentKey, KEEP_PIECE, KeepError};
use crate::error::{Error, ErrorKind, Result};
use crate::figures::size;
use crate::staging::{ReadPiece, Staged};
use crate::sync::syncer::{note_offline, note_online};

/// Blocks of one download: 8 MiB.
const RUN: u32 = 128;
/// Downloads beside each other, and the bytes of all of them.
const AT_ONCE: usize = 12;
const BYTES_AT_ONCE: u64 = 32 << 20;
/// While somebody reads from the Hub, one at a time.
const AT_ONCE_IN_DEMAND: usize = 1;
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A failure that goes away by itself is told after so many.
const TOLD_AFTER: u32 = 3;

pub struct Downloads {
    fs: Arc<BucketFs>,
    queue: VecDeque<Job>,
    running: JoinSet<(Job, std::result::Result<(), KeepError>)>,
    /// Of each content the runs that are on their way.
    in_hand: HashMap<ContentKey, Vec<Range<u32>>>,
    bytes_in_hand: u64,
    failures: HashMap<ContentKey, Failure>,
    /// Nothing is begun before.
    not_before: Option<Instant>,
}

#[derive(Clone)]
struct Job {
    wanted: Wanted,
    run: Range<u32>,
}

impl Job {
    fn bytes(&self) -> u64 {
        let end = (u64::from(self.run.end) * BLOCK).min(self.wanted.size);
        end - u64::from(self.run.start) * BLOCK
    }
}

struct Failure {
    attempts: u32,
    not_before: Instant,
}

impl Downloads {
    pub fn new(fs: Arc<BucketFs>) -> Downloads {
        Downloads {
            fs,
            queue: VecDeque::new(),
            running: JoinSet::new(),
            in_hand: HashMap::new(),
            bytes_in_hand: 0,
            failures: HashMap::new(),
            not_before: None,
        }
    }

    /// Ends what is under way; what has arrived stays.
    pub async fn end(&mut self) {
        self.running.shutdown().await;
    }

    /// What is wanted now, in this order. What is under way goes on.
    pub fn plan(&mut self, wanted: Vec<Wanted>) {
        self.queue.clear();
        let kept = self.fs.content.kept().clone();
        let now = Instant::now();
        self.failures.retain(|key, _| wanted.iter().any(|one| one.key == *key));
        for one in wanted {
            if self.failures.get(&one.key).is_some_and(|failure| failure.not_before > now) {
                continue;
            }
            let under_way = self.in_hand.get(&one.key).map_or(&[][..], Vec::as_slice);
            for missing in kept.missing(&one.key, one.size, RUN) {
                let runs = without(missing, under_way);
                self.queue.extend(runs.into_iter().map(|run| Job { wanted: one.clone(), run }));
            }
        }
    }

    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty()
    }

    /// When something that waits is tried again. What may be tried already is in the queue, or waits for the Hub.
    pub fn next_try(&self) -> Option<Instant> {
        let failed = self.failures.values().map(|failure| failure.not_before);
        next_of(failed.chain(self.not_before), Instant::now())
    }

    /// Starts what may be started.
    pub async fn start(&mut self) -> Result<()> {
        if self.not_before.is_some_and(|when| when > Instant::now())
            || self.fs.queue.offline_cause().is_some()
            || self.fs.stop.is_cancelled()
        {
            self.queue.clear(); // planned anew when it may
            return Ok(());
        }
        self.not_before = None;
        let most = if self.fs.content.is_in_demand() { AT_ONCE_IN_DEMAND } else { AT_ONCE };
        while self.running.len() < most && (self.bytes_in_hand < BYTES_AT_ONCE) {
            let Some(job) = self.queue.pop_front() else { break };
            let short = self.fs.short_of_room(job.bytes() + self.bytes_in_hand).await?;
            if short > 0 {
                // What is under way counts as not written yet: only alone a piece is sure not to fit.
                match self.running.is_empty() {
                    true => self.full(short),
                    false => self.queue.push_front(job),
                }
                break;
            }
            self.fs.offline.state.lock().stuck = None;
            self.in_hand.entry(job.wanted.key).or_default().push(job.run.clone());
            self.bytes_in_hand += job.bytes();
            let fs = self.fs.clone();
            self.running.spawn(async move {
                let done = carry(&fs, &job).await;
                (job, done)
            });
        }
        Ok(())
    }

    /// The next one that ends; waits for ever when none is under way.
    pub async fn next(&mut self) {
        match self.running.join_next().await {
            Some(Ok((job, outcome))) => self.settle(job, outcome),
            Some(Err(error)) => {
                tracing::error!(%error, "a download to keep offline met a programming error");
                self.recount();
            }
            None => std::future::pending().await,
        }
    }

    fn settle(&mut self, job: Job, outcome: std::result::Result<(), KeepError>) {
        if let Some(runs) = self.in_hand.get_mut(&job.wanted.key) {
            runs.retain(|run| *run != job.run);
            if runs.is_empty() {
                self.in_hand.remove(&job.wanted.key);
            }
        }
        self.bytes_in_hand = self.bytes_in_hand.saturating_sub(job.bytes());
        match outcome {
            Ok(()) => {
                note_online(&self.fs);
                self.failures.remove(&job.wanted.key);
                self.fs.offline.state.lock().failed.remove(&job.wanted.key);
            }
            Err(KeepError::Hub(error)) => self.hub_failed(&job, &error),
            Err(KeepError::Disk(error)) if error.kind() == std::io::ErrorKind::NotFound => {} // given up meanwhile
            Err(KeepError::Disk(error)) => {
                let error = Error::disk("keeping a file offline", &error);
                let full = error.kind == ErrorKind::NoSpace;
                self.stick(Trouble { why: error.what, advice: error.advice, full });
            }
        }
    }

    /// A task was lost with what it had in hand: after the others have ended, everything is planned anew.
    fn recount(&mut self) {
        if self.running.is_empty() {
            self.in_hand.clear();
            self.bytes_in_hand = 0;
        }
    }

    fn hub_failed(&mut self, job: &Job, error: &HubError) {
        if error.class == ErrorClass::Offline {
            self.queue.clear();
            return note_offline(&self.fs, error);
        }
        let key = job.wanted.key;
        self.queue.retain(|other| other.wanted.key != key);
        let attempts = self.failures.get(&key).map_or(0, |failure| failure.attempts) + 1;
        let wait = FIRST_WAIT.saturating_mul(1 << (attempts - 1).min(10)).min(LONGEST_WAIT);
        self.failures.insert(key, Failure { attempts, not_before: Instant::now() + wait });
        tracing::warn!(%error, file = %job.wanted.id, attempts, "a file could not be kept offline yet");
        let heals = error.class.may_retry() || error.class == ErrorClass::Cancelled;
        if !heals || attempts >= TOLD_AFTER {
            let path = self.fs.work_key_path(job.wanted.id);
            let why = format!("{path} could not be downloaded: {}", error.what);
            let advice = match error.advice.is_empty() {
                true => "It is tried again by itself.".to_owned(),
                false => error.advice.clone(),
            };
            self.fs.offline.state.lock().failed.insert(key, Trouble { why, advice, full: false });
        }
    }

    fn full(&mut self, short: u64) {
        let left = self.fs.offline.left();
        self.stick(Trouble {
            why: format!(
                "The disk is full: {} are still to be downloaded, and {} more are needed for the next piece.",
                size(left),
                size(short)
            ),
            advice: "Free some space on this machine, or keep less offline; it goes on by itself.".to_owned(),
            full: true,
        });
    }

    /// Nothing is begun for a while: the disk takes nothing.
    fn stick(&mut self, trouble: Trouble) {
        self.queue.clear();
        self.not_before = Some(Instant::now() + self.fs.config.poll);
        self.fs.offline.state.lock().stuck = Some(trouble);
    }
}

/// The first of these moments that is still to come.
fn next_of(moments: impl Iterator<Item = Instant>, now: Instant) -> Option<Instant> {
    moments.filter(|when| *when > now).min()
}

/// What is left of `run` without `others`, in order.
fn without(run: Range<u32>, others: &[Range<u32>]) -> Vec<Range<u32>> {
    others.iter().fold(vec![run], |left, other| {
        left.into_iter()
            .flat_map(|part| [part.start..part.end.min(other.start), part.start.max(other.end)..part.end])
            .filter(|part| part.start < part.end)
            .collect()
    })
}

async fn carry(fs: &Arc<BucketFs>, job: &Job) -> std::result::Result<(), KeepError> {
    let Wanted { id, hash, size, .. } = &job.wanted;
    if let Some(staged) = fs.staging.get(*id)
        && copy_staged(fs, staged, job).await.map_err(KeepError::Disk)?
    {
        fs.offline.downloaded(job.bytes());
        return Ok(());
    }
    let told = |bytes| fs.offline.downloaded(bytes);
    tokio::select! {
        done = fs.content.keep(hash, *size, job.run.clone(), &told) => done,
        () = fs.stop.cancelled() => Ok(()),
    }
}

/// What was saved here need not be downloaded. `false` when the staged copy is something else, or not whole.
async fn copy_staged(fs: &Arc<BucketFs>, staged: Arc<Staged>, job: &Job) -> std::io::Result<bool> {
    let (fs, Job { wanted, run }) = (fs.clone(), job.clone());
    let copied = blocking(move || {
        let generation = || {
            staged.with_layout(|layout| {
                let same = layout
                    .base
                    .as_ref()
                    .is_some_and(|base| *base.hash == *wanted.hash && base.size == wanted.size);
                let clean = !layout.dirty && layout.in_flight == 0 && layout.size == wanted.size;
                (same && clean).then_some(layout.generation)
            })
        };
        let Some(before) = generation() else { return Ok(Ok(false)) };
        for first in run.clone().step_by((KEEP_PIECE / BLOCK) as usize) {
            let last = (first + (KEEP_PIECE / BLOCK) as u32).min(run.end);
            let range = u64::from(first) * BLOCK..(u64::from(last) * BLOCK).min(wanted.size);
            let Ok(plan) = staged.read(range) else { return Ok(Ok(false)) };
            let mut bytes = Vec::new();
            for piece in plan.pieces {
                match piece {
                    ReadPiece::Bytes(piece) => bytes.extend_from_slice(&piece),
                    ReadPiece::Base(..) => return Ok(Ok(false)),
                }
            }
            if generation() != Some(before) {
                return Ok(Ok(false));
            }
            if let Err(error) = fs.content.kept().put(&wanted.key, wanted.size, first, &bytes) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(true))
    });
    copied.await.unwrap_or_else(|error| Err(std::io::Error::other(error.what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(run: Range<u32>, others: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let others: Vec<Range<u32>> = others.iter().map(|(start, end)| *start..*end).collect();
        without(run, &others).into_iter().map(|part| (part.start, part.end)).collect()
    }

    #[test]
    fn a_moment_that_is_past_wakes_nobody() {
        let now = Instant::now();
        let [soon, later] = [1, 2].map(|seconds| now + Duration::from_secs(seconds));
        assert_eq!(next_of([later, now, soon].into_iter(), now), Some(soon));
        assert_eq!(next_of([now].into_iter(), now), None);
    }

    #[test]
    fn what_is_on_its_way_is_not_asked_for_again() {
        assert_eq!(left(16..144, &[(0, 128)]), [(128, 144)], "the first blocks of a run have arrived");
        assert_eq!(left(0..128, &[(0, 128)]), []);
        assert_eq!(left(0..128, &[(10, 20), (50, 60)]), [(0, 10), (20, 50), (60, 128)]);
        assert_eq!(left(5..9, &[(0, 5), (9, 20)]), [(5, 9)]);
        assert_eq!(left(0..4, &[]), [(0, 4)]);
    }
}
