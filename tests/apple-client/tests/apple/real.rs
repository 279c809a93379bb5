//! BucketBar itself under Apple's client: inside this process (quick, with a disk that fails), or as the program
//! `bucketbarctl serve` (to be killed).

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use apple_client::{Findings, Ledger, Mount, Options, Program, workloads};
use engine::{HubAccess, ServeConfig, Served};
use testkit::{LocalHub, TempDir, tempdir};

pub const LONG: Duration = Duration::from_secs(60);

/// A Hub with one bucket, and a place for the state.
pub struct Room {
    pub hub: LocalHub,
    pub bucket: String,
    pub dir: TempDir,
}

impl Room {
    pub fn new() -> Room {
        let hub = LocalHub::start();
        let bucket = hub.create_bucket("photos");
        Room { hub, bucket, dir: tempdir().unwrap() }
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        self.hub.client().put(&self.bucket, path, content);
    }

    pub fn on_hub(&self, path: &str) -> Option<Vec<u8>> {
        self.hub.client().read_if_there(&self.bucket, path)
    }

    /// Served inside this process.
    pub async fn serve(&self) -> Inside {
        self.serve_with(|_| ()).await
    }

    pub async fn serve_with(&self, change: impl FnOnce(&mut ServeConfig)) -> Inside {
        let access = HubAccess {
            endpoint: hub::parse_endpoint(self.hub.endpoint()).unwrap(),
            token: Arc::new(hub::StaticToken::new(self.hub.token(), "the tests")),
        };
        let mut config = ServeConfig {
            access: Some(access),
            debounce: Duration::from_millis(100),
            poll: Duration::from_millis(500),
            reserve_bytes: Some(0),
            cache_bytes: Some(256 << 20),
            ..ServeConfig::new(self.bucket.parse().unwrap(), self.state())
        };
        change(&mut config);
        let (uid, gid) = (config.uid, config.gid);
        let served = Served::start(config).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], served.first_line().port));
        let options = Options::new(address, served.first_line().export.clone(), uid, gid);
        Inside { served, options }
    }

    /// Served by the built program, on `port` if it is to be the one of before.
    pub fn process(&self, port: Option<u16>) -> Outside {
        let mut command = Command::new(testkit::binary("bucketbarctl"));
        command.args(["serve", &self.bucket, "--state"]).arg(self.state());
        command.args(["--debounce-ms", "100", "--poll-ms", "500", "--reserve-bytes", "0"]);
        if let Some(port) = port {
            command.args(["--port", &port.to_string()]);
        }
        command.env("HF_ENDPOINT", self.hub.endpoint()).env("HF_TOKEN", self.hub.token());
        command.env("HOME", self.dir.path()).env_remove("XDG_STATE_HOME").env_remove("BUCKETBAR_LOG");
        Outside::start(command)
    }

    /// Waits until the Hub has every file that met no error.
    pub fn hub_agrees(&self, ledger: &Ledger) {
        let local =
            |path: &str| path.split('/').any(|name| name.starts_with("._") || name.starts_with(".nfs."));
        testkit::eventually(LONG, || {
            for path in ledger.untroubled().iter().filter(|path| !local(path)) {
                let wanted = ledger.content(path);
                if self.on_hub(path) != wanted {
                    let there = self.hub.client().paths(&self.bucket);
                    return Err(format!("the Hub has another {path}; of names it has {there:?}"));
                }
            }
            Ok(())
        });
    }
}

/// A bucket served inside this process.
pub struct Inside {
    pub served: Served,
    pub options: Options,
}

impl Inside {
    pub async fn mount(&self) -> (Arc<Mount>, Program) {
        self.mount_with(|_| ()).await
    }

    pub async fn mount_with(&self, change: impl FnOnce(&mut Options)) -> (Arc<Mount>, Program) {
        mounted(&self.options, change).await
    }

    /// What the person could read about it.
    pub fn events(&self) -> Vec<String> {
        let told = self.served.notices().after(0);
        told.into_iter()
            .map(|notice| format!("{} {}", notice.path.unwrap_or_default(), notice.what))
            .collect()
    }

    /// Everything promised through `mount` against what a fresh mount reads.
    pub async fn judge(&self, mount: &Arc<Mount>) -> Findings {
        judge(&self.options, &mount.ledger, &self.events()).await
    }
}

pub async fn mounted(options: &Options, change: impl FnOnce(&mut Options)) -> (Arc<Mount>, Program) {
    let mut options = options.clone();
    change(&mut options);
    let mount = Mount::mount(options, Arc::new(Ledger::default())).await.unwrap();
    let program = Program::new(&mount);
    (mount, program)
}

/// Compares with what another client finds, whose caches are empty.
pub async fn judge(options: &Options, ledger: &Ledger, events: &[String]) -> Findings {
    let (fresh, reader) = mounted(options, |_| ()).await;
    let mut found = std::collections::HashMap::new();
    for path in ledger.paths() {
        if let Ok(content) = reader.read_file(&path).await {
            found.insert(path, content);
        }
    }
    fresh.transport.kill(apple_client::Errno::ENXIO);
    ledger.compare(|path| found.get(path).cloned(), events)
}

/// Every file a fresh mount finds.
pub async fn everything(options: &Options) -> std::collections::BTreeMap<String, Vec<u8>> {
    let (fresh, _) = mounted(options, |_| ()).await;
    let found = workloads::read_everything(&fresh).await.unwrap();
    fresh.transport.kill(apple_client::Errno::ENXIO);
    found
}

/// `bucketbarctl serve`; killed when dropped.
pub struct Outside {
    child: Child,
    pub port: u16,
    pub options: Options,
}

impl Outside {
    fn start(mut command: Command) -> Outside {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        let first: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("serve said {line:?}: {error}"));
        let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let options = Options::new(address, first["export"].as_str().unwrap(), uid, gid);
        Outside { child, port, options }
    }

    /// SIGKILL, and the process is gone on return.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Outside {
    /// SIGSTOP: it hangs.
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
