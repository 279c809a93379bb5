"""The root helper: a volume for an ordinary user, and what it does to attackers."""
import os, pathlib, socket, subprocess, sys, time

from guestkit.data import digest, eventually, noise, same
from guestkit.hub import Hub
from guestkit.place import end_process
from guestkit.programs import first_line, program
from guestkit.runner import test
from guestkit.server import Mount, Server

ASKER = pathlib.Path(__file__).resolve().parents[1] / "guestkit/asker.py"
ANN, BEN = 1001, 1002


class Helper:
    """`bucketbar-helper` as the system would run it, with places of its own."""

    def __init__(self, place):
        self.place, self.process = place, None
        self.volumes, self.records, self.socket = (place.dir / name for name in ("volumes", "records", "helper.sock"))
        place.dir.chmod(0o755)
        self.start()
        place.at_end(self.end)

    def start(self):
        log = self.place.log("helper")
        argv = [program("bucketbar-helper"), "--volumes", self.volumes, "--records", self.records, "--socket", self.socket]
        self.log = log
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=open(log, "ab"),
                                        stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin"})
        eventually("the helper's socket", lambda: self.ask("version", ANN).startswith("ok\t"), 20, 0.1)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def end(self):
        if self.process.poll() is None:
            end_process(self.process)
        for point in mounted_below(self.volumes):
            self.place.run("umount", "-f", "-l", point)

    def ask(self, text, uid, *more):
        """What is answered to one line of this user."""
        return self.ask_bytes(text.encode() + b"\n", uid, *more)

    def ask_bytes(self, sent, uid, *more):
        done = self.place.run(*as_user(uid), sys.executable, ASKER, self.socket, sent.hex(), *more, seconds=90)
        return done.stdout

    def said(self):
        return self.log.read_text(errors="replace")


def as_user(uid):
    return ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--"]


def mounted_below(folder):
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return [point for point in (line.split()[1].replace("\\040", " ") for line in lines) if point.startswith(f"{folder}/")]


class UsersServer:
    """`bucketbarctl serve` as an ordinary user."""

    def __init__(self, place, hub, bucket, uid):
        home = place.folder(f"home-{uid}")
        os.chown(home, uid, uid)
        self.hub, self.bucket, self.uid, self.place = hub, bucket, uid, place
        self.env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token, HOME=home)
        argv = [*as_user(uid), program("bucketbarctl"), "serve", bucket, "--state", home / "state"]
        log = place.log(f"serve-{uid}")
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=open(log, "wb"), env=self.env)
        first = first_line(self.process, 60, log)
        self.port, (_, self.token, self.volume) = first["port"], first["export"].split("/", 2)
        place.at_end(lambda: end_process(self.process, 10))

    def request(self, name=None, access="rw"):
        return f"mount\t{self.port}\t{self.token}\t{access}\t{name or self.volume}"

    def sync(self):
        done = self.place.run(*as_user(self.uid), program("bucketbarctl"), "sync", self.bucket, "--state",
                              pathlib.Path(self.env["HOME"], "state"), "--wait", "--timeout", 60, seconds=90, env=self.env)
        same("sync", done.returncode, 0)


def prepared(place, uid=ANN, name="shared"):
    hub = Hub(place)
    bucket = hub.create_bucket(name)
    hub.put(bucket, "hello.txt", b"hello")
    return Helper(place), UsersServer(place, hub, bucket, uid)


def as_ann(place, *argv):
    done = place.run(*as_user(ANN), *argv)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@test("an ordinary user gets a volume, uses it, and its folder is gone after unmounting", 120)
