"""What everyday programs do to a folder."""
import errno, os, pathlib, stat, tarfile, time

from guestkit.data import digest, eventually, noise, same, sha256
from guestkit.hub import Hub
from guestkit.runner import test
from guestkit.server import Mount, Server


def mounted(place):
    hub = Hub(place)
    bucket = hub.create_bucket("posix")
    server = Server(place, hub, bucket)
    return hub, bucket, server, Mount(server)


def ok(place, *argv, seconds=120):
    done = place.run(*argv, seconds=seconds)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}"
    return done.stdout


def tree(root):
    """{path: (kind, mode, content digest or link target)}"""
    found = {}
    for path in pathlib.Path(root).rglob("*"):
        info = path.lstat()
        what = os.readlink(path) if path.is_symlink() else sha256(path) if path.is_file() else ""
        found[str(path.relative_to(root))] = (stat.S_IFMT(info.st_mode), path.is_symlink() or stat.S_IMODE(info.st_mode), what)
    return found


def small_tree(place):
    """A source tree on the guest's own disk: folders, modes, a symlink, old times."""
    root = place.folder("source")
    for n in range(120):
        file = root / f"d{n % 7}/e{n % 3}/file-{n}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(noise(n * 97, n))
        os.utime(file, (1_400_000_000 + n, 1_300_000_000 + n))
    os.chmod(root / "d0/e0/file-0.txt", 0o444)
    os.chmod(root / "d1/e1/file-1.txt", 0o755)
    os.symlink("../d0/e0/file-0.txt", root / "d2/link")
    return root


@test("mkdir -p, mv, cp, ln -s, touch, chmod, truncate, rm: all as on a disk")
def everyday(place):
    hub, bucket, server, mount = mounted(place)
    script = """set -ex
mkdir -p a/b/c && cd a
echo one >b/one && cp b/one b/two && mv b/two c2 && test "$(cat c2)" = one
ln -s b/one link && test "$(cat link)" = one && test "$(readlink link)" = b/one
chmod 700 b/one && test "$(stat -c %a b/one)" = 700
touch -d '2001-02-03 04:05:06 UTC' b/one && test "$(stat -c %Y b/one)" = 981173106
truncate -s 5 c2 && test "$(stat -c %s c2)" = 5 && truncate -s 2 c2 && test "$(cat c2)" = on
echo more >>b/one && test "$(cat b/one)" = "one
more"
mv b/one b/c/ && mv b moved && test -f moved/c/one
echo x >dst && echo y >src && mv src dst && test "$(cat dst)" = y
! rmdir moved 2>/dev/null
! mkdir moved 2>/dev/null
rm -r moved && test ! -e moved && rm link
find . | sort
"""
    done = place.run("sh", "-c", script, cwd=mount.path)
    assert done.returncode == 0, done.stderr[-1500:]
    same("what is left", done.stdout.split(), [".", "./c2", "./dst"])
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), ["a/c2", "a/dst"])
    same("NFS errors of data calls", {k: v for k, v in mount.errors().items() if k in ("READ", "WRITE", "COMMIT", "GETATTR")}, {})


@test("errors are the ones POSIX names: ENOENT, EEXIST, ENOTEMPTY, ENOTDIR, EISDIR, EINVAL")
def posix_errors(place):
    hub, bucket, server, mount = mounted(place)
    os.makedirs(mount / "full/inner")
    (mount / "file").write_text("x")
    expected = [
        (errno.ENOENT, lambda: open(mount / "missing")),
        (errno.EEXIST, lambda: os.mkdir(mount / "full")),
        (errno.EEXIST, lambda: os.open(mount / "file", os.O_CREAT | os.O_EXCL)),
        (errno.ENOTEMPTY, lambda: os.rmdir(mount / "full")),
        (errno.ENOTDIR, lambda: os.rmdir(mount / "file")),
        (errno.ENOTDIR, lambda: os.listdir(mount / "file/x")),
        (errno.EISDIR, lambda: os.remove(mount / "full")),
        (errno.EISDIR, lambda: os.rename(mount / "file", mount / "full")),
        (errno.ENOTDIR, lambda: os.rename(mount / "full", mount / "file")),
        (errno.EINVAL, lambda: os.rename(mount / "full", mount / "full/inner/below")),
    ]
    for number, (wanted, attempt) in enumerate(expected):
        try:
            attempt()
        except OSError as error:
            same(f"error of attempt {number}", errno.errorcode[error.errno], errno.errorcode[wanted])
        else:
            raise AssertionError(f"attempt {number} had to fail with {errno.errorcode[wanted]}")


@test("cp -a of a tree keeps bytes, modes, times and links; the Hub has every file", 150)
def copy_tree(place):
    hub, bucket, server, mount = mounted(place)
    source = small_tree(place)
    ok(place, "cp", "-a", source, mount / "copy")
    same("tree", tree(mount / "copy"), tree(source))
    same("an old mtime", os.stat(mount / "copy/d1/e1/file-1.txt").st_mtime, 1_300_000_001)
    server.sync()
    names = {f"copy/{name}" for name, (kind, _, _) in tree(source).items() if kind == stat.S_IFREG}
    same("the Hub's paths", set(hub.files(bucket)), names)
    mount.again()
    same("tree after a remount", tree(mount / "copy"), tree(source))
    same("an old mtime after a remount", os.stat(mount / "copy/d1/e1/file-1.txt").st_mtime, 1_300_000_001)


