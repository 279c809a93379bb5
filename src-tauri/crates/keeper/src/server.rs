//! The keeper itself: one thread that waits for servers to ask, to leave and to die.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, WaitOptions};

use crate::book::{self, Decision, Known};
use crate::deaths::{Deaths, Verdict};
use crate::protocol::{Held, Life, PROTOCOL, Refusal, Registration, Reply, Request};
use crate::{VERSION, peer, revive, upgrade, wire};

/// Somebody of this user's who does not finish a sentence holds the others up for so long.
const SENTENCE: Duration = Duration::from_secs(2);
/// A keeper of nothing ends after this time without a guest.
const IDLE: Duration = Duration::from_secs(3);
/// How often a started server is looked after, and how often folders are.
const CHILD_LOOK: Duration = Duration::from_millis(100);
const DYING_LOOK: Duration = Duration::from_millis(5);
const FOLDER_LOOK: Duration = Duration::from_secs(5);
const MAX_GUESTS: usize = 512;

/// One port and its server.
pub(crate) struct Entry {
    pub registration: Registration,
    pub socket: OwnedFd,
    /// The connection that stands for the server's life.
    pub guest: Option<u64>,
    pub since: Instant,
    pub deaths: Deaths,
    pub plan: Plan,
    /// A server started here and not reaped yet.
    pub child: Option<Pid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Nothing,
    StartAt(Instant),
    /// Started; it has not asked for its listener yet.
    Started,
    GivenUp,
}

pub(crate) struct Guest {
    pub id: u64,
    pub stream: UnixStream,
}

pub struct Keeper {
    pub(crate) socket: PathBuf,
    pub(crate) listener: UnixListener,
    /// Held (flock) as long as this keeper is the user's.
    pub(crate) lock: File,
    pub(crate) entries: Vec<Entry>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) next_guest: u64,
    /// Newer versions whose program could not take over; not tried again.
    pub(crate) refused_versions: Vec<String>,
    last_seen: Instant,
    last_look: Instant,
}

