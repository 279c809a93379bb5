"""What goes wrong before anything is mounted: each time a sentence with what to do, an exit code, and no hang."""
import json, os, pathlib, socket, subprocess, time

from guestkit.data import digest, noise, same, sha256
from guestkit.hub import Hub, STRANGER_TOKEN
from guestkit.programs import program
from guestkit.runner import test
from guestkit.server import Mount, Server


def refused(place, *argv, words, seconds=30, **environment):
    """The command ends by itself with an error code and a sentence that has each of the words (a list is
    alternatives); no backtrace, no token."""
    done = place.run(program("bucketbarctl"), *argv, seconds=seconds, env=place.environment(**environment))
    said = done.stdout + done.stderr
    assert done.returncode not in (0, 101, -6), f"ended with {done.returncode}: {said}"
    for word in words:
        options = [word] if isinstance(word, str) else word
        assert any(w.lower() in said.lower() for w in options), f"{options} is not in what it said: {said!r}"
    assert "panicked" not in said and "stack backtrace" not in said, said
    for token in filter(None, [environment.get("HF_TOKEN")]):
        assert token not in said, f"it showed the token: {said}"
    lines = done.stderr.strip()
    assert lines and "." in lines, f"a sentence is expected on stderr: {done.stderr!r}"
    return said


def prepared(place):
    hub = Hub(place)
    return hub, hub.create_bucket("inputs")


def serve(place, bucket, *more):
    return "serve", bucket, "--state", place.folder("state"), *more


@test("an unknown bucket: named, and where to look")
def unknown_bucket(place):
    hub, bucket = prepared(place)
    refused(place, *serve(place, "alice/no-such-bucket"), words=["no-such-bucket"], HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)


@test("a bucket name that is none")
def malformed_bucket(place):
    hub, bucket = prepared(place)
    for number, name in enumerate(["", "noslash", "/", "a//b", "../x/y", "a/b c"]):
        refused(place, *serve(place, name), words=[], HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)


@test("no token: says where one is looked for")
def no_token(place):
    hub, bucket = prepared(place)
    refused(place, *serve(place, bucket), words=["HF_TOKEN"], HF_ENDPOINT=hub.endpoint)


