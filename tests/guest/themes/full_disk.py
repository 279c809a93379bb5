"""The local disk is full: the program is told, what was there stays whole, and space that comes back is used."""
import os, subprocess, time

from guestkit.data import digest, noise, same, sha256
from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, Server

MIB = 1 << 20


class SmallDisk:
    """A tmpfs as the state directory's disk."""

    def __init__(self, place, mebibytes):
        self.place, self.path = place, place.folder("small")
        done = place.run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", self.path)
        assert done.returncode == 0, done.stderr
        place.at_end(lambda: place.run("umount", "-l", self.path))

    def fill(self, leave):
        """Somebody else's file takes all but so many bytes."""
        stats = os.statvfs(self.path)
        with (self.path / "ballast").open("ab") as ballast:
            ballast.write(bytes(max(0, stats.f_bavail * stats.f_frsize - leave)))

    def used(self):
        """What lies on it, for a message."""
        return self.place.run("sh", "-c", f"df -B1 {self.path} | tail -1; find {self.path} -type f -printf '%b blocks %s bytes %p\\n'").stdout

    def empty(self):
        (self.path / "ballast").unlink()


def served(place, mebibytes, *arguments):
    hub = Hub(place)
    bucket = hub.create_bucket("full")
    disk = SmallDisk(place, mebibytes)
    server = Server(place, hub, bucket, "--reserve-bytes", 2 * MIB, *arguments, state="small/state")
    return hub, bucket, disk, server, Mount(server)


@test("cp into a full disk ends with ENOSPC; earlier files are whole; after space came back the copy works", 240)
def told(place):
    hub, bucket, disk, server, mount = served(place, 64)
    place.run(*ctl(server, "pause"), env=server.env)
    kept = noise(8 * MIB, 1)
    (place.dir / "kept").write_bytes(kept)
    (place.dir / "big").write_bytes(noise(40 * MIB, 2))
    same("a copy that fits", place.run("cp", place.dir / "kept", mount / "kept").returncode, 0)
    disk.fill(leave=14 * MIB)
    refused = place.run("cp", place.dir / "big", mount / "big", seconds=200)
    assert refused.returncode and "No space left" in refused.stderr, f"cp ended with {refused.returncode}: {refused.stderr}"
    same("the earlier file", sha256(mount / "kept"), digest(kept))
    disk.empty()
    # Errors of the first copy's pages that nobody was told of yet are told to who opens the file next (Linux' errseq):
    # the server refuses nothing any more, so the second try at the latest works.
    refusals = server.said().count("NFS3ERR_NOSPC")
    tries = [place.run("cp", place.dir / "big", mount / "big", seconds=120) for _ in range(2)]
    assert tries[1].returncode == 0, f"{tries[0].stderr}{tries[1].stderr}; on the disk:\n{disk.used()}"
    same("refused after space came back", server.said().count("NFS3ERR_NOSPC") - refusals, 0)
    place.run(*ctl(server, "resume"), env=server.env)
    server.sync(120)
    same("on the Hub", {n: hub.sha256(bucket, n) for n in hub.files(bucket)},
         {"kept": digest(kept), "big": digest(noise(40 * MIB, 2))})


def ctl(server, command):
    from guestkit.programs import program
    return [program("bucketbarctl"), command, server.bucket, "--state", server.state]


@test("a file that never fitted is not uploaded in part, and is named to the person", 200)
def no_part(place):
    hub, bucket, disk, server, mount = served(place, 48)
    disk.fill(leave=12 * MIB)
    (place.dir / "big").write_bytes(noise(30 * MIB, 3))
    refused = place.run("dd", f"if={place.dir}/big", f"of={mount / 'big'}", "bs=1M", "conv=fsync", seconds=180)
    assert refused.returncode, "dd said success"
    time.sleep(4)
    assert "big" not in hub.files(bucket), "a file with a hole was uploaded"
    events = server.ctl("events").stdout
    assert "big" in events, f"nobody was told: {events}"
    disk.fill(leave=MIB)
    # A file whose only WRITE fails stays empty; when there is room it is opened with O_TRUNC and written anew.
    refused = place.run("dd", f"if={place.dir}/big", f"of={mount / 'anew'}", "bs=64k", "count=1", "conv=fsync", seconds=180)
    assert refused.returncode, "dd said success on a full disk"
    same("its size", os.path.getsize(mount / "anew"), 0)
    os.remove(mount / "big")
    disk.empty()
    (mount / "small").write_text("fits")
    (mount / "anew").write_text("fits, too")
    server.sync()
    same("on the Hub", sorted(hub.files(bucket)), ["anew", "small"])
    same("written anew", hub.read(bucket, "anew"), b"fits, too")


@test("a copy larger than the disk finishes, because what is uploaded gives its space back", 400)
def larger(place):
    hub, bucket, disk, server, mount = served(place, 64)
    source = place.folder("source")
    for number in range(14):
        (source / f"part-{number:02}").write_bytes(noise(8 * MIB, 10 + number))
    (mount / "copy").mkdir()
    done = place.run("cp", *sorted(source.iterdir()), mount / "copy", seconds=350)
    assert done.returncode == 0, f"{done.stderr}; on the disk:\n{disk.used()}"
    server.sync(200)
    same("on the Hub", {n: hub.sha256(bucket, n) for n in hub.files(bucket)},
         {f"copy/{path.name}": sha256(path) for path in source.iterdir()})
