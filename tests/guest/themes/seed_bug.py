"""The bug this project was born from, through the kernel's own client.

A handle that was only read answered STALE to WRITE; the client dropped its dirty pages; dd said success.
"""
import concurrent.futures, os

from guestkit.data import digest, noise, same, sha256
from guestkit.hub import Hub
from guestkit.runner import test
from guestkit.server import Mount, Server, drop_caches

MIB = 1 << 20


def mounted(place, content, name="weights.bin"):
    hub = Hub(place)
    bucket = hub.create_bucket("seed")
    hub.put(bucket, name, content)
    server = Server(place, hub, bucket)
    return hub, bucket, server, Mount(server)


def all_equal(hub, bucket, server, mount, name, expected):
    """Mount, fresh mount and Hub hold exactly these bytes, and no call was answered with an error."""
    same("bytes in the mount", sha256(mount / name), digest(expected))
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, name), digest(expected))
    same("NFS errors the kernel saw", mount.errors(), {})
    mount.again()
    same("bytes in a fresh mount", sha256(mount / name), digest(expected))


@test("the seed's reproducer: ls, read a part, dd into it, fsync in Python, eight dd at once; no STALE, every byte on the Hub", 300)
def reproducer(place):
    expected = bytearray(noise(112 * MIB))
    hub, bucket, server, mount = mounted(place, bytes(expected))
    file = mount / "weights.bin"

    listing = place.run("ls", "-l", mount.path)
    assert listing.returncode == 0 and "weights.bin" in listing.stdout, listing
    with open(file, "rb") as reader:    # the handle is now one that was read
        same("the first MiB", digest(reader.read(MIB)), digest(expected[:MIB]))

    patch = noise(MIB, seed=2)
    (place.dir / "patch").write_bytes(patch)
    done = place.run("dd", f"if={place.dir}/patch", f"of={file}", "bs=1M", "count=1", "seek=100", "conv=notrunc,fsync")
    assert done.returncode == 0, done.stderr
    expected[100 * MIB:101 * MIB] = patch

    descriptor = os.open(file, os.O_RDWR)
    try:
        word = b"written through os.open(O_RDWR)"
        os.lseek(descriptor, 50 * MIB + 17, os.SEEK_SET)
        assert os.write(descriptor, word) == len(word)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    expected[50 * MIB + 17:50 * MIB + 17 + len(word)] = word

    def one(number):
        piece = noise(4 * MIB, seed=10 + number)
        source = place.dir / f"piece-{number}"
        source.write_bytes(piece)
        offset = 4 + 12 * number
        result = place.run("dd", f"if={source}", f"of={file}", "bs=1M", f"seek={offset}", "conv=notrunc,fsync", seconds=120)
        assert result.returncode == 0, result.stderr
        expected[offset * MIB:(offset + 4) * MIB] = piece
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))

    all_equal(hub, bucket, server, mount, "weights.bin", expected)


@test("a read handle that is open while another process writes keeps working, and sees the new bytes")
def reader_stays_open(place):
    expected = bytearray(noise(8 * MIB))
    hub, bucket, server, mount = mounted(place, bytes(expected))
    with open(mount / "weights.bin", "rb", buffering=0) as reader:
        reader.read(4096)
        with open(mount / "weights.bin", "r+b", buffering=0) as writer:
            writer.seek(3 * MIB)
            writer.write(b"new" * 1000)
            os.fsync(writer.fileno())
        expected[3 * MIB:3 * MIB + 3000] = b"new" * 1000
        drop_caches()
        reader.seek(3 * MIB)
        same("what the old reader reads", reader.read(3000), b"new" * 1000)
    all_equal(hub, bucket, server, mount, "weights.bin", expected)


@test("a write at the end of a file that was never read makes it longer by just that")
def append(place):
    expected = noise(5 * MIB + 123)
    hub, bucket, server, mount = mounted(place, expected)
    with open(mount / "weights.bin", "ab") as writer:
        writer.write(b"tail")
    all_equal(hub, bucket, server, mount, "weights.bin", expected + b"tail")


@test("fsync of an O_RDWR descriptor that wrote nothing changes nothing on the Hub")
def fsync_without_write(place):
    expected = noise(MIB)
    hub, bucket, server, mount = mounted(place, expected)
    before = hub.files(bucket)
    descriptor = os.open(mount / "weights.bin", os.O_RDWR)
    os.read(descriptor, 100)
    os.fsync(descriptor)
    os.close(descriptor)
    server.sync()
    same("the Hub's listing", hub.files(bucket), before)
    same("NFS errors the kernel saw", mount.errors(), {})


@test("mmap: pages changed through a mapping reach the Hub")
def mapping(place):
    import mmap
    expected = bytearray(noise(2 * MIB))
    hub, bucket, server, mount = mounted(place, bytes(expected))
    with open(mount / "weights.bin", "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[MIB:MIB + 5] = b"paged"
        pages.flush()
        os.fsync(file.fileno())
    expected[MIB:MIB + 5] = b"paged"
    all_equal(hub, bucket, server, mount, "weights.bin", expected)
