//! The one loop: looks at everything that told of news, and makes of it the state that every face shows.
//!
//! At most one look a second while things move (at once when a person did something, and at the first news
//! after a rest); none at all while nothing does.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bucketfs::{ItemState, QueueItem};
use tokio::time::Instant;

use super::api::accounts::{AccountHealth, HfCliOffer, SignIn};
use super::api::activity::ActivityEntry;
use super::api::buckets::{BucketSync, Conflict, HeldDeletes};
use super::api::event::{AppEvent, Part};
use super::api::queue::{FailureClass, QueueRow, RowState};
use super::api::settings::Settings;
use super::api::state::{About, AppState, AppStatus, BucketList};
use super::api::{BucketId, Ms};
use super::core::{App, now};
use super::notify::{Choice, Notifier};
use super::rates::{Going, Rates};
use super::reduce::{Facts, Held, machine, reduce};
use super::slot::Slot;
use super::{decisions, happenings, shown};
use crate::words;

pub(super) const ALL_PARTS: [Part; 7] = [
    Part::Status,
    Part::Accounts,
    Part::Buckets,
    Part::Decisions,
    Part::Activity,
    Part::Settings,
    Part::Queue,
];

const APART: Duration = Duration::from_secs(1);
/// A look at a very long queue takes this share of the time at most.
const SHARE: u32 = 10;
/// Mounts are compared with the system's table so often while there are any: a forced unmount tells nobody.
const MOUNT_LOOK: Duration = Duration::from_secs(5);

pub(super) fn start(app: &Arc<App>) {
    let app = Arc::clone(app);
    app.tasks.clone().spawn(async move { Pulse::new(&app).run(app).await });
}

struct Pulse {
    held: Held,
    rates: Rates,
    notifier: Notifier,
    /// When to look again without news.
    next: Option<Instant>,
    mounts_looked: Instant,
}

/// A bucket as this look found it.
pub(super) struct Seen {
    pub slot: Arc<Slot>,
    pub rows: Arc<Vec<QueueRow>>,
    pub sync: BucketSync,
    pub conflicts: Vec<Conflict>,
    pub held: Option<HeldDeletes>,
    /// What came to the Hub lately: path and when.
    pub saved: Vec<(String, Ms)>,
    pub paused: bool,
    /// Bytes that can be written before the disk counts as full.
    pub room: u64,
}

impl Pulse {
    fn new(app: &App) -> Pulse {
        Pulse {
            held: Held::default(),
            rates: Rates::default(),
            notifier: Notifier::knowing(&app.ledger.lock().groups()),
            next: None,
            mounts_looked: Instant::now(),
        }
    }

    async fn run(mut self, app: Arc<App>) {
        loop {
            let took = self.look(&app).await;
            let rest = Instant::now() + APART.max(took * SHARE);
            self.wait(&app).await;
            while !app.wake.is_urgent() && Instant::now() < rest && !app.stop.is_cancelled() {
                // Gathers what comes meanwhile; somebody's deed cuts it short.
                let _ = tokio::time::timeout_at(rest, app.wake.woken()).await;
            }
            if app.stop.is_cancelled() {
                return;
            }
        }
    }

