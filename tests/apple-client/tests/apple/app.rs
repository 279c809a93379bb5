//! Apple's client against the app's own mount path: the app as a process, its buckets mounted by the words the root
//! helper uses (`/TOKEN/Volume`, the helper's options, let in once), killed and started again on the same ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use apple_client::{Errno, Findings, Flags, Mount, Options, Program};
use engine::Endpoint;
use engine::control::ControlClient;
use engine::mounter::{Os, mount_options};
use rand::Rng;
use serde_json::{Value, json};

use crate::faults::work_for_a_while;
use crate::real::{LONG, Room, everything, mounted};
use crate::worker::{Worker, rng};

const MIB: usize = 1 << 20;
/// In which a mount of our own is let in.
const WINDOW: Duration = Duration::from_secs(40);

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    testkit::bytes(seed, length)
}

/// The app of one user, with one bucket mounted.
struct Desk {
    room: Room,
    app: Option<Child>,
    url: String,
    token: String,
}

impl Desk {
    fn new() -> Desk {
        let mut desk = Desk { room: Room::new(), app: None, url: String::new(), token: String::new() };
        desk.start();
        desk.call("mount", json!({ "bucket": desk.room.bucket }));
        desk
    }

    /// Started as a person does, or launchd after a crash. Returns when it answers.
    fn start(&mut self) {
        let home = self.room.dir.path();
        let mut command = Command::new(testkit::binary("bucketbarctl"));
        command.args(["app", "--http", "--secrets-in-memory", "--serve-only"]);
        command.args(["--debounce-ms", "100", "--poll-ms", "500"]);
        command.env("HF_ENDPOINT", self.room.hub.endpoint()).env("HF_TOKEN", self.room.hub.token());
        command.env("HOME", home).env("XDG_STATE_HOME", home.join("xdg")).env_remove("XDG_CONFIG_HOME");
        command.env("BUCKETBAR_DISK_FAULTS", home.join("faults")).env_remove("BUCKETBAR_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        self.app = Some(child);
        let first: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("it said {line:?}: {error}"));
        let word = |name: &str| first[name].as_str().unwrap().to_owned();
        (self.url, self.token) = (word("url"), word("token"));
    }

