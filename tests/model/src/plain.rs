//! The model: a tree of names and byte arrays.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::protocol::Kind;

pub const ROOT: u64 = 1;

/// What a file system that works would show.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    /// Live objects by file id.
    pub nodes: BTreeMap<u64, Node>,
    /// Every id ever shown, and what it was: ids never come twice.
    pub ever: BTreeMap<u64, Kind>,
    /// Files removed here. A power cut may bring them back (docs/semantics.md, Known gaps).
    pub removed: BTreeMap<u64, Node>,
    /// Paths that somebody else changed, or that a conflict may have touched, since the last settling.
    pub disputed: BTreeSet<String>,
    /// Paths at which a power cut may have split a file off.
    pub recovered: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub parent: u64,
    pub name: String,
    pub kind: Kind,
    pub file: File,
    /// mtime and ctime as shown last.
    pub shown: Option<(i64, i64)>,
    /// Somebody else had a hand in it since the last settling: its name, and which of several contents it has,
    /// are the file system's choice.
    pub doubtful: bool,
    /// Its name is on stable storage (a later one may be, too).
    pub named: bool,
    /// It was made or moved since the names were synced last.
    pub moved: bool,
}

#[derive(Debug, Clone, Default)]
pub struct File {
    /// What it may hold: one content, or several while nobody has looked who won.
    pub may_be: Vec<Vec<u8>>,
    /// Contents since the last COMMIT, that one included: what a power cut may leave, byte by byte.
    pub since_commit: Vec<Vec<u8>>,
    /// Ranges changed since then: a power cut may also leave zeros there (the record of a write reached the disk,
    /// its bytes did not).
    pub torn: Vec<Range<u64>>,
    /// What the client would send again: UNSTABLE and not committed.
    pub unstable: Vec<(u64, Vec<u8>)>,
    /// The verifier of the first of them.
    pub verifier: u64,
    /// Doubtful files: edited here, so that the Hub must get this content, whoever else wrote.
    pub must: bool,
}

impl Node {
    pub fn new(parent: u64, name: &str, kind: Kind) -> Self {
        let file = File { may_be: vec![Vec::new()], since_commit: vec![Vec::new()], ..File::default() };
        Node {
            parent,
            name: name.to_owned(),
            kind,
            file,
            shown: None,
            doubtful: false,
            named: false,
            moved: true,
        }
    }
}

impl File {
    /// The one content, if there is no doubt.
    pub fn content(&self) -> Option<&Vec<u8>> {
        let (first, others) = self.may_be.split_first()?;
        others.iter().all(|other| other == first).then_some(first)
    }

    pub fn wrote(&mut self, at: u64, bytes: &[u8], durable: bool, verifier: u64) {
        if durable {
            for content in &mut self.since_commit {
                put(content, at, bytes);
            }
        } else {
            self.torn.push(at..at + bytes.len() as u64);
            if self.unstable.is_empty() {
                self.verifier = verifier;
            }
            self.unstable.push((at, bytes.to_vec()));
        }
        for content in &mut self.may_be {
            put(content, at, bytes);
        }
        self.note();
    }

    pub fn resized(&mut self, size: u64) {
        for content in &mut self.may_be {
            self.torn.push(size.min(content.len() as u64)..size.max(content.len() as u64));
            content.resize(size as usize, 0);
        }
        self.note();
    }

    /// Everything is on stable storage.
    pub fn committed(&mut self) {
        self.unstable.clear();
        self.torn.clear();
        self.since_commit = self.may_be.clone();
    }

    /// What it holds now may be on the disk.
    pub fn note(&mut self) {
        for content in &self.may_be {
            if !self.since_commit.contains(content) {
                self.since_commit.push(content.clone());
            }
        }
    }
}

pub fn put(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = at as usize + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at as usize..end].copy_from_slice(bytes);
}

/// Whether `seen` can be what a crash left of these contents: each byte from one of them, or zero where it is torn;
/// no shorter than the shortest, no longer than the longest. The error names the first wrong byte.
pub fn may_be_left(contents: &[Vec<u8>], torn: &[Range<u64>], seen: &[u8]) -> Result<(), String> {
    let shortest = contents.iter().map(Vec::len).min().unwrap_or(0);
    let longest = contents.iter().map(Vec::len).max().unwrap_or(0);
    if seen.len() < shortest || seen.len() > longest {
        return Err(format!("{} bytes long, may be {shortest} to {longest}", seen.len()));
    }
    for (at, byte) in seen.iter().enumerate() {
        let fine = contents.iter().any(|content| content.get(at) == Some(byte))
            || (*byte == 0 && torn.iter().any(|range| range.contains(&(at as u64))));
        if !fine {
            let choices: Vec<Option<&u8>> = contents.iter().map(|content| content.get(at)).collect();
            return Err(format!("byte {at} is {byte}, not one of {choices:?}"));
        }
    }
    Ok(())
}

impl Plain {
    pub fn new() -> Self {
        let mut plain = Plain::default();
        plain.nodes.insert(ROOT, Node::new(ROOT, "", Kind::Folder));
        plain.ever.insert(ROOT, Kind::Folder);
        plain
    }