    /// Until there is news, or the time has come.
    async fn wait(&mut self, app: &Arc<App>) {
        let mounted = app.all_slots().iter().any(|slot| slot.is_mounted());
        let mounts_at = mounted.then(|| self.mounts_looked + MOUNT_LOOK);
        let next = [self.next, mounts_at].into_iter().flatten().min();
        let timer = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = app.wake.woken() => {}
            () = timer => {}
            () = app.stop.cancelled() => {}
        }
    }

    async fn look(&mut self, app: &Arc<App>) -> Duration {
        let began = Instant::now();
        let number = app.looks_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let mut parts = app.wake.take();
        self.next = None;
        let now_ms = now();
        if self.take_notices(app, now_ms) || self.mounts_looked.elapsed() >= MOUNT_LOOK {
            self.mounts_looked = Instant::now();
            app.check_mounts().await;
        }
        app.end_pause_in_time(now_ms);
        let (seen, rows_changed) = self.look_at_buckets(app, now_ms).await;
        if rows_changed {
            parts.insert(Part::Queue);
        }
        let took = began.elapsed();
        self.update_ledger(app, &seen, now_ms);
        self.notify(app, now_ms);
        let status = self.status(app, &seen, now_ms);
        self.publish(app, shown::state(app, &seen, status), parts);
        app.looks_done.send_replace(number);
        took
    }

    /// Takes new notices of all buckets into the Activity; true when one says that something was unmounted.
    fn take_notices(&mut self, app: &App, now_ms: Ms) -> bool {
        let mut unmounted = false;
        for slot in app.all_slots() {
            let notices = slot.new_notices();
            for notice in &notices {
                if notice.kind == crate::notices::NoticeKind::Unmounted {
                    slot.note_umnt();
                    unmounted = true;
                }
                let said = {
                    let ledger = app.ledger.lock();
                    let here = |entry: &&ActivityEntry| entry.bucket.as_deref() == Some(slot.id.as_str());
                    happenings::is_said_better(notice, &notices, ledger.unsolved().filter(here))
                };
                if said {
                    continue;
                }
                if let Some(happening) = happenings::of_notice(&slot.id, notice) {
                    app.ledger.lock().tell(now_ms, happening, 1);
                }
            }
        }
        unmounted
    }

    async fn look_at_buckets(&mut self, app: &Arc<App>, now_ms: Ms) -> (Vec<Seen>, bool) {
        let mut seen = Vec::new();
        for slot in app.all_slots() {
            let Some(live) = slot.live() else { continue };
            // The database is on a disk: not on a thread of the runtime.
            let bucket = slot.id.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let saved: Vec<(String, Ms)> = decisions::saved(&bucket, &live.fs)
                    .into_iter()
                    .map(|row| (row.path, row.at_ms))
                    .collect();
                let room = live.fs.space().map_or(u64::MAX, |space| space.available);
                (live.fs.queue(), live.fs.status(), decisions::of(&bucket, &live.fs), saved, room)
            });
            let Ok((items, status, (conflicts, held), saved, room)) = looked.await else { continue };
            let id = &slot.id;
            let rows: Vec<QueueRow> = items.into_iter().map(|item| row(id, item)).collect();
            let sync = sync(&rows, &status, conflicts.len() as u64);
            let (rows, paused) = (Arc::new(rows), status.paused);
            seen.push(Seen { rows, sync, conflicts, held, saved, paused, room, slot });
        }
        let going: Vec<(String, u64, u64)> = seen.iter().flat_map(|one| going(&one.rows)).collect();
        let going: Vec<Going<'_>> =
            going.iter().map(|(key, done, total)| Going { key, done: *done, total: *total }).collect();
        let rate = self.rates.look(now_ms, &going);
        if !going.is_empty() {
            self.again_in(APART);
        }
        let changed = self.keep_rows(app, &mut seen, rate);
        (seen, changed)
    }

    /// Keeps the rows for the pages of the queue; uploads get their speed.
    fn keep_rows(&mut self, app: &App, seen: &mut [Seen], rate: Option<u64>) -> bool {
        let uploading: u64 = seen.iter().map(|one| one.sync.uploading).sum();
        // Together they are as fast as they are; each has its share.
        let share = rate.filter(|_| uploading > 0).map(|rate| rate / uploading);
        for one in seen.iter_mut().filter(|one| one.sync.uploading > 0) {
            for row in Arc::make_mut(&mut one.rows) {
                if let RowState::Uploading { done, total, bytes_per_s, seconds_left } = &mut row.state {
                    *bytes_per_s = share;
                    *seconds_left =
                        share.filter(|share| *share > 0).map(|share| total.saturating_sub(*done) / share);
                }
            }
        }
        let rows: HashMap<BucketId, Arc<Vec<QueueRow>>> =
            seen.iter().map(|one| (one.slot.id.clone(), Arc::clone(&one.rows))).collect();
        let changed = **app.rows.read() != rows;
        if changed {
            *app.rows.write() = Arc::new(rows);
        }
        changed
    }

    fn update_ledger(&mut self, app: &App, seen: &[Seen], now_ms: Ms) {
        let standing = happenings::standing(&app.accounts.list(), seen);
        let mut ledger = app.ledger.lock();
        ledger.stand(now_ms, standing);
        let by_id: HashMap<&str, &Seen> = seen.iter().map(|one| (one.slot.id.as_str(), one)).collect();
        ledger.settle(now_ms, |entry| happenings::is_settled(entry, &by_id, now_ms));
        if let Err(error) = ledger.save() {
            tracing::error!(%error, "the Activity list could not be written");
        }
    }

    fn notify(&mut self, app: &App, now_ms: Ms) {
        let choice = {
            let settings = app.settings.read();
            let off = settings.notifications.iter().filter(|(_, on)| !**on).map(|(kind, _)| *kind).collect();
            Choice { off, snooze_until: settings.snooze_until_ms }
        };
        let groups = app.ledger.lock().groups();
        let (events, again) = self.notifier.look(now_ms, &groups, &choice);
        for event in events {
            // Nobody may be listening: it is in the Activity all the same.
            let _ = app.events.send(event);
        }
        if let Some(at) = again {
            self.again_in(Duration::from_millis(at.saturating_sub(now_ms).unsigned_abs()));
        }
    }

    fn status(&mut self, app: &App, seen: &[Seen], now_ms: Ms) -> AppStatus {
        let facts = facts(app, seen, self.rates.last(), now_ms);
        if let Some((until, _)) = &facts.paused_until {
            self.again_in(Duration::from_millis(until.saturating_sub(now_ms).max(0).unsigned_abs()));
        }
        let (status, again) = self.held.show(reduce(&facts), now_ms);
        if let Some(ms) = again {
            self.again_in(Duration::from_millis(ms));
        }
        status
    }

    fn publish(&mut self, app: &App, mut state: AppState, mut parts: BTreeSet<Part>) {
        let before = app.state();
        // The loop was told of parts; what is really new is seen by comparing.
        parts.retain(|part| *part == Part::Queue);
        let mut differ = |part: Part, same: bool| {
            if !same {
                parts.insert(part);
            }
        };
        differ(Part::Status, before.status == state.status);
        let same = before.accounts == state.accounts
            && before.sign_in == state.sign_in
            && before.hf_cli == state.hf_cli
            && before.token_variable == state.token_variable;
        differ(Part::Accounts, same);
        let same = before.buckets == state.buckets && before.bucket_list == state.bucket_list;
        differ(Part::Buckets, same && before.about == state.about);
        let same = before.conflicts == state.conflicts && before.held_deletes == state.held_deletes;
        differ(Part::Decisions, same);
        differ(Part::Activity, before.activity == state.activity);
        differ(Part::Settings, before.settings == state.settings);
        if parts.is_empty() {
            return;
        }
        state.revision = before.revision + 1;
        let (revision, status) = (state.revision, state.status.clone());
        app.state.send_replace(Arc::new(state));
        // Nobody may be listening.
        let _ = app.events.send(AppEvent::Changed { revision, status, parts: parts.into_iter().collect() });
    }

    fn again_in(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

fn facts(app: &App, seen: &[Seen], bytes_per_s: Option<u64>, now_ms: Ms) -> Facts {
    let accounts = app.accounts.list();
    let slots = app.all_slots();
    let sum = |of: fn(&BucketSync) -> u64| seen.iter().map(|one| of(&one.sync)).sum::<u64>();
    let clock = |at: Ms| (at, words::moment(at, now_ms));
    let (troubles, trouble) = happenings::troubles(app.ledger.lock().unsolved());
    let pause = app.book.lock().pause().cloned();
    Facts {
        signed_in: accounts.iter().any(|account| account.health != AccountHealth::Ended),
        ended: accounts
            .iter()
            .filter(|account| account.health == AccountHealth::Ended)
            .map(|account| account.name.clone())
            .collect(),
        starting: app.starting.load(Ordering::Relaxed),
        served: seen.len() as u64,
        mounted: slots.iter().filter(|slot| slot.is_mounted()).count() as u64,
        queued: sum(|sync| sync.queued),
        uploading: sum(|sync| sync.uploading),
        waiting: sum(|sync| sync.waiting),
        failed: sum(|sync| sync.failed),
        held_deletes: sum(|sync| sync.held_deletes),
        conflicts: sum(|sync| sync.conflicts),
        local_only: sum(|sync| sync.local_only),
        bytes_left: seen.iter().map(|one| bytes_left(&one.rows)).sum(),
        troubles,
        trouble,
        offline: seen.iter().find_map(|one| one.sync.offline_cause.clone()),
        // Somebody may have paused a bucket by itself, over its socket.
        paused: pause.is_some() || seen.iter().any(|one| one.paused && !one.sync.all_saved),
        paused_until: pause.and_then(|pause| pause.until_ms).map(clock),
        bytes_per_s,
        last_saved: seen.iter().filter_map(|one| one.sync.last_saved_ms).max().map(clock),
        machine: machine().to_owned(),
    }
}

fn bytes_left(rows: &[QueueRow]) -> u64 {
    let left = |row: &QueueRow| match &row.state {
        RowState::Uploading { done, total, .. } => total.saturating_sub(*done),
        RowState::Queued | RowState::Waiting { .. } | RowState::Committing => row.bytes,
        RowState::Failed { .. } | RowState::Held { .. } | RowState::LocalOnly { .. } => 0,
    };
    rows.iter().map(left).sum()
}

fn going(rows: &[QueueRow]) -> impl Iterator<Item = (String, u64, u64)> + '_ {
    rows.iter().filter_map(|row| match &row.state {
        RowState::Uploading { done, total, .. } => {
            Some((format!("{}\n{}", row.bucket, row.path), *done, *total))
        }
        RowState::Committing => Some((format!("{}\n{}", row.bucket, row.path), row.bytes, row.bytes)),
        _ => None,
    })
}

