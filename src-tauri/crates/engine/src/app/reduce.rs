//! The one reducer: from facts to the status that every face shows. Pure.
//!
//! What holds (the tests below say it for any facts): `all_saved` is true exactly when nothing is dirty,
//! queued, under way, failed or held; the icon is `Idle` only then; and "All saved" is said only then.

use super::api::Ms;
use super::api::state::{AppStatus, Icon};
use crate::words::{self, counted, duration, files, size};

/// What is known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Somebody is signed in whose token is good as far as is known.
    pub signed_in: bool,
    /// Accounts whose sign-in has ended.
    pub ended: Vec<String>,
    /// Something of an earlier run is not taken up yet: nothing may be called saved.
    pub starting: bool,
    pub served: u64,
    pub mounted: u64,
    pub queued: u64,
    pub uploading: u64,
    pub waiting: u64,
    pub failed: u64,
    pub held_deletes: u64,
    pub conflicts: u64,
    pub local_only: u64,
    pub bytes_left: u64,
    /// Unsolved troubles beside failed uploads, conflicts and held deletes.
    pub troubles: u64,
    /// The newest of them, as a line.
    pub trouble: Option<String>,
    /// A served bucket does not reach the Hub.
    pub offline: Option<String>,
    pub paused: bool,
    pub paused_until: Option<(Ms, String)>,
    pub bytes_per_s: Option<u64>,
    pub last_saved: Option<(Ms, String)>,
    /// "Mac" or "computer".
    pub machine: String,
}

impl Facts {
    fn moving(&self) -> u64 {
        self.queued + self.uploading + self.waiting
    }

    fn all_saved(&self) -> bool {
        !self.starting && self.moving() + self.failed + self.held_deletes == 0
    }

    fn need_you(&self) -> u64 {
        self.failed + self.conflicts + self.held_deletes + self.troubles
    }
}

/// The status that these facts mean.
pub fn reduce(facts: &Facts) -> AppStatus {
    let icon = icon(facts);
    AppStatus {
        icon,
        line: line(facts, icon),
        details: details(facts, icon),
        all_saved: facts.all_saved(),
        signed_in: facts.signed_in,
        mounted: facts.mounted,
        files_left: facts.moving(),
        bytes_left: facts.bytes_left,
        bytes_per_s: facts.bytes_per_s,
        seconds_left: seconds_left(facts),
        failed: facts.failed,
        conflicts: facts.conflicts,
        held_deletes: facts.held_deletes,
        local_only: facts.local_only,
        need_you: facts.need_you(),
        paused: facts.paused,
        paused_until_ms: facts.paused_until.as_ref().map(|(at, _)| *at),
        offline: facts.offline.is_some(),
        offline_cause: facts.offline.clone(),
        last_saved_ms: facts.last_saved.as_ref().map(|(at, _)| *at),
    }
}

/// The same of servers without an app, by what they say of themselves: what the command line shows. What an app alone
/// knows (accounts, troubles, speed) is left out.
pub fn of_servers<'a>(all: impl IntoIterator<Item = &'a bucketfs::Status>, now_ms: Ms) -> AppStatus {
    let clock = |at: Ms| (at, words::moment(at, now_ms));
    let mut facts = Facts { signed_in: true, machine: machine().to_owned(), ..Facts::default() };
    let mut last_saved = None;
    for one in all {
        let counted = one.queued + one.uploading + one.waiting + one.failed + one.held_deletes;
        facts.served += 1;
        facts.queued += one.queued;
        facts.uploading += one.uploading;
        // What is being written at this moment is in no queue yet.
        facts.waiting += one.waiting + u64::from(!one.all_saved && counted == 0);
        facts.failed += one.failed;
        facts.held_deletes += one.held_deletes;
        facts.conflicts += one.conflicts;
        facts.local_only += one.local_only;
        facts.bytes_left += one.unsent_bytes;
        if one.paused && !one.all_saved {
            facts.paused = true;
            facts.paused_until = one.paused_until_ms.map(clock);
        }
        if !one.online {
            facts.offline = Some(one.offline_cause.clone().unwrap_or_default());
        }
        last_saved = last_saved.max(one.last_saved_ms);
    }
    facts.last_saved = last_saved.map(clock);
    reduce(&facts)
}

