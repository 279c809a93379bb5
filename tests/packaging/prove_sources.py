#!/usr/bin/env python3
"""What holds of the sources as text. Last line: 'N passed, N failed'.

A crate without unsafe code forbids it; those that have some are listed here, and each block says why it is sound.
"""
import pathlib, re, sys

REPO = pathlib.Path(__file__).resolve().parents[2]
# Who calls the system where no library does: sockets from launchd and a keeper's upgrade, the mount table, AppKit, and
# the tests' places in front of the C library.
UNSAFE = {"src-tauri", "src-tauri/crates/helper", "src-tauri/crates/keeper", "tests/apple-client", "tests/model"}
WORD = re.compile(r"\bunsafe\b(?! *\(no_mangle)")


def crates():
    """Each crate of ours: its folder, and its own sources."""
    for manifest in sorted(path for place in ("src-tauri", "src-tauri/crates/*", "tests/*", "fuzz") for path in REPO.glob(f"{place}/Cargo.toml")):
        folder = manifest.parent
        name = str(folder.relative_to(REPO))
        inner = {m.parent for m in folder.glob("crates/*/Cargo.toml")}
        yield name, folder, [p for p in folder.glob("**/*.rs") if not any(i in p.parents for i in inner)]


def code(path):
    """Lines without what is behind `//`."""
    return [line.split("//")[0] for line in path.read_text().splitlines()]


def complaints():
    found, seen = [], set()
    for name, folder, sources in crates():
        roots = [folder / "src/lib.rs", folder / "src/main.rs"]
        roots = [root for root in roots if root.exists()]
        used = [path for path in sources if any(WORD.search(line) for line in code(path))]
        if used and name not in UNSAFE:
            found.append(f"{used[0].relative_to(REPO)} has unsafe code; {name} is not among the crates that may")
        if used:
            seen.add(name)
        else:
            found += [f"{root.relative_to(REPO)} does not forbid unsafe code" for root in roots
                      if "#![forbid(unsafe_code)]" not in root.read_text()]
        for path in used:
            lines = path.read_text().splitlines()
            for at, line in enumerate(code(path)):
                if re.search(r"\bunsafe (\{|impl)", line) and not any("SAFETY:" in above for above in lines[max(0, at - 5):at]):
                    found.append(f"{path.relative_to(REPO)}:{at + 1}: nothing says why this is sound (SAFETY: …)")
    found += [f"{name} has no unsafe code any more: take it off the list, and forbid it there" for name in sorted(UNSAFE - seen)]
    return found


def main():
    found = complaints()
    print("\n".join(found) or "unsafe code only where it may be, each block with its reason")
    print(f"{int(not found)} passed, {len(found)} failed")
    sys.exit(1 if found else 0)


main()
