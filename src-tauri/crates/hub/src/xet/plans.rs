//! Reconstruction plans, kept per content so that a file in use is not asked about again and again.
//!
//! A plan at hand is taken when it covers the bytes asked for and fetches little more than them
//! ([`Limits::plan_overfetch`]); see `plan` for why a plan of the whole file is no answer to every read.
//! What is asked when none is at hand:
//! - a small file: the whole file, once;
//! - at a file's third question: the whole file, unless its parts are known to be large; kept if they are small;
//! - else exactly the bytes wanted.
//!
//! A content never changes, so a plan is never wrong about it, but its addresses expire: a plan is used
//! for [`Limits::plan_age`] and renewed when the storage refuses an address (403). A renewal that says
//! anything else than the plan it replaces ends the read that uses it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use xet_client::cas_types::FileRange;
use xet_core_structures::merklehash::MerkleHash;
use xet_data::processing::CasClient;

use super::failure;
use super::plan::Plan;
use crate::config::Limits;
use crate::error::{ErrorClass, HubError};
use crate::single_flight::Flights;

/// The question after which a file's whole plan is tried.
const QUESTIONS_BEFORE_WHOLE: u32 = 2;
/// The largest file whose whole plan is tried: some MB of answer.
const LARGEST_WHOLE: u64 = 16 << 30;

/// A content and the client that knows the way to it.
#[derive(Clone)]
pub(crate) struct PlannedFile {
    pub client: Arc<dyn CasClient>,
    pub hash: MerkleHash,
    pub size: u64,
}

pub(crate) struct Plans {
    kept: Arc<Mutex<Kept>>,
    asking: Flights<(MerkleHash, u64, u64), Result<Arc<Plan>, HubError>>,
    overfetch: u64,
    age: Duration,
}

impl Plans {
    pub fn new(limits: &Limits) -> Plans {
        let kept = Kept { budget: limits.plan_cache, ..Kept::default() };
        let (overfetch, age) = (limits.plan_overfetch, limits.plan_age);
        Plans { kept: Arc::new(Mutex::new(kept)), asking: Flights::default(), overfetch, age }
    }

    /// A plan that covers `range` (which lies within the file).
    pub async fn plan(&self, file: &PlannedFile, range: &Range<u64>) -> Result<Arc<Plan>, HubError> {
        if let Some(plan) = self.at_hand(file, range) {
            return Ok(plan);
        }
        if self.try_whole(file, range) {
            let whole = self.ask(file, 0..file.size).await?;
            if self.affordable(&whole, range) {
                return Ok(whole);
            }
        }
        self.ask(file, range.clone()).await
    }

    /// A plan that says the same as `refused`, with fresh addresses.
    pub async fn renew(&self, file: &PlannedFile, refused: &Arc<Plan>) -> Result<Arc<Plan>, HubError> {
        let fresh = match self.kept.lock().exactly(&file.hash, &refused.window) {
            Some(other) if other.made > refused.made => Some(other),
            _ => None,
        };
        let fresh = match fresh {
            Some(fresh) => fresh,
            None => self.ask(file, refused.window.clone()).await?,
        };
        if fresh.same_content(refused) {
            return Ok(fresh);
        }
        self.forget(&file.hash);
        Err(HubError::broken("The storage changed its plan for a file while it was read"))
    }

    pub fn forget(&self, hash: &MerkleHash) {
        self.kept.lock().remove(hash);
    }

    fn at_hand(&self, file: &PlannedFile, range: &Range<u64>) -> Option<Arc<Plan>> {
        let oldest = Instant::now().checked_sub(self.age);
        let mut kept = self.kept.lock();
        let plans = kept.touch(&file.hash)?;
        // Windows that begin at or before the range, the nearest first; few of them can be wide enough.
        let near = plans.by_start.range(..=range.start).rev().map(|(_, plan)| plan).take(8);
        let whole = plans.by_start.get(&0);
        near.chain(whole)
            .filter(|plan| plan.covers(range) && oldest.is_none_or(|oldest| plan.made > oldest))
            .find(|plan| self.affordable(plan, range))
            .cloned()
    }

    fn affordable(&self, plan: &Plan, range: &Range<u64>) -> bool {
        plan.cost(range) <= (range.end - range.start).saturating_add(self.overfetch)
    }

    fn try_whole(&self, file: &PlannedFile, range: &Range<u64>) -> bool {
        if file.size <= (range.end - range.start).saturating_add(self.overfetch) {
            return true;
        }
        let mut kept = self.kept.lock();
        let plans = kept.entry(&file.hash);
        plans.questions += 1;
        let coarse = plans.by_start.values().any(|plan| plan.largest_source() > self.overfetch);
        plans.questions == QUESTIONS_BEFORE_WHOLE + 1 && file.size <= LARGEST_WHOLE && !coarse
    }

