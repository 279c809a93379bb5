//! What programs on this machine do.

use super::{Outcome, World};
use crate::plain::{self, ROOT};
use crate::protocol::{Answer, Call, How, Kind, Local};
use crate::steps::{NAMES, Step};

/// Files stay below this.
const LARGEST: u64 = 500_000;

impl World {
    pub(super) fn at_home(&mut self, step: Step) -> Outcome {
        match step {
            Step::Create { dir, name, exclusive } => {
                let how = if exclusive { How::Exclusive(self.dice.draw()) } else { How::Guarded };
                let dir = self.folder(dir);
                self.create(dir, name_of(name), how).map(|_| ())
            }
            Step::Mkdir { dir, name } => {
                let dir = self.folder(dir);
                self.make(Call::Mkdir { dir, name: name_of(name).into() }, dir, name_of(name)).map(|_| ())
            }
            Step::Symlink { dir, name } => {
                let (dir, name, target) = (self.folder(dir), name_of(name), "../target".to_owned());
                self.make(Call::Symlink { dir, name: name.into(), target }, dir, name).map(|_| ())
            }
            Step::Remove { node } => self.remove(node),
            Step::Rmdir { node } => self.rmdir(node),
            Step::Rename { node, dir, name } => {
                let Some(id) = self.node(node) else { return Ok(()) };
                let to_dir = self.folder(dir);
                self.rename(id, to_dir, name_of(name)).map(|_| ())
            }
            Step::Save { dir, name, length, fill } => {
                let dir = self.folder(dir);
                match self.create(dir, name_of(name), How::Emptied)? {
                    Some(id) => self.fill(id, length, fill),
                    None => Ok(()),
                }
            }
            Step::SafeSave { file, length, fill } => self.safe_save(file, length, fill),
            Step::Write { file, at, length, fill, durable } => {
                let Some(id) = self.file(file) else { return Ok(()) };
                let at = self.offset(id, at);
                self.write(id, at, &testkit::bytes(u64::from(fill), length as usize), durable)
            }
            Step::Resize { file, size } => match self.file(file) {
                Some(id) => self.resize(id, u64::from(size)),
                None => Ok(()),
            },
            Step::Commit { file } => self.file(file).map_or(Ok(()), |id| self.commit(id)),
            Step::Touch { file, back } => self.touch(file, back),
            Step::Look { file } => self.look(file),
            Step::List { dir } => {
                let dir = self.folder(dir);
                self.list(dir)
            }
            Step::Burst { file, writes, fill, kill } => self.burst(file, writes, fill, kill),
            Step::FailedCommit { file, times } => self.failed_commit(file, times),
            Step::FailedWrite { file, at, length, fill } => self.failed_write(file, at, length, fill),
            other => Err(format!("{other:?} is no step of this side")),
        }
    }

    pub(super) fn folder(&self, number: u16) -> u64 {
        let folders = self.plain.of_kind(Kind::Folder);
        folders[usize::from(number) % folders.len()]
    }

    pub(super) fn file(&self, number: u16) -> Option<u64> {
        let files = self.plain.of_kind(Kind::File);
        (!files.is_empty()).then(|| files[usize::from(number) % files.len()])
    }

    /// Anything but the root.
    pub(super) fn node(&self, number: u16) -> Option<u64> {
        let nodes: Vec<u64> = self.plain.nodes.keys().copied().filter(|id| *id != ROOT).collect();
        (!nodes.is_empty()).then(|| nodes[usize::from(number) % nodes.len()])
    }

    fn offset(&self, id: u64, thousandths: u16) -> u64 {
        let size = self.plain.nodes[&id].file.may_be.first().map_or(0, Vec::len) as u64;
        (size * u64::from(thousandths) / 1000).min(LARGEST)
    }

