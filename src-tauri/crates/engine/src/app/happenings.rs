//! What becomes a row of the Activity, and when it is solved. Pure.

use std::collections::HashMap;

use super::api::Ms;
use super::api::accounts::{Account, AccountHealth};
use super::api::activity::{ActivityAction, ActivityEntry, ActivityKind};
use super::api::buckets::Conflict;
use super::api::queue::{FailureClass, QueueRow, RowState};
use super::ledger::Happening;
use super::pulse::Seen;
use crate::notices::{Notice, NoticeKind};
use crate::words::counted;

/// A full disk has room again with so much, and when no write failed for so long.
const ROOM_AGAIN: u64 = 64 << 20;
const FULL_FOR_MS: Ms = 30_000;

/// The row that a bucket's notice makes; `None` for what follows from the state, or is no trouble.
pub(super) fn of_notice(bucket: &str, notice: &Notice) -> Option<Happening> {
    use ActivityKind as A;
    let kind = match (notice.kind, notice.procedure.as_deref()) {
        (_, _) if notice.disk_full => A::DiskFull,
        (NoticeKind::WriteFailed, _) => A::WriteFailed,
        (NoticeKind::CallFailed, Some("COMMIT")) | (NoticeKind::SyncToDiskFailed, _) => A::SyncFailed,
        (NoticeKind::CallFailed, Some("WRITE" | "SETATTR" | "CREATE")) => A::WriteFailed,
        (NoticeKind::CallFailed | NoticeKind::Panicked | NoticeKind::KeepOfflineFailed, _) => A::Trouble,
        (NoticeKind::Stale, _) => A::Stale,
        (NoticeKind::Recovered | NoticeKind::DatabaseRebuilt, _) => A::Recovered,
        // These stand in the queue, the list of conflicts, the status.
        (NoticeKind::UploadFailed | NoticeKind::Conflict | NoticeKind::DeletesHeld, _) => return None,
        (NoticeKind::Offline | NoticeKind::Online, _) => return None,
        (NoticeKind::KeptOffline, _) => return None,
        (NoticeKind::Saved | NoticeKind::Mounted | NoticeKind::Unmounted, _) => return None,
    };
    let actions = match kind {
        A::WriteFailed | A::SyncFailed if notice.path.is_some() => vec![ActivityAction::Show],
        _ => vec![],
    };
    Some(Happening {
        kind,
        bucket: Some(bucket.to_owned()),
        path: notice.path.clone(),
        cause: if kind == A::Trouble { notice.what.clone() } else { String::new() },
        what: notice.what.clone(),
        advice: notice.advice.clone(),
        actions,
    })
}

/// A failed call is told by the file system too, with the file's cause: then the bare one says nothing new. `all` came
/// with it, `unsolved` stands already: while a part of a file is not written, each COMMIT of it fails again.
pub(super) fn is_said_better<'a>(
    notice: &Notice,
    all: &[Notice],
    mut unsolved: impl Iterator<Item = &'a ActivityEntry>,
) -> bool {
    use ActivityKind as A;
    let of_a_file = matches!(notice.procedure.as_deref(), Some("WRITE" | "SETATTR" | "COMMIT"));
    if notice.kind != NoticeKind::CallFailed || !of_a_file {
        return false;
    }
    let same = |path: &Option<String>| notice.path.is_none() || *path == notice.path;
    let better = |other: &Notice| {
        matches!(other.kind, NoticeKind::WriteFailed | NoticeKind::SyncToDiskFailed) && same(&other.path)
    };
    all.iter().any(better)
        || unsolved.any(|entry| {
            matches!(entry.kind, A::WriteFailed | A::SyncFailed | A::DiskFull) && same(&entry.path)
        })
}

