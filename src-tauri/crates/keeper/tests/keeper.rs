//! The keeper as a process of its own, with servers that are killed.

// A test ends by panicking; clippy knows only `#[test]` functions for tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use keeper::client::{Failure, Place};
use keeper::protocol::{Life, Refusal, Registration, Respawn, Serves};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const STAND_IN: &str = "KEEPER_TEST_STAND_IN";

/// A folder with a keeper's socket in it; the keeper ends with the test.
struct Room {
    dir: TempDir,
    place: Place,
}

impl Room {
    fn new() -> Room {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("keeper.sock"), env!("CARGO_BIN_EXE_bucketbar-keeper"));
        Room { dir, place }
    }

    fn wants(&self, name: &str, port: u16) -> Registration {
        let key = self.dir.path().join(name);
        fs::create_dir_all(&key).unwrap();
        let serves = Serves { hub: "https://hub".into(), bucket: format!("u/{name}"), prefix: String::new() };
        Registration { key, port, pid: std::process::id(), serves, respawn: None }
    }

    /// How [`stand_in`] is started as a process of its own.
    fn stand_in(&self, name: &str, port: u16) -> Respawn {
        Respawn {
            program: std::env::current_exe().unwrap(),
            args: ["--exact", "stand_in", "--nocapture"].map(str::to_owned).to_vec(),
            env: vec![(STAND_IN.into(), format!("{}|{name}|{port}", self.dir.path().display()))],
            log: self.dir.path().join("log"),
        }
    }

    fn server(&self, name: &str, port: u16) -> Child {
        let command = self.stand_in(name, port);
        let mut process = Command::new(command.program);
        process.args(command.args).envs(command.env).stdout(Stdio::null()).spawn().unwrap()
    }

    fn life(&self, name: &str) -> Option<Life> {
        let key = self.dir.path().join(name);
        self.place.list().unwrap().into_iter().find(|held| held.key == key).map(|held| held.life)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Ok(Some(pid)) = self.place.pid() {
            kill(pid);
        }
    }
}

/// No test of its own: the server that the others kill. It answers each connection with its process id.
#[test]
fn stand_in() {
    let Ok(task) = std::env::var(STAND_IN) else { return };
    let [dir, name, port] = task.split('|').collect::<Vec<_>>().try_into().unwrap();
    let place = Place::new(Path::new(dir).join("keeper.sock"), env!("CARGO_BIN_EXE_bucketbar-keeper"));
    let serves = Serves { hub: "https://hub".into(), bucket: format!("u/{name}"), prefix: String::new() };
    let respawn = Respawn {
        program: std::env::current_exe().unwrap(),
        args: std::env::args().skip(1).collect(),
        env: vec![(STAND_IN.into(), task.clone())],
        log: Path::new(dir).join("log"),
    };
    let key = Path::new(dir).join(name);
    fs::create_dir_all(&key).unwrap();
    let registration = Registration {
        key,
        port: port.parse().unwrap(),
        pid: std::process::id(),
        serves,
        respawn: Some(respawn),
    };
    let (listener, _holding) = place.keep(registration).unwrap();
    listener.set_nonblocking(false).unwrap();
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = write!(stream, "{}", std::process::id());
    }
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let _ = kill_process(pid, Signal::KILL);
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Connects, and waits for whoever accepts; which process that was.
fn who_answers(port: u16) -> Option<u32> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.parse().ok()
}

fn connects(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within 30 s");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_server_comes_back_by_itself_and_every_connection_is_answered() {
    let room = Room::new();
    let port = free_port();
    let mut server = room.server("a", port);
    eventually("the first server", || who_answers(port) == Some(server.id()));
    let mut pid = server.id();
    let mut longest = Duration::ZERO;
    for _ in 0..6 {
        kill(pid);
        let _ = server.wait();
        let began = Instant::now();
        // At no moment may the port be somebody else's, or closed.
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err());
        let next = loop {
            // The dying server may have accepted this one and never answers it; a client asks again.
            match who_answers(port) {
                Some(next) if next != pid => break next,
                _ => assert!(began.elapsed() < Duration::from_secs(30)),
            }
        };
        longest = longest.max(began.elapsed());
        pid = next;
    }
    println!("6 kills, the longest wait for an answer {longest:?}");
    assert_eq!(room.life("a"), Some(Life::Alive));
    let log = fs::read_to_string(room.dir.path().join("log")).unwrap();
    assert_eq!(log.matches("it is started again").count(), 6, "{log}");
    // Its state directory away and the server dead: nothing is started or held any more.
    fs::remove_dir_all(room.dir.path().join("a")).unwrap();
    let held = room.place.list().unwrap();
    kill(room.place.pid().unwrap().unwrap());
    held.iter().for_each(|held| kill(held.pid));
}

