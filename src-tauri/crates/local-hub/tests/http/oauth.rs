use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Answer, LocalHub, LocalHubBuilder};

const REDIRECT: &str = "http://127.0.0.1:4711/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456789";

fn builder() -> LocalHubBuilder {
    let hub = LocalHub::builder().token("hf_alice", "alice").token("hf_bob", "bob");
    hub.argument("--org").argument("acme=alice,bob").argument("--org").argument("secret=alice")
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

fn ask(hub: &LocalHub, more: &str) -> Answer {
    let query = format!(
        "client_id=bucketbar&redirect_uri={REDIRECT}&response_type=code&state=s%2F1&code_challenge={}&code_challenge_method=S256{more}",
        challenge()
    );
    hub.client_as(None).request("GET", &format!("/oauth/authorize?{query}"), &[], b"").unwrap()
}

/// Where the browser is sent after the form was filled in; no redirect is followed.
fn decide(hub: &LocalHub, page: &Answer, form: &str) -> String {
    let text = page.text();
    let request = text.split("name=request value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    let body = format!("request={request}&{form}");
    location(hub, "POST", "/oauth/authorize/decision", &body)
}

fn location(hub: &LocalHub, method: &str, path: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let address = hub.endpoint().trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find(|line| line.to_lowercase().starts_with("location: "));
    line.unwrap_or_else(|| panic!("no redirect: {text}"))["location: ".len()..].to_string()
}

fn field(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| Some(pair.split_once('=').filter(|(key, _)| *key == name)?.1.to_string()))
}

fn token(hub: &LocalHub, form: &str) -> (u16, Value) {
    let answer = hub.client_as(None).request("POST", "/oauth/token", &[], form.as_bytes()).unwrap();
    (answer.status, answer.json())
}

fn redeem(hub: &LocalHub, code: &str) -> (u16, Value) {
    token(
        hub,
        &format!(
            "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&client_id=bucketbar&code_verifier={VERIFIER}"
        ),
    )
}

fn refresh(hub: &LocalHub, refresh: &str) -> (u16, Value) {
    token(hub, &format!("grant_type=refresh_token&refresh_token={refresh}&client_id=bucketbar"))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}")).to_string()
}

