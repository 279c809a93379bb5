"""Where the programs under test are (the same search as tests/testkit/src/binaries.rs)."""
import json, os, pathlib, queue, subprocess, threading

REPO = pathlib.Path(__file__).resolve().parents[3]


def program(name):
    """The built program: NAME_BIN, $CARGO_TARGET_DIR/release, target/release of the repo."""
    variable = name.upper().replace("-", "_") + "_BIN"
    places = [os.environ.get(variable), pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"), "release", name),
              REPO / "target/release" / name]
    for path in filter(None, places):
        if os.access(path, os.X_OK):
            return str(path)
    raise SystemExit(f"{name} is not built: run `cargo build --release -p {name}` or set {variable}; "
                     f"looked at {', '.join(str(p) for p in places if p)}")


def first_line(process, seconds, log):
    """The JSON object that a program prints first on stdout; the rest of stdout is read and dropped."""
    lines = queue.Queue()

    def read():
        lines.put(process.stdout.readline())
        while process.stdout.read(1 << 16):
            pass
    threading.Thread(target=read, daemon=True).start()
    try:
        line = lines.get(timeout=seconds)
    except queue.Empty:
        raise AssertionError(f"no first line within {seconds} s from {process.args}") from None
    if not line:
        said = log.read_text(errors="replace")[-2000:]
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            code = None
        raise AssertionError(f"{process.args} ended with {code} before its first line: {said}")
    try:
        return json.loads(line)
    except ValueError:
        raise AssertionError(f"the first line of {process.args} is not JSON: {line!r}") from None
