"""`bucketbarctl mount`, `unmount`, `ls`, and the commands about a running engine."""
import json, os, subprocess, time

from guestkit.data import digest, eventually, noise, same, sha256
from guestkit.hub import Hub
from guestkit.place import end_process
from guestkit.programs import program
from guestkit.runner import test
from guestkit.server import Mount, Server


class Command:
    """`bucketbarctl mount BUCKET DIR`, which may stay in the foreground or go into the background."""

    def __init__(self, place, hub, bucket, *more):
        self.place, self.point = place, place.folder("point")
        self.env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)
        self.log = place.log("mount")
        self.process = subprocess.Popen([program("bucketbarctl"), "mount", bucket, str(self.point), *map(str, more)], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)
        place.at_end(self.end)
        eventually("the mount", self.mounted, 40)

    def mounted(self):
        assert self.process.poll() in (None, 0), f"ended with {self.process.returncode}: {self.log.read_text()}"
        return os.path.ismount(self.point)

    def unmount(self):
        return self.place.run(program("bucketbarctl"), "unmount", self.point, env=self.env)

    def end(self):
        if os.path.ismount(self.point):
            self.place.run("umount", "-f", "-l", self.point)
        end_process(self.process)


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
    same("listing", sorted(os.listdir(command.point)), ["hello.txt", "sub"])
    same("read", (command.point / "hello.txt").read_bytes(), b"hello")
    content = noise(500_000)
    (command.point / "new.bin").write_bytes(content)
    eventually("the file on the Hub, by the debounce alone", lambda: "new.bin" in hub.files(bucket), 90, 1)
    same("bytes on the Hub", hub.sha256(bucket, "new.bin"), digest(content))
    done = command.unmount()
    same("unmount", (done.returncode, os.path.ismount(command.point)), (0, False))
    same("the folder", os.listdir(command.point), [])
    eventually("the process is gone", lambda: command.process.poll() is not None, 20)


@test("mounting a folder of the bucket shows just that folder, and writes land in it", 150)
def prefix(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, f"{bucket}/sub")
    same("listing", sorted(os.listdir(command.point)), ["inner"])
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


@test("SIGTERM to `mount` unmounts and ends; unsent data goes up at the next mount", 180)
def sigterm(place):
    hub, bucket = prepared(place)
    command = Command(place, hub, bucket)
    if command.process.poll() is not None:
        return    # it went into the background; whole_way covers its end
    content = noise(300_000, 2)
    (command.point / "late.bin").write_bytes(content)
    os.sync()
    assert end_process(command.process, 20), "it did not end within 20 s of SIGTERM"
    eventually("unmounted", lambda: not os.path.ismount(command.point), 10)
    again = Command(place, hub, bucket)
    same("bytes in the mount", sha256(again.point / "late.bin"), digest(content))
    eventually("the file on the Hub", lambda: "late.bin" in hub.files(bucket), 90, 1)
    same("unmount", again.unmount().returncode, 0)


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
    os.listdir(mount.path)
    hub.reset_counters()
    def ticks():
        fields = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    time.sleep(20)
    used = (ticks() - before) / os.sysconf("SC_CLK_TCK")
    assert used < 1, f"{used} s of CPU in 20 idle seconds"
    assert hub.count("") <= 10, f"{hub.count('')} calls in 20 idle seconds"
