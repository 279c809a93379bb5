//! The Activity list: everything a person may have to know, kept over restarts until it is solved.
//!
//! Rows come in two ways. *Standing* ones follow from the state (a failed file, a conflict, a lost mount): they
//! are there as long as the state says so. *Told* ones are happenings (a write that failed, a STALE): they stay
//! until their file is in order again, or until the person has seen them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::api::activity::{ActivityAction, ActivityEntry, ActivityKind};
use super::api::{BucketId, Ms};
use super::store;

/// Rows of one group of standing ones; the queue lists the rest.
const OF_A_GROUP: usize = 200;
const SOLVED_KEPT: usize = 200;
const SOLVED_FOR_MS: Ms = 24 * 3600 * 1000;
const TOLD_KEPT: usize = 500;

/// Something to be put on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub kind: ActivityKind,
    pub bucket: Option<BucketId>,
    pub path: Option<String>,
    /// What gathers it with others into one notification.
    pub cause: String,
    pub what: String,
    pub advice: String,
    pub actions: Vec<ActivityAction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    entry: ActivityEntry,
    cause: String,
    standing: bool,
}

/// What a notification is made of: the unsolved rows of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub kind: ActivityKind,
    pub bucket: Option<BucketId>,
    /// How many things it stands for, those without a row too.
    pub count: u64,
    /// How often they happened in all: moves with every happening.
    pub happened: u64,
    /// The newest row.
    pub newest: ActivityEntry,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    next: u64,
    rows: Vec<Row>,
}

/// The list. Owned by the one loop that feeds it.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    kept: Kept,
    /// Standing things beyond [`OF_A_GROUP`], by group.
    beyond: BTreeMap<String, u64>,
    changed: bool,
}

/// Which notification a thing belongs to.
fn group_key(kind: ActivityKind, bucket: Option<&str>, cause: &str) -> String {
    format!("{kind:?}/{}/{cause}", bucket.unwrap_or_default())
}

impl Ledger {
    /// The list kept at `path`; a new one where it is missing. One that cannot be understood is set aside: its
    /// standing rows come again by themselves.
    pub fn open(path: &Path) -> Ledger {
        let kept = store::read_or_aside::<Kept>(path).unwrap_or_default();
        Ledger { path: path.to_owned(), kept, beyond: BTreeMap::new(), changed: false }
    }

    /// Puts something that happened on the list, or counts it on its row.
    pub fn tell(&mut self, now: Ms, happening: Happening, times: u64) {
        self.put(now, happening, times, false);
        self.make_room();
    }