    /// CREATE; `Some` is the file, empty if that was asked for.
    fn create(&mut self, dir: u64, name: &str, how: How) -> Outcome<Option<u64>> {
        let there = self.plain.child(dir, name).map(|id| (id, self.plain.nodes[&id].kind));
        let Some((id, Kind::File)) = there.filter(|_| matches!(how, How::Emptied)) else {
            return self.make(Call::Create { dir, name: name.into(), how }, dir, name);
        };
        let doubtful = self.plain.name_in_doubt(dir, name);
        let answer = self.ask(Call::Create { dir, name: name.into(), how })?;
        if !self.judge(&answer, Ok(()), doubtful)? {
            return Ok(None);
        }
        let Answer::Made { attr, .. } = answer else { return Err(format!("CREATE answered {answer:?}")) };
        if attr.id != id {
            return match self.plain.nodes.contains_key(&attr.id) || !doubtful {
                true => Err(format!("CREATE of {} opened another file, {}", self.plain.path(id), attr.id)),
                false => self.taken_in(dir, name, &attr).map(Some),
            };
        }
        self.forgive(id);
        let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(None) };
        node.file.unstable.clear();
        node.file.resized(0);
        node.file.may_be.truncate(1);
        node.file.must = false;
        self.see(&attr, true)?;
        Ok(Some(id))
    }

    /// CREATE, MKDIR and SYMLINK of a name that should be free.
    fn make(&mut self, call: Call, dir: u64, name: &str) -> Outcome<Option<u64>> {
        let doubtful = self.plain.name_in_doubt(dir, name);
        let expected: Result<(), &[&str]> = match self.plain.child(dir, name) {
            Some(_) => Err(&["Exists"]),
            None => Ok(()),
        };
        let may_open = doubtful && matches!(call, Call::Create { how: How::Emptied, .. });
        let answer = self.ask(call)?;
        if !self.judge(&answer, expected, doubtful)? {
            return Ok(None);
        }
        let Answer::Made { attr, dir: change } = answer else {
            return Err(format!("making {name} was answered {answer:?}"));
        };
        let id = self.taken_in(dir, name, &attr)?;
        let moved = change.after.mtime > change.before_mtime;
        if !moved && !may_open {
            return Err(format!("{}: its mtime did not move", self.plain.path(dir)));
        }
        if !moved {
            // Theirs was there already, and has been emptied with open eyes.
            self.theirs.remove(&self.plain.path_in(dir, name));
        }
        self.see(&change.after, moved)?;
        Ok(Some(id))
    }

    fn taken_in(&mut self, dir: u64, name: &str, attr: &crate::protocol::Attr) -> Outcome<u64> {
        let disputed = self.plain.is_explained(&self.plain.path_in(dir, name));
        let node = self.adopt(dir, name, attr)?;
        node.doubtful = disputed;
        if attr.size > 0 && disputed && attr.kind == Kind::File {
            return Err(format!("a new {name} is {} bytes long", attr.size));
        }
        Ok(attr.id)
    }

    /// Whatever others have put at this file's place, or what it may hold of theirs, is now replaced by us with
    /// open eyes or may be: it need not be found.
    pub(super) fn forgive(&mut self, id: u64) {
        let path = self.plain.path(id);
        let Some(node) = self.plain.nodes.get(&id) else { return };
        if node.doubtful {
            self.theirs.retain(|key, content| *key != path && !node.file.may_be.contains(content));
        }
    }

    fn remove(&mut self, number: u16) -> Outcome {
        let Some(id) = self.node(number) else { return Ok(()) };
        let (dir, name) = self.place(id);
        let doubtful = self.plain.name_in_doubt(dir, &name);
        let expected: Result<(), &[&str]> = match self.plain.nodes[&id].kind {
            Kind::Folder => Err(&["IsDirectory"]),
            _ => Ok(()),
        };
        let Some(id) = self.who_is(id, doubtful)? else { return Ok(()) };
        let answer = self.ask(Call::Remove { dir, name })?;
        if self.judge(&answer, expected, doubtful)? {
            self.forgive(id);
            self.plain.remove(id);
            self.changed_folder(&answer)?;
        }
        Ok(())
    }

    /// In doubt, a name is looked up before it is removed or moved: it may be another file's by now.
    fn who_is(&mut self, id: u64, doubtful: bool) -> Outcome<Option<u64>> {
        if !doubtful {
            return Ok(Some(id));
        }
        let (dir, name) = self.place(id);
        match self.ask(Call::Lookup { dir, name })? {
            Answer::Attr(attr) if self.plain.nodes.contains_key(&attr.id) => Ok(Some(attr.id)),
            _ => {
                self.list(dir)?;
                Ok(None)
            }
        }
    }

    fn changed_folder(&mut self, answer: &Answer) -> Outcome {
        let Answer::Changed(change) = answer else { return Err(format!("answered {answer:?}")) };
        if change.after.mtime <= change.before_mtime {
            return Err(format!("{}: its mtime did not move", self.plain.path(change.after.id)));
        }
        self.see(&change.after, true)
    }

    fn rmdir(&mut self, number: u16) -> Outcome {
        let Some(id) = self.node(number) else { return Ok(()) };
        let (dir, name) = self.place(id);
        let doubtful = self.plain.name_in_doubt(dir, &name) || self.plain.is_explained(&self.plain.path(id));
        let expected: Result<(), &[&str]> = match self.plain.nodes[&id].kind {
            Kind::Folder if self.plain.children(id).next().is_some() => Err(&["NotEmpty"]),
            Kind::Folder => Ok(()),
            _ => Err(&["NotDirectory"]),
        };
        let answer = self.ask(Call::Rmdir { dir, name })?;
        if self.judge(&answer, expected, doubtful)? {
            self.erase_folder(id)?;
            self.changed_folder(&answer)?;
        }
        Ok(())
    }

    /// An empty folder goes; in doubt it may have been emptied by others, never of our own files.
    fn erase_folder(&mut self, id: u64) -> Outcome {
        if let Some((child, _)) = self.plain.children(id).find(|(_, child)| !child.doubtful) {
            return Err(format!("a folder was removed with {} in it", self.plain.path(child)));
        }
        self.plain.remove(id);
        Ok(())
    }

    fn rename(&mut self, id: u64, to_dir: u64, to_name: &str) -> Outcome<bool> {
        let (dir, name) = self.place(id);
        let doubtful = self.plain.name_in_doubt(dir, &name) || self.plain.name_in_doubt(to_dir, to_name);
        if self.plain.name_in_doubt(to_dir, to_name) {
            self.list(to_dir)?; // which file the name leads to by now, and which will be replaced
        }
        let expected = self.may_rename(id, to_dir, to_name);
        let Some(id) = self.who_is(id, doubtful)? else { return Ok(false) };
        let call = Call::Rename { dir, name, to_dir, to_name: to_name.into() };
        let answer = self.ask(call)?;
        if !self.judge(&answer, expected, doubtful)? {
            return Ok(false);
        }
        let Answer::Renamed { from, to } = answer else { return Err(format!("RENAME answered {answer:?}")) };
        self.moved(id, to_dir, to_name)?;
        for change in [from, to] {
            self.see(&change.after, false)?;
        }
        Ok(true)
    }

    fn may_rename(&self, id: u64, to_dir: u64, to_name: &str) -> Result<(), &'static [&'static str]> {
        let folder = self.plain.nodes[&id].kind == Kind::Folder;
        if folder && self.plain.is_below(to_dir, id) {
            return Err(&["Invalid", "NotDirectory", "IsDirectory", "NotEmpty"]);
        }
        match self.plain.child(to_dir, to_name).filter(|target| *target != id) {
            None => Ok(()),
            Some(target) => match (folder, self.plain.nodes[&target].kind == Kind::Folder) {
                (true, false) => Err(&["NotDirectory"]),
                (false, true) => Err(&["IsDirectory"]),
                (true, true) if self.plain.children(target).next().is_some() => Err(&["NotEmpty"]),
                _ => Ok(()),
            },
        }
    }

    /// The model's side of a rename that was done.
    pub(super) fn moved(&mut self, id: u64, to_dir: u64, to_name: &str) -> Outcome {
        let (from, to) = (self.plain.path(id), self.plain.path_in(to_dir, to_name));
        let disputed = self.plain.is_explained(&to);
        if let Some(target) = self.plain.child(to_dir, to_name).filter(|target| *target != id) {
            self.forgive(target);
            match self.plain.nodes[&target].kind {
                Kind::Folder => self.erase_folder(target)?,
                _ => self.plain.remove(target),
            }
        }
        self.plain.carry_disputes(&from, &to);
        let everything: Vec<u64> =
            self.plain.nodes.keys().copied().filter(|inner| self.plain.is_below(*inner, id)).collect();
        for inner in everything {
            if let Some(node) = self.plain.nodes.get_mut(&inner) {
                node.moved = true;
                if disputed && inner != ROOT {
                    node.doubtful = true;
                    node.file.must = node.kind == Kind::File && node.file.content().is_some();
                }
            }
        }
        if let Some(node) = self.plain.nodes.get_mut(&id) {
            (node.parent, node.name) = (to_dir, to_name.to_owned());
        }
        match self.ask(Call::Getattr { id })? {
            Answer::Attr(attr) => {
                // A rename moves ctime and nothing else.
                if let Some(node) = self.plain.nodes.get_mut(&id)
                    && let Some((_, ctime)) = &mut node.shown
                    && attr.ctime >= *ctime
                {
                    *ctime = attr.ctime;
                }
                self.see(&attr, false)
            }
            other => Err(format!("{to} was renamed, and then: {other:?}")),
        }
    }

    fn place(&self, id: u64) -> (u64, String) {
        let node = &self.plain.nodes[&id];
        (node.parent, node.name.clone())
    }

    fn safe_save(&mut self, number: u16, length: u32, fill: u32) -> Outcome {
        let Some(id) = self.file(number) else { return Ok(()) };
        let (dir, name) = self.place(id);
        let Some(aside) = self.create(dir, ".aside.swp", How::Emptied)? else { return Ok(()) };
        self.fill(aside, length, fill)?;
        if self.plain.nodes.contains_key(&aside) {
            self.rename(aside, dir, &name)?;
        }
        Ok(())
    }

    fn fill(&mut self, id: u64, length: u32, fill: u32) -> Outcome {
        for (index, part) in testkit::bytes(u64::from(fill), length as usize).chunks(65_536).enumerate() {
            self.write(id, index as u64 * 65_536, part, false)?;
        }
        self.commit(id)
    }

    pub(super) fn write(&mut self, id: u64, at: u64, bytes: &[u8], durable: bool) -> Outcome {
        let before = self.plain.nodes[&id].file.may_be.clone();
        let answer = self.ask_with(Call::Write { id, offset: at, durable }, bytes)?;
        self.wrote(id, at, bytes, durable, &before, answer)
    }

    fn wrote(
        &mut self,
        id: u64,
        at: u64,
        bytes: &[u8],
        durable: bool,
        before: &[Vec<u8>],
        answer: Answer,
    ) -> Outcome {
        if !self.judge(&answer, Ok(()), false)? {
            return Err("a write was refused by the Hub".into());
        }
        let Answer::Wrote { verifier, durable: kept, change } = answer else {
            return Err(format!("WRITE answered {answer:?}"));
        };
        if durable && !kept {
            return Err("a FILE_SYNC write was taken UNSTABLE".into());
        }
        let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
        if !node.doubtful && before.iter().all(|content| content.len() as u64 != change.before_size) {
            return Err(format!("wcc data say {} bytes before the write", change.before_size));
        }
        node.file.wrote(at, bytes, durable, verifier);
        if durable {
            self.plain.names_synced();
        }
        self.see(&change.after, true)?;
        self.edited(id, before)
    }

    /// After an edit: what the file holds now is known, and so is which version of somebody else it replaces.
    pub(super) fn edited(&mut self, id: u64, before: &[Vec<u8>]) -> Outcome {
        self.know_file(id);
        if !self.plain.nodes.get(&id).is_some_and(|node| node.doubtful) {
            return Ok(());
        }
        let seen = self.read_all(id)?;
        let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
        let based: Vec<&Vec<u8>> = match &seen {
            None => before.iter().collect(),
            Some(seen) => {
                let mine = node.file.may_be.iter().zip(before);
                mine.filter(|(content, _)| *content == seen).map(|(_, base)| base).collect()
            }
        };
        if based.is_empty() {
            return Err(format!("{} has a wrong content after an edit", self.plain.path(id)));
        }
        self.theirs.retain(|_, content| !based.iter().any(|base| *base == content));
        if let Some(seen) = seen {
            node.file.may_be = vec![seen];
        }
        node.file.must = true;
        Ok(())
    }

    fn resize(&mut self, id: u64, size: u64) -> Outcome {
        // A kernel sends what it holds before it cuts a file, or gives it up when it cuts to nothing.
        if size > 0 && !self.plain.nodes[&id].file.unstable.is_empty() {
            self.commit(id)?;
        }
        if size == 0 {
            self.forgive(id);
        }
        let before = self.plain.nodes[&id].file.may_be.clone();
        let answer = self.ask(Call::SetSize { id, size })?;
        if !self.judge(&answer, Ok(()), false)? {
            return Err("a change of size was refused by the Hub".into());
        }
        let Answer::Changed(change) = answer else { return Err(format!("SETATTR answered {answer:?}")) };
        let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
        if size == 0 {
            node.file.unstable.clear();
        }
        node.file.resized(size);
        self.see(&change.after, true)?;
        self.edited(id, &before)
    }

    /// COMMIT as a kernel does it: with another verifier in the answer everything is sent again.
    pub(super) fn commit(&mut self, id: u64) -> Outcome {
        for _ in 0..4 {
            let answer = self.ask(Call::Commit { id })?;
            self.judge(&answer, Ok(()), false)?;
            let Answer::Committed { verifier, attr } = answer else {
                return Err(format!("COMMIT answered {answer:?}"));
            };
            self.see(&attr, false)?;
            let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
            if node.file.unstable.is_empty() || node.file.verifier == verifier {
                node.file.committed();
                self.plain.names_synced();
                return Ok(());
            }
            let again = std::mem::take(&mut node.file.unstable);
            self.note(format!("  {id}: another verifier, everything is sent again"));
            for (at, bytes) in again {
                self.write(id, at, &bytes, true)?;
            }
        }
        Err("COMMIT gives another verifier each time".into())
    }

    fn touch(&mut self, number: u16, back: bool) -> Outcome {
        let Some(id) = self.file(number) else { return Ok(()) };
        let Some((mtime, _)) = self.plain.nodes[&id].shown else { return Ok(()) };
        let wanted = if back { 1_000_000_000_123_456_789 } else { mtime + 1_000 };
        let answer = self.ask(Call::SetMtime { id, mtime: wanted })?;
        if !self.judge(&answer, Ok(()), false)? {
            return Err("a change of time was refused by the Hub".into());
        }
        let Answer::Changed(change) = answer else { return Err(format!("SETATTR answered {answer:?}")) };
        if change.after.mtime != wanted {
            return Err(format!("mtime {} instead of {wanted}", change.after.mtime));
        }
        if let Some(node) = self.plain.nodes.get_mut(&id) {
            node.shown = Some((change.after.mtime, change.after.ctime));
        }
        Ok(())
    }

    fn look(&mut self, number: u16) -> Outcome {
        let Some(id) = self.file(number) else { return Ok(()) };
        match self.ask(Call::Getattr { id })? {
            Answer::Attr(attr) => self.see(&attr, false)?,
            other => return Err(format!("{} cannot be looked at: {other:?}", self.plain.path(id))),
        }
        let Some(content) = self.read_all(id)? else { return Ok(()) };
        if self.plain.nodes[&id].file.may_be.contains(&content) {
            return Ok(());
        }
        let wrong = plain::may_be_left(&self.plain.nodes[&id].file.may_be, &[], &content);
        Err(format!("{} has a wrong content: {wrong:?}", self.plain.path(id)))
    }

    /// The names of one folder, and what they lead to.
    pub(super) fn list(&mut self, dir: u64) -> Outcome {
        let Some(entries) = self.entries(dir)? else { return Ok(()) };
        let path = self.plain.path(dir);
        let shown: Vec<u64> = entries.iter().map(|entry| entry.attr.id).collect();
        for entry in entries {
            let content = match self.plain.nodes.contains_key(&entry.attr.id) || entry.attr.kind != Kind::File
            {
                true => None,
                false => self.read_all(entry.attr.id)?,
            };
            let path = plain::join(&path, &entry.name);
            let seen = super::Seen { path, parent: dir, name: entry.name, attr: entry.attr, content };
            self.compare(&seen)?;
        }
        let missing = self.plain.children(dir).find(|(id, node)| !node.doubtful && !shown.contains(id));
        match missing {
            Some((id, _)) => Err(format!("{} ({id}) is not listed", self.plain.path(id))),
            None => Ok(()),
        }
    }

    fn failed_commit(&mut self, number: u16, times: u8) -> Outcome {
        let Some(id) = self.file(number) else { return Ok(()) };
        self.ask(Call::Fail(Local::Syncs(u32::from(times))))?;
        let before = self.process()?.verifier;
        let answer = self.ask(Call::Commit { id })?;
        let Answer::Struck(struck) = self.ask(Call::Heal)? else { return Err("no count of faults".into()) };
        match answer {
            // What the client does then, and what it takes for granted, is the same as ever.
            Answer::Committed { verifier, .. } => {
                let old = self.plain.nodes[&id].file.verifier;
                if struck > 0 && verifier == old && !self.plain.nodes[&id].file.unstable.is_empty() {
                    return Err("a sync failed, and COMMIT answered the old verifier".into());
                }
                self.process()?.verifier = if struck > 0 { verifier } else { before };
                if struck == 0 {
                    let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
                    if node.file.unstable.is_empty() || old == verifier {
                        node.file.committed();
                        self.plain.names_synced();
                    }
                }
                self.commit(id)
            }
            other => Err(format!("COMMIT on a failing disk answered {other:?}: Linux would drop the data")),
        }
    }

    /// ENOSPC in the middle of a copy: told at once, told again by COMMIT, gone when the range is written again.
    fn failed_write(&mut self, number: u16, at: u16, length: u32, fill: u32) -> Outcome {
        let Some(id) = self.file(number) else { return Ok(()) };
        let (at, bytes) = (self.offset(id, at), testkit::bytes(u64::from(fill), length as usize));
        // The failure may strike a write of the file system's own, as when it keeps the base of another edit: then this
        // one was taken, and is tried again.
        for tries in 1.. {
            let before = self.plain.nodes[&id].file.may_be.clone();
            self.ask(Call::Fail(Local::Writes(1)))?;
            let answer = self.ask_with(Call::Write { id, offset: at, durable: false }, &bytes)?;
            let struck = self.ask(Call::Heal)?;
            if !matches!(struck, Answer::Struck(1)) {
                return Err(format!("a write did not reach the disk: {struck:?}"));
            }
            if tries == 4 || !matches!(answer, Answer::Wrote { .. }) {
                self.judge(&answer, Err(&["NoSpace"]), false)?;
                break;
            }
            self.wrote(id, at, &bytes, false, &before, answer)?;
        }
        let answer = self.ask(Call::Commit { id })?;
        self.judge(&answer, Err(&["LocalDisk", "NoSpace"]), false)?;
        let answer = self.ask(Call::SetMtime { id, mtime: 1 })?;
        self.judge(&answer, Err(&["LocalDisk", "NoSpace"]), false)?;
        self.write(id, at, &bytes, false)
    }
}

pub(super) fn name_of(number: u8) -> &'static str {
    NAMES[usize::from(number) % NAMES.len()]
}
