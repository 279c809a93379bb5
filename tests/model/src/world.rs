//! Carries steps out, on the real file system and on the model, and compares.
//!
//! Whatever the file system is asked is judged at once ([`World::judge`]): where nobody else has a hand in it,
//! the answer, the size, the clocks and the bytes must be exactly the model's. Where somebody else changed
//! something since the last settling (*doubtful*), one of several outcomes is right, and what must not be lost is
//! noted instead: `File::must` for our side, `World::theirs` for the other. `Settle` ends all doubt.

mod crash;
mod home;
mod settle;
mod there;

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::Stable;
use crate::far_side::FarSide;
use crate::plain::{Node, Plain, ROOT};
use crate::process::Process;
use crate::protocol::{Answer, Attr, Call, Entry, Kind, Start};
use crate::steps::{Dice, Step};

/// `Err` says what is wrong with the file system under test.
pub type Outcome<T = ()> = Result<T, String>;

/// Refusals that a Hub in bad weather may cause. Never NotFound, never Gone.
const HUB: [&str; 5] = ["Offline", "Slow", "Hub", "Access", "NoSpace"];
/// Refusals of changes of names that somebody else's change may cause.
const DOUBT: [&str; 7] =
    ["NotFound", "Exists", "IsDirectory", "NotDirectory", "NotEmpty", "Invalid", "CrossesLayers"];

pub struct World {
    home: testkit::TempDir,
    program: PathBuf,
    far: FarSide,
    process: Option<Process>,
    plain: Plain,
    /// Number of the state directory: a power cut leaves another.
    life: u32,
    boot: u32,
    /// Something at the Hub went wrong since the last settling.
    weather: bool,
    /// By a step; the Hub is then not told anything.
    paused: bool,
    /// What others have put and must be found at the next settling, by key.
    theirs: BTreeMap<String, Vec<u8>>,
    /// Every content that somebody wrote, by its hash.
    known: HashSet<u64>,
    dice: Dice,
    /// By then a Hub that is well has everything, and the mount shows what others did.
    pub patience: Duration,
    pub trace: Vec<String>,
    pub tally: Tally,
}

/// What a run did, for the figures.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub calls: u64,
    pub kills: u64,
    pub cuts: u64,
    pub settled: u64,
    pub theirs: u64,
    pub conflicts: u64,
}

/// An object as the file system shows it.
struct Seen {
    path: String,
    parent: u64,
    name: String,
    attr: Attr,
    /// Of files; `None` when the Hub could not be asked.
    content: Option<Vec<u8>>,
}

impl World {
    pub fn new(program: &Path, seed: u64) -> Outcome<Self> {
        let mut world = World {
            home: testkit::tempdir().map_err(|error| error.to_string())?,
            program: program.to_owned(),
            far: FarSide::start(),
            process: None,
            plain: Plain::new(),
            life: 0,
            boot: 0,
            weather: false,
            paused: false,
            theirs: BTreeMap::new(),
            known: HashSet::new(),
            dice: Dice::new(seed ^ 0xC0FF_EE00),
            patience: Duration::from_secs(20),
            trace: Vec::new(),
            tally: Tally::default(),
        };
        world.know(&[]);
        std::fs::create_dir_all(world.state()).map_err(|error| error.to_string())?;
        world.begin(true)?;
        Ok(world)
    }

    /// One step; `Err` is a broken promise.
    pub fn step(&mut self, step: Step) -> Outcome {
        match step {
            Step::Kill | Step::KillIn { .. } | Step::Cut(_) | Step::Restart => self.crash(step),
            Step::TheirPut { .. }
            | Step::TheirDelete { .. }
            | Step::TheirRename { .. }
            | Step::Hub(_)
            | Step::Expire
            | Step::Down
            | Step::Clear => self.there(step),
            Step::Settle => self.settle(),
            Step::Status => self.is_saved_if_it_says_so(),
            Step::Nap { ms } => {
                std::thread::sleep(Duration::from_millis(u64::from(ms)));
                Ok(())
            }
            Step::Pause => {
                self.paused = true;
                self.ask(Call::Pause).map(|_| ())
            }
            _ => self.at_home(step),
        }
    }

    fn state(&self) -> PathBuf {
        self.home.path().join(format!("state-{}", self.life))
    }

    fn stable(&self) -> PathBuf {
        self.home.path().join(format!("stable-{}", self.life))
    }

    /// Starts the file system; with `sync` the queue runs at once.
    fn begin(&mut self, sync: bool) -> Outcome {
        let start = Start {
            state: self.state().display().to_string(),
            stable: self.stable().display().to_string(),
            xet: self.home.path().join("xet").display().to_string(),
            endpoint: self.far.endpoint().to_owned(),
            token: self.far.token().to_owned(),
            bucket: self.far.bucket.clone(),
            boot: format!("boot-{}", self.boot),
            debounce_ms: 30,
        };
        self.process = Some(Process::start(&self.program, &start)?);
        if sync {
            self.ask(Call::StartSync)?;
            if self.paused {
                self.ask(Call::Pause)?;
            }
        }
        Ok(())
    }

