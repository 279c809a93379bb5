#!/usr/bin/env python3
"""scripts/run                                  the app, on a Hub of its own with a demo bucket (needs a screen)
scripts/run --headless                       without a window: mount that bucket, list, read, write, check
scripts/run --hub URL BUCKET[/FOLDER] DIR       mount a real bucket on DIR and leave it mounted

Without a screen the first is the second. Where this kernel has no NFS client, the demo without a window runs in a guest kernel that has one (scripts/vm, docs/vm.md).
Everything the demo makes is gone at its end.
"""
import argparse, contextlib, hashlib, json, os, pathlib, platform, re, shutil, signal, subprocess, sys, tempfile, urllib.parse
import urllib.error, urllib.request

REPO = pathlib.Path(__file__).resolve().parents[1]
INSIDE = "BUCKETBAR_DEMO_INSIDE"


def say(*words):
    print(*words, flush=True)


def stop(sentence):
    sys.exit(f"scripts/run: {sentence}")


def program(name):
    """A built program, where cargo puts it."""
    places = [os.environ.get(name.upper().replace("-", "_") + "_BIN"),
              pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"), "release", name)]
    return str(next((p for p in places if p and os.access(p, os.X_OK)), None) or stop(f"{name} is not built"))


def shown(argv, **options):
    """Runs a command and shows it with its output, as one would see it in a terminal."""
    say("\n$", " ".join(str(a) for a in argv))
    done = subprocess.run([str(a) for a in argv], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, **options)
    lines = done.stdout.rstrip().splitlines()
    say("\n".join(lines[:25] + ([f"… and {len(lines) - 25} lines more"] if len(lines) > 25 else [])))
    if done.returncode:
        stop(f"that ended with {done.returncode}")
    return done.stdout


def can_mount():
    """None when this kernel mounts NFS for us, else why not."""
    if platform.system() == "Darwin":
        return None
    if not shutil.which("mount.nfs") and not os.access("/sbin/mount.nfs", os.X_OK):
        return "mount.nfs is not installed (Debian: apt-get install nfs-common)"
    # Loads the module where there is one; fails at once where there is not.
    subprocess.run(["modprobe", "nfs"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30) if shutil.which("modprobe") else None
    if not re.search(r"\bnfs$", pathlib.Path("/proc/filesystems").read_text(), re.M):
        return "this kernel has no NFS client"
    if os.geteuid():
        return "only root may mount on Linux (run it with sudo)"
    return None


def has_screen():
    """Whether a window can be shown to whoever types this."""
    if platform.system() == "Darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"))


class LocalHub:
    """local-hub with the demo bucket, in a folder of the demo's."""

    def __init__(self, folder, *arguments):
        self.log = open(folder / "local-hub.log", "wb")
        self.process = subprocess.Popen([program("local-hub"), "--data", str(folder / "hub"), "--demo", *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            stop(f"local-hub did not start: {(folder / 'local-hub.log').read_text()[-1500:]}")
        first = json.loads(line)
        self.endpoint, self.token, self.user, self.bucket = (first[name] for name in ("endpoint", "token", "user", "demoBucket"))

    def api(self, path, **headers):
        request = urllib.request.Request(self.endpoint + path, headers={"Authorization": f"Bearer {self.token}", **headers})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def sha256(self, path):
        """The digest of a file's bytes as the Hub hands them out: resolve tells where they are, storage gives them."""
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *arguments):
                return None
        url = f"{self.endpoint}/buckets/{self.bucket}/resolve/{urllib.parse.quote(path, safe='')}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        try:
            answer = urllib.request.build_opener(Stay).open(request, timeout=60)
        except urllib.error.HTTPError as redirect:
            if redirect.code not in (301, 302, 307, 308):
                raise
            answer = urllib.request.urlopen(redirect.headers["Location"], timeout=120)    # without the token
        return hashlib.sha256(answer.read()).hexdigest()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def demo(stay):
    ctl = program("bucketbarctl")
    with contextlib.ExitStack() as ends:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bucketbar-demo.")).resolve()
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        say("A Hub of its own is starting on this machine, and fills a bucket (200 MB) …")
        hub = LocalHub(folder)
        ends.callback(hub.end)
        # A home of the demo's own: `unmount` finds the server there and ends it, and nothing stays in the person's.
        home = folder / "home"
        env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token, "NO_COLOR": "1", "HOME": str(home),
               "XDG_STATE_HOME": str(home / "state")}
        mount = folder / "bucket"
        mount.mkdir()
        home.mkdir()
        say(f"It answers at {hub.endpoint}; the bucket is {hub.bucket}.")

        shown([ctl, "mount", hub.bucket, mount], env=env)
        ends.callback(unmount_at_end, ctl, mount, env)
        shown(["ls", "-l", mount])

        file = next(p for p in sorted(mount.rglob("*")) if p.is_file() and p.suffix in (".md", ".txt", ".json"))
        name = str(file.relative_to(mount))
        say(f"\n$ head {file}\n" + "\n".join(file.read_text(errors="replace").splitlines()[:5]))
        equal(f"{name}: the bytes in the folder", sha256(file), "the Hub's copy", hub.sha256(name))

        written = mount / "written-in-the-mount.txt"
        written.write_text("These bytes went through the kernel's NFS client, a file on disk, and Xet.\n")
        say(f"\n$ echo … > {written}")
        shown([ctl, "sync", hub.bucket, "--wait", "--timeout", "60"], env=env)
        listed = [e["path"] for e in json.loads(hub.api(f"/api/buckets/{hub.bucket}/tree?recursive=false&limit=1000"))]
        if written.name not in listed:
            stop(f"the Hub does not list {written.name}: {listed}")
        equal(f"{written.name}: the bytes in the folder", sha256(written), "the Hub's copy", hub.sha256(written.name))

        if stay:
            input(f"\nLook around in {mount}. Enter ends the demo: ")
        say("\nWhat happened: a kernel's NFS client mounted the bucket through BucketBar. You saw its files, one was read,\n"
            "one was written and uploaded, and the Hub's own API gave back the same bytes. Now everything is put away.")
        shown([ctl, "unmount", mount], env=env)
    say("\nDone. Nothing is left behind.")


