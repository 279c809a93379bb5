"""A disk in memory whose power can be cut: a RAM disk below device-mapper's flakey target.

A cut makes the disk drop every write from that moment on without a word; then whoever used it is killed, the file
system is unmounted (what it still had in memory goes nowhere), and the disk is as it was at the moment of the cut.
What a program was told is durable has to be on it then. A real disk may also lose what it had in a volatile cache and
no flush covered; a RAM disk has none, so a missing flush alone is not seen here, a missing fsync is.
"""
import os, pathlib, subprocess, uuid

MEBIBYTE = 2048    # in sectors
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")


def run(*argv):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stderr or done.stdout}"
    return done.stdout


def load_module(name, *arguments):
    """From the modules that scripts/vm unpacked beside this kernel."""
    release = os.uname().release
    for folder in [*pathlib.Path(os.path.expanduser("~/.cache/nfs-vm")).glob("*"), pathlib.Path("/")]:
        if (folder / "lib/modules" / release).is_dir():
            return run("modprobe", "-d", folder, name, *arguments)
    raise AssertionError(f"no modules of {release} were found")


class Disk:
    """One disk with one file system, mounted on a folder of the place."""

    devices = 0

    def __init__(self, place, file_system, mebibytes=400):
        self.place, self.file_system, self.size = place, file_system, mebibytes * MEBIBYTE
        if not pathlib.Path("/dev/ram0").exists():
            load_module("brd", "rd_nr=4", f"rd_size={mebibytes * 1024}")
            load_module("dm-mod")
            load_module("dm-flakey")
            subprocess.run(["modprobe", "--quiet", file_system], capture_output=True)
        self.ram = f"/dev/ram{Disk.devices % 4}"
        self.name = f"disk{Disk.devices}"
        Disk.devices += 1
        self.path = place.folder(self.name)
        run("dmsetup", "create", self.name, "--noudevsync", "--table", self.table("linear"))
        run("dmsetup", "mknodes", self.name)
        self.device = f"/dev/mapper/{self.name}"
        make = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}
        run(*make[file_system], self.device)
        self.mount()
        place.at_end(self.remove)

    def table(self, how):
        """linear: an ordinary disk. dropping: up 0 s, down for ever, where writes get lost and reads go on."""
        if how == "linear":
            return f"0 {self.size} linear {self.ram} 0"
        return f"0 {self.size} flakey {self.ram} 0 0 180 1 drop_writes"

    def switch(self, how):
        """Without flushing anything: what the file system has in memory stays there."""
        run("dmsetup", "suspend", "--noudevsync", "--nolockfs", "--noflush", self.name)
        run("dmsetup", "load", self.name, "--table", self.table(how))
        run("dmsetup", "resume", "--noudevsync", self.name)

    def mount(self):
        run("mount", "-t", self.file_system, self.device, self.path)

    def cut(self):
        """From here on nothing reaches the disk."""
        self.switch("dropping")

    def power_on(self):
        """After everybody who used it is gone: what is on the disk is mounted again."""
        run("umount", self.path)
        self.switch("linear")
        # Read anew: the device's own page cache must not show what never arrived.
        run("blockdev", "--flushbufs", self.device)
        self.mount()

    def remove(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)
        subprocess.run(["dmsetup", "remove", "--noudevsync", "--force", self.name], capture_output=True)


def new_boot(place):
    """To the programs the machine has booted since: no client of before comes back."""
    file = place.dir / f"boot-{uuid.uuid4()}"
    file.write_text(f"{uuid.uuid4()}\n")
    run("mount", "--bind", file, BOOT_ID)
    place.at_end(lambda: subprocess.run(["umount", BOOT_ID], capture_output=True))
