//! Reads that arrive together are looked at together.
//!
//! A kernel asks for what it reads ahead in one breath: sixteen reads of 1 MiB within a millisecond, in any order.
//! Looked at one by one, each that comes before its neighbours begins a fetch of its own, with a plan and a cut chunk
//! at both ends. So a read that would begin a fetch waits a moment for others of the same content.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::block::{BLOCK, blocks_of};
use super::flight::Flight;
use super::pattern::{LARGEST_WINDOW, SMALL_FILE};
use super::{Content, Look, Subject};

/// What a read waits for the next of its breath. A fetch takes ten times as long at least.
const MOMENT: Duration = Duration::from_millis(2);

/// No read waits longer, however many keep coming.
const LONGEST: Duration = Duration::from_millis(6);

/// Shorter reads are a program's own, one by one, and not a kernel's read-ahead.
const SHORTEST: u64 = 16 * 1024;

/// What is looked up with a read that lacks something, so that whoever looks for all finds it in memory: the largest
/// window ahead of its breath.
const LOOKED_UP: u64 = LARGEST_WINDOW + (64 << 20);

/// Reads of one content that wait to be looked at.
pub struct Gathering {
    began: Instant,
    due: Instant,
    reads: Vec<Range<u64>>,
    begun: Begun,
}

/// Blocks and their fetches, by rising number. A fetch may fail before those who gathered look for it again.
type Fetches = Vec<(u32, Arc<Flight>)>;

/// The fetches that were begun for a gathering; `None` until somebody has looked. Also says which gathering it is.
type Begun = Arc<watch::Sender<Option<Fetches>>>;

/// What becomes of a read that waits.
#[derive(Debug, PartialEq, Eq)]
enum Wait {
    Until(Instant),
    /// This one looks at all of `reads`, sorted, on behalf of those who wait.
    Look(Vec<Range<u64>>),
    /// Somebody looked already, or is looking.
    Over,
}

impl Gathering {
    /// Adds `read` to the gathering in `at`; the first one begins it. Answers where its fetches will be found.
    fn join(at: &mut Option<Gathering>, read: Range<u64>, now: Instant) -> Begun {
        let (reads, begun) = (Vec::new(), Arc::new(watch::Sender::new(None)));
        let gathering = at.get_or_insert_with(|| Gathering { began: now, due: now, reads, begun });
        gathering.due = (now + MOMENT).min(gathering.began + LONGEST);
        gathering.reads.push(read);
        gathering.begun.clone()
    }

    /// What becomes of a read of the gathering `mine`; asked again after each wait. Readers that go away leave their
    /// reads to those who stay, or to who comes next.
    fn next(at: &mut Option<Gathering>, mine: &Begun, now: Instant) -> Wait {
        let is_mine = |gathering: &Gathering| Arc::ptr_eq(&gathering.begun, mine);
        let Some(mut gathering) = at.take_if(|at| is_mine(at) && now >= at.due) else {
            return at.as_ref().filter(|at| is_mine(at)).map_or(Wait::Over, |at| Wait::Until(at.due));
        };
        gathering.reads.sort_unstable_by_key(|read| (read.start, read.end));
        Wait::Look(gathering.reads)
    }
}

impl Content {
    /// Lets a read that would begin a fetch wait for others of its breath; one of them begins the fetches of all.
    /// Answers the read's own fetches of `blocks`, or `None` when nothing was to be fetched or the read is not one of
    /// many.
    pub(super) async fn gather(
        &self,
        subject: &Subject,
        range: &Range<u64>,
        blocks: &Range<u32>,
    ) -> Option<Fetches> {
        let one_of_many = range.end - range.start >= SHORTEST && subject.file_size > SMALL_FILE;
        if !one_of_many || !self.lacks(subject, range, blocks).await {
            return None;
        }
        let access = self.access(&subject.key);
        let begun = Gathering::join(&mut access.lock().gathering, range.clone(), Instant::now());
        loop {
            let next = Gathering::next(&mut access.lock().gathering, &begun, Instant::now());
            match next {
                Wait::Until(due) => tokio::time::sleep_until(due.into()).await,
                Wait::Look(reads) => {
                    begun.send_replace(Some(self.look_for(subject, &reads)));
                    break;
                }
                Wait::Over => {
                    // Whoever looks waits for nothing meanwhile. Without an answer this read is on its own.
                    let _ = timeout(LONGEST, begun.subscribe().wait_for(Option::is_some)).await;
                    break;
                }
            }
        }
        let of_all = begun.borrow();
        let own = of_all.iter().flatten().filter(|(index, _)| blocks.contains(index));
        Some(own.cloned().collect())
    }

