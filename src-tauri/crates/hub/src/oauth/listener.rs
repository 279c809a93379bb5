//! The listener the browser comes back to (RFC 8252 7.3): loopback only, a port of the system's choice,
//! open until the right answer came. Anybody on this machine may knock; only a request with the right
//! path, host and state is listened to, all others are told no and change nothing.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::error::{ErrorClass, HubError};

pub(super) const PATH: &str = "/callback";

const LONGEST_HEAD: usize = 16 << 10;
const LONGEST_VISIT: Duration = Duration::from_secs(10);
const MOST_VISITORS: usize = 16;

pub(super) struct Listener {
    socket: TcpListener,
    port: u16,
}

impl Listener {
    pub async fn bind() -> Result<Listener, HubError> {
        let failed = |e| HubError::local("The sign-in can't listen for the browser's answer.", e);
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        Ok(Listener { socket, port })
    }

    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// The code the browser brings for `state`, or the refusal. Waits for ever: the caller has the
    /// deadline.
    pub async fn code(self, state: &str) -> Result<String, HubError> {
        let mut visits = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(told) = visits.next(), if !visits.is_empty() => {
                    if let Some(told) = told {
                        return told;
                    }
                }
                visitor = self.socket.accept(), if visits.len() < MOST_VISITORS => {
                    match visitor {
                        Ok((stream, _)) => visits.push(self.visit(stream, state)),
                        // Out of descriptors, mostly: it passes.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        }
    }

    async fn visit(&self, mut stream: TcpStream, state: &str) -> Option<Result<String, HubError>> {
        let visit = async {
            let head = read_head(&mut stream).await?;
            let visitor = self.understand(&head, state);
            let (status, words) = match &visitor {
                Visitor::Code(_) => ("200 OK", "You are signed in to BucketBar. You can close this window."),
                Visitor::Refusal(_) => {
                    ("200 OK", "BucketBar was not given access. You can close this window.")
                }
                Visitor::Stranger => ("404 Not Found", "There is nothing here."),
            };
            let _ = stream.write_all(page(status, words).as_bytes()).await;
            let _ = stream.shutdown().await;
            match visitor {
                Visitor::Code(code) => Some(Ok(code)),
                Visitor::Refusal(error) => Some(Err(error)),
                Visitor::Stranger => None,
            }
        };
        tokio::time::timeout(LONGEST_VISIT, visit).await.ok().flatten()
    }

    fn understand(&self, head: &str, state: &str) -> Visitor {
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or("").split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let host = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim())
        });
        // A page elsewhere whose name was made to point here has another Host.
        let ours = host == Some(&format!("127.0.0.1:{}", self.port));
        let url = Url::parse("http://127.0.0.1").and_then(|base| base.join(target));
        let Ok(url) = url else { return Visitor::Stranger };
        if method != "GET" || !ours || url.path() != PATH {
            return Visitor::Stranger;
        }
        let value = |key: &str| url.query_pairs().find(|(k, _)| k == key).map(|(_, v)| v.into_owned());
        if value("state").as_deref() != Some(state) {
            return Visitor::Stranger;
        }
        match (value("code"), value("error")) {
            (_, Some(error)) => Visitor::Refusal(refusal(&error, value("error_description"))),
            (Some(code), None) if !code.is_empty() => Visitor::Code(code),
            _ => Visitor::Stranger,
        }
    }
}

enum Visitor {
    Code(String),
    Refusal(HubError),
    Stranger,
}

fn refusal(error: &str, description: Option<String>) -> HubError {
    let why: String = description.unwrap_or_else(|| error.to_owned()).chars().take(200).collect();
    HubError::new(ErrorClass::Rejected, format!("The sign-in was refused: {why}"))
        .with_advice("Sign in again and allow BucketBar the access it asks for.")
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn page(status: &str, words: &str) -> String {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>BucketBar</title>\
         <body style=\"font: 18px system-ui; margin: 4em auto; max-width: 30em\"><p>{words}</p></body></html>"
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