#[test]
fn without_a_command_the_port_waits_and_a_new_start_gets_the_same_socket() {
    let room = Room::new();
    let port = free_port();
    let (listener, holding) = room.place.keep(room.wants("a", port)).unwrap();
    drop((listener, holding));
    eventually("its death is known", || room.life("a") == Some(Life::Dead));
    let mut waiting = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    waiting.write_all(b"queued").unwrap();
    let (listener, holding) = room.place.keep(room.wants("a", port)).unwrap();
    listener.set_nonblocking(false).unwrap();
    let mut said = [0; 6];
    listener.accept().unwrap().0.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"queued");
    assert_eq!(room.life("a"), Some(Life::Alive));
    drop(listener);
    holding.goodbye();
    assert!(!connects(port), "a goodbye closes the port");
}

#[test]
fn a_keeper_of_nothing_ends_by_itself_and_is_only_its_users() {
    let room = Room::new();
    let (listener, holding) = room.place.keep(room.wants("a", free_port())).unwrap();
    let mode = fs::metadata(&room.place.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(listener);
    holding.goodbye();
    eventually("the keeper is gone", || !room.place.socket.exists());
    assert_eq!(room.place.pid().unwrap(), None);
}

#[test]
fn a_killed_keeper_is_replaced_and_no_connection_is_lost() {
    let room = Room::new();
    let port = free_port();
    let (listener, holding) = room.place.keep(room.wants("a", port)).unwrap();
    for _ in 0..3 {
        let keeper = room.place.pid().unwrap().unwrap();
        kill(keeper);
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            assert!(connects(port));
            thread::sleep(Duration::from_millis(5));
            while listener.accept().is_ok() {}
        }
        eventually("another keeper holds it", || {
            room.place.pid().is_ok_and(|pid| pid.is_some_and(|pid| pid != keeper))
                && room.life("a") == Some(Life::Alive)
        });
    }
    // What was handed over is the listener itself: the new keeper holds it beyond our own end.
    drop((listener, holding));
    eventually("its death is known", || room.life("a") == Some(Life::Dead));
    assert!(connects(port));
    room.place.release(&room.dir.path().join("a")).unwrap();
    assert!(!connects(port), "released");
}

#[test]
fn one_that_dies_again_and_again_is_given_up_loudly_and_its_port_stays() {
    let room = Room::new();
    let port = free_port();
    let mut wants = room.wants("a", port);
    let log = room.dir.path().join("log");
    wants.respawn =
        Some(Respawn { program: "/bin/false".into(), args: vec![], env: vec![], log: log.clone() });
    drop(room.place.keep(wants).unwrap());
    eventually("it is given up", || room.life("a") == Some(Life::GivenUp));
    let said = fs::read_to_string(log).unwrap();
    assert!(said.contains("died 10 times in a row and is not started any more"), "{said}");
    assert!(connects(port));
    // A start by hand is a new beginning.
    let kept = room.place.keep(room.wants("a", port)).unwrap();
    assert_eq!(room.life("a"), Some(Life::Alive));
    drop(kept);
}

