//! Folders of the Hub, listed when somebody looks: one fetch for all who wait, on a task of its own so that
//! nobody's giving up ends it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, join};
use futures_util::{StreamExt, stream};
use hub::{Pages, TreeEntry};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::sweep::{Mark, Sweeps};
use crate::attr::FileId;
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::names::merge::{self, Outside, Sighting, StagedNow};
use crate::names::{Layer, Node, Place, query};
use crate::ops::refused;
use crate::staging::Refusal;

/// No epoch.
const STALE: u64 = u64::MAX;

type Outcome = Option<Result<()>>;

/// A folder looked at this recently is listed again as soon as the bucket changes.
const RECENT: Duration = Duration::from_secs(60);
/// Who looks at a folder that may have changed waits this long for the new names, then gets the old ones.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Keys remembered as changed by ourselves; a listing takes less time than so many changes.
const SETTLED_KEPT: usize = 20_000;

#[derive(Default)]
pub struct Listings {
    running: Mutex<HashMap<FileId, watch::Receiver<Outcome>>>,
    /// Moves when the bucket has changed on the Hub.
    epoch: AtomicU64,
    /// The epoch in which a folder was listed last; `STALE` when it has changed since. Nothing before its first listing in
    /// this life.
    fresh: Mutex<HashMap<FileId, u64>>,
    /// How often the feed has named a folder: a listing that began before the last time is out of date.
    news: Mutex<HashMap<FileId, u64>>,
    looked: Mutex<HashMap<FileId, Instant>>,
    /// Folders in which a file of ours hides what others have put at its key.
    hiding: Mutex<HashSet<FileId>>,
    /// Files whose saved copies others have overtaken, until these are given up.
    overtaken: Mutex<HashSet<FileId>>,
    settled: Mutex<Settled>,
    /// All of `news` together.
    all_news: AtomicU64,
    pub(super) sweeps: Sweeps,
}

/// Where listings of some folders stood at a moment.
pub struct Point {
    epoch: u64,
    news: HashMap<FileId, u64>,
}

#[derive(Default)]
struct Settled {
    next: u64,
    keys: VecDeque<(u64, String)>,
    /// Keys of a batch under way: the Hub may show them, the tree does not know them yet.
    in_flight: HashMap<String, u32>,
}

/// Keys that a batch is changing; listings leave them alone as long as this lives.
pub struct InFlight<'l> {
    listings: &'l Listings,
    keys: Vec<String>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut settled = self.listings.settled.lock();
        for key in &self.keys {
            if let Some(count) = settled.in_flight.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    settled.in_flight.remove(key);
                }
            }
        }
    }
}

impl Listings {
    /// Notes that somebody looks at this folder; starts listing it again if the bucket changed since.
    pub fn looked_at(&self, fs: &BucketFs, folder: &Node) {
        if folder.layer == Layer::Local || folder.place == Place::Nowhere || folder.gone {
            return;
        }
        self.looked.lock().insert(folder.id, Instant::now());
        if folder.listed
            && !self.is_fresh(folder.id)
            && let Ok(fs) = fs.this()
        {
            self.start(&fs, folder.id);
        }
    }

    pub fn is_fresh(&self, id: FileId) -> bool {
        self.fresh.lock().get(&id) == Some(&self.epoch.load(Ordering::Acquire))
    }

    /// Nobody has looked into this folder in this life, or the tree never knew its names: this may be a walk.
    fn is_first_look(&self, folder: &Node) -> bool {
        !folder.listed || !self.fresh.lock().contains_key(&folder.id)
    }

    /// Lists the folder and takes the names in; waits for a listing that is already on its way.
    /// The caller may give up; the listing goes on and its result is kept.
    pub async fn fetch(&self, fs: &Arc<BucketFs>, id: FileId) -> Result<()> {
        let mut outcome = self.start(fs, id);
        let outcome = outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match outcome {
            Ok(Some(outcome)) => outcome,
            _ => Err(Error::new(ErrorKind::Slow, "The listing was interrupted.")),
        }
    }

    /// Gives a listing that may be out of date a moment to be renewed.
    pub async fn renew(&self, fs: &Arc<BucketFs>, id: FileId) {
        if !self.is_fresh(id) {
            let _ = tokio::time::timeout(PATIENCE, self.fetch(fs, id)).await;
        }
    }