impl Keeper {
    /// Becomes the keeper behind `socket`; `None` when another process is.
    ///
    /// # Errors
    /// When the socket cannot be made there.
    pub fn bind(socket: &Path) -> io::Result<Option<Keeper>> {
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(lock_of(socket))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            taken => taken?,
        }
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        Ok(Some(Keeper::of(socket.to_owned(), listener, lock)))
    }

    pub(crate) fn of(socket: PathBuf, listener: UnixListener, lock: File) -> Keeper {
        let now = Instant::now();
        Keeper {
            socket,
            listener,
            lock,
            entries: Vec::new(),
            guests: Vec::new(),
            next_guest: 0,
            refused_versions: Vec::new(),
            last_seen: now,
            last_look: now,
        }
    }

    /// Returns when nothing is held any more and nobody asks.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if !ready.is_empty() {
                self.last_seen = Instant::now();
            }
            for guest in ready {
                match guest {
                    None => self.accept(),
                    Some(id) => self.hear(id),
                }
            }
            self.reap();
            self.start_the_dead();
            self.forget_removed_folders();
            if self.entries.is_empty() && self.guests.is_empty() && self.last_seen.elapsed() >= IDLE {
                // Whoever connects in this moment is cut off, and starts another keeper.
                return fs::remove_file(&self.socket);
            }
        }
    }

    /// Waits for something to do; gives who has something to say, `None` for a newcomer.
    fn wait(&self) -> io::Result<Vec<Option<u64>>> {
        let mut polled = vec![PollFd::new(&self.listener, PollFlags::IN)];
        polled.extend(self.guests.iter().map(|guest| PollFd::new(&guest.stream, PollFlags::IN)));
        let pause = self.pause();
        let timeout =
            Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: i64::from(pause.subsec_nanos()) };
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            result => result?,
        };
        let ids = std::iter::once(None).chain(self.guests.iter().map(|guest| Some(guest.id)));
        let spoke = polled.iter().zip(ids).filter(|(one, _)| !one.revents().is_empty());
        Ok(spoke.map(|(_, id)| id).collect())
    }

    fn pause(&self) -> Duration {
        let now = Instant::now();
        let of_entry = |entry: &Entry| match entry.plan {
            // Its last life is a moment from being reaped.
            Plan::StartAt(_) if entry.child.is_some() => Some(DYING_LOOK),
            Plan::StartAt(when) => Some(when.saturating_duration_since(now)),
            Plan::Started => Some(CHILD_LOOK),
            // One that serves tells of its end by its connection.
            Plan::Nothing | Plan::GivenUp => None,
        };
        let soonest = self.entries.iter().filter_map(of_entry).min();
        let idle = if self.entries.is_empty() { IDLE } else { FOLDER_LOOK };
        soonest.map_or(idle, |soonest| soonest.min(idle))
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if self.guests.len() >= MAX_GUESTS || !peer::is_own(&stream) {
            return;
        }
        if stream.set_read_timeout(Some(SENTENCE)).and(stream.set_write_timeout(Some(SENTENCE))).is_err() {
            return;
        }
        self.guests.push(Guest { id: self.next_guest, stream });
        self.next_guest += 1;
    }

    /// One sentence of a guest, and its answer; or its end.
    fn hear(&mut self, id: u64) {
        let Some(guest) = self.guests.iter().find(|guest| guest.id == id) else { return };
        let Ok(Some((request, fd))) = wire::receive::<Request>(&guest.stream) else {
            return self.leave(id);
        };
        let (reply, with_socket) = self.answer(id, request, fd);
        let Some(guest) = self.guests.iter().find(|guest| guest.id == id) else { return };
        let socket = self.entries.iter().find(|entry| with_socket && entry.guest == Some(id));
        if wire::send(&guest.stream, &reply, socket.map(|entry| entry.socket.as_fd())).is_err() {
            self.leave(id);
        }
    }

    fn answer(&mut self, id: u64, request: Request, fd: Option<OwnedFd>) -> (Reply, bool) {
        let reply = match request {
            Request::Hello { version, program, .. } => self.welcome(id, &version, program),
            Request::Keep(registration) => {
                let kept = self.keep(id, registration);
                let with_socket = kept.is_ok();
                return (kept.map_or_else(Reply::Refused, |port| Reply::Kept { port }), with_socket);
            }
            Request::Adopt(registration) => match self.adopt(id, registration, fd) {
                Ok(port) => Reply::Kept { port },
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::Respawn(respawn) => {
                match self.entries.iter_mut().find(|entry| entry.guest == Some(id)) {
                    Some(entry) => entry.registration.respawn = respawn,
                    None => return (bad("This connection holds nothing."), false),
                }
                Reply::Done
            }
            Request::Goodbye => {
                self.entries.retain(|entry| entry.guest != Some(id));
                Reply::Done
            }
            Request::Release { key } => {
                self.entries.retain(|entry| entry.guest.is_some() || entry.registration.key != key);
                Reply::Done
            }
            Request::List => Reply::Held(self.entries.iter().map(Entry::held).collect()),
        };
        (reply, false)
    }

    fn welcome(&mut self, id: u64, version: &str, program: Option<PathBuf>) -> Reply {
        if book::is_newer(version, VERSION)
            && !self.refused_versions.iter().any(|refused| refused == version)
            && let Some(program) = program
        {
            self.refused_versions.push(version.to_owned());
            // Returns only when it failed: then the old keeper goes on, and the newcomer makes do with it.
            let error = upgrade::replace(self, &program, id);
            for entry in &self.entries {
                if let Some(respawn) = &entry.registration.respawn {
                    revive::note(&respawn.log, &format!("a newer keeper could not be started ({error})"));
                }
            }
        }
        welcome()
    }

    fn keep(&mut self, id: u64, registration: Registration) -> Result<u16, Refusal> {
        self.must_be_free(id)?;
        let port = registration.port;
        let known: Vec<Known<'_>> = self.entries.iter().map(Entry::known).collect();
        match book::decide(&known, &registration) {
            Decision::Refuse(refusal) => return Err(refusal),
            Decision::TakeOver(at) => self.entries[at].taken_by(id, registration),
            Decision::Move(at) => {
                let socket = bind(port)?;
                self.entries[at].socket = socket;
                self.entries[at].taken_by(id, registration);
            }
            Decision::Bind => {
                let socket = bind(port)?;
                self.entries.push(Entry::new(id, registration, socket));
            }
        }
        Ok(port)
    }

    fn adopt(&mut self, id: u64, registration: Registration, fd: Option<OwnedFd>) -> Result<u16, Refusal> {
        self.must_be_free(id)?;
        let port = registration.port;
        let socket = fd.ok_or_else(|| why("No socket came along."))?;
        if !is_listener_on(socket.as_fd(), port) {
            return Err(why("What came along does not listen on that port."));
        }
        self.entries.retain(|entry| entry.registration.key != registration.key);
        self.entries.push(Entry::new(id, registration, socket));
        Ok(port)
    }

    fn must_be_free(&self, id: u64) -> Result<(), Refusal> {
        match self.entries.iter().any(|entry| entry.guest == Some(id)) {
            true => Err(why("This connection stands for a server already.")),
            false => Ok(()),
        }
    }

    /// The connection ended. If it stood for a server, that server is dead.
    fn leave(&mut self, id: u64) {
        self.guests.retain(|guest| guest.id != id);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.guest == Some(id)) {
            entry.died(entry.since.elapsed());
        }
    }

    /// A process may be the next life of several ports: each hears of its end.
    fn reap(&mut self) {
        let mut children: Vec<Pid> = self.entries.iter().filter_map(|entry| entry.child).collect();
        children.sort_unstable_by_key(|child| child.as_raw_nonzero());
        children.dedup();
        for child in children {
            let in_order = match rustix::process::waitpid(Some(child), WaitOptions::NOHANG) {
                Ok(None) => continue,
                Ok(Some((_, status))) => status.exit_status() == Some(0),
                Err(_) => false,
            };
            for entry in self.entries.iter_mut().filter(|entry| entry.child == Some(child)) {
                entry.child = None;
                match entry.plan {
                    // It was quit, or there was one already: nobody wants it back.
                    Plan::Started if in_order => entry.plan = Plan::Nothing,
                    Plan::Started => entry.died(Duration::ZERO),
                    _ => {}
                }
            }
        }
    }

    /// One process for each command line: an app serves many ports.
    fn start_the_dead(&mut self) {
        let now = Instant::now();
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            if !matches!(entry.plan, Plan::StartAt(when) if when <= now) || entry.child.is_some() {
                continue;
            }
            let same = |other: &&Entry| other.registration.respawn == entry.registration.respawn;
            match self.entries.iter().filter(same).find_map(|other| other.child) {
                Some(child) => {
                    self.entries[at].child = Some(child);
                    self.entries[at].plan = Plan::Started;
                }
                None => self.entries[at].start(),
            }
        }
    }

    /// A state directory that was removed is served by nobody any more.
    fn forget_removed_folders(&mut self) {
        if self.last_look.elapsed() >= FOLDER_LOOK {
            self.last_look = Instant::now();
            let gone = |key: &Path| fs::metadata(key).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
            self.entries.retain(|entry| entry.guest.is_some() || !gone(&entry.registration.key));
        }
    }
}