#[test]
fn an_app_of_many_ports_is_started_once_and_one_that_ended_in_order_no_more() {
    let room = Room::new();
    let starts = room.dir.path().join("starts");
    let script = format!("echo started >>{}; sleep 2", starts.display());
    let app = Respawn {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script],
        env: vec![],
        log: room.dir.path().join("log"),
    };
    let names = ["a", "b", "c"];
    let wants = |name: &&str| Registration { respawn: Some(app.clone()), ..room.wants(name, free_port()) };
    let kept: Vec<_> = names.iter().map(|name| room.place.keep(wants(name)).unwrap()).collect();
    drop(kept);
    eventually("it is started", || starts.exists());
    assert!(names.iter().all(|name| room.life(name) == Some(Life::Reviving)));
    eventually("its orderly end is known", || names.iter().all(|name| room.life(name) == Some(Life::Dead)));
    assert_eq!(fs::read_to_string(starts).unwrap(), "started\n");
}

#[test]
fn a_newer_version_takes_over_in_the_same_process_with_every_port_and_connection() {
    let room = Room::new();
    let (port, other) = (free_port(), free_port());
    let (listener, holding) = room.place.keep(room.wants("a", port)).unwrap();
    drop(room.place.keep(room.wants("dead", other)).unwrap());
    eventually("its death is known", || room.life("dead") == Some(Life::Dead));
    let keeper = room.place.pid().unwrap().unwrap();
    let newer = Place { version: "999.0.0".into(), ..room.place.clone() };
    assert_eq!(newer.pid().unwrap(), Some(keeper), "the process is the same");
    #[cfg(target_os = "linux")]
    {
        let line = fs::read(format!("/proc/{keeper}/cmdline")).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(line.contains("--resume"), "the program is another: {line}");
    }
    assert_eq!((room.life("a"), room.life("dead")), (Some(Life::Alive), Some(Life::Dead)));
    assert!(connects(port) && connects(other));
    // It is asked for once only by each version, however often one of it comes.
    assert_eq!(newer.pid().unwrap(), Some(keeper));
    let leftovers = fs::read_dir(room.dir.path()).unwrap().flatten();
    assert!(leftovers.map(|e| e.file_name().into_string().unwrap()).all(|name| !name.contains("heritage")));
    drop(listener);
    holding.goodbye();
    assert!(!connects(port), "the connection still stands for the server");
}

#[test]
fn an_upgrade_that_cannot_be_started_changes_nothing() {
    let room = Room::new();
    let port = free_port();
    let (_listener, _holding) = room.place.keep(room.wants("a", port)).unwrap();
    let keeper = room.place.pid().unwrap();
    let broken = Place { version: "999.0.0".into(), program: "/nowhere/keeper".into(), ..room.place.clone() };
    assert_eq!(broken.pid().unwrap(), keeper);
    assert_eq!(room.life("a"), Some(Life::Alive));
    assert!(connects(port));
}

#[test]
fn many_servers_at_once_find_one_keeper() {
    let room = Room::new();
    thread::scope(|scope| {
        let start = |n: usize| {
            let wants = room.wants(&format!("s{n}"), free_port());
            let place = &room.place;
            scope.spawn(move || place.keep(wants).unwrap())
        };
        let started: Vec<_> = (0..8).map(start).collect();
        let kept: Vec<_> = started.into_iter().map(|one| one.join().unwrap()).collect();
        assert_eq!(room.place.list().unwrap().len(), 8);
        drop(kept);
    });
}

#[test]
fn taken_ports_shared_files_and_rude_guests_are_refused() {
    let room = Room::new();
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = stranger.local_addr().unwrap().port();
    let refused = |wants| match room.place.keep(wants) {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(room.wants("a", taken)), Refusal::PortTaken { port: taken });
    let port = free_port();
    let (_listener, _holding) = room.place.keep(room.wants("a", port)).unwrap();
    assert_eq!(refused(room.wants("b", port)), Refusal::PortTaken { port });
    let mut same_files = room.wants("b", free_port());
    same_files.serves = Serves { prefix: "folder".into(), ..room.wants("a", 1).serves };
    let key = room.dir.path().join("a");
    assert_eq!(refused(same_files), Refusal::Overlap { bucket: "u/a".into(), key });
    for rude in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x05hello", b"\0\0\0\x02{}", b""] {
        let mut guest = UnixStream::connect(&room.place.socket).unwrap();
        guest.write_all(rude).unwrap();
    }
    assert_eq!(room.life("a"), Some(Life::Alive));
    assert_eq!(room.place.list().unwrap().len(), 1);
}