/// What this machine is called in sentences.
pub(super) fn machine() -> &'static str {
    if cfg!(target_os = "macos") { "Mac" } else { "computer" }
}

fn icon(facts: &Facts) -> Icon {
    if !facts.signed_in && facts.ended.is_empty() {
        return Icon::SignedOut;
    }
    if facts.need_you() > 0 || !facts.ended.is_empty() {
        return Icon::Attention;
    }
    if facts.paused {
        return Icon::Paused;
    }
    if facts.offline.is_some() {
        return Icon::Offline;
    }
    if facts.all_saved() { Icon::Idle } else { Icon::Syncing }
}

/// The first that is true, in the order of what a person has to know.
fn line(facts: &Facts, icon: Icon) -> String {
    let waiting = facts.moving();
    match icon {
        Icon::SignedOut if waiting + facts.failed > 0 => {
            format!("Signed out · {} waiting", files(waiting + facts.failed))
        }
        Icon::SignedOut => "Signed out".to_owned(),
        Icon::Attention => attention(facts),
        Icon::Paused => {
            let until = match &facts.paused_until {
                Some((_, clock)) => format!("Paused until {clock}"),
                None => "Paused".to_owned(),
            };
            if waiting > 0 { format!("{until} · {} waiting", files(waiting)) } else { until }
        }
        Icon::Offline if waiting > 0 => format!("Offline: {} waiting", files(waiting)),
        Icon::Offline => "Offline".to_owned(),
        Icon::Syncing => moving(facts),
        Icon::Idle => idle(facts),
    }
}

fn attention(facts: &Facts) -> String {
    let mut parts = Vec::new();
    let in_files = facts.failed + facts.conflicts;
    if in_files > 0 {
        parts.push(format!("{} {} you", files(in_files), if in_files == 1 { "needs" } else { "need" }));
    }
    if facts.held_deletes > 0 {
        parts.push(format!("{} to confirm", counted(facts.held_deletes, "delete", "deletes")));
    }
    if let Some(name) = facts.ended.first() {
        parts.push(format!("{name} has to sign in again"));
    }
    if parts.is_empty() {
        let other = || counted(facts.troubles, "thing needs", "things need") + " you";
        parts.push(facts.trouble.clone().filter(|_| facts.troubles == 1).unwrap_or_else(other));
    }
    parts.truncate(2);
    if parts.len() == 1 && facts.uploading > 0 && !facts.paused && facts.offline.is_none() {
        parts.push(format!("uploading {}", files(facts.moving())));
    }
    parts.join(" · ")
}

fn moving(facts: &Facts) -> String {
    if facts.starting && facts.moving() == 0 {
        return "Looking for unsent files".to_owned();
    }
    if facts.uploading + facts.queued == 0 {
        return format!("Saving {}", files(facts.waiting));
    }
    let mut parts = vec![format!("Uploading {}", files(facts.moving()))];
    if facts.bytes_left > 0 {
        parts.push(format!("{} left", size(facts.bytes_left)));
    }
    parts.extend(seconds_left(facts).map(duration));
    parts.join(" · ")
}

fn idle(facts: &Facts) -> String {
    if facts.local_only > 0 {
        let items = counted(facts.local_only, "item", "items");
        return format!("{items} on this {} only · the rest is saved", facts.machine);
    }
    match &facts.last_saved {
        Some((_, clock)) => format!("All saved · {clock}"),
        None if facts.served == 0 => "No bucket is mounted".to_owned(),
        None => "All saved".to_owned(),
    }
}

fn seconds_left(facts: &Facts) -> Option<u64> {
    let rate = facts.bytes_per_s.filter(|rate| *rate > 0)?;
    (facts.bytes_left > 0 && !facts.paused && facts.offline.is_none())
        .then(|| facts.bytes_left.div_ceil(rate))
}

