"""kill -9 of a mount's server again and again, under everything at once: the keeper brings it back each time, and no
program sees more than a pause. 50 kills; 2,000 with BUCKETBAR_FULL=1 (scripts/test --full)."""
import json, os, random, signal, subprocess, sys, time, types

from guestkit.command import Command
from guestkit.data import eventually, same, sha256
from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, drop_caches

FULL = os.environ.get("BUCKETBAR_FULL") == "1"
KILLS = int(os.environ.get("KILL_STORM_KILLS") or (2000 if FULL else 50))

# Each works in a folder of its own until the file `stop` exists, and prints {operations, longest, wanted}: wanted is the
# SHA-256 of each file that has to be there. Any error ends it with a traceback. Names are few: files are overwritten
# and renamed rather than removed, so that no question about deletions comes up.
COMMON = r"""
import hashlib, json, os, random, subprocess, sys, time
root, stop, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
dice, operations, longest, wanted = random.Random(seed), 0, 0.0, {}
def do(function, *arguments, **named):
    global operations, longest
    began = time.monotonic()
    answer = function(*arguments, **named)
    longest = max(longest, time.monotonic() - began)
    operations += 1
    return answer
def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
def going():
    return not os.path.exists(stop)
do(os.mkdir, root)
"""
END = r"""
print(json.dumps({"operations": operations, "longest": longest, "wanted": wanted}))
"""
COPIES = COMMON + r"""
source = stop + f".source-{seed}"
turn = 0
while going():
    with open(source, "wb") as file:
        file.write(dice.randbytes(dice.randrange(1, 3 << 20)))
    name = f"copy-{turn % 5}"
    if turn % 2:
        do(run, "cp", source, f"{root}/{name}")
    else:
        do(run, "dd", f"if={source}", f"of={root}/{name}", "bs=256k", "conv=fsync")
    wanted[name] = digest(source)
    back = do(digest, f"{root}/{name}")
    assert back == wanted[name], f"{name} reads back as {back}"
    turn += 1
""" + END
RENAMES = COMMON + r"""
places = {n: f"f{n}" for n in range(8)}
for n in places:
    with open(f"{root}/f{n}", "w") as file:
        file.write(f"content {n}")
    wanted[n] = digest(f"{root}/f{n}")
turn = 0
while going():
    do(os.mkdir, f"{root}/d{turn}")
    do(os.rename, f"{root}/d{turn}", f"{root}/e{turn}")
    some = dice.sample(sorted(places), 3)
    for n in some:
        do(os.rename, f"{root}/{places[n]}", f"{root}/e{turn}/g{n}")
    assert sorted(do(os.listdir, f"{root}/e{turn}")) == sorted(f"g{n}" for n in some)
    for n in some:
        do(os.rename, f"{root}/e{turn}/g{n}", f"{root}/h{n}")
        places[n] = f"h{n}"
    do(os.rmdir, f"{root}/e{turn}")
    turn += 1
wanted = {places[n]: wanted[n] for n in places}
""" + END
APPENDS = COMMON + r"""
whole = b""
descriptor = os.open(f"{root}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
while going():
    record = dice.randbytes(dice.randrange(1, 20000))
    assert do(os.write, descriptor, record) == len(record)
    do(os.fsync, descriptor)
    whole += record
    if len(whole) > 30 << 20:
        do(os.ftruncate, descriptor, 0)
        whole = b""
os.close(descriptor)
wanted["log"] = hashlib.sha256(whole).hexdigest()
""" + END
PROGRAMS = {"copies": COPIES, "renames": RENAMES, "more-renames": RENAMES, "appends": APPENDS}


@test(f"{KILLS} kill -9 under cp, dd, renames, mkdir and fsync at once: the server comes back by itself, no program sees "
      "an error, mount and Hub hold what they wrote", 12_000 if FULL else 420)
def storm(place):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    say(f"        seed {seed}")
    hub = Hub(place)
    command = Command(place, hub, hub.create_bucket("storm"))
    stop = place.dir / "stop"
    running = {}
    for number, (name, program) in enumerate(PROGRAMS.items()):
        log = place.log(name)
        argv = [sys.executable, "-c", program, str(command.point / name), str(stop), str(seed + number)]
        running[name] = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=open(log, "wb"), text=True), log
    place.at_end(lambda: [process.kill() for process, _ in running.values()])

    began, kills, away, last = time.monotonic(), 0, [], None
    while kills < KILLS:
        time.sleep(dice.uniform(0.3, 2.2))
        for name, (process, log) in running.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}: {log.read_text()}"
        for pid in command.server():
            os.kill(pid, signal.SIGKILL)
            last = pid
        kills += 1
        killed = time.monotonic()
        eventually("the server's return", lambda: [pid for pid in command.server() if pid != last] and command.runs(), 60, 0.05)
        away.append(time.monotonic() - killed)
    lasted = time.monotonic() - began
    stop.touch()
    told = {}
    for name, (process, log) in running.items():
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"{name} ended with {process.returncode}: {log.read_text()}"
        told[name] = json.loads(out)
    operations = {name: one["operations"] for name, one in told.items()}
    stall = max(one["longest"] for one in told.values())
    say(f"        {kills} kills in {lasted:.0f} s; away {sum(away) / len(away):.2f} s on average, {max(away):.2f} s at most; "
        f"operations {operations}; longest stall of a program {stall:.1f} s")
    assert all(count > kills for count in operations.values()), "every program has to be at work between kills"

    same("NFS errors the kernel saw", Mount.errors(types.SimpleNamespace(path=command.point)), {})
    wanted = {f"{name}/{path}": value for name, one in told.items() for path, value in one["wanted"].items()}
    drop_caches()
    same("files in the mount", {path: sha256(command.point / path) for path in wanted}, wanted)
    for name in told:
        same(f"names in {name}", sorted(os.listdir(command.point / name)), sorted(told[name]["wanted"]))
    done = command.ctl("sync", "--wait", "--timeout", "200", seconds=230)
    if done.returncode:
        # Old names of what was moved may be so many that the server asks before it deletes them.
        command.ctl("deletes", "--send")
        done = command.ctl("sync", "--wait", "--timeout", "100", seconds=130)
    assert done.returncode == 0, f"sync: {done.stdout}{done.stderr}"
    same("files on the Hub", {path: hub.sha256(command.bucket, path) for path in hub.files(command.bucket)}, wanted)
    same("unmount", command.unmount().returncode, 0)
    eventually("server and keeper are gone", lambda: not command.server() and not place.strays("bucketbar-keeper"), 60)