    /// One command of the app, over HTTP.
    fn call(&self, name: &str, args: Value) -> Value {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        let body = args.to_string();
        let request = format!(
            "POST /api/call/{name} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    fn state_dir(&self) -> PathBuf {
        let buckets = self.room.dir.path().join("xdg/bucketbar/buckets");
        let found: Vec<_> = std::fs::read_dir(buckets).unwrap().flatten().map(|entry| entry.path()).collect();
        found.into_iter().find(|path| path.join("endpoint.json").exists()).unwrap()
    }

    /// As the helper mounts: its options, and its own name for the volume.
    fn options(&self, volume: &str) -> Options {
        let endpoint = Endpoint::read(&self.state_dir()).unwrap().unwrap();
        let words = mount_options(Os::MacOs, endpoint.port.unwrap(), false);
        let export = format!("/{}/{volume}", endpoint.mount_token);
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Options::parse(&words, export, uid, gid).unwrap()
    }

    async fn mount(&self, speed: f64) -> (Arc<Mount>, Program) {
        mounted(&self.options("photos"), |options| options.speed = speed).await
    }

    /// The door is open once more: only for the judge, who looks with empty caches.
    async fn let_in(&self) {
        let client = ControlClient::new(&self.state_dir(), &self.room.bucket);
        // A start takes its mounts up behind its first answer.
        let deadline = Instant::now() + LONG;
        while !client.is_running().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client.open_mount_window(WINDOW).await.unwrap();
    }

    async fn judge(&self, mount: &Arc<Mount>, events: &[String]) -> Findings {
        self.let_in().await;
        let found = everything(&self.options("photos")).await;
        mount.ledger.compare(|path| found.get(path).cloned(), events)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.app.as_ref().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    /// kill -9; gone on return.
    fn kill(&mut self) {
        if let Some(mut child) = self.app.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What the Activity list tells.
    fn told(&self) -> Vec<String> {
        let state = self.call("snapshot", json!({}));
        let rows = state["activity"].as_array().unwrap().iter();
        rows.map(|row| {
            format!("{} {}", row["path"].as_str().unwrap_or_default(), row["what"].as_str().unwrap())
        })
        .collect()
    }

    fn disk(&self, orders: &str) {
        std::fs::write(self.room.dir.path().join("faults"), orders).unwrap();
    }
}

impl Drop for Desk {
    /// In order, so that the keeper ends too.
    fn drop(&mut self) {
        if self.app.is_none() {
            return;
        }
        self.signal(rustix::process::Signal::CONT);
        self.signal(rustix::process::Signal::TERM);
        if let Some(mut child) = self.app.take() {
            let _ = child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_helpers_words_mount_the_bucket_once_under_the_helpers_name() {
    let desk = Desk::new();
    let options = desk.options("photos 2");
    assert_eq!(options.deadtimeout, Some(Duration::from_secs(300)));
    assert!(options.nfc && options.rdirplus && options.wsize == 1 << 20);
    // A second volume of that name; somebody else's guess; and then nobody any more.
    let wrong = Options { export: format!("/{}/photos", "0".repeat(32)), ..options.clone() };
    assert_eq!(Mount::mount(wrong, Default::default()).await.err(), Some(Errno::EACCES));
    let (mount, program) = mounted(&options, |_| ()).await;
    for name in ["photos 2", "photos"] {
        assert_eq!(
            Mount::mount(desk.options(name), Default::default()).await.err(),
            Some(Errno::EACCES),
            "{name}"
        );
    }
    program.mkdir("Holiday").await.unwrap();
    for number in 0..12_u64 {
        let name = format!("Holiday/photo {number}.jpg");
        program.finder_copy(&name, &bytes(number, 100_000 * number as usize)).await.unwrap();
    }
    let findings = desk.judge(&mount, &[]).await.hold();
    assert_eq!((findings.discards, findings.told), (0, 0), "{findings}");
    desk.room.hub_agrees(&mount.ledger);
    mount.unmount().await.unwrap();
}

/// What launchd (or the keeper) makes of a crash: the same ports, the same handles, no new MNT.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_killed_in_mid_copy_is_there_again_and_no_program_notices() {
    let mut desk = Desk::new();
    let (mount, program) = desk.mount(20.0).await;
    program.mkdir("d").await.unwrap();
    let copying = tokio::spawn(work_for_a_while(program.clone(), 20));
    for round in 0..3 {
        tokio::time::sleep(Duration::from_millis(150 + 100 * round)).await;
        desk.kill();
        // Some virtual seconds without anybody.
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| desk.start());
    }
    copying.await.unwrap();
    assert!(mount.transport.counts.connections.load(Ordering::Relaxed) >= 3);
    let findings = desk.judge(&mount, &[]).await.hold();
    assert_eq!((findings.discards, findings.told), (0, 0), "{findings}");
    desk.room.hub_agrees(&mount.ledger);
}

/// Ten minutes by the clock; meanwhile the app was killed, too.
#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_of_sleep_lose_nothing_even_when_the_app_did_not_survive_them() {
    let mut desk = Desk::new();
    let (mount, program) = desk.mount(100.0).await;
    program.mkdir("d").await.unwrap();
    for dies in [false, true] {
        let copying = tokio::spawn(work_for_a_while(program.clone(), 5));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asleep = Arc::clone(&mount);
        let sleeping = tokio::spawn(async move { asleep.sleep(Duration::from_secs(600)).await });
        if dies {
            // There again when the machine wakes up: launchd is quicker than ten minutes.
            desk.kill();
            tokio::task::block_in_place(|| desk.start());
        }
        sleeping.await.unwrap();
        copying.await.unwrap();
        assert!(!mount.transport.is_dead());
        program.remove_tree("d").await.unwrap();
        program.mkdir("d").await.unwrap();
    }
    program.finder_copy("after", &bytes(1, MIB)).await.unwrap();
    let findings = desk.judge(&mount, &[]).await.hold();
    assert_eq!((findings.discards, findings.told), (0, 0), "{findings}");
    desk.room.hub_agrees(&mount.ledger);
}

/// The app hangs for longer than the 300 s of the options: the mount is dead, open files say so, and what was committed
/// is there after mounting again.
#[tokio::test(flavor = "multi_thread")]
async fn after_deadtimeout_open_files_are_told_and_the_next_mount_has_the_rest() {
    let desk = Desk::new();
    let (mount, program) = desk.mount(100.0).await;
    program.finder_copy("before", &bytes(1, 2 * MIB)).await.unwrap();
    let mut synced = program.open("synced", Flags::exclusive()).await.unwrap();
    synced.write(&bytes(2, 100_000)).await.unwrap();
    synced.fsync().await.unwrap();
    let mut late = program.open("late", Flags::exclusive()).await.unwrap();
    desk.signal(rustix::process::Signal::STOP);
    late.write(&bytes(3, MIB)).await.unwrap();
    assert_eq!(late.close().await, Err(Errno::ENXIO));
    assert!(mount.transport.is_dead());
    let _ = synced.close().await;
    desk.signal(rustix::process::Signal::CONT);
    desk.judge(&mount, &[]).await.hold();
    desk.let_in().await;
    let (again, program) = desk.mount(20.0).await;
    assert_eq!(program.read_file("synced").await.unwrap(), bytes(2, 100_000));
    program.overwrite("late", &bytes(4, MIB)).await.unwrap();
    desk.judge(&again, &[]).await.hold();
    desk.room.hub_agrees(&again.ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_unmount_of_the_apps_mount_loses_only_what_open_files_are_told_of() {
    let desk = Desk::new();
    let (mount, program) = desk.mount(20.0).await;
    program.finder_copy("closed", &bytes(1, 2 * MIB)).await.unwrap();
    let mut open = program.open("open", Flags::exclusive()).await.unwrap();
    open.write(&bytes(3, MIB + 100)).await.unwrap();
    mount.force_unmount().await;
    assert_eq!(open.close().await, Err(Errno::ENXIO));
    let findings = desk.judge(&mount, &[]).await.hold();
    assert!(findings.discards >= 1);
    desk.room.hub_agrees(&mount.ledger);
}

/// Random Finder-like work while the app is killed, its disk fails, and the machine sleeps.
#[tokio::test(flavor = "multi_thread")]
async fn random_work_through_the_app_throws_nothing_away_untold() {
    let seeds: Vec<u64> = match std::env::var("APPLE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if std::env::var_os("BUCKETBAR_FULL").is_some() => (0..8).collect(),
        Err(_) => vec![0, 1],
    };
    for seed in seeds {
        let ran = tokio::spawn(one(seed)).await;
        assert!(ran.is_ok(), "seed {seed} failed; APPLE_SEED={seed} runs it again: {:?}", ran.err());
    }
}

async fn one(seed: u64) {
    let mut desk = Desk::new();
    let (mount, program) = mounted(&desk.options("photos"), |options| {
        options.shuffle = Some(seed);
        options.many_need_commit = 3;
        // deadtimeout is 20 s of ours then: a loaded machine brings the app back within them.
        options.speed = 15.0;
    })
    .await;
    let mut working = Vec::new();
    for number in 0..2 {
        let folder = format!("p{number}");
        program.mkdir(&folder).await.unwrap();
        let worker = Worker { program: program.clone(), rng: rng(seed, number), folder, names: 0 };
        working.push(tokio::spawn(worker.work()));
    }
    // Finished while the troubles go on, or soon after them.
    let mut rng = rng(seed, 99);
    let mut told = Vec::new();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(30..200))).await;
        match rng.random_range(0..8) {
            0 | 1 => {
                told.extend(tokio::task::block_in_place(|| desk.told()));
                desk.kill();
                tokio::task::block_in_place(|| desk.start());
            }
            2 => desk.disk("sync data eio 1\n"),
            3 => desk.disk("write data enospc 2\n"),
            4 => mount.transport.cut(),
            5 => mount.sleep(Duration::from_secs(rng.random_range(2..60))).await,
            6 => mount.memory_pressure().await,
            _ => desk.disk(""),
        }
    }
    desk.disk("");
    for worker in working {
        worker.await.unwrap();
    }
    assert!(!mount.transport.is_dead());
    told.extend(tokio::task::block_in_place(|| desk.told()));
    desk.let_in().await;
    let found = everything(&desk.options("photos")).await;
    let findings = mount.ledger.compare(|path| found.get(path).cloned(), &told);
    println!("seed {seed}: {findings}");
    findings.hold();
    testkit::eventually(LONG, || {
        for path in mount.ledger.untroubled().iter().filter(|path| !path.contains("/._")) {
            if desk.room.on_hub(path) != mount.ledger.content(path) {
                return Err(format!("the Hub has no {path} as it was written"));
            }
        }
        Ok(())
    });
}
