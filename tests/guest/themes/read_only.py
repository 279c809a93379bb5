"""Who may not write: a token that only reads, --read-only, and everybody in a repo."""
import base64, errno, os

from guestkit.data import noise, same
from guestkit.hub import Hub, READ_ONLY_TOKEN
from guestkit.official import Official
from guestkit.runner import test
from guestkit.server import Mount, Server


def prepared(place):
    hub = Hub(place)
    bucket = hub.create_bucket("readable")
    hub.put(bucket, "folder/file.txt", b"content")
    return hub, bucket


def refuses(mount):
    same("reading works", (mount / "folder/file.txt").read_bytes(), b"content")
    attempts = {"create": lambda: (mount / "new").write_bytes(b""), "mkdir": lambda: os.mkdir(mount / "d"),
                "write": lambda: open(mount / "folder/file.txt", "r+b"), "remove": lambda: os.remove(mount / "folder/file.txt"),
                "rename": lambda: os.rename(mount / "folder", mount / "other"), "symlink": lambda: os.symlink("x", mount / "s")}
    for what, attempt in attempts.items():
        try:
            attempt()
        except OSError as error:
            assert error.errno in (errno.EROFS, errno.EACCES), f"{what}: {error}"
        else:
            raise AssertionError(f"{what} was possible")
    same("nothing changed", mount.names(), ["folder"])


@test("a token that may only read gives a read-only mount from the start, and says so")
def read_token(place):
    hub, bucket = prepared(place)
    server = Server(place, hub, bucket, token=READ_ONLY_TOKEN)
    options = server.options if isinstance(server.options, str) else ",".join(server.options)
    assert "ro" in options.split(","), f"the options have to say ro: {options}"
    assert "read-only" in server.said().lower() or "only read" in server.said().lower(), f"it has to say so: {server.said()!r}"
    refuses(Mount(server))


@test("--read-only with a token that may write does the same")
def flag(place):
    hub, bucket = prepared(place)
    server = Server(place, hub, bucket, "--read-only")
    options = server.options if isinstance(server.options, str) else ",".join(server.options)
    assert "ro" in options.split(","), f"the options have to say ro: {options}"
    refuses(Mount(server))


@test("somebody who mounts it read-write all the same is refused by the server itself")
def forced(place):
    hub, bucket = prepared(place)
    server = Server(place, hub, bucket, "--read-only")
    options = server.options if isinstance(server.options, str) else ",".join(server.options)
    server.options = ",".join(o for o in options.split(",") if o != "ro")
    refuses(Mount(server))
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), ["folder/file.txt"])


@test("a repo at a tag is byte for byte what the official client's snapshot has, and takes no change", 150)
def repo(place):
    hub = Hub(place)
    hub.json("POST", "/_control/repo?repo=datasets/alice/data")
    files = {"folder/file.txt": (b"content", "git"), "folder/big.bin": (noise(5_000_000), "xet"),
             "folder/deep/old.bin": (noise(1_000_000, 2), "lfs"), "folder/.gitattributes": (b"*.bin -text\n", "git"),
             "folder/empty": (b"", "git"), "folder/100% #1?.txt": (b"odd", "git")}
    hub.json("POST", "/_control/repo-commit?repo=datasets/alice/data", {"files": [
        {"path": path, "base64": base64.b64encode(content).decode(), "storage": storage}
        for path, (content, storage) in files.items()]})
    hub.json("POST", "/_control/repo-ref?repo=datasets/alice/data&name=v1&tag=1")
    hub.json("POST", "/_control/repo-commit?repo=datasets/alice/data", {"delete": ["folder/file.txt"]})
    server = Server(place, hub, "datasets/alice/data@v1")
    options = server.options if isinstance(server.options, str) else ",".join(server.options)
    assert "ro" in options.split(","), f"the options have to say ro: {options}"
    mount = Mount(server)
    local = place.folder("snapshot")
    Official(place, hub)("snapshot", "datasets/alice/data@v1", str(local))

    def tree(top):
        return {str(path.relative_to(top)): path.read_bytes() for path in (top / "folder").rglob("*") if path.is_file()}
    same("names", sorted(tree(mount.path)), sorted(files))
    assert tree(mount.path) == tree(local), "the snapshot has other bytes"
    refuses(mount)