fn details(facts: &Facts, icon: Icon) -> Vec<String> {
    let mut details = Vec::new();
    let mut say = |count: u64, text: String| {
        if count > 0 {
            details.push(text);
        }
    };
    say(facts.failed, format!("{} could not be uploaded", files(facts.failed)));
    say(facts.conflicts, format!("{} changed here and elsewhere", files(facts.conflicts)));
    say(
        facts.held_deletes,
        format!("{} waiting for your answer", counted(facts.held_deletes, "delete", "deletes")),
    );
    say(facts.uploading, format!("{} being uploaded", files(facts.uploading)));
    say(facts.queued + facts.waiting, format!("{} waiting", files(facts.queued + facts.waiting)));
    let items = counted(facts.local_only, "item", "items");
    say(facts.local_only, format!("{items} on this {} only", facts.machine));
    details.extend(facts.ended.iter().map(|name| format!("{name} has to sign in again")));
    let said = line(facts, icon);
    details.extend(facts.trouble.clone().filter(|trouble| *trouble != said));
    details.extend(facts.offline.as_ref().map(|cause| format!("Offline: {cause}")));
    details
}

/// What is shown, held so that nothing flickers.
///
/// An icon stays at least a second, with one exception: "everything is saved" is taken back at once, because
/// it would be a lie. It comes back only after the other icon had its second.
#[derive(Debug, Default)]
pub struct Held {
    shown: Option<(AppStatus, Ms)>,
}

/// How long an icon stays.
const HOLD_MS: Ms = 1000;