/// Signs alice in with these scopes and the organization acme.
fn sign_in(hub: &LocalHub, scopes: &str) -> Value {
    let back = decide(hub, &ask(hub, &format!("&scope={scopes}")), "user=alice&org=acme&decision=allow");
    let (status, tokens) = redeem(hub, &field(&back, "code").unwrap());
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn status(hub: &LocalHub, token: &str, method: &str, path: &str) -> u16 {
    hub.client_as(Some(token)).request(method, path, &[], b"").unwrap().status
}

#[test]
fn a_person_picks_organizations_and_the_app_gets_tokens_for_them() {
    let hub = builder().start();
    let page = ask(&hub, "");
    assert!(page.text().contains("Allow bucketbar to sign in?"), "{}", page.text());
    let back = decide(&hub, &page, "user=alice&org=acme&org=not-mine&decision=allow");
    assert!(back.starts_with(REDIRECT), "{back}");
    assert_eq!(field(&back, "state").as_deref(), Some("s%2F1"), "the state comes back as it was");
    let (status, tokens) = redeem(&hub, &field(&back, "code").unwrap());
    assert_eq!(status, 200, "{tokens}");
    let access = text(&tokens, "access_token");
    assert!(
        access.starts_with("hf_oauth_") && tokens["expires_in"].is_u64() && tokens["id_token"].is_string()
    );
    let client = hub.client_as(Some(&access));
    let who = client.request("GET", "/api/whoami-v2", &[], b"").unwrap().json();
    assert_eq!((&who["name"], who["auth"].get("accessToken")), (&json!("alice"), None));
    let info = client.request("GET", "/oauth/userinfo", &[], b"").unwrap().json();
    let orgs: Vec<&Value> = info["orgs"].as_array().unwrap().iter().map(|org| &org["name"]).collect();
    assert_eq!(orgs, [&json!("acme")], "only what was picked");
    client.create_bucket("acme/made");
    client.create_bucket("alice/made");
    assert_eq!(client.request("POST", "/api/buckets/secret/made", &[], b"{}").unwrap().status, 403);
}

#[test]
fn scopes_are_enforced_on_every_call() {
    let hub = builder().start();
    let bucket = hub.create_bucket("one");
    hub.client().put(&bucket, "a", b"A");
    let info = format!("/api/buckets/{bucket}");
    let write = format!("/api/buckets/{bucket}/xet-write-token");
    let check = |scopes: &str, want: [u16; 3]| {
        let access = text(&sign_in(&hub, scopes), "access_token");
        let seen = [("GET", &info), ("GET", &write), ("DELETE", &info)];
        assert_eq!(seen.map(|(method, path)| status(&hub, &access, method, path)), want, "{scopes}");
    };
    check("openid+profile", [404, 404, 404]);
    check("read-repos", [200, 403, 403]);
    check("read-repos+write-repos", [200, 200, 403]);
    check("manage-repos", [200, 200, 200]);
}

#[test]
fn misuse_of_the_code_flow_is_refused() {
    let hub = builder().start();
    let start = |path: &str| hub.client_as(None).request("GET", path, &[], b"").unwrap();
    let unknown =
        start(&format!("/oauth/authorize?client_id=other&redirect_uri={REDIRECT}&response_type=code"));
    assert_eq!(unknown.status, 400, "an unknown app is not answered at its URI");
    let elsewhere = start(
        "/oauth/authorize?client_id=bucketbar&redirect_uri=http://evil.example/callback&response_type=code",
    );
    assert_eq!(elsewhere.status, 400);
    let plain =
        format!("/oauth/authorize?client_id=bucketbar&redirect_uri={REDIRECT}&response_type=code&state=x");
    let back = location(&hub, "GET", &plain, "");
    assert_eq!(
        (field(&back, "error").as_deref(), field(&back, "state").as_deref()),
        (Some("invalid_request"), Some("x"))
    );

    let denied = decide(&hub, &ask(&hub, ""), "user=alice&decision=deny");
    assert_eq!(field(&denied, "error").as_deref(), Some("access_denied"));

    let back = decide(&hub, &ask(&hub, ""), "user=alice&decision=allow");
    let code = field(&back, "code").unwrap();
    let form = |verifier: &str, redirect: &str| {
        format!(
            "grant_type=authorization_code&code={code}&redirect_uri={redirect}&client_id=bucketbar&code_verifier={verifier}"
        )
    };
    for bad in [form("wrong", REDIRECT), form(VERIFIER, "http://127.0.0.1:4712/callback")] {
        let (status, answer) = token(&hub, &bad);
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{bad}");
    }
    let (_, tokens) = redeem(&hub, &code);
    let access = text(&tokens, "access_token");
    assert_eq!(status(&hub, &access, "GET", "/api/whoami-v2"), 200);
    assert_eq!(redeem(&hub, &code).1["error"], json!("invalid_grant"), "a code is good once");
    assert_eq!(status(&hub, &access, "GET", "/api/whoami-v2"), 401, "and a replay revokes what it gave");
}

#[test]
fn a_refresh_token_rotates_and_its_reuse_revokes_the_sign_in() {
    let mut hub = builder().start();
    let tokens = sign_in(&hub, "openid");
    let first = text(&tokens, "refresh_token");
    hub.faults().expire_oauth_tokens();
    assert_eq!(status(&hub, &text(&tokens, "access_token"), "GET", "/api/whoami-v2"), 401);
    hub.restart();
    let (code, second) = refresh(&hub, &first);
    assert_eq!(code, 200, "a restart signs nobody out: {second}");
    let access = text(&second, "access_token");
    assert_ne!(text(&second, "refresh_token"), first, "it rotates");
    assert_eq!(status(&hub, &access, "GET", "/api/whoami-v2"), 200);
    assert_eq!(refresh(&hub, &first).1["error"], json!("invalid_grant"));
    assert_eq!(status(&hub, &access, "GET", "/api/whoami-v2"), 401, "reuse revokes everything");
    assert_eq!(refresh(&hub, &text(&second, "refresh_token")).1["error"], json!("invalid_grant"));
}

#[test]
fn tokens_expire_by_themselves_and_by_the_users_word() {
    let hub = builder().argument("--oauth-seconds=1").argument("--no-refresh-in-code-flow").start();
    let tokens = sign_in(&hub, "openid");
    assert!(tokens.get("refresh_token").is_none());
    let access = text(&tokens, "access_token");
    assert_eq!(status(&hub, &access, "GET", "/api/whoami-v2"), 200);
    testkit::eventually(std::time::Duration::from_secs(5), || {
        match status(&hub, &access, "GET", "/api/whoami-v2") {
            401 => Ok(()),
            other => Err(other),
        }
    });
    let hub = builder().start();
    let access = text(&sign_in(&hub, "openid"), "access_token");
    hub.client().control("POST", "revoke", &json!({"user": "alice"}));
    assert_eq!(status(&hub, &access, "GET", "/api/whoami-v2"), 401);
}

#[test]
fn a_device_waits_for_the_person_who_says_yes_or_no() {
    let hub = builder().start();
    let begin =
        || hub.client_as(None).request("POST", "/oauth/device", &[], b"client_id=bucketbar").unwrap().json();
    let poll = |device: &Value| {
        let code = text(device, "device_code");
        std::thread::sleep(std::time::Duration::from_millis(1000));
        token(
            &hub,
            &format!(
                "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={code}&client_id=bucketbar"
            ),
        )
    };
    let decide = |device: &Value, decision: &str| {
        let body = format!("user_code={}&user=bob&org=acme&decision={decision}", text(device, "user_code"));
        hub.client_as(None).request("POST", "/oauth/device/decision", &[], body.as_bytes()).unwrap().status
    };
    let device = begin();
    let page =
        hub.client_as(None).request("GET", &text(&device, "verification_uri_complete"), &[], b"").unwrap();
    assert!(page.text().contains("Allow bucketbar"), "{}", page.text());
    assert_eq!(poll(&device).1["error"], json!("authorization_pending"));
    let code = text(&device, "device_code");
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={code}&client_id=bucketbar"
    );
    assert_eq!(token(&hub, &form).1["error"], json!("slow_down"), "asked again at once");
    assert_eq!(decide(&device, "allow"), 200);
    let (_, tokens) = poll(&device);
    assert!(tokens["refresh_token"].is_string(), "{tokens}");
    let access = text(&tokens, "access_token");
    let who = hub.client_as(Some(&access)).request("GET", "/api/whoami-v2", &[], b"").unwrap().json();
    assert_eq!((&who["name"], &who["orgs"][0]["name"]), (&json!("bob"), &json!("acme")));
    assert_eq!(poll(&device).1["error"], json!("invalid_grant"), "a device code is good once");

    let device = begin();
    assert_eq!(decide(&device, "deny"), 200);
    assert_eq!(poll(&device).1["error"], json!("access_denied"));
    let unknown = hub.client_as(None).request("POST", "/oauth/device", &[], b"client_id=nobody").unwrap();
    assert_eq!((unknown.status, &unknown.json()["error"]), (401, &json!("invalid_client")));
}

#[test]
fn a_device_code_expires() {
    let hub = builder().argument("--device-seconds=1").argument("--device-interval=0").start();
    let device =
        hub.client_as(None).request("POST", "/oauth/device", &[], b"client_id=bucketbar").unwrap().json();
    let code = text(&device, "device_code");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={code}&client_id=bucketbar"
    );
    assert_eq!(token(&hub, &form).1["error"], json!("expired_token"));
}

#[test]
fn discovery_names_the_endpoints() {
    let hub = builder().start();
    let found =
        hub.client_as(None).request("GET", "/.well-known/openid-configuration", &[], b"").unwrap().json();
    for (name, path) in [
        ("authorization_endpoint", "/oauth/authorize"),
        ("token_endpoint", "/oauth/token"),
        ("userinfo_endpoint", "/oauth/userinfo"),
        ("device_authorization_endpoint", "/oauth/device"),
    ] {
        assert_eq!(found[name], json!(format!("{}{path}", hub.endpoint())), "{name}");
    }
}