@test("a wrong token: says that the Hub does not know it")
def wrong_token(place):
    hub, bucket = prepared(place)
    refused(place, *serve(place, bucket), words=["token"], HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_wrong_one")


@test("somebody else's private bucket is as unknown as a missing one")
def not_yours(place):
    hub, bucket = prepared(place)
    refused(place, *serve(place, bucket), words=[bucket], HF_ENDPOINT=hub.endpoint, HF_TOKEN=STRANGER_TOKEN)


@test("the token is found in HF_HOME as the ecosystem does")
def token_file(place):
    hub, bucket = prepared(place)
    hub.put(bucket, "seen.txt", b"seen")
    (place.home / "hf").mkdir()
    (place.home / "hf/token").write_text(hub.token + "\n")
    server = Server.__new__(Server)
    original = place.environment
    place.environment = lambda **more: original(**{**more, "HF_TOKEN": None})
    server.__init__(place, hub, bucket)
    same("a file of the bucket", (Mount(server) / "seen.txt").read_bytes(), b"seen")


@test("the Hub is offline at the first start: says so, names it, ends", 150)
def offline(place):
    refused(place, *serve(place, "alice/inputs"), words=["127.0.0.1:9"], seconds=120,
            HF_ENDPOINT="http://127.0.0.1:9", HF_TOKEN="hf_alice")


@test("an endpoint that is no URL")
def bad_endpoint(place):
    refused(place, *serve(place, "alice/inputs"), words=["not a url"], HF_ENDPOINT="not a url", HF_TOKEN="hf_alice")


@test("a port that is taken: named, with what to do")
def port_taken(place):
    hub, bucket = prepared(place)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(place, *serve(place, bucket, "--port", str(port)), words=[str(port)], HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)


@test("a state directory in use by another process: refused at once, and the first goes on")
def state_in_use(place):
    hub, bucket = prepared(place)
    hub.put(bucket, "f", b"f")
    server = Server(place, hub, bucket)
    mount = Mount(server)
    refused(place, *serve(place, bucket), words=[str(server.state)], HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)
    same("the first goes on", (mount / "f").read_bytes(), b"f")


@test("a state directory of another bucket, or one that is a file, or one that may not be written")
def wrong_state(place):
    hub, bucket = prepared(place)
    other = hub.create_bucket("other")
    server = Server(place, hub, bucket)
    server.stop()
    environment = dict(HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)
    refused(place, "serve", other, "--state", server.state, words=[], **environment)
    (place.dir / "file").write_text("")
    refused(place, "serve", bucket, "--state", place.dir / "file", words=[str(place.dir / "file")], **environment)


@test("commands to a server that does not run say so and how to start it")
def nobody_home(place):
    hub, bucket = prepared(place)
    for command in (["sync", "--wait", "--timeout", "5"], ["status", "--json"], ["queue"], ["pause"], ["resume"], ["retry"]):
        name, *more = command
        refused(place, name, bucket, "--state", place.folder("empty-state"), *more, words=[], HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)


@test("a corrupt state database is kept aside, said aloud and rebuilt; unsent data and handles survive", 180)
def corrupt_database(place):
    hub, bucket = prepared(place)
    hub.put(bucket, "remote.txt", b"remote")
    server = Server(place, hub, bucket)
    mount = Mount(server)
    same("remote", (mount / "remote.txt").read_bytes(), b"remote")
    assert server.ctl("pause").returncode == 0
    os.mkdir(mount / "folder")
    content = noise(1_500_000)
    (mount / "folder/unsent.bin").write_bytes(content)
    os.sync()
    server.kill()
    databases = [p for p in server.state.rglob("*") if p.is_file() and p.open("rb").read(16) == b"SQLite format 3\0"]
    assert databases, f"no SQLite database below {server.state}"
    damage = b"this is no database any more " * 1000
    for path in databases:
        for part in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if part.exists():
                part.write_bytes(damage[:max(part.stat().st_size, 4096)])
    server.start()
    said = server.said().lower()
    assert "database" in said and any(w in said for w in ("aside", "damaged", "corrupt")), f"it has to say so: {said!r}"
    kept = [p for p in server.state.rglob("*") if p.is_file() and p not in databases and p.open("rb").read(28) == damage[:28]]
    assert [p for p in kept if not p.name.endswith(("-wal", "-shm"))], "the damaged database has to be kept aside"
    mount.again()
    server.ctl("resume")
    server.sync()
    found = {name: hub.sha256(bucket, name) for name in hub.files(bucket)}
    assert digest(content) in found.values(), f"the unsent bytes are gone: {found}"
    same("the remote file is untouched", found.get("remote.txt"), digest(b"remote"))


@test("mount point missing, a file, not empty, somebody else's: each has its own sentence")
def mount_points(place):
    hub, bucket = prepared(place)
    environment = dict(HF_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)
    missing, full, file, foreign = place.dir / "missing", place.folder("full"), place.dir / "a-file", place.folder("foreign")
    (full / "something").write_text("")
    file.write_text("")
    said = {
        "missing": refused(place, "mount", bucket, missing, words=[str(missing)], **environment),
        "full": refused(place, "mount", bucket, full, words=[str(full), ["empty"]], **environment),
        "file": refused(place, "mount", bucket, file, words=[str(file), ["not a folder", "not a directory"]], **environment),
    }
    same("nothing is mounted", [l for l in open("/proc/mounts") if str(place.dir) in l], [])
    for path in (place.dir, place.home, foreign):
        os.chmod(path, 0o755)
    os.chown(place.home, 1234, 1234)
    done = subprocess.run(["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", program("bucketbarctl"), "mount",
                           bucket, str(foreign)], env=place.environment(**environment), text=True, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    assert done.returncode not in (0, 101), done
    assert any(w in done.stderr.lower() for w in ("own", "permi", "root")), f"why? {done.stderr!r}"
    assert len(set(said.values())) == 3


@test("unmounting what is not mounted, or not ours: a sentence, and nothing is touched")
def unmount_nothing(place):
    refused(place, "unmount", place.folder("plain"), words=[str(place.dir / "plain")])
    refused(place, "unmount", place.dir / "missing", words=[str(place.dir / "missing")])
    refused(place, "unmount", "/proc", words=["/proc"])
    assert os.path.ismount("/proc")


@test("unknown commands and options: what is wrong and where help is, exit code 2")
def usage(place):
    for argv in (["nonsense"], ["serve"], ["serve", "a/b", "--state"], ["serve", "a/b", "--state", "/x", "--port", "99999"], ["sync"]):
        done = place.run(program("bucketbarctl"), *argv)
        assert done.returncode == 2 and "--help" in done.stderr, f"{argv}: {done}"
    done = place.run(program("bucketbarctl"), "--help")
    for word in ("ls", "mount", "unmount", "serve", "sync", "pause", "resume", "status", "queue", "retry"):
        assert word in done.stdout, f"--help does not tell of {word}"
