//! Which of the Activity's rows become desktop notifications, when, and in which words. Pure: it is fed with
//! groups and a clock, and says what to show and when to ask again.
//!
//! One cause is one notification, updated. Updates of one come at most every few seconds, new ones at most so
//! many a minute; what is held back is told later, as it is then. What the person switched off, and everything
//! while snoozed, is not shown and not caught up on: it is in the Activity.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::api::Ms;
use super::api::activity::{ActivityKind, Notification};
use super::api::event::AppEvent;
use super::ledger::Group;
use crate::words::{file_name, files};

/// Between two showings of one notification.
const UPDATE_MS: Ms = 5_000;
const MINUTE_MS: Ms = 60_000;
/// New notifications in a minute.
const A_MINUTE: usize = 6;

/// What the person chose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub off: Vec<ActivityKind>,
    pub snooze_until: Option<Ms>,
}

#[derive(Debug, Clone)]
struct Shown {
    happened: u64,
    at: Ms,
    /// False: noted as known, but never on the screen.
    visible: bool,
}

/// What was shown, and when.
#[derive(Debug, Default)]
pub struct Notifier {
    shown: HashMap<String, Shown>,
    recent: VecDeque<Ms>,
}

impl Notifier {
    /// One that takes what `groups` says for known: it was shown before a restart.
    pub fn knowing(groups: &BTreeMap<String, Group>) -> Notifier {
        let known = |(key, group): (&String, &Group)| {
            (key.clone(), Shown { happened: group.happened, at: Ms::MIN / 2, visible: false })
        };
        Notifier { shown: groups.iter().map(known).collect(), recent: VecDeque::new() }
    }

    /// What to show now, and when to ask again even without news.
    pub fn look(
        &mut self,
        now: Ms,
        groups: &BTreeMap<String, Group>,
        choice: &Choice,
    ) -> (Vec<AppEvent>, Option<Ms>) {
        let mut events = Vec::new();
        let mut again: Option<Ms> = None;
        self.withdraw(groups, &mut events);
        while self.recent.front().is_some_and(|at| *at <= now - MINUTE_MS) {
            self.recent.pop_front();
        }
        let quiet = choice.snooze_until.is_some_and(|until| until > now);
        for (key, group) in groups {
            let before = self.shown.get(key);
            if before.is_some_and(|shown| shown.happened >= group.happened) {
                continue;
            }
            if quiet || choice.off.contains(&group.kind) {
                let visible = before.is_some_and(|shown| shown.visible);
                self.shown.insert(key.clone(), Shown { happened: group.happened, at: now, visible });
                continue;
            }
            let due = match before {
                Some(shown) if shown.visible => shown.at.saturating_add(UPDATE_MS),
                _ if self.recent.len() < A_MINUTE => now,
                _ => self.recent.front().map_or(now, |at| at + MINUTE_MS),
            };
            if due > now {
                again = Some(again.map_or(due, |again| again.min(due)));
                continue;
            }
            let update = before.is_some_and(|shown| shown.visible);
            if !update {
                self.recent.push_back(now);
            }
            self.shown.insert(key.clone(), Shown { happened: group.happened, at: now, visible: true });
            events.push(AppEvent::Notify { notification: worded(key, group, update) });
        }
        (events, again)
    }

    fn withdraw(&mut self, groups: &BTreeMap<String, Group>, events: &mut Vec<AppEvent>) {
        let gone: Vec<String> = self.shown.keys().filter(|key| !groups.contains_key(*key)).cloned().collect();
        for key in gone {
            if self.shown.remove(&key).is_some_and(|shown| shown.visible) {
                events.push(AppEvent::Withdraw { key });
            }
        }
    }
}

