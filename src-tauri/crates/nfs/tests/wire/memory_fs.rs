//! The reference file system: everything in memory, one lock, RFC 1813 by the letter. What a test needs to
//! happen inside a call (a wait, a failure, a panic) is arranged with [`MemoryFs::script`].

// Test code: a broken invariant may end the test, and nobody minds the size of an error.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use nfs::file_system::*;
use nfs::types::*;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub const FSID: u64 = 77;
pub const ROOT: FileId = 1;
/// A file no longer than this, so that a test can meet NOSPC.
const LARGEST: u64 = 64 << 20;

/// What a scripted call does before anything else.
#[derive(Clone)]
#[allow(dead_code)]
pub enum Act {
    Fail(nfsstat3),
    Panic,
    /// Waits for one permit.
    Wait(Arc<Semaphore>),
    Hang,
}

pub struct MemoryFs {
    state: Mutex<State>,
    read_only: AtomicBool,
    script: Mutex<HashMap<&'static str, VecDeque<Act>>>,
    runs: Mutex<HashMap<&'static str, usize>>,
}

struct State {
    nodes: HashMap<FileId, Node>,
    next_id: FileId,
    next_cookie: u64,
    clock: u64,
    verifier: writeverf3,
    receipts: Vec<(CallKey, Vec<u8>)>,
}

struct Node {
    attr: fattr3,
    parent: FileId,
    body: Body,
    exclusive: Option<createverf3>,
}

enum Body {
    File(Vec<u8>),
    Link(Vec<u8>),
    Dir(Dir),
}

/// Entries by cookie; a name keeps its cookie for as long as it stays.
#[derive(Default)]
struct Dir {
    by_cookie: BTreeMap<u64, (Vec<u8>, FileId)>,
    by_name: HashMap<Vec<u8>, u64>,
}

impl Dir {
    fn find(&self, name: &[u8]) -> Option<FileId> {
        self.by_name.get(name).map(|cookie| self.by_cookie[cookie].1)
    }

    fn remove(&mut self, name: &[u8]) -> Option<FileId> {
        let cookie = self.by_name.remove(name)?;
        self.by_cookie.remove(&cookie).map(|(_, id)| id)
    }
}

impl MemoryFs {
    pub fn new() -> Arc<Self> {
        let mut state = State {
            nodes: HashMap::new(),
            next_id: ROOT,
            next_cookie: 3,
            clock: 1_700_000_000_000_000_000,
            verifier: *b"epoch--1",
            receipts: Vec::new(),
        };
        state.make(ROOT, Body::Dir(Dir::default()), 0o755);
        Arc::new(MemoryFs {
            state: Mutex::new(state),
            read_only: AtomicBool::new(false),
            script: Mutex::default(),
            runs: Mutex::default(),
        })
    }

    async fn act(&self, procedure: &'static str) -> Result<(), nfsstat3> {
        *self.runs.lock().entry(procedure).or_default() += 1;
        let act = self.script.lock().get_mut(procedure).and_then(VecDeque::pop_front);
        match act {
            None => Ok(()),
            Some(Act::Fail(status)) => Err(status),
            Some(Act::Panic) => panic!("scripted panic in {procedure}"),
            Some(Act::Wait(gate)) => {
                gate.acquire().await.unwrap().forget();
                Ok(())
            }
            Some(Act::Hang) => std::future::pending().await,
        }
    }
}

/// For the tests.
#[allow(dead_code)]
impl MemoryFs {
    /// The next call of `procedure` that has no act yet does this first.
    pub fn script(&self, procedure: &'static str, act: Act) {
        self.script.lock().entry(procedure).or_default().push_back(act);
    }

    /// How often a procedure reached the file system.
    pub fn runs(&self, procedure: &str) -> usize {
        self.runs.lock().get(procedure).copied().unwrap_or(0)
    }