/// The rows that follow from the state as it is.
pub(super) fn standing(accounts: &[Account], seen: &[Seen]) -> Vec<Happening> {
    let mut standing: Vec<Happening> =
        accounts.iter().filter(|account| account.health == AccountHealth::Ended).map(sign_in_ended).collect();
    let ended = !standing.is_empty();
    for one in seen {
        let bucket = one.slot.id.as_str();
        // What only waits for a sign-in is said by the sign-in's own row: one cause is told once.
        let by_sign_in = |row: &&QueueRow| {
            ended && matches!(row.state, RowState::Failed { class: FailureClass::SignIn, .. })
        };
        let others = one.rows.iter().filter(|row| !by_sign_in(row));
        standing.extend(others.filter_map(|row| failed(bucket, row)));
        standing.extend(one.conflicts.iter().map(|conflict| in_conflict(bucket, conflict)));
        if let Some(held) = &one.held {
            standing.push(Happening {
                kind: ActivityKind::DeletesHeld,
                bucket: Some(bucket.to_owned()),
                path: None,
                cause: String::new(),
                what: format!(
                    "{} of the {} files of {bucket} were deleted here.",
                    counted(held.count, "file", "files"),
                    held.of
                ),
                advice: "Delete them on the Hub too, or bring them back?".to_owned(),
                actions: vec![ActivityAction::AnswerDeletes],
            });
        }
    }
    standing
}

fn sign_in_ended(account: &Account) -> Happening {
    Happening {
        kind: ActivityKind::SignInEnded,
        bucket: None,
        path: None,
        cause: account.id.clone(),
        what: format!("The sign-in of {} has ended.", account.name),
        advice: "Sign in again; what is not on the Hub yet waits on this machine.".to_owned(),
        actions: vec![ActivityAction::SignIn],
    }
}

fn failed(bucket: &str, row: &QueueRow) -> Option<Happening> {
    let RowState::Failed { class, why, advice } = &row.state else { return None };
    Some(Happening {
        kind: ActivityKind::UploadFailed,
        bucket: Some(bucket.to_owned()),
        path: Some(row.path.clone()),
        cause: format!("{class:?}"),
        what: format!("{} was not uploaded: {}", row.path, crate::error::sentence(why)),
        advice: advice.clone(),
        actions: vec![ActivityAction::Retry, ActivityAction::Show, ActivityAction::Discard],
    })
}

fn in_conflict(bucket: &str, conflict: &Conflict) -> Happening {
    Happening {
        kind: ActivityKind::Conflict,
        bucket: Some(bucket.to_owned()),
        path: Some(conflict.path.clone()),
        cause: String::new(),
        what: format!(
            "{} was changed here and elsewhere; yours is kept as {}.",
            conflict.path, conflict.kept_as
        ),
        advice: "Keep yours, theirs, or both.".to_owned(),
        actions: vec![ActivityAction::Resolve, ActivityAction::Show],
    }
}

/// Whether a told row is in order again: its file came to the Hub after it, there is room again, it is mounted
/// again.
pub(super) fn is_settled(entry: &ActivityEntry, seen: &HashMap<&str, &Seen>, now: Ms) -> bool {
    let Some(one) = entry.bucket.as_deref().and_then(|bucket| seen.get(bucket)) else { return false };
    let saved_since = |path: Option<&String>| {
        let mut saved = one.saved.iter();
        saved.any(|(saved, at)| *at > entry.last_ms && path.is_none_or(|path| path == saved))
    };
    match entry.kind {
        ActivityKind::WriteFailed | ActivityKind::SyncFailed => match &entry.path {
            Some(path) => saved_since(Some(path)) && !one.rows.iter().any(|row| row.path == *path),
            None => one.sync.all_saved && saved_since(None),
        },
        ActivityKind::DiskFull => one.room >= ROOM_AGAIN && now - entry.last_ms > FULL_FOR_MS,
        ActivityKind::Recovered => one.sync.all_saved,
        ActivityKind::MountLost => one.slot.is_mounted() && one.slot.live().is_some(),
        _ => false,
    }
}

/// How many unsolved rows need somebody beside failed uploads, conflicts and held deletes (which are counted
/// from the state), and the newest in a few words.
pub(super) fn troubles<'a>(unsolved: impl Iterator<Item = &'a ActivityEntry>) -> (u64, Option<String>) {
    use ActivityKind as A;
    let elsewhere = [A::UploadFailed, A::Conflict, A::DeletesHeld, A::SignInEnded, A::Recovered];
    let mut count = 0;
    let mut newest: Option<&ActivityEntry> = None;
    for entry in unsolved.filter(|entry| !elsewhere.contains(&entry.kind)) {
        count += 1;
        if newest.is_none_or(|newest| entry.last_ms >= newest.last_ms) {
            newest = Some(entry);
        }
    }
    (count, newest.map(in_short))
}

