"""Programs that are hard on a file system, as people run them: fsx, fio, git, SQLite, tar, rsync."""
import os, random, signal, sqlite3, subprocess, sys, time

from guestkit.data import same, sha256
from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, Server, drop_caches

FULL = bool(os.environ.get("BUCKETBAR_FULL"))
FSX = os.environ.get("FSX_BIN")
# mmap, invalidation and fsync among the operations; what NFSv3 has not (holes, allocation, server copies) left out.
FSX_CONFIG = """
flen = 1048576
[weights]
close_open = 1.0
invalidate = 0.5
mapread = 10.0
mapwrite = 10.0
read = 10.0
write = 10.0
truncate = 5.0
fsync = 1.0
"""


def served(place, *arguments, name="work"):
    hub = Hub(place)
    bucket = hub.create_bucket(name)
    server = Server(place, hub, bucket, *arguments)
    return hub, bucket, server, Mount(server)


def must(place, *argv, **options):
    done = place.run(*argv, **options)
    assert done.returncode == 0, f"{' '.join(map(str, argv))} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


@test("fsx, two at once with mmap: no operation sees a wrong byte, and the Hub gets what the mount has", 3000 if FULL else 400)
def fsx(place):
    hub, bucket, server, mount = served(place)
    operations = 100_000 if FULL else 6_000
    (place.dir / "fsx.toml").write_text(FSX_CONFIG)
    seeds = [random.randrange(1 << 31) for _ in range(2)]
    began, running = time.monotonic(), []
    for number, seed in enumerate(seeds):
        log = place.log("fsx")
        argv = [FSX, "-f", place.dir / "fsx.toml", "-N", operations, "-S", seed, "-P", place.folder(f"fsx-{number}"), mount / f"fsx-{number}"]
        running.append((subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=open(log, "wb"),
                                         stderr=subprocess.STDOUT), log, seed))
    for process, log, seed in running:
        assert process.wait(2900 if FULL else 380) == 0, f"fsx with seed {seed}: {log.read_text(errors='replace')[-3000:]}"
    say(f"        2 x {operations} operations in {time.monotonic() - began:.0f} s (seeds {seeds})")
    same("NFS errors the kernel saw", mount.errors(), {})
    server.sync(120)
    drop_caches()
    same("on the Hub", {n: hub.sha256(bucket, n) for n in hub.files(bucket)}, {f"fsx-{n}": sha256(mount / f"fsx-{n}") for n in range(2)})


@test("fio verifies its own random writes", 300)
def fio(place):
    hub, bucket, server, mount = served(place)
    out = must(place, "fio", "--name=verify", f"--directory={mount.path}", "--rw=randwrite", "--bsrange=1k-64k",
               f"--size={'512m' if FULL else '48m'}", "--ioengine=psync", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
               "--end_fsync=1", "--randseed=7", seconds=280)
    assert "err= 0" in out, out
    same("NFS errors the kernel saw", mount.errors(), {})


@test("git: clone into the mount, commit there, gc, and fsck finds nothing, also after a fresh mount", 240)
def git(place):
    # What gc deletes is many files at once, some of them on the Hub already.
    hub, bucket, server, mount = served(place, "--do-not-ask")
    env = place.environment(GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b",
                            GIT_CONFIG_GLOBAL="/dev/null")
    origin = place.folder("origin")
    run = lambda *argv, cwd=origin: must(place, "git", *argv, cwd=cwd, env=env, seconds=200)
    run("init", "-q", "-b", "main")
    for commit in range(5):
        for number in range(20):
            (origin / f"file-{number}.txt").write_text(f"{commit} {number}\n" * (50 + number))
        run("add", ".")
        run("commit", "-q", "-m", f"commit {commit}")
    clone = mount / "clone"
    run("clone", "-q", origin, clone)
    (clone / "new.txt").write_text("from the mount\n")
    run("add", ".", cwd=clone)
    run("commit", "-q", "-m", "in the mount", cwd=clone)
    run("gc", "-q", cwd=clone)
    run("fsck", "--full", "--strict", cwd=clone)
    server.sync(120)
    mount.again()
    drop_caches()
    run("fsck", "--full", "--strict", cwd=clone)
    same("status", run("status", "--porcelain", cwd=clone), "")


SQLITE = r"""
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, filler TEXT)")
db.commit()
n = db.execute("SELECT coalesce(max(n), 0) FROM t").fetchone()[0]
while True:
    n += 1
    with db:
        db.execute("INSERT INTO t VALUES(?, ?)", (n, "x" * (n * 37 % 3000)))
    print(n, flush=True)
"""


@test("SQLite: the writer is killed again and again, the server too; no committed row is missing, integrity_check is ok", 240)
def sqlite(place):
    hub, bucket, server, mount = served(place)
    path, committed = mount / "rows.db", 0
    for turn in range(20 if FULL else 6):
        log = place.dir / f"rows-{turn}"
        with open(log, "wb") as out:
            writer = subprocess.Popen([sys.executable, "-c", SQLITE, path], stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=open(place.log("sqlite"), "wb"))
        time.sleep(random.uniform(0.5, 1.5))
        if turn % 3 == 2:
            server.kill()
            server.start()
        assert writer.poll() is None, "the writer ended by itself"
        writer.send_signal(signal.SIGKILL)
        writer.wait(60)
        # What the writer had asked for when it was killed may be on its way still: a kernel takes no call back. A REMOVE of
        # the journal between this reader's open and its first read is ESTALE, with any server (seen twice in 60 kills).
        time.sleep(0.5)
        lines = log.read_text().splitlines()
        committed = int(lines[-1]) if lines else committed
        db = sqlite3.connect(path, timeout=30)
        same("integrity_check", db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        rows = db.execute("SELECT count(*), coalesce(max(n), 0) FROM t").fetchone()
        db.close()
        assert rows[0] == rows[1] >= committed, f"{rows} rows, {committed} committed"
    say(f"        {committed} rows committed")
    assert committed > 20


@test("tar unpacks 5,000 files, tar compares them, rsync copies them and a second rsync transfers nothing", 420)
def many(place):
    hub, bucket, server, mount = served(place)
    count = 5000 if FULL else 1500
    source = place.folder("source")
    dice = random.Random(1)
    for number in range(count):
        folder = source / f"d{number % 40:02}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number:05}").write_bytes(dice.randbytes(number % 3000))
    archive = place.dir / "many.tar"
    must(place, "tar", "-cf", archive, "-C", source, ".")
    (mount / "tar").mkdir()
    began = time.monotonic()
    must(place, "tar", "-xf", archive, "-C", mount / "tar", seconds=300)
    say(f"        {count} files unpacked in {time.monotonic() - began:.0f} s")
    must(place, "tar", "-df", archive, "-C", mount / "tar", seconds=300)
    few = source / "d00"
    must(place, "rsync", "-a", f"{few}/", mount / "rsync/", seconds=200)
    again = must(place, "rsync", "-a", "--itemize-changes", f"{few}/", mount / "rsync/", seconds=200)
    same("what a second rsync does", [line for line in again.splitlines() if line.startswith(("<", ">", "c"))], [])
    same("NFS errors the kernel saw", mount.errors(), {})
    server.sync(180)
    same("files on the Hub", len(hub.files(bucket)), count + len(list(few.iterdir())))