fn worded(key: &str, group: &Group, update: bool) -> Notification {
    let newest = &group.newest;
    let name = newest.path.as_deref().map(|path| format!("“{}”", file_name(path)));
    let bucket = group.bucket.as_deref().unwrap_or("BucketBar");
    let many = group.count > 1;
    let which = || if many { files(group.count) } else { name.clone().unwrap_or_else(|| "A file".into()) };
    let was = if many { "were" } else { "was" };
    use ActivityKind as K;
    let title = match group.kind {
        K::WriteFailed => format!("{} {was} not saved", which()),
        K::SyncFailed => format!("{} could not be made safe on this disk", which()),
        K::Stale => "A program lost its open file".to_owned(),
        K::UploadFailed => format!("{} {was} not uploaded", which()),
        K::Conflict => format!("{} changed here and elsewhere", which()),
        K::DeletesHeld => format!("Delete many files of {bucket}?"),
        K::MountLost => format!("{bucket} is not mounted any more"),
        K::SignInEnded => "Sign in again".to_owned(),
        K::DiskFull => "The disk is full".to_owned(),
        K::Recovered => "Unsent files were recovered".to_owned(),
        K::Trouble => "Something went wrong".to_owned(),
    };
    let mut body = newest.what.clone();
    if !newest.advice.is_empty() {
        body = format!("{body} {}", newest.advice);
    }
    if many && newest.path.is_some() {
        body = format!("In {bucket}, the latest: {body}");
    }
    Notification {
        key: key.to_owned(),
        kind: group.kind,
        title,
        body,
        count: group.count,
        entry: newest.id,
        update,
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::activity::ActivityEntry;
    use super::*;

    fn group(kind: ActivityKind, count: u64) -> Group {
        let newest = ActivityEntry {
            id: count,
            kind,
            bucket: Some("alice/photos".into()),
            path: Some("2024/a b.jpg".into()),
            what: "2024/a b.jpg was not uploaded: no room.".into(),
            advice: "Free some.".into(),
            count: 1,
            first_ms: 0,
            last_ms: 0,
            solved: false,
            actions: vec![],
        };
        Group { kind, bucket: Some("alice/photos".into()), count, happened: count, newest }
    }

    fn groups(of: &[(&str, ActivityKind, u64)]) -> BTreeMap<String, Group> {
        of.iter().map(|(key, kind, count)| ((*key).to_owned(), group(*kind, *count))).collect()
    }

    const QUOTA: ActivityKind = ActivityKind::UploadFailed;

    fn shown(events: &[AppEvent]) -> Vec<(&str, u64, bool)> {
        let one = |event: &'_ AppEvent| match event {
            AppEvent::Notify { notification } => {
                let title: &'static str = Box::leak(notification.title.clone().into_boxed_str());
                Some((title, notification.count, notification.update))
            }
            _ => None,
        };
        events.iter().filter_map(one).collect()
    }

    #[test]
    fn twenty_failures_of_one_cause_are_one_notification_updated() {
        let mut notifier = Notifier::default();
        let choice = Choice::default();
        let (first, again) = notifier.look(0, &groups(&[("q", QUOTA, 1)]), &choice);
        assert_eq!(shown(&first), [("“a b.jpg” was not uploaded", 1, false)]);
        assert_eq!(again, None);
        let mut all = 1;
        let mut at = None;
        for count in 2..=20 {
            let (events, next) =
                notifier.look(100 * Ms::try_from(count).unwrap(), &groups(&[("q", QUOTA, count)]), &choice);
            all += events.len();
            at = next;
        }
        assert_eq!((all, at), (1, Some(UPDATE_MS)), "held back, and a time is named");
        let (events, again) = notifier.look(UPDATE_MS, &groups(&[("q", QUOTA, 20)]), &choice);
        assert_eq!(shown(&events), [("20 files were not uploaded", 20, true)]);
        assert_eq!(again, None);
        assert!(notifier.look(2 * UPDATE_MS, &groups(&[("q", QUOTA, 20)]), &choice).0.is_empty());
        let AppEvent::Notify { notification } = &events[0] else { panic!() };
        assert_eq!(
            notification.body,
            "In alice/photos, the latest: 2024/a b.jpg was not uploaded: no room. Free some."
        );
    }

    #[test]
    fn solved_is_withdrawn_and_coming_back_is_news() {
        let mut notifier = Notifier::default();
        let choice = Choice::default();
        notifier.look(0, &groups(&[("q", QUOTA, 1)]), &choice);
        assert_eq!(notifier.look(1, &groups(&[]), &choice).0, [AppEvent::Withdraw { key: "q".into() }]);
        assert_eq!(notifier.look(2, &groups(&[("q", QUOTA, 1)]), &choice).0.len(), 1);
    }

    #[test]
    fn a_storm_of_causes_is_told_a_few_a_minute() {
        let mut notifier = Notifier::default();
        let choice = Choice::default();
        let names: Vec<String> = (0..50).map(|n| format!("{n:02}")).collect();
        let storm: Vec<(&str, ActivityKind, u64)> =
            names.iter().map(|name| (name.as_str(), QUOTA, 1)).collect();
        let (events, again) = notifier.look(1000, &groups(&storm), &choice);
        assert_eq!((events.len(), again), (A_MINUTE, Some(1000 + MINUTE_MS)));
        assert!(notifier.look(2000, &groups(&storm), &choice).0.is_empty());
        assert_eq!(notifier.look(1000 + MINUTE_MS, &groups(&storm), &choice).0.len(), A_MINUTE);
    }

    #[test]
    fn what_is_off_or_snoozed_is_not_shown_nor_caught_up_on() {
        let mut notifier = Notifier::default();
        let snoozed = Choice { snooze_until: Some(100), ..Choice::default() };
        assert!(notifier.look(0, &groups(&[("q", QUOTA, 1)]), &snoozed).0.is_empty());
        assert!(
            notifier.look(200, &groups(&[("q", QUOTA, 1)]), &snoozed).0.is_empty(),
            "it is in the Activity"
        );
        let (events, _) = notifier.look(300, &groups(&[("q", QUOTA, 2)]), &snoozed);
        assert_eq!(
            shown(&events),
            [("2 files were not uploaded", 2, false)],
            "what is new after it is shown"
        );
        let off = Choice { off: vec![ActivityKind::Conflict], ..Choice::default() };
        assert!(
            notifier.look(400, &groups(&[("c", ActivityKind::Conflict, 1)]), &off).0[..]
                .iter()
                .all(|event| { matches!(event, AppEvent::Withdraw { .. }) })
        );
    }

    #[test]
    fn a_restart_tells_nothing_twice() {
        let known = groups(&[("q", QUOTA, 3)]);
        let mut notifier = Notifier::knowing(&known);
        assert!(notifier.look(0, &known, &Choice::default()).0.is_empty());
        let (events, _) = notifier.look(1, &groups(&[("q", QUOTA, 4)]), &Choice::default());
        assert_eq!(shown(&events), [("4 files were not uploaded", 4, false)]);
    }
}
