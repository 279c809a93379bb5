"""A place for one test: a folder in memory, the processes and mounts in it, and their end."""
import contextlib, os, pathlib, shutil, signal, subprocess

ROOT = pathlib.Path("/run/guest-tests")    # a tmpfs in the guest
KEEP = os.environ.get("GUEST_LOGS")        # a folder of the host's, for the logs of failed tests


class Place:
    """Used as a context: at its end mounts are taken away, then processes ended, last made first."""

    def __init__(self, name):
        self.name, self.dir = name, ROOT / name
        self.dir.mkdir(parents=True)
        self.home = self.folder("home")
        self.failing = False
        self.ends = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.ends.close()
        finally:
            for pid in self.strays():
                os.kill(pid, signal.SIGKILL)
            self.check_logs()

    def strays(self, word=""):
        """Processes of this place (they have its home), detached ones too, whose command line holds `word`."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"HOME={self.home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    if word.encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def folder(self, name):
        path = self.dir / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def at_end(self, function, *arguments):
        self.ends.callback(function, *arguments)

    def environment(self, **more):
        """What every process of the product and of the official client gets: nothing of the host's Hub, a home of
        its own. A value of None takes the variable away."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "XDG_", "BUCKETBAR"))}
        kept.update(HOME=str(self.home), HF_HOME=str(self.home / "hf"), HF_HUB_DISABLE_TELEMETRY="1",
                    HF_HUB_DISABLE_UPDATE_CHECK="1", HF_HUB_DISABLE_PROGRESS_BARS="1", NO_COLOR="1",
                    RUST_BACKTRACE="1", LC_ALL="C.UTF-8")
        kept.update({k: str(v) for k, v in more.items() if v is not None})
        return kept

    def run(self, *argv, seconds=60, env=None, **options):
        """Runs a command to its end and returns it with .returncode, .stdout and .stderr (text)."""
        return subprocess.run([str(a) for a in argv], env=env or self.environment(), stdin=subprocess.DEVNULL,
                              text=True, capture_output=True, timeout=seconds, **options)

    def log(self, name):
        """A new file for a process to write to; its end is shown when the test fails."""
        number = 1
        while (path := self.dir / f"{name}-{number}.log").exists():
            number += 1
        return path

    def check_logs(self):
        """No process may have panicked, whatever the test looked at."""
        for log in self.dir.glob("*.log"):
            assert "panicked at" not in log.read_text(errors="replace"), f"a panic is in {log.name}"

    def keep_logs(self):
        if KEEP:
            target = pathlib.Path(KEEP, self.name)
            target.mkdir(parents=True, exist_ok=True)
            for log in self.dir.glob("*.log"):
                shutil.copy(log, target)

    def remove(self):
        # A mount that would not go away must not be walked into.
        mounted = [line.split()[1] for line in open("/proc/mounts") if line.split()[1].startswith(str(self.dir) + "/")]
        for point in reversed(mounted):
            subprocess.run(["umount", "-f", "-l", point], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def end_process(process, seconds=10, hard=True):
    """SIGTERM, then after `seconds` SIGKILL; returns whether it ended by itself."""
    if process.poll() is not None:
        return True
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        if hard:
            process.kill()
            process.wait(10)
        return False
