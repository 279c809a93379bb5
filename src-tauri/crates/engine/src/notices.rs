//! What a person may have to know, as sentences: the latest of it, in a bounded list.
//!
//! It is fed from two sides: [`bucketfs::Events`] tells of uploads, conflicts and recovery, [`nfs::Observer`]
//! of calls that failed (macOS often keeps those from the program, macos-nfs.md B3). The same thing told
//! again raises a count, so that a storm of one cause cannot drive out the others.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use bucketfs::{BucketFs, Event, FileId, Timestamp};
use nfs::types::nfsstat3;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::sentence;
use crate::words;

const KEPT: usize = 1000;
/// Causes of failures remembered until the observer asks for them.
const CAUSES: usize = 256;

/// The closed set of what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A WRITE, COMMIT, SETATTR or another call was answered with an error.
    CallFailed,
    /// A STALE went out.
    Stale,
    /// A call panicked; the server lives on.
    Panicked,
    WriteFailed,
    SyncToDiskFailed,
    UploadFailed,
    Saved,
    Conflict,
    /// Many deletions at once wait for an answer.
    DeletesHeld,
    Recovered,
    DatabaseRebuilt,
    /// Everything of a pin is on this machine.
    KeptOffline,
    KeepOfflineFailed,
    Offline,
    Online,
    Mounted,
    Unmounted,
}

impl NoticeKind {
    /// Good news and mere progress go first when room is needed.
    fn is_news_only(self) -> bool {
        use NoticeKind as K;
        matches!(self, K::Saved | K::KeptOffline | K::Online | K::Mounted | K::Unmounted)
    }
}

/// One thing told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Rises with every telling; a notice told again gets a new one.
    pub seq: u64,
    /// When it was last told, milliseconds since 1970.
    pub at_ms: i64,
    pub kind: NoticeKind,
    /// The visible path inside the bucket, where it is about one file.
    pub path: Option<String>,
    /// A sentence: what happened.
    pub what: String,
    /// A sentence: what to do; empty when nothing is to be done.
    pub advice: String,
    /// How often it was told.
    pub count: u64,
    /// The NFS procedure that failed, where it is about a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procedure: Option<String>,
    /// The local disk had no room.
    #[serde(default)]
    pub disk_full: bool,
    /// Of a saved file.
    #[serde(default)]
    pub bytes: u64,
}

/// What a notice says beside its sentences.
#[derive(Debug, Clone, Copy, Default)]
struct Call {
    procedure: Option<&'static str>,
    disk_full: bool,
    bytes: u64,
}

/// The list. Cheap to tell; nothing here waits.
pub struct Notices {
    state: Mutex<State>,
    /// The last number given, for those who wait for news.
    latest: watch::Sender<u64>,
    /// Whose files it is about.
    names: OnceLock<Weak<BucketFs>>,
}

#[derive(Default)]
struct State {
    kept: VecDeque<Notice>,
    seq: u64,
    causes: VecDeque<(u64, String, String)>,
}

impl Default for Notices {
    fn default() -> Self {
        Notices { state: Mutex::default(), latest: watch::Sender::new(0), names: OnceLock::new() }
    }
}

impl Notices {
    pub fn new() -> Arc<Notices> {
        Arc::default()
    }

    /// What was told after number `seq`, oldest first.
    pub fn after(&self, seq: u64) -> Vec<Notice> {
        self.state.lock().kept.iter().filter(|notice| notice.seq > seq).cloned().collect()
    }

    /// Changes with every telling.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Remembers why a call on `file` failed, until the observer tells of it.
    pub(crate) fn remember_cause(&self, file: u64, error: &bucketfs::Error) {
        let mut state = self.state.lock();
        if state.causes.len() == CAUSES {
            state.causes.pop_front();
        }
        state.causes.push_back((file, error.what.clone(), error.advice.clone()));
    }

    fn cause_of(&self, file: u64) -> Option<(String, String)> {
        let mut state = self.state.lock();
        let index = state.causes.iter().rposition(|cause| cause.0 == file)?;
        state.causes.remove(index).map(|(_, what, advice)| (what, advice))
    }

    /// From now on files are called by their names.
    pub(crate) fn name_files_of(&self, fs: &Arc<BucketFs>) {
        // Told once, when the bucket is opened.
        let _ = self.names.set(Arc::downgrade(fs));
    }

    fn name_of(&self, file: u64) -> Option<String> {
        self.names.get()?.upgrade()?.name_for_words(FileId(file))
    }

    fn add(&self, kind: NoticeKind, path: Option<String>, what: String, advice: String) {
        self.add_call(kind, path, what, advice, Call::default());
    }

    fn add_call(&self, kind: NoticeKind, path: Option<String>, what: String, advice: String, call: Call) {
        let Call { procedure, disk_full, bytes } = call;
        let procedure = procedure.map(str::to_owned);
        let seq = {
            let mut state = self.state.lock();
            state.seq += 1;
            let seq = state.seq;
            let same = |old: &Notice| old.kind == kind && old.path == path && old.what == what;
            let before = state.kept.iter().position(same).and_then(|index| state.kept.remove(index));
            let count = before.map_or(1, |old| old.count + 1);
            state.make_room();
            let at_ms = Timestamp::now().as_ms();
            state.kept.push_back(Notice {
                seq,
                at_ms,
                kind,
                path,
                what,
                advice,
                count,
                procedure,
                disk_full,
                bytes,
            });
            seq
        };
        self.latest.send_replace(seq);
    }
}