@test("tar x of a tree, then tar d finds no difference", 150)
def untar(place):
    hub, bucket, server, mount = mounted(place)
    source = small_tree(place)
    with tarfile.open(place.dir / "tree.tar", "w") as archive:
        archive.add(source, "tree")
    ok(place, "tar", "-C", mount.path, "-xpf", place.dir / "tree.tar")
    ok(place, "tar", "-C", mount.path, "-df", place.dir / "tree.tar")


@test("2,000 files are written, listed, and removed by rm -r; the Hub follows", 300)
def two_thousand(place):
    hub, bucket, server, mount = mounted(place)
    for folder in range(10):
        os.makedirs(mount / f"many/{folder}")
        for n in range(200):
            (mount / f"many/{folder}/{n}.txt").write_text(f"{folder} {n}")
    same("files found", len(ok(place, "find", mount / "many", "-type", "f").split()), 2000)
    server.sync(200)
    same("files on the Hub", len(hub.files(bucket)), 2000)
    same("one of them", hub.read(bucket, "many/7/77.txt"), b"7 77")
    removal = place.run("rm", "-r", mount / "many", seconds=200)
    left = [str(path.relative_to(mount.path)) for path in mount.path.rglob("*")]
    assert removal.returncode == 0, f"{removal.stderr[-600:]}; left are {left[:20]}"
    same("left in the mount", mount.names(), [])
    # So many deletions at once ask first.
    same("sync before the answer", server.ctl("sync", "--wait", "--timeout", "60", seconds=90).returncode, 1)
    same("files on the Hub before the answer", len(hub.files(bucket)), 2000)
    same("answer", server.ctl("deletes", "--send").returncode, 0)
    server.sync(200)
    same("files on the Hub", sorted(hub.files(bucket)), [])


@test("a folder removed here stays removed while its deletion has not reached the Hub yet", 90)
def removed_folder_stays_removed(place):
    hub = Hub(place)
    bucket = hub.create_bucket("posix")
    for name in ("keep/a", "many/0/a", "many/1/b/c"):
        hub.put(bucket, name, b"x")
    server = Server(place, hub, bucket, "--poll-ms", "500")
    mount = Mount(server)
    ok(place, "find", mount.path)
    same("pause", server.ctl("pause").returncode, 0)
    ok(place, "rm", "-r", mount / "many/0", mount / "many/1")
    hub.put(bucket, "keep/b", b"y")    # makes the server list again
    eventually("the new file", lambda: mount.names("keep") == ["a", "b"], 40, 0.5)
    time.sleep(3)
    same("what is in the folder", mount.names("many"), [])
    ok(place, "rmdir", mount / "many")
    same("resume", server.ctl("resume").returncode, 0)
    server.sync()
    same("the Hub's paths", sorted(hub.files(bucket)), ["keep/a", "keep/b"])
    same("what is left", mount.names(), ["keep"])


@test("a file removed while it is open can be read and written to the end (the kernel's .nfs name stays at home)")
def removed_while_open(place):
    hub, bucket, server, mount = mounted(place)
    with open(mount / "open.bin", "w+b", buffering=0) as file:
        file.write(b"before")
        os.remove(mount / "open.bin")
        file.write(b" after")
        os.fsync(file.fileno())
        file.seek(0)
        same("content", file.read(), b"before after")
        server.sync()
        same("the Hub's paths", sorted(hub.files(bucket)), [])
    # The kernel removes its .nfs name in a task of its own (nfs_do_call_unlink): close(2) does not wait for it.
    eventually("nothing is left", lambda: mount.names() == [], 20)


@test("two programs append to one log at once: no line is torn or lost", 120)
def two_appenders(place):
    hub, bucket, server, mount = mounted(place)
    import fcntl, subprocess
    script = ("import fcntl, sys\nfor n in range(100):\n"
              "    with open(sys.argv[1], 'a') as f:\n        fcntl.lockf(f, fcntl.LOCK_EX)\n"
              "        f.seek(0, 2)\n        f.write(f'{sys.argv[2]} {n}\\n')\n        f.flush()\n")
    both = [subprocess.Popen(["python3", "-c", script, mount / "log", who]) for who in "ab"]
    assert [p.wait(100) for p in both] == [0, 0]
    same("lines", sorted((mount / "log").read_text().split("\n")[:-1]), sorted(f"{w} {n}" for w in "ab" for n in range(100)))
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, "log"), sha256(mount / "log"))


@test("a sparse file: holes read as zeros here and on the Hub; df tells real figures")
def sparse(place):
    hub, bucket, server, mount = mounted(place)
    with open(mount / "sparse", "wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    expected = bytes(3_000_000) + b"end"
    same("bytes", sha256(mount / "sparse"), digest(expected))
    server.sync()
    same("bytes on the Hub", hub.sha256(bucket, "sparse"), digest(expected))
    room = os.statvfs(mount.path)
    assert 0 < room.f_bavail * room.f_frsize < 1 << 40, f"df has to tell what can really be taken: {room}"


@test("an ordinary user of the machine: the server's own user may work in the mount, another may not", 120)
def another_user(place):
    hub, bucket, server, mount = mounted(place)
    (mount / "private.txt").write_text("root's")
    os.chmod(place.dir, 0o755)
    mine = place.run("cat", mount / "private.txt")
    same("the owner reads", mine.stdout, "root's")
    other = place.run("setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "touch", mount / "intruder")
    assert other.returncode != 0, "another user made a file in the mount"
    assert not (mount / "intruder").exists()
