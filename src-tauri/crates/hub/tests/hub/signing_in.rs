//! Sign-in and its misuse.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use hub::{ErrorClass, FileSecrets, Grant, Hub, HubConfig, OAuthApp, SecretStore, SignedIn, TokenSource};

use crate::bench::config;
use crate::oauth_server::OAuthServer;

const PATIENCE: Duration = Duration::from_secs(10);

struct Desk {
    server: OAuthServer,
    config: HubConfig,
    app: OAuthApp,
    dir: testkit::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let (server, dir) = (OAuthServer::start(), testkit::tempdir().unwrap());
        let config = config(&server.endpoint, None, &dir);
        let app = OAuthApp::new(&config, "bucketbar").unwrap();
        Desk { server, config, app, dir }
    }

    async fn grant(&self) -> Grant {
        let sign_in = self.app.in_browser().await.unwrap();
        let back = self.server.consent(sign_in.url());
        let (granted, page) =
            tokio::join!(sign_in.grant(PATIENCE), tokio::task::spawn_blocking(move || visit(&back, None)));
        assert!(page.unwrap().contains("You are signed in"));
        granted.unwrap()
    }

    fn secrets(&self) -> Arc<FileSecrets> {
        Arc::new(FileSecrets::new(self.dir.path().join("state/sign-in.json")))
    }

    fn signed_in(&self) -> SignedIn {
        SignedIn::new(self.app.clone(), self.secrets())
    }
}

