//! A server's side: asking for a listener, and standing by while the keeper holds it.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::protocol::{Held, PROTOCOL, Refusal, Registration, Reply, Request, Respawn};
use crate::{VERSION, environment, peer, wire};

/// Every answer is at hand at once; an upgrade takes a moment.
const ANSWER: Duration = Duration::from_secs(5);
/// Until a keeper that is being started answers.
const START: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// Between attempts to find a keeper again.
const RETRY: Duration = Duration::from_millis(500);

/// Where this user's keeper is, and which program it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In a folder of this user's alone; absolute, and short enough for a socket.
    pub socket: PathBuf,
    pub program: PathBuf,
    /// Of the one who asks; see [`Request::Hello`].
    pub version: String,
}

/// Why there is no listener.
#[derive(Debug)]
pub enum Failure {
    /// The keeper refuses.
    Refused(Refusal),
    /// It is not there, cannot be started, or broke off.
    Away(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Away(error)
    }
}

impl Place {
    pub fn new(socket: impl Into<PathBuf>, program: impl Into<PathBuf>) -> Place {
        Place { socket: socket.into(), program: program.into(), version: VERSION.to_owned() }
    }

    /// What the keeper holds; nothing when there is none.
    pub fn list(&self) -> io::Result<Vec<Held>> {
        match self.connect() {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(stream) => match ask(&stream, &Request::List)? {
                Reply::Held(held) => Ok(held),
                other => Err(senseless(&other)),
            },
        }
    }

    /// The keeper's process id; `None` when there is none.
    pub fn pid(&self) -> io::Result<Option<u32>> {
        match self.connect_and_greet() {
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
            Ok((_, pid)) => Ok(Some(pid)),
        }
    }

    /// Closes the port of a server that is not there any more.
    pub fn release(&self, key: &Path) -> io::Result<()> {
        match self.connect() {
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(stream) => ask(&stream, &Request::Release { key: key.to_owned() }).map(|_| ()),
        }
    }

    /// A listener (non-blocking) for `registration`, held by the keeper from now on; one is started if need be.
    pub fn keep(&self, registration: Registration) -> Result<(TcpListener, Holding), Failure> {
        let stream = self.connect_or_start()?;
        wire::send(&stream, &Request::Keep(registration.clone()), None)?;
        let listener = match wire::receive::<Reply>(&stream)? {
            Some((Reply::Kept { .. }, Some(fd))) => TcpListener::from(fd),
            Some((Reply::Refused(refusal), _)) => return Err(Failure::Refused(refusal)),
            Some((other, _)) => return Err(senseless(&other).into()),
            None => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        };
        let copy = listener.try_clone()?;
        Ok((listener, Holding::start(self.clone(), stream, registration, copy)?))
    }

