#!/usr/bin/env python3
"""The documents say what the code says: dependencies, tests that are named, texts that are quoted, commands, links.

Last line: 'N passed, N failed'.
"""
import json, pathlib, re, subprocess, sys, tomllib, traceback

REPO = pathlib.Path(__file__).resolve().parents[2]
PROOFS = []


def proof(function):
    PROOFS.append(function)
    return function


def read(path):
    return (REPO / path).read_text()


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=REPO, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return listed.stdout.split()


def direct_dependencies():
    """Every crate that one of ours names, and every package of the pages."""
    for manifest in tracked("*Cargo.toml"):
        parsed = tomllib.loads(read(manifest))
        for table in [parsed, *parsed.get("target", {}).values()]:
            for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                for name, value in table.get(kind, {}).items():
                    yield manifest, (value.get("package", name) if isinstance(value, dict) else name)
    pages = json.loads(read("ui/package.json"))
    for kind in ("dependencies", "devDependencies"):
        for name in pages.get(kind, {}):
            yield "ui/package.json", name


def ours():
    return {tomllib.loads(read(path)).get("package", {}).get("name") for path in tracked("*Cargo.toml")}


@proof
def every_direct_dependency_is_justified():
    rows = [line for line in read("docs/dependencies.md").splitlines() if line.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    missing = sorted({f"{name} ({where})" for where, name in direct_dependencies() if name not in named | ours()})
    assert not missing, f"docs/dependencies.md does not say what these are for: {missing}"


@proof
def no_dependency_is_justified_that_is_gone():
    rows = [line for line in read("docs/dependencies.md").splitlines() if line.startswith("| `")]
    cells = [re.sub(r"\(.*?\)", "", row.split("|")[1]) for row in rows]
    gone = sorted({name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} - {name for _, name in direct_dependencies()})
    assert not gone, f"docs/dependencies.md names what nobody uses: {gone}"


def code():
    """All text that is compiled or run, with the strings that go over several lines joined."""
    text = "\n".join(read(path) for path in tracked("*.rs", "*.ts", "*.tsx", "*.py") if path != "tests/packaging/prove_documents.py")
    return re.sub(r"\\\n\s*", "", text)


CODE = code()


@proof
def every_test_that_is_named_exists():
    scripts = "\n".join(read(path) for path in tracked("tests/guest", "tests/interop", "scripts") if not path.endswith((".png", ".gz")))
    for document in ("docs/security.md", "docs/architecture.md", "docs/semantics.md"):
        if not (REPO / document).exists():
            continue
        # A sentence as a name: three words at least. Not a test's, but the system's: copy_file_range(2).
        for name in sorted(set(re.findall(r"`(?:\w+::)*([a-z]\w*(?:_\w+){2,})`", read(document)))):
            assert name == "copy_file_range" or re.search(rf"\b{name}\b", CODE + scripts), f"{document} names {name}, which does not exist"


def pieces(quote):
    """What of a quoted text is fixed: the examples' names, numbers, addresses and folders are cut out."""
    example = [r"…", r"'?/root/\w+'?", r"demo/models(?:/docs)?", r"alice/nothere", r"report\.pdf", r"notes\.txt", r"OWNER/BUCKET",
               r"\b\d[\d.,]*\b", r"`[^`]*`", r"\([^)]*\)", r"https?://[^\s]*[^\s.]", r"“nonsense”", r"by sleep", r"BUCKETBAR_CLIENT_ID",
               r"the environment variable HF_TOKEN", r"relative URL without a base"]    # the last is the library's
    cut = re.split("|".join(example), quote)
    return [piece.strip(" .:;,“”") for piece in cut if len(piece.strip().split()) >= 3]


@proof
def every_text_the_readme_quotes_is_in_the_code():
    squeezed = re.sub(r"\s+", " ", CODE)
    quotes = re.findall(r"^> (.+)$", read("README.md"), re.M)
    assert len(quotes) > 15, "the quotes have another form now; read them anew"
    missing = []
    for quote in quotes:
        for piece in pieces(quote):
            for part in re.split(r"(?<=[.!?;:])\s", piece):
                part = part.strip(" .:;,!")
                if len(part.split()) >= 3 and part not in squeezed:
                    missing.append(part)
    assert not missing, f"README.md quotes what nobody says: {missing}"


@proof
def every_command_the_readme_names_exists():
    arguments = read("src-tauri/crates/cli/src/arguments.rs")
    enum = re.search(r"pub enum Command \{(.*?)\n\}", arguments, re.S)[1]
    commands = {re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower() for name in re.findall(r"^    ([A-Z]\w+)(?:\(\w+\))?,$", enum, re.M)}
    assert {"mount", "resume-uploads"} <= commands, commands
    for document in ("README.md", "docs/operations.md", "docs/semantics.md", "SECURITY.md", "CONTRIBUTING.md"):
        for name in re.findall(r"`(?:sudo )?bucketbarctl ([a-z][\w-]*)", read(document)):
            assert name in commands, f"{document} names bucketbarctl {name}, which does not exist"


@proof
def every_environment_variable_of_ours_is_documented():
    sources = "\n".join(read(path).split("#[cfg(test)]\nmod tests")[0] for path in tracked("src-tauri/**/src/*.rs", "src-tauri/**/src/**/*.rs"))
    named = set(re.findall(r'"(BUCKETBAR_[A-Z_]+)"', sources))
    text = read("docs/operations.md") + read("scripts/package-macos")
    assert named and not (missing := sorted(name for name in named if name not in text)), f"docs/operations.md lacks {missing}"


def anchors(document):
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", read(document), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@proof
def every_link_between_documents_leads_somewhere():
    for document in tracked("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", read(document), flags=re.S)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            found = (REPO / document).parent / path if path else REPO / document
            assert found.exists(), f"{document} links to {target}, which is not there"
            if anchor and found.suffix == ".md":
                assert anchor in anchors(found.resolve().relative_to(REPO)), f"{document} links to {target}: no such heading"


def main():
    failed = 0
    for prove in PROOFS:
        try:
            prove()
            print(f"ok    {prove.__name__}")
        except Exception:
            failed += 1
            print(f"FAIL  {prove.__name__}")
            traceback.print_exc()
    print(f"{len(PROOFS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
