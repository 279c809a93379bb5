"""pjdfstest, a POSIX suite, through the kernel client: what fails must stand in tests/known-failures.md, and what stands there must fail."""
import json, os, pathlib, re

from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, Server

PJDFSTEST = os.environ.get("PJDFSTEST_BIN")
LIST = pathlib.Path(__file__).resolve().parents[2] / "known-failures.md"
CLASSES = {"protocol", "feature", "environment", "bug"}
CASES = 398
# All of the suite's optional parts that a Linux client has. Its remount gives no options, which mount.nfs refuses;
# the theme read_only has what a read-only mount answers.
CONFIG = """
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}

secondary_fs = "OTHER"
[settings]
naptime = 0.05
allow_remount = false
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"], ["bin", "bin"]]
"""


def known_failures():
    """{case: class} of the tables' rows."""
    rows = re.findall(r"^\| `([\w:]+)` \| (\w+) \| (.+?) \|", LIST.read_text(), re.M)
    assert rows, f"no case in {LIST}"
    wrong = [case for case, kind, reason in rows if kind not in CLASSES or len(reason) < 10]
    assert not wrong, f"no class or reason: {wrong}"
    return {case: kind for case, kind, reason in rows}


@test("pjdfstest with several users: no case fails that is not in tests/known-failures.md, and none in it passes", 400)
def suite(place):
    assert PJDFSTEST, "PJDFSTEST_BIN is not set; scripts/test installs the program"
    hub = Hub(place)
    server = Server(place, hub, hub.create_bucket("posix"), "--do-not-ask", "--any-uid", "--owner", "0:0")
    assert "FOR TESTS ONLY" in server.said(), f"--any-uid must be loud: {server.said()}"
    mount = Mount(server)
    os.chmod(mount.path, 0o755)
    # Everybody passes through to the mount: the suite takes other users' part.
    for folder in mount.path.parents:
        os.chmod(folder, os.stat(folder).st_mode | 0o111)
    settings = place.dir / "pjdfstest.toml"
    settings.write_text(CONFIG.replace("OTHER", str(place.folder("other"))))
    done = place.run(PJDFSTEST, "-c", settings, "-p", mount.path, seconds=380, env=place.environment(RUST_BACKTRACE="0"))
    log = place.log("pjdfstest")
    log.write_text(done.stdout + done.stderr)
    results = dict(re.findall(r"^([\w:]+)\s+(ok|FAILED|skipped)\b", done.stdout, re.M))
    failed = {case for case, result in results.items() if result == "FAILED"}
    reasons = dict(re.findall(r"^([\w:]+)\s+FAILED\n\s*(.*)", done.stdout, re.M))
    for case in sorted(failed) if os.environ.get("PJDFSTEST_SHOW") else []:
        say(f"        {case}: {reasons.get(case, '')[:300]}")
    counts = {result: list(results.values()).count(result) for result in ("ok", "FAILED", "skipped")}
    say(f"        {counts['ok']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped of {len(results)}")
    assert len(results) == CASES, f"{len(results)} cases instead of {CASES}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    known = known_failures()
    new, healed = sorted(failed - set(known)), sorted(set(known) - failed)
    assert not new, f"{len(new)} cases fail that are not in {LIST.name}: {new}"
    assert not healed, f"passes now, take it out of {LIST.name}: {healed}"


@test("with --any-uid owners are stored and outlive a restart, status says so; without it there is one owner", 90)
def owners(place):
    hub = Hub(place)
    bucket = hub.create_bucket("owners")
    server = Server(place, hub, bucket, "--any-uid", "--owner", "0:0")
    mount = Mount(server)
    path = mount / "theirs"
    path.write_text("x")
    os.chown(path, 1, 2)
    assert json.loads(server.ctl("status", "--json").stdout)["any_uid"] is True
    server.stop()
    server.start()
    mount.again()
    found = os.stat(path)
    assert (found.st_uid, found.st_gid) == (1, 2), found
    mount.detach()
    server.stop()
    plain = Server(place, hub, bucket, state="plain")
    assert "TESTS" not in plain.said(), plain.said()
    one = Mount(plain, "one")
    (one / "mine").write_text("x")
    try:
        os.chown(one / "mine", 1, 2)
        raise AssertionError("a bucket's file was given away")
    except PermissionError:
        pass