impl State {
    fn make_room(&mut self) {
        if self.kept.len() < KEPT {
            return;
        }
        let oldest_news = self.kept.iter().position(|notice| notice.kind.is_news_only());
        self.kept.remove(oldest_news.unwrap_or(0));
    }
}

impl bucketfs::Events for Notices {
    fn tell(&self, event: Event) {
        let bytes = if let Event::Saved { bytes, .. } = &event { *bytes } else { 0 };
        let disk_full = matches!(&event, Event::WriteFailed { full: true, .. });
        let (kind, path, what, advice) = worded(event);
        if kind.is_news_only() {
            tracing::info!(?kind, "{what}");
        } else {
            tracing::warn!(?kind, "{what} {advice}");
        }
        self.add_call(kind, path, what, advice, Call { bytes, disk_full, ..Call::default() });
    }
}

fn worded(event: Event) -> (NoticeKind, Option<String>, String, String) {
    use NoticeKind as K;
    match event {
        Event::WriteFailed { path, cause, .. } => {
            let what = format!("Part of {path} could not be written: {}", sentence(&cause));
            let advice = "Save the file again; until then it is not uploaded.".to_owned();
            (K::WriteFailed, Some(path), what, advice)
        }
        Event::SyncToDiskFailed { path, cause } => {
            let what = format!("{path} could not be made safe on this disk: {}", sentence(&cause));
            let advice = "The data is sent again by the system. Check the disk that holds BucketBar's state.";
            (K::SyncToDiskFailed, Some(path), what, advice.to_owned())
        }
        Event::UploadFailed { path, cause, advice, will_retry } => {
            let then = if will_retry { " It will be tried again." } else { "" };
            let what = format!("{path} was not uploaded: {}{then}", sentence(&cause));
            (K::UploadFailed, Some(path), what, advice)
        }
        Event::Saved { path, bytes } => {
            let what = format!("{path} is on the Hub ({bytes} bytes).");
            (K::Saved, Some(path), what, String::new())
        }
        Event::Conflict { path, kept_as } => {
            let what = format!("{path} was changed here and elsewhere; yours is kept as {kept_as}.");
            let advice = "Compare the two and delete the one you do not want.".to_owned();
            (K::Conflict, Some(path), what, advice)
        }
        Event::Overwrote { path, kept_as } if path == kept_as => {
            let what = format!("{path} was changed elsewhere just when it was deleted here; it is kept.");
            (K::Conflict, Some(path), what, "Delete it again if you do not want it.".to_owned())
        }
        Event::Overwrote { path, kept_as } => {
            let what = format!(
                "{path} was changed elsewhere just when it was saved here; the other version is kept as {kept_as}."
            );
            let advice = "Compare the two and delete the one you do not want.".to_owned();
            (K::Conflict, Some(path), what, advice)
        }
        Event::DeletesHeld { count, of } => {
            let what =
                format!("{count} of {of} files were deleted here; they are not deleted on the Hub yet.");
            let advice = "Say whether they are to go: bucketbarctl deletes OWNER/BUCKET --send or --restore.";
            (K::DeletesHeld, None, what, advice.to_owned())
        }
        Event::Recovered { files, bytes } => {
            let which = format!("{} ({})", words::files(files), words::size(bytes));
            let were = if files == 1 { "was" } else { "were" };
            let what = format!("{which} of an earlier run {were} taken up again.");
            (K::Recovered, None, what, "Nothing to do: they are uploaded now.".to_owned())
        }
        Event::KeptApart { path, kept_as } => {
            let what = format!(
                "{path} was being written when its program or the machine ended; what had arrived is kept as \
                 {kept_as}."
            );
            let advice = "Look whether it is whole, then keep it or delete it.".to_owned();
            (K::Recovered, Some(path), what, advice)
        }
        Event::DatabaseRebuilt { kept_at, files } => {
            let what = format!(
                "The state database was damaged and has been rebuilt with {files} unsent files; the damaged \
                 one is kept at {kept_at}."
            );
            (K::DatabaseRebuilt, None, what, "Check the disk that holds BucketBar's state.".to_owned())
        }
        Event::KeptOffline { path, files, bytes } => {
            let shown = if path.is_empty() { "The whole bucket" } else { &path };
            let what = format!("{shown} is kept offline ({}, {}).", words::files(files), words::size(bytes));
            (K::KeptOffline, Some(path), what, String::new())
        }
        Event::KeepOfflineFailed { path, cause, advice, .. } => {
            let shown = if path.is_empty() { "The whole bucket" } else { &path };
            let what = format!("{shown} is not yet kept offline: {}", sentence(&cause));
            (K::KeepOfflineFailed, Some(path), what, advice)
        }
        Event::Online { online: true, .. } => {
            (K::Online, None, "The Hub can be reached.".to_owned(), String::new())
        }
        Event::Online { online: false, cause } => {
            let what = format!("The Hub cannot be reached: {}", sentence(&cause));
            let advice = "Check the network; what you write is kept here and uploaded later.".to_owned();
            (K::Offline, None, what, advice)
        }
    }
}

