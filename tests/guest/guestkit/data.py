"""Test data and its comparison."""
import hashlib, random, time


def noise(size, seed=1):
    """Bytes that neither compress nor deduplicate, the same for the same seed."""
    dice, piece = random.Random(seed), 64 << 20    # randbytes takes no more than 256 MiB at once
    return b"".join(dice.randbytes(min(piece, size - start)) for start in range(0, size, piece))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def digest(content):
    return hashlib.sha256(content).hexdigest()


def eventually(what, condition, seconds=60, every=0.25):
    """Waits until condition() is true and returns its value; fails with `what` and the last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s (last: {value!r})"
        time.sleep(every)


def same(what, left, right):
    """Two digests, lists or dicts that must be equal; says how they differ."""
    if left == right:
        return
    if isinstance(left, dict) and isinstance(right, dict):
        differing = {k: (left.get(k), right.get(k)) for k in left.keys() | right.keys() if left.get(k) != right.get(k)}
        raise AssertionError(f"{what}: {dict(list(differing.items())[:8])}")
    raise AssertionError(f"{what}: {left!r} is not {right!r}")
