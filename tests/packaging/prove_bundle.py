#!/usr/bin/env python3
"""The macOS bundle and the workflows, as far as they can be checked without a Mac.

Lays the bundle out with stand-ins for the programs, sees that every path in every plist is there, that what must agree
agrees (names of sockets, identifiers, places of the helper), and lints the workflows with tools from PyPI (made by
`scripts/python-env tools`). Last line: 'N passed, N failed'.
"""
import base64, importlib.machinery, importlib.util, json, os, pathlib, plistlib, re, subprocess, sys, tempfile, tomllib, traceback

REPO = pathlib.Path(__file__).resolve().parents[2]
SHELL = REPO / "src-tauri"
PROOFS = []


def proof(function):
    PROOFS.append(function)
    return function


def package_macos():
    """The script as a module: it has no ending."""
    loader = importlib.machinery.SourceFileLoader("package_macos", str(REPO / "scripts/package-macos"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("package_macos", loader))
    loader.exec_module(module)
    return module


def read(path):
    return (REPO / path).read_text()


def daemon():
    return plistlib.loads((SHELL / "macos/co.bucketbar.helper.plist").read_bytes())


@proof
def the_bundle_lays_out_and_every_path_in_it_is_there():
    with tempfile.TemporaryDirectory() as folder:
        contents = package_macos().lay_out(pathlib.Path(folder))
        info = plistlib.loads((contents / "Info.plist").read_bytes())
        assert info["LSUIElement"] is True and info["LSMinimumSystemVersion"] == "13.0", info
        assert (contents / "Library/LaunchDaemons/co.bucketbar.helper.plist").is_file()
        assert (contents / "Resources/icon.icns").read_bytes()[:4] == b"icns"


@proof
def a_bundle_that_lacks_something_is_refused():
    module = package_macos()
    for missing in ("MacOS/bucketbar-helper", "MacOS/bucketbarctl", "MacOS/bucketbar",
                    "Library/LaunchDaemons/co.bucketbar.helper.plist", "Resources/sbom.cdx.json"):
        with tempfile.TemporaryDirectory() as folder:
            contents = module.lay_out(pathlib.Path(folder))
            (contents / missing).unlink()
            try:
                module.check(contents)
            except SystemExit as refused:
                assert "not right" in str(refused.code), refused.code
            else:
                raise AssertionError(f"a bundle without {missing} passed")


@proof
def the_helpers_plist_says_what_the_helpers_code_expects():
    plist, sockets, places = daemon(), read("src-tauri/crates/helper/src/sockets.rs"), read("src-tauri/crates/helper/src/places.rs")
    name = re.search(r'LAUNCHD_NAME: &str = "(\w+)"', sockets)[1]
    assert list(plist["Sockets"]) == [name], "the code asks launchd for another socket"
    assert f'"{plist["Sockets"][name]["SockPathName"]}"' in places, "the app would look for the socket elsewhere"
    assert plist["Sockets"][name]["SockPathMode"] == 0o666
    assert "Program" not in plist and not plist.get("KeepAlive") and not plist.get("RunAtLoad"), "it is to start on demand"


@proof
def one_identifier_everywhere():
    identifier = json.loads(read("src-tauri/tauri.conf.json"))["identifier"]
    assert identifier in daemon()["AssociatedBundleIdentifiers"]
    assert f'identifier \\"{identifier}\\"' in read("src-tauri/crates/helper/src/peer.rs"), "the helper would refuse the app"


@proof
def no_entitlement_and_no_exception_from_the_hardened_runtime():
    assert plistlib.loads((SHELL / "macos/Entitlements.plist").read_bytes()) == {}
    macos = package_macos().merged()["bundle"]["macOS"]
    assert macos["hardenedRuntime"] is True and macos["minimumSystemVersion"] == "13.0"


@proof
def signing_is_refused_with_a_sentence_for_each_thing_that_is_missing():
    complaints = package_macos().complaints
    whole = {"APPLE_SIGNING_IDENTITY": "Developer ID Application: X", "BUCKETBAR_TEAM_ID": "AB12CD34EF", "APPLE_API_ISSUER": "i",
             "APPLE_API_KEY": "k", "APPLE_API_KEY_PATH": "/k.p8"}
    assert complaints(whole, True) == [] and complaints({}, False) == []
    for name, word in (("APPLE_SIGNING_IDENTITY", "sign with"), ("BUCKETBAR_TEAM_ID", "ten characters"), ("APPLE_API_KEY", "notariz")):
        less = {key: value for key, value in whole.items() if key != name}
        assert any(word in text for text in complaints(less, True)), (name, complaints(less, True))
    assert any("go together" in text for text in complaints({**whole, "BUCKETBAR_UPDATE_KEY": "x"}, True))
    update = {"BUCKETBAR_UPDATE_PRIVATE_KEY": "x", "BUCKETBAR_UPDATE_ARCHIVE_URL": "y"}
    assert complaints({**whole, **update}, True) == [] and any("not signed" in text for text in complaints(update, False))
    assert any("PASSWORD" in text for text in complaints({**whole, "APPLE_CERTIFICATE": "x"}, True))


@proof
def everything_that_is_compiled_in_is_named_where_the_bundle_is_built():
    words = package_macos().__doc__
    for path in SHELL.rglob("*.rs"):
        for name in re.findall(r'option_env!\("(\w+)"\)', path.read_text()):
            assert name in words, f"{path.relative_to(REPO)} takes {name} at build time; scripts/package-macos does not say so"


@proof
def the_checklist_fits_into_an_hour_and_says_what_the_code_says():
    text = read("docs/mac-checklist.md")
    minutes = [int(number) for number in re.findall(r"^## \d.*\((\d+) min", text, re.M)]
    assert len(minutes) == len(re.findall(r"^## \d", text, re.M)) and sum(minutes) <= 60, minutes
    scopes = re.search(r'SCOPES: &str = "(.+?)"', read("src-tauri/crates/hub/src/oauth/mod.rs"))[1].split()
    listed = re.search(r"^\| Scopes \| (.+?) \|$", text, re.M)[1]
    assert re.findall(r"`([\w-]+)`", listed) == scopes, listed
    path = re.search(r'PATH: &str = "(.+?)"', read("src-tauri/crates/hub/src/oauth/listener.rs"))[1]
    assert f"`http://127.0.0.1{path}`" in text
    for script in re.findall(r"\./(scripts/[\w-]+)", text):
        assert (REPO / script).is_file(), script
    titles = re.findall(r"^## \d+\. (.+)$", text, re.M)
    assert titles[-1].startswith("What only a Mac can decide"), titles


@proof
def an_update_is_signed_as_the_app_expects_it():
    """The example that the app's own tests open (src-tauri/src/update) is what the scripts make of the same archive."""
    example = SHELL / "tests/update"
    key = base64.b64encode(b"\x07" * 32).decode()
    public = (example / "key.pub").read_text().strip()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        archive = folder / "BucketBar-0.2.0.app.tar.gz"
        archive.write_bytes(b"an archive of an app")
        url = "https://updates.example/BucketBar-0.2.0.app.tar.gz"

        def sign(*words, **environment):
            argv = [sys.executable, REPO / "scripts/sign-update", *words]
            return subprocess.run(argv, text=True, capture_output=True, timeout=60, env={**os.environ, **environment})
        words = (archive, "--version", "0.2.0", "--url", url, "--notes", "Volumes of their own.", "--out", folder / "out")
        done = sign(*words, BUCKETBAR_UPDATE_PRIVATE_KEY=key, BUCKETBAR_UPDATE_KEY=public)
        assert done.returncode == 0, done.stderr
        for name in ("latest.json", "latest.json.sig"):
            assert (folder / "out" / name).read_bytes() == (example / name).read_bytes(), name
        for environment, word in (({"BUCKETBAR_UPDATE_PRIVATE_KEY": "x"}, "32 bytes"),
                                  ({"BUCKETBAR_UPDATE_PRIVATE_KEY": key, "BUCKETBAR_UPDATE_KEY": "AAAA"}, "not the public half")):
            refused = sign(*words, **environment)
            assert refused.returncode == 1 and word in refused.stderr and key not in refused.stderr, refused.stderr


@proof
def a_bundle_becomes_an_archive_that_unpacks_to_the_same_app():
    module = package_macos()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        app = module.lay_out(folder / "built").parent
        os.environ["BUCKETBAR_UPDATE_PRIVATE_KEY"] = base64.b64encode(b"\x08" * 32).decode()
        try:
            latest = module.make_update(app, "9.9.9", "https://updates.example/x/BucketBar.app.tar.gz", folder / "update")
        finally:
            del os.environ["BUCKETBAR_UPDATE_PRIVATE_KEY"]
        about = json.loads(latest.read_text())
        archive = folder / "update/BucketBar.app.tar.gz"
        assert about["archive"]["bytes"] == archive.stat().st_size and about["version"] == "9.9.9", about
        subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True, timeout=60)
        subprocess.run(["diff", "-r", app, folder / app.name], check=True, timeout=60)
        assert os.access(folder / app.name / "Contents/MacOS/bucketbar", os.X_OK)


