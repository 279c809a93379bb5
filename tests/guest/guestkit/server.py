"""`bucketbarctl serve` and the kernel's mount of it."""
import os, pathlib, re, signal, subprocess, time

from guestkit.place import end_process
from guestkit.programs import first_line, program


class Server:
    """One bucket served from one state directory; may be killed and started again."""

    def __init__(self, place, hub, bucket, *arguments, state="state", token=None):
        self.place, self.hub, self.bucket, self.arguments = place, hub, bucket, arguments
        self.state = place.folder(state)
        self.env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN=token or hub.token)
        self.process = None
        self.start()
        place.at_end(self.end)

    def start(self, seconds=60):
        """Starts it and reads port, export and options; returns the seconds that took."""
        began = time.monotonic()
        self.log = self.place.log("serve")
        argv = [program("bucketbarctl"), "serve", self.bucket, "--state", self.state, *self.arguments]
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=open(self.log, "wb"), env=self.env)
        first = first_line(self.process, seconds, self.log)
        self.port, self.export, self.options = first["port"], first["export"], first["options"]
        return time.monotonic() - began

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds=10):
        """SIGTERM; returns the seconds until it was gone."""
        began = time.monotonic()
        assert end_process(self.process, seconds), f"bucketbarctl serve did not end within {seconds} s of SIGTERM"
        return time.monotonic() - began

    def end(self):
        """The end of a test. One that fails already kills, to keep its own message."""
        if self.place.failing and self.process.poll() is None:
            self.kill()
        elif self.process.poll() is None:
            self.stop()

    def ctl(self, command, *arguments, seconds=60):
        """Another bucketbarctl command about this bucket and state directory."""
        return self.place.run(program("bucketbarctl"), command, self.bucket, "--state", self.state, *arguments,
                              seconds=seconds, env=self.env)

    def sync(self, seconds=90):
        """Everything is on the Hub when this returns."""
        done = self.ctl("sync", "--wait", "--timeout", seconds, seconds=seconds + 30)
        assert done.returncode == 0, f"sync ended with {done.returncode}: {done.stdout}{done.stderr}"

    def said(self):
        """What it wrote on stderr since its last start."""
        return self.log.read_text(errors="replace")


class Mount:
    """A kernel NFS mount of a server, used as a path: mount / 'folder/file'."""

    def __init__(self, server, name="mnt", more=""):
        self.server, self.path, self.more = server, server.place.folder(name), more
        self.attach()
        server.place.at_end(self.detach)

    def __truediv__(self, name):
        return self.path / name

    def attach(self):
        options = self.server.options if isinstance(self.server.options, str) else ",".join(self.server.options)
        if f"port={self.server.port}" not in options:
            options = f"vers=3,tcp,nolock,port={self.server.port},mountport={self.server.port},{options}"
        source = f"127.0.0.1:{self.server.export}"
        done = self.server.place.run("mount", "-t", "nfs", "-o", options.strip(",") + self.more, source, self.path, seconds=40)
        assert done.returncode == 0, f"mount {source} with {options}: {done.stderr}"

    def detach(self):
        """Unmounts, by force when something holds it."""
        if not os.path.ismount(self.path):
            return
        gone = self.server.place.run("umount", self.path, seconds=60)
        if gone.returncode:
            self.server.place.run("umount", "-f", "-l", self.path, seconds=60)
            assert self.server.place.failing, f"umount said: {gone.stderr}"

    def again(self):
        """Unmounts and mounts again: nothing is left in the kernel's caches."""
        self.detach()
        self.attach()

    def names(self, folder=""):
        """What is in a folder, sorted, without the server's own mark against Spotlight."""
        return sorted(name for name in os.listdir(self.path / folder) if name != ".metadata_never_index")

    def errors(self):
        """NFS procedures that were answered with an error on this mount: {procedure: count}. A STALE reply to READ,
        WRITE, COMMIT, GETATTR, … is counted here by the kernel. Left out are LOOKUP and ACCESS (a missing name is an
        answer), and a READ or listing that was put off with JUKEBOX while the Hub was slow: the kernel asks again."""
        text = pathlib.Path("/proc/self/mountstats").read_text()
        own = re.search(rf"^device \S+ mounted on {re.escape(str(self.path))} with.*?(?=^device |\Z)", text, re.M | re.S)
        assert own, f"{self.path} is not in /proc/self/mountstats"
        counts = re.findall(r"^\s+([A-Z]+): ((?:\d+ ){7,}\d+)\s*$", own[0], re.M)
        assert counts, "no per-procedure counts in mountstats"
        # Ninth column: calls that ended with an error.
        found = {name: int(numbers.split()[8]) for name, numbers in counts}
        put_off = int(re.search(r"^\s+events:\s+([\d ]+)$", own[0], re.M)[1].split()[24])    # NFSIOS_DELAY
        for name in ("READ", "READDIR", "READDIRPLUS"):
            of_these = min(put_off, found.get(name, 0))
            found[name] = found.get(name, 0) - of_these
            put_off -= of_these
        return {name: n for name, n in found.items() if n and name not in ("LOOKUP", "ACCESS")}


def drop_caches():
    """The kernel forgets clean pages, so that the next read is a READ."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