    pub fn set_read_only(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    pub fn set_verifier(&self, verifier: writeverf3) {
        self.state.lock().verifier = verifier;
    }

    pub fn content(&self, id: FileId) -> Vec<u8> {
        match &self.state.lock().nodes[&id].body {
            Body::File(bytes) => bytes.clone(),
            _ => panic!("not a file"),
        }
    }

    pub fn attr(&self, id: FileId) -> fattr3 {
        self.state.lock().nodes[&id].attr
    }

    /// Puts a file there directly.
    pub fn put(&self, dir: FileId, name: &str, content: &[u8]) -> FileId {
        self.state.lock().add(dir, name.as_bytes(), Body::File(content.to_vec()), 0o644).unwrap()
    }

    pub fn put_dir(&self, dir: FileId, name: &str) -> FileId {
        self.state.lock().add(dir, name.as_bytes(), Body::Dir(Dir::default()), 0o755).unwrap()
    }

    /// Takes a name away directly.
    pub fn take_away(&self, dir: FileId, name: &str) {
        self.state.lock().unlink(dir, name.as_bytes());
    }
}

impl State {
    fn now(&mut self) -> nfstime3 {
        self.clock += 1000;
        nfstime3 {
            seconds: (self.clock / 1_000_000_000) as u32,
            nseconds: (self.clock % 1_000_000_000) as u32,
        }
    }

    fn make(&mut self, parent: FileId, body: Body, mode: u32) -> FileId {
        let id = self.next_id;
        self.next_id += 1;
        let now = self.now();
        let (ftype, size) = match &body {
            Body::File(bytes) => (ftype3::NF3REG, bytes.len() as u64),
            Body::Link(target) => (ftype3::NF3LNK, target.len() as u64),
            Body::Dir(_) => (ftype3::NF3DIR, 512),
        };
        let nlink = if matches!(body, Body::Dir(_)) { 2 } else { 1 };
        let attr = fattr3 {
            ftype,
            mode,
            nlink,
            size,
            used: size,
            fsid: FSID,
            fileid: id,
            atime: now,
            mtime: now,
            ctime: now,
            ..fattr3::default()
        };
        self.nodes.insert(id, Node { attr, parent, body, exclusive: None });
        id
    }

    fn node(&self, id: FileId) -> Result<&Node, nfsstat3> {
        self.nodes.get(&id).ok_or(nfsstat3::NFS3ERR_STALE)
    }

    fn dir(&self, id: FileId) -> Result<&Dir, nfsstat3> {
        match &self.node(id)?.body {
            Body::Dir(dir) => Ok(dir),
            _ => Err(nfsstat3::NFS3ERR_NOTDIR),
        }
    }

    fn dir_mut(&mut self, id: FileId) -> &mut Dir {
        match &mut self.nodes.get_mut(&id).unwrap().body {
            Body::Dir(dir) => dir,
            _ => panic!("checked to be a directory"),
        }
    }

    fn attr(&self, id: FileId) -> Option<fattr3> {
        self.nodes.get(&id).map(|node| node.attr)
    }

    fn pre(&self, id: FileId) -> Option<wcc_attr> {
        self.attr(id).map(|attr| wcc_attr { size: attr.size, mtime: attr.mtime, ctime: attr.ctime })
    }

    fn touch(&mut self, id: FileId) {
        let now = self.now();
        let attr = &mut self.nodes.get_mut(&id).unwrap().attr;
        attr.mtime = now;
        attr.ctime = now;
    }

    fn fail(&self, id: FileId, status: nfsstat3) -> Failure {
        Failure { wcc: Wcc { before: self.pre(id), after: self.attr(id) }, ..Failure::from(status) }
    }

    fn add(&mut self, dir: FileId, name: &[u8], body: Body, mode: u32) -> Result<FileId, nfsstat3> {
        if self.dir(dir)?.find(name).is_some() {
            return Err(nfsstat3::NFS3ERR_EXIST);
        }
        let id = self.make(dir, body, mode);
        self.enter(dir, name, id);
        Ok(id)
    }

    fn enter(&mut self, dir: FileId, name: &[u8], id: FileId) {
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        let entries = self.dir_mut(dir);
        entries.by_cookie.insert(cookie, (name.to_vec(), id));
        entries.by_name.insert(name.to_vec(), cookie);
        self.touch(dir);
    }

    fn unlink(&mut self, dir: FileId, name: &[u8]) {
        let id = self.dir_mut(dir).remove(name).unwrap();
        self.nodes.remove(&id);
        self.touch(dir);
    }

