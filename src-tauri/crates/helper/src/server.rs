//! Connections: who may speak, how long, how much. A thread each, few at a time.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::admission::{Admission, Place, may_ask};
use crate::audit::{Audit, describe};
use crate::peer::{self, Peer};
use crate::places::Places;
use crate::program::Program;
use crate::protocol::{Code, MAX_REQUEST, Refusal, Reply, Request};
use crate::service::Service;
use crate::sockets::{self, Listening};

/// For the whole request line, and for the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A helper that is started on demand ends after so long without a connection.
const IDLE: Duration = Duration::from_secs(60);
/// How often a helper without connections looks whether it is to end.
const LOOK: Duration = Duration::from_secs(1);
/// Connections taken from the kernel and not looked at yet.
const WAITING: usize = 16;

/// Everything a connection needs.
#[derive(Debug)]
struct Shared {
    service: Service,
    admission: Admission,
    audit: Audit,
}

/// Serves until `stop` is set; where somebody starts us again, also until nobody has asked for a minute, or an update
/// has put another program in our place.
///
/// # Errors
/// The places are not as they must be, or there is no socket.
pub fn run(places: &Places, stop: &AtomicBool) -> io::Result<()> {
    let service = Service::open(places)?;
    let Listening { listener, on_demand } = sockets::listen(&places.socket)?;
    let shared = Arc::new(Shared { service, admission: Admission::default(), audit: Audit::default() });
    let connections = connections(listener)?;
    let mut quiet_since = Instant::now();
    let program = Program::here();
    while !stop.load(Ordering::Relaxed) {
        match connections.recv_timeout(LOOK) {
            Ok(stream) => {
                admit(stream, &shared);
                quiet_since = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) if !shared.admission.is_idle() => quiet_since = Instant::now(),
            Err(RecvTimeoutError::Timeout) if on_demand && is_over(quiet_since.elapsed(), &program) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the listener ended")),
        }
    }
    Ok(())
}

/// Nobody is being served: whether to end now. The next connection starts the program that is there then.
fn is_over(quiet: Duration, program: &Program) -> bool {
    quiet >= IDLE || program.is_replaced()
}

/// Connections as they come. The thread waits in `accept` and ends with the process; what it has taken and nobody
/// has looked at yet is bounded, the rest waits in the kernel's backlog.
fn connections(listener: UnixListener) -> io::Result<Receiver<UnixStream>> {
    let (tell, told) = sync_channel(WAITING);
    std::thread::Builder::new().name("accept".into()).spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    if tell.send(stream).is_err() {
                        return;
                    }
                }
                // Out of descriptors, or the caller is gone already: not again at once.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    })?;
    Ok(told)
}

/// Takes one connection; what cannot be taken is dropped, which its caller sees as an end without an answer.
fn admit(stream: UnixStream, shared: &Arc<Shared>) {
    let Ok(peer) = peer::of(&stream) else { return };
    let Some(place) = shared.admission.connection(peer.uid) else {
        shared.audit.note(&format!("uid {} pid {}: too many connections", peer.uid, peer.pid));
        return;
    };
    let shared = Arc::clone(shared);
    let started = std::thread::Builder::new()
        .name("request".into())
        .spawn(move || converse(&shared, stream, peer, place));
    if let Err(error) = started {
        eprintln!("bucketbar-helper: no thread for a request: {error}");
    }
}

fn converse(shared: &Shared, mut stream: UnixStream, peer: Peer, _place: Place) {
    let reply = match read_request(&mut stream) {
        Ok(Some(line)) => answer(shared, &stream, peer, &line),
        // Half a line, or nothing within the time: there is nobody to answer.
        Ok(None) | Err(_) => {
            shared.audit.note(&format!("uid {} pid {}: no request", peer.uid, peer.pid));
            return;
        }
    };
    let _ = stream.set_write_timeout(Some(PATIENCE));
    if stream.write_all(reply.encode().as_bytes()).is_err() {
        shared.audit.note(&format!("uid {} pid {}: left before the answer", peer.uid, peer.pid));
    }
}

fn answer(shared: &Shared, stream: &UnixStream, peer: Peer, line: &str) -> Reply {
    let admitted = may_ask(peer.uid)
        .and_then(|()| peer::is_our_program(stream).map_err(|what| Refusal::new(Code::NotAllowed, what)));
    if let Err(refusal) = admitted {
        shared.audit.note(&format!("uid {} pid {}: {}", peer.uid, peer.pid, refusal.code.word()));
        return Reply::Refused(refusal);
    }
    let request = match Request::parse(line) {
        Ok(request) => request,
        Err(refusal) => {
            shared.audit.note(&format!("uid {} pid {}: bad request", peer.uid, peer.pid));
            return Reply::Refused(refusal);
        }
    };
    let Some(_working) = shared.admission.request(peer.uid) else {
        let what = "Another request of yours is under way. Try again when it is done.";
        return Reply::Refused(Refusal::new(Code::Busy, what));
    };
    let reply = shared.service.answer(peer, &request);
    shared.audit.note(&describe(peer, &request, &reply));
    reply
}

/// The first line; `None` when there is none within the time, when it is too long, or when it is not text.
fn read_request(stream: &mut UnixStream) -> io::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut line = Vec::with_capacity(MAX_REQUEST);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || line.len() >= MAX_REQUEST {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; MAX_REQUEST];
        let room = MAX_REQUEST - line.len();
        match stream.read(&mut chunk[..room]) {
            Ok(0) => return Ok(None),
            Ok(count) => line.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(end) = line.iter().position(|&b| b == b'\n') {
            line.truncate(end);
            return Ok(String::from_utf8(line).ok());
        }
    }
}