    async fn lacks(&self, subject: &Subject, range: &Range<u64>, blocks: &Range<u32>) -> bool {
        let known = self.known(subject, blocks.clone()).await;
        let lacks = self.carrier.flights.with(|table| {
            let look = Look { content: subject.key, table, known };
            blocks.clone().any(|index| look.is_absent(index))
        });
        if lacks {
            let near = range.start..(range.end + LOOKED_UP).min(subject.file_size);
            self.known(subject, blocks_of(&near)).await;
        }
        lacks
    }

    /// Begins the fetches of `reads`, sorted, which it answers, and of what lies ahead of them. Waits for nothing, so
    /// that those who look next find them under way.
    fn look_for(&self, subject: &Subject, reads: &[Range<u64>]) -> Fetches {
        let mut begun = Vec::new();
        for stretch in stretches(reads) {
            let mut ahead = 0;
            for read in &reads[stretch.clone()] {
                ahead = self.ahead_of(subject, read).end.max(ahead);
            }
            let first = reads[stretch.start].start;
            let last = reads[stretch].iter().map(|read| read.end).max().unwrap_or(first);
            begun.extend(self.depart(subject, blocks_of(&(first..last)), ahead));
        }
        begun
    }

    /// Begins fetches for those of `demanded`, which it answers, and from there to `ahead`, that are nowhere.
    fn depart(&self, subject: &Subject, demanded: Range<u32>, ahead: u32) -> Fetches {
        let scope = demanded.start..demanded.end.max(ahead);
        let errands = self.carrier.flights.with(|table| {
            // Everybody who gathered has looked up this much; should it have left memory since, they fetch alone.
            let Some(known) = self.carrier.store.recall(&subject.key, &scope) else { return Vec::new() };
            let look = Look { content: subject.key, table, known };
            let absent: Vec<u32> = scope.filter(|index| look.is_absent(*index)).collect();
            self.errands(subject, table, &absent, demanded.end)
        });
        let flights = errands.iter().flat_map(|errand| errand.delivery.flights());
        let begun =
            flights.filter(|(id, _)| id.index < demanded.end).map(|(id, flight)| (id.index, flight.clone()));
        let begun = begun.collect();
        self.send_all(errands);
        begun
    }
}

/// The stretches of neighbours among sorted `reads`: a gap belongs to one if it is short beside what is read, as a
/// read of the same breath that comes late.
fn stretches(reads: &[Range<u64>]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let (mut end, mut sum) = (0, 0);
    for (at, read) in reads.iter().enumerate() {
        match found.last_mut() {
            Some(last) if read.start <= end + (sum / 4).max(BLOCK) => last.end = at + 1,
            _ => {
                found.push(at..at + 1);
                (end, sum) = (0, 0);
            }
        }
        sum += read.end.saturating_sub(read.start.max(end));
        end = read.end.max(end);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_read_prolongs_the_wait_within_a_bound_and_one_looks() {
        let (mut at, t) = (None, Instant::now());
        let later = |micros| t + Duration::from_micros(micros);
        let first = Gathering::join(&mut at, 19..20, t);
        for n in 1..20_u64 {
            Gathering::join(&mut at, (19 - n)..(20 - n), later(n * 500));
        }
        assert_eq!(Gathering::next(&mut at, &first, later(1000)), Wait::Until(t + LONGEST));
        let all: Vec<Range<u64>> = (0..20).map(|n| n..n + 1).collect();
        assert_eq!(Gathering::next(&mut at, &first, later(6000)), Wait::Look(all));
        assert_eq!(Gathering::next(&mut at, &first, later(6000)), Wait::Over);
        Gathering::join(&mut at, 7..9, later(7000));
        let second = Gathering::join(&mut at, 1..2, later(7000));
        assert_eq!(Gathering::next(&mut at, &second, later(7000)), Wait::Until(later(7000) + MOMENT));
        assert_eq!(
            Gathering::next(&mut at, &first, later(9000)),
            Wait::Over,
            "woken late: that is not its own"
        );
        assert_eq!(Gathering::next(&mut at, &second, later(9000)), Wait::Look(vec![1..2, 7..9]));
    }

    #[test]
    fn neighbours_and_short_gaps_are_one_stretch() {
        const MIB: u64 = 1 << 20;
        let reads = |at: &[u64]| at.iter().map(|n| n * MIB..(n + 1) * MIB).collect::<Vec<_>>();
        assert_eq!(stretches(&reads(&[0, 1, 2, 3, 5, 6, 99])), [0..6, 6..7]);
        assert_eq!(stretches(&reads(&[0, 2, 3, 7])), [0..1, 1..3, 3..4]);
        assert_eq!(stretches(&reads(&[4, 4, 5, 8])), [0..3, 3..4]);
        assert!(stretches(&[]).is_empty());
    }
}
