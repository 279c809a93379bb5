//! What programs were promised, what became of it, and what they were told.
//!
//! # The rule
//!
//! A byte a program wrote (its write(2) returned without an error) must at the end be
//!
//! * **(a)** on the server, with the value written last; or
//! * **(b)** *discarded by the kernel* after a WRITE that failed, **and** the program was told: a call of its on
//!   that file (write, fsync, close, ftruncate, utimes, chmod, …) failed **at or after** the discard. An error
//!   told earlier does not count for a later discard.
//!
//! Nothing else is a pass. A byte that is not on the server although no WRITE of it failed was lost by a server
//! that said OK: that is never excused, whatever the program was told.
//!
//! # What macOS swallows
//!
//! The kernel keeps one error for each file and hands it out once. Flushes inside ftruncate, utimes, an O_APPEND
//! write and a getattr that sees a changed mtime take it and go on (nfs_vinvalbuf2). A discard whose error was
//! swallowed must therefore have become **another** reported error: our server answers SETATTR, COMMIT and stable
//! WRITEs of a file with a hole with that hole's error. So a swallowed discard is judged by what the kernel sent
//! afterwards:
//!
//! * If a SETATTR or a FILE_SYNC WRITE for the file went out after the error was swallowed, the server had its
//!   chance to make the program hear of it: then only (b) passes. (A COMMIT alone is no such chance: its error
//!   makes the kernel write again, it reaches nobody.)
//! * If none went out, no server can reach the program. Then, and only then, the server's own list of events
//!   must name the file (out of band).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;

use parking_lot::Mutex;
use rangemap::{RangeMap, RangeSet};

use crate::errno::Errno;

/// Entries of a file's history that are kept.
const REMEMBERED: usize = 40;

/// Wrong ranges of one file that are named.
const REPORTED: usize = 3;

/// Everything known about what programs did through one mount.
#[derive(Default)]
pub struct Ledger {
    state: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Rises with everything noted.
    clock: u64,
    files: HashMap<u64, File>,
}

#[derive(Default)]
struct File {
    path: Option<String>,
    /// What the file must hold.
    content: Vec<u8>,
    /// When each byte was promised.
    promised: RangeMap<u64, u64>,
    /// A call that failed half way: old or new, nobody knows, and the program knows that.
    unknown: RangeSet<u64>,
    size_unknown: bool,
    discards: Vec<Discard>,
    told: Vec<Told>,
    /// The last things noted, for whoever has to find out.
    history: VecDeque<String>,
}

/// A WRITE failed and the kernel threw its bytes away.
#[derive(Debug, Clone)]
struct Discard {
    at: u64,
    range: Range<u64>,
    errno: Errno,
    /// A flush took the error and told nobody.
    swallowed: Option<u64>,
    /// After that the kernel sent a call whose error reaches the program.
    had_a_chance: bool,
}

#[derive(Debug, Clone)]
struct Told {
    at: u64,
    call: &'static str,
    errno: Errno,
}

/// What one comparison found.
#[derive(Debug, Default)]
pub struct Findings {
    /// One sentence for each broken promise.
    pub broken: Vec<String>,
    /// What happened lately to the files concerned.
    pub histories: Vec<String>,
    pub files: usize,
    pub bytes: u64,
    /// WRITEs whose bytes the kernel threw away.
    pub discards: usize,
    /// Errors that programs were told.
    pub told: usize,
    /// Discards that only the server's events tell of.
    pub out_of_band: usize,
}

impl Findings {
    /// # Panics
    /// When a promise was broken.
    pub fn hold(self) -> Findings {
        assert!(self.broken.is_empty(), "{self}");
        self
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings { files, bytes, discards, told, out_of_band, .. } = self;
        write!(
            f,
            "{files} files, {bytes} bytes, {discards} discards, {told} errors told, {out_of_band} only out of \
             band; {} broken promises",
            self.broken.len()
        )?;
        self.broken.iter().take(20).try_for_each(|broken| write!(f, "\n- {broken}"))?;
        self.histories.iter().take(5).try_for_each(|history| write!(f, "\nhistory of {history}"))
    }
}

impl Ledger {
    fn note<T>(&self, number: u64, change: impl FnOnce(&mut File, u64) -> T) -> T {
        let mut book = self.state.lock();
        book.clock += 1;
        let now = book.clock;
        change(book.files.entry(number).or_default(), now)
    }

    /// Now, by the ledger's own count of happenings.
    pub fn moment(&self) -> u64 {
        self.state.lock().clock
    }

