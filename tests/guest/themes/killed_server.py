"""kill -9 of the server while programs write: they notice a pause and nothing else."""
import random, subprocess, time

from guestkit.data import digest, noise, same, sha256
from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, Server, drop_caches

MIB = 1 << 20
SIZE = 48 * MIB


@test("ten kill -9 under a running dd: dd sees no error, the port and the export stay, every byte is in the mount and on the Hub", 420)
def ten_kills(place):
    seed = random.randrange(1 << 32)
    say(f"        seed {seed}")
    dice = random.Random(seed)
    hub = Hub(place)
    bucket = hub.create_bucket("killed")
    server = Server(place, hub, bucket)
    mount = Mount(server)
    address = server.port, server.export
    content = noise(SIZE, seed)
    source = place.dir / "source"
    source.write_bytes(content)

    def dd(number):
        log = place.log("dd")
        return subprocess.Popen(["dd", f"if={source}", f"of={mount / f'copy-{number}'}", "bs=1M", "conv=fsync"],
                                stdin=subprocess.DEVNULL, stdout=open(log, "wb"), stderr=subprocess.STDOUT), log

    def finished(process, log):
        assert process.wait(120) == 0, f"dd ended with {process.returncode}: {log.read_text()}"

    kills, copies, running = 0, 1, dd(0)
    under_way = 0
    while kills < 10:
        time.sleep(dice.uniform(0.05, 0.6))
        if running[0].poll() is not None:
            finished(*running)
            running, copies = dd(copies), copies + 1
            continue
        server.kill()
        kills += 1
        under_way += running[0].poll() is None
        server.start()
        same("port and export after the restart", (server.port, server.export), address)
    finished(*running)
    say(f"        {kills} kills, {under_way} of them with dd under way, {copies} copies of {SIZE // MIB} MiB")
    assert under_way >= 8, "most kills have to hit a running dd"

    same("NFS errors the kernel saw", mount.errors(), {})
    drop_caches()
    wanted = {f"copy-{n}": digest(content) for n in range(copies)}
    same("copies in the mount", {name: sha256(mount / name) for name in wanted}, wanted)
    server.sync(180)
    same("copies on the Hub", {name: hub.sha256(bucket, name) for name in hub.files(bucket)}, wanted)


@test("kill -9 right after fsync: the bytes are there before the kernel sends anything again", 120)
def after_fsync(place):
    hub = Hub(place)
    bucket = hub.create_bucket("fsynced")
    server = Server(place, hub, bucket)
    mount = Mount(server)
    content = noise(5 * MIB, 3)
    (place.dir / "source").write_bytes(content)
    done = place.run("dd", f"if={place.dir}/source", f"of={mount / 'kept'}", "bs=1M", "conv=fsync")
    assert done.returncode == 0, done.stderr
    server.kill()
    # The kernel that wrote them is gone from the picture: a mount of its own asks the new server.
    server.start()
    mount.again()
    same("bytes in a fresh mount", sha256(mount / "kept"), digest(content))
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, "kept"), digest(content))


@test("kill -9 in a storm of mkdir, rename and remove: no program sees an error, and the tree is the one they made", 180)
def names_storm(place):
    hub = Hub(place)
    bucket = hub.create_bucket("storm")
    server = Server(place, hub, bucket)
    mount = Mount(server)
    script = r"""
import os, sys
root = sys.argv[1]
for n in range(150):
    os.mkdir(f"{root}/d{n}")
    with open(f"{root}/d{n}/f", "w") as file:
        file.write(f"content {n}")
    os.rename(f"{root}/d{n}/f", f"{root}/d{n}/g")
    os.rename(f"{root}/d{n}", f"{root}/e{n}")
    if n % 3 == 0:
        os.remove(f"{root}/e{n}/g")
        os.rmdir(f"{root}/e{n}")
"""
    log = place.log("storm")
    storm = subprocess.Popen(["python3", "-c", script, mount.path], stdout=open(log, "wb"), stderr=subprocess.STDOUT)
    for _ in range(5):
        time.sleep(0.4)
        if storm.poll() is not None:
            break
        server.kill()
        server.start()
    assert storm.wait(150) == 0, log.read_text()
    wanted = {f"e{n}": ["g"] for n in range(150) if n % 3}
    mount.again()
    same("the tree", {name: mount.names(name) for name in mount.names()}, wanted)
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), sorted(f"{d}/g" for d in wanted))
    for name in ("e1", "e149"):
        same("content", hub.read(bucket, f"{name}/g"), f"content {name[1:]}".encode())
