#!/usr/bin/env python3
"""The macOS bundle and the workflows, as far as they can be checked without a Mac.

Lays the bundle out with stand-ins for the programs, sees that every path in every plist is there, that what must agree
agrees (names of sockets, identifiers, places of the helper), and lints the workflows with tools from PyPI (made by
`scripts/python-env tools`). Last line: 'N passed, N failed'.
"""
import importlib.machinery, importlib.util, json, pathlib, plistlib, re, subprocess, sys, tempfile, traceback

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
                    "Library/LaunchDaemons/co.bucketbar.helper.plist"):
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
    assert any("PASSWORD" in text for text in complaints({**whole, "APPLE_CERTIFICATE": "x"}, True))


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
