//! The least OAuth server that can tell right from wrong: PKCE checked, codes good once, refresh tokens
//! rotated with reuse detection, device codes, everything counted. For what
//! local-hub does not do: trouble in the middle, tokens taken back one by one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine;
use sha2::{Digest, Sha256};

#[derive(Default)]
pub struct State {
    /// Code → (challenge, redirect URI).
    pub codes: HashMap<String, (String, String)>,
    pub refresh_token: Option<String>,
    /// A used refresh token was shown again: all is taken back.
    pub reuse_detected: bool,
    pub refreshes: u32,
    pub issued: u32,
    pub lifetime: u64,
    /// Answers to device polls, in order; then a grant.
    pub device_answers: Vec<&'static str>,
    pub without_refresh_token: bool,
    /// Hub calls with these tokens answer 401.
    pub good_token: String,
}

pub struct OAuthServer {
    pub endpoint: String,
    pub state: Arc<Mutex<State>>,
}

impl OAuthServer {
    pub fn start() -> OAuthServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { lifetime: 3600, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        OAuthServer { endpoint, state }
    }

    /// What the consent page does when the person says yes: where the browser is sent.
    pub fn consent(&self, authorize: &hub::Url) -> String {
        let asked: HashMap<String, String> = authorize.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state.lock().unwrap();
        state.issued += 1;
        let code = format!("code-{}", state.issued);
        let redirect = asked["redirect_uri"].clone();
        state.codes.insert(code.clone(), (asked["code_challenge"].clone(), redirect.clone()));
        format!("{redirect}?code={code}&state={}", asked["state"])
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut token) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => token = value.trim_start_matches("Bearer ").to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).ok()?;
    let form: HashMap<String, String> =
        hub::Url::parse(&format!("http://x/?{text}")).ok()?.query_pairs().into_owned().collect();
    let (status, answer) = state.lock().unwrap().answer(&path, &form, &token);
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .ok()
}

impl State {
    fn answer(&mut self, path: &str, form: &HashMap<String, String>, token: &str) -> (u16, String) {
        let value = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
        match (path, value("grant_type")) {
            ("/api/whoami-v2", _) if token == self.good_token => (200, r#"{"name":"alice"}"#.to_owned()),
            ("/api/whoami-v2", _) => (401, r#"{"error":"Invalid credentials"}"#.to_owned()),
            ("/oauth/device", _) => (
                200,
                r#"{"device_code":"d","user_code":"ABCD-1234","verification_uri":"http://x/device","interval":1,"expires_in":30}"#.to_owned(),
            ),
            ("/oauth/token", "authorization_code") => match self.codes.remove(value("code")) {
                Some((challenge, redirect)) if redirect == value("redirect_uri") && challenge == hashed(value("code_verifier")) => {
                    self.grant()
                }
                _ => refuse("invalid_grant"),
            },
            ("/oauth/token", "refresh_token") => {
                self.refreshes += 1;
                if self.refresh_token.as_deref() == Some(value("refresh_token")) {
                    return self.grant();
                }
                self.reuse_detected = true;
                self.refresh_token = None;
                refuse("invalid_grant")
            }
            ("/oauth/token", _) if self.device_answers.is_empty() => self.grant(),
            ("/oauth/token", _) => match self.device_answers.remove(0) {
                "trouble" => (500, "<html>".to_owned()),
                word => refuse(word),
            },
            _ => (404, "{}".to_owned()),
        }
    }

    fn grant(&mut self) -> (u16, String) {
        self.issued += 1;
        self.good_token = format!("hf_oauth_{}", self.issued);
        let refresh = format!("refresh-{}", self.issued);
        self.refresh_token = Some(refresh.clone());
        let refresh = if self.without_refresh_token { "null".to_owned() } else { format!("\"{refresh}\"") };
        let (token, lifetime) = (&self.good_token, self.lifetime);
        (
            200,
            format!(
                r#"{{"access_token":"{token}","refresh_token":{refresh},"expires_in":{lifetime},"token_type":"bearer"}}"#
            ),
        )
    }
}

fn hashed(verifier: &str) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn refuse(word: &str) -> (u16, String) {
    (400, format!(r#"{{"error":"{word}"}}"#))
}
