"""The examples of docs/semantics.md, run as they stand there through the kernel's client."""
import fnmatch, glob, os, pathlib, re, select, shlex, subprocess, time

from guestkit.hub import Hub
from guestkit.programs import program
from guestkit.runner import say, test
from guestkit.server import Mount, Server

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs/semantics.md"
BUCKET = "alice/examples"
MARK = "--end-of-command--"
SECONDS = 60


def examples():
    """[(where in the document, [(prompt, command, expected lines)])]."""
    text = DOCUMENT.read_text()
    section = text[text.index("\n## Examples\n"):]
    section = section[:section.index("\n## ", 1)]
    found = []
    for block in re.finditer(r"\n([^\n]+)\n\n```console\n(.*?)```", section, re.S):
        steps = []
        for line in block[2].splitlines():
            if prompt := re.match(r"(elsewhere)?\$ (.*)", line):
                steps.append((prompt[1], prompt[2], []))
            else:
                steps[-1][2].append(line)
        found.append((block[1].rstrip(":"), steps))
    assert len(found) == section.count("```") // 2 > 5, f"{len(found)} examples were understood"
    return found


class Shell:
    """A shell in the mount that keeps its open files from one command to the next."""

    def __init__(self, place, folder, env):
        self.process = subprocess.Popen(["sh"], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        place.at_end(self.end)

    def run(self, command):
        self.process.stdin.write(f"{command}\nprintf '%s\\n' {MARK}\n".encode())
        self.process.stdin.flush()
        said, late = b"", time.monotonic() + SECONDS
        while not said.endswith(MARK.encode() + b"\n"):
            left = late - time.monotonic()
            assert left > 0, f"`{command}` did not end within {SECONDS} s; it said {said!r}"
            if select.select([self.process.stdout], [], [], left)[0]:
                more = os.read(self.process.stdout.fileno(), 65536)
                assert more, f"the shell ended at `{command}`; it said {said!r}"
                said += more
        return said.decode().removesuffix(MARK + "\n")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


def elsewhere(hub, bucket, command):
    """What somebody else sees, or does, at the Hub itself."""
    word, *rest = shlex.split(command)
    if word == "ls":
        return "".join(f"{path}\n" for path in sorted(hub.files(bucket)))
    if word == "put":
        hub.put(bucket, rest[0], " ".join(rest[1:]).encode() + b"\n")
        return ""
    if word == "rm":
        hub.delete(bucket, rest[0])
        return ""
    # A program over the file's bytes: its last argument is the file.
    done = subprocess.run([word, *rest[:-1]], input=hub.read(bucket, rest[-1]), stdout=subprocess.PIPE, check=True, timeout=SECONDS)
    return done.stdout.decode()


def matches(expected, said):
    """Whether line by line what was said is what stands there; `…` is anything within a line."""
    said = said.splitlines()
    pattern = [glob.escape(line).replace("…", "*") for line in expected]
    return len(said) == len(pattern) and all(fnmatch.fnmatchcase(*pair) for pair in zip(said, pattern))


@test("every example of docs/semantics.md says what stands there", 300)
def as_they_stand(place):
    hub = Hub(place)
    for number, (title, steps) in enumerate(examples(), 1):
        bucket = hub.create_bucket(f"examples-{number}")
        server = Server(place, hub, bucket, state=f"state-{number}")
        mount = Mount(server, f"mnt-{number}")
        # The page's commands find this server's state without being told.
        tools = place.folder(f"tools-{number}")
        tool = tools / "bucketbarctl"
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program("bucketbarctl")))} "$@" --state {shlex.quote(str(server.state))}\n')
        tool.chmod(0o755)
        shell = Shell(place, mount.path, {**server.env, "PATH": f"{tools}:{os.environ['PATH']}"})
        for prompt, command, expected in steps:
            run = (lambda text: elsewhere(hub, bucket, text)) if prompt else shell.run
            said = run(command.replace(BUCKET, bucket)).replace(bucket, BUCKET)
            assert matches(expected, said), (f"“{title}”: `{command}` says\n{said}\ninstead of\n" + "\n".join(expected))
        shell.end()
        mount.detach()
        server.stop()
        say(f"        {len(steps):3} steps  {title}")