    fn process(&mut self) -> Outcome<&mut Process> {
        self.process.as_mut().ok_or_else(|| "the file system does not run".to_owned())
    }

    fn ask(&mut self, call: Call) -> Outcome<Answer> {
        self.ask_with(call, &[])
    }

    fn ask_with(&mut self, call: Call, payload: &[u8]) -> Outcome<Answer> {
        self.tally.calls += 1;
        let said = format!("{call:?}");
        let (answer, _) = self.process()?.ask(call, payload)?;
        self.note(format!("  {said} -> {}", brief(&answer)));
        Ok(answer)
    }

    fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    /// Somebody wrote this: it may be seen.
    fn know(&mut self, content: &[u8]) {
        self.known.insert(fingerprint(content));
    }

    fn know_file(&mut self, id: u64) {
        let contents = self.plain.nodes.get(&id).map(|node| node.file.may_be.clone()).unwrap_or_default();
        for content in contents {
            self.know(&content);
        }
    }

    /// Compares an answer with what was expected: `Ok(true)` when it was done, `Ok(false)` when it was rightly
    /// refused.
    fn judge(&mut self, answer: &Answer, expected: Result<(), &[&str]>, doubtful: bool) -> Outcome<bool> {
        match (answer, expected) {
            (Answer::Refused { kind, .. }, Err(kinds)) if kinds.contains(&kind.as_str()) => Ok(false),
            (Answer::Refused { kind, .. }, _) if self.weather && HUB.contains(&kind.as_str()) => Ok(false),
            (Answer::Refused { kind, .. }, _) if doubtful && DOUBT.contains(&kind.as_str()) => Ok(false),
            (Answer::Refused { kind, what }, Ok(())) => Err(format!("refused for no reason: {kind}: {what}")),
            (Answer::Refused { kind, what }, Err(kinds)) => {
                Err(format!("refused with {kind} ({what}) instead of {kinds:?}"))
            }
            (_, Err(kinds)) if !doubtful => Err(format!("done, but should be refused with {kinds:?}")),
            _ => Ok(true),
        }
    }

    /// Takes shown attributes in. `changed`: by us, just now, so the clock must have moved.
    fn see(&mut self, attr: &Attr, changed: bool) -> Outcome {
        let path = self.plain.path(attr.id);
        let Some(node) = self.plain.nodes.get_mut(&attr.id) else {
            return Err(format!("attributes of {}, which nobody knows", attr.id));
        };
        if node.kind != attr.kind {
            return Err(format!("{path} was a {:?} and is a {:?}", node.kind, attr.kind));
        }
        let sizes: Vec<u64> = node.file.may_be.iter().map(|content| content.len() as u64).collect();
        if node.kind == Kind::File && !sizes.contains(&attr.size) {
            return Err(format!("{path} is {} bytes long instead of {sizes:?}", attr.size));
        }
        if let Some((mtime, ctime)) = node.shown {
            let exact = node.kind == Kind::File && !node.doubtful && !changed;
            let fine = match (changed, exact) {
                (true, _) => attr.mtime > mtime,
                (_, true) => (attr.mtime, attr.ctime) == (mtime, ctime),
                _ => attr.mtime >= mtime,
            };
            if !fine || attr.ctime < ctime {
                let now = (attr.mtime, attr.ctime);
                return Err(format!(
                    "{path}: mtime and ctime went from {:?} to {now:?} (changed: {changed})",
                    (mtime, ctime)
                ));
            }
        }
        node.shown = Some((attr.mtime, attr.ctime));
        Ok(())
    }

    /// An object that was not known before.
    fn adopt(&mut self, parent: u64, name: &str, attr: &Attr) -> Outcome<&mut Node> {
        if self.plain.ever.insert(attr.id, attr.kind).is_some() {
            return Err(format!("the number {} of {name} was another file's", attr.id));
        }
        let node = self.plain.nodes.entry(attr.id).or_insert_with(|| Node::new(parent, name, attr.kind));
        node.shown = Some((attr.mtime, attr.ctime));
        Ok(node)
    }

    /// The whole file, or `None` when the Hub could not be asked.
    fn read_all(&mut self, id: u64) -> Outcome<Option<Vec<u8>>> {
        let mut content = Vec::new();
        loop {
            let call = Call::Read { id, offset: content.len() as u64, count: 1 << 17 };
            self.tally.calls += 1;
            match self.process()?.ask(call, &[])? {
                (Answer::Read { eof, attr }, bytes) => {
                    content.extend_from_slice(&bytes);
                    if eof {
                        if content.len() as u64 != attr.size {
                            return Err(format!("{} of {} bytes, then the end", content.len(), attr.size));
                        }
                        return Ok(Some(content));
                    }
                    if bytes.is_empty() {
                        return Err("a read before the end brought nothing".into());
                    }
                }
                (Answer::Refused { kind, .. }, _) if self.weather && HUB.contains(&kind.as_str()) => {
                    self.note(format!("  read {id} -> {kind}"));
                    return Ok(None);
                }
                (other, _) => return Err(format!("reading {}: {other:?}", self.plain.path(id))),
            }
        }
    }