    /// The file is to be compared, under this path.
    pub fn named(&self, number: u64, path: &str) {
        let mut book = self.state.lock();
        // Somebody else's promise about this path is over: the name leads here now.
        for file in book.files.values_mut().filter(|file| file.path.as_deref() == Some(path)) {
            file.path = None;
        }
        book.files.entry(number).or_default().path = Some(path.to_owned());
    }

    /// A file that was there before: what it holds is as good as promised.
    pub fn known(&self, number: u64, content: &[u8]) {
        self.note(number, |file, now| {
            file.content = content.to_vec();
            if !content.is_empty() {
                file.promised.insert(0..content.len() as u64, now);
            }
        });
    }

    /// A rename of a file or of a folder with all below it.
    pub fn moved(&self, from: &str, to: &str) {
        if from == to {
            return;
        }
        let below = format!("{from}/");
        let over = format!("{to}/");
        let mut book = self.state.lock();
        for file in book.files.values_mut() {
            let Some(path) = &file.path else { continue };
            if path == to || path.starts_with(&over) {
                file.path = None;
            }
        }
        for file in book.files.values_mut() {
            let Some(path) = &file.path else { continue };
            if path == from {
                file.path = Some(to.to_owned());
            } else if let Some(rest) = path.strip_prefix(&below) {
                file.path = Some(format!("{to}/{rest}"));
            }
        }
    }

    /// The program took the name away; nothing is promised about it any more.
    pub fn removed(&self, path: &str) {
        let mut book = self.state.lock();
        for file in book.files.values_mut().filter(|file| file.path.as_deref() == Some(path)) {
            file.path = None;
        }
    }

    /// write(2) took these bytes.
    ///
    /// `since` is [`Ledger::moment`] before the call: an asynchronous WRITE of these bytes may have failed, and thrown
    /// them away, before write(2) returned.
    pub fn wrote(&self, number: u64, offset: u64, data: &[u8], since: u64) {
        if data.is_empty() {
            return;
        }
        self.note(number, |file, now| {
            let (start, end) = (offset as usize, offset as usize + data.len());
            file.remember(now, format!("wrote {start}..{end}"));
            file.grow_to(end, now);
            file.content[start..end].copy_from_slice(data);
            file.promised.insert(offset..end as u64, since);
            file.unknown.remove(offset..end as u64);
        });
    }

    /// write(2) failed: of these bytes any part may have been taken.
    pub fn half_written(&self, number: u64, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        self.note(number, |file, now| {
            file.remember(now, format!("failed to write {range:?}"));
            let old = file.content.len() as u64;
            file.size_unknown |= range.end > old;
            file.grow_to(range.end as usize, now);
            // Did it not happen, then the gap before it is not there either.
            file.unknown.insert(old.min(range.start)..range.end);
        });
    }

    /// The size was set (ftruncate, O_TRUNC).
    pub fn resized(&self, number: u64, size: u64) {
        self.note(number, |file, now| {
            file.remember(now, format!("cut or grew to {size}"));
            file.size_unknown = false;
            file.grow_to(size as usize, now);
            file.content.truncate(size as usize);
            if size < u64::MAX {
                file.promised.remove(size..u64::MAX);
                file.unknown.remove(size..u64::MAX);
            }
        });
    }

    /// Setting the size failed, and the program knows.
    pub fn not_resized(&self, number: u64) {
        self.note(number, |file, _| file.size_unknown = true);
    }

    /// A program's call on this file failed.
    pub fn told(&self, number: u64, call: &'static str, errno: Errno) {
        self.note(number, |file, at| {
            file.remember(at, format!("told {errno} by {call}"));
            file.told.push(Told { at, call, errno });
        });
    }

    /// The kernel threw written bytes away.
    pub fn discarded(&self, number: u64, range: Range<u64>, errno: Errno) {
        self.note(number, |file, at| {
            file.remember(at, format!("threw away {range:?} ({errno})"));
            file.discards.push(Discard { at, range, errno, swallowed: None, had_a_chance: false });
        });
    }

    /// A flush inside another call took the file's error and dropped it.
    pub fn swallowed(&self, number: u64) {
        self.note(number, |file, now| {
            file.remember(now, "an error was swallowed".to_owned());
            for discard in file.discards.iter_mut().filter(|discard| discard.swallowed.is_none()) {
                discard.swallowed = Some(now);
            }
        });
    }

    /// The kernel sends a call whose error will reach the program.
    pub fn chance(&self, number: u64) {
        self.note(number, |file, _| {
            for discard in file.discards.iter_mut().filter(|discard| discard.swallowed.is_some()) {
                discard.had_a_chance = true;
            }
        });
    }

    /// Whether anything of this file was thrown away.
    pub fn has_discards(&self) -> bool {
        self.state.lock().files.values().any(|file| !file.discards.is_empty())
    }

