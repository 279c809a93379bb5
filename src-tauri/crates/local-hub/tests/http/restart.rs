use testkit::LocalHub;

#[test]
fn everything_survives_kill_and_restart_on_the_same_port() {
    let mut hub = LocalHub::start();
    let bucket = hub.create_bucket("one");
    let content = testkit::bytes(1, 5_000_000);
    hub.client().put(&bucket, "big", &content);
    hub.client().put(&bucket, "é", b"small");
    let (endpoint, info) = (hub.endpoint().to_string(), hub.client().bucket_info(&bucket));
    hub.kill();
    assert!(hub.client().request("GET", "/api/whoami-v2", &[], b"").is_err(), "offline");
    hub.restart();
    assert_eq!(hub.endpoint(), endpoint);
    assert_eq!(hub.client().bucket_info(&bucket), info);
    assert!(hub.client().read(&bucket, "big") == content);
    assert_eq!(hub.client().read(&bucket, "é"), b"small");
    hub.client().put(&bucket, "after", b"x");
    assert_eq!(hub.client().paths(&bucket), ["after", "big", "é"]);
}

#[test]
fn two_hubs_on_one_directory_are_refused_with_a_sentence() {
    let hub = LocalHub::start();
    let output = std::process::Command::new(testkit::binary("local-hub"))
        .arg("--data")
        .arg(hub.data())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another local-hub"), "{said}");
}
