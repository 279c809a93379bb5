"""Many programs that are hard on a file system, at once: none may see an error, none may stand still for long, and what the server holds goes back."""
import json, os, pathlib, re, shutil, subprocess, threading, time

from guestkit.hub import Hub
from guestkit.runner import say, test
from guestkit.server import Mount, Server

FULL = bool(os.environ.get("BUCKETBAR_FULL"))
SECONDS = 900 if FULL else 12
# A look at one file, over and over, beside everything else: longer than this is a mount that stands still. One
# processor is shared with all the programs here, so the bound is of hangs, not of speed.
LONGEST_STALL = 30
# stress-ng's class `filesystem`, without what NFSv3 has not (special files, hard links, extended attributes,
# inode flags, allocation), `copy-file` (128 MB at least), and what asks for other kinds of mounts.
STRESSORS = ["access", "chdir", "chmod", "dentry", "dir", "dirdeep", "fcntl", "filename", "flock", "fstat",
             "getdent", "hdd", "iomix", "lockf", "open", "rename", "symlink", "touch", "utime"]
FIO = """
[global]
directory=MOUNT
ioengine=psync
size=8m
time_based
runtime=SECONDS
verify_fatal=1
[append-and-sync]
rw=write
bs=4k
fsync=16
[random-over]
rw=randwrite
bsrange=512-32k
[read-back]
rw=randrw
bs=16k
"""


class Stalls(threading.Thread):
    """Reads, writes and looks at files of its own until it is ended; keeps how long each took."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.over, self.took, self.error = folder, threading.Event(), [], None

    def run(self):
        number = 0
        try:
            while not self.over.wait(0.1):
                began = time.monotonic()
                path = self.folder / f"probe-{number % 10}"
                path.write_text(str(number))
                assert path.read_text() == str(number), "a file does not say what was written to it"
                os.stat(self.folder)
                self.took.append(time.monotonic() - began)
                number += 1
        except (OSError, AssertionError) as error:
            self.error = error

    def end(self):
        self.over.set()
        self.join(120)
        assert not self.is_alive(), "a write, read or stat on the mount does not return"
        assert self.error is None, f"a look at a file failed: {self.error}"
        assert self.took, "not one look at a file was through"


def held(server):
    """What the server holds: its own figures, and the kernel's of its process."""
    status = json.loads(server.ctl("status", "--json").stdout)
    proc = pathlib.Path(f"/proc/{server.process.pid}")
    memory = int(re.search(r"^VmRSS:\s+(\d+)", (proc / "status").read_text(), re.M)[1]) // 1024
    files = [os.readlink(f) for f in (proc / "fd").iterdir() if os.path.lexists(f)]
    return {**status["gauges"], "descriptors": len(files), "threads": len(list((proc / "task").iterdir())), "MiB": memory}


def compiled(place, folder):
    """A C program of 60 files with headers in a folder of the mount: made, run, cleaned, made again."""
    folder.mkdir()
    for n in range(60):
        (folder / f"part{n}.h").write_text(f"int part{n}(int);\n")
        (folder / f"part{n}.c").write_text(f'#include <stdio.h>\n#include "part{n}.h"\n#include "part{(n + 1) % 60}.h"\n'
                                           f"int part{n}(int x) {{ return x > 0 ? part{(n + 1) % 60}(x - 1) + {n} : {n}; }}\n")
    (folder / "main.c").write_text('#include <stdio.h>\n#include "part0.h"\nint main(void) { printf("%d\\n", part0(59)); return 0; }\n')
    (folder / "Makefile").write_text("all: $(patsubst %.c,%.o,$(wildcard *.c))\n\tcc -o program $^\n%.o: %.c\n\tcc -c -o $@ $<\nclean:\n\trm -f *.o program\n")
    return ["sh", "-c", f"end=$(($(date +%s) + {SECONDS})); while :; do make -s all && test \"$(./program)\" = 1770 || exit 1; "
                        f"[ $(date +%s) -ge $end ] && exit 0; make -s clean; done"], folder