    /// Makes the standing rows those of `standing`: new ones come, those that are not among them are solved.
    pub fn stand(&mut self, now: Ms, standing: Vec<Happening>) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut wanted = Vec::new();
        for happening in standing {
            let count = counts
                .entry(group_key(happening.kind, happening.bucket.as_deref(), &happening.cause))
                .or_default();
            *count += 1;
            if *count <= OF_A_GROUP as u64 {
                wanted.push(happening);
            }
        }
        let beyond = counts.into_iter().filter(|(_, count)| *count > OF_A_GROUP as u64);
        self.beyond = beyond.map(|(key, count)| (key, count - OF_A_GROUP as u64)).collect();
        let is = |row: &Row, happening: &Happening| {
            row.entry.kind == happening.kind
                && row.entry.bucket == happening.bucket
                && row.entry.path == happening.path
                && row.cause == happening.cause
        };
        let by_path: std::collections::HashSet<_> = wanted
            .iter()
            .map(|h| (h.kind, h.bucket.as_deref(), h.path.as_deref(), h.cause.as_str()))
            .collect();
        for row in self.kept.rows.iter_mut().filter(|row| row.standing && !row.entry.solved) {
            let key =
                (row.entry.kind, row.entry.bucket.as_deref(), row.entry.path.as_deref(), row.cause.as_str());
            if !by_path.contains(&key) {
                row.entry.solved = true;
                row.entry.actions.clear();
                row.entry.last_ms = now;
                self.changed = true;
            }
        }
        for happening in wanted {
            let there = self.kept.rows.iter_mut().find(|row| !row.entry.solved && is(row, &happening));
            match there {
                Some(row) => self.changed |= refresh(row, happening),
                None => self.put(now, happening, 1, true),
            }
        }
        self.make_room();
    }

    /// Solves the told rows for which `solved` says so.
    pub fn settle(&mut self, now: Ms, solved: impl Fn(&ActivityEntry) -> bool) {
        for row in self.kept.rows.iter_mut().filter(|row| !row.standing && !row.entry.solved) {
            if solved(&row.entry) {
                row.entry.solved = true;
                row.entry.actions.clear();
                row.entry.last_ms = now;
                self.changed = true;
            }
        }
    }

    /// The person has seen the row: it goes, unless its state still stands. False: there is no such row.
    pub fn dismiss(&mut self, id: u64) -> bool {
        let Some(index) = self.kept.rows.iter().position(|row| row.entry.id == id) else { return false };
        let row = &self.kept.rows[index];
        if !row.standing || row.entry.solved {
            self.kept.rows.remove(index);
            self.changed = true;
        }
        true
    }

    /// Unsolved first, newest first.
    pub fn entries(&self) -> Vec<ActivityEntry> {
        let mut entries: Vec<ActivityEntry> = self.kept.rows.iter().map(|row| row.entry.clone()).collect();
        entries.sort_by_key(|entry| (entry.solved, std::cmp::Reverse((entry.last_ms, entry.id))));
        entries.truncate(500);
        entries
    }

    pub fn unsolved(&self) -> impl Iterator<Item = &ActivityEntry> {
        self.kept.rows.iter().map(|row| &row.entry).filter(|entry| !entry.solved)
    }

    /// The unsolved rows by cause.
    pub fn groups(&self) -> BTreeMap<String, Group> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for row in self.kept.rows.iter().filter(|row| !row.entry.solved) {
            let entry = &row.entry;
            let key = group_key(entry.kind, entry.bucket.as_deref(), &row.cause);
            let beyond = self.beyond.get(&key).copied().unwrap_or(0);
            let group = groups.entry(key).or_insert_with(|| Group {
                kind: entry.kind,
                bucket: entry.bucket.clone(),
                count: beyond,
                happened: beyond,
                newest: entry.clone(),
            });
            group.count += 1;
            group.happened += entry.count;
            if (entry.last_ms, entry.id) > (group.newest.last_ms, group.newest.id) {
                group.newest = entry.clone();
            }
        }
        groups
    }

    /// Writes the list when it changed since it was written.
    ///
    /// # Errors
    /// A sentence, when the disk fails; the list in memory is good.
    pub fn save(&mut self) -> crate::error::Result<()> {
        if !self.changed {
            return Ok(());
        }
        store::write(&self.path, &self.kept)?;
        self.changed = false;
        Ok(())
    }

    fn put(&mut self, now: Ms, happening: Happening, times: u64, standing: bool) {
        self.changed = true;
        let same = |row: &&mut Row| {
            let entry = &row.entry;
            !entry.solved
                && row.standing == standing
                && entry.kind == happening.kind
                && entry.bucket == happening.bucket
                && entry.path == happening.path
                && row.cause == happening.cause
        };
        if let Some(row) = self.kept.rows.iter_mut().find(same) {
            row.entry.count += times;
            row.entry.last_ms = now;
            refresh(row, happening);
            return;
        }
        self.kept.next += 1;
        let Happening { kind, bucket, path, cause, what, advice, actions } = happening;
        let entry = ActivityEntry {
            id: self.kept.next,
            kind,
            bucket,
            path,
            what,
            advice,
            count: times,
            first_ms: now,
            last_ms: now,
            solved: false,
            actions,
        };
        self.kept.rows.push(Row { entry, cause, standing });
    }

    fn make_room(&mut self) {
        let rows = &mut self.kept.rows;
        let newest = rows.iter().map(|row| row.entry.last_ms).max().unwrap_or(0);
        let (before, mut solved, mut told) = (rows.len(), 0, 0);
        rows.sort_by_key(|row| row.entry.last_ms);
        let keep: Vec<bool> = rows
            .iter()
            .rev()
            .map(|row| {
                if row.entry.solved {
                    solved += 1;
                    return solved <= SOLVED_KEPT && row.entry.last_ms > newest - SOLVED_FOR_MS;
                }
                told += usize::from(!row.standing);
                row.standing || told <= TOLD_KEPT
            })
            .collect();
        let mut keep = keep.into_iter().rev();
        rows.retain(|_| keep.next().unwrap_or(true));
        self.changed |= rows.len() != before;
    }
}