def whole_way(place):
    helper, server = prepared(place)
    point = helper.volumes / "shared"
    same("mount", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    assert os.path.ismount(point)
    same("owner", (point.stat().st_uid, (point / "hello.txt").stat().st_uid), (ANN, ANN))
    same("read", as_ann(place, "cat", point / "hello.txt"), "hello")
    content = noise(300_000)
    source = place.dir / "new.bin"
    source.write_bytes(content)
    as_ann(place, "cp", source, point / "new.bin")
    server.sync()
    same("bytes on the Hub", server.hub.sha256(server.bucket, "new.bin"), digest(content))
    same("list", helper.ask("list", ANN), "ok\t1\nshared\n")
    same("asked again, the first answer lost", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    same("mounted once", mounted_below(helper.volumes), [str(point)])
    holder = subprocess.Popen([str(a) for a in as_user(ANN)] + ["sleep", "60"], cwd=point)
    try:
        time.sleep(0.5)
        same("unmount while in use", helper.ask("unmount\tpolite\tshared", ANN), "no\tin-use\tshared is in use.\n")
        assert os.path.ismount(point)
    finally:
        holder.kill()
        holder.wait()
    same("unmount", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")
    same("the folder", list(helper.volumes.iterdir()), [])
    same("list", helper.ask("list", ANN), "ok\t0\n")
    assert server.token not in helper.said(), "the token is in the log"
    assert f"uid {ANN}" in helper.said() and "mount \"shared\"" in helper.said(), helper.said()


@test("a read-only volume takes no change, and a wrong token or a port without a server mounts nothing", 120)
def read_only(place):
    helper, server = prepared(place)
    wrong = helper.ask(f"mount\t{server.port}\t{'0' * 32}\trw\tshared", ANN)
    assert wrong.startswith("no\tfailed\t"), wrong
    nobody = helper.ask(f"mount\t{free_port()}\t{server.token}\trw\tshared", ANN)
    assert nobody.startswith("no\t"), nobody
    assert server.token not in nobody
    same("nothing is left of them", list(helper.volumes.iterdir()), [])
    same("mount", helper.ask(server.request(access="ro"), ANN), f"ok\t{helper.volumes / 'shared'}\n")
    done = place.run(*as_user(ANN), "touch", helper.volumes / "shared/x")
    assert done.returncode and "Read-only" in done.stderr, done.stderr
    same("unmount", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@test("two users: neither takes, unmounts or sees the other's volume", 150)
def two_users(place):
    helper, server = prepared(place)
    hub, bens = server.hub, None
    other = hub.create_bucket("bens")
    bens = UsersServer(place, hub, other, BEN)
    point = helper.volumes / "shared"
    same("Ann mounts", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    taken = helper.ask(f"mount\t{bens.port}\t{bens.token}\trw\tshared", BEN)
    assert taken.startswith("no\texists\t"), taken
    for force in ("polite", "force"):
        refused = helper.ask(f"unmount\t{force}\tshared", BEN)
        assert refused.startswith("no\tnot-mounted\t"), refused
    same("Ben's list", helper.ask("list", BEN), "ok\t0\n")
    same("Ben mounts his", helper.ask(bens.request(), BEN), f"ok\t{helper.volumes / 'bens'}\n")
    # The server lets only its owner in, whoever mounted it.
    peek = place.run(*as_user(BEN), "cat", point / "hello.txt")
    assert peek.returncode and "ermission denied" in peek.stderr, peek.stderr
    same("Ben's volume by hand of somebody else", place.run(*as_user(ANN), "rmdir", helper.volumes / "bens").returncode, 1)
    same("unmount", helper.ask("unmount\tpolite\tbens", BEN), "ok\n")
    assert os.path.ismount(point), "Ann's volume went with Ben's"
    same("unmount", helper.ask("unmount\tforce\tshared", ANN), "ok\n")


@test("killed, restarted, ejected by hand: every volume can still be put away, and no folder stays", 120)
def restarts(place):
    helper, server = prepared(place)
    point = helper.volumes / "shared"
    same("mount", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    helper.kill()
    same("the mount goes on without it", as_ann(place, "cat", point / "hello.txt"), "hello")
    helper.start()
    same("list after the restart", helper.ask("list", ANN), "ok\t1\nshared\n")
    same("unmount after the restart", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")
    same("mount", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    same("Eject", place.run("umount", point).returncode, 0)
    same("unmount of what was ejected", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")
    same("the folder", list(helper.volumes.iterdir()), [])
    same("mount", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    same("Eject", place.run("umount", point).returncode, 0)
    helper.kill()
    helper.start()
    same("the folder, tidied at the start", list(helper.volumes.iterdir()), [])
    same("mount, after an Eject nobody told of", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    same("Eject", place.run("umount", point).returncode, 0)
    same("mount over it at once", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    same("unmount", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")


@test("root and system accounts are refused, and so is every request that is none", 120)
def refused(place):
    helper, server = prepared(place)
    for uid in (0, 1, 999, 65534):
        answer = helper.ask(server.request(), uid)
        assert answer.startswith("no\tnot-allowed\t"), f"uid {uid}: {answer}"
    token, port = server.token, server.port
    forged = ["", "mount", f"mount\t{port}\t{token}\trw\t../shared", f"mount\t{port}\t{token}\trw\t/etc",
              f"mount\t{port}\t{token}\trw\t.hidden", f"mount\t{port}\t{token}\trw\t-o", f"mount\t{port}\t{token}\trw\t",
              f"mount\t{port}\t{token}\trw\ta:b", f"mount\t{port},fh=00\t{token}\trw\tx", f"mount\t{port}\t{token}/../x\trw\tx",
              f"mount\t{port}\t{token}\trw,suid\tx", f"mount\t22\t{token}\trw\tx", f"mount\t{port}\t{token}\trw\tx\ty",
              f"mount\t{port}\t{token}\trw\t" + "x" * 256, "unmount\tpolite\t..", "unmount\tpolite\t", "unmount\tx\ty",
              "exec\t/bin/sh", "mount 1 2 3 4", "VERSION"]
    for text in forged:
        answer = helper.ask(text, ANN)
        assert answer.startswith("no\tbad-request\t") and answer.count("\n") == 1, f"{text!r}: {answer!r}"
    for sent in (b"\xff\xfe\n", b"mount\0\n", b"x" * 5000, b"x" * 5000 + b"\n", b"version"):
        answer = helper.ask_bytes(sent, ANN)
        assert answer == "" or answer.startswith("no\tbad-request\t"), f"{sent[:20]!r}: {answer!r}"
    same("nothing else was made", list(helper.volumes.iterdir()), [])


@test("a comma in a name is a character of the name, and the options are the helper's own", 90)
def comma(place):
    hub = Hub(place)
    bucket = hub.create_bucket("shared")
    hub.put(bucket, "a,soft,suid/hello.txt", b"hello")
    helper, server = Helper(place), UsersServer(place, hub, f"{bucket}/a,soft,suid", ANN)
    point = helper.volumes / "a,soft,suid"
    same("mount", helper.ask(server.request(), ANN), f"ok\t{point}\n")
    same("read", as_ann(place, "cat", point / "hello.txt"), "hello")
    line = next(line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if str(helper.volumes) in line)
    options = line.split()[3].split(",")
    assert "nosuid" in options and "nodev" in options and "hard" in options and "soft" not in options, line
    same("unmount", helper.ask("unmount\tpolite\ta,soft,suid", ANN), "ok\n")


@test("links and foreign folders where a volume would be are left alone", 90)
def links(place):
    helper, server = prepared(place)
    target = place.folder("target")
    os.chown(target, ANN, ANN)
    (helper.volumes / "shared").symlink_to(target)
    answer = helper.ask(server.request(), ANN)
    assert answer.startswith("no\texists\t"), answer
    same("behind the link", (list(target.iterdir()), os.path.ismount(target)), ([], False))
    (helper.volumes / "shared").unlink()
    (helper.volumes / "shared").mkdir()
    answer = helper.ask(server.request(), ANN)
    assert answer.startswith("no\texists\t"), answer
    same("its owner", (helper.volumes / "shared").stat().st_uid, 0)
    refused = helper.ask("unmount\tforce\tshared", ANN)
    assert refused.startswith("no\tnot-mounted\t"), refused
    # Somebody else's mount on a folder of that name.
    same("a foreign mount", place.run("mount", "-t", "tmpfs", "none", helper.volumes / "shared").returncode, 0)
    assert helper.ask("unmount\tforce\tshared", ANN).startswith("no\tnot-mounted\t")
    assert os.path.ismount(helper.volumes / "shared")
    place.run("umount", helper.volumes / "shared")
    # A mount of the same name over ours: it is not what was mounted for Ann.
    (helper.volumes / "shared").rmdir()
    same("mount", helper.ask(server.request(), ANN), f"ok\t{helper.volumes / 'shared'}\n")
    same("unmount", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")


@test("a folder of volumes that others can write to is not used at all", 60)
def unsafe_folder(place):
    volumes = place.folder("volumes")
    volumes.chmod(0o777)
    argv = [program("bucketbar-helper"), "--volumes", volumes, "--records", place.dir / "records", "--socket", place.dir / "s"]
    done = place.run(*argv, seconds=20)
    same("exit code", done.returncode, 1)
    assert "not root's alone" in done.stderr, done.stderr
    as_nobody = place.run(*as_user(ANN), *argv, seconds=20)
    assert as_nobody.returncode == 1 and "must run as root" in as_nobody.stderr, as_nobody.stderr


@test("one user's flood and half-open connections keep nobody else out", 120)
def flood(place):
    helper, server = prepared(place)
    flooders = []
    for _ in range(60):
        argv = [*as_user(BEN), sys.executable, ASKER, helper.socket, b"mount\t".hex(), 20]
        flooders.append(subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        time.sleep(3)
        began = time.monotonic()
        same("mount meanwhile", helper.ask(server.request(), ANN), f"ok\t{helper.volumes / 'shared'}\n")
        print(f"      a mount took {time.monotonic() - began:.1f} s beside 60 half-open connections", flush=True)
        threads = len(list(pathlib.Path(f"/proc/{helper.process.pid}/task").iterdir()))
        assert threads <= 12, f"{threads} threads"
    finally:
        for flooder in flooders:
            flooder.kill()
        for flooder in flooders:
            flooder.wait()
    same("unmount", helper.ask("unmount\tpolite\tshared", ANN), "ok\n")
    lines = helper.said().count("\n")
    assert lines < 400, f"the flood wrote {lines} lines"


class SystemsHelper(Helper):
    """In the places it has on every machine; the guest's / is its own."""

    def start(self):
        self.volumes, self.socket = pathlib.Path("/run/bucketbar/volumes"), pathlib.Path("/run/bucketbar/helper.sock")
        self.log = self.place.log("helper")
        self.process = subprocess.Popen([program("bucketbar-helper")], stdin=subprocess.DEVNULL, stdout=open(self.log, "ab"),
                                        stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin"})
        eventually("the helper's socket", lambda: self.ask("version", ANN).startswith("ok\t"), 20, 0.1)


@test("bucketbarctl mount without a folder: an ordinary user gets a volume by the helper, and one line without it", 150)
def command(place):
    hub = Hub(place)
    bucket = hub.create_bucket("shared")
    hub.put(bucket, "hello.txt", b"hello")
    place.dir.chmod(0o755)
    home = place.folder("home")
    os.chown(home, ANN, ANN)
    token = place.dir / "token"
    token.write_text(hub.token)
    token.chmod(0o644)
    env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN_PATH=token, HOME=home)
    ctl = lambda *words: place.run(*as_user(ANN), program("bucketbarctl"), *words, env=env, seconds=120)
    without = ctl("mount", bucket)
    assert without.returncode == 1 and "Start it as root: bucketbar-helper." in without.stderr, without
    helper = SystemsHelper(place)
    done = ctl("mount", bucket)
    same("mount", (done.returncode, done.stderr), (0, ""))
    point = helper.volumes / "shared"
    assert f"is mounted on {point}." in done.stdout, done.stdout
    same("read", as_ann(place, "cat", point / "hello.txt"), "hello")
    same("owner", point.stat().st_uid, ANN)
    as_ann(place, "cp", point / "hello.txt", point / "copy.txt")
    done = ctl("unmount", bucket)
    same("unmount", (done.returncode, list(helper.volumes.iterdir())), (0, []))
    eventually("the copy on the Hub", lambda: "copy.txt" in hub.files(bucket), 60, 1)


# As the kernel gives it: name_to_handle_at(2) of a mount has the server's own handle in it.
STOLEN_HANDLE = r"""
import ctypes, socket, struct, sys
point, port = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(8 + 128)
struct.pack_into("Ii", buffer, 0, 128, 0)
if libc.name_to_handle_at(-100, point.encode(), buffer, ctypes.byref(ctypes.c_int()), 0):
    sys.exit("the kernel gave no handle")
inside = buffer.raw[8:8 + struct.unpack_from("I", buffer, 0)[0]]
at = inside.find(b"\x01\x02")
handle = inside[at:at + 34]
credential = struct.pack(">I", 0) + struct.pack(">I", 1) + b"x\0\0\0" + struct.pack(">III", 0, 0, 0)
call = struct.pack(">IIIIII", 7, 0, 2, 100003, 3, 1) + struct.pack(">II", 1, len(credential)) + credential + struct.pack(">II", 0, 0)
call += struct.pack(">I", len(handle)) + handle + b"\0" * (-len(handle) % 4)
connection = socket.create_connection(("127.0.0.1", port), 5)
connection.settimeout(10)
try:
    connection.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
    answer = connection.recv(200)
except ConnectionError:
    answer = b""
print("closed" if not answer else "status %d" % struct.unpack(">I", answer[28:32])[0])
"""


@test("who has the root's handle from the kernel and forges the uid is not served; the owner with the same handle is", 60)
def stolen_handle(place):
    place.dir.chmod(0o755)
    hub = Hub(place)
    server = Server(place, hub, hub.create_bucket("mine"))
    mount = Mount(server)
    steal = [sys.executable, "-c", STOLEN_HANDLE, mount.path, server.port]
    same("as root, who owns the mount", place.run(*steal).stdout.strip(), "status 0")
    thief = place.run(*as_user(BEN), *steal)
    same("as another user", (thief.stdout.strip(), thief.stderr), ("closed", ""))
    (mount / "goes on").write_text("for the kernel")