    fn adopt(&self, registration: &Registration, listener: &TcpListener) -> io::Result<UnixStream> {
        let stream = self.connect_or_start()?;
        wire::send(&stream, &Request::Adopt(registration.clone()), Some(listener.as_fd()))?;
        match wire::receive::<Reply>(&stream)? {
            Some((Reply::Kept { .. }, _)) => Ok(stream),
            Some((other, _)) => Err(senseless(&other)),
            None => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn connect(&self) -> io::Result<UnixStream> {
        Ok(self.connect_and_greet()?.0)
    }

    fn connect_and_greet(&self) -> io::Result<(UnixStream, u32)> {
        let stream = UnixStream::connect(&self.socket)?;
        if !peer::is_own(&stream) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the keeper is somebody else's"));
        }
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let program = Some(self.program.clone());
        let hello = Request::Hello { protocol: PROTOCOL, version: self.version.clone(), program };
        match ask(&stream, &hello)? {
            Reply::Welcome { protocol: PROTOCOL, pid, .. } => Ok((stream, pid)),
            other => Err(senseless(&other)),
        }
    }

    fn connect_or_start(&self) -> io::Result<UnixStream> {
        let end = Instant::now() + START;
        let mut started = false;
        loop {
            let error = match self.connect() {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            // One that was just ending cut us off; anything else does not heal.
            let ending = matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
            if (!is_absent(&error) && !ending) || Instant::now() >= end {
                return Err(error);
            }
            // Of several started at once one stays, the others end by themselves.
            if !started || ending {
                self.start()?;
                started = true;
            }
            thread::sleep(LOOK);
        }
    }

    fn start(&self) -> io::Result<()> {
        let mut child = Command::new(&self.program)
            .arg("--socket")
            .arg(&self.socket)
            .env_clear()
            .envs(environment::of_this_process())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // It mostly outlives us; where it does not, somebody has to take note of its end.
        thread::Builder::new().name("keeper-end".into()).spawn(move || child.wait())?;
        Ok(())
    }
}

fn ask(stream: &UnixStream, request: &Request) -> io::Result<Reply> {
    wire::send(stream, request, None)?;
    match wire::receive::<Reply>(stream)? {
        Some((reply, _)) => Ok(reply),
        None => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn senseless(reply: &Reply) -> io::Error {
    io::Error::other(format!("the keeper answered what makes no sense here: {reply:?}"))
}

enum Word {
    Respawn(Option<Respawn>),
    Goodbye,
}

/// A listener that the keeper holds. A thread stands by: when the keeper dies it finds or starts another and
/// hands the listener over. Dropped without [`Holding::goodbye`], the server counts as dead.
#[derive(Debug)]
pub struct Holding {
    words: Sender<Word>,
    /// A byte for each word; its end wakes the thread too.
    wake: UnixStream,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Holding {
    fn start(
        place: Place,
        stream: UnixStream,
        registration: Registration,
        listener: TcpListener,
    ) -> io::Result<Holding> {
        let (wake, woken) = UnixStream::pair()?;
        let (words, heard) = channel();
        let stand_by = StandBy { place, stream: Some(stream), registration, listener, woken, heard };
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || stand_by.run())?;
        Ok(Holding { words, wake, thread: Mutex::new(Some(thread)) })
    }

    /// How the server is started again from now on.
    pub fn set_respawn(&self, respawn: Option<Respawn>) {
        self.say(Word::Respawn(respawn));
    }

    /// The server ends in order, and its own copy of the listener is closed: when this returns the port is, too.
    /// Blocks for as long as the keeper takes to answer, at most seconds.
    pub fn goodbye(&self) {
        self.say(Word::Goodbye);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been printed; the end of its connection then reads as a death.
            let _ = thread.join();
        }
    }

    fn say(&self, word: Word) {
        // A thread that is gone has nothing to hold any more.
        let _ = self.words.send(word);
        let _ = (&mut &self.wake).write_all(&[0]);
    }
}

struct StandBy {
    place: Place,
    /// `None` between two keepers.
    stream: Option<UnixStream>,
    registration: Registration,
    listener: TcpListener,
    woken: UnixStream,
    heard: Receiver<Word>,
}

impl StandBy {
    fn run(mut self) {
        loop {
            let (lost, woken) = self.wait();
            if woken && !self.obey() {
                return;
            }
            if lost {
                self.stream = None;
            }
            if self.stream.is_none() {
                // Tried again after a pause for as long as the server lives.
                self.stream = self.place.adopt(&self.registration, &self.listener).ok();
            }
        }
    }

    /// Until the keeper is lost, or a word is said, or it is time to try again.
    fn wait(&self) -> (bool, bool) {
        let mut polled = vec![PollFd::new(&self.woken, PollFlags::IN)];
        polled.extend(self.stream.as_ref().map(|stream| PollFd::new(stream, PollFlags::IN)));
        let retry = Timespec { tv_sec: 0, tv_nsec: i64::from(RETRY.subsec_nanos()) };
        if rustix::event::poll(&mut polled, self.stream.is_none().then_some(&retry)).is_err() {
            return (false, false);
        }
        let spoke = |at: usize| polled.get(at).is_some_and(|one| !one.revents().is_empty());
        // The keeper says nothing by itself: whatever comes is its end.
        (spoke(1), spoke(0))
    }

    /// Does what was said; false when there is nothing more to stand by for.
    fn obey(&mut self) -> bool {
        let mut byte = [0];
        if !matches!((&mut &self.woken).read(&mut byte), Ok(1)) {
            return false;
        }
        match self.heard.try_recv() {
            Ok(Word::Goodbye) => {
                if let Some(stream) = &self.stream {
                    // A keeper that is gone holds nothing.
                    let _ = ask(stream, &Request::Goodbye);
                }
                false
            }
            Ok(Word::Respawn(respawn)) => {
                self.registration.respawn.clone_from(&respawn);
                let told = self.stream.as_ref().is_some_and(|s| ask(s, &Request::Respawn(respawn)).is_ok());
                if !told {
                    self.stream = None;
                }
                true
            }
            Err(_) => true,
        }
    }
}