    async fn ask(&self, file: &PlannedFile, window: Range<u64>) -> Result<Arc<Plan>, HubError> {
        let key = (file.hash, window.start, window.end);
        let (file, kept) = (file.clone(), self.kept.clone());
        let flight = self.asking.join(key, move || {
            async move {
                let asked = FileRange::new(window.start, window.end);
                let answer = file.client.get_reconstruction(&file.hash, Some(asked)).await;
                let answer = answer
                    .map_err(|e| failure::of_client(e, "Finding a file's contents failed"))?
                    .ok_or_else(|| behind_the_end(&window))?;
                let plan = Arc::new(Plan::new(answer, window, file.size)?);
                kept.lock().keep(file.hash, plan.clone());
                Ok(plan)
            }
            .boxed()
        });
        flight.await
    }
}

/// "Range not satisfiable". Of its first byte, that only a content which isn't there is short of.
fn behind_the_end(window: &Range<u64>) -> HubError {
    match window.start {
        0 => HubError::new(ErrorClass::NotFound, "The storage doesn't have this content"),
        _ => HubError::broken("The storage holds fewer bytes than the file has"),
    }
}

/// Plans by content, within a budget of memory; the content used longest ago goes first.
#[derive(Default)]
struct Kept {
    files: HashMap<MerkleHash, FilePlans>,
    budget: u64,
    bytes: u64,
    clock: u64,
}

#[derive(Default)]
struct FilePlans {
    /// One plan for each beginning of a window: the latest.
    by_start: BTreeMap<u64, Arc<Plan>>,
    questions: u32,
    used: u64,
    bytes: u64,
}

impl Kept {
    /// What a file without plans still costs.
    const FILE: u64 = 256;

    fn entry(&mut self, hash: &MerkleHash) -> &mut FilePlans {
        self.clock += 1;
        if !self.files.contains_key(hash) {
            self.bytes += Kept::FILE;
            self.make_room();
        }
        let plans = self
            .files
            .entry(*hash)
            .or_insert_with(|| FilePlans { bytes: Kept::FILE, ..FilePlans::default() });
        plans.used = self.clock;
        plans
    }

    fn touch(&mut self, hash: &MerkleHash) -> Option<&FilePlans> {
        self.clock += 1;
        let plans = self.files.get_mut(hash)?;
        plans.used = self.clock;
        Some(plans)
    }

    fn exactly(&self, hash: &MerkleHash, window: &Range<u64>) -> Option<Arc<Plan>> {
        self.files.get(hash)?.by_start.get(&window.start).filter(|plan| plan.window == *window).cloned()
    }

    fn keep(&mut self, hash: MerkleHash, plan: Arc<Plan>) {
        let weight = plan.weight();
        if weight > self.budget / 4 {
            return;
        }
        let plans = self.entry(&hash);
        let replaced = plans.by_start.insert(plan.window.start, plan).map_or(0, |old| old.weight());
        plans.bytes = plans.bytes + weight - replaced;
        self.bytes = self.bytes + weight - replaced;
        self.make_room();
    }

    fn remove(&mut self, hash: &MerkleHash) {
        if let Some(plans) = self.files.remove(hash) {
            self.bytes -= plans.bytes;
        }
    }

    /// Down to seven eighths of the budget, so that it is not done for every plan.
    fn make_room(&mut self) {
        if self.bytes <= self.budget {
            return;
        }
        let mut by_age: Vec<(u64, MerkleHash)> = self.files.iter().map(|(hash, f)| (f.used, *hash)).collect();
        by_age.sort_unstable_by_key(|(used, _)| *used);
        for (_, hash) in by_age {
            if self.bytes <= self.budget / 8 * 7 {
                break;
            }
            self.remove(&hash);
        }
    }
}

impl HubError {
    /// Whether other addresses or tokens of the storage may help at once.
    pub(super) fn is_about_access(&self) -> bool {
        matches!(self.status, Some(401 | 403)) && self.class != ErrorClass::SignIn
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::answer;
    use super::*;

    fn plan(window: Range<u64>) -> Arc<Plan> {
        let length = u32::try_from(window.end - window.start).unwrap();
        Arc::new(Plan::new(answer(0, &[(1, 0..9, length)]), window, 1 << 40).unwrap())
    }

    fn hash(n: u64) -> MerkleHash {
        MerkleHash::from([n; 4])
    }

    #[test]
    fn the_content_used_longest_ago_goes_first_and_the_budget_holds() {
        let mut kept = Kept { budget: 20_000, ..Kept::default() };
        for n in 0..200 {
            kept.keep(hash(n), plan(0..100));
            kept.touch(&hash(0));
        }
        assert!(kept.bytes <= kept.budget);
        assert!(kept.exactly(&hash(0), &(0..100)).is_some(), "in use all the time");
        assert!(kept.exactly(&hash(199), &(0..100)).is_some(), "the latest");
        assert!(kept.exactly(&hash(1), &(0..100)).is_none(), "the oldest");
        for n in 0..200 {
            kept.remove(&hash(n));
        }
        assert_eq!(kept.bytes, 0, "the account of memory balances");
    }
}
