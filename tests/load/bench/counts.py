"""Instructions of the hot paths, counted by callgrind in the real server: the same on a busy machine as on a quiet one.

Each figure is the difference of two runs of different lengths, so that start-up and the set-up of a run fall out of it. The server runs under
valgrind from its start, and counts only from the moment it is told to.
"""
import json, pathlib, random, re, shutil, subprocess, tempfile, time

import machine
from machine import Failed, say

BASELINE = pathlib.Path(__file__).with_name("counts.json")
# A compiler of another version moves a figure by some per cent; a lost cache, an index or a copy by much more.
TOLERANCE = 1.15
# How much an operation may cost in a bucket of many files against one of 1,000.
FLAT = 1.2
# Pages that a large bucket's operation may read more than that: what SQLite's cache of 8 MB holds of a small one.
SPARE_PAGES = 2
MIB = 1 << 20


class Counted(machine.Ours):
    """A server of ours under callgrind."""

    def __init__(self, hub, bucket, home, state):
        self.out = home / f"callgrind-{time.monotonic_ns()}"
        wrapped = ["valgrind", "--tool=callgrind", "--quiet", "--instr-atstart=no", f"--callgrind-out-file={self.out}"]
        # Set already, so that the program does not start itself anew: valgrind would not follow.
        env = {"MALLOC_MMAP_THRESHOLD_": "2097152"}
        super().__init__(hub, bucket, home, state=state, uploads=False, wrapped=wrapped, env=env)
        self.dumps = 0

    def begin(self):
        """Counts from here on, when what goes on by itself is over: listings renewed after the start, and looks at what is to be uploaded, of
        which there are the more the longer a run takes."""
        self.control("pause")
        calls = None
        while calls != (calls := self.hub.counts()["calls"]):
            time.sleep(2)
        self.tell("instrumentation", "on")

    def tell(self, *words):
        done = subprocess.run(["vgdb", f"--pid={self.process.pid}", "--wait=20", *words], text=True, capture_output=True, timeout=120)
        if done.returncode:
            raise Failed(f"vgdb {' '.join(words)}: {done.stderr.strip()[-300:]}")

    def count(self):
        """Instructions since the last call."""
        self.dumps += 1
        self.tell("dump")
        dump = pathlib.Path(f"{self.out}.{self.dumps}")
        for _ in range(200):
            if dump.exists() and (found := re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.M)):
                return int(found[1])
            time.sleep(0.05)
        raise Failed(f"callgrind wrote no {dump.name}")

    def counted(self, *job, depth=1):
        self.count()
        self.load(*job, depth=depth)
        return self.count()

    def each(self, job, few, many, depth=1):
        """Instructions of one operation: `job` gives the arguments for a length and a number, none of them twice."""
        self.load(*job(few, 0), depth=depth)    # what happens the first time only
        short, long = self.counted(*job(few, 1), depth=depth), self.counted(*job(many, 2), depth=depth)
        return round((long - short) / (many - few))


def hot_paths(hub, home):
    """The hot paths in a bucket of 1,000 names and one file of 32 MiB."""
    bucket = hub.bucket()
    hub.names(bucket, 1000, 1000)
    hub.put(bucket, "big", random.Random(7).randbytes(32 * MIB))
    state = home / "state-hot"
    quick = machine.Ours(hub, bucket, home, state=state)
    try:
        quick.load("read", "big")
        quick.load("list", "names")
    finally:
        quick.stop(keep=True)
    served = Counted(hub, bucket, home, state)
    try:
        served.load("list", "names")
        served.load("read", "big")
        served.begin()
        each = served.each
        return {
            "GETATTR": each(lambda n, _: ["getattr", "names/000000/000007.bin", "--count", n], 200, 1200),
            "LOOKUP": each(lambda n, _: ["lookup", "names/000000/000007.bin", "--count", n], 200, 1200),
            "READDIRPLUS of 1,000 names": each(lambda n, _: ["list", "names/000000", "--times", n], 3, 9),
            "READ of 4 KiB, warm": each(lambda n, _: ["random", "big", "--count", n], 200, 1200),
            "READ of 1 MiB, warm": each(lambda n, _: ["read", "big", "--length", n * MIB], 8, 24),
            "WRITE of 1 MiB": each(lambda n, run: ["write", f"new-{run}", "--size", n * MIB], 16, 64),
            "CREATE, WRITE of 4 KiB, COMMIT": each(lambda n, run: ["create", f"small-{run}", "--count", n, "--size", 4096], 50, 250),
        }
    finally:
        served.stop()