impl Held {
    /// What to show now, and after how many milliseconds to ask again (with the facts of then).
    pub fn show(&mut self, wanted: AppStatus, now_ms: Ms) -> (AppStatus, Option<u64>) {
        let held = self.shown.as_ref().and_then(|(shown, since)| {
            let age = now_ms.saturating_sub(*since);
            let hold = shown.icon != wanted.icon && shown.icon != Icon::Idle && (0..HOLD_MS).contains(&age);
            hold.then(|| (shown.icon, shown.line.clone(), *since, HOLD_MS - age))
        });
        match held {
            Some((icon, line, since, left)) => {
                let shown = AppStatus { icon, line, ..wanted };
                self.shown = Some((shown.clone(), since));
                (shown, Some(left.unsigned_abs()))
            }
            None => {
                let same = self.shown.as_ref().filter(|(shown, _)| shown.icon == wanted.icon);
                let since = same.map_or(now_ms, |(_, since)| *since);
                self.shown = Some((wanted.clone(), since));
                (wanted, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calm() -> Facts {
        Facts {
            signed_in: true,
            served: 1,
            mounted: 1,
            last_saved: Some((5, "14:02".into())),
            machine: "Mac".into(),
            ..Facts::default()
        }
    }

    fn said(facts: Facts) -> (Icon, String) {
        let status = reduce(&facts);
        (status.icon, status.line)
    }

    #[test]
    fn the_lines_of_the_issue() {
        let line = |icon, line: &str| (icon, line.to_owned());
        assert_eq!(said(calm()), line(Icon::Idle, "All saved · 14:02"));
        let busy = Facts {
            uploading: 3,
            queued: 9,
            bytes_left: 3_400_000_000,
            bytes_per_s: Some(15_000_000),
            ..calm()
        };
        assert_eq!(said(busy.clone()), line(Icon::Syncing, "Uploading 12 files · 3.4 GB left · 4 min"));
        assert_eq!(
            said(Facts { failed: 1, conflicts: 1, ..calm() }),
            line(Icon::Attention, "2 files need you")
        );
        let offline = Facts { waiting: 5, offline: Some("no route".into()), ..calm() };
        assert_eq!(said(offline), line(Icon::Offline, "Offline: 5 files waiting"));
        let local = Facts { local_only: 3, ..calm() };
        assert_eq!(said(local), line(Icon::Idle, "3 items on this Mac only · the rest is saved"));
        assert_eq!(said(Facts { signed_in: false, ..calm() }), line(Icon::SignedOut, "Signed out"));
        let paused = Facts { paused: true, paused_until: Some((9, "15:00".into())), ..busy.clone() };
        assert_eq!(said(paused), line(Icon::Paused, "Paused until 15:00 · 12 files waiting"));
        let both = Facts { failed: 1, ..busy };
        assert_eq!(said(both), line(Icon::Attention, "1 file needs you · uploading 12 files"));
        let ended = Facts { signed_in: false, ended: vec!["alice".into()], ..calm() };
        assert_eq!(said(ended), line(Icon::Attention, "alice has to sign in again"));
        assert_eq!(said(Facts { waiting: 1, ..calm() }), line(Icon::Syncing, "Saving 1 file"));
        assert_eq!(
            said(Facts { held_deletes: 12, ..calm() }),
            line(Icon::Attention, "12 deletes to confirm")
        );
        let trouble = Facts { troubles: 1, trouble: Some("photos is not mounted any more".into()), ..calm() };
        assert_eq!(said(trouble), line(Icon::Attention, "photos is not mounted any more"));
        let none = Facts { served: 0, mounted: 0, last_saved: None, ..calm() };
        assert_eq!(said(none), line(Icon::Idle, "No bucket is mounted"));
        assert_eq!(said(Facts { starting: true, ..calm() }), line(Icon::Syncing, "Looking for unsent files"));
    }

    prop_compose! {
        fn any_facts()(
            counts in prop::array::uniform9(prop_oneof![3 => Just(0u64), 1 => 1u64..5]),
            flags in prop::array::uniform6(any::<bool>()),
            bytes in 0u64..1_000_000, rate in prop::option::of(0u64..1000),
        ) -> Facts {
            let [queued, uploading, waiting, failed, held_deletes, conflicts, local_only, troubles, served] = counts;
            let [signed_in, ended, starting, offline, paused, saved] = flags;
            Facts {
                signed_in, starting, served, mounted: served, queued, uploading, waiting, failed, held_deletes, conflicts,
                local_only, troubles, paused, bytes_left: bytes, bytes_per_s: rate, machine: "Mac".into(),
                ended: if ended { vec!["alice".into()] } else { vec![] },
                trouble: (troubles > 0).then(|| "trouble".into()),
                offline: offline.then(|| "x".into()), paused_until: None,
                last_saved: saved.then(|| (1, "14:02".into())),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_icon_says_saved_exactly_when_nothing_is_dirty_queued_or_failed(facts in any_facts()) {
            let status = reduce(&facts);
            let unsaved = facts.queued + facts.uploading + facts.waiting + facts.failed + facts.held_deletes;
            prop_assert_eq!(status.all_saved, unsaved == 0 && !facts.starting);
            let undisturbed = facts.signed_in && facts.ended.is_empty() && !facts.paused && facts.offline.is_none()
                && facts.conflicts + facts.troubles == 0;
            prop_assert_eq!(status.icon == Icon::Idle, undisturbed && status.all_saved);
            if status.line.contains("saved") {
                prop_assert!(status.all_saved, "{}", status.line);
            }
            prop_assert!(!status.line.is_empty());
            prop_assert!(status.need_you == 0 || matches!(status.icon, Icon::Attention | Icon::SignedOut));
        }

        #[test]
        fn what_is_shown_never_flickers_and_never_lies(
            steps in prop::collection::vec((any_facts(), 0i64..700), 1..40)
        ) {
            let (mut held, mut now, mut shown_since) = (Held::default(), 0, None::<(Icon, Ms)>);
            for (facts, after) in steps {
                now += after;
                let wanted = reduce(&facts);
                let (shown, again) = held.show(wanted.clone(), now);
                prop_assert!(shown.icon != Icon::Idle || wanted.icon == Icon::Idle, "saved is taken back at once");
                if let Some((icon, since)) = shown_since && icon != shown.icon {
                    prop_assert!(icon == Icon::Idle || now - since >= HOLD_MS, "{icon:?} stood {} ms", now - since);
                }
                if shown_since.is_none_or(|(icon, _)| icon != shown.icon) {
                    shown_since = Some((shown.icon, now));
                }
                prop_assert_eq!(again.is_some(), shown.icon != wanted.icon);
                prop_assert_eq!(shown.all_saved, wanted.all_saved);
            }
        }
    }
}
