//! Sign-in and its misuse at local-hub, whose consent page somebody has to answer.

use std::sync::Arc;
use std::time::Duration;

use hub::{ErrorClass, FileSecrets, Grant, Hub, HubConfig, HubError, OAuthApp, SignedIn, TokenSource, Url};
use testkit::LocalHub;

use crate::bench::config;

const PATIENCE: Duration = Duration::from_secs(10);
const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

struct Desk {
    hub: LocalHub,
    config: HubConfig,
    app: OAuthApp,
    dir: testkit::TempDir,
}

impl Desk {
    fn new(arguments: &[&str]) -> Desk {
        let builder = LocalHub::builder().token("hf_alice", "alice");
        let hub = arguments.iter().fold(builder, |hub, argument| hub.argument(argument)).start();
        let dir = testkit::tempdir().unwrap();
        let config = config(hub.endpoint(), None, &dir);
        let app = OAuthApp::new(&config, "bucketbar").unwrap();
        Desk { hub, config, app, dir }
    }

    /// Opens the consent page and presses a button: where the browser is sent.
    fn decide(&self, page: &Url, decision: &str) -> Url {
        let page = self.hub.client().request("GET", page.as_str(), &[], b"").unwrap().text();
        let request = page.split("name=request value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = format!("request={request}&decision={decision}&user=alice");
        let body = form.into_bytes();
        let agent = std::process::Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{redirect_url}", "--data-binary"])
            .arg(String::from_utf8(body).unwrap())
            .arg(format!("{}/oauth/authorize/decision", self.hub.endpoint()))
            .output()
            .unwrap();
        Url::parse(std::str::from_utf8(&agent.stdout).unwrap()).unwrap()
    }

    async fn answered(&self, decision: &str) -> Result<Grant, HubError> {
        let sign_in = self.app.in_browser().await.unwrap();
        let back = self.decide(sign_in.url(), decision);
        let (granted, _) = tokio::join!(sign_in.grant(PATIENCE), visit(back));
        granted
    }

    fn token_answer(&self, form: &str) -> (u16, serde_json::Value) {
        let answer = self.hub.client().request("POST", "/oauth/token", &FORM, form.as_bytes()).unwrap();
        (answer.status, answer.json())
    }

    async fn whoami(&self, token: &str) -> Result<String, HubError> {
        let token = Arc::new(hub::StaticToken::new(token, "test"));
        Hub::new(HubConfig { token, ..self.config.clone() }).unwrap().whoami().await.map(|who| who.name)
    }
}

/// A browser that goes to `address`: the status it sees.
async fn visit(address: Url) -> u16 {
    let visit = move || {
        let client = testkit::HubClient::new("http://127.0.0.1", None);
        client.request("GET", address.as_str(), &[], b"").unwrap().status
    };
    tokio::task::spawn_blocking(visit).await.unwrap()
}

fn code_of(back: &Url) -> String {
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_works_is_renewed_once_and_a_refresh_token_shown_twice_ends_it() {
    // Every token counts as nearly over, so that asking for it renews it.
    let desk = Desk::new(&["--oauth-seconds", "200"]);
    let grant = desk.answered("allow").await.unwrap();
    assert!(grant.is_renewable());
    assert_eq!(desk.whoami(&grant.access_token).await.unwrap(), "alice");
    let store = Arc::new(FileSecrets::new(desk.dir.path().join("sign-in.json")));
    let signed_in = SignedIn::new(desk.app.clone(), store);
    signed_in.sign_in(grant.clone()).await.unwrap();
    let fresh = signed_in.token().await.unwrap().unwrap();
    assert_ne!(fresh, grant.access_token);
    assert_eq!(desk.whoami(&fresh).await.unwrap(), "alice");
    // A thief shows the old one: the Hub takes everything back, and the person is asked to sign in.
    let old = grant.refresh_token.unwrap();
    let form = format!("grant_type=refresh_token&client_id=bucketbar&refresh_token={old}");
    assert_eq!(desk.token_answer(&form).1["error"], "invalid_grant");
    assert_eq!(desk.whoami(&fresh).await.unwrap_err().class, ErrorClass::SignIn);
    assert!(!signed_in.refused(&fresh).await, "no other token is made up");
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_no_is_told() {
    let error = Desk::new(&[]).answered("deny").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Rejected);
    assert!(error.advice.contains("allow BucketBar"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_state_is_a_stranger_and_the_right_answer_still_counts() {
    let desk = Desk::new(&[]);
    let sign_in = desk.app.in_browser().await.unwrap();
    let back = desk.decide(sign_in.url(), "allow");
    let mut forged = back.clone();
    forged.query_pairs_mut().clear().append_pair("code", &code_of(&back)).append_pair("state", "guess");
    let granted = tokio::spawn(sign_in.grant(PATIENCE));
    assert_eq!(visit(forged).await, 404);
    assert_eq!(visit(back).await, 200);
    assert!(granted.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_sign_in_does_not_fit_the_verifier() {
    let desk = Desk::new(&[]);
    let ours = desk.app.in_browser().await.unwrap();
    let caught = code_of(&desk.decide(ours.url(), "allow"));
    let theirs = desk.app.in_browser().await.unwrap();
    let mut back = desk.decide(theirs.url(), "allow");
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    back.query_pairs_mut().clear().append_pair("code", &caught).append_pair("state", &state);
    let (granted, _) = tokio::join!(theirs.grant(PATIENCE), visit(back));
    assert_eq!(granted.unwrap_err().class, ErrorClass::SignIn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_shown_twice_ends_the_grant() {
    let desk = Desk::new(&[]);
    let sign_in = desk.app.in_browser().await.unwrap();
    let back = desk.decide(sign_in.url(), "allow");
    let code = code_of(&back);
    let (granted, _) = tokio::join!(sign_in.grant(PATIENCE), visit(back));
    let token = granted.unwrap().access_token;
    assert_eq!(desk.whoami(&token).await.unwrap(), "alice");
    let form = format!("grant_type=authorization_code&client_id=bucketbar&code={code}&code_verifier=x");
    assert_eq!(desk.token_answer(&form).1["error"], "invalid_grant");
    assert_eq!(desk.whoami(&token).await.unwrap_err().class, ErrorClass::SignIn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_is_allowed_denied_or_too_late() {
    let desk = Desk::new(&[]);
    for (decision, class) in [("allow", None), ("deny", Some(ErrorClass::Rejected))] {
        let sign_in = desk.app.with_device().await.unwrap();
        let form = format!("user_code={}&decision={decision}&user=alice", sign_in.user_code);
        let answer = desk.hub.client().request("POST", "/oauth/device/decision", &FORM, form.as_bytes());
        assert_eq!(answer.unwrap().status, 200);
        assert_eq!(sign_in.grant().await.err().map(|error| error.class), class, "{decision}");
    }
    let late = Desk::new(&["--device-seconds", "2"]).app.with_device().await.unwrap();
    assert_eq!(late.grant().await.unwrap_err().class, ErrorClass::Cancelled);
}