impl nfs::Observer for Notices {
    fn failed(&self, failed: nfs::Failed) {
        let cause = self.cause_of(failed.file);
        // The kernel asks again by itself: no failure, and no news.
        if failed.status as u32 == nfsstat3::NFS3ERR_JUKEBOX as u32 {
            return;
        }
        let status = failed.status;
        let unknown =
            || (format!("{} failed: the file system said {status:?}.", failed.procedure), String::new());
        let (what, advice) = cause.unwrap_or_else(unknown);
        tracing::warn!(procedure = failed.procedure, ?status, "{what}");
        let full = matches!(status, nfsstat3::NFS3ERR_NOSPC | nfsstat3::NFS3ERR_DQUOT);
        self.add_call(
            NoticeKind::CallFailed,
            self.name_of(failed.file),
            what,
            advice,
            Call { procedure: Some(failed.procedure), disk_full: full, bytes: 0 },
        );
    }

    fn stale(&self, failed: nfs::Failed) {
        let cause = self.cause_of(failed.file);
        tracing::warn!(procedure = failed.procedure, file = failed.file, ?cause, "stale");
        let name = self.name_of(failed.file);
        let file = name.as_deref().unwrap_or("A file");
        let what = format!(
            "{file} was removed while a program had it open; what that program still writes is lost."
        );
        self.add(NoticeKind::Stale, name, what, "Save it from the program again, as a new file.".to_owned());
    }

    fn panicked(&self, failed: nfs::Failed, message: &str) {
        tracing::error!(procedure = failed.procedure, "a call panicked: {message}");
        let what = format!("{} broke inside BucketBar ({message}).", failed.procedure);
        let advice = "The other calls go on. Please report this with the log.".to_owned();
        self.add(NoticeKind::Panicked, None, what, advice);
    }

    fn mounted(&self) {
        self.add(NoticeKind::Mounted, None, "The bucket was mounted.".to_owned(), String::new());
    }

    fn unmounted(&self) {
        self.add(NoticeKind::Unmounted, None, "The bucket was unmounted.".to_owned(), String::new());
    }
}

#[cfg(test)]
mod tests {
    use bucketfs::{ErrorKind, Events};
    use nfs::Observer;

    use super::*;

    fn saved(path: &str) -> Event {
        Event::Saved { path: path.into(), bytes: 1 }
    }

    fn failed(file: u64, status: nfsstat3) -> nfs::Failed {
        nfs::Failed { procedure: "WRITE", file, status }
    }

    #[test]
    fn the_same_told_again_raises_a_count() {
        let notices = Notices::new();
        for _ in 0..3 {
            notices.tell(Event::WriteFailed { path: "a".into(), cause: "disk full".into(), full: true });
            notices.tell(saved("b"));
        }
        let told = notices.after(0);
        assert_eq!(told.iter().map(|notice| notice.count).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(told.iter().map(|notice| notice.seq).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(told[0].what, "Part of a could not be written: disk full.");
        assert!(notices.after(6).is_empty());
    }

    #[test]
    fn progress_never_drives_a_failure_out() {
        let notices = Notices::new();
        notices.tell(Event::Conflict { path: "a".into(), kept_as: "a (2)".into() });
        for number in 0..2 * KEPT {
            notices.tell(saved(&number.to_string()));
        }
        let told = notices.after(0);
        assert_eq!(told.len(), KEPT);
        assert_eq!(told[0].kind, NoticeKind::Conflict);
    }

    #[test]
    fn a_failed_call_is_told_with_its_cause() {
        let notices = Notices::new();
        let error =
            bucketfs::Error::new(ErrorKind::NoSpace, "The disk is full: writing a.").advise("Free some.");
        notices.remember_cause(7, &error);
        notices.failed(failed(7, nfsstat3::NFS3ERR_NOSPC));
        notices.failed(failed(8, nfsstat3::NFS3ERR_IO));
        let told = notices.after(0);
        assert_eq!(told[0].what, "The disk is full: writing a.");
        assert_eq!(told[0].advice, "Free some.");
        assert!(told[1].what.contains("NFS3ERR_IO"));
    }

    #[test]
    fn jukebox_is_no_failure_and_stale_is_its_own_kind() {
        let notices = Notices::new();
        notices.failed(failed(7, nfsstat3::NFS3ERR_JUKEBOX));
        assert!(notices.after(0).is_empty());
        notices.stale(failed(7, nfsstat3::NFS3ERR_STALE));
        assert_eq!(notices.after(0)[0].kind, NoticeKind::Stale);
    }

    #[test]
    fn causes_are_bounded() {
        let notices = Notices::new();
        let error = bucketfs::Error::new(ErrorKind::Hub, "x");
        (0..10_000).for_each(|file| notices.remember_cause(file, &error));
        assert_eq!(notices.state.lock().causes.len(), CAUSES);
    }
}
