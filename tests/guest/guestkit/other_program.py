"""A program beside the test that holds files of the mount open.

The test's own process must not, while a server is down: the child of the fork that starts the server anew closes its
copies, close() of a dirty NFS file waits for the server, and so neither ever comes.
"""
import ast, subprocess, sys

LOOP = """
import os, sys
names = {"os": os}
for line in sys.stdin:
    try:
        answer = eval(line, names)
        if callable(getattr(answer, "fileno", None)):
            names["file"], answer = answer, None
    except OSError as error:
        answer = f"OSError: {error}"
    print(repr(answer), flush=True)
"""


class OtherProgram:
    def __init__(self, place):
        self.process = subprocess.Popen([sys.executable, "-c", LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        place.at_end(self.end)

    def open(self, path, mode):
        """Opens the file that later expressions call `file`, unbuffered."""
        return self.do(f"open({str(path)!r}, {mode!r}, buffering=0)")

    def start(self, expression):
        """Lets it evaluate an expression, without waiting for the answer."""
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        value = ast.literal_eval(line)
        assert not str(value).startswith("OSError"), f"the program saw {value}"
        return value

    def do(self, expression):
        self.start(expression)
        return self.answer()

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
