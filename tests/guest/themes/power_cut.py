"""The power fails while programs write: whatever fsync or O_SYNC had promised is there afterwards."""
import os, pathlib, random, signal, sqlite3, subprocess, sys, time

from guestkit.data import eventually, same
from guestkit.disk import Disk, new_boot
from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, Server

FULL = bool(os.environ.get("BUCKETBAR_FULL"))
CUTS = 25 if FULL else 4
BLOCK = 4096

# Writes without end and says what was promised, a line each, on a pipe of this machine:
#   made NAME SIZE        a file of its own, fsync'ed; every third is then renamed into a folder. A rename is promised
#                         by the next fsync of anything: for a clean file the kernel's NFS client sends no COMMIT
#   version N             the file `versions`, overwritten in place, fsync'ed
#   appended N            one more record at the end of `log`, written with O_SYNC
WRITER = r"""
import os, sys
root, life = sys.argv[1], int(sys.argv[2])

def content(name, size):
    return (name.encode() + b"\n") * (size // (len(name) + 1) + 1)

def promise(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())

os.makedirs(f"{root}/kept", exist_ok=True)
log = os.open(f"{root}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_SYNC, 0o644)
versions = os.open(f"{root}/versions", os.O_RDWR | os.O_CREAT, 0o644)
appended = os.fstat(log).st_size // 64
number, version = 0, int(sys.argv[3])
while True:
    number += 1
    name, size = f"{life}-{number}", 1000 + (number * 7919) % 300_000
    with open(f"{root}/{name}", "wb") as file:
        file.write(content(name, size)[:size])
        file.flush()
        os.fsync(file.fileno())
    if number % 3 == 0:
        os.rename(f"{root}/{name}", f"{root}/kept/{name}")
        name = f"kept/{name}"
    else:
        promise("made", name, size)
    version += 1
    for block in range(16):
        os.pwrite(versions, version.to_bytes(8, "big") * 512, block * 4096)
    os.fsync(versions)
    if number % 3 == 0:
        promise("made", name, size)
    promise("version", version)
    os.write(log, f"{appended:08}".encode().ljust(63, b".") + b"\n")
    appended += 1
    promise("appended", appended)
"""


class Promises:
    """What the writers of all lives were promised."""

    def __init__(self):
        self.made, self.version, self.appended = {}, 0, 0

    def take(self, text):
        for line in text.splitlines():
            word, *rest = line.split()
            if word == "made":
                self.made[rest[0]] = int(rest[1])
            elif word == "version":
                self.version = int(rest[0])
            else:
                self.appended = int(rest[0])

    def check(self, read, names):
        """`read` gives a file's bytes, `names` what there is at the top."""
        for name, size in self.made.items():
            stem = pathlib.PurePath(name).name
            wanted = ((stem.encode() + b"\n") * (size // (len(stem) + 1) + 1))[:size]
            same(f"bytes of {name}", read(name) == wanted, True)
        if self.version:
            # A write in place that was under way may be half there, as on any disk: each block is old or new.
            candidates = [name for name in names if name == "versions" or name.startswith("versions (recovered")]
            blocks = [min(self.blocks(read(name))) for name in candidates]
            assert blocks and max(blocks) >= self.version, f"versions {blocks} of {candidates}, promised {self.version}"
        if self.appended:
            logs = [read(name) for name in names if name == "log" or name.startswith("log (recovered")]
            whole = max(len([line for line in log.split(b"\n") if len(line) == 63]) for log in logs)
            assert whole >= self.appended, f"{whole} records in the log, promised {self.appended}"

    @staticmethod
    def blocks(content):
        found = []
        for start in range(0, 16 * BLOCK, BLOCK):
            words = {content[at:at + 8] for at in range(start, start + BLOCK, 8)}
            found.append(min(int.from_bytes(word, "big") for word in words))
        return found


def one_life(place, server, mount, promises, life, seconds):
    """Writers run for so long; gives the process, still running, and where its promises are read."""
    log = place.dir / f"promises-{life}"
    with open(log, "wb") as out:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, mount.path, str(life), str(promises.version)],
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=open(place.log("writer"), "wb"))
    time.sleep(seconds)
    assert writer.poll() is None, "the writer ended by itself"
    return writer, log


def cut_the_power(place, disk, server, mount, writer, log):
    """In the order of a real one: the disk, then everything at once. Gives what was promised up to then."""
    promised = log.read_text()    # before the cut: what is promised after it is a lie of the dropping disk
    disk.cut()
    server.kill()
    writer.send_signal(signal.SIGKILL)
    for _ in range(30):    # each ends the calls under way; the writer, killed, may make one more before it is gone
        place.run("umount", "-f", mount.path)
        try:
            writer.wait(1)
            break
        except subprocess.TimeoutExpired:
            continue
    place.run("umount", "-f", "-l", mount.path)
    writer.wait(10)
    # The last line may have been half written.
    return promised[:promised.rfind("\n") + 1]


def whole_story(place, file_system):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    hub = Hub(place)
    bucket = hub.create_bucket(file_system)
    disk = Disk(place, file_system)
    server = Server(place, hub, bucket, "--reserve-bytes", "1000000", state=f"{disk.name}/state")
    promises = Promises()
    for life in range(1, CUTS + 1):
        mount = Mount(server, f"mnt-{life}")
        before = len(promises.made)
        writer, log = one_life(place, server, mount, promises, life, dice.uniform(0.6, 2.5))
        promises.take(cut_the_power(place, disk, server, mount, writer, log))
        eventually("everybody is gone from the disk", lambda: not users_of(disk), 20)
        disk.power_on()
        new_boot(place)
        sound(disk.path / "state/names.db")
        server.start()
        mount = Mount(server, f"look-{life}")
        promises.check(lambda name: (mount / name).read_bytes(), mount.names())
        assert len(promises.made) > before, "nothing was promised in this life: the cut came too early"
        mount.detach()
    server.sync(120)
    on_hub = hub.files(bucket)
    promises.check(lambda name: hub.read(bucket, name), on_hub)
    say(f"        {file_system}: {CUTS} cuts, {len(promises.made)} files, {promises.version} versions and {promises.appended} "
        f"records promised and there, in the mount and on the Hub (seed {seed})")


def users_of(disk):
    return [pid for pid in pathlib.Path("/proc").glob("[0-9]*") if holds(pid, disk.path)]


def holds(process, path):
    try:
        links = [*(process / "fd").iterdir(), process / "cwd"]
        return any(os.readlink(link).startswith(f"{path}/") for link in links)
    except OSError:
        return False


def sound(database):
    """As a power cut leaves it: SQLite itself, with the WAL that is there, finds no damage."""
    connection = sqlite3.connect(database)
    try:
        same("integrity_check of the state database", connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
    finally:
        connection.close()


@test("power cuts over ext4: what fsync and O_SYNC promised is there", 1500 if FULL else 300)
def on_ext4(place):
    whole_story(place, "ext4")


@test("power cuts over xfs: what fsync and O_SYNC promised is there", 1500 if FULL else 300)
def on_xfs(place):
    whole_story(place, "xfs")


@test("power cuts over btrfs: what fsync and O_SYNC promised is there", 1500 if FULL else 300)
def on_btrfs(place):
    whole_story(place, "btrfs")