fn in_short(entry: &ActivityEntry) -> String {
    let name = entry.path.as_deref().map_or("A file", crate::words::file_name);
    let bucket = entry.bucket.as_deref().unwrap_or("A bucket");
    match entry.kind {
        ActivityKind::WriteFailed => format!("{name} was not saved"),
        ActivityKind::SyncFailed => format!("{name} is not safe on this disk"),
        ActivityKind::Stale => "A program lost its open file".to_owned(),
        ActivityKind::MountLost => format!("{bucket} is not mounted any more"),
        ActivityKind::DiskFull => "The disk is full".to_owned(),
        _ => "Something went wrong".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: NoticeKind, procedure: Option<&str>, disk_full: bool) -> Notice {
        Notice {
            seq: 1,
            at_ms: 1,
            kind,
            path: Some("a".into()),
            what: "x".into(),
            advice: String::new(),
            count: 1,
            procedure: procedure.map(str::to_owned),
            disk_full,
            bytes: 0,
        }
    }

    #[test]
    fn every_failure_has_its_kind() {
        use ActivityKind as A;
        use NoticeKind as N;
        let kind =
            |n: NoticeKind, p: Option<&str>, full| of_notice("a/b", &notice(n, p, full)).map(|h| h.kind);
        assert_eq!(kind(N::CallFailed, Some("WRITE"), false), Some(A::WriteFailed));
        assert_eq!(kind(N::CallFailed, Some("WRITE"), true), Some(A::DiskFull));
        assert_eq!(kind(N::CallFailed, Some("COMMIT"), false), Some(A::SyncFailed));
        assert_eq!(kind(N::CallFailed, Some("READ"), false), Some(A::Trouble));
        assert_eq!(kind(N::SyncToDiskFailed, None, false), Some(A::SyncFailed));
        assert_eq!(kind(N::WriteFailed, None, false), Some(A::WriteFailed));
        assert_eq!(kind(N::Stale, Some("WRITE"), false), Some(A::Stale));
        assert_eq!(kind(N::Panicked, Some("READ"), false), Some(A::Trouble));
        assert_eq!(kind(N::Recovered, None, false), Some(A::Recovered));
        for quiet in [N::UploadFailed, N::Conflict, N::Saved, N::Online, N::Offline, N::Mounted, N::Unmounted]
        {
            assert_eq!(kind(quiet, None, false), None, "{quiet:?}");
        }
    }

    #[test]
    fn a_commit_that_fails_again_and_again_for_one_hole_is_one_row_and_another_files_is_its_own() {
        let standing = |kind: ActivityKind, path: &str| ActivityEntry {
            id: 1,
            kind,
            bucket: Some("a/b".into()),
            path: Some(path.into()),
            what: String::new(),
            advice: String::new(),
            count: 1,
            first_ms: 0,
            last_ms: 0,
            solved: false,
            actions: vec![],
        };
        let commit = notice(NoticeKind::CallFailed, Some("COMMIT"), false);
        let written = notice(NoticeKind::WriteFailed, None, false);
        let nothing = || std::iter::empty();
        assert!(is_said_better(&commit, &[written.clone(), commit.clone()], nothing()));
        for kind in [ActivityKind::WriteFailed, ActivityKind::SyncFailed, ActivityKind::DiskFull] {
            assert!(is_said_better(&commit, &[], [standing(kind, "a")].iter()), "{kind:?}");
            assert!(!is_said_better(&commit, &[], [standing(kind, "other")].iter()), "{kind:?}");
        }
        assert!(!is_said_better(&commit, &[], nothing()), "nobody else says it");
        assert!(!is_said_better(&written, &[], [standing(ActivityKind::WriteFailed, "a")].iter()));
        let read = notice(NoticeKind::CallFailed, Some("READ"), false);
        assert!(!is_said_better(&read, &[written], nothing()));
    }
}
