#!/usr/bin/env python3
"""scripts/test [--full] [GROUP...]: sets up what is missing, builds, tests, and prints minutes by group.

Groups, in this order: format, deny, build, unit, bench, lint, fuzz, ui, interop, packaging, guest, desktop, apple. Without names all of
them run; a group that needs the programs builds them first. Each ends within its bound. Exit code 0 only when nothing failed.
Last line of each group and of the whole: 'N passed, N failed'.
"""
import argparse, ast, json, os, pathlib, re, shutil, signal, subprocess, sys, threading, time

REPO = pathlib.Path(__file__).resolve().parents[1]
APPLE = "aarch64-apple-darwin"
PACKAGES = ["btrfs-progs", "ca-certificates", "curl", "dbus-daemon", "dmsetup", "e2fsprogs", "gcc", "git", "gnome-keyring", "libc6-dev",
            "libsecret-tools", "make", "pkg-config", "python3-venv", "xfsprogs"]
TOOLS = {"fsx": "0.3.2", "pjdfstest": "0.2.2"}
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed$")
NEXTEST = re.compile(r"Summary .*?(\d+) tests? run: (\d+) passed")
VITEST = re.compile(r"^ *Tests +(?:(\d+) failed \| )?(\d+) passed")
CARGO_TEST = re.compile(r"^test result: .*?(\d+) passed; (\d+) failed")


def say(*words):
    print(*words, flush=True)


class Count:
    """Passed and failed of a group; a step without numbers of its own counts as one."""

    def __init__(self):
        self.passed = self.failed = 0
        self.notes = []

    def step(self, *argv, seconds, env=None):
        """Runs a command with its output shown, at most so long; returns whether it did well."""
        say(f"$ {' '.join(map(str, argv))}")
        code, passed, failed = stream([str(a) for a in argv], seconds, {**os.environ, **(env or {})})
        if code and not failed:
            failed = 1
        if not passed and not failed:
            passed = 1
        self.passed += passed
        self.failed += failed
        if code:
            self.notes.append(f"{argv[0]} ended with {code}")
        return code == 0

    def skip(self, why):
        self.notes.append(f"SKIPPED: {why}")
        say("*" * 100, f"SKIPPED: {why}", "*" * 100, sep="\n")


def stream(argv, seconds, env):
    """Runs a command in a process group of its own and passes its output on; (code, passed, failed) by its own
    closing lines. After `seconds` the whole group is ended, code 124."""
    process = subprocess.Popen(argv, cwd=REPO, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    late = threading.Event()

    def end():
        late.set()
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(10)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    closing, cargo, nextest = None, [0, 0], None
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip())
        if match := CLOSING.match(plain):
            closing = (int(match[1]), int(match[2]))
        elif match := NEXTEST.search(plain):
            nextest = (int(match[2]), int(match[1]) - int(match[2]))
        elif match := VITEST.match(plain):
            closing = (int(match[2]), int(match[1] or 0))
        elif match := CARGO_TEST.match(plain):
            cargo[0] += int(match[1])
            cargo[1] += int(match[2])
    code = process.wait()
    timer.cancel()
    if late.is_set():
        say(f"ended after {seconds} s, its bound")
        code = 124
    return (code, *(closing or nextest or cargo))


def clippy(count, *what, env=None):
    count.step("cargo", "clippy", "--release", "--locked", *what, "--", "-D", "warnings", seconds=1500, env=env)


def python_env(which="client"):
    """An interpreter with pinned packages: the official client, or the linters."""
    done = subprocess.run([REPO / "scripts/python-env", which], check=True, text=True, stdout=subprocess.PIPE, timeout=900)
    return done.stdout.strip().splitlines()[-1]


def formatting(count, full):
    count.step("cargo", "fmt", "--all", "--check", seconds=120)
    places = ["scripts/*", "tests/guest/**/*", "tests/interop/*", "tests/packaging/*", "tests/load/bench/*"]
    files = [p for place in places for p in REPO.glob(place) if p.is_file()]
    for path in files:
        if path.suffix == ".py" or path.open("rb").read(22).startswith(b"#!/usr/bin/env python3"):
            try:
                ast.parse(path.read_text(), str(path))
                count.passed += 1
            except SyntaxError as error:
                count.failed += 1
                say(error)


