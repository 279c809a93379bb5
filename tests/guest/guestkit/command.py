"""`bucketbarctl mount` as a person uses it."""
import os

from guestkit.programs import program


class Command:
    """`bucketbarctl mount BUCKET DIR`: returns when it is mounted; the server runs detached."""

    def __init__(self, place, hub, bucket, *more):
        self.place, self.bucket, self.more, self.point = place, bucket, more, place.folder("point")
        # In a file: what the keeper starts again has no token from the environment.
        token = place.dir / "token"
        token.write_text(hub.token)
        self.env = place.environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN_PATH=token)
        place.at_end(self.end)
        self.mount()

    def mount(self):
        done = self.place.run(program("bucketbarctl"), "mount", self.bucket, self.point, *self.more, env=self.env, seconds=120)
        assert done.returncode == 0, f"mount ended with {done.returncode}: {done.stdout}{done.stderr}"
        assert os.path.ismount(self.point), f"nothing is mounted, yet it said: {done.stdout}"
        return done.stdout

    def names(self):
        return sorted(name for name in os.listdir(self.point) if name != ".metadata_never_index")

    def server(self):
        """The process ids of the detached server."""
        return self.place.strays("--detached")

    def ctl(self, command, *arguments, seconds=60):
        """Another bucketbarctl command about this bucket."""
        return self.place.run(program("bucketbarctl"), command, self.bucket, *arguments, seconds=seconds, env=self.env)

    def runs(self):
        """Whether its server answers."""
        return self.ctl("status", "--json").returncode == 0

    def unmount(self):
        return self.place.run(program("bucketbarctl"), "unmount", self.point, env=self.env)

    def end(self):
        if os.path.ismount(self.point):
            self.place.run("umount", "-f", "-l", self.point)
