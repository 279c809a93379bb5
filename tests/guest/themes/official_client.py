"""Both ways with the official client: huggingface_hub and hf_xet from PyPI."""
import os

from guestkit.data import digest, eventually, noise, same, sha256
from guestkit.hub import Hub
from guestkit.official import Official
from guestkit.runner import say, test
from guestkit.server import Mount, Server

MIB = 1 << 20


def mounted(place):
    hub = Hub(place)
    bucket = hub.create_bucket("interop")
    server = Server(place, hub, bucket)
    return hub, bucket, server, Mount(server), Official(place, hub)


@test("uploaded with the official client, read in the mount: text, empty, odd names, deep folders", 150)
def upload_then_read(place):
    hub, bucket, server, mount, official = mounted(place)
    files = {"readme.md": b"# hello\n", "empty": b"", "a/b/c/d/deep.bin": noise(200_000), "with space/100% #1?.txt": b"odd",
             "emoji \U0001f980.bin": noise(1000, 2), "dir.json": b"{}", "dir/x": b"x"}
    pairs = []
    for number, (name, content) in enumerate(files.items()):
        local = place.dir / f"local-{number}"
        local.write_bytes(content)
        pairs.append((local, name))
    official.upload(bucket, *pairs)

    def tree():
        return {str(path.relative_to(mount.path)): digest(path.read_bytes())
                for name in mount.names() for path in [mount / name, *(mount / name).rglob("*")] if path.is_file()}
    wanted = {name: digest(content) for name, content in files.items()}
    eventually("the tree in the mount", lambda: mount.names() == sorted({n.split("/")[0] for n in files}), 100, 1)
    same("names and bytes in the mount", tree(), wanted)


@test("written in the mount, downloaded with the official client: byte for byte", 150)
def write_then_download(place):
    hub, bucket, server, mount, official = mounted(place)
    files = {"one.txt": b"one\n", "empty": b"", "sub/folder/two.bin": noise(3 * MIB + 7), "spaced name/#3 100%.txt": b"odd"}
    for name, content in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_bytes(content)
    server.sync()
    same("what the official client lists", official.files(bucket), {name: len(content) for name, content in files.items()})
    local = {name: place.dir / f"got-{number}" for number, name in enumerate(files)}
    official.download(bucket, *local.items())
    same("bytes", {name: sha256(path) for name, path in local.items()}, {name: digest(c) for name, c in files.items()})


@test("300 MB up with the official client and down through the mount; a copy of it in the mount costs next to no upload", 400)
def big(place):
    hub, bucket, server, mount, official = mounted(place)
    local = place.dir / "big.bin"
    local.write_bytes(noise(300 * 1000 * 1000))
    wanted = sha256(local)
    official.upload(bucket, (local, "big.bin"))
    eventually("big.bin in the mount", lambda: (mount / "big.bin").exists(), 100, 1)
    same("size", os.stat(mount / "big.bin").st_size, 300 * 1000 * 1000)
    same("bytes read in the mount", sha256(mount / "big.bin"), wanted)

    hub.reset_counters()
    done = place.run("cp", local, mount / "again.bin", seconds=200)
    assert done.returncode == 0, done.stderr
    server.sync(200)
    up = hub.count("", "up")
    say(f"        a second upload of 300 MB sent {up / 1e6:.1f} MB")
    assert up < 30e6, f"the Hub has these chunks already, yet {up} bytes were sent"
    same("bytes on the Hub", hub.sha256(bucket, "again.bin"), wanted)


@test("300 MB written in the mount, downloaded with the official client", 400)
def big_down(place):
    hub, bucket, server, mount, official = mounted(place)
    local = place.dir / "big.bin"
    local.write_bytes(noise(300 * 1000 * 1000, 5))
    wanted = sha256(local)
    done = place.run("dd", f"if={local}", f"of={mount / 'big.bin'}", "bs=1M", "conv=fsync", seconds=200)
    assert done.returncode == 0, done.stderr
    local.unlink()
    server.sync(200)
    official.download(bucket, ("big.bin", place.dir / "back.bin"), seconds=250)
    same("bytes", sha256(place.dir / "back.bin"), wanted)
    same("NFS errors the kernel saw", mount.errors(), {})


@test("deleting: in the mount it leaves the Hub, with the official client it leaves the mount", 200)
def delete(place):
    hub, bucket, server, mount, official = mounted(place)
    for name in ("mine", "theirs", "stays"):
        (mount / name).write_text(name)
    server.sync()
    os.remove(mount / "mine")
    server.sync()
    same("what the official client lists", sorted(official.files(bucket)), ["stays", "theirs"])
    official.delete(bucket, "theirs")
    eventually("theirs gone from the mount", lambda: mount.names() == ["stays"], 100, 1)


@test("renaming a folder moves every file on the Hub and uploads nothing", 150)
def rename_folder(place):
    hub, bucket, server, mount, official = mounted(place)
    os.makedirs(mount / "old/inner")
    contents = {f"inner/{n}.bin": noise(50_000, n) for n in range(20)} | {"top.txt": b"top"}
    for name, content in contents.items():
        (mount / "old" / name).write_bytes(content)
    server.sync()
    hub.reset_counters()
    os.rename(mount / "old", mount / "new")
    server.sync()
    same("what the official client lists", sorted(official.files(bucket)), sorted(f"new/{name}" for name in contents))
    same("bytes of xorbs sent", hub.count("xorb", "up"), 0)
    local = place.dir / "back"
    official.download(bucket, ("new/inner/7.bin", local))
    same("bytes", sha256(local), digest(contents["inner/7.bin"]))


@test("a file saved the way editors do (write aside, rename over) is one file on the Hub with the new bytes", 120)
def safe_save(place):
    hub, bucket, server, mount, official = mounted(place)
    (mount / "notes.txt").write_text("first")
    server.sync()
    for turn in range(3):
        with open(mount / ".notes.txt.tmp", "w") as file:
            file.write(f"version {turn}")
            file.flush()
            os.fsync(file.fileno())
        os.rename(mount / ".notes.txt.tmp", mount / "notes.txt")
    server.sync()
    same("what the official client lists", official.files(bucket), {"notes.txt": len("version 2")})
    same("content", hub.read(bucket, "notes.txt"), b"version 2")
