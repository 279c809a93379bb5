"""The official Python client (huggingface_hub + hf_xet), in processes of its own, as tests/interop/official.py."""
import json, os

from guestkit.programs import REPO


class Official:
    def __init__(self, place, hub):
        self.place, self.hub = place, hub
        self.python = os.environ.get("PYTHON_ENV")
        assert self.python, "PYTHON_ENV names no interpreter with huggingface_hub; tests/guest/run sets it"

    def __call__(self, command, bucket, *arguments, seconds=180):
        env = self.place.environment(HF_ENDPOINT=self.hub.endpoint, HF_TOKEN=self.hub.token)
        done = self.place.run(self.python, REPO / "tests/interop/official.py", command, bucket, *arguments,
                              seconds=seconds, env=env)
        assert done.returncode == 0, f"official client, {command}: {done.stderr[-2000:]}"
        return json.loads(done.stdout)

    def upload(self, bucket, *pairs):
        """pairs of (local path, path in the bucket)."""
        return self("upload", bucket, *[str(part) for pair in pairs for part in pair])

    def download(self, bucket, *pairs, seconds=180):
        """pairs of (path in the bucket, local path)."""
        return self("download", bucket, *[str(part) for pair in pairs for part in pair], seconds=seconds)

    def copy(self, bucket, *pairs):
        """pairs of (path in the bucket, new path in it); nothing is downloaded."""
        return self("copy", bucket, *[part for pair in pairs for part in pair])

    def delete(self, bucket, *paths):
        return self("delete", bucket, *paths)

    def files(self, bucket):
        return self("list", bucket)
