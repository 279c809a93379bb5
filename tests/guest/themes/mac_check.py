"""scripts/mac-check on this kernel: the script that a person with a Mac runs, less what only macOS has."""
import pathlib

from guestkit.data import same
from guestkit.programs import REPO, program
from guestkit.runner import test


@test("scripts/mac-check finds nothing wrong here, and its report says what it skipped", 400)
def whole(place):
    binaries = {f"{name.upper().replace('-', '_')}_BIN": program(name) for name in ("local-hub", "bucketbarctl")}
    report = place.dir / "mac-check.md"
    env = place.environment(TMPDIR=place.folder("tmp"), CARGO_TARGET_DIR="/nowhere", **binaries)
    done = place.run(REPO / "scripts/mac-check", "--report", report, seconds=380, env=env)
    print("\n".join("      " + line for line in done.stdout.splitlines()), flush=True)
    same("exit code", (done.returncode, done.stderr), (0, ""))
    text = report.read_text()
    assert text.count("| ok |") >= 12 and text.count("| skipped |") == 2 and "FAILED" not in text, text
    assert not list(pathlib.Path(place.dir, "tmp").iterdir()), "it left something behind"
