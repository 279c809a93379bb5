"""One run: its servers, its clock, its rows."""
import contextlib, dataclasses, pathlib, random, shutil, statistics, tempfile

import machine
from machine import Failed, Hub, Ours, say

MB = 1_000_000


@dataclasses.dataclass
class Row:
    """One line of the report. `ours` and `others` are medians in `unit`; a target is (who, "<=" or ">=", factor), who "" for a figure."""
    part: str
    job: str
    unit: str
    ours: float
    others: dict
    target: tuple = None
    calls: int = None
    fetched: float = None       # bytes the Hub sent, as a multiple of what was read
    cpu_per_gb: float = None
    peak_mib: float = None
    spread: float = None        # largest of the repeats by the smallest: how noisy it was

    def measured(self):
        """What the target is about: a ratio to somebody, or the figure itself; `None` where there is nobody to compare with."""
        who = self.target[0] if self.target else None
        if who == "":
            return self.ours
        return self.ours / self.others[who] if self.others.get(who) else None

    def reached(self):
        value = self.measured() if self.target else None
        if value is None:
            return None
        return value <= self.target[2] if self.target[1] == "<=" else value >= self.target[2]


@dataclasses.dataclass
class Seen:
    """One measured job."""
    figures: dict
    calls: int = 0
    down: int = 0
    up: int = 0
    cpu: float = 0
    peak_mib: float = 0
    routes: dict = None

    @property
    def rate(self):
        return self.figures["bytes"] / self.figures["seconds"] / MB

    @property
    def each(self):
        return self.figures["operations"] / self.figures["seconds"]


class Bench:
    def __init__(self, options):
        self.options, self.rows, self.broken, self.notes = options, [], [], []
        self.smoke = options.smoke
        place = options.place or ("/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="bucketbar-bench-", dir=place))
        self.python = machine.client_python()
        self.hub = Hub(self.home)
        self.other = None
        if not options.no_ganesha:
            self.other = machine.ganesha(self.home, self.home / "export")
        if not self.other:
            self.note("nfs-ganesha is not here: nothing to compare the server with")

    def end(self):
        for served in (self.other, self.hub):
            if served:
                served.stop()
        if self.options.keep:
            say(f"kept: {self.home}")
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    def note(self, words):
        self.notes.append(words)
        say(f"note: {words}")

    def line(self, latency=None):
        """The Hub's line for a part: the chosen latency and bandwidth, or `latency` instead."""
        self.hub.line(self.options.latency if latency is None else latency, self.options.bandwidth)

    def must(self, holds, words):
        """A figure that is the same in every run: a broken one fails the run."""
        if not holds:
            self.broken.append(words)
            say(f"BROKEN: {words}")

    def row(self, part, job, unit, ours, others=None, **more):
        """Adds a row of medians; `ours` and each of `others` are lists of repeats."""
        middle = statistics.median
        others = {who: middle(values) for who, values in (others or {}).items() if values}
        spread = max(ours) / min(ours) if len(ours) > 1 and min(ours) > 0 else None
        row = Row(part, job, unit, middle(ours), others, spread=spread, **more)
        self.rows.append(row)
        against = ", ".join(f"{who} {value:.4g}" for who, value in others.items())
        say(f"  {job}: {row.ours:.4g} {unit}" + (f" ({against})" if against else "") + {True: "", False: " BELOW TARGET", None: ""}[row.reached()])
        return row

    @contextlib.contextmanager
    def ours(self, bucket, **more):
        """A server of ours with nothing cached."""
        served = Ours(self.hub, bucket, self.home, **more)
        try:
            yield served
        finally:
            served.stop()

    @contextlib.contextmanager
    def peers(self, bucket):
        """The servers of --peer, each over `bucket` with nothing cached."""
        servers = []
        try:
            for given in self.options.peer:
                servers.append(machine.peer(given, self.hub, bucket, self.home))
            yield servers
        finally:
            for served in servers:
                served.stop()

    def measured(self, served, job, *arguments, depth=16, then=None):
        """One job on one server with what it cost; `then` is done within the count (until the Hub has it, say)."""
        process = served.process
        process.forget_peak()
        self.hub.counts_anew()
        before = process.cpu()
        figures = served.load(job, *arguments, depth=depth)
        if then:
            figures["then"] = then()
        counts = self.hub.counts()
        return Seen(figures, counts["calls"], counts["down"], counts["up"], process.cpu() - before, process.peak_mib(), counts["routes"])

    def file(self, size, seed):
        """A local file of noise, for the official client."""
        path = self.home / f"noise-{seed}-{size}"
        if not path.exists():
            noise = random.Random(seed)
            with path.open("wb") as file:
                for at in range(0, size, 16 * MB):    # Python makes no more than 256 MiB at once
                    file.write(noise.randbytes(min(16 * MB, size - at)))
        return path

    def on_the_hub(self, size, seed, bucket=None):
        """A bucket with one file `big` of noise, uploaded by the official client on a fast line."""
        bucket = bucket or self.hub.bucket()
        self.hub.line(0, 0)
        local = self.file(size, seed)
        machine.official(self.python, self.hub, "upload", bucket, f"big-{seed}", local)
        return bucket, f"big-{seed}", local

    def repeats(self):
        return range(self.options.repeats)

    def official(self, what, bucket, remote, local):
        self.hub.counts_anew()
        figures = machine.official(self.python, self.hub, what, bucket, remote, local)
        figures.update(self.hub.counts())
        return figures


__all__ = ["Bench", "Failed", "MB", "Row", "Seen"]