def workloads(place, mount):
    """{name: (command, folder)} of all that runs at once."""
    folder = lambda name: (mount / name).mkdir() or mount / name
    job = place.dir / "jobs.fio"
    job.write_text(FIO.replace("MOUNT", str(folder("fio"))).replace("SECONDS", str(SECONDS)))
    mark = place.dir / "postmark"
    mark.write_text(f"set location {folder('postmark')}\nset number {2000 if FULL else 100}\n"
                    f"set transactions {20000 if FULL else 150}\nset size 500 20000\nrun\nquit\n")
    # One kind after the other, so that as many run at once on this one processor as there are programs here.
    each = max(1, SECONDS // len(STRESSORS))
    one_by_one = " && ".join(f"stress-ng --{name} 1 --timeout {each}s --temp-path . --hdd-bytes 4m --iomix-bytes 4m "
                             f"--dirdeep-inodes 500 --dentries 200 --quiet" for name in STRESSORS)
    return {
        "stress-ng": (["sh", "-c", one_by_one], folder("stress-ng")),
        "dbench": (["dbench", "-c", "/usr/share/dbench/client.txt", "-t", SECONDS, "-D", folder("dbench"), "2"], mount.path),
        "postmark": (["postmark", mark], mount.path),
        "fio": (["fio", "--output-format=normal", job], mount.path),
        "compile": compiled(place, mount / "project"),
    }


@test("stress-ng, dbench, postmark, fio and a compile at once: no error, no stall, and everything the server held is given back",
      SECONDS * 3 + 400)
def all_at_once(place):
    hub = Hub(place)
    server = Server(place, hub, hub.create_bucket("stress"), "--do-not-ask", "--delete-hold-ms", "500", "--debounce-ms", "500")
    mount = Mount(server)
    missing = [name for name in ("stress-ng", "dbench", "postmark", "fio", "make", "cc") if not shutil.which(name)]
    assert not missing, f"not installed: {missing}"
    probe = mount / "probe"
    probe.mkdir()
    warm_up(server, mount)
    start = held(server)
    stalls = Stalls(probe)
    running, began = {}, time.monotonic()
    for name, (argv, folder) in workloads(place, mount).items():
        log = place.log(name)
        running[name] = (subprocess.Popen([str(a) for a in argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=open(log, "wb"),
                                          stderr=subprocess.STDOUT, env=place.environment()), log)
    stalls.start()
    peak = dict(start)
    late = began + SECONDS * 3 + 240
    while any(process.poll() is None for process, _ in running.values()):
        assert time.monotonic() < late, f"still running: {[n for n, (p, _) in running.items() if p.poll() is None]}"
        time.sleep(1)
        peak = {name: max(peak[name], value) for name, value in held(server).items()}
    took = time.monotonic() - began
    stalls.end()
    for name, (process, log) in running.items():
        text = log.read_text(errors="replace")
        assert process.returncode == 0, f"{name} ended with {process.returncode}: {text[-2000:]}"
        assert not re.search(r"(?i)stale|input/output error", text), f"{name} said: {text[-2000:]}"
    in_order = sorted(stalls.took)
    say(f"        {took:.0f} s; {len(in_order)} looks: median {in_order[len(in_order) // 2] * 1000:.0f} ms, "
        f"longest {in_order[-1] * 1000:.0f} ms")
    assert in_order[-1] < LONGEST_STALL, f"the mount stood still for {in_order[-1]:.1f} s"
    given_back(place, server, mount, start, peak)


def warm_up(server, mount):
    """Connections, threads and caches that come with the first use are not what is looked for."""
    for number in range(20):
        (mount / f"warm-{number}").write_bytes(os.urandom(20_000))
    server.sync(60)
    for number in range(20):
        (mount / f"warm-{number}").unlink()
    server.sync(60)


def given_back(place, server, mount, start, peak):
    """With all files removed and all of it on the Hub, the figures are those of the start."""
    for entry in os.listdir(mount.path):
        if entry not in (".metadata_never_index", "probe"):
            shutil.rmtree(mount / entry, ignore_errors=False)
    shutil.rmtree(mount / "probe")
    server.sync(240)
    deadline = time.monotonic() + 60
    while True:
        now = held(server)
        # Pools keep a thread for ten seconds and the connection pool its sockets for a while.
        over = [name for name in ("open_copies", "staged_copies", "staged_bytes") if now[name] > start[name]]
        over += [name for name in ("tasks", "descriptors", "threads") if now[name] > start[name] + 8]
        over += ["MiB"] if now["MiB"] > start["MiB"] + 150 else []
        if not over:
            break
        assert time.monotonic() < deadline, f"not given back: {over}; at the start {start}, at most {peak}, now {now}"
        time.sleep(1)
    say(f"        start {start}\n        peak  {peak}\n        end   {now}")