fn row(bucket: &str, item: QueueItem) -> QueueRow {
    let action = decisions::action(&item.action);
    let state = row_state(item.state);
    QueueRow {
        bucket: bucket.to_owned(),
        path: item.path,
        action,
        bytes: item.bytes,
        attempts: item.attempts,
        state,
    }
}

fn row_state(state: ItemState) -> RowState {
    match state {
        ItemState::Queued => RowState::Queued,
        ItemState::Waiting { why, until_ms } => RowState::Waiting { why, until_ms },
        ItemState::Uploading { done, total } => {
            RowState::Uploading { done, total, bytes_per_s: None, seconds_left: None }
        }
        ItemState::Committing => RowState::Committing,
        ItemState::Failed { class, why, advice } => RowState::Failed { class: row_class(class), why, advice },
        ItemState::Held { why, advice } => RowState::Held { why, advice },
        ItemState::LocalOnly { why } => RowState::LocalOnly { why },
    }
}

fn row_class(class: bucketfs::FailureClass) -> FailureClass {
    use bucketfs::FailureClass as C;
    match class {
        C::SignIn => FailureClass::SignIn,
        C::Forbidden => FailureClass::Forbidden,
        C::NotFound => FailureClass::NotFound,
        C::Quota => FailureClass::Quota,
        C::Rejected => FailureClass::Rejected,
        C::Local => FailureClass::Local,
        C::Other => FailureClass::Other,
    }
}

