//! What somebody else does at the Hub, and what goes wrong there.

use super::{Outcome, World};
use crate::plain;
use crate::protocol::{Answer, Call, Kind};
use crate::steps::{NAMES, Step};

impl World {
    pub(super) fn there(&mut self, step: Step) -> Outcome {
        match step {
            Step::Hub(weather) => {
                if self.far.weather(weather) {
                    self.weather = true;
                }
                Ok(())
            }
            Step::Expire => {
                self.weather = true;
                self.far.expire();
                Ok(())
            }
            Step::Down => {
                self.weather = true;
                self.far.go_down();
                Ok(())
            }
            Step::Clear => {
                self.far.clear();
                Ok(())
            }
            change if self.far.down => {
                self.note(format!("  nobody reaches the Hub for {change:?}"));
                Ok(())
            }
            Step::TheirPut { key, length, fill } => match self.key_in_peace(key) {
                Some(key) => self.in_calm(|world| {
                    let content = testkit::bytes(u64::from(fill) << 8, length as usize);
                    world.their_put(&key, content)
                }),
                None => Ok(()),
            },
            Step::TheirDelete { key } => self.in_calm(|world| match world.their_key(key) {
                Some(key) => world.their_delete(&key),
                None => Ok(()),
            }),
            Step::TheirRename { key, to } => {
                let Some(to) = self.key_in_peace(to) else { return Ok(()) };
                self.in_calm(|world| {
                    let Some(key) = world.their_key(key).filter(|key| *key != to) else { return Ok(()) };
                    let Some(content) = world.far.content(&key) else { return Ok(()) };
                    world.note(format!("  they rename {key} to {to}"));
                    world.their_put(&to, content)?;
                    world.their_delete(&key)
                })
            }
            other => Err(format!("{other:?} is no step of the other side")),
        }
    }

    /// With no change of ours on its way: the Hub has no preconditions, so what slips in between our look and our
    /// batch is lost today (docs/semantics.md, Known gaps).
    fn in_calm(&mut self, change: impl FnOnce(&mut World) -> Outcome) -> Outcome {
        self.far.clear();
        self.tally.theirs += 1;
        self.ask(Call::Pause)?;
        self.far.wait_for_calm();
        change(self)?;
        if !self.paused {
            self.ask(Call::Resume)?;
        }
        Ok(())
    }

    fn key_in_peace(&mut self, number: u16) -> Option<String> {
        self.far.clear(); // faults would strike our own questions
        self.key_to_write(number)
    }

    /// A key the Hub has.
    fn their_key(&self, number: u16) -> Option<String> {
        let keys = self.far.paths();
        (!keys.is_empty()).then(|| keys[usize::from(number) % keys.len()].clone())
    }

    /// A key that the Hub has, or a new one in a folder of the mount or in a new folder; never one that is a folder
    /// or lies below a file.
    fn key_to_write(&self, number: u16) -> Option<String> {
        let folders = self.plain.of_kind(Kind::Folder);
        let folder = self.plain.path(folders[usize::from(number / 11) % folders.len()]);
        let name = NAMES[usize::from(number) % NAMES.len()];
        let key = match number % 4 {
            0 => return self.their_key(number / 4).filter(|key| self.is_no_folder(key)),
            1 => plain::join(&folder, &format!("theirs/{name}")),
            _ => plain::join(&folder, name),
        };
        self.is_no_folder(&key).then_some(key)
    }

    fn is_no_folder(&self, key: &str) -> bool {
        let inside = format!("{key}/");
        let hub = self.far.paths();
        let parts: Vec<&str> = key.split('/').collect();
        let above: Vec<String> = (1..parts.len()).map(|count| parts[..count].join("/")).collect();
        let kind_here = |path: &str| self.plain.find(path).map(|id| self.plain.nodes[&id].kind);
        !hub.iter().any(|path| path.starts_with(&inside) || above.contains(path))
            && !matches!(kind_here(key), Some(Kind::Folder | Kind::Symlink))
            && above.iter().all(|path| matches!(kind_here(path), Some(Kind::Folder) | None))
            && !self.plain.disputed.iter().any(|path| path.starts_with(&inside) || above.contains(path))
    }

    fn their_put(&mut self, key: &str, content: Vec<u8>) -> Outcome {
        self.note(format!("  they put {key}, {} bytes", content.len()));
        let had = self.far.content(key);
        self.far.put(key, &content);
        self.know(&content);
        self.touched(key, had.as_deref(), Some(&content));
        if content.is_empty() {
            self.theirs.remove(key); // an empty file holds no byte of anybody's
        } else {
            self.theirs.insert(key.to_owned(), content);
        }
        Ok(())
    }

    fn their_delete(&mut self, key: &str) -> Outcome {
        self.note(format!("  they delete {key}"));
        let had = self.far.content(key);
        self.far.delete(key);
        self.touched(key, had.as_deref(), None);
        self.theirs.remove(key);
        Ok(())
    }

    /// What `key` held is replaced, or deleted. A file of ours whose content that was follows, or stays if it was
    /// edited here; then its edit must not be lost.
    fn touched(&mut self, key: &str, had: Option<&[u8]>, now: Option<&[u8]>) {
        self.plain.dispute(key);
        let here = self.plain.find(key);
        for (id, node) in &mut self.plain.nodes {
            if node.kind != Kind::File || !(Some(*id) == here || node.doubtful) {
                continue;
            }
            let theirs_had_it = had.is_some_and(|had| node.file.may_be.iter().any(|content| content == had));
            if theirs_had_it {
                node.doubtful = true;
                node.file.must = false;
                node.file.may_be.extend(now.map(<[u8]>::to_vec));
            } else if Some(*id) == here {
                // One that is in doubt already may have lost this name; then what must be kept is noted already.
                let ours = !std::mem::replace(&mut node.doubtful, true);
                node.file.must |= ours && node.file.content().is_some_and(|content| !content.is_empty());
                if had.is_none() && node.file.may_be.iter().all(Vec::is_empty) {
                    // A new file without a byte gives way to what others have put there.
                    node.file.may_be.extend(now.map(<[u8]>::to_vec));
                }
            }
        }
    }

    /// If everything is said to be saved, the Hub has everything.
    pub(super) fn is_saved_if_it_says_so(&mut self) -> Outcome {
        let Answer::Status { all_saved, .. } = self.ask(Call::Status)? else {
            return Err("no status".into());
        };
        if !all_saved || self.far.down {
            return Ok(());
        }
        self.far.clear();
        let hub = self.far.everything();
        for (id, node) in &self.plain.nodes {
            let path = self.plain.path(*id);
            let ours = node.kind == Kind::File && !self.plain.in_doubt(*id);
            if ours && hub.get(&path) != node.file.content() {
                return Err(format!("everything is said to be saved, but the Hub has not {path} as it is"));
            }
        }
        let extra = hub.keys().find(|key| self.plain.find(key).is_none() && !self.plain.is_explained(key));
        extra
            .map_or(Ok(()), |key| Err(format!("everything is said to be saved, but the Hub still has {key}")))
    }
}
