use testkit::LocalHub;

#[test]
fn a_used_up_quota_is_429_until_its_window_ends() {
    let hub = LocalHub::builder()
        .token("hf_alice", "alice")
        .token("hf_bob", "bob")
        .argument("--quota-api=3")
        .argument("--quota-window=2")
        .start();
    let ask = |token: &str| hub.client_as(Some(token)).request("GET", "/api/whoami-v2", &[], b"").unwrap();
    let first = ask("hf_alice");
    assert_eq!(first.header("ratelimit"), Some("\"api\";r=2;t=2"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"fixed window\";\"api\";q=3;w=2"));
    assert_eq!((ask("hf_alice").status, ask("hf_alice").status), (200, 200));
    let over = ask("hf_alice");
    assert_eq!(over.status, 429);
    assert!(over.header("ratelimit").unwrap().starts_with("\"api\";r=0;t="), "{over:?}");
    assert_eq!(ask("hf_bob").status, 200, "each caller has a quota of its own");
    testkit::eventually(std::time::Duration::from_secs(5), || match ask("hf_alice").status {
        200 => Ok(()),
        status => Err(status),
    });
}