    /// The names in a folder, or `None` when it could not be listed and that is no fault.
    fn entries(&mut self, dir: u64) -> Outcome<Option<Vec<Entry>>> {
        match self.ask(Call::Readdir { dir })? {
            Answer::Entries(mut entries) => {
                entries.retain(|entry| entry.name != ".metadata_never_index");
                let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
                if names.len() != entries.len() {
                    return Err(format!("a name comes twice in {}", self.plain.path(dir)));
                }
                Ok(Some(entries))
            }
            answer => {
                let doubtful = self.plain.in_doubt(dir);
                self.judge(&answer, Ok(()), doubtful).map(|_| None)
            }
        }
    }

    /// Everything there is; `None` when the Hub could not be asked.
    fn walk(&mut self) -> Outcome<Option<Vec<Seen>>> {
        let (mut all, mut folders) = (Vec::new(), vec![(ROOT, String::new())]);
        while let Some((dir, path)) = folders.pop() {
            let Some(entries) = self.entries_of_any(dir)? else { return Ok(None) };
            for Entry { name, attr } in entries {
                let path = crate::plain::join(&path, &name);
                let content = match attr.kind {
                    Kind::File => self.read_all(attr.id)?,
                    _ => None,
                };
                if attr.kind == Kind::Folder {
                    folders.push((attr.id, path.clone()));
                }
                all.push(Seen { path, parent: dir, name, attr, content });
            }
        }
        Ok(Some(all))
    }

    /// As [`World::entries`], of a folder the model may not know.
    fn entries_of_any(&mut self, dir: u64) -> Outcome<Option<Vec<Entry>>> {
        if self.plain.nodes.contains_key(&dir) {
            return match self.entries(dir)? {
                None if !self.weather => Ok(Some(Vec::new())),
                entries => Ok(entries),
            };
        }
        match self.ask(Call::Readdir { dir })? {
            Answer::Entries(entries) => Ok(Some(entries)),
            Answer::Refused { kind, .. } if self.weather && HUB.contains(&kind.as_str()) => Ok(None),
            other => Err(format!("listing {dir}: {other:?}")),
        }
    }

    /// Compares everything that is shown with the model.
    fn verify(&mut self) -> Outcome {
        let Some(all) = self.walk()? else { return Ok(()) };
        let mut ids = HashSet::new();
        for seen in &all {
            if !ids.insert(seen.attr.id) {
                return Err(format!("{} is shown twice, also as {}", seen.attr.id, seen.path));
            }
            self.compare(seen)?;
        }
        let lost = self.plain.nodes.iter().find(|(id, node)| {
            **id != ROOT && !node.doubtful && !ids.contains(id) && !self.plain.in_doubt(node.parent)
        });
        match lost {
            Some((id, _)) => Err(format!("{} ({id}) is gone", self.plain.path(*id))),
            None => Ok(()),
        }
    }

    fn compare(&mut self, seen: &Seen) -> Outcome {
        let id = seen.attr.id;
        let Some(node) = self.plain.nodes.get_mut(&id) else { return self.meet(seen) };
        if node.parent != seen.parent || node.name != seen.name {
            if !node.doubtful {
                return Err(format!("{} is shown as {}", self.plain.path(id), seen.path));
            }
            if seen.name.contains(" (conflict ") {
                self.tally.conflicts += 1;
            }
            (node.parent, node.name) = (seen.parent, seen.name.clone());
        }
        if let Some(content) = &seen.content
            && !node.file.may_be.contains(content)
        {
            let wrong = crate::plain::may_be_left(&node.file.may_be, &[], content);
            return Err(format!("{} has a wrong content: {wrong:?}", seen.path));
        }
        self.see(&seen.attr, false)
    }

    /// Something shows that the model did not make: fine where somebody else had a hand in it.
    fn meet(&mut self, seen: &Seen) -> Outcome {
        if !self.plain.is_explained(&seen.path) {
            return Err(format!("{} ({}) is there, and nobody made it", seen.path, seen.attr.id));
        }
        if let Some(content) = &seen.content
            && !self.known.contains(&fingerprint(content))
        {
            return Err(format!("{} has a content that nobody wrote", seen.path));
        }
        let content = seen.content.clone();
        let node = self.adopt(seen.parent, &seen.name, &seen.attr)?;
        node.doubtful = true;
        if let Some(content) = content {
            node.file.may_be = vec![content];
            node.file.since_commit.clone_from(&node.file.may_be);
        }
        Ok(())
    }

    /// Notes everything below the state directory as being on stable storage.
    fn all_stable(&self) -> Outcome {
        Stable::open(&self.state(), &self.stable())
            .and_then(|stable| stable.all())
            .map_err(|error| format!("noting what is stable: {error}"))
    }
}

fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

fn brief(answer: &Answer) -> String {
    let mut text = format!("{answer:?}");
    if text.len() > 400 {
        text = format!("{}…", text.chars().take(400).collect::<String>());
    }
    text
}
