#!/usr/bin/env python3
"""The official client against local-hub, call by call.

usage: $(scripts/python-env) tests/interop/prove_local_hub.py [LOCAL_HUB_BINARY] [--size-mb 100] [--keep]

The binary: the argument, else $LOCAL_HUB_BIN, else target/release/local-hub. Everything lives in a temporary
directory; only loopback is used; the server is ended by its own process id. Exit 0 when every check holds.
"""

import argparse
import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALICE, BOB, READER = "hf_alice", "hf_bob", "hf_reader"
TOKENS = [f"{ALICE}=alice", f"{BOB}=bob", f"{READER}=alice:read"]


class LocalHub:
    """The server under proof: one process, restarted on the same port and data."""

    def __init__(self, binary, data):
        self.binary, self.data, self.address, self.process = str(binary), data, "127.0.0.1:0", None

    def start(self):
        tokens = [argument for token in TOKENS for argument in ("--token", token)]
        command = [self.binary, "--data", str(self.data), "--listen", self.address, "--org", "acme=alice",
                   "--consent", "auto", *tokens]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        first = json.loads(self.process.stdout.readline())
        self.endpoint = first["endpoint"]
        self.address = self.endpoint.removeprefix("http://")
        assert first["token"] == ALICE and first["user"] == "alice", first

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def control(self, method, what, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.endpoint}/_control/{what}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def counted(self):
        """The counters since the last time this was asked."""
        counters = self.control("GET", "counters")
        self.control("DELETE", "counters")
        return counters

    def fault(self, route, harm, **rule):
        self.control("POST", "faults", {"route": route, "harm": harm, **rule})


def xorb_bytes(counters):
    """Xorb bytes on the wire: up, down."""
    up = sum(v["up"] for k, v in counters.items() if "xorb-uploads" in k or k.startswith("POST /v1/xorbs"))
    down = sum(v["down"] for k, v in counters.items() if "/_storage/xorbs" in k)
    return up, down