    /// The bucket has changed on the Hub: folders looked at lately are listed now, the others when somebody
    /// looks.
    pub fn bucket_changed(&self, fs: &Arc<BucketFs>) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        fs.offline.stir();
        let recent: Vec<FileId> = {
            let mut looked = self.looked.lock();
            looked.retain(|_, when| when.elapsed() < RECENT);
            looked.keys().copied().collect()
        };
        for id in recent {
            self.start(fs, id);
        }
    }

    /// One folder has changed on the Hub: listed now if somebody looked at it lately, else at the next look.
    pub fn folder_changed(&self, fs: &Arc<BucketFs>, id: FileId) {
        *self.news.lock().entry(id).or_default() += 1;
        self.all_news.fetch_add(1, Ordering::AcqRel);
        self.fresh.lock().entry(id).and_modify(|epoch| *epoch = STALE);
        fs.offline.stir();
        let recent = self.looked.lock().get(&id).is_some_and(|when| when.elapsed() < RECENT);
        if recent {
            self.start(fs, id);
        }
    }

    /// A file of ours went away from this folder, by its name or by its key: what it hid may show now.
    pub fn reveal(&self, fs: &Arc<BucketFs>, id: FileId) {
        if self.hiding.lock().remove(&id) {
            self.folder_changed(fs, id);
        }
    }

    /// Files of ours have come to their keys or left them: what they hid may show now.
    pub fn reveal_all(&self, fs: &Arc<BucketFs>) {
        let hiding = std::mem::take(&mut *self.hiding.lock());
        for id in hiding {
            self.folder_changed(fs, id);
        }
    }

    /// Announces keys that a batch is about to change. Held until the outcome is in the tree.
    pub fn begin(&self, keys: Vec<String>) -> InFlight<'_> {
        let mut settled = self.settled.lock();
        for key in &keys {
            *settled.in_flight.entry(key.clone()).or_default() += 1;
        }
        drop(settled);
        InFlight { listings: self, keys }
    }

    /// Notes keys we added, changed or deleted on the Hub: older listings must not undo that.
    pub fn settle<'k>(&self, keys: impl Iterator<Item = &'k str>) {
        let mut settled = self.settled.lock();
        for key in keys {
            let number = settled.next;
            settled.next += 1;
            settled.keys.push_back((number, key.to_owned()));
        }
        while settled.keys.len() > SETTLED_KEPT {
            settled.keys.pop_front();
        }
    }

    /// Keys that a batch is changing now.
    pub fn under_way(&self) -> Vec<String> {
        self.settled.lock().in_flight.keys().cloned().collect()
    }

    fn news_of(&self, id: FileId) -> u64 {
        self.news.lock().get(&id).copied().unwrap_or(0)
    }

    /// Where these folders stand now.
    pub fn point(&self, ids: impl Iterator<Item = FileId>) -> Point {
        let epoch = self.epoch.load(Ordering::Acquire);
        let news = self.news.lock();
        Point { epoch, news: ids.map(|id| (id, news.get(&id).copied().unwrap_or(0))).collect() }
    }

    /// These folders were found to be as the Hub had them after `point`. Those the feed has named since are not taken.
    pub fn take_for_fresh(&self, ids: &[FileId], point: &Point) {
        let news = self.news.lock();
        let mut fresh = self.fresh.lock();
        for id in ids.iter().filter(|id| point.news.get(id) == Some(&news.get(id).copied().unwrap_or(0))) {
            fresh.insert(*id, point.epoch);
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            epoch: self.epoch.load(Ordering::Acquire),
            news: self.all_news.load(Ordering::Acquire),
            settled: self.settled.lock().next,
        }
    }

    /// The folder's listing out of one of everything around it, and the mark it counts from; `None` when there is none, or
    /// something has changed on the Hub since.
    async fn swept(&self, place: &str) -> Option<(Vec<TreeEntry>, Mark)> {
        let sweep = self.sweeps.over(place)?;
        let entries = sweep.entries_of(place).await?;
        let now = self.mark();
        let quiet = sweep.mark.epoch == now.epoch && sweep.mark.news == now.news;
        // More would have been forgotten by `settled_since`.
        let remembered = now.settled - sweep.mark.settled < SETTLED_KEPT as u64;
        (quiet && remembered).then_some((entries, sweep.mark))
    }

    fn settled_since(&self, mark: u64) -> HashSet<String> {
        let settled = self.settled.lock();
        let recent = settled.keys.iter().filter(|(number, _)| *number >= mark).map(|(_, key)| key);
        recent.chain(settled.in_flight.keys()).cloned().collect()
    }

    fn start(&self, fs: &Arc<BucketFs>, id: FileId) -> watch::Receiver<Outcome> {
        let mut running = self.running.lock();
        if let Some(outcome) = running.get(&id) {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        running.insert(id, outcome.clone());
        let fs = fs.clone();
        fs.tasks.clone().spawn(async move {
            let result = tokio::select! {
                result = list_until_fresh(&fs, id) => result,
                () = fs.stop.cancelled() => Err(Error::new(ErrorKind::Slow, "BucketBar is shutting down.")),
            };
            if let Err(error) = &result {
                tracing::warn!(folder = %id, %error, "listing failed");
            }
            fs.listings.running.lock().remove(&id);
            fs.offline.stir();
            let _ = tell.send(Some(result));
        });
        outcome
    }
}

