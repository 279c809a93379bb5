"""Parts about large files: the field's own tables, reads, writes, edits."""
import statistics, time

from context import MB

middle = statistics.median


def costs(seen, size):
    """What a row says beside its figure, of repeats of one job that moves `size` bytes."""
    return {"calls": round(middle(one.calls for one in seen)), "fetched": round(middle(one.down / size for one in seen), 3),
            "cpu_per_gb": round(middle(one.cpu for one in seen) / size * 1e9, 2), "peak_mib": round(max(one.peak_mib for one in seen))}


def field(bench):
    """The field's first table, row by row: one file, a cold server for each read, then written and written again."""
    for size in [20 * MB] if bench.smoke else [50 * MB, 200 * MB, 500 * MB]:
        bench.line()
        table(bench, f"{size // MB} MB", size)


def table(bench, name, size):
    bucket, remote, local = bench.on_the_hub(size, seed=size // MB)
    bench.line()
    part, offset, other = f"field, {name}", min(25 * MB, size // 2), bench.other
    ours, theirs, hf, peers = {}, {}, {"down": [], "up": []}, {}
    if other:
        (other.folder / remote).write_bytes(local.read_bytes())

    def note(where, job, seen):
        where.setdefault(job, []).append(seen)

    def reads(served, where, cold):
        note(where, "sequential read", bench.measured(served, "read", remote, depth=16))
        note(where, "re-read", bench.measured(served, "read", remote, depth=16))
        for job, arguments in (("range read (1 MB at 25 MB)", ["read", remote, "--offset", offset, "--length", MB]),
                               ("random reads (100 x 4 KB)", ["random", remote, "--count", 100])):
            with cold() as fresh:
                note(where, job, bench.measured(fresh, *arguments, depth=1))

    def writes(served, where, number):
        job = ["write", f"new-{number}", "--size", size, "--seed", 1000 + size // MB + number]
        note(where, "sequential write", bench.measured(served, *job))
        note(where, "dedup write", bench.measured(served, "write", f"same-{number}", *job[2:]))

    for number in bench.repeats():
        with bench.ours(bucket) as served:
            reads(served, ours, lambda: bench.ours(bucket))
        into = bench.hub.bucket()
        with bench.ours(into, uploads=False) as served:
            for kind, path in (("", f"new-{number}"), ("dedup ", f"same-{number}")):
                seen = bench.measured(served, "write", path, "--size", size, "--seed", 1000 + size // MB + number, then=served.synced)
                note(ours, f"{kind or 'sequential '}write", seen)
        hf["down"].append(bench.official("download", bucket, remote, bench.home / "got"))
        fresh = bench.file(size, seed=5000 + size // MB + number)
        hf["up"].append(bench.official("upload", bench.hub.bucket(), "up", fresh))
        fresh.unlink()
        if other:
            import contextlib
            reads(other, theirs, lambda: contextlib.nullcontext(other))
            writes(other, theirs, number)
        with bench.peers(bucket) as servers:
            for served in servers:
                reads(served, peers.setdefault(served.name, {}), lambda served=served: contextlib.nullcontext(served))

    def by_rate(job):
        others = {"nfs-ganesha": [one.rate for one in theirs.get(job, [])]}
        return others | {who: [one.rate for one in seen[job]] for who, seen in peers.items() if job in seen}

    def rate_row(job, target=None, **also):
        seen = ours[job]
        return bench.row(part, job, "MB/s", [one.rate for one in seen], by_rate(job) | also, target=target, **costs(seen, seen[0].figures["bytes"]))

    download = [size / one["seconds"] / MB for one in hf["down"]]
    cold = rate_row("sequential read", ("hf", ">=", 0.9), hf=download)
    bench.row(part, "sequential read, bytes fetched", "x file", [one.down / size for one in ours["sequential read"]],
              {"hf": [one["down"] / size for one in hf["down"]]}, target=("", "<=", 1.05))
    bench.row(part, "sequential read, calls", "calls", [one.calls for one in ours["sequential read"]], {"hf": [one["calls"] for one in hf["down"]]},
              target=("hf", "<=", 2))
    bench.must(cold.fetched <= 1.05, f"{name}: a cold sequential read fetched {cold.fetched} x the file")
    again = rate_row("re-read", ("nfs-ganesha", ">=", 0.9))
    bench.must(again.calls == 0, f"{name}: a warm read made {again.calls} calls to the Hub")
    rate_row("range read (1 MB at 25 MB)")
    bench.row(part, "random reads (100 x 4 KB), p50", "ms", [one.figures["p50_ms"] for one in ours["random reads (100 x 4 KB)"]],
              {"nfs-ganesha": [one.figures["p50_ms"] for one in theirs.get("random reads (100 x 4 KB)", [])]},
              **costs(ours["random reads (100 x 4 KB)"], 409_600))
    upload = [one["seconds"] for one in hf["up"]]
    for kind, job in (("", "sequential write"), ("dedup ", "dedup write")):
        rate_row(job, ("nfs-ganesha", ">=", 0.9))
        seen = ours[job]
        close = [one.figures["then"] for one in seen]
        whole = [one.figures["seconds"] + one.figures["then"] for one in seen]
        up = round(middle(one.up for one in seen) / size, 3)
        bench.row(part, f"{kind}close latency (until the Hub has it)", "s", close)
        bench.row(part, f"{kind}write, end to end", "s", whole, {"hf": upload} if not kind else {}, target=("hf", "<=", 1.15) if not kind else None,
                  calls=round(middle(one.calls for one in seen)), fetched=up)
    sent = middle(one.up for one in ours["dedup write"])
    bench.must(sent <= 0.05 * size, f"{name}: content that the Hub had was sent again ({sent:.0f} bytes)")


def fio(bench):
    """The field's fio rows: files of 100 MB, and of 10 MB, through a cold server."""
    size = 10 * MB if bench.smoke else 100 * MB
    bucket, big, local = bench.on_the_hub(size, seed=77)
    small = [bench.on_the_hub(size // 10, seed=80 + n, bucket=bucket) for n in range(5)]
    if bench.other:
        for path, content in [(big, local), *((name, where) for _, name, where in small)]:
            (bench.other.folder / path).write_bytes(content.read_bytes())
    names = [name for _, name, _ in small]
    jobs = {"seq-read-100M": (["read", big], 16), "seq-reread-100M": (["read", big], 16), "seq-read-5x10M": (["readers", *names], 4),
            "rand-read-10x1M": (["random", big, "--count", 10, "--block", MB // 1, "--seed", 3], 1),
            "rand-read-4k-100M": (["random", big, "--count", 100 if bench.smoke else 1000, "--seed", 4], 1)}
    ours, theirs = {}, {}
    bench.line()
    for _ in bench.repeats():
        with bench.ours(bucket) as served:
            for job in ("seq-read-100M", "seq-reread-100M", "seq-read-5x10M"):
                ours.setdefault(job, []).append(bench.measured(served, *jobs[job][0], depth=jobs[job][1]))
        for job in ("rand-read-10x1M", "rand-read-4k-100M"):
            with bench.ours(bucket) as served:
                ours.setdefault(job, []).append(bench.measured(served, *jobs[job][0], depth=1))
        for job, (arguments, depth) in jobs.items() if bench.other else ():
            theirs.setdefault(job, []).append(bench.measured(bench.other, *arguments, depth=depth))
    for job, seen in ours.items():
        row = bench.row("fio", job, "MB/s", [one.rate for one in seen], {"nfs-ganesha": [one.rate for one in theirs.get(job, [])]},
                        **costs(seen, seen[0].figures["bytes"]))
        if job == "seq-reread-100M":
            bench.must(row.calls == 0, f"fio: a warm read made {row.calls} calls")


def reads(bench):
    """Cold and warm sequential reads, alone in flight and sixteen at once, at no latency and at the chosen one, beside the official client."""
    for size in [20 * MB] if bench.smoke else [50 * MB, 500 * MB, 2000 * MB][: 3 if bench.options.large else 2]:
        bucket, remote, local = bench.on_the_hub(size, seed=1 + size // MB)
        if bench.other:
            (bench.other.folder / remote).write_bytes(local.read_bytes())
        for latency in dict.fromkeys([0, bench.options.latency]):
            bench.line(latency)
            seen, warm, theirs, hf = {1: [], 16: []}, {1: [], 16: []}, {1: [], 16: []}, []
            for _ in bench.repeats():
                for depth in seen:
                    with bench.ours(bucket) as served:
                        seen[depth].append(bench.measured(served, "read", remote, depth=depth))
                        served.load("read", remote, depth=depth)
                        warm[depth].append(bench.measured(served, "read", remote, depth=depth))
                    if bench.other:
                        theirs[depth].append(bench.measured(bench.other, "read", remote, depth=depth))
                hf.append(bench.official("download", bucket, remote, bench.home / "got"))
            for depth in seen:
                name = f"{size // MB} MB, depth {depth}, {latency} ms"
                row = bench.row("reads", f"cold sequential, {name}", "MB/s", [one.rate for one in seen[depth]],
                                {"hf": [size / one["seconds"] / MB for one in hf]}, target=("hf", ">=", 0.9), **costs(seen[depth], size))
                bench.must(row.fetched <= 1.05, f"{name}: {row.fetched} x the file was fetched")
                bench.must(row.calls <= 2 * middle(one["calls"] for one in hf) + 4, f"{name}: {row.calls} calls")
                row = bench.row("reads", f"warm sequential, {name}", "MB/s", [one.rate for one in warm[depth]],
                                {"nfs-ganesha": [one.rate for one in theirs[depth]]}, target=("nfs-ganesha", ">=", 0.9), **costs(warm[depth], size))
                bench.must(row.calls == 0, f"{name}: a warm read made {row.calls} calls to the Hub")


def randoms(bench):
    """Random reads of 4 KiB and 1 MiB, cold and warm, one and sixteen in flight."""
    size = 30 * MB if bench.smoke else 500 * MB
    bucket, remote, local = bench.on_the_hub(size, seed=9)
    if bench.other:
        (bench.other.folder / remote).write_bytes(local.read_bytes())
    bench.line()
    cold, warm, theirs = {}, {}, {}
    cold_count = 20 if bench.smoke else 100
    blocks = {"4 KiB": (4096, 2000), "1 MiB": (1 << 20, 200)}
    for number in bench.repeats():
        for name, (block, count) in blocks.items():
            for depth in (1, 16):
                key = (name, depth)
                with bench.ours(bucket) as served:
                    if name == "4 KiB" and depth == 1:
                        first = bench.measured(served, "random", remote, "--count", 1, "--seed", 99, depth=1)
                        cold.setdefault("first touch", []).append(first)
                        served.load("random", remote, "--count", 3, "--seed", 98, depth=1)
                    cold.setdefault(key, []).append(bench.measured(served, "random", remote, "--count", cold_count * (1 if depth == 1 else 4), "--block", block,
                                                                   "--seed", number, depth=depth))
                    served.load("read", remote)
                    served.load("read", remote)
                    warm.setdefault(key, []).append(bench.measured(served, "random", remote, "--count", count, "--block", block, "--seed", 50 + number,
                                                                   depth=depth))
                if bench.other:
                    theirs.setdefault(key, []).append(bench.measured(bench.other, "random", remote, "--count", count, "--block", block, "--seed",
                                                                     50 + number, depth=depth))
    trip = {"one round trip": [bench.options.latency]} if bench.options.latency else {}
    bench.row("random", "first touch of a file, 4 KiB", "ms", [one.figures["p50_ms"] for one in cold["first touch"]], trip,
              target=("one round trip", "<=", 2.3), calls=cold["first touch"][0].calls)
    for name, depth in ((name, depth) for name in blocks for depth in (1, 16)):
        seen, key = cold[name, depth], f"{name}, depth {depth}"
        bench.row("random", f"cold {key}, p50", "ms", [one.figures["p50_ms"] for one in seen], trip if depth == 1 and name == "4 KiB" else {},
                  target=("one round trip", "<=", 1.3) if depth == 1 and name == "4 KiB" else None, **costs(seen, seen[0].figures["bytes"]))
        bench.row("random", f"cold {key}", "reads/s", [one.each for one in seen],
                  {"depth 1": [one.each for one in cold[name, 1]]} if depth == 16 else {},
                  target=("depth 1", ">=", 10) if key == "4 KiB, depth 16" else None)
        row = bench.row("random", f"warm {key}, p50", "ms", [one.figures["p50_ms"] for one in warm[name, depth]],
                        {"nfs-ganesha": [one.figures["p50_ms"] for one in theirs.get((name, depth), [])]},
                        target=("nfs-ganesha", "<=", 1.2) if name == "4 KiB" else None, **costs(warm[name, depth], warm[name, depth][0].figures["bytes"]))
        bench.must(row.calls == 0, f"warm random reads of {name} made {row.calls} calls")
        bench.row("random", f"warm {key}, p99", "ms", [one.figures["p99_ms"] for one in warm[name, depth]],
                  {"nfs-ganesha": [one.figures["p99_ms"] for one in theirs.get((name, depth), [])]})


def writes(bench):
    """A file written and committed, and brought to the Hub; beside the official client's upload of as much."""
    for size in [120 * MB] if bench.smoke else [500 * MB]:
        ours, theirs, hf = [], [], []
        bench.line()
        for number in bench.repeats():
            seed = 300 + number + size // MB
            with bench.ours(bench.hub.bucket(), uploads=False) as served:
                ours.append(bench.measured(served, "write", "new", "--size", size, "--seed", seed, then=served.synced))
            if bench.other:
                theirs.append(bench.measured(bench.other, "write", f"written-{number}", "--size", size, "--seed", seed))
                (bench.other.folder / f"written-{number}").unlink()
            local = bench.file(size, seed=700 + number)
            hf.append(bench.official("upload", bench.hub.bucket(), "up", local))
            local.unlink()
        bench.row("writes", f"sequential write and COMMIT, {size // MB} MB", "MB/s", [one.rate for one in ours],
                  {"nfs-ganesha": [one.rate for one in theirs]}, target=("nfs-ganesha", ">=", 0.9), **costs(ours, size))
        bench.row("writes", f"sync --wait, {size // MB} MB", "s", [one.figures["then"] for one in ours], {"hf": [one["seconds"] for one in hf]},
                  target=("hf", "<=", 1.15), calls=ours[0].calls)
        row = bench.row("writes", f"peak memory, {size // MB} MB written and sent", "MiB", [one.peak_mib for one in ours],
                        {"hf": [one["peak_mib"] for one in hf]}, target=("", "<=", 200))
        bench.must(row.ours <= 200, f"{size // MB} MB written and sent took {row.ours:.0f} MiB of memory")


def edits(bench):
    """1 MiB written into a large file that was never downloaded."""
    size = 30 * MB if bench.smoke else (2000 * MB if bench.options.large else 500 * MB)
    answered, sent = [], []
    for number in bench.repeats():
        bucket, remote, _ = bench.on_the_hub(size, seed=11)
        bench.line()
        with bench.ours(bucket, uploads=False) as served:
            seen = bench.measured(served, "edit", remote, "--offset", size // 2 // 4096 * 4096, "--seed", 60 + number, then=served.synced)
            answered.append(seen)
    name = f"1 MiB into {size // MB} MB never downloaded"
    bench.row("edits", f"WRITE of {name}", "ms", [one.figures["p50_ms"] for one in answered], target=("", "<=", 10))
    bench.row("edits", f"until the Hub has it, {name}", "s", [one.figures["then"] for one in answered], calls=answered[0].calls)
    down, up = middle(one.down for one in answered), middle(one.up for one in answered)
    bench.row("edits", f"fetched for it, {name}", "MB", [one.down / MB for one in answered])
    bench.row("edits", f"sent for it, {name}", "MB", [one.up / MB for one in answered])
    bench.must(up <= 4 * MB and down <= max(70 * MB, 1.1 * size if bench.smoke else 0), f"an edit of 1 MiB fetched {down:.0f} and sent {up:.0f} bytes")


def beside(bench):
    """What happens beside a bulk transfer: GETATTR on the same connection, and eight readers at once."""
    size = 30 * MB if bench.smoke else 200 * MB
    bucket, remote, local = bench.on_the_hub(size, seed=21)
    others = [bench.on_the_hub(size // 4, seed=30 + n, bucket=bucket) for n in range(8)]
    count = 200 if bench.smoke else 1000
    bench.line()
    ours, theirs = {"read": [], "write": [], "readers": []}, {"read": [], "write": [], "readers": []}
    names = [name for _, name, _ in others]
    if bench.other:
        for name, where in [(remote, local), *((name, where) for _, name, where in others)]:
            (bench.other.folder / name).write_bytes(where.read_bytes())
    for _ in bench.repeats():
        with bench.ours(bucket, uploads=False) as served:
            ours["readers"].append(bench.measured(served, "readers", *names, depth=4))
            served.load("read", remote)
            for who, seen in ((served, ours), (bench.other, theirs)):
                if who:
                    seen["read"].append(bench.measured(who, "mixed", remote, "--count", count))
                    seen["write"].append(bench.measured(who, "mixed", remote, "--count", count, "--write", 5))
        if bench.other:
            theirs["readers"].append(bench.measured(bench.other, "readers", *names, depth=4))
    for kind in ("read", "write"):
        for figure in ("p50_ms", "p99_ms"):
            bench.row("beside", f"GETATTR {figure[:3]} while a bulk {kind} runs", "ms", [one.figures[figure] for one in ours[kind]],
                      {"nfs-ganesha": [one.figures[figure] for one in theirs[kind]]},
                      target=("nfs-ganesha", "<=", 2) if (kind, figure) == ("read", "p99_ms") else None)
        bench.row("beside", f"bulk {kind} meanwhile", "MB/s", [one.rate for one in ours[kind]], {"nfs-ganesha": [one.rate for one in theirs[kind]]})
    bench.row("beside", "8 cold readers", "MB/s", [one.rate for one in ours["readers"]], {"nfs-ganesha (its disk)": [one.rate for one in theirs["readers"]]},
              **costs(ours["readers"], sum(where.stat().st_size for _, _, where in others)))


def idle(bench):
    """A served bucket that nobody uses."""
    seconds = 3 if bench.smoke else 20
    bench.line()
    with bench.ours(bench.hub.bucket()) as served:
        served.load("getattr", "", "--count", 1)
        time.sleep(1)
        bench.hub.counts_anew()
        before = served.process.cpu()
        time.sleep(seconds)
        used, calls = served.process.cpu() - before, bench.hub.counts()["calls"]
    bench.row("idle", f"processor time in {seconds} s", "ms", [used * 1000], calls=calls)
    bench.must(calls == 0, f"an idle bucket made {calls} calls to the Hub")
