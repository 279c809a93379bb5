"""What is measured, as processes: a local-hub, BucketBar's server, nfs-ganesha, other servers, the official client."""
import dataclasses, json, os, pathlib, resource, shlex, shutil, signal, socket, subprocess, sys, time, urllib.request

REPO = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")) / "release"
TOKEN = "hf_local"
GANESHA = """
NFS_CORE_PARAM {{ Protocols = 3; NFS_Port = {port}; MNT_Port = {mount}; Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; }}
EXPORT {{ Export_Id = 1; Path = {path}; Pseudo = /bench; Protocols = 3; Transports = TCP; Access_Type = RW; Squash = No_root_squash;
         SecType = sys; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = WARN; }}
"""


class Failed(Exception):
    """A part that could not be measured, in words."""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Process:
    """A process of ours, its output in a file, ended by its id."""

    def __init__(self, argv, log, env=None, first_line=True, seconds=60):
        self.log = pathlib.Path(log)
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})},
                                        stdout=subprocess.PIPE if first_line else self.log.open("w"),
                                        stderr=self.log.open("w"), start_new_session=True)
        self.first = None
        if first_line:
            line = self.process.stdout.readline()
            if not line:
                raise Failed(f"{argv[0]} did not start: {self.log.read_text()[-500:]}")
            self.first = line.decode()

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        """Seconds of processor so far, threads and all."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        """Largest resident set since the last `forget_peak`."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        raise Failed(f"process {self.pid} is gone")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def stop(self, seconds=20):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


class Hub(Process):
    """A local-hub with one bucket after the other."""

    def __init__(self, home):
        super().__init__([TARGET / "local-hub", "--data", home / "hub"], home / "hub.log")
        self.endpoint = json.loads(self.first)["endpoint"]
        self.env = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                    "HF_HUB_DISABLE_TELEMETRY": "1"}
        self.buckets = 0

    def ask(self, method, path, body=None, kind="application/json"):
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + path, data, method=method, headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read() or b"null")

    def line(self, latency_ms=0, megabytes_per_second=0):
        self.ask("PUT", "/_control/network", {"latencyMs": latency_ms, "bytesPerSecond": megabytes_per_second * 1_000_000})

    def bucket(self):
        """A new empty bucket's name."""
        self.buckets += 1
        name = f"demo/bench{self.buckets}"
        self.ask("POST", f"/api/buckets/{name}", {"private": True})
        return name

    def put(self, bucket, path, content):
        return self.ask("POST", f"/_control/put?bucket={bucket}&path={path}", content)

    def names(self, bucket, count, per_folder):
        """So many small files of one content, in folders of `per_folder`."""
        content = self.put(bucket, "names/000000/000000.bin", b"the same in each")
        paths = (f"names/{n // per_folder:06}/{n:06}.bin" for n in range(count))
        while batch := [path for _, path in zip(range(50_000), paths)]:
            lines = (json.dumps({"type": "addFile", "path": path, "xetHash": content["xetHash"], "mtime": 1_700_000_000_000}) for path in batch)
            self.ask("POST", f"/api/buckets/{bucket}/batch", "\n".join(lines).encode(), "application/x-ndjson")

    def counts(self):
        """Calls, bytes sent by the Hub and to it, since the last `counts_anew`. The waiting feed is no call of a job's."""
        routes = self.ask("GET", "/_control/counters")
        routes = {route: count for route, count in routes.items() if not route.endswith("/events")}
        total = {what: sum(count[what] for count in routes.values()) for what in ("calls", "down", "up")}
        return {**total, "routes": {route: count["calls"] for route, count in routes.items()}}

    def counts_anew(self):
        self.ask("DELETE", "/_control/counters")


@dataclasses.dataclass
class Served:
    """A server that answers NFSv3 and how to call it."""
    name: str
    port: int
    export: str
    mount_port: int
    process: Process = None
    folder: pathlib.Path = None
    helper: Process = None

    def load(self, job, *arguments, depth=16):
        """Runs one job of nfs-load; its figures."""
        argv = [TARGET / "nfs-load", "--port", self.port, "--mount-port", self.mount_port, "--export", self.export, "--depth", depth, job, *arguments]
        done = subprocess.run([str(a) for a in argv], text=True, capture_output=True, timeout=900)
        if done.returncode:
            raise Failed(f"{self.name}: {job} {' '.join(map(str, arguments))}: {done.stderr.split('Stack backtrace')[0].strip()[-400:]}")
        return json.loads(done.stdout)

    def stop(self):
        for process in (self.process, self.helper):
            if process:
                process.stop()