def build_app():
    """The app; its system packages first where Debian is."""
    import importlib.util
    spec = importlib.util.spec_from_file_location("run_groups", REPO / "scripts/run-groups.py")
    groups = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(groups)
    if shutil.which("dpkg-query"):
        try:
            groups.apt_install(groups.debian_lacks(groups.DESKTOP_LIBRARIES))
        except (OSError, subprocess.SubprocessError) as error:
            stop(f"the app needs {' and '.join(groups.DESKTOP_LIBRARIES)} ({error}). Without them: scripts/run --headless")
    for argv in [REPO / "scripts/build-ui"], ["cargo", "build", "--release", "--locked", *groups.WINDOW]:
        if subprocess.run(argv, cwd=REPO).returncode:
            stop("the app could not be built; the lines above say why. Without a window: scripts/run --headless")


def show_app():
    """The app until it is quit. Signing in is one click: this Hub says yes by itself."""
    with contextlib.ExitStack() as ends:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bucketbar-demo.")).resolve()
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        hub = LocalHub(folder, "--consent", "auto")
        ends.callback(hub.end)
        env = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
        env |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf")}
        if platform.system() != "Darwin":    # there the keychain is found by HOME
            env |= {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("STATE", "CONFIG", "CACHE", "DATA")}
        say(f"A Hub of its own answers at {hub.endpoint}; its bucket is {hub.bucket}.\n"
            "The app starts: click “Sign in with your browser”, then the bucket in the menu bar. Quit it there to end the demo.")
        if why := can_mount():
            say(f"NB: {why}: everything but the mount can be tried here.")
        ends.callback(forget_sign_in, hub)
        sys.exit(subprocess.run([program("bucketbar"), "--page", "welcome"], env=env).returncode)


def forget_sign_in(hub):
    """The demo's sign-in goes from the person's keychain, where the app keeps it."""
    service, account = "co.BucketBar.BucketBar", f"user-{hub.user} at {hub.endpoint}"
    argv = ["security", "delete-generic-password", "-s", service, "-a", account] if platform.system() == "Darwin" \
        else ["secret-tool", "clear", "service", service, "username", account]
    if shutil.which(argv[0]):
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)


def unmount_at_end(ctl, mount, env):
    """For a demo that stopped half-way; a no-op after the tidy end."""
    if os.path.ismount(mount):
        subprocess.run([ctl, "unmount", "--force", str(mount)], env=env, timeout=60)


def equal(left, left_digest, right, right_digest):
    if left_digest != right_digest:
        stop(f"{left} ({left_digest}) are not {right} ({right_digest})")
    say(f"→ {left} and {right} are the same (sha256 {left_digest[:16]}…).")


def real(hub, bucket, folder):
    if why := can_mount():
        stop(f"{why}; a real bucket can only be mounted by a kernel with an NFS client.")
    os.environ["HF_ENDPOINT"] = hub
    ctl = program("bucketbarctl")
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    code = subprocess.run([ctl, "mount", bucket, folder], timeout=300).returncode
    if code == 0:
        say(f"What waits to be uploaded: HF_ENDPOINT={hub} {ctl} queue {bucket}")
    sys.exit(code)


def main():
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hub", metavar="URL", help="a real Hub; BUCKET and DIR follow")
    parser.add_argument("--headless", action="store_true", help="without a window, also where there is a screen")
    parser.add_argument("--stay", action="store_true", help="stay mounted until Enter, to look around")
    parser.add_argument("bucket", nargs="?", metavar="BUCKET")
    parser.add_argument("folder", nargs="?", metavar="DIR")
    options = parser.parse_args()
    if bool(options.hub) != bool(options.folder) or bool(options.bucket) != bool(options.folder):
        parser.error("--hub URL, BUCKET and DIR belong together")
    inside = INSIDE in os.environ
    if not inside and "BUCKETBARCTL_BIN" not in os.environ:
        say("Building (the first time takes some minutes) …")
        if subprocess.run([REPO / "scripts/build"]).returncode:
            stop("it could not be built; the lines above say why.")
    if not (options.hub or options.headless or options.stay or inside) and has_screen():
        if "BUCKETBAR_BIN" not in os.environ:
            build_app()
        show_app()
    if options.hub:
        real(options.hub, options.bucket, options.folder)
    elif inside or not (why := can_mount()):
        demo(options.stay)
    else:
        say(f"Here {why}, so the demo runs in a guest kernel that has one (docs/vm.md).")
        argv = [REPO / "scripts/vm", "--mem", "4G", "--timeout", "600", "--", sys.executable, "-B", __file__]
        # The guest's files are this machine's; from a folder of its own nothing it writes is kept.
        with tempfile.TemporaryDirectory() as empty:
            sys.exit(subprocess.run([str(a) for a in argv], cwd=empty, env={**os.environ, INSIDE: "1"}).returncode)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
