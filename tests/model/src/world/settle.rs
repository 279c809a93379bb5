//! Faults end, everything is saved, and Hub, mount and model agree.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Outcome, Seen, World};
use crate::plain::ROOT;
use crate::protocol::{Answer, Call, Kind};

impl World {
    pub(super) fn settle(&mut self) -> Outcome {
        self.tally.settled += 1;
        self.far.clear();
        self.weather = false;
        self.paused = false;
        self.ask(Call::Resume)?;
        // What is still refused comes from the minutes before: patience, not a new fault.
        let deadline = Instant::now() + self.patience;
        self.close_files()?;
        let told = self.trace.len();
        let (hub, all) = loop {
            self.trace.truncate(told);
            match self.agree()? {
                Ok(agreed) => break agreed,
                Err(why) if Instant::now() > deadline => {
                    return Err(format!("Hub and mount do not come to agree: {why}"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(40)),
            }
        };
        for seen in &all {
            self.compare(seen)?;
        }
        let lost = self.plain.nodes.iter().find(|(id, node)| {
            **id != ROOT && !node.doubtful && !all.iter().any(|seen| seen.attr.id == **id)
        });
        if let Some((id, _)) = lost {
            return Err(format!("{} ({id}) is gone", self.plain.path(*id)));
        }
        self.nothing_is_lost(&hub)?;
        self.handles_are_good()?;
        let Answer::Status { all_saved, failed, text } = self.ask(Call::Status)? else {
            return Err("no status".into());
        };
        if !all_saved || failed > 0 {
            return Err(format!("the Hub has everything, and the status says: {text}"));
        }
        self.plain.disputed.clear();
        self.plain.recovered.clear();
        self.theirs.clear();
        for node in self.plain.nodes.values_mut() {
            node.doubtful = false;
        }
        self.end_doubt(all)
    }

    /// Every program closes its files.
    fn close_files(&mut self) -> Outcome {
        for id in self.plain.of_kind(Kind::File) {
            if self.plain.nodes.get(&id).is_some_and(|node| !node.file.unstable.is_empty()) {
                self.commit(id)?;
            }
        }
        Ok(())
    }

    /// The Hub's content and the mount's, once they are the same.
    #[allow(clippy::type_complexity)]
    fn agree(&mut self) -> Outcome<Result<(BTreeMap<String, Vec<u8>>, Vec<Seen>), String>> {
        self.ask(Call::Retry)?;
        // Each call of sync ends the waits that earlier failures have left.
        match self.ask(Call::Sync { ms: 2000 })? {
            Answer::Synced { complete: true, .. } => {}
            Answer::Synced { left, .. } => return Ok(Err(format!("not everything is saved: {left:?}"))),
            other => return Err(format!("SYNC answered {other:?}")),
        }
        let hub = self.far.everything();
        // Right after bad weather a look may still be answered from what is known of it.
        self.weather = true;
        let walked = self.walk();
        self.weather = false;
        let Some(all) = walked? else { return Ok(Err("the mount cannot be read".into())) };
        let mount: BTreeMap<&str, &Vec<u8>> =
            all.iter().filter_map(|seen| Some((seen.path.as_str(), seen.content.as_ref()?))).collect();
        if hub.len() == mount.len() && mount.iter().all(|(path, content)| hub.get(*path) == Some(*content)) {
            return Ok(Ok((hub, all)));
        }
        let only_there = hub.keys().filter(|key| !mount.contains_key(key.as_str()));
        let only_here = mount.keys().filter(|path| !hub.contains_key(**path));
        let differ =
            mount.iter().filter(|(path, content)| hub.get(**path).is_some_and(|there| there != **content));
        Ok(Err(format!(
            "only on the Hub: {:?}; only in the mount: {:?}; different: {:?}",
            only_there.collect::<Vec<_>>(),
            only_here.collect::<Vec<_>>(),
            differ.map(|(path, _)| path).collect::<Vec<_>>()
        )))
    }

    /// Both versions are there after a conflict, whatever they are called.
    fn nothing_is_lost(&mut self, hub: &BTreeMap<String, Vec<u8>>) -> Outcome {
        if let Some((key, content)) =
            self.theirs.iter().find(|(_, content)| !hub.values().any(|there| there == *content))
        {
            return Err(format!("what others put at {key} ({} bytes) is nowhere on the Hub", content.len()));
        }
        for node in self.plain.nodes.values() {
            let must = node.doubtful && node.file.must && node.kind == Kind::File;
            let empty = node.file.may_be.iter().all(Vec::is_empty);
            if must
                && !empty
                && !node.file.may_be.iter().any(|content| hub.values().any(|there| there == content))
            {
                return Err(format!("what was written here to {} is nowhere on the Hub", node.name));
            }
        }
        Ok(())
    }

    /// A handle is never STALE before its file is removed here.
    fn handles_are_good(&mut self) -> Outcome {
        for id in self.plain.of_kind(Kind::File) {
            match self.ask(Call::Getattr { id })? {
                Answer::Attr(attr) => self.see(&attr, false)?,
                other => return Err(format!("the handle of {} ({id}): {other:?}", self.plain.path(id))),
            }
        }
        Ok(())
    }

    /// From here on the mount is what the model says: exact again.
    fn end_doubt(&mut self, all: Vec<Seen>) -> Outcome {
        let old = std::mem::take(&mut self.plain.nodes);
        self.rebuild(all, false)?;
        for (id, node) in &old {
            if !self.plain.nodes.contains_key(id) {
                self.plain.removed.insert(*id, node.clone());
            }
        }
        for (id, node) in &mut self.plain.nodes {
            // A COMMIT that was given holds on; contents that came from the Hub since may be older after a cut.
            if let Some(old) = old.get(id) {
                node.file.since_commit.extend(old.file.since_commit.iter().cloned());
                node.file.since_commit.extend(old.file.may_be.iter().cloned());
            }
            node.file.since_commit.dedup();
        }
        // One COMMIT makes all names durable, as any program's does.
        match self.plain.of_kind(Kind::File).first().copied() {
            Some(id) => self.commit(id),
            None => Ok(()),
        }
    }
}
