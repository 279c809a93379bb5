//! Kills, power cuts, restarts.

use std::time::Duration;

use super::{HUB, Outcome, Seen, World, fingerprint};
use crate::disk::{self, Luck};
use crate::plain::{self, Node, Plain, ROOT};
use crate::protocol::{Answer, Call, How, Kind};
use crate::steps::Step;

impl World {
    pub(super) fn crash(&mut self, step: Step) -> Outcome {
        match step {
            Step::Kill => {
                self.kill()?;
                self.verify()
            }
            Step::KillIn { node, dir, name, what, after_us } => {
                self.kill_in(node, dir, super::home::name_of(name), what, after_us)
            }
            Step::Cut(luck) => self.cut(luck),
            Step::Restart => self.restart(),
            other => Err(format!("{other:?} is no crash")),
        }
    }

    /// SIGKILL and a new start. The client goes on: the kernel is the same.
    fn kill(&mut self) -> Outcome {
        self.tally.kills += 1;
        if let Some(process) = self.process.take() {
            process.kill();
        }
        self.begin(true)
    }

    fn restart(&mut self) -> Outcome {
        if let Some(process) = self.process.take() {
            process.shut_down()?;
        }
        // Everything acknowledged is on stable storage; only the client does not know it.
        for node in self.plain.nodes.values_mut() {
            node.file.since_commit.clone_from(&node.file.may_be);
            node.file.torn.clear();
        }
        self.plain.names_synced();
        self.begin(true)?;
        self.verify()
    }

    /// Killed while names change; the client sends the call again, and it must have been done once.
    fn kill_in(&mut self, number: u16, dir: u16, name: &str, what: u8, after_us: u16) -> Outcome {
        let dir = self.folder(dir);
        let node = self.node(number);
        if self.plain.name_in_doubt(dir, name) || node.is_some_and(|id| self.plain.in_doubt(id)) {
            return Ok(());
        }
        let free = self.plain.child(dir, name).is_none();
        let file = node.filter(|id| self.plain.nodes[id].kind != Kind::Folder);
        let verifier = self.dice.draw();
        let call = match (what, file, node) {
            (0, ..) if free => Call::Create { dir, name: name.into(), how: How::Exclusive(verifier) },
            (1, ..) if free => Call::Mkdir { dir, name: name.into() },
            (2, Some(id), _) => {
                Call::Remove { dir: self.plain.nodes[&id].parent, name: self.plain.nodes[&id].name.clone() }
            }
            (3, _, Some(id)) if free && !self.plain.is_below(dir, id) => {
                let (from, old) = (self.plain.nodes[&id].parent, self.plain.nodes[&id].name.clone());
                Call::Rename { dir: from, name: old, to_dir: dir, to_name: name.into() }
            }
            _ => return Ok(()),
        };
        let process = self.process()?;
        let number = process.send(call.clone(), &[])?;
        std::thread::sleep(Duration::from_micros(u64::from(after_us)));
        let Some(process) = self.process.take() else { return Ok(()) };
        let answered = process.kill().remove(&number);
        self.tally.kills += 1;
        self.note(format!("  {call:?}, killed after {after_us} µs: {answered:?}"));
        if let Some((Answer::Refused { kind, what }, _)) = &answered {
            if self.weather && HUB.contains(&kind.as_str()) {
                self.begin(true)?;
                return self.verify();
            }
            return Err(format!("refused for no reason: {kind}: {what}"));
        }
        self.begin(true)?;
        if answered.is_none() {
            let again = self.ask(call.clone())?;
            if let Answer::Refused { kind, .. } = &again {
                let done_before = ["Exists", "NotFound"].contains(&kind.as_str());
                if !(done_before || self.weather && HUB.contains(&kind.as_str())) {
                    return Err(format!("sent again after a crash: {again:?}"));
                }
                if !done_before {
                    return self.after_unknown_fate();
                }
            }
        }
        self.account(&call, node)?;
        self.verify()
    }

    /// The resent call could not be carried out for the Hub's sake: what is there now is what counts.
    fn after_unknown_fate(&mut self) -> Outcome {
        self.far.clear();
        let Some(all) = self.walk()? else { return Ok(()) };
        self.rebuild(all, false)
    }

