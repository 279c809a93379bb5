//! `bucketbarctl` as a person runs it: processes of its own, a Hub of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nfs3_client::tokio::{TokioConnector, TokioIo};
use nfs3_client::{Nfs3Connection, Nfs3ConnectionBuilder};
use nfs3_types::nfs3::{
    COMMIT3args, CREATE3args, LOOKUP3args, Nfs3Option, Nfs3Result, READ3args, WRITE3args, createhow3,
    diropargs3, nfs_fh3, nfsstat3, sattr3, stable_how, writeverf3,
};
use nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_types::xdr_codec::Opaque;
use testkit::{LocalHub, TempDir, tempdir};

pub const LONG: Duration = Duration::from_secs(30);

pub type Connection = Nfs3Connection<TokioIo<tokio::net::TcpStream>>;

/// A Hub with one bucket, and a place for state directories.
pub struct Room {
    pub hub: LocalHub,
    pub bucket: String,
    pub dir: TempDir,
    pub token: Option<String>,
}

impl Room {
    pub fn new() -> Room {
        let hub = LocalHub::builder().token("hf_alice", "alice").read_token("hf_read", "alice").start();
        Room::on(hub)
    }

    /// On a Hub of one's own making.
    pub fn on(hub: LocalHub) -> Room {
        let bucket = hub.create_bucket("photos");
        Room { token: Some(hub.token().to_owned()), hub, bucket, dir: tempdir().unwrap() }
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A command line with this room's Hub and nothing of the tester's own sign-in.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(testkit::binary("bucketbarctl"));
        command.args(args).env("HF_ENDPOINT", self.hub.endpoint()).env("HOME", self.dir.path());
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command.env_remove("XDG_STATE_HOME").env_remove("BUCKETBAR_CLIENT_ID").env_remove("BUCKETBAR_LOG");
        if let Some(token) = &self.token {
            command.env("HF_TOKEN", token);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command about this room's bucket and state directory.
    pub fn control(&self, command: &str, more: &[&str]) -> Done {
        let state = self.state();
        let mut args = vec![command, &self.bucket, "--state", state.to_str().unwrap()];
        args.extend(more);
        self.run(&args)
    }

    pub fn serve(&self) -> Engine {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, more: &[&str]) -> Engine {
        let state = self.state();
        let mut args = vec!["serve", &self.bucket, "--state", state.to_str().unwrap()];
        args.extend(["--debounce-ms", "100"]);
        args.extend(more);
        Engine::start(self.command(&args))
    }

    /// `serve` that is expected to end by itself.
    pub fn refused(&self, more: &[&str]) -> Done {
        let done = self.control("serve", more);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert_eq!(done.stdout, "", "no first line without a server");
        done
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(output: Output) -> Done {
        Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn ok(self) -> Done {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    pub fn json(self) -> serde_json::Value {
        let done = self.ok();
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// The error is one sentence with this in it, and another that says what to do.
    pub fn says(&self, part: &str) {
        assert!(self.stderr.contains(part), "no “{part}” in: {}", self.stderr);
        let sentences = self.stderr.matches(". ").count() + usize::from(self.stderr.trim().ends_with('.'));
        assert!(sentences >= 1, "what happened and what to do: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// A running `bucketbarctl serve`; killed when dropped.
pub struct Engine {
    child: Child,
    pub port: u16,
    pub export: String,
    pub first_line: String,
    stderr: mpsc::Receiver<String>,
}

impl Engine {
    pub fn start(mut command: Command) -> Engine {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = collect(child.stderr.take().unwrap());
        let (sender, line) = mpsc::channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            sender.send(line).unwrap();
            // The process must never block on a full pipe.
            let _ = stdout.read_to_end(&mut Vec::new());
        });
        let first_line = line.recv_timeout(LONG).unwrap_or_default();
        if first_line.is_empty() {
            let _ = child.kill();
            panic!("no first line; stderr: {:?}", stderr.recv_timeout(LONG));
        }
        let parsed: serde_json::Value = serde_json::from_str(&first_line).unwrap();
        let port = u16::try_from(parsed["port"].as_u64().unwrap()).unwrap();
        let export = parsed["export"].as_str().unwrap().to_owned();
        assert!(parsed["options"].as_str().unwrap().contains(&format!("port={port},")));
        Engine { child, port, export, first_line, stderr }
    }

    /// Sends SIGTERM and waits for the end; gives the exit status, the time it took and stderr.
    pub fn terminate(mut self) -> (ExitStatus, Duration, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let start = Instant::now();
        while start.elapsed() < LONG {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, start.elapsed(), self.stderr.recv_timeout(LONG).unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("serve did not end on SIGTERM");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// A wire connection, mounted with `export`.
    pub async fn try_mount(&self, export: &str) -> Result<Connection, String> {
        let user = auth_unix { uid: rustix::process::geteuid().as_raw(), ..auth_unix::default() };
        Nfs3ConnectionBuilder::new(TokioConnector, "127.0.0.1", export)
            .connect_from_privileged_port(false)
            .mount_port(self.port)
            .nfs3_port(self.port)
            .credential(opaque_auth::auth_unix(&user))
            .mount()
            .await
            .map_err(|error| error.to_string())
    }

    pub async fn mount(&self) -> Wire {
        let connection = self.try_mount(&self.export).await.unwrap();
        Wire { root: connection.root_nfs_fh3(), connection }
    }

    /// Mounted and looked at, so that the root is known without the Hub from now on.
    pub async fn mount_and_list(&self) -> Wire {
        let mut wire = self.mount().await;
        let root = wire.root.clone();
        assert_eq!(wire.lookup(&root, "nothing").await.unwrap_err(), nfsstat3::NFS3ERR_NOENT);
        wire
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// What a kernel would do, call by call.
pub struct Wire {
    pub connection: Connection,
    pub root: nfs_fh3,
}

impl Wire {
    pub async fn create(&mut self, name: &str) -> Result<nfs_fh3, nfsstat3> {
        let how = createhow3::UNCHECKED(sattr3::default());
        let where_ = diropargs3 { dir: self.root.clone(), name: name.as_bytes().into() };
        match self.connection.create(&CREATE3args { where_, how }).await.unwrap() {
            Nfs3Result::Ok(made) => match made.obj {
                Nfs3Option::Some(handle) => Ok(handle),
                Nfs3Option::None => panic!("a CREATE without a handle"),
            },
            Nfs3Result::Err((status, _)) => Err(status),
        }
    }

    pub async fn lookup(&mut self, dir: &nfs_fh3, name: &str) -> Result<nfs_fh3, nfsstat3> {
        let what = diropargs3 { dir: dir.clone(), name: name.as_bytes().into() };
        match self.connection.lookup(&LOOKUP3args { what }).await.unwrap() {
            Nfs3Result::Ok(found) => Ok(found.object),
            Nfs3Result::Err((status, _)) => Err(status),
        }
    }

    /// UNSTABLE in pieces of 64 KiB.
    pub async fn write(&mut self, file: &nfs_fh3, data: &[u8]) -> writeverf3 {
        let mut verifier = None;
        for (index, piece) in data.chunks(64 << 10).enumerate() {
            let args = WRITE3args {
                file: file.clone(),
                offset: (index * (64 << 10)) as u64,
                count: piece.len() as u32,
                stable: stable_how::UNSTABLE,
                data: Opaque::borrowed(piece),
            };
            let written = self.connection.write(&args).await.unwrap().unwrap();
            assert_eq!(written.count as usize, piece.len());
            verifier = Some(written.verf);
        }
        verifier.unwrap()
    }

    pub async fn commit(&mut self, file: &nfs_fh3) -> writeverf3 {
        let args = COMMIT3args { file: file.clone(), offset: 0, count: 0 };
        self.connection.commit(&args).await.unwrap().unwrap().verf
    }

    /// Creates, writes and commits one file; the verifier must be the same all along.
    pub async fn put(&mut self, name: &str, data: &[u8]) -> nfs_fh3 {
        let file = self.create(name).await.unwrap();
        let written = self.write(&file, data).await;
        assert_eq!(self.commit(&file).await, written);
        file
    }

    pub async fn read(&mut self, file: &nfs_fh3) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let args = READ3args { file: file.clone(), offset: all.len() as u64, count: 1 << 20 };
            let read = self.connection.read(&args).await.unwrap().unwrap();
            all.extend_from_slice(read.data.as_ref());
            if read.eof {
                return all;
            }
        }
    }
}

/// Every file below `dir`, for looking for what must not be there.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files_below(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}