def calls(counters, part):
    return sum(v["calls"] for k, v in counters.items() if part in k)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Proof:
    def __init__(self, hub, directory, size_mb):
        self.hub, self.directory, self.size = hub, directory, size_mb << 20
        self.home, self.work = directory / "home", directory / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.failures, self.passed = [], 0
        self.random = random.Random(1)

    def check(self, what, holds, seen=""):
        print(("ok    " if holds else "FAIL  ") + what + (f"  [{seen}]" if seen else ""), flush=True)
        if holds:
            self.passed += 1
        else:
            self.failures.append(what)

    def forget_client_cache(self):
        """What the client keeps on disk must not be what makes the next call cheap."""
        shutil.rmtree(self.home / "xet", ignore_errors=True)

    def hf(self, *arguments, token=ALICE, **options):
        environment = {**os.environ, "HF_TOKEN": token} if token else dict(os.environ)
        command = [str(Path(sys.executable).parent / "hf"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **options)

    def refused(self, call, *statuses):
        from huggingface_hub.errors import HfHubHTTPError

        try:
            call()
        except HfHubHTTPError as error:
            return error.response.status_code in statuses, f"{type(error).__name__} {error.response.status_code}"
        return False, "not refused"

    # --- the proof, part by part -------------------------------------------------------------------

    def accounts(self):
        who = self.api.whoami()
        self.check("whoami", who["name"] == "alice" and [o["name"] for o in who["orgs"]] == ["acme"])
        role = self.reader.whoami()["auth"]["accessToken"]["role"]
        self.check("whoami tells a read-only token", role == "read", role)
        from huggingface_hub import HfApi

        self.check("a wrong token is refused", *self.refused(HfApi(token="hf_wrong").whoami, 401))
        answer = self.hf("auth", "whoami")
        self.check("hf auth whoami", "alice" in answer.stdout, answer.stdout.strip().replace("\n", " "))

    def signs_in(self):
        answer = self.hf("auth", "login", token=None, stdin=subprocess.DEVNULL)
        stored = self.home / "token"
        signed_in = answer.returncode == 0 and stored.exists() and stored.read_text().startswith("hf_oauth_")
        self.check("hf auth login by device code", signed_in, (answer.stdout + answer.stderr).strip()[-200:] if not signed_in else "")
        answer = self.hf("auth", "whoami", token=None)
        self.check("the OAuth token is alice's, with her organization", "alice" in answer.stdout and "acme" in answer.stdout)
        answer = self.hf("buckets", "create", "alice/by-oauth", token=None)
        self.check("an OAuth token creates a bucket", answer.returncode == 0, answer.stderr[-200:])
        self.hub.control("POST", "expire", {"what": "oauth-tokens"})
        before = stored.read_text()
        answer = self.hf("buckets", "list", "alice", token=None)
        refreshed = answer.returncode == 0 and stored.read_text() != before
        self.check("hf refreshes an expired OAuth token, and the refresh token rotates", refreshed, answer.stderr[-100:].strip())
        self.hub.control("POST", "revoke", {"user": "alice"})
        answer = self.hf("buckets", "list", "alice", token=None)
        self.check("a sign-in that was revoked is refused", answer.returncode != 0)
        self.hf("auth", "logout", token=None)
        self.api.delete_bucket("alice/by-oauth")

    def buckets(self):
        made = self.api.create_bucket("one", private=True)
        self.check("create_bucket without a namespace", made.bucket_id == "alice/one", made.url)
        again = self.api.create_bucket("alice/one", exist_ok=True)
        self.check("create_bucket exist_ok (409 carries url)", again.bucket_id == "alice/one")
        answer = self.hf("buckets", "create", "acme/shared")
        self.check("hf buckets create in an organization", answer.returncode == 0, answer.stderr[-200:])
        mine = {b.id for b in self.api.list_buckets()}
        theirs = {b.id for b in self.api.list_buckets("acme")}
        self.check("list_buckets, own and of an organization", mine == {"alice/one"} and theirs == {"acme/shared"})
        info = self.api.bucket_info("alice/one")
        self.check("bucket_info", info.private and info.size == 0 and info.total_files == 0)
        self.check("anonymous: 401 on a private bucket", *self.refused(lambda: self.anonymous.bucket_info("alice/one"), 401))
        self.check("somebody else: 404 on a private bucket", *self.refused(lambda: self.bob.bucket_info("alice/one"), 404))
        self.api.update_bucket_settings("alice/one", private=False)
        self.check("settings: public, so that anybody reads it", not self.anonymous.bucket_info("alice/one").private)
        self.check("but nobody else writes it", *self.refused(lambda: self.bob.batch_bucket_files("alice/one", delete=["x"]), 403))
        self.api.update_bucket_settings("alice/one", private=True)
        self.check("a read-only token may not create", *self.refused(lambda: self.reader.create_bucket("two"), 403))

    def uploads(self):
        self.big = self.work / "big.bin"
        with open(self.big, "wb") as file:
            for _ in range(self.size >> 20):
                file.write(self.random.randbytes(1 << 20))
        before = self.api.bucket_info("alice/one")
        self.hub.counted()
        began = time.monotonic()
        self.api.batch_bucket_files("alice/one", add=[(self.big, "dir/big.bin")])
        up, _ = xorb_bytes(self.hub.counted())
        took = time.monotonic() - began
        self.check(f"upload {self.size >> 20} MiB", up >= self.size, f"{took:.1f} s, {up:,} xorb bytes up")
        after = self.api.bucket_info("alice/one")
        moved = after.updatedAt > before.updatedAt
        self.check("updatedAt moves on a change", moved and after.total_files == 1 and after.size == self.size)

        self.forget_client_cache()
        code = f"from huggingface_hub import HfApi; HfApi(token={ALICE!r}).batch_bucket_files('alice/one', add=[({str(self.big)!r}, 'dir/again.bin')])"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
        counters = self.hub.counted()
        up, _ = xorb_bytes(counters)
        seen = f"{up:,} xorb bytes up, {calls(counters, '/v1/chunks')} dedup queries"
        self.check("second upload from a fresh process is deduplicated", up < self.size // 10, seen)

        with open(self.big, "r+b") as file:
            file.seek(self.size // 2)
            file.write(self.random.randbytes(1 << 20))
        self.small = {
            "hello.txt": b"hello", "empty": b"", "dir/sp ace#1?%\u00e9.txt": b"odd", "dir2/x": b"x", "dir.json": b"y",
            "caf\u00e9": b"nfc", "cafe\u0301": b"nfd", "\U0001f680/100 %20.txt": b"rocket",
        }
        adds = [(self.big, "dir/edited.bin"), *((content, path) for path, content in self.small.items())]
        self.api.batch_bucket_files("alice/one", add=adds)
        up, _ = xorb_bytes(self.hub.counted())
        self.check("1 MiB edited in the middle: only that travels", up < 8 << 20, f"{up:,} xorb bytes up")
        self.check("a read-only token may not upload",
                   *self.refused(lambda: self.reader.batch_bucket_files("alice/one", delete=["empty"]), 403))

    def listings(self):
        everything = {x.path: x for x in self.api.list_bucket_tree("alice/one")}
        wanted = {"dir/big.bin", "dir/again.bin", "dir/edited.bin", *self.small}
        self.check("tree without `recursive` is recursive, files only",
                   set(everything) == wanted and all(x.type == "file" for x in everything.values()), f"{len(everything)} files")
        flat = {x.path: x.type for x in self.api.list_bucket_tree("alice/one", recursive=False)}
        top = {"dir": "directory", "dir2": "directory", "\U0001f680": "directory", "dir.json": "file", "hello.txt": "file",
               "empty": "file", "caf\u00e9": "file", "cafe\u0301": "file"}
        self.check("tree of one level", flat == top, "" if flat == top else str(flat))
        lexical = {x.path for x in self.api.list_bucket_tree("alice/one", "dir", recursive=False)}
        self.check("the prefix is a raw key prefix", {"dir/big.bin", "dir2", "dir.json"} <= lexical)
        info = {x.path: x for x in self.api.get_bucket_paths_info("alice/one", ["dir/big.bin", "nope", "dir"])}
        self.check("paths-info leaves out what is no file",
                   set(info) == {"dir/big.bin"} and info["dir/big.bin"].size == self.size and info["dir/big.bin"].mtime)
        answer = self.hf("buckets", "list", "alice/one", "-h")
        self.check("hf buckets list", "dir2/" in answer.stdout, answer.stderr[-200:])

    def downloads(self):
        self.forget_client_cache()
        targets = {path: self.work / f"small-{n}" for n, path in enumerate(self.small)}
        self.hub.counted()
        began = time.monotonic()
        files = [("dir/edited.bin", self.work / "edited.bin"), *targets.items()]
        self.api.download_bucket_files("alice/one", files)
        _, down = xorb_bytes(self.hub.counted())
        same = digest(self.work / "edited.bin") == digest(self.big)
        same = same and all(target.read_bytes() == self.small[path] for path, target in targets.items())
        self.check("download, byte for byte, odd names too", same, f"{time.monotonic() - began:.1f} s, {down:,} xorb bytes down")
        answer = self.hf("buckets", "cp", "hf://buckets/alice/one/hello.txt", "-")
        self.check("hf buckets cp to stdout", answer.stdout == "hello", answer.stderr[-200:])
        up = self.hf("buckets", "cp", str(self.big), "hf://buckets/alice/one/cli/big.bin")
        down = self.hf("buckets", "cp", "hf://buckets/alice/one/cli/big.bin", str(self.work / "cli.bin"))
        same = up.returncode == 0 and down.returncode == 0 and digest(self.work / "cli.bin") == digest(self.big)
        self.check("hf buckets cp up and down", same, (up.stderr + down.stderr)[-200:])

        from huggingface_hub import HfFileSystem

        system = HfFileSystem(token=ALICE, endpoint=self.hub.endpoint)
        with system.open("buckets/alice/one/dir/edited.bin", "rb") as file, open(self.big, "rb") as local:
            pieces = [(0, 10), (self.size // 2 - 5, 100_000), (self.size - 1000, 100), (self.size - 10, 10)]
            same = True
            for offset, length in pieces:
                file.seek(offset), local.seek(offset)
                same = same and file.read(length) == local.read(length)
        self.check("HfFileSystem seeks and reads (Range behind /resolve)", same)

    def syncs(self):
        (self.work / "sync" / "sub").mkdir(parents=True)
        (self.work / "sync" / "sub" / "f").write_text("sync")
        for _ in range(2):
            answer = self.hf("sync", str(self.work / "sync"), "hf://buckets/alice/one/synced")
            self.check("hf sync", answer.returncode == 0, (answer.stdout.strip().splitlines() or [answer.stderr[-200:]])[-1])
        paths = {x.path for x in self.api.list_bucket_tree("alice/one")}
        self.check("what was synced is there", "synced/sub/f" in paths)

    def feed(self):
        from huggingface_hub._bucket_live_follow import BucketFollower

        seen, reconciled = [], []
        follower = BucketFollower(endpoint=self.hub.endpoint, bucket_id="alice/one", token=ALICE,
                                  on_changes=lambda changes: seen.extend(changes),
                                  on_reconcile=lambda: reconciled.append(1), is_alive=lambda: True)
        follower.start()
        self.wait(lambda: follower.subscribed)
        self.api.copy_files("hf://buckets/alice/one/hello.txt", "hf://buckets/alice/one/copied.txt")
        self.api.batch_bucket_files("alice/one", delete=["copied.txt"])
        self.wait(lambda: seen and seen[-1].op == "delete")
        told = [(c.path, c.op) for c in seen][-2:]
        self.check("copy without moving data, then the live feed tells both", told == [("copied.txt", "add"), ("copied.txt", "delete")], str(told))
        follower.stop()

    def failures_of_a_batch(self):
        hello = next(iter(self.api.get_bucket_paths_info("alice/one", ["hello.txt"]))).xet_hash
        copies = [("bucket", "alice/one", "a" * 64, "bad"), ("bucket", "alice/one", hello, "good")]
        try:
            self.api.batch_bucket_files("alice/one", copy=copies)
            self.check("a partial failure is raised", False)
        except Exception as error:
            applied = list(self.api.get_bucket_paths_info("alice/one", ["good"])) != []
            self.check("a partial failure is raised, the rest is applied",
                       type(error).__name__ == "BucketBatchError" and applied, str(getattr(error, "failures", error)))
        self.check("all failed is 422",
                   *self.refused(lambda: self.api.batch_bucket_files("alice/one", copy=copies[:1]), 422))
        self.api.batch_bucket_files("alice/one", delete=["good"])

    def faults(self):
        self.forget_client_cache()
        self.hub.fault("/tree", {"kind": "status", "status": 429, "retryAfter": 1}, times=1)
        self.hub.fault("/batch", {"kind": "status", "status": 503}, times=1)
        self.hub.fault("/_storage/xorbs", {"kind": "status", "status": 500}, times=1)
        self.hub.fault("/_storage/xorbs", {"kind": "reset"}, times=1)
        began = time.monotonic()
        list(self.api.list_bucket_tree("alice/one"))
        waited = time.monotonic() - began
        self.api.batch_bucket_files("alice/one", delete=["nothing"])
        self.api.download_bucket_files("alice/one", [("hello.txt", self.work / "ridden-out")])
        self.check("the client rides out 429, 503, a storage 500 and a reset",
                   (self.work / "ridden-out").read_text() == "hello" and waited > 1.5, f"429 cost {waited:.1f} s")
        self.hub.control("DELETE", "faults")
        self.hub.fault("/batch", {"kind": "lose-answer"}, times=1)
        self.api.batch_bucket_files("alice/one", delete=["empty"])
        gone = list(self.api.get_bucket_paths_info("alice/one", ["empty"])) == []
        self.check("a batch whose answer was lost is applied, the repetition harmless", gone)
        self.forget_client_cache()
        self.hub.control("DELETE", "faults")
        self.hub.fault("/_storage/xorbs", {"kind": "url-expired"}, times=2, after=1)
        self.hub.fault("/v2/reconstructions", {"kind": "delay", "ms": 50})
        self.api.download_bucket_files("alice/one", [("dir/edited.bin", self.work / "expired.bin")])
        struck = self.hub.control("GET", "faults")[0]["struck"]
        same = digest(self.work / "expired.bin") == digest(self.big)
        self.check("signed URLs expire in the middle of a download", same and struck == 2, f"{struck} refused")
        self.hub.control("DELETE", "faults")

    def repos(self):
        """Repos are read as the client reads the Hub's: every kind of storage, revisions, gates."""
        big = self.big.read_bytes()[:3_000_000]
        files = {"README.md": (b"# one\n", "git"), ".gitattributes": (b"*.bin filter=lfs\n", "git"),
                 "a b/c#.txt": (b"odd", "git"), "sub/model.bin": (big, "xet"), "old.bin": (big[:2_000_000], "lfs")}
        body = {"files": [{"path": path, "base64": base64.b64encode(content).decode(), "storage": storage}
                          for path, (content, storage) in files.items()]}
        for kind in ("model", "dataset", "space"):
            repo = f"{kind}s/alice/thing"
            self.hub.control("POST", f"repo?repo={repo}", {})
            first = self.hub.control("POST", f"repo-commit?repo={repo}", body)["sha"]
            self.hub.control("POST", f"repo-ref?repo={repo}&name=v1&tag=1&at={first}", {})
            more = {"branch": "dev", "files": [{"path": "new", "base64": "bmV3"}], "delete": ["old.bin"]}
            self.hub.control("POST", f"repo-commit?repo={repo}", more)
            place = Path(self.api.snapshot_download("alice/thing", repo_type=kind, revision="v1"))
            same = all((place / path).read_bytes() == content for path, (content, _) in files.items())
            self.check(f"snapshot_download of a {kind} by its tag", same and place.name == first)
            listed = {x.path for x in self.api.list_repo_tree("alice/thing", repo_type=kind, revision="dev", recursive=True)}
            self.check(f"list_repo_tree of a {kind}'s branch",
                       listed == {*files, "new", "a b", "sub"} - {"old.bin"}, str(sorted(listed)))
            refs = self.api.list_repo_refs("alice/thing", repo_type=kind)
            self.check("list_repo_refs", {x.name for x in refs.branches} == {"main", "dev"} and refs.tags[0].target_commit == first)
            info = self.api.repo_info("alice/thing", repo_type=kind, revision="v1")
            self.check("repo_info", info.sha == first and len(info.siblings) == len(files))
        one = self.api.hf_hub_download("alice/thing", "a b/c#.txt")
        self.check("hf_hub_download of an odd name", Path(one).read_bytes() == b"odd")
        found = self.api.get_paths_info("alice/thing", ["README.md", "nope"])
        self.check("get_paths_info", [x.path for x in found] == ["README.md"] and found[0].size == 6)
        self.check("list_models", [x.id for x in self.api.list_models(author="alice")] == ["alice/thing"])
        self.hub.control("POST", "repo?repo=models/acme/gated&gated=1", {})
        gated, seen = self.refused(lambda: self.bob.auth_check("acme/gated"), 403)
        self.check("a gate", gated and "GatedRepo" in seen, seen)
        gone, seen = self.refused(lambda: self.api.repo_info("alice/thing", revision="nope"), 404)
        self.check("a revision that is not there", gone and "RevisionNotFound" in seen, seen)

    def restart(self):
        before = self.api.bucket_info("alice/one")
        self.hub.stop()
        self.hub.start()
        self.forget_client_cache()
        answer = self.hf("buckets", "cp", "hf://buckets/alice/one/cli/big.bin", str(self.work / "after.bin"))
        info = self.api.bucket_info("alice/one")
        same = answer.returncode == 0 and digest(self.work / "after.bin") == digest(self.big)
        self.check("everything survives a restart", same and info == before, f"{info.total_files} files, {info.size:,} bytes")

    def ends(self):
        files = self.api.bucket_info("alice/one").total_files
        self.api.move_bucket("alice/one", "alice/two")
        self.check("move_bucket", self.api.bucket_info("alice/two").total_files == files)
        self.api.delete_bucket("alice/two")
        answer = self.hf("buckets", "delete", "acme/shared", "--yes")
        gone, seen = self.refused(lambda: self.api.bucket_info("alice/two"), 404)
        self.check("delete_bucket, API and CLI", gone and answer.returncode == 0, seen)

    # --------------------------------------------------------------------------------------------------

    def wait(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)

    def run(self):
        os.environ.update(HF_ENDPOINT=self.hub.endpoint, HF_HOME=str(self.home), HF_HUB_DISABLE_UPDATE_CHECK="1",
                          HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1", NO_COLOR="1", COLUMNS="200")
        os.environ.pop("HF_TOKEN", None)
        from huggingface_hub import HfApi

        self.api, self.bob, self.reader, self.anonymous = (HfApi(token=token) for token in (ALICE, BOB, READER, False))
        parts = [self.accounts, self.signs_in, self.buckets, self.uploads, self.listings, self.downloads, self.syncs, self.feed,
                 self.failures_of_a_batch, self.faults, self.repos, self.restart, self.ends]
        for part in parts:
            part()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("LOCAL_HUB_BIN", str(ROOT / "target/release/local-hub"))
    parser.add_argument("binary", nargs="?", default=default)
    parser.add_argument("--size-mb", type=int, default=100)
    parser.add_argument("--keep", action="store_true", help="keep the temporary directory")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="prove-local-hub-"))
    hub = LocalHub(Path(arguments.binary).resolve(), directory / "data")
    try:
        hub.start()
        proof = Proof(hub, directory, arguments.size_mb)
        proof.run()
    finally:
        hub.stop()
        if arguments.keep:
            print("kept", directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"{proof.passed} checks hold" + (f", {len(proof.failures)} FAIL: " + "; ".join(proof.failures) if proof.failures else ""))
    return bool(proof.failures)


if __name__ == "__main__":
    sys.exit(main())