/// Figures from the rows, so that figures and rows never disagree.
fn sync(rows: &[QueueRow], status: &bucketfs::Status, conflicts: u64) -> BucketSync {
    let mut sync = BucketSync {
        online: status.online,
        offline_cause: status.offline_cause.clone(),
        last_saved_ms: status.last_saved_ms,
        conflicts,
        ..BucketSync::default()
    };
    for row in rows {
        match &row.state {
            RowState::LocalOnly { .. } => {
                sync.local_only += 1;
                continue;
            }
            RowState::Queued => sync.queued += 1,
            RowState::Waiting { .. } => sync.waiting += 1,
            RowState::Uploading { .. } | RowState::Committing => sync.uploading += 1,
            RowState::Failed { .. } => sync.failed += 1,
            RowState::Held { .. } => sync.held_deletes += 1,
        }
        sync.unsent_bytes += row.bytes;
    }
    sync.all_saved = sync.queued + sync.waiting + sync.uploading + sync.failed + sync.held_deletes == 0;
    sync
}

/// What is shown before the first look.
pub(super) fn empty_state(settings: Settings) -> AppState {
    AppState {
        revision: 0,
        status: reduce(&Facts { starting: true, machine: machine().to_owned(), ..Facts::default() }),
        accounts: Vec::new(),
        sign_in: SignIn::None,
        hf_cli: HfCliOffer { place: String::new(), there: false },
        token_variable: None,
        buckets: Vec::new(),
        bucket_list: BucketList { asked_ms: None, asking: false, error: None },
        conflicts: Vec::new(),
        held_deletes: Vec::new(),
        activity: Vec::new(),
        settings,
        about: About {
            version: String::new(),
            hub: String::new(),
            os: String::new(),
            machine: String::new(),
            can_mount: true,
            mount_problem: None,
            can_oauth: true,
            started_ms: 0,
        },
    }
}