    fn change(&mut self, id: FileId, change: &sattr3) {
        let now = self.now();
        let node = self.nodes.get_mut(&id).unwrap();
        let attr = &mut node.attr;
        attr.ctime = now;
        if let set_mode3::mode(mode) = change.mode {
            attr.mode = mode & 0o7777;
        }
        if let set_uid3::uid(uid) = change.uid {
            attr.uid = uid;
        }
        if let set_gid3::gid(gid) = change.gid {
            attr.gid = gid;
        }
        if let (set_size3::size(size), Body::File(bytes)) = (change.size, &mut node.body) {
            let size = size.min(LARGEST);
            bytes.resize(size as usize, 0);
            attr.size = size;
            attr.used = size;
            attr.mtime = now;
        }
        match change.atime {
            set_atime::DONT_CHANGE => {}
            set_atime::SET_TO_SERVER_TIME => attr.atime = now,
            set_atime::SET_TO_CLIENT_TIME(time) => attr.atime = time,
        }
        match change.mtime {
            set_mtime::DONT_CHANGE => {}
            set_mtime::SET_TO_SERVER_TIME => attr.mtime = now,
            set_mtime::SET_TO_CLIENT_TIME(time) => attr.mtime = time,
        }
    }

    fn stored<T>(&mut self, receipt: Option<Receipt<T>>, success: T) -> T {
        if let Some(receipt) = receipt {
            let key = receipt.key;
            self.receipts.push((key, receipt.encode(&success)));
        }
        success
    }

    fn made(&self, dir: FileId, id: FileId, before: Option<wcc_attr>) -> Made {
        let attr = self.nodes[&id].attr;
        Made { object: Found { id, attr }, dir_wcc: Wcc { before, after: self.attr(dir) } }
    }

    fn make_named(
        &mut self,
        dir: FileId,
        name: &[u8],
        body: Body,
        attr: &sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        let before = self.pre(dir);
        let mode = if matches!(body, Body::Dir(_)) { 0o755 } else { 0o644 };
        let id = self.add(dir, name, body, mode).map_err(|status| self.fail(dir, status))?;
        self.change(id, attr);
        let made = self.made(dir, id, before);
        Ok(self.stored(receipt, made))
    }

    fn remove_if(
        &mut self,
        dir: FileId,
        name: &[u8],
        receipt: Option<Receipt<Wcc>>,
        allowed: impl FnOnce(&Body) -> Result<(), nfsstat3>,
    ) -> Result<Wcc, Failure> {
        let found = self.dir(dir).and_then(|entries| entries.find(name).ok_or(nfsstat3::NFS3ERR_NOENT));
        let checked = found.and_then(|id| allowed(&self.nodes[&id].body));
        checked.map_err(|status| self.fail(dir, status))?;
        let before = self.pre(dir);
        self.unlink(dir, name);
        let wcc = Wcc { before, after: self.attr(dir) };
        Ok(self.stored(receipt, wcc))
    }

    fn move_entry(&mut self, from: FileId, name: &[u8], to: FileId, to_name: &[u8]) -> Result<(), nfsstat3> {
        let id = self.dir(from)?.find(name).ok_or(nfsstat3::NFS3ERR_NOENT)?;
        let replaced = self.dir(to)?.find(to_name);
        if replaced == Some(id) {
            return Ok(());
        }
        if let Some(old) = replaced {
            match (&self.nodes[&id].body, &self.nodes[&old].body) {
                (Body::Dir(_), Body::Dir(dir)) if dir.by_name.is_empty() => {}
                (Body::Dir(_), Body::Dir(_)) => return Err(nfsstat3::NFS3ERR_NOTEMPTY),
                (Body::Dir(_), _) | (_, Body::Dir(_)) => return Err(nfsstat3::NFS3ERR_EXIST),
                _ => {}
            }
            self.unlink(to, to_name);
        }
        self.dir_mut(from).remove(name);
        self.touch(from);
        self.nodes.get_mut(&id).unwrap().parent = to;
        self.enter(to, to_name, id);
        Ok(())
    }
}

impl FileSystem for MemoryFs {
    fn root(&self) -> FileId {
        ROOT
    }

    async fn getattr(&self, id: FileId) -> Result<fattr3, nfsstat3> {
        self.act("GETATTR").await?;
        Ok(self.state.lock().node(id)?.attr)
    }

    async fn setattr(
        &self,
        id: FileId,
        change: sattr3,
        guard: Option<nfstime3>,
        receipt: Option<Receipt<Wcc>>,
    ) -> Result<Wcc, Failure> {
        self.act("SETATTR").await?;
        let mut state = self.state.lock();
        let ctime = state.node(id)?.attr.ctime;
        if guard.is_some_and(|guard| (guard.seconds, guard.nseconds) != (ctime.seconds, ctime.nseconds)) {
            return Err(state.fail(id, nfsstat3::NFS3ERR_NOT_SYNC));
        }
        if matches!(change.size, set_size3::size(size) if size > LARGEST) {
            return Err(state.fail(id, nfsstat3::NFS3ERR_NOSPC));
        }
        let before = state.pre(id);
        state.change(id, &change);
        let wcc = Wcc { before, after: state.attr(id) };
        Ok(state.stored(receipt, wcc))
    }

