"""A server that ends and comes back: handles, names, attributes and unsent data."""
import os, stat, time

from guestkit.data import digest, eventually, noise, same, sha256
from guestkit.hub import Hub
from guestkit.other_program import OtherProgram
from guestkit.runner import test
from guestkit.server import Mount, Server, drop_caches

MIB = 1 << 20


def mounted(place, **files):
    hub = Hub(place)
    bucket = hub.create_bucket("restart")
    for name, content in files.items():
        hub.put(bucket, name, content)
    server = Server(place, hub, bucket)
    return hub, bucket, server, Mount(server)


@test("SIGTERM ends the server within 5 s, with data waiting; the next start brings the same port and export and sends it")
def stop_and_start(place):
    hub, bucket, server, mount = mounted(place)
    paused = server.ctl("pause")
    assert paused.returncode == 0, paused.stderr
    content = noise(3 * MIB)
    (mount / "waiting.bin").write_bytes(content)
    os.sync()
    before = server.port, server.export
    assert server.stop() <= 5, "promised: within 5 s"
    same("files on the Hub while it waits", sorted(hub.files(bucket)), [])
    server.start()
    same("port and export", (server.port, server.export), before)
    assert server.ctl("resume").returncode == 0
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, "waiting.bin"), digest(content))


@test("a file held open across two restarts can still be read and written through its old handle")
def open_file(place):
    content = noise(2 * MIB)
    hub, bucket, server, mount = mounted(place, **{"held.bin": content})
    program = OtherProgram(place)
    program.open(mount / "held.bin", "r+b")
    program.do("file.read(10)")
    server.stop()
    server.start()
    drop_caches()
    same("read after a restart", program.do(f"os.pread(file.fileno(), 4096, {MIB})"), content[MIB:MIB + 4096])
    program.do("os.pwrite(file.fileno(), b'after a restart', 100)")
    server.kill()
    program.start("os.fsync(file.fileno())")    # waits for a server
    server.start()
    program.answer()
    program.do("file.close()")
    expected = content[:100] + b"after a restart" + content[115:]
    same("NFS errors the kernel saw", mount.errors(), {})
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, "held.bin"), digest(expected))


@test("modes, times and symlinks survive remount and restart; an upload changes none of them")
def attributes(place):
    hub, bucket, server, mount = mounted(place, **{"remote.txt": b"from the Hub"})
    (mount / "script.sh").write_text("#!/bin/sh\necho hi\n")
    os.chmod(mount / "script.sh", 0o750)
    os.utime(mount / "script.sh", (1_600_000_000, 1_500_000_000.25))
    os.chmod(mount / "remote.txt", 0o640)
    os.mkdir(mount / "folder")
    os.symlink("../script.sh", mount / "folder/link")

    def seen():
        script, remote = os.stat(mount / "script.sh"), os.stat(mount / "remote.txt")
        return (stat.S_IMODE(script.st_mode), script.st_mtime, stat.S_IMODE(remote.st_mode),
                os.readlink(mount / "folder/link"), (mount / "folder/link").read_text())
    wanted = (0o750, 1_500_000_000.25, 0o640, "../script.sh", "#!/bin/sh\necho hi\n")
    same("before", seen(), wanted)
    script = os.stat(mount / "script.sh")
    server.sync()
    mount.again()
    same("after the upload and a remount", seen(), wanted)
    after = os.stat(mount / "script.sh")
    same("ctime, size and inode after the upload", (after.st_ctime_ns, after.st_size, after.st_ino),
         (script.st_ctime_ns, script.st_size, script.st_ino))
    server.stop()
    server.start()
    mount.again()
    same("after a restart", seen(), wanted)


@test("file numbers stay the same over restart and remount, and a deleted file's number is not used again")
def file_numbers(place):
    hub, bucket, server, mount = mounted(place, **{"a": b"1", "b": b"2"})
    first = {name: os.stat(mount / name).st_ino for name in "ab"}
    os.remove(mount / "b")
    server.stop()
    server.start()
    mount.again()
    (mount / "c").write_bytes(b"3")
    same("number of a", os.stat(mount / "a").st_ino, first["a"])
    assert os.stat(mount / "c").st_ino not in first.values(), "an old number was given to a new file"


@test("the Hub goes away and comes back: writing goes on meanwhile, sync says what is missing, then everything arrives", 180)
def hub_away(place):
    hub, bucket, server, mount = mounted(place, **{"old.txt": b"old"})
    same("read while the Hub is there", (mount / "old.txt").read_bytes(), b"old")
    hub.kill()
    content = noise(MIB, 4)
    began = time.monotonic()
    (mount / "written-offline.bin").write_bytes(content)
    with open(mount / "written-offline.bin", "rb+") as file:
        os.fsync(file.fileno())
    assert time.monotonic() - began < 20, "writing must not wait for the Hub"
    failed = server.ctl("sync", "--wait", "--timeout", "5", seconds=40)
    assert failed.returncode == 1, f"sync without a Hub has to end with 1, not {failed.returncode}: {failed.stderr}"
    said = failed.stdout + failed.stderr
    assert "written-offline.bin" in said, f"sync has to name what is missing: {said}"
    hub.start()
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, "written-offline.bin"), digest(content))


@test("a file changed on the Hub by somebody else shows its new content in the mount, with a new mtime", 150)
def changed_elsewhere(place):
    hub, bucket, server, mount = mounted(place, **{"shared.txt": b"first version"})
    same("first", (mount / "shared.txt").read_bytes(), b"first version")
    before = os.stat(mount / "shared.txt").st_mtime_ns
    hub.put(bucket, "shared.txt", b"second version, longer")
    hub.put(bucket, "new.txt", b"new")
    eventually("the new content", lambda: (mount / "shared.txt").read_bytes() == b"second version, longer", 100, 1)
    assert os.stat(mount / "shared.txt").st_mtime_ns != before, "macOS sees a change only by its mtime"
    eventually("the new file", lambda: "new.txt" in mount.names(), 100, 1)
    hub.delete(bucket, "new.txt")
    eventually("the deletion", lambda: "new.txt" not in mount.names(), 100, 1)
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), ["shared.txt"])
