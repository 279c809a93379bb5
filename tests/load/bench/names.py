"""Parts about many files: small ones made, listings, mounts of large buckets."""
import os, statistics

from context import MB

middle = statistics.median


def small(bench):
    """Small files made (CREATE, WRITE, COMMIT), read and removed; and brought to the Hub."""
    count, sent = (200, 200) if bench.smoke else (5000, 2000)
    ours, theirs = {}, {}
    bench.line()
    jobs = {"create": ["create", "small", "--count", count, "--size", 4096], "read": ["fetch", "small", "--count", count],
            "delete": ["remove", "small", "--count", count]}
    for number in bench.repeats():
        with bench.ours(bench.hub.bucket(), uploads=False) as served:
            for who, seen in ((served, ours), (bench.other, theirs)):
                for job, arguments in jobs.items() if who else ():
                    seen.setdefault(job, []).append(bench.measured(who, *arguments))
        with bench.ours(bench.hub.bucket(), uploads=False) as served:
            more = ["create", "sent", "--count", sent, "--size", 4096, "--seed", 40 + number]
            ours.setdefault("sent", []).append(bench.measured(served, *more, then=served.synced))
    for job in jobs:
        bench.row("small", f"{job} {count} files of 4 KiB", "files/s", [one.each for one in ours[job]],
                  {"nfs-ganesha": [one.each for one in theirs.get(job, [])]}, target=("nfs-ganesha", ">=", 1) if job == "create" else None,
                  calls=round(middle(one.calls for one in ours[job])))
    whole = [one.figures["seconds"] + one.figures["then"] for one in ours["sent"]]
    bench.row("small", f"{sent} files of 4 KiB until on the Hub", "s", whole, target=("", "<=", 3), peak_mib=round(max(o.peak_mib for o in ours["sent"])))
    calls = [one.calls for one in ours["sent"]]
    bench.row("small", f"{sent} files of 4 KiB until on the Hub, calls", "calls", calls, target=("", "<=", 100))
    bench.must(middle(calls) <= 100, f"{sent} small files took {middle(calls)} calls: {ours['sent'][0].routes}")


def walks(bench):
    """`find`: every name with its attributes."""
    for count, per_folder in [(2000, 100)] if bench.smoke else [(20_000, 200), (100_000, 1000)]:
        bench.hub.line(0, 0)
        bucket = bench.hub.bucket()
        bench.hub.names(bucket, count, per_folder)
        bench.line()
        if bench.other:
            local_names(bench.other.folder / f"walk{count}", count, per_folder)
        cold, warm, theirs = [], [], []
        for _ in bench.repeats():
            with bench.ours(bucket) as served:
                cold.append(bench.measured(served, "list", "names"))
                served.load("list", "names")
                warm.append(bench.measured(served, "list", "names"))
            if bench.other:
                bench.other.load("list", f"walk{count}/names")
                theirs.append(bench.measured(bench.other, "list", f"walk{count}/names"))
        if any(one.figures["operations"] < count for one in cold + warm):
            raise bench_failed(f"a walk saw {cold[0].figures['operations']} of {count} names")
        calls = [one.calls for one in cold]
        bench.row("walks", f"{count} names, cold", "s", [one.figures["seconds"] for one in cold], target=("", "<=", 1.5) if count == 20_000 else None,
                  peak_mib=round(max(one.peak_mib for one in cold)), calls=round(middle(calls)))
        bench.row("walks", f"{count} names, cold, calls", "calls", calls, target=("", "<=", 25) if count <= 20_000 else None)
        bench.must(middle(calls) <= 25 * max(1, count / 20_000), f"a walk of {count} names took {middle(calls)} calls: {cold[0].routes}")
        row = bench.row("walks", f"{count} names, warm", "names/s", [one.each for one in warm], {"nfs-ganesha": [one.each for one in theirs]},
                        target=("nfs-ganesha", ">=", 0.8) if count >= 100_000 else None, calls=round(middle(one.calls for one in warm)))
        bench.must(row.calls == 0, f"a warm walk made {row.calls} calls")


def local_names(folder, count, per_folder):
    """The same names for who serves a disk."""
    if folder.exists():
        return
    for n in range(count):
        where = folder / "names" / f"{n // per_folder:06}"
        if n % per_folder == 0:
            where.mkdir(parents=True)
        os.mknod(where / f"{n:06}.bin")


def mounts(bench):
    """How soon a bucket answers, and what memory a full walk leaves, by its size."""
    sizes = [1000] if bench.smoke else [1000, 100_000, 1_000_000] if bench.options.large else [1000, 100_000]
    for count in sizes:
        bench.hub.line(0, 0)
        bucket = bench.hub.bucket()
        bench.hub.names(bucket, count, 1000)
        bench.line()
        ready, walked, seconds = [], [], []
        for _ in bench.repeats() if count < 1_000_000 else range(1):
            with bench.ours(bucket) as served:
                ready.append(served.started_in)
                served.process.forget_peak()
                seconds.append(served.load("list", "names")["seconds"])
                walked.append(served.process.peak_mib())
        bench.row("mounts", f"mount of {count} files", "s", ready, target=("", "<=", 0.5))
        bench.row("mounts", f"walk of {count} files, cold", "s", seconds)
        bench.row("mounts", f"peak memory of a full walk of {count} files", "MiB", walked, target=("", "<=", 150))


def bench_failed(words):
    from machine import Failed
    return Failed(words)


__all__ = ["small", "walks", "mounts", "MB"]