def deny(count, full):
    count.step("scripts/check-dependencies", seconds=900)
    if full:
        if not shutil.which("cargo-deny"):
            count.step("cargo", "install", "--locked", "cargo-deny", seconds=2400)
        count.step("cargo", "deny", "check", "licenses", "bans", "sources", seconds=300)
        advisories(count)
        npm_audit(count)


def advisories(count):
    """Known faults of the crates (RustSec), where its database can be reached."""
    database = "https://github.com/RustSec/advisory-db"
    reach = subprocess.run(["git", "ls-remote", "--exit-code", database, "HEAD"], capture_output=True, timeout=120,
                           env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})
    if reach.returncode:
        return count.skip(f"cargo deny: {database} cannot be reached: no advisories of the crates")
    count.step("cargo", "deny", "check", "advisories", seconds=300)


def npm_audit(count):
    """Known faults of the web view's packages, where the registry tells them."""
    done = subprocess.run(["npm", "audit", "--json"], cwd=REPO / "ui", text=True, capture_output=True, timeout=120)
    report = json.loads(done.stdout or "{}")
    if "auditReportVersion" not in report:
        return count.skip(f"npm audit: the registry gives no advisories ({report.get('message', 'no answer')})")
    faults = report["metadata"]["vulnerabilities"]["total"]
    say(f"npm audit: {faults} known faults")
    count.passed += faults == 0
    count.failed += faults


def build(count, full):
    count.step("scripts/build", seconds=2700)


def have_nextest():
    if shutil.which("cargo-nextest"):
        return True
    say("cargo-nextest is missing; building it (once)")
    return stream(["cargo", "install", "--locked", "cargo-nextest"], 1500, os.environ)[0] == 0


def tool(crate):
    """A program of the tests out of crates.io, in this machine's cache; built once."""
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "bucketbar/tools"
    program = home / "bin" / crate
    if not program.exists():
        say(f"{crate} is missing; building it (once)")
        stream(["cargo", "install", "--locked", "--root", str(home), f"{crate}@{TOOLS[crate]}"], 1200, os.environ)
    return str(program)


def unit(count, full):
    env = {"BUCKETBAR_FULL": "1"} if full else {}
    run = ["nextest", "run", "--no-tests=pass"] if have_nextest() else ["test"]
    count.step("cargo", *run, "--release", "--locked", "--workspace", "--exclude", "local-hub", seconds=2400, env=env)
    count.step("cargo", *run, "--release", "--locked", "-p", "local-hub", seconds=1500, env=env)


def bench(count, full):
    """Every part of scripts/bench on small sizes: that it runs and that no count of calls or bytes is broken. Times are not judged.
    And the instructions of the hot paths against those recorded."""
    count.step("scripts/bench", "--smoke", "--no-ganesha", seconds=900)
    if missing := install({"valgrind": "valgrind", "strace": "strace"}, []):
        return count.skip(f"{', '.join(missing)} cannot be installed here: no instructions are counted")
    count.step("scripts/bench", "--counts", *(["--large"] if full else []), seconds=1800 if full else 600)


def lint(count, full):
    clippy(count, "--workspace", "--exclude", "local-hub", "--all-targets")
    clippy(count, "-p", "local-hub", "--all-targets")


def fuzz(count, full):
    """Each target of fuzz/ for some seconds: with what it keeps in the repository, and what it makes of that."""
    if install({"c++": "g++"}, []):
        return count.skip("there is no C++ compiler for libFuzzer: nothing is fuzzed")
    code, passed, failed = stream(["scripts/fuzz", "--all", "60" if full else "5"], 900, os.environ)
    if code == 3:
        return count.skip("the fuzz targets cannot be built here: the compiler has no sancov pass")
    count.passed += passed
    count.failed += failed or (1 if code or not passed else 0)


def ui(count, full):
    """The web view's pages: types, unit tests, build, and in Chromium every state of them and the main paths with the
    real engine. Pictures of the states come with --full, in target/ui-shots."""
    if not count.step("scripts/build-ui", seconds=300):
        return
    count.step("npm", "run", "--silent", "--prefix", "ui", "test", seconds=180)
    wanted = {"chromium": "chromium", "dbus-daemon": "dbus", "gnome-keyring-daemon": "gnome-keyring", "secret-tool": "libsecret-tools"}
    if missing := install(wanted, ["fonts-inter"]):
        return count.skip(f"{', '.join(missing)} cannot be installed here: the pages are not driven")
    env = {"BUCKETBAR_FULL": "1"} if full else {}
    count.step("npm", "run", "--silent", "--prefix", "ui", "e2e", seconds=900, env=env)