    /// The youngest object of that name: a doubtful one may have lost it.
    pub fn child(&self, dir: u64, name: &str) -> Option<u64> {
        let mut found =
            self.nodes.iter().filter(|(id, node)| **id != ROOT && node.parent == dir && node.name == name);
        found.clone().find(|(_, node)| !node.doubtful).or_else(|| found.next_back()).map(|(id, _)| *id)
    }

    pub fn children(&self, dir: u64) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes
            .iter()
            .filter(move |(id, node)| **id != ROOT && node.parent == dir)
            .map(|(id, node)| (*id, node))
    }

    pub fn path(&self, id: u64) -> String {
        let mut parts = Vec::new();
        let mut at = id;
        while at != ROOT
            && let Some(node) = self.nodes.get(&at)
        {
            parts.push(node.name.as_str());
            at = node.parent;
        }
        parts.reverse();
        parts.join("/")
    }

    pub fn path_in(&self, dir: u64, name: &str) -> String {
        join(&self.path(dir), name)
    }

    /// Where a path of the Hub leads here.
    pub fn find(&self, path: &str) -> Option<u64> {
        path.split('/').try_fold(ROOT, |at, name| self.child(at, name))
    }

    pub fn is_below(&self, inner: u64, outer: u64) -> bool {
        let mut at = inner;
        loop {
            if at == outer {
                return true;
            }
            match self.nodes.get(&at) {
                Some(node) if at != ROOT => at = node.parent,
                _ => return false,
            }
        }
    }

    pub fn of_kind(&self, kind: Kind) -> Vec<u64> {
        self.nodes.iter().filter(|(_, node)| node.kind == kind).map(|(id, _)| *id).collect()
    }

    /// The object, or a folder above it, is in doubt.
    pub fn in_doubt(&self, id: u64) -> bool {
        let mut at = id;
        while let Some(node) = self.nodes.get(&at) {
            if node.doubtful {
                return true;
            }
            if at == ROOT {
                return false;
            }
            at = node.parent;
        }
        true
    }

    /// What happens at this name is in doubt.
    pub fn name_in_doubt(&self, dir: u64, name: &str) -> bool {
        self.in_doubt(dir)
            || self.child(dir, name).is_some_and(|id| self.nodes[&id].doubtful)
            || self.is_explained(&self.path_in(dir, name))
    }

    /// A name that the model did not make may be here: somebody else made it, or a conflict or a power cut did.
    pub fn is_explained(&self, path: &str) -> bool {
        let plain: Vec<String> = path.split('/').map(without_marks).collect();
        let plain = plain.join("/");
        let (below, inside) = (format!("{path}/"), format!("{plain}/"));
        self.disputed.iter().chain(&self.recovered).any(|known| {
            *known == plain || *known == path || known.starts_with(&below) || known.starts_with(&inside)
        })
    }

    /// From here on everything about this path is somebody else's doing as well.
    pub fn dispute(&mut self, path: &str) {
        self.disputed.insert(path.to_owned());
        let mut at = ROOT;
        for part in path.split('/') {
            let Some(next) = self.child(at, part) else { return };
            if let Some(node) = self.nodes.get_mut(&next) {
                node.doubtful = true;
            }
            at = next;
        }
    }

    /// A folder was moved: what is disputed below it may show at either place.
    pub fn carry_disputes(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        let moved: Vec<String> = self
            .disputed
            .iter()
            .filter_map(|path| path.strip_prefix(&below).map(|rest| join(to, rest)))
            .collect();
        self.disputed.extend(moved);
    }

    /// All changes of names up to now are on stable storage.
    pub fn names_synced(&mut self) {
        for node in self.nodes.values_mut() {
            node.named = true;
            node.moved = false;
        }
    }

    pub fn remove(&mut self, id: u64) {
        if let Some(node) = self.nodes.remove(&id) {
            self.removed.insert(id, node);
        }
    }
}

pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// `a (conflict 2026-11-23 23.08.41).txt` → `a.txt`, however often it was marked.
pub fn without_marks(name: &str) -> String {
    let mut name = name.to_owned();
    while let Some(from) = [" (conflict ", " (recovered "].iter().filter_map(|mark| name.find(mark)).min()
        && let Some(length) = name[from..].find(')')
    {
        name.replace_range(from..from + length + 1, "");
    }
    // `NAME~3f2a1b.EXT`: a key that meets a folder or symlink of that name here.
    if let Some(at) = name.find('~')
        && name[at + 1..].bytes().take_while(u8::is_ascii_hexdigit).count() >= 6
    {
        name.replace_range(at..at + 7, "");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_leaves_bytes_of_what_was_written_and_never_less_than_was_committed() {
        let contents = [b"committed".to_vec(), b"comMITted and more".to_vec()];
        let torn = [3..6, 9..18];
        for fine in ["committed", "comMITted and more", "comMitted and", "com\0\0\0ted\0\0\0\0 more"] {
            assert_eq!(may_be_left(&contents, &torn, fine.as_bytes()), Ok(()), "{fine:?}");
        }
        for wrong in ["committe", "committeD", "c\0mmitted", "committed and more and more"] {
            assert!(may_be_left(&contents, &torn, wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