    /// The model's side of a change of names that was done.
    fn account(&mut self, call: &Call, node: Option<u64>) -> Outcome {
        match call {
            Call::Create { dir, name, .. } | Call::Mkdir { dir, name } => {
                match self.ask(Call::Lookup { dir: *dir, name: name.clone() })? {
                    Answer::Attr(attr) => self.adopt(*dir, name, &attr).map(|_| ()),
                    other => Err(format!("{name} was made before a crash, and then: {other:?}")),
                }
            }
            Call::Remove { .. } => {
                node.iter().for_each(|id| self.plain.remove(*id));
                Ok(())
            }
            Call::Rename { to_dir, to_name, .. } => match node {
                Some(id) => self.moved(id, *to_dir, to_name),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Many WRITEs beside each other, each to a stretch of its own, with COMMITs between them.
    pub(super) fn burst(&mut self, number: u16, writes: u8, fill: u32, kill: Option<u8>) -> Outcome {
        let Some(id) = self.file(number).filter(|id| !self.plain.nodes[id].doubtful) else { return Ok(()) };
        const STRETCH: usize = 6000;
        let before = self.plain.nodes[&id].file.may_be.clone();
        let mut sent = Vec::new();
        for index in 0..u64::from(writes) {
            let length = 1 + (fill as usize + 977 * index as usize) % STRETCH;
            let bytes = testkit::bytes(u64::from(fill) + index, length);
            // Out of order, as kernels send.
            let at = (index ^ 3) * STRETCH as u64;
            let durable = index % 5 == 4;
            let call = Call::Write { id, offset: at, durable };
            sent.push((self.process()?.send(call, &bytes)?, at, bytes, durable));
            if index % 6 == 5 {
                self.process()?.send(Call::Commit { id }, &[])?;
            }
        }
        let answers = match kill {
            None => {
                let mut answers = std::collections::HashMap::new();
                for (number, ..) in &sent {
                    answers.insert(*number, self.process()?.wait(*number)?);
                }
                answers
            }
            Some(after) => {
                self.process()?.wait_for_any(usize::from(after))?;
                self.tally.kills += 1;
                self.process.take().map(|process| process.kill()).unwrap_or_default()
            }
        };
        let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
        let mut unanswered = Vec::new();
        let mut synced = false;
        for (number, at, bytes, durable) in sent {
            match answers.get(&number) {
                Some((Answer::Wrote { verifier, .. }, _)) => {
                    node.file.wrote(at, &bytes, durable, *verifier);
                    synced |= durable;
                }
                None if kill.is_some() => unanswered.push((at, bytes)),
                other => return Err(format!("a WRITE of a burst was answered {other:?}")),
            }
        }
        node.shown = None;
        if synced && unanswered.is_empty() {
            self.plain.names_synced();
        }
        self.know_file(id);
        if kill.is_some() {
            self.begin(true)?;
            self.resend(id, unanswered)?;
        }
        match self.ask(Call::Getattr { id })? {
            Answer::Attr(attr) => self.see(&attr, false)?,
            other => return Err(format!("after a burst: {other:?}")),
        }
        self.edited(id, &before)?;
        if kill.is_some() { self.verify() } else { Ok(()) }
    }

    /// What was acknowledged is there; of what was not, any part. Then the client sends that again.
    fn resend(&mut self, id: u64, unanswered: Vec<(u64, Vec<u8>)>) -> Outcome {
        if let Some(seen) = self.read_all(id)? {
            let Some(node) = self.plain.nodes.get_mut(&id) else { return Ok(()) };
            let mut with = node.file.may_be.clone();
            for (at, bytes) in &unanswered {
                with.iter_mut().for_each(|content| plain::put(content, *at, bytes));
            }
            // Where a later write came through and this one did not, the file has grown over a gap.
            let (old, new) = (node.file.may_be[0].len() as u64, with[0].len() as u64);
            with.extend(node.file.may_be.clone());
            plain::may_be_left(&with, std::slice::from_ref(&(old..new)), &seen)
                .map_err(|error| format!("{} after a kill in a burst: {error}", self.plain.path(id)))?;
        }
        let verifier = self.process()?.verifier;
        for (at, bytes) in unanswered {
            let answer = self.ask_with(Call::Write { id, offset: at, durable: false }, &bytes)?;
            if !matches!(answer, Answer::Wrote { .. }) {
                return Err(format!("a WRITE sent again was answered {answer:?}"));
            }
            if let Some(node) = self.plain.nodes.get_mut(&id) {
                // The verifier stays that of the life before: the client has writes of both.
                node.file.wrote(at, &bytes, false, verifier);
            }
        }
        Ok(())
    }

    /// The power goes; the machine comes up with what its disk has.
    fn cut(&mut self, luck: Luck) -> Outcome {
        self.tally.cuts += 1;
        if let Some(process) = self.process.take() {
            process.kill();
        }
        let (state, stable) = (self.state(), self.stable());
        self.life += 1;
        self.boot += 1;
        disk::cut(&state, &stable, &self.state(), luck, &mut self.dice)
            .map_err(|error| format!("building the disk after a power cut: {error}"))?;
        self.all_stable()?;
        self.far.clear();
        self.begin(false)?;
        let weather = std::mem::replace(&mut self.weather, false);
        for (id, node) in &self.plain.nodes {
            if node.kind == Kind::File && (!node.file.unstable.is_empty() || node.file.since_commit.len() > 1)
            {
                let path = self.plain.path(*id);
                self.plain.recovered.insert(path);
            }
        }
        // A removal that was not synced is undone, and then the file may be split off, too.
        for node in self.plain.removed.values().filter(|node| !node.file.torn.is_empty()) {
            let path = self.plain.path_in(node.parent, &node.name);
            self.plain.recovered.insert(path);
        }
        let all = self.walk()?.ok_or("the Hub is well, but something could not be read")?;
        for seen in &all {
            self.after_cut(seen)?;
        }
        let lost = self.plain.nodes.iter().find(|(id, node)| {
            **id != ROOT && node.named && !node.doubtful && !all.iter().any(|seen| seen.attr.id == **id)
        });
        if let Some((id, node)) = lost {
            return Err(format!("{} ({id}), whose name was synced, is lost: {node:?}", self.plain.path(*id)));
        }
        self.rebuild(all, true)?;
        self.weather = weather;
        self.ask(Call::StartSync)?;
        if self.paused {
            self.ask(Call::Pause)?;
        }
        Ok(())
    }

    fn after_cut(&mut self, seen: &Seen) -> Outcome {
        let (id, path) = (seen.attr.id, &seen.path);
        let back = self.plain.removed.get(&id);
        let Some(node) = self.plain.nodes.get(&id).or(back) else {
            let fine = seen.attr.kind == Kind::Folder || self.plain.is_explained(path);
            let known =
                seen.content.as_ref().is_none_or(|content| self.known.contains(&fingerprint(content)));
            return match (fine, known) {
                (true, true) => Ok(()),
                (false, _) => Err(format!("{path} ({id}) is there after a power cut, and nobody made it")),
                (_, false) => Err(format!("{path} has a content that nobody wrote after a power cut")),
            };
        };
        if let Some(content) = &seen.content {
            let mut contents = node.file.since_commit.clone();
            if node.doubtful {
                contents.extend(node.file.may_be.clone());
            }
            // Known gap: a file removed just before comes back, and then with what the Hub has of it.
            // In doubt, an edit that was not committed may be lost, and then theirs shows.
            // A move that was not synced is undone: then what others put at the old name meanwhile is its content.
            let moved_back = node.moved && self.theirs.get(path) == Some(content);
            let gap = (node.doubtful || moved_back || !self.plain.nodes.contains_key(&id))
                && self.known.contains(&fingerprint(content));
            plain::may_be_left(&contents, &node.file.torn, content)
                .or_else(|error| if gap { Ok(()) } else { Err(error) })
                .map_err(|error| format!("{path} ({id}) after a power cut: {error}"))?;
        }
        let here = self.plain.nodes.contains_key(&id) && !self.plain.in_doubt(id);
        let mut at = id;
        let mut settled = here;
        while at != ROOT && settled {
            let node = &self.plain.nodes[&at];
            settled = node.named && !node.moved;
            at = node.parent;
        }
        let expected = self.plain.path(id);
        let epoch_open = self.plain.recovered.contains(&expected);
        if settled && *path != expected && !(epoch_open && path.contains(" (recovered ")) {
            return Err(format!("{expected} is called {path} after a power cut"));
        }
        Ok(())
    }

    /// What is shown now is what counts from here on: for a client of a new boot there is nothing before it.
    pub(super) fn rebuild(&mut self, all: Vec<Seen>, after_cut: bool) -> Outcome {
        let mut plain = Plain::new();
        std::mem::swap(&mut plain.ever, &mut self.plain.ever);
        std::mem::swap(&mut plain.disputed, &mut self.plain.disputed);
        std::mem::swap(&mut plain.recovered, &mut self.plain.recovered);
        std::mem::swap(&mut plain.removed, &mut self.plain.removed);
        for seen in all {
            let id = seen.attr.id;
            plain.ever.insert(id, seen.attr.kind);
            let mut node = Node::new(seen.parent, &seen.name, seen.attr.kind);
            node.shown = Some((seen.attr.mtime, seen.attr.ctime));
            (node.named, node.moved) = (true, false);
            if let Some(content) = seen.content {
                self.known.insert(fingerprint(&content));
                node.file.may_be = vec![content];
            }
            if let Some(old) = self.plain.nodes.get(&id) {
                node.doubtful = old.doubtful;
                if old.doubtful {
                    node.file.may_be.extend(old.file.may_be.iter().cloned());
                }
            }
            let old = self.plain.nodes.get(&id).or(plain.removed.get(&id));
            if after_cut && old.is_some_and(|old| !old.file.torn.is_empty()) {
                // Half an overwrite may be in it, or the Hub may have been given what the disk has lost again:
                // then both are kept.
                node.doubtful = true;
                node.file.must = true;
                plain.disputed.insert(seen.path.clone());
            }
            node.doubtful |= plain.disputed.contains(&seen.path);
            node.file.since_commit.clone_from(&node.file.may_be);
            plain.nodes.insert(id, node);
        }
        // Deleted elsewhere: no name, but the handle stays good; in this boot.
        for (id, node) in &self.plain.nodes {
            let kept = node.doubtful && !after_cut && node.kind == Kind::File;
            if !plain.nodes.contains_key(id) {
                let to = if kept { &mut plain.nodes } else { &mut plain.removed };
                to.insert(*id, node.clone());
            }
        }
        self.plain = plain;
        Ok(())
    }
}