    /// Paths that must be there.
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> =
            self.state.lock().files.values().filter_map(|file| file.path.clone()).collect();
        paths.sort_unstable();
        paths
    }

    /// Paths of files of which nothing was thrown away and whose programs met no error.
    pub fn untroubled(&self) -> Vec<String> {
        let book = self.state.lock();
        let fine = |file: &&File| file.discards.is_empty() && file.told.is_empty();
        book.files.values().filter(fine).filter_map(|file| file.path.clone()).collect()
    }

    /// What a file must hold.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let book = self.state.lock();
        let mut files = book.files.values();
        files.find(|file| file.path.as_deref() == Some(path)).map(|file| file.content.clone())
    }

    /// Compares everything promised with what `read` finds; `events` are the server's own words.
    pub fn compare(&self, mut read: impl FnMut(&str) -> Option<Vec<u8>>, events: &[String]) -> Findings {
        let book = self.state.lock();
        let mut findings = Findings::default();
        for file in book.files.values() {
            findings.discards += file.discards.len();
            findings.told += file.told.len();
            let Some(path) = &file.path else { continue };
            findings.files += 1;
            findings.bytes += file.content.len() as u64;
            let before = findings.broken.len();
            file.judge_discards(path, events, &mut findings);
            match read(path) {
                Some(found) => file.judge_content(path, &found, &mut findings),
                None if file.size_unknown || !file.told.is_empty() && file.content.is_empty() => {}
                None => findings.broken.push(format!("{path} is not there")),
            }
            if findings.broken.len() > before {
                findings
                    .histories
                    .push(format!("{path}: {}", Vec::from_iter(file.history.iter().cloned()).join(", ")));
            }
        }
        findings
    }
}

impl File {
    fn remember(&mut self, now: u64, what: String) {
        if self.history.len() == REMEMBERED {
            self.history.pop_front();
        }
        self.history.push_back(format!("{now} {what}"));
    }

    fn grow_to(&mut self, size: usize, now: u64) {
        let old = self.content.len();
        if size > old {
            self.content.resize(size, 0);
            self.promised.insert(old as u64..size as u64, now);
        }
    }

    fn told_since(&self, at: u64) -> bool {
        self.told.iter().any(|told| told.at >= at)
    }

    /// Every discard must have been told, also one whose bytes were written again meanwhile.
    fn judge_discards(&self, path: &str, events: &[String], findings: &mut Findings) {
        for discard in &self.discards {
            if self.told_since(discard.at) {
                continue;
            }
            let Discard { range, errno, .. } = discard;
            if discard.swallowed.is_none() || discard.had_a_chance {
                let heard: Vec<_> = self.told.iter().map(|told| (told.call, told.errno)).collect();
                findings.broken.push(format!(
                    "{path}: bytes {range:?} were thrown away ({errno}) and no later call of the program failed; \
                     swallowed: {}; told before: {heard:?}",
                    discard.swallowed.is_some()
                ));
            } else if events.iter().any(|event| event.contains(path)) {
                findings.out_of_band += 1;
            } else {
                findings.broken.push(format!(
                    "{path}: bytes {range:?} were thrown away ({errno}), macOS swallowed it, and the server's \
                     events say nothing of the file"
                ));
            }
        }
    }

    fn judge_content(&self, path: &str, found: &[u8], findings: &mut Findings) {
        if found.len() != self.content.len() && !self.size_unknown && self.discards.is_empty() {
            let (found, promised) = (found.len(), self.content.len());
            findings.broken.push(format!("{path} has {found} bytes instead of {promised}"));
        }
        let wrong = |at: usize| found.get(at) != Some(&self.content[at]) && !self.is_excused(at, found.len());
        let (mut at, mut reported) = (0, 0);
        while at < self.content.len() {
            let start = at;
            while at < self.content.len() && wrong(at) {
                at += 1;
            }
            if start < at && reported < REPORTED {
                reported += 1;
                findings.broken.push(format!(
                    "{path}: bytes {start}..{at} are not what was written, and no write of them failed"
                ));
            }
            at += 1;
        }
    }

    /// Thrown away after it was promised (whether that was told is judged apart), or never promised. Zeros in front
    /// of a write that was thrown away are not there when nothing behind them is.
    fn is_excused(&self, at: usize, found: usize) -> bool {
        let gap = at >= found && self.content[at] == 0;
        let at = at as u64;
        if self.unknown.contains(&at) {
            return true;
        }
        let promised = self.promised.get(&at).copied().unwrap_or(0);
        let covers = |range: &Range<u64>| range.contains(&at) || (gap && range.end > at);
        self.discards.iter().any(|discard| covers(&discard.range) && discard.at > promised)
    }
}
