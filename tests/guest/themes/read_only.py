"""Who may not write: a token that only reads, and --read-only."""
import errno, os

from guestkit.data import same
from guestkit.hub import Hub, READ_ONLY_TOKEN
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