/// What changed while a listing ran needs another; a bucket that never rests is looked at again later.
async fn list_until_fresh(fs: &Arc<BucketFs>, id: FileId) -> Result<()> {
    let mut listed = false;
    for _ in 0..3 {
        listed |= list(fs, id).await?;
        if fs.listings.is_fresh(id) {
            break;
        }
    }
    if listed { Ok(()) } else { Err(Error::new(ErrorKind::Slow, "The folder is being moved.")) }
}

/// `false` when the folder was moved on the Hub meanwhile, and nothing of it is known.
async fn list(fs: &Arc<BucketFs>, id: FileId) -> Result<bool> {
    let mut mark = fs.listings.mark();
    let news = fs.listings.news_of(id);
    let folder = fs.live(id)?;
    if folder.gone || folder.layer == Layer::Local {
        return Ok(true);
    }
    let place = fs.names.ask(|db| query::actual_place(db, &folder))?;
    if let Some(place) = place {
        let first_look = fs.listings.is_first_look(&folder);
        let swept = if first_look { fs.listings.swept(&place).await } else { None };
        let pages = match swept {
            Some((entries, since)) => {
                mark = since;
                stream::iter([Ok(entries)]).boxed()
            }
            None => {
                if first_look {
                    fs.listings.sweeps.listed(fs, &place, mark);
                }
                fs.bucket.list_dir(&place)
            }
        };
        if !take_in(fs, id, &place, pages, mark.settled).await? {
            return Ok(false);
        }
    }
    if !fs.live(id)?.listed {
        fs.names
            .change(move |tx| {
                let mut folder = tx.live(id)?;
                folder.listed = true;
                tx.put(&folder)
            })
            .await?;
    }
    if fs.listings.news_of(id) == news {
        fs.listings.fresh.lock().insert(id, mark.epoch);
    }
    Ok(true)
}

/// `false` when the folder's place became another one meanwhile.
async fn take_in(fs: &Arc<BucketFs>, id: FileId, place: &str, mut pages: Pages, mark: u64) -> Result<bool> {
    let mut taking = Taking { fs, id, place, mark, sighting: Sighting::default() };
    let mut page = pages.next().await.transpose()?.unwrap_or_default();
    loop {
        let next = match pages.next().now_or_never() {
            // No more, or more that is here already.
            Some(next) => {
                let next = next.transpose()?;
                taking.page(page, next.is_none()).await?;
                if next.is_none() {
                    return Ok(!taking.sighting.elsewhere);
                }
                next
            }
            // The Hub and this machine's disk work side by side.
            None => {
                let (next, taken) = join(pages.next(), taking.page(page, false)).await;
                taken?;
                next.transpose()?
            }
        };
        if taking.sighting.elsewhere {
            return Ok(false);
        }
        page = next.unwrap_or_default(); // nothing more: an empty page is the last
    }
}