def install(programs, also):
    """Installs Debian's packages (`also` too) of what is missing; which programs are missing still."""
    if shutil.which("dpkg-query"):
        packages = [package for program, package in programs.items() if not shutil.which(program)]
        apt_install(packages + debian_lacks(also))
    return [program for program in programs if not shutil.which(program)]


def debian_lacks(packages):
    """Which of Debian's packages are not installed."""
    have = subprocess.run(["dpkg-query", "-Wf", "${Package} ${Status}\n", *packages], text=True, capture_output=True, timeout=60)
    return [package for package in packages if f"{package} install ok installed" not in have.stdout]


def apt_install(packages):
    """Installs Debian's packages; nothing to do for none."""
    if not packages:
        return
    say("installing", *packages)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*sudo, "apt-get", "update", "-q"], check=True, timeout=600)
    subprocess.run([*sudo, "apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], check=True, timeout=900)


def interop(count, full):
    python = python_env()
    for proof in sorted(REPO.glob("tests/interop/prove_*.py")):
        count.step(python, "-B", proof.relative_to(REPO), seconds=900)


def packaging(count, full):
    """The bundle's layout, plists and workflows, as far as they can be looked at without a Mac."""
    python = python_env("tools")
    for proof in sorted(REPO.glob("tests/packaging/prove_*.py")):
        count.step(python, "-B", proof.relative_to(REPO), seconds=600)


def guest(count, full):
    wanted = {"dbench": "dbench", "fio": "fio", "postmark": "postmark", "rsync": "rsync", "stress-ng": "stress-ng"}
    if missing := install(wanted, []):
        count.skip(f"{', '.join(missing)} cannot be installed here: the themes stress and workloads will fail for it")
    env = {"PYTHON_ENV": python_env(), "FSX_BIN": tool("fsx"), "PJDFSTEST_BIN": tool("pjdfstest")}
    count.step("tests/guest/run", seconds=3000, env=env)
    if full:
        count.step("tests/guest/run", "kill_storm", "stress", "workloads", seconds=15_000, env={**env, "BUCKETBAR_FULL": "1"})
    for backend in ["uml-old", "uml-oldest"] if full else []:
        count.step("tests/guest/run", "--backend", backend, "seed_bug", "killed_server", seconds=5400, env=env)


# What the app's tests play with, and what the app links (WebKit) or loads (the tray's library).
DESKTOP_PROGRAMS = {"WebKitWebDriver": "webkit2gtk-driver", "dbus-run-session": "dbus-daemon", "dunst": "dunst",
                    "gnome-keyring-daemon": "gnome-keyring", "import": "imagemagick", "openbox": "openbox",
                    "secret-tool": "libsecret-tools", "xauth": "xauth",
                    "xdotool": "xdotool", "xvfb-run": "xvfb"}
DESKTOP_LIBRARIES = ["libayatana-appindicator3-1", "libwebkit2gtk-4.1-dev"]
WINDOW = ["-p", "bucketbar", "--features", "window"]
DRIVER = ["-p", "desktop", "--features", "e2e"]


# All but `demo`, which fills a bucket with 200 MB first.
SHORT = ["main_road", "second_life", "troubles", "quitting", "many_buckets"]


def desktop(count, full):
    """The app: lint, its own tests, and everything a person does with it, in a kernel that mounts."""
    if missing := install(DESKTOP_PROGRAMS, DESKTOP_LIBRARIES):
        return count.skip(f"{', '.join(missing)} cannot be installed here: the app is not built")
    if not count.step("scripts/build-ui", seconds=300):
        return
    if not count.step("cargo", "build", "--release", "--locked", *WINDOW, seconds=2400):
        return
    run = ["nextest", "run"] if have_nextest() else ["test"]
    count.step("cargo", *run, "--release", "--locked", *WINDOW, seconds=1200)
    if not count.step("cargo", "build", "--release", "--locked", *DRIVER, seconds=1500):
        return
    pictures = ["--pictures", "target/desktop-shots"] if full else []
    count.step("tests/desktop/run", *pictures, *([] if full else SHORT), seconds=900)
    if full:    # the group apple lints all of it but a few lines of Linux'; this compiles WebKit's crates once more
        clippy(count, *WINDOW, "--all-targets")
        clippy(count, *DRIVER)



def apple(count, full):
    listed = subprocess.run(["rustup", "target", "list", "--installed"], text=True, capture_output=True) \
        if shutil.which("rustup") else None
    if not listed or APPLE not in listed.stdout.split():
        if not listed or stream(["rustup", "target", "add", APPLE], 180, os.environ)[0]:
            return count.skip(f"the Rust target {APPLE} cannot be installed here: macOS-only lines are not checked")
    stub = {"CC_aarch64_apple_darwin": str(REPO / "scripts/stubcc"), "AR_aarch64_apple_darwin": shutil.which("ar") or "/usr/bin/ar"}
    # The pages are compiled in; whether they are right is not asked here.
    (REPO / "ui/dist").mkdir(exist_ok=True)
    # The window in the same call: in one of its own cargo would compile most of the tree with other features again.
    clippy(count, "--workspace", "--exclude", "local-hub", "--all-targets", "--features", "bucketbar/window", "--target", APPLE, env=stub)
    clippy(count, "-p", "local-hub", "--all-targets", "--target", APPLE, env=stub)


GROUPS = {"format": formatting, "deny": deny, "build": build, "unit": unit, "bench": bench, "lint": lint, "fuzz": fuzz, "ui": ui, "interop": interop,
          "packaging": packaging, "guest": guest, "desktop": desktop, "apple": apple}
NEEDS_PROGRAMS = {"unit", "bench", "ui", "interop", "guest", "desktop"}


def set_up():
    """What every group needs. Debian's packages only where Debian is; elsewhere it says what is missing."""
    if shutil.which("dpkg-query"):
        apt_install(debian_lacks(PACKAGES))
    for tool in "cargo", "cc":
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing. Rust comes from https://rustup.rs; a C compiler with your system's tools.")
    # A toolchain from rustup's minimal profile lacks these two.
    for component in "rustfmt", "clippy":
        if shutil.which("rustup") and not shutil.which(f"cargo-{'fmt' if component == 'rustfmt' else component}"):
            subprocess.run(["rustup", "component", "add", component], timeout=300)


def run_group(name, full):
    say(f"\n=== {name}")
    count, began = Count(), time.monotonic()
    try:
        GROUPS[name](count, full)
    except (OSError, subprocess.SubprocessError) as error:
        count.failed += 1
        count.notes.append(str(error))
        say(error)
    say(f"{count.passed} passed, {count.failed} failed")
    return count, (time.monotonic() - began) / 60


def chosen(names):
    """The groups asked for, in order; `build` first where somebody needs the programs."""
    names = set(names or GROUPS)
    if names & NEEDS_PROGRAMS:
        names.add("build")
    return [name for name in GROUPS if name in names]


def table(results):
    say(f"\n{'group':10} {'minutes':>7} {'passed':>7} {'failed':>7}")
    for name, (count, minutes) in results.items():
        say(f"{name:10} {minutes:7.1f} {count.passed:7} {count.failed:7}  {'; '.join(count.notes)}".rstrip())
    say(f"{'all':10} {sum(minutes for _, minutes in results.values()):7.1f}\n")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the long ones too: cargo-deny, older guest kernels, long property tests")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="one or more of the groups")
    options = parser.parse_args()
    if wrong := [g for g in options.groups if g not in GROUPS]:
        parser.error(f"no group {', '.join(wrong)}; there are {', '.join(GROUPS)}")
    set_up()
    results = {}
    for name in chosen(options.groups):
        if name in NEEDS_PROGRAMS and "build" in results and results["build"][0].failed:
            count = Count()
            count.failed = 1
            count.notes.append("not run: the build failed")
            results[name] = (count, 0.0)
            continue
        results[name] = run_group(name, options.full)
    table(results)
    passed, failed = (sum(getattr(count, what) for count, _ in results.values()) for what in ("passed", "failed"))
    say(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
