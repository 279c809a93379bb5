//! What the files beside the code say about the app: identity, content security, what pages may call.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn json(file: &str) -> Value {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_identifier_is_the_same_everywhere() {
    assert_eq!(json("tauri.conf.json")["identifier"], bucketbar::IDENTIFIER);
    assert_eq!(json("tauri.conf.json")["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn pages_can_run_and_load_nothing_but_what_is_in_the_app() {
    let conf = json("tauri.conf.json");
    assert_eq!(conf["app"]["withGlobalTauri"], false);
    let policy = conf["app"]["security"]["csp"].as_str().unwrap_or_default();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    for loose in ["unsafe-inline", "unsafe-eval", "*", "data:", "blob:", "https:", "http: "] {
        assert!(!policy.contains(loose), "{loose} in {policy}");
    }
    let connections = policy.split(';').find(|part| part.trim().starts_with("connect-src"));
    assert_eq!(connections.map(str::trim), Some("connect-src 'self' ipc: http://ipc.localhost"));
}

#[test]
fn a_page_may_do_six_things() {
    let capability = json("capabilities/pages.json");
    let permissions: Vec<_> =
        capability["permissions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let expected = [
        "allow-call",
        "allow-open-page",
        "allow-close-page",
        "allow-pick-folder",
        "core:event:allow-listen",
        "core:event:allow-unlisten",
    ];
    assert_eq!(permissions, expected);
    assert!(capability.get("remote").is_none(), "no address of the network has a right");
    assert_eq!(json("tauri.conf.json")["app"]["security"]["capabilities"], serde_json::json!(["pages"]));
}

#[test]
fn every_page_has_the_capability_and_nothing_else_has() {
    let windows = json("capabilities/pages.json")["windows"].clone();
    let pages: Vec<Value> = bucketbar::page::Page::ALL.iter().map(|page| page.name().into()).collect();
    assert_eq!(windows, Value::Array(pages));
}

#[test]
fn the_app_has_no_place_in_the_dock() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Info.plist")).unwrap_or_default();
    let flat: String = text.split_whitespace().collect();
    assert!(flat.contains("<key>LSUIElement</key><true/>"));
}
