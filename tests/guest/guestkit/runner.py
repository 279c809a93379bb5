"""Runs the tests of one theme inside the guest:  python3 -m guestkit.runner THEME [WORD...]

A test is a function with a sentence for a name; it gets a Place of its own. WORDs pick the tests whose
sentence holds one of them. A test that outlives its seconds ends the whole theme (a thread stuck in the
kernel's NFS client cannot be ended otherwise), with what was going on. Last line: 'N passed, N failed'.
"""
import importlib, os, pathlib, subprocess, sys, threading, time, traceback

from guestkit.place import Place, ROOT

TESTS = []
BITTEN = ROOT / "bitten"    # made when a test outlived its time
# What scripts/vm took: the ptrace kernels and emulation are slow.
PATIENCE = {"uml-old": 3, "uml-oldest": 3, "tcg": 6}.get(os.environ.get("VM_BACKEND"), 1)


def test(sentence, seconds=90):
    """Registers a function of one Place as a test that may take so many seconds."""
    def register(function):
        TESTS.append((sentence, seconds * PATIENCE, function))
        return function
    return register


def say(*words):
    print(*words, flush=True)


def tail(path, lines=60):
    text = path.read_text(errors="replace").splitlines()
    return "\n".join("      | " + line for line in text[-lines:])


def show(place):
    """What the processes of a failed test said; the whole logs go where the host finds them."""
    for log in sorted(place.dir.glob("*.log")):
        if log.stat().st_size:
            say(f"      --- the end of {log.name}")
            say(tail(log))
    place.keep_logs()


class Watchdog:
    """Ends the process when a test takes too long."""

    def __init__(self, place, sentence, seconds, verdict):
        self.timer = threading.Timer(seconds, self.bite, (place, sentence, seconds, verdict))
        self.timer.daemon = True
        self.timer.start()

    @staticmethod
    def bite(place, sentence, seconds, verdict):
        say(f"  FAIL  {sentence}\n      did not end within {seconds:g} s; it was here:")
        frames = traceback.extract_stack(sys._current_frames()[threading.main_thread().ident])
        say("\n".join(f"      {f.filename}:{f.lineno} {f.line}" for f in frames[-6:]))
        say(subprocess.run("ps -eo pid,stat,wchan:30,args | grep -v ' \\[' | tail -n +2; dmesg | tail -15", shell=True,
                           text=True, capture_output=True).stdout)
        show(place)
        verdict["failed"].append(sentence)
        close(verdict)
        BITTEN.touch()
        os._exit(1)

    def end(self):
        self.timer.cancel()


def close(verdict):
    missing = verdict["all"] - verdict["passed"] - len(verdict["failed"])
    if missing:
        say(f"  {missing} more did not run")
    for sentence in verdict["failed"]:
        say(f"  failed: {sentence}")
    say(f"{verdict['passed']} passed, {len(verdict['failed']) + missing} failed")


def run(tests, theme):
    verdict = {"all": len(tests), "passed": 0, "failed": []}
    for number, (sentence, seconds, function) in enumerate(tests, 1):
        place = Place(f"{theme}-{number}")
        dog = Watchdog(place, sentence, seconds, verdict)
        began = time.monotonic()
        try:
            with place:
                try:
                    function(place)
                except BaseException:
                    place.failing = True
                    raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            dog.end()
            say(f"  FAIL  {time.monotonic() - began:6.1f} s  {sentence}")
            text = traceback.format_exc() if not isinstance(error, AssertionError) else trace_of(error)
            say("\n".join("      " + line for line in text.rstrip().splitlines()[-25:]))
            show(place)
            verdict["failed"].append(sentence)
        else:
            dog.end()
            say(f"  ok    {time.monotonic() - began:6.1f} s  {sentence}")
            verdict["passed"] += 1
        place.remove()
    close(verdict)
    return 1 if verdict["failed"] or not tests else 0


def trace_of(error):
    """The line of the test that failed, and the sentence."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/themes/" in f.filename]
    where = f"{pathlib.Path(frames[-1].filename).name}:{frames[-1].lineno}: {frames[-1].line}\n" if frames else ""
    return where + (str(error) or traceback.format_exc())


def watch_over(child):
    """Waits for the tests' process and passes its exit code on. One that outlived its time may be stuck in the kernel
    beyond any signal (sync on a mount whose server does not answer), so it is not waited for longer than a moment."""
    patience = 5
    while patience > 0:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
        if BITTEN.exists():
            patience -= 0.05
    return 1


def main():
    theme, *words = sys.argv[1:]
    ROOT.mkdir(parents=True, exist_ok=True)
    if child := os.fork():
        os._exit(abs(watch_over(child)))
    # The theme imports `test` from this module by its full name, not from __main__.
    from guestkit import runner
    importlib.import_module(f"themes.{theme}")
    tests = [t for t in runner.TESTS if not words or any(w.lower() in t[0].lower() for w in words)]
    sys.exit(run(tests, theme))


if __name__ == "__main__":
    main()
