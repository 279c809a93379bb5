"""Odd names, both ways."""
import os, unicodedata

from guestkit.data import eventually, noise, same
from guestkit.hub import Hub
from guestkit.runner import test
from guestkit.server import Mount, Server

NFC, NFD = "caf\u00e9 \u00fc.txt", unicodedata.normalize("NFD", "nai\u0308ve \u00f6.txt")
ODD = ["with space.txt", " leading and trailing ", "#hash.txt", "100%.txt", "%41.txt", "a+b&c=d.txt", "question?.txt",
       "quote'\".txt", "semi;colon:.txt", "star*.txt", "emoji \U0001f980.txt", ".hidden", "trailing dot.",
       "\u65e5\u672c\u8a9e.txt", NFC, NFD, "x" * 251 + ".txt", "sub #1/100% \U0001f980/deep.txt"]


def mounted(place, files=()):
    hub = Hub(place)
    bucket = hub.create_bucket("names")
    for name in files:
        hub.put(bucket, name, name.encode())
    server = Server(place, hub, bucket)
    return hub, bucket, server, Mount(server)


def paths(mount):
    files = sorted(str(path.relative_to(mount.path)) for path in mount.path.rglob("*") if path.is_file())
    return [name for name in files if name != ".metadata_never_index"]


@test("odd names of the bucket are listed as they are, and open")
def from_the_hub(place):
    hub, bucket, server, mount = mounted(place, ODD)
    same("names", paths(mount), sorted(ODD))
    for name in ODD:
        same(f"content of {name!r}", (mount / name).read_bytes(), name.encode())


@test("odd names made in the mount arrive on the Hub as they are")
def to_the_hub(place):
    hub, bucket, server, mount = mounted(place)
    for name in ODD:
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_bytes(name.encode())
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), sorted(ODD))
    for name in ODD:
        same(f"content of {name!r}", hub.read(bucket, name), name.encode())


@test("a name is found in either Unicode form, and writing through the other form makes no second file")
def either_form(place):
    hub, bucket, server, mount = mounted(place, [NFC, NFD])
    other_nfc, other_nfd = unicodedata.normalize("NFD", NFC), unicodedata.normalize("NFC", NFD)
    same("NFC name by its NFD form", (mount / other_nfc).read_bytes(), NFC.encode())
    same("NFD name by its NFC form", (mount / other_nfd).read_bytes(), NFD.encode())
    (mount / other_nfd).write_bytes(b"changed")
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), sorted([NFC, NFD]))
    same("content", hub.read(bucket, NFD), b"changed")


@test("a name of 256 bytes is refused as too long; nothing else is disturbed")
def too_long(place):
    hub, bucket, server, mount = mounted(place, ["fine"])
    for name in ("y" * 256,):
        try:
            (mount / name).write_bytes(b"")
        except OSError as error:
            assert error.errno in (36,), f"ENAMETOOLONG expected, got {error}"
        else:
            raise AssertionError("a name of 256 bytes was taken")
    same("content beside it", (mount / "fine").read_bytes(), b"fine")


@test("the litter of desktops stays on this machine: visible here, never on the Hub, and it keeps no folder from going")
def litter(place):
    hub, bucket, server, mount = mounted(place)
    os.mkdir(mount / "folder")
    (mount / "folder/real.txt").write_text("real")
    for name in (".DS_Store", "folder/.DS_Store", "folder/._real.txt"):
        (mount / name).write_bytes(b"litter")
    same("read back", (mount / "folder/.DS_Store").read_bytes(), b"litter")
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), ["folder/real.txt"])
    os.remove(mount / "folder/real.txt")
    os.rmdir(mount / "folder")
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), [])


@test("a folder of 2,000 remote files is listed whole, also while files are added to it from the other side", 150)
def many(place):
    hub, bucket, server, mount = mounted(place)
    import base64
    files = [{"path": f"many/{n:04}.txt", "base64": base64.b64encode(str(n).encode()).decode()} for n in range(2000)]
    hub.json("POST", f"/_control/put-many?bucket={bucket.replace('/', '%2F')}", {"files": files})
    eventually("the folder", lambda: (mount / "many").exists(), 100, 1)
    same("names", mount.names("many"), [f"{n:04}.txt" for n in range(2000)])
    same("one of them", (mount / "many/1234.txt").read_bytes(), b"1234")
