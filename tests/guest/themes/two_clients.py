"""Two clients of one bucket: the mount changes a file, the official client changes it too. Every row of the table in
docs/semantics.md ("Conflicts"), a folder each, all at once: here while uploads are paused, there meanwhile."""
import os, re

from guestkit.data import eventually, same
from guestkit.hub import Hub
from guestkit.official import Official
from guestkit.runner import say, test
from guestkit.server import Mount, Server


def edit(folder, name="f"):
    with open(folder / name, "r+b") as file:
        file.write(b"OURS")


def make(folder, name, content=b"ours"):
    (folder / name).write_bytes(content)


def rename(folder, old, new):
    os.rename(folder / old, folder / new)


BASE = {"f": b"base"}
BOTH = {"f": b"theirs", "f (conflict)": b"OURS"}
# What it is: (before, here, there, after). `there` is a list of ("put", name, content), ("delete", name),
# ("rename", old, new); `after` is what the Hub and the mount have at the end, dates left out.
ROWS = {
    "edited, edited": (BASE, edit, [("put", "f", b"theirs")], BOTH),
    "edited, deleted": (BASE, edit, [("delete", "f")], {"f": b"OURS"}),
    "edited, renamed": (BASE, edit, [("rename", "f", "g")], {"f": b"OURS", "g": b"base"}),
    "edited, made anew": (BASE, edit, [("delete", "f"), ("put", "f", b"theirs")], BOTH),
    "deleted, edited": (BASE, lambda d: os.remove(d / "f"), [("put", "f", b"theirs")], {"f": b"theirs"}),
    "deleted, deleted": (BASE, lambda d: os.remove(d / "f"), [("delete", "f")], {}),
    "deleted, renamed": (BASE, lambda d: os.remove(d / "f"), [("rename", "f", "g")], {"g": b"base"}),
    "deleted, made anew": (BASE, lambda d: os.remove(d / "f"), [("delete", "f"), ("put", "f", b"theirs")], {"f": b"theirs"}),
    "renamed, edited": (BASE, lambda d: rename(d, "f", "h"), [("put", "f", b"theirs")], {"f": b"theirs", "h": b"base"}),
    "renamed, deleted": (BASE, lambda d: rename(d, "f", "h"), [("delete", "f")], {"h": b"base"}),
    "renamed, renamed": (BASE, lambda d: rename(d, "f", "h"), [("rename", "f", "g")], {"g": b"base", "h": b"base"}),
    "renamed, that name made": (BASE, lambda d: rename(d, "f", "h"), [("put", "h", b"theirs")],
                                {"h": b"theirs", "h (conflict)": b"base"}),
    "renamed over, that file edited": ({**BASE, "h": b"old"}, lambda d: rename(d, "f", "h"), [("put", "h", b"theirs")],
                                       {"h": b"theirs", "h (conflict)": b"base"}),
    "made, made": ({"x": b"x"}, lambda d: make(d, "f", b"OURS"), [("put", "f", b"theirs")], {"x": b"x", **BOTH}),
    "made, the same made": ({"x": b"x"}, lambda d: make(d, "f", b"same"), [("put", "f", b"same")], {"x": b"x", "f": b"same"}),
    "made, made and edited": ({"x": b"x"}, lambda d: make(d, "f", b"OURS"), [("put", "f", b"first"), ("put", "f", b"theirs")],
                              {"x": b"x", **BOTH}),
    "made, made and deleted": ({"x": b"x"}, lambda d: make(d, "f", b"OURS"), [("put", "f", b"first"), ("delete", "f")],
                               {"x": b"x", "f": b"OURS"}),
    "made, another renamed to it": ({"g": b"theirs"}, lambda d: make(d, "f", b"OURS"), [("rename", "g", "f")], BOTH),
    "folder renamed, file in it edited": ({"d/f": b"base"}, lambda d: rename(d, "d", "e"), [("put", "d/f", b"theirs")],
                                          {"e/f": b"theirs"}),
    "folder renamed, file in it deleted": ({"d/f": b"base", "d/g": b"g"}, lambda d: rename(d, "d", "e"), [("delete", "d/f")],
                                           {"e/g": b"g"}),
    "folder renamed, file made in it": ({"d/f": b"base"}, lambda d: rename(d, "d", "e"), [("put", "d/g", b"theirs")],
                                        {"e/f": b"base", "e/g": b"theirs"}),
    "file made in a folder, folder deleted": ({"d/f": b"base"}, lambda d: make(d / "d", "g", b"OURS"), [("delete", "d/f")],
                                              {"d/g": b"OURS"}),
    "file in a folder edited, folder renamed": ({"d/f": b"base"}, lambda d: edit(d / "d"), [("rename", "d/f", "e/f")],
                                                {"d/f": b"OURS", "e/f": b"base"}),
}


def undated(path):
    return re.sub(r" \(conflict [^)]*\)", " (conflict)", path)


def in_mount(root):
    return {undated(str(path.relative_to(root))): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def there(place, official, bucket, folders):
    """Every row's changes by the official client, in rounds: all first changes, then all second ones."""
    for number in range(2):
        puts, deletes, copies = [], [], []
        for row, (_, _, changes, _) in ROWS.items():
            for what, *names in changes[number:number + 1]:
                if what == "put":
                    local = place.dir / f"there-{number}-{folders[row]}"
                    local.write_bytes(names[1])
                    puts.append((local, f"{folders[row]}/{names[0]}"))
                elif what == "delete":
                    deletes.append(f"{folders[row]}/{names[0]}")
                else:
                    copies.append((f"{folders[row]}/{names[0]}", f"{folders[row]}/{names[1]}"))
        if copies:
            official.copy(bucket, *copies)
            deletes += [old for old, _ in copies]
        if puts:
            official.upload(bucket, *puts)
        if deletes:
            official.delete(bucket, *deletes)


def run(place, told_first):
    hub = Hub(place)
    official = Official(place, hub)
    bucket = hub.create_bucket("two")
    folders = {row: f"row{number:02}" for number, row in enumerate(ROWS)}
    for row, (before, *_) in ROWS.items():
        for name, content in before.items():
            hub.put(bucket, f"{folders[row]}/{name}", content)
    server = Server(place, hub, bucket, "--do-not-ask")
    mount = Mount(server)
    for folder in folders.values():
        in_mount(mount / folder)
    same("pause", server.ctl("pause").returncode, 0)
    for row, (_, here, _, _) in ROWS.items():
        here(mount / folders[row])
    there(place, official, bucket, folders)
    if told_first:
        hub.put(bucket, "news", b"news")
        eventually("news of the changes there", lambda: (mount / "news").exists(), 60, 0.5)
        hub.delete(bucket, "news")
    same("resume", server.ctl("resume").returncode, 0)
    server.sync(120)
    on_hub = {}
    for path in hub.files(bucket):
        on_hub[path] = hub.read(bucket, path)
    wrong = []
    for row, (*_, after) in ROWS.items():
        prefix = folders[row] + "/"
        found = {undated(path.removeprefix(prefix)): content for path, content in on_hub.items() if path.startswith(prefix)}
        if found != after:
            wrong.append(f"{row}: the Hub has {found}, expected {after}")
    assert not wrong, "\n".join(wrong)
    for row, (*_, after) in ROWS.items():
        eventually(f"{row}: what the mount shows", lambda: in_mount(mount / folders[row]) == after, 60, 1)
    say(f"        {len(ROWS)} rows")


@test("every pair of a change in the mount and one by the official client ends as the table says; the feed told first", 400)
def told(place):
    run(place, True)


@test("the same where only the look before our batch finds the other's change", 400)
def found(place):
    run(place, False)