/// A browser: GET, the page. `host` pretends to be another name.
fn visit(url: &str, host: Option<&str>) -> String {
    let url = hub::Url::parse(url).unwrap();
    let real = format!("127.0.0.1:{}", url.port().unwrap());
    let mut stream = TcpStream::connect(&real).unwrap();
    let target = &url[url::Position::BeforePath..];
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", host.unwrap_or(&real)).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_brings_a_grant_that_works() {
    let desk = Desk::new();
    let grant = desk.grant().await;
    assert!(grant.is_renewable() && grant.lasts(3000));
    assert!(!format!("{grant:?}").contains(&grant.access_token), "no secret in a debug text");
    let signed_in = desk.signed_in();
    assert_eq!(signed_in.token().await.unwrap(), None, "nobody yet");
    signed_in.sign_in(grant.clone()).await.unwrap();
    let hub = Hub::new(HubConfig { token: Arc::new(signed_in), ..desk.config.clone() }).unwrap();
    assert_eq!(hub.whoami().await.unwrap().name, "alice");
    // Another process finds it; only its owner can read it.
    let other = desk.signed_in();
    assert_eq!(other.token().await.unwrap(), Some(grant.access_token));
    let file = desk.dir.path().join("state/sign-in.json");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    other.sign_out().await.unwrap();
    assert!(!file.exists());
    assert_eq!(desk.signed_in().token().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_listener_change_nothing() {
    let desk = Desk::new();
    let sign_in = desk.app.in_browser().await.unwrap();
    let back = desk.server.consent(sign_in.url());
    let granted = tokio::spawn(sign_in.grant(PATIENCE));
    let page = tokio::task::spawn_blocking(move || {
        let (base, _) = back.split_once('?').unwrap();
        let wrong_state = format!("{base}?code=evil&state=guess");
        let denied_by_a_stranger = format!("{base}?error=access_denied&state=guess");
        let wrong_path = back.replace("/callback", "/other");
        for stranger in [wrong_state.as_str(), &denied_by_a_stranger, &wrong_path, base] {
            assert!(visit(stranger, None).starts_with("HTTP/1.1 404"), "{stranger}");
        }
        assert!(visit(&back, Some("evil.example:80")).starts_with("HTTP/1.1 404"), "a rebound name");
        let silent = TcpStream::connect(base.split('/').nth(2).unwrap()).unwrap();
        let page = visit(&back, None);
        drop(silent);
        page
    });
    assert!(page.await.unwrap().contains("You are signed in"));
    assert!(granted.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_no_ends_the_sign_in_and_so_does_waiting() {
    let desk = Desk::new();
    let sign_in = desk.app.in_browser().await.unwrap();
    let back = desk.server.consent(sign_in.url());
    let no = back.replace("code=", "error=access_denied&not_code=");
    let granted = tokio::spawn(sign_in.grant(PATIENCE));
    tokio::task::spawn_blocking(move || visit(&no, None)).await.unwrap();
    assert_eq!(granted.await.unwrap().unwrap_err().class, ErrorClass::Rejected);
    let sign_in = desk.app.in_browser().await.unwrap();
    let error = sign_in.grant(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_caught_by_somebody_else_is_worthless() {
    let desk = Desk::new();
    // The thief begins a sign-in of their own and slips our code in: the verifier doesn't fit.
    let ours = desk.app.in_browser().await.unwrap();
    let caught = desk.server.consent(ours.url());
    let theirs = desk.app.in_browser().await.unwrap();
    let code = caught.split(['=', '&']).nth(1).unwrap().to_owned();
    let back = desk.server.consent(theirs.url());
    let own = back.split(['=', '&']).nth(1).unwrap().to_owned();
    let back = back.replace(&own, &code);
    let granted = tokio::spawn(theirs.grant(PATIENCE));
    tokio::task::spawn_blocking(move || visit(&back, None)).await.unwrap();
    assert_eq!(granted.await.unwrap().unwrap_err().class, ErrorClass::SignIn);
    // And the code is used up: ours fails too.
    let granted = tokio::spawn(ours.grant(PATIENCE));
    tokio::task::spawn_blocking(move || visit(&caught, None)).await.unwrap();
    assert!(granted.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_renew_once_and_no_refresh_token_is_shown_twice() {
    let desk = Desk::new();
    desk.server.state.lock().unwrap().lifetime = 10;
    let grant = desk.grant().await;
    desk.server.state.lock().unwrap().lifetime = 3600;
    let one = desk.signed_in();
    one.sign_in(grant).await.unwrap();
    // Two processes, twenty callers each.
    let two = desk.signed_in();
    let callers = (0..40).map(|i| if i % 2 == 0 { one.token() } else { two.token() });
    let tokens = future::join_all(callers).await;
    let good = desk.server.state.lock().unwrap().good_token.clone();
    assert!(tokens.into_iter().all(|token| token.unwrap() == Some(good.clone())));
    let state = desk.server.state.lock().unwrap();
    assert_eq!((state.refreshes, state.reuse_detected), (1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_the_hub_refuses_is_renewed_once_and_the_call_goes_through() {
    let desk = Desk::new();
    let grant = desk.grant().await;
    let signed_in = desk.signed_in();
    signed_in.sign_in(grant).await.unwrap();
    let hub = Hub::new(HubConfig { token: Arc::new(signed_in.clone()), ..desk.config.clone() }).unwrap();
    desk.server.state.lock().unwrap().good_token = "another".to_owned();
    assert_eq!(hub.whoami().await.unwrap().name, "alice");
    assert_eq!(desk.server.state.lock().unwrap().refreshes, 1);
    // Taken back for good: sign in again, and no endless renewing.
    {
        let mut state = desk.server.state.lock().unwrap();
        state.good_token = "another".to_owned();
        state.refresh_token = None;
    }
    assert_eq!(hub.whoami().await.unwrap_err().class, ErrorClass::SignIn);
    assert_eq!(desk.server.state.lock().unwrap().refreshes, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_is_waited_for_through_trouble() {
    let desk = Desk::new();
    desk.server.state.lock().unwrap().device_answers = vec!["authorization_pending", "trouble"];
    let sign_in = desk.app.with_device().await.unwrap();
    assert_eq!(sign_in.user_code, "ABCD-1234");
    assert!(sign_in.grant().await.unwrap().is_renewable());
    for (word, class) in [("access_denied", ErrorClass::Rejected), ("expired_token", ErrorClass::Cancelled)] {
        desk.server.state.lock().unwrap().device_answers = vec![word];
        let error = desk.app.with_device().await.unwrap().grant().await.unwrap_err();
        assert_eq!(error.class, class, "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_refresh_token_the_end_is_the_end() {
    let desk = Desk::new();
    {
        let mut state = desk.server.state.lock().unwrap();
        state.without_refresh_token = true;
        state.lifetime = 1;
    }
    let grant = desk.grant().await;
    assert!(!grant.is_renewable(), "the caller can tell, and offer a device code");
    let signed_in = desk.signed_in();
    signed_in.sign_in(grant).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(signed_in.token().await.unwrap_err().class, ErrorClass::SignIn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_secret_is_said_and_not_thrown_away() {
    let desk = Desk::new();
    let file = desk.dir.path().join("state/sign-in.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{ not json").unwrap();
    assert_eq!(desk.signed_in().token().await.unwrap_err().class, ErrorClass::Local);
    assert_eq!(desk.secrets().load().await.unwrap_err().class, ErrorClass::Local);
    assert!(file.exists());
}