/// Takes newer words over; true when they differ.
fn refresh(row: &mut Row, happening: Happening) -> bool {
    let entry = &mut row.entry;
    let same = entry.what == happening.what
        && entry.advice == happening.advice
        && entry.actions == happening.actions;
    if !same {
        (entry.what, entry.advice, entry.actions) = (happening.what, happening.advice, happening.actions);
    }
    !same
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn failed(path: &str, cause: &str) -> Happening {
        Happening {
            kind: ActivityKind::UploadFailed,
            bucket: Some("alice/photos".into()),
            path: Some(path.into()),
            cause: cause.into(),
            what: format!("{path} was not uploaded."),
            advice: "Free some.".into(),
            actions: vec![ActivityAction::Retry],
        }
    }

    fn stale() -> Happening {
        let kind = ActivityKind::Stale;
        Happening { kind, path: None, cause: String::new(), actions: vec![], ..failed("", "") }
    }

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let temp = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&temp.path().join("activity.json"));
        (temp, ledger)
    }

    #[test]
    fn standing_rows_follow_the_state_and_are_kept_over_a_restart() {
        let (temp, mut ledger) = ledger();
        ledger.stand(1, vec![failed("a", "quota"), failed("b", "quota")]);
        ledger.stand(2, vec![failed("b", "quota")]);
        ledger.save().unwrap();
        let again = Ledger::open(&temp.path().join("activity.json"));
        for ledger in [&ledger, &again] {
            let entries = ledger.entries();
            assert_eq!(
                entries.iter().map(|e| (e.path.as_deref().unwrap(), e.solved)).collect::<Vec<_>>(),
                [("b", false), ("a", true)]
            );
            assert!(entries[1].actions.is_empty(), "nothing is to be done about what is solved");
            assert_eq!(entries[0].first_ms, 1, "a row that stands is not told anew");
        }
    }

    #[test]
    fn a_state_that_comes_back_is_a_new_row() {
        let (_temp, mut ledger) = ledger();
        for (now, standing) in [(1, vec![failed("a", "q")]), (2, vec![]), (3, vec![failed("a", "q")])] {
            ledger.stand(now, standing);
        }
        let ids: Vec<(u64, bool)> = ledger.entries().iter().map(|e| (e.id, e.solved)).collect();
        assert_eq!(ids, [(2, false), (1, true)]);
    }

    #[test]
    fn what_is_told_again_is_counted_and_goes_when_seen() {
        let (_temp, mut ledger) = ledger();
        ledger.tell(1, stale(), 1);
        ledger.tell(5, stale(), 2);
        ledger.stand(6, vec![failed("a", "q")]);
        let entries = ledger.entries();
        assert_eq!((entries[1].count, entries[1].last_ms, entries.len()), (3, 5, 2));
        assert!(ledger.dismiss(entries[1].id));
        assert!(ledger.dismiss(entries[0].id), "it is known,");
        assert_eq!(ledger.entries().len(), 1, "but what still stands stays");
        assert!(!ledger.dismiss(77));
    }

    #[test]
    fn ten_thousand_failures_are_one_group_and_bounded_rows() {
        let (_temp, mut ledger) = ledger();
        let all = |n: usize| (0..n).map(|i| failed(&i.to_string(), "quota")).collect::<Vec<_>>();
        ledger.stand(1, all(10_000));
        let groups = ledger.groups();
        assert_eq!((groups.len(), groups.values().next().unwrap().count), (1, 10_000));
        assert_eq!(ledger.entries().len(), OF_A_GROUP);
        ledger.stand(2, all(3));
        assert_eq!(ledger.groups().values().next().unwrap().count, 3);
    }

    #[test]
    fn good_news_and_a_storm_never_drive_out_what_stands() {
        let (_temp, mut ledger) = ledger();
        ledger.stand(1, vec![failed("kept", "q")]);
        for number in 0..2000 {
            ledger.tell(2 + number, Happening { path: Some(number.to_string()), ..stale() }, 1);
        }
        assert!(ledger.unsolved().any(|entry| entry.path.as_deref() == Some("kept")));
        assert!(ledger.kept.rows.len() <= TOLD_KEPT + 1);
        ledger.settle(9000, |entry| entry.kind == ActivityKind::Stale);
        ledger.tell(9001, stale(), 1);
        assert!(ledger.kept.rows.len() <= SOLVED_KEPT + 2);
    }

    #[test]
    fn a_damaged_list_is_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("activity.json");
        std::fs::write(&path, b"{").unwrap();
        let mut ledger = Ledger::open(&path);
        ledger.tell(1, stale(), 1);
        ledger.save().unwrap();
        let names: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
