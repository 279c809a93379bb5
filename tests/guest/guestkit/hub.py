"""local-hub in the guest, and looking at it from outside through its own API."""
import hashlib, http.client, json, re, subprocess, urllib.parse

from guestkit.place import end_process
from guestkit.programs import first_line, program

READ_ONLY_TOKEN = "hf_alice_reads"
STRANGER_TOKEN = "hf_bob"


class Hub:
    """A Hub with the users alice (full token, read-only token) and bob."""

    def __init__(self, place, *arguments):
        self.place, self.arguments, self.address = place, arguments, "127.0.0.1:0"
        self.process = None
        self.start()
        place.at_end(self.kill)

    def start(self):
        """Starts it, or starts it again: same port, same data."""
        log = self.place.log("local-hub")
        argv = [program("local-hub"), "--data", self.place.folder("hub-data"), "--listen", self.address,
                "--token", "hf_alice=alice", "--token", f"{READ_ONLY_TOKEN}=alice:read",
                "--token", f"{STRANGER_TOKEN}=bob", *self.arguments]
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=open(log, "wb"), env=self.place.environment())
        first = first_line(self.process, 120, log)
        self.endpoint, self.token = first["endpoint"], first["token"]
        self.address = self.endpoint.removeprefix("http://")

    def kill(self):
        """From here on the Hub is offline; its data is kept."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def stop(self):
        assert end_process(self.process), "local-hub did not end within 10 s of SIGTERM"

    def call(self, method, target, body=None, headers={}, seconds=120):
        """One request; returns (status, headers, body). `target` is a path, already encoded, or a URL of this Hub."""
        target = target.removeprefix(self.endpoint)
        connection = http.client.HTTPConnection(self.address, timeout=seconds)
        try:
            sent = {"Authorization": f"Bearer {self.token}", **headers}
            connection.request(method, target, body, {name: value for name, value in sent.items() if value is not None})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, target, value=None, headers={"Content-Type": "application/json"}):
        body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        status, _, answer = self.call(method, target, body, headers)
        assert 200 <= status < 300, f"{method} {target}: {status} {answer[:500]!r}"
        return json.loads(answer) if answer else None

    def create_bucket(self, name):
        """Makes the private bucket alice/NAME and returns its id."""
        self.json("POST", f"/api/buckets/alice/{name}", {"visibility": "private"})
        return f"alice/{name}"

    def put(self, bucket, path, content):
        """Stores bytes under a path, really chunked and in the CAS."""
        return self.json("POST", f"/_control/put?bucket={quote(bucket)}&path={quote(path)}", content, {})

    def files(self, bucket):
        """Every file of the bucket: {path: entry}."""
        found, target = {}, f"/api/buckets/{bucket}/tree?recursive=true"
        while target:
            status, headers, body = self.call("GET", target)
            assert status == 200, f"tree: {status} {body[:300]!r}"
            found.update((entry["path"], entry) for entry in json.loads(body))
            following = re.search(r'<([^>]+)>;\s*rel="next"', headers.get("Link") or "")
            target = following and following[1]
        return found

    def read(self, bucket, path):
        """The whole content, through the resolve route and the storage URL behind it."""
        status, headers, body = self.call("GET", f"/buckets/{bucket}/resolve/{quote(path)}")
        while status in (301, 302, 307, 308):
            status, headers, body = self.call("GET", headers["Location"], headers={"Authorization": None})
        assert status == 200, f"resolve {path}: {status} {body[:300]!r}"
        return body

    def sha256(self, bucket, path):
        return hashlib.sha256(self.read(bucket, path)).hexdigest()

    def delete(self, bucket, *paths):
        operations = "".join(json.dumps({"type": "deleteFile", "path": p}) + "\n" for p in paths)
        self.json("POST", f"/api/buckets/{bucket}/batch", operations.encode(), {"Content-Type": "application/x-ndjson"})

    def count(self, part, what="calls"):
        """Calls, or bytes 'up' or 'down', since reset_counters over the routes whose key contains `part`."""
        return sum(one[what] for key, one in self.json("GET", "/_control/counters").items() if part in key)

    def reset_counters(self):
        self.json("DELETE", "/_control/counters")


def quote(text):
    return urllib.parse.quote(text, safe="")