@proof
def the_bundle_cannot_be_built_elsewhere_and_says_so():
    done = subprocess.run([REPO / "scripts/package-macos", "--sign-nothing"], text=True, capture_output=True)
    if sys.platform != "darwin":
        assert done.returncode == 1 and "only be built on a Mac" in done.stderr, done.stderr


@proof
def the_workflows_are_what_github_expects():
    workflows = sorted((REPO / ".github/workflows").glob("*.yml"))
    assert {path.name for path in workflows} >= {"linux.yml", "macos.yml"}
    subprocess.run([tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *workflows], check=True, timeout=120)


@proof
def the_workflows_give_nothing_away():
    subprocess.run([tool("zizmor"), "--offline", "--no-progress", "--min-severity", "medium", REPO / ".github/workflows"],
                   check=True, timeout=120)


@proof
def every_script_that_a_workflow_runs_is_there():
    for path in (REPO / ".github/workflows").glob("*.yml"):
        for script in re.findall(r"(?:\./|bash )((?:scripts|\.ci)/[\w-]+)", path.read_text()):
            assert (REPO / script).is_file(), f"{path.name} runs {script}"


@proof
def the_bill_of_materials_is_what_the_locks_say_and_what_is_linked():
    bills = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2):
            out = pathlib.Path(folder) / f"{number}/sbom.cdx.json"
            subprocess.run([REPO / "scripts/sbom", "--out", out], check=True, timeout=300)
            bills.append(out.read_bytes())
    assert bills[0] == bills[1], "the same locks give another bill"
    bill = json.loads(bills[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    by_ref = {component["bom-ref"]: component for component in bill["components"]}
    assert len(by_ref) == len(bill["components"]), "one thing twice"
    locked = {f"pkg:cargo/{p['name']}@{p['version']}": p.get("checksum") for p in tomllib.loads(read("Cargo.lock"))["package"]}
    for ref, component in by_ref.items():
        assert component["licenses"] and component["purl"] == ref, component
        if ref.startswith("pkg:cargo/"):
            hashes = [h["content"] for h in component.get("hashes", [])]
            assert ref in locked and hashes == ([locked[ref]] if locked[ref] else []), component
    # By cargo's other way of telling it.
    linked = set()
    for target in package_macos().TARGETS:
        tree = subprocess.run(["cargo", "tree", "--locked", "--prefix", "none", "--format", "{p}", "-e", "normal,no-proc-macro", "--no-dedupe",
                               "--target", target, "-p", "bucketbar", "-p", "bucketbarctl", "-p", "helper", "-p", "keeper", "--features", "bucketbar/window"],
                              cwd=REPO, check=True, text=True, capture_output=True, timeout=300).stdout
        linked |= {"pkg:cargo/" + "@".join(line.split()[:2]).replace("@v", "@") for line in tree.splitlines() if line.strip()}
    assert not linked - set(by_ref), f"linked and not in the bill: {sorted(linked - set(by_ref))[:9]}"
    names = {component["name"] for component in bill["components"]}
    assert {"bucketbar", "tauri", "hub", "xet-client", "rusqlite", "preact"} <= names
    assert not {"local-hub", "testkit", "proptest", "vite", "vitest", "libfuzzer-sys"} & names, "of tests or building only"
    shipped = {f"pkg:npm/{path.rsplit('node_modules/', 1)[1].replace('@', '%40')}@{entry['version']}"
               for path, entry in json.loads(read("ui/package-lock.json"))["packages"].items() if path and not entry.get("dev")}
    assert {ref for ref in by_ref if ref.startswith("pkg:npm/")} <= shipped
    for entry in bill["dependencies"]:
        assert {entry["ref"], *entry["dependsOn"]} <= {*by_ref, "bucketbar-package"}, entry["ref"]


def tool(name):
    return pathlib.Path(sys.executable).parent / name


def main():
    failed = 0
    for function in PROOFS:
        sentence = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok    {sentence}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {sentence}\n{traceback.format_exc()}", flush=True)
    print(f"{len(PROOFS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
