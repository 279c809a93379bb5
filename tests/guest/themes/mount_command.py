"""`bucketbarctl mount`, `unmount`, `ls`, and the commands about a running engine."""
import json, os, subprocess, time

from guestkit.command import Command
from guestkit.data import digest, eventually, noise, same, sha256
from guestkit.hub import Hub
from guestkit.programs import program
from guestkit.runner import test
from guestkit.server import Mount, Server


def prepared(place):
    hub = Hub(place)
    bucket = hub.create_bucket("mounted")
    hub.put(bucket, "hello.txt", b"hello")
    hub.put(bucket, "sub/inner/deep.txt", b"deep")
    return hub, bucket


@test("mount, read, write, unmount: the file is on the Hub, the folder is empty again, the process is gone", 150)
def whole_way(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    same("listing", command.names(), ["hello.txt", "sub"])
    same("read", (command.point / "hello.txt").read_bytes(), b"hello")
    content = noise(500_000)
    (command.point / "new.bin").write_bytes(content)
    eventually("the file on the Hub, by the debounce alone", lambda: "new.bin" in hub.files(bucket), 90, 1)
    same("bytes on the Hub", hub.sha256(bucket, "new.bin"), digest(content))
    done = command.unmount()
    same("unmount", (done.returncode, os.path.ismount(command.point)), (0, False))
    same("the folder", os.listdir(command.point), [])
    eventually("the server is gone", lambda: not command.server(), 30)


@test("mounting a folder of the bucket shows just that folder, and writes land in it", 150)
def prefix(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, f"{bucket}/sub")
    same("listing", command.names(), ["inner"])
    (command.point / "inner/new.txt").write_text("new")
    eventually("the file on the Hub", lambda: "sub/inner/new.txt" in hub.files(bucket), 90, 1)
    same("unmount", command.unmount().returncode, 0)


@test("a busy mount is not torn away: unmount says who uses it, and works once they are done", 150)
def busy(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    user = subprocess.Popen(["sleep", "60"], cwd=command.point)
    try:
        done = command.unmount()
        assert done.returncode != 0 and os.path.ismount(command.point), f"{done}"
        assert "sleep" in done.stdout + done.stderr or str(user.pid) in done.stdout + done.stderr, f"who? {done.stderr!r}"
    finally:
        user.kill()
        user.wait(10)
    same("then", (command.unmount().returncode, os.path.ismount(command.point)), (0, False))


@test("what was not uploaded at unmount goes up all the same, and the server ends after it", 150)
def unmount_with_unsent(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    content = noise(3_000_000, 2)
    (command.point / "late.bin").write_bytes(content)
    same("unmount", command.unmount().returncode, 0)
    eventually("the file on the Hub", lambda: "late.bin" in hub.files(bucket), 60, 1)
    same("bytes on the Hub", hub.sha256(bucket, "late.bin"), digest(content))
    eventually("the server is gone", lambda: not command.server(), 60)


@test("kill -9 of a mount's server: it comes back by itself; with its keeper killed too, `mount` brings it back; programs wait", 150)
def brought_back(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    same("read", (command.point / "hello.txt").read_bytes(), b"hello")
    for pid in command.server():
        os.kill(pid, 9)
    began = time.monotonic()
    first = subprocess.run(["cp", "/bin/true", str(command.point / "first")], timeout=60)
    same("a program meanwhile", (first.returncode, sha256(command.point / "first")), (0, sha256("/bin/true")))
    print(f"        killed, and a copy done {time.monotonic() - began:.1f} s later")
    # Stopped first: neither may bring the other back.
    everybody = place.strays("bucketbar-keeper") + command.server()
    assert len(everybody) == 2, everybody
    for number in (19, 9):
        for pid in everybody:
            os.kill(pid, number)
    waiting = subprocess.Popen(["cp", "/bin/true", str(command.point / "waited")])
    time.sleep(2)
    assert waiting.poll() is None, "it has to wait for the server"
    command.mount()
    same("the waiting program", waiting.wait(60), 0)
    same("bytes", sha256(command.point / "waited"), sha256("/bin/true"))
    same("unmount", command.unmount().returncode, 0)


@test("a mount with a state directory of its own is found by unmount, and a second one of the bucket is refused anywhere", 150)
def named_state(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket, "--state", place.folder("own-state"))
    (command.point / "new.txt").write_text("new")
    for name in ("--state", "nothing"):
        more = ["--state", place.folder("other-state")] if name == "--state" else []
        done = place.run(program("bucketbarctl"), "mount", f"{bucket}/sub", place.folder("other"), *more, env=command.env)
        assert done.returncode == 1 and str(command.point) in done.stderr, f"it has to say where it is mounted: {done}"
    done = place.run(program("bucketbarctl"), "serve", bucket, "--state", place.folder("third"), env=command.env)
    assert done.returncode == 1 and "own-state" in done.stderr, f"it has to say who serves it: {done}"
    same("unmount", command.unmount().returncode, 0)
    eventually("the file on the Hub", lambda: "new.txt" in hub.files(bucket), 60, 1)
    eventually("server and keeper are gone", lambda: not command.server() and not place.strays("bucketbar-keeper"), 60)


@test("uploads of a bucket that is mounted no more go on with resume-uploads, and its server ends after them", 150)
def resume_uploads(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    same("pause", command.ctl("pause").returncode, 0)
    (command.point / "left.txt").write_text("left behind")
    same("unmount", command.unmount().returncode, 0)
    # What a switched-off machine leaves: nobody runs, and nothing tells of the end.
    for pid in place.strays("bucketbar-keeper") + command.server():
        os.kill(pid, 19)
    for pid in place.strays("bucketbar-keeper") + command.server():
        os.kill(pid, 9)
    assert "left.txt" not in hub.files(bucket)
    done = place.run(program("bucketbarctl"), "resume-uploads", env=command.env)
    same("resume-uploads", (done.returncode, done.stdout.split()[0]), (0, "1"))
    # A pause may outlive its server.
    command.ctl("resume")
    eventually("the file on the Hub", lambda: "left.txt" in hub.files(bucket), 60, 1)
    eventually("the server is gone", lambda: not command.server(), 60)


@test("mounting the same bucket twice is refused on another folder, and no harm on the same", 90)
def twice(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    other = place.folder("other")
    done = place.run(program("bucketbarctl"), "mount", bucket, other, env=command.env)
    assert done.returncode == 1 and str(command.point) in done.stderr, f"it has to say where it is mounted: {done}"
    assert "already" in command.mount()
    same("unmount", command.unmount().returncode, 0)


@test("ls lists the buckets of the account, and the files of one")
def listing(place):
    hub, bucket = prepared(place)
    hub.create_bucket("second")
    env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)
    done = place.run(program("bucketbarctl"), "ls", env=env)
    assert done.returncode == 0 and "alice/mounted" in done.stdout and "alice/second" in done.stdout, done


@test("pause holds uploads, status and queue tell of them, resume lets them go", 150)
def pause_and_resume(place):
    hub, bucket = prepared(place)
    server = Server(place, hub, bucket)
    mount = Mount(server)
    same("pause", server.ctl("pause").returncode, 0)
    (mount / "held.txt").write_text("held")
    os.sync()
    time.sleep(3)
    status = json.loads(server.ctl("status", "--json").stdout)
    assert isinstance(status, dict), status
    queue = server.ctl("queue")
    assert queue.returncode == 0 and "held.txt" in queue.stdout, f"queue has to name the file: {queue}"
    time.sleep(8)
    assert "held.txt" not in hub.files(bucket), "it was uploaded while paused"
    same("resume", server.ctl("resume").returncode, 0)
    eventually("the file on the Hub", lambda: "held.txt" in hub.files(bucket), 60, 1)
    server.sync()
    assert "held.txt" not in server.ctl("queue").stdout
    same("retry with nothing to retry", server.ctl("retry").returncode, 0)


@test("serving an empty bucket and writing nothing costs the Hub few calls, and the process sleeps", 60)
def idle(place):
    hub, bucket = prepared(place)
    server = Server(place, hub, bucket)
    mount = Mount(server)
    mount.names()
    hub.reset_counters()
    def ticks():
        fields = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    time.sleep(20)
    used = (ticks() - before) / os.sysconf("SC_CLK_TCK")
    assert used < 1, f"{used} s of CPU in 20 idle seconds"
    assert hub.count("") <= 10, f"{hub.count('')} calls in 20 idle seconds"


@test("mount without a folder makes ~/Buckets/NAME, says so, is found again by the bucket's name, and leaves nothing behind", 150)
def without_a_folder(place):
    hub, bucket = prepared(place)
    token = place.dir / "token"
    token.write_text(hub.token)
    home = place.folder("home of mine")
    env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN_PATH=token, HOME=home)
    ctl = lambda *words: place.run(program("bucketbarctl"), *words, env=env, seconds=120)
    point = home / "Buckets" / bucket.split("/")[1]
    done = ctl("mount", bucket)
    same("mount", (done.returncode, done.stderr), (0, ""))
    assert f"{bucket} is mounted on {point}." in done.stdout and f"bucketbarctl unmount '{point}'" in done.stdout, done.stdout
    same("read", (point / "hello.txt").read_bytes(), b"hello")
    again = ctl("mount", bucket)
    assert again.returncode == 0 and f"is mounted on {point} already" in again.stdout, again
    # A folder of that name with something in it is not covered.
    other = hub.create_bucket("other")
    (home / "Buckets/other").mkdir()
    (home / "Buckets/other/mine.txt").write_text("mine")
    second = ctl("mount", other)
    assert second.returncode == 0 and str(home / "Buckets/other 2") in second.stdout, second
    same("unmount by the bucket's name", ctl("unmount", other).returncode, 0)
    same("what stays", (home / "Buckets/other/mine.txt").read_text(), "mine")
    (point / "new.txt").write_text("new")
    done = ctl("unmount", bucket)
    same("unmount", (done.returncode, os.path.ismount(point), point.exists()), (0, False, False))
    assert str(point) in done.stdout, done.stdout
    eventually("the file on the Hub", lambda: "new.txt" in hub.files(bucket), 60, 1)
    wrong = ctl("unmount", bucket)
    assert wrong.returncode == 1 and "bucketbarctl: " in wrong.stderr, wrong