def at_size(hub, home, files):
    """The same operations with so many files: on ones that nobody has touched before in this life of the server."""
    bucket = hub.bucket()
    hub.names(bucket, files, 1000)
    state = home / f"state-{files}"
    quick = machine.Ours(hub, bucket, home, state=state)
    try:
        quick.load("list", "names")
    finally:
        quick.stop(keep=True)
    served = Counted(hub, bucket, home, state)
    try:
        served.load("list", "names")
        served.begin()
        starts = [0, 50, 100]
        figures = {
            "LOOKUP and GETATTR": served.each(
                lambda n, run: ["scatter", "names", "--files", files, "--from", starts[run], "--count", n], 50, 450),
            "READDIRPLUS of 1,000 names": served.each(lambda n, _: ["list", "names/000000", "--times", n], 3, 9),
            "CREATE, WRITE of 4 KiB, COMMIT": served.each(
                lambda n, run: ["create", f"small-{run}", "--count", n, "--size", 4096], 50, 250),
        }
    finally:
        served.stop(keep=True)
    pages = database_pages(hub, bucket, home, state, files)
    shutil.rmtree(state, ignore_errors=True)
    return figures, pages


def database_pages(hub, bucket, home, state, files):
    """Pages of the names' database read from its file and written to it by one operation."""
    served = machine.Ours(hub, bucket, home, state=state, uploads=False)
    try:
        served.load("list", "names")

        def touched(job):
            log = home / f"strace-{time.monotonic_ns()}"
            names = [state / f"names.db{suffix}" for suffix in ("", "-wal")]
            watch = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=pread64,pwrite64", *(word for name in names for word in ("-P", name)),
                                      "-o", log, "-p", str(served.process.pid)], stderr=subprocess.PIPE, text=True)
            time.sleep(1)
            if watch.poll() is not None:
                raise Failed(f"strace: {watch.stderr.read().strip()}")
            served.load(*job, depth=1)
            watch.terminate()
            watch.wait(20)
            return sum(1 for line in log.read_text().splitlines() if " = 4096" in line)

        def each(job, few, many):
            short, long = touched(job(few, 3)), touched(job(many, 4))
            return max(0, round((long - short) / (many - few), 2))

        starts = {3: 500, 4: 550}
        return {"LOOKUP and GETATTR": each(lambda n, run: ["scatter", "names", "--files", files, "--from", starts[run], "--count", n], 50, 450),
                "CREATE, WRITE of 4 KiB, COMMIT": each(lambda n, run: ["create", f"small-{run}", "--count", n, "--size", 4096], 50, 250)}
    finally:
        served.stop(keep=True)


def run(options):
    """Counts, prints and judges; the exit code. With `options.record_counts` the baseline is written instead of judged."""
    if missing := [tool for tool in ("valgrind", "vgdb", "strace") if not shutil.which(tool)]:
        print(f"{', '.join(missing)} cannot be had here (Debian: apt-get install valgrind strace)")
        return 2
    place = options.place or ("/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None)
    home = pathlib.Path(tempfile.mkdtemp(prefix="bucketbar-counts-", dir=place))
    hub = machine.Hub(home)
    try:
        say("== hot paths")
        found = {"hot": hot_paths(hub, home), "sizes": {}}
        for files in [1000, 1_000_000 if options.large else 100_000]:
            say(f"== {files} files")
            instructions, pages = at_size(hub, home, files)
            found["sizes"][str(files)] = {"instructions": instructions, "pages": pages}
    finally:
        hub.stop()
        if not options.keep:
            shutil.rmtree(home, ignore_errors=True)
    if options.record_counts:
        rustc = subprocess.run(["rustc", "--version"], text=True, capture_output=True).stdout.strip()
        BASELINE.write_text(json.dumps({"tolerance": TOLERANCE, "rustc": rustc, **machine.machine(), "hot": found["hot"]}, indent=1) + "\n")
        say(f"recorded in {BASELINE}")
    return judge(found, json.loads(BASELINE.read_text()))


def judge(found, baseline):
    broken, rows = [], 0
    print(f"\n{'instructions of the server for one':36} {'now':>12} {'recorded':>12} {'ratio':>7}")
    for what, now in found["hot"].items():
        known = baseline["hot"].get(what)
        ratio = now / known if known else 1
        rows += 1
        print(f"{what:36} {now:12,} {known or 0:12,} {ratio:7.3f}")
        if ratio > baseline["tolerance"]:
            broken.append(f"{what} takes {now:,} instructions; {known:,} were recorded with {baseline['rustc']}. If that is meant: scripts/bench --record-counts")
    (few, small), (many, large) = found["sizes"].items()
    print(f"\n{'in a bucket of so many files':36} {int(few):12,} {int(many):12,} {'ratio':>7}")
    for kind in ("instructions", "pages"):
        for what, before in small[kind].items():
            now = large[kind][what]
            rows += 1
            ratio = f"{now / before:7.3f}" if before >= 1 else f"{'':>7}"
            print(f"{what + ', ' + kind if kind == 'pages' else what:36} {before:12,} {now:12,} {ratio}")
            if now > FLAT * before + (SPARE_PAGES if kind == "pages" else 0):
                broken.append(f"{what}: {now:,} {kind} with {int(many):,} files, {before:,} with {int(few):,}")
    for words in broken:
        print(f"BROKEN: {words}")
    print(f"{rows - len(broken)} passed, {len(broken)} failed")
    return 1 if broken else 0


__all__ = ["run"]