impl Entry {
    fn new(guest: u64, registration: Registration, socket: OwnedFd) -> Entry {
        Entry {
            registration,
            socket,
            guest: Some(guest),
            since: Instant::now(),
            deaths: Deaths::default(),
            plan: Plan::Nothing,
            child: None,
        }
    }

    fn taken_by(&mut self, guest: u64, registration: Registration) {
        self.registration = registration;
        self.guest = Some(guest);
        self.since = Instant::now();
        self.plan = Plan::Nothing;
    }

    fn died(&mut self, lived: Duration) {
        self.guest = None;
        self.plan = Plan::Nothing;
        let Some(respawn) = &self.registration.respawn else { return };
        self.plan = match self.deaths.another(lived) {
            Verdict::After(pause) => Plan::StartAt(Instant::now() + pause),
            Verdict::GiveUp => {
                let sentence = format!(
                    "the server of {} died {} times in a row and is not started any more. What was acknowledged \
                     is in {}. See above why, then mount again.",
                    self.registration.serves.bucket,
                    self.deaths.in_a_row() - 1,
                    self.registration.key.display()
                );
                revive::note(&respawn.log, &sentence);
                Plan::GivenUp
            }
        };
    }

    fn start(&mut self) {
        let Some(respawn) = &self.registration.respawn else {
            self.plan = Plan::Nothing;
            return;
        };
        revive::note(&respawn.log, "the server died; it is started again");
        match revive::start(respawn) {
            Ok(child) => {
                self.child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                self.plan = Plan::Started;
            }
            Err(error) => {
                revive::note(&respawn.log, &format!("it could not be started ({error})"));
                self.died(Duration::ZERO);
            }
        }
    }