    async fn lookup(&self, dir: FileId, name: Vec<u8>) -> Result<(Found, Option<fattr3>), Failure> {
        self.act("LOOKUP").await?;
        let state = self.state.lock();
        let found = match &name[..] {
            b"." => Ok(dir),
            b".." => state.node(dir).map(|node| node.parent),
            name => state.dir(dir).and_then(|entries| entries.find(name).ok_or(nfsstat3::NFS3ERR_NOENT)),
        };
        let id = found.map_err(|status| state.fail(dir, status))?;
        Ok((Found { id, attr: state.nodes[&id].attr }, state.attr(dir)))
    }

    async fn readlink(&self, id: FileId) -> Result<(Vec<u8>, Option<fattr3>), Failure> {
        self.act("READLINK").await?;
        let state = self.state.lock();
        match &state.node(id)?.body {
            Body::Link(target) => Ok((target.clone(), state.attr(id))),
            _ => Err(state.fail(id, nfsstat3::NFS3ERR_INVAL)),
        }
    }

    async fn read(&self, id: FileId, offset: u64, count: u32) -> Result<ReadData, Failure> {
        self.act("READ").await?;
        let state = self.state.lock();
        let Body::File(bytes) = &state.node(id)?.body else {
            return Err(state.fail(id, nfsstat3::NFS3ERR_INVAL));
        };
        let start = (offset as usize).min(bytes.len());
        let end = start.saturating_add(count as usize).min(bytes.len());
        // In pieces, as a cache would give it.
        let data = bytes[start..end].chunks(100_000).map(Bytes::copy_from_slice).collect();
        Ok(ReadData { data, eof: end == bytes.len(), attr: state.attr(id) })
    }

    async fn write(&self, id: FileId, offset: u64, data: Bytes, stable: Stable) -> Result<Written, Failure> {
        self.act("WRITE").await?;
        let mut state = self.state.lock();
        state.node(id)?;
        let end = offset + data.len() as u64;
        if end > LARGEST {
            return Err(state.fail(id, nfsstat3::NFS3ERR_NOSPC));
        }
        let before = state.pre(id);
        let node = state.nodes.get_mut(&id).unwrap();
        let Body::File(bytes) = &mut node.body else { return Err(nfsstat3::NFS3ERR_INVAL.into()) };
        if bytes.len() < end as usize {
            bytes.resize(end as usize, 0);
        }
        bytes[offset as usize..end as usize].copy_from_slice(&data);
        node.attr.size = bytes.len() as u64;
        node.attr.used = node.attr.size;
        state.touch(id);
        Ok(Written {
            count: data.len() as u32,
            committed: stable,
            verifier: state.verifier,
            wcc: Wcc { before, after: state.attr(id) },
        })
    }

    async fn commit(&self, id: FileId, _offset: u64, _count: u32) -> Result<Committed, Failure> {
        self.act("COMMIT").await?;
        let state = self.state.lock();
        state.node(id)?;
        Ok(Committed { verifier: state.verifier, wcc: Wcc { before: state.pre(id), after: state.attr(id) } })
    }

    async fn create(
        &self,
        dir: FileId,
        name: Vec<u8>,
        how: CreateHow,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        self.act("CREATE").await?;
        let mut state = self.state.lock();
        let existing = state.dir(dir)?.find(&name);
        let existing_is_file = existing.is_some_and(|id| matches!(state.nodes[&id].body, Body::File(_)));
        match (existing, how) {
            (None, CreateHow::Unchecked(attr) | CreateHow::Guarded(attr)) => {
                state.make_named(dir, &name, Body::File(Vec::new()), &attr, receipt)
            }
            (None, CreateHow::Exclusive(verifier)) => {
                let before = state.pre(dir);
                let id = state.add(dir, &name, Body::File(Vec::new()), 0)?;
                state.nodes.get_mut(&id).unwrap().exclusive = Some(verifier);
                let made = state.made(dir, id, before);
                Ok(state.stored(receipt, made))
            }
            (Some(id), CreateHow::Unchecked(attr)) if existing_is_file => {
                let before = state.pre(dir);
                state.change(id, &sattr3 { size: attr.size, ..sattr3::default() });
                let made = state.made(dir, id, before);
                Ok(state.stored(receipt, made))
            }
            (Some(id), CreateHow::Exclusive(verifier)) if state.nodes[&id].exclusive == Some(verifier) => {
                let before = state.pre(dir);
                let made = state.made(dir, id, before);
                Ok(state.stored(receipt, made))
            }
            (Some(_), _) => Err(state.fail(dir, nfsstat3::NFS3ERR_EXIST)),
        }
    }