class Ours(Served):
    """`bucketbarctl serve` of a bucket, its state in memory like everybody's files."""

    def __init__(self, hub, bucket, home, state=None, uploads=True, wrapped=(), env=None):
        self.hub, self.bucket = hub, bucket
        self.state = pathlib.Path(state or home / f"state-{time.monotonic_ns()}")
        # Uploads begin when `synced` asks: a debounce in the middle of a measurement would be chance.
        debounce = 2000 if uploads else 3_600_000
        argv = [*wrapped, TARGET / "bucketbarctl", "serve", bucket, "--state", self.state, "--no-keeper", "--debounce-ms", debounce, "--do-not-ask"]
        began = time.monotonic()
        process = Process(argv, home / "ours.log", env={**hub.env, **(env or {})})
        first = json.loads(process.first)
        super().__init__("bucketbar", first["port"], first["export"], first["port"], process)
        self.started_in = time.monotonic() - began

    def control(self, *arguments, seconds=600):
        argv = [TARGET / "bucketbarctl", arguments[0], self.bucket, "--state", self.state, *arguments[1:]]
        done = subprocess.run([str(a) for a in argv], text=True, capture_output=True, timeout=seconds, env={**os.environ, **self.hub.env})
        if done.returncode:
            raise Failed(f"bucketbarctl {' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def synced(self):
        """Waits until everything is on the Hub; seconds it took."""
        began = time.monotonic()
        self.control("sync", "--wait")
        return time.monotonic() - began

    def stop(self, keep=False):
        super().stop()
        if not keep:
            shutil.rmtree(self.state, ignore_errors=True)


def ganesha(home, export):
    """nfs-ganesha over the same kind of disk; `None` with a word where it cannot run."""
    if not shutil.which("ganesha.nfsd"):
        return None
    export.mkdir(parents=True, exist_ok=True)
    binder = None
    if subprocess.run(["pgrep", "-x", "rpcbind"], stdout=subprocess.DEVNULL).returncode:
        # nfs-ganesha does not start without it. It listens everywhere, so it lives as long as the run only.
        binder = Process(["rpcbind", "-f"], home / "rpcbind.log", first_line=False)
        time.sleep(0.5)
    port, mount = free_port(), free_port()
    conf, log = home / "ganesha.conf", home / "ganesha.log"
    conf.write_text(GANESHA.format(port=port, mount=mount, path=export))
    process = Process(["ganesha.nfsd", "-F", "-L", log, "-f", conf, "-p", home / "ganesha.pid"], home / "ganesha.out", first_line=False)
    served = Served("nfs-ganesha", port, str(export), mount, process, export, binder)
    await_answer(served)
    return served


def await_answer(served, seconds=30):
    """Until MNT and GETATTR are answered."""
    until = time.monotonic() + seconds
    while True:
        try:
            return served.load("getattr", "", "--count", 1)
        except Failed as error:
            if time.monotonic() > until or served.process.process.poll() is not None:
                served.stop()
                raise Failed(f"{served.name} does not answer: {error}") from error
            time.sleep(0.2)


def peer(given, hub, bucket, home):
    """A server of the command line, `name=command`: prints port and export (and, if elsewhere, the port of MOUNT), and runs until
    SIGTERM. It finds HF_ENDPOINT, HF_TOKEN, BUCKET and STATE in its environment."""
    name, _, command = given.partition("=")
    state = home / f"peer-{name}-{time.monotonic_ns()}"
    state.mkdir()
    env = {**hub.env, "BUCKET": bucket, "STATE": str(state)}
    process = Process(shlex.split(command), home / f"peer-{name}.log", env=env)
    words = process.first.split()
    if len(words) < 2 or not words[0].isdigit():
        raise Failed(f"--peer {name}: its first line is “{process.first.strip()}”, not a port and an export")
    served = Served(name, int(words[0]), words[1], int(words[2]) if len(words) > 2 else int(words[0]), process)
    await_answer(served)
    return served


def client_python():
    done = subprocess.run([REPO / "scripts/python-env"], check=True, text=True, stdout=subprocess.PIPE, timeout=900)
    return done.stdout.strip().splitlines()[-1]


def official(python, hub, what, bucket, remote, local):
    """The official client's bulk transfer of one file; seconds of the call alone (without the interpreter's start)."""
    argv = [python, "-B", pathlib.Path(__file__).parent / "transfer.py", what, bucket, remote, local]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(a) for a in argv], text=True, capture_output=True, timeout=900, env={**os.environ, **hub.env})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Failed(f"the official client: {what} {remote}: {done.stderr.strip()[-400:]}")
    figures = json.loads(done.stdout)
    figures["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return figures


def machine():
    """What stands in a report's head."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "-C", REPO, "describe", "--always", "--dirty"], text=True, capture_output=True).stdout.strip()
    return {"processors": os.cpu_count(), "model": model, "kernel": os.uname().release, "commit": commit,
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "load_before": os.getloadavg()[0]}


def say(*words):
    print(*words, file=sys.stderr, flush=True)