    pub(crate) fn life(&self) -> Life {
        match (self.guest, self.plan) {
            (Some(_), _) => Life::Alive,
            (None, Plan::StartAt(_) | Plan::Started) => Life::Reviving,
            (None, Plan::GivenUp) => Life::GivenUp,
            (None, Plan::Nothing) => Life::Dead,
        }
    }

    fn known(&self) -> Known<'_> {
        let Registration { key, port, serves, .. } = &self.registration;
        Known { key, port: *port, serves, life: self.life() }
    }

    fn held(&self) -> Held {
        let Registration { key, port, pid, serves, .. } = &self.registration;
        Held { key: key.clone(), port: *port, pid: *pid, serves: serves.clone(), life: self.life() }
    }
}

pub(crate) fn welcome() -> Reply {
    Reply::Welcome { protocol: PROTOCOL, version: VERSION.to_owned(), pid: std::process::id() }
}

/// Beside the socket.
fn lock_of(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// On 127.0.0.1, SO_REUSEADDR set (as std does): connections of the last life may be in TIME_WAIT.
fn bind(port: u16) -> Result<OwnedFd, Refusal> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
        // Of the one socket that all who hold it share; nobody accepts here.
        listener.set_nonblocking(true).map(|()| listener)
    });
    match bound {
        Ok(listener) => Ok(listener.into()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Refusal::PortTaken { port }),
        Err(error) => Err(Refusal::Bind { port, errno: error.raw_os_error().unwrap_or(0) }),
    }
}

#[cfg(not(target_os = "macos"))]
fn accepts(socket: &OwnedFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// macOS declares SO_ACCEPTCONN and does not answer it: a bound socket without a peer has to do.
#[cfg(target_os = "macos")]
fn accepts(socket: &OwnedFd) -> bool {
    rustix::net::getpeername(socket).is_err()
}

fn is_listener_on(socket: BorrowedFd<'_>, port: u16) -> bool {
    let Ok(copy) = socket.try_clone_to_owned() else { return false };
    let accepts = accepts(&copy);
    let address = TcpListener::from(copy).local_addr();
    accepts && address.is_ok_and(|address| address.ip() == Ipv4Addr::LOCALHOST && address.port() == port)
}

fn why(why: &str) -> Refusal {
    Refusal::Bad { why: why.to_owned() }
}

fn bad(reason: &str) -> Reply {
    Reply::Refused(why(reason))
}