    async fn mkdir(
        &self,
        dir: FileId,
        name: Vec<u8>,
        attr: sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        self.act("MKDIR").await?;
        self.state.lock().make_named(dir, &name, Body::Dir(Dir::default()), &attr, receipt)
    }

    async fn symlink(
        &self,
        dir: FileId,
        name: Vec<u8>,
        target: Vec<u8>,
        attr: sattr3,
        receipt: Option<Receipt<Made>>,
    ) -> Result<Made, Failure> {
        self.act("SYMLINK").await?;
        self.state.lock().make_named(dir, &name, Body::Link(target), &attr, receipt)
    }

    async fn remove(
        &self,
        dir: FileId,
        name: Vec<u8>,
        receipt: Option<Receipt<Wcc>>,
    ) -> Result<Wcc, Failure> {
        self.act("REMOVE").await?;
        self.state.lock().remove_if(dir, &name, receipt, |body| match body {
            Body::Dir(_) => Err(nfsstat3::NFS3ERR_ISDIR),
            _ => Ok(()),
        })
    }

    async fn rmdir(&self, dir: FileId, name: Vec<u8>, receipt: Option<Receipt<Wcc>>) -> Result<Wcc, Failure> {
        self.act("RMDIR").await?;
        self.state.lock().remove_if(dir, &name, receipt, |body| match body {
            Body::Dir(dir) if dir.by_name.is_empty() => Ok(()),
            Body::Dir(_) => Err(nfsstat3::NFS3ERR_NOTEMPTY),
            _ => Err(nfsstat3::NFS3ERR_NOTDIR),
        })
    }

    async fn rename(
        &self,
        from: FileId,
        name: Vec<u8>,
        to: FileId,
        to_name: Vec<u8>,
        receipt: Option<Receipt<Renamed>>,
    ) -> Result<Renamed, Failure> {
        self.act("RENAME").await?;
        let mut state = self.state.lock();
        let (before_from, before_to) = (state.pre(from), state.pre(to));
        if let Err(status) = state.move_entry(from, &name, to, &to_name) {
            let to_wcc = Wcc { before: before_to, after: state.attr(to) };
            return Err(Failure { to_wcc, ..state.fail(from, status) });
        }
        let renamed = Renamed {
            from_wcc: Wcc { before: before_from, after: state.attr(from) },
            to_wcc: Wcc { before: before_to, after: state.attr(to) },
        };
        Ok(state.stored(receipt, renamed))
    }

    async fn readdir(
        &self,
        dir: FileId,
        cookie: u64,
        limit: usize,
        with_attr: bool,
    ) -> Result<DirPage, Failure> {
        self.act("READDIR").await?;
        let state = self.state.lock();
        let entries = state.dir(dir).map_err(|status| state.fail(dir, status))?;
        let dots = [(1, &b"."[..], dir), (2, &b".."[..], state.nodes[&dir].parent)];
        let named = entries
            .by_cookie
            .range((Bound::Excluded(cookie), Bound::Unbounded))
            .map(|(at, (name, id))| (*at, &name[..], *id));
        let mut rest = dots.into_iter().filter(|(at, ..)| *at > cookie).chain(named);
        let page: Vec<DirEntry> = rest
            .by_ref()
            .take(limit)
            .map(|(cookie, name, id)| {
                let attr = if with_attr { state.attr(id) } else { None };
                DirEntry { id, name: name.to_vec(), cookie, attr }
            })
            .collect();
        Ok(DirPage { entries: page, end: rest.next().is_none(), dir_attr: state.attr(dir) })
    }

    async fn space(&self) -> Result<Space, nfsstat3> {
        self.act("FSSTAT").await?;
        Ok(Space {
            total_bytes: 1000 << 20,
            free_bytes: 600 << 20,
            available_bytes: 500 << 20,
            total_files: 1_000_000,
            free_files: 900_000,
            available_files: 800_000,
        })
    }

    fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    fn stored_replies(&self) -> Vec<(CallKey, Vec<u8>)> {
        self.state.lock().receipts.clone()
    }
}