/// A listing being taken in.
struct Taking<'a> {
    fs: &'a Arc<BucketFs>,
    id: FileId,
    place: &'a str,
    mark: u64,
    sighting: Sighting,
}

impl Taking<'_> {
    async fn page(&mut self, page: Vec<TreeEntry>, last: bool) -> Result<()> {
        let (fs, id) = (self.fs, self.id);
        self.sighting = self.take(page, last).await?;
        if self.sighting.elsewhere {
            return Ok(());
        }
        if self.sighting.hides {
            fs.listings.hiding.lock().insert(id);
        }
        for id in std::mem::take(&mut self.sighting.lost_base) {
            super::base::keep(fs, id);
        }
        give_up_overtaken(fs, std::mem::take(&mut self.sighting.overtaken)).await
    }

    async fn take(&mut self, page: Vec<TreeEntry>, last: bool) -> Result<Sighting> {
        let (id, mark, this_place) = (self.id, self.mark, self.place.to_owned());
        let (staging, listings) = (self.fs.staging.clone(), self.fs.clone());
        let (uid, gid) = (self.fs.config.uid, self.fs.config.gid);
        let mut known = std::mem::take(&mut self.sighting);
        let changing = self.fs.names.change(move |tx| {
            let staged = |id: FileId| {
                let staged = staging.get(id)?;
                Some(staged.with_layout(|layout| StagedNow { edited: layout.dirty, mtime: layout.mtime }))
            };
            // Asked for inside the transaction: a delete that was carried out meanwhile is either still in
            // the table of deletes or already among the settled keys.
            let settled = listings.listings.settled_since(mark);
            let outside = Outside { settled: &settled, staged: &staged, uid, gid };
            let mut folder = tx.folder(id)?;
            let now = query::actual_place(tx.db(), &folder)?;
            if now.as_deref() != Some(this_place.as_str()) {
                known.elsewhere = true;
                return Ok(known);
            }
            // On its way to another place its files leave this one in parts: what is not seen is not gone.
            let moving = query::desired_place(tx.db(), &folder)?.is_some_and(|goal| goal != this_place);
            let mut changed = merge::take_page(tx, &folder, &this_place, &page, &outside, &mut known)?;
            if last && !moving {
                changed |= merge::take_away_unseen(tx, &folder, &this_place, &outside, &mut known)?;
            }
            if folder.listed {
                if changed {
                    tx.touch(&mut folder)?;
                }
            } else if last && known.overtaken.is_empty() && known.lost_base.is_empty() {
                folder.listed = true; // else when what is left to do for others is done
                tx.put(&folder)?;
            }
            Ok(known)
        });
        changing.await
    }
}

/// A saved copy of a file that others have changed would go on being read. One that is being edited stays:
/// its save finds the conflict.
async fn give_up_overtaken(fs: &Arc<BucketFs>, overtaken: Vec<FileId>) -> Result<()> {
    // Kept until it is done: the next listing finds the row as it should be, and would leave the old copy to be read.
    let all: Vec<FileId> = {
        let mut kept = fs.listings.overtaken.lock();
        kept.extend(overtaken);
        kept.iter().copied().collect()
    };
    if all.is_empty() {
        return Ok(());
    }
    // After a power cut a copy whose record of having been saved was lost is an edit, and brings a file back that others
    // have deleted. So that record is on stable storage before the rows are.
    let (staging, ids) = (fs.staging.clone(), all.clone());
    blocking(move || {
        for staged in ids.into_iter().filter_map(|id| staging.get(id)) {
            match staged.make_durable() {
                Ok(()) | Err(Refusal::Retired) => {}
                Err(refusal) => return Err(refused(refusal, &format!("file {}", staged.id))),
            }
        }
        Ok(())
    })
    .await?;
    // After a power cut the rows must lead to the Hub's content: the copies will not.
    fs.sync_names().await?;
    let (staging, ids) = (fs.staging.clone(), all.clone());
    blocking(move || {
        for id in ids {
            staging.retire(id, |layout| !layout.dirty && layout.in_flight == 0);
        }
        Ok(())
    })
    .await?;
    fs.listings.overtaken.lock().retain(|id| !all.contains(id));
    Ok(())
}
