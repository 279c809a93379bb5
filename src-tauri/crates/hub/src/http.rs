//! One exchange with the Hub: token, redirects, deadlines, repeated tries, and the words of an error.
//!
//! Rules held here and nowhere else:
//! - The token goes to the Hub's own origin (scheme, host, port) only. Redirects and `Link` pages
//!   that point elsewhere are refused, not followed; but for a file's bytes ([`Http::fetch`]), which the Hub may send
//!   people elsewhere for: encrypted, and without the token.
//! - A call ends within `call_deadline`, whatever the server does.
//! - A call that may have been applied is only repeated when repeating it changes nothing
//!   ([`Call::repeatable`]); otherwise only when it surely was not (never connected, 429, 503).

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::Rng;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, LINK,
    LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::blob::content_range;
use crate::config::HubConfig;
use crate::error::{ErrorClass, ErrorCode, HubError};

/// Words of an error, and what failed of a batch of a thousand operations.
const LONGEST_REFUSAL: usize = 8 << 20;
/// A server that asks for more is asked again all the same. The clock ends before `u64::MAX` seconds do.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_REDIRECTS: usize = 5;

/// One call of the Hub's API.
pub(crate) struct Call {
    method: Method,
    url: Url,
    body: Option<(&'static str, Bytes)>,
    accept: Option<&'static str>,
    range: Option<Range<u64>>,
    /// Repeating it leaves the Hub as doing it once.
    repeatable: bool,
    /// "Listing alice/photos failed": the beginning of the sentence a person reads.
    failure: String,
}

impl Call {
    pub fn new(method: Method, url: Url, failure: impl Into<String>) -> Call {
        let repeatable = method != Method::POST;
        Call { method, url, body: None, accept: None, range: None, repeatable, failure: failure.into() }
    }

    pub fn get(url: Url, failure: impl Into<String>) -> Call {
        Call::new(Method::GET, url, failure)
    }

    pub fn json(mut self, value: &serde_json::Value) -> Call {
        self.body = Some(("application/json", Bytes::from(value.to_string())));
        self
    }

    pub fn body(mut self, content_type: &'static str, bytes: Bytes) -> Call {
        self.body = Some((content_type, bytes));
        self
    }

    pub fn accept(mut self, content_type: &'static str) -> Call {
        self.accept = Some(content_type);
        self
    }

    /// Only these bytes, as they are stored. Not empty.
    pub fn range(mut self, range: Range<u64>) -> Call {
        self.range = Some(range);
        self
    }

    pub fn repeatable(mut self) -> Call {
        self.repeatable = true;
        self
    }
}

/// A complete success answer.
pub(crate) struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
    failure: String,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HubError> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let mut error = HubError::broken(format!("{}: the answer can't be understood", self.failure));
            error.request_id = request_id(&self.headers);
            error.caused_by(e)
        })
    }
}

/// A file's bytes on their way.
pub(crate) struct Fetched {
    /// The content's identity, when the Hub gave one.
    pub etag: Option<String>,
    pub response: Response,
}

impl Fetched {
    /// The whole file's length, as the last server says.
    pub fn size(&self) -> Option<u64> {
        let headers = self.response.headers();
        if self.response.status() == StatusCode::PARTIAL_CONTENT {
            return content_range(headers)?.1;
        }
        headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

/// A failed exchange with the answer's body, for the few callers that read it (409 of create, 422 of batch).
pub(crate) struct Refusal {
    pub error: HubError,
    pub body: Bytes,
}

impl From<HubError> for Refusal {
    fn from(error: HubError) -> Refusal {
        Refusal { error, body: Bytes::new() }
    }
}

#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    pub config: HubConfig,
}

impl Http {
    pub fn new(config: HubConfig) -> Result<Http, HubError> {
        let client = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.limits.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
            .map_err(|e| {
                HubError::broken("The encrypted connection to the Hub can't be set up").caused_by(e)
            })?;
        Ok(Http { client, config })
    }

    /// `endpoint` + `path`; `path` begins with `/` and is encoded already.
    pub fn url(&self, path: &str) -> Result<Url, HubError> {
        let base = self.config.endpoint.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}"))
            .map_err(|e| HubError::new(ErrorClass::Rejected, format!("{path} makes no address")).caused_by(e))
    }

    /// The answer of a call that succeeded. Ends within the call deadline.
    pub async fn send(&self, call: Call) -> Result<Answer, HubError> {
        self.send_or_refusal(call).await.map_err(|refusal| refusal.error)
    }

    pub async fn send_or_refusal(&self, call: Call) -> Result<Answer, Refusal> {
        let deadline = Instant::now() + self.config.limits.call_deadline;
        let (mut tries, mut renewed) = (0, false);
        loop {
            tries += 1;
            let refusal = match self.exchange(&call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if !renewed && refusal.error.status == Some(401) && self.token_is_renewed(&refusal).await {
                renewed = true;
                continue;
            }
            let Some(wait) = self.wait_before_next(&call, &refusal, tries) else {
                return Err(refusal.into());
            };
            if Instant::now() + wait >= deadline {
                return Err(refusal.into());
            }
            tracing::debug!(class = ?refusal.error.class, ?wait, "{}; trying again", call.failure);
            tokio::time::sleep(wait).await;
        }
    }

    /// The answer's head and running body, for a stream of events. No retries; no deadline once the head
    /// is there.
    pub async fn open(&self, call: Call) -> Result<Response, HubError> {
        let deadline = Instant::now() + self.config.limits.call_deadline;
        let token = self.config.token.token().await?;
        let response = self.follow(&call, token.as_deref(), deadline, false).await.map_err(|f| f.error)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (error, _) = refused(&call, response, deadline).await;
        Err(error)
    }

    /// The running body of a file's bytes, wherever the Hub sends us for them. No retries, but one with a fresh token;
    /// no deadline once the head is there.
    pub async fn fetch(&self, call: Call) -> Result<Fetched, HubError> {
        let deadline = Instant::now() + self.config.limits.call_deadline;
        let token = self.config.token.token().await?;
        match self.fetch_with(&call, token.as_deref(), deadline).await {
            Err(error) if error.status == Some(401) => match &token {
                Some(old) if self.config.token.refused(old).await => {
                    let token = self.config.token.token().await?;
                    self.fetch_with(&call, token.as_deref(), deadline).await
                }
                _ => Err(error),
            },
            outcome => outcome,
        }
    }

    async fn fetch_with(
        &self,
        call: &Call,
        token: Option<&str>,
        deadline: Instant,
    ) -> Result<Fetched, HubError> {
        let hub = self.config.endpoint.origin();
        let (mut url, mut token, mut etag) = (call.url.clone(), token, None);
        for _ in 0..=MOST_REDIRECTS {
            let at_the_hub = url.origin() == hub;
            if !at_the_hub {
                token = None;
                self.may_go_to(&url, call)?;
            }
            let response = self
                .request(call, url.clone(), token, deadline, false)
                .await
                .map_err(|failed| failed.error)?;
            let headers = response.headers();
            let named =
                text(headers, "x-linked-etag").or_else(|| text(headers, "etag").filter(|_| at_the_hub));
            etag = etag.or_else(|| named.map(bare_etag));
            if let Some(target) = redirect_target(&response, &url) {
                url = target;
            } else if response.status().is_success() {
                return Ok(Fetched { etag, response });
            } else {
                let (mut error, _) = refused(call, response, deadline).await;
                if !at_the_hub && matches!(error.class, ErrorClass::SignIn | ErrorClass::Forbidden) {
                    // An address that was given out for a while only: the Hub gives another.
                    error.class = ErrorClass::Busy { retry_after: None };
                }
                return Err(error);
            }
        }
        Err(HubError::broken(format!("{}: too many redirects", call.failure)))
    }

    /// Whatever the Hub's own connection is, no other is weaker.
    fn may_go_to(&self, url: &Url, call: &Call) -> Result<(), HubError> {
        if url.scheme() == "https" || url.scheme() == self.config.endpoint.scheme() {
            return Ok(());
        }
        Err(HubError::broken(format!("{}: the Hub points to an address that is not encrypted", call.failure)))
    }

    /// The head of whatever answer there is, also from another server than the Hub: no token goes along, no
    /// redirect is followed, nothing is tried again.
    pub async fn knock(&self, call: &Call) -> Result<HeaderMap, HubError> {
        let deadline = Instant::now() + self.config.limits.call_deadline;
        let response =
            self.request(call, call.url.clone(), None, deadline, true).await.map_err(|f| f.error)?;
        Ok(response.headers().clone())
    }

    /// A 401 changed nothing on the Hub, so any call may be made again with a fresh token.
    async fn token_is_renewed(&self, failed: &Failed) -> bool {
        match &failed.token {
            Some(token) => self.config.token.refused(token).await,
            None => false,
        }
    }

    fn wait_before_next(&self, call: &Call, failed: &Failed, tries: u32) -> Option<Duration> {
        let limits = &self.config.limits;
        let worth_it = failed.error.may_retry() && failed.error.class != ErrorClass::Broken;
        if tries >= limits.retry_max_tries || !worth_it || !(call.repeatable || failed.not_applied) {
            return None;
        }
        let doubled = limits.retry_base.saturating_mul(1 << (tries - 1).min(8));
        let backoff = doubled.mul_f64(rand::rng().random_range(0.5..1.0));
        Some(failed.error.retry_after().map_or(backoff, |asked| asked.max(backoff)))
    }

    /// One try, with its redirects inside the Hub.
    async fn exchange(&self, call: &Call, deadline: Instant) -> Result<Answer, Failed> {
        let token = self.config.token.token().await.map_err(Failed::not_applied)?;
        let response = self.follow(call, token.as_deref(), deadline, true).await?;
        if !response.status().is_success() {
            let not_applied = matches!(response.status().as_u16(), 429 | 503);
            let (error, body) = refused(call, response, deadline).await;
            return Err(Failed { error, body, not_applied, token });
        }
        let headers = response.headers().clone();
        let body = read_body(response, deadline, self.config.limits.answer)
            .await
            .map_err(|e| Failed::maybe_applied(broken_off(call, e)))?;
        Ok(Answer { headers, body, failure: call.failure.clone() })
    }

    async fn follow(
        &self,
        call: &Call,
        token: Option<&str>,
        deadline: Instant,
        bounded: bool,
    ) -> Result<Response, Failed> {
        let mut url = call.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            if url.origin() != self.config.endpoint.origin() {
                return Err(Failed::maybe_applied(HubError::broken(format!(
                    "{}: the Hub points to another server ({})",
                    call.failure,
                    url.host_str().unwrap_or("?")
                ))));
            }
            let response = self.request(call, url.clone(), token, deadline, bounded).await?;
            match redirect_target(&response, &url) {
                Some(target) => url = target,
                None => return Ok(response),
            }
        }
        Err(Failed::maybe_applied(HubError::broken(format!("{}: too many redirects", call.failure))))
    }

    async fn request(
        &self,
        call: &Call,
        url: Url,
        token: Option<&str>,
        deadline: Instant,
        bounded: bool,
    ) -> Result<Response, Failed> {
        let mut request = self.client.request(call.method.clone(), url);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token).map_err(Failed::not_applied)?);
        }
        if let Some(content_type) = call.accept {
            request = request.header(ACCEPT, content_type);
        }
        if let Some(range) = &call.range {
            let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            request = request.header(RANGE, bytes).header(ACCEPT_ENCODING, "identity");
        }
        if let Some((content_type, bytes)) = &call.body {
            request = request.header(CONTENT_TYPE, *content_type).body(bytes.clone());
        }
        let left = deadline.saturating_duration_since(Instant::now()).min(self.config.limits.request_timeout);
        if bounded {
            request = request.timeout(left);
        }
        match tokio::time::timeout(left, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => {
                Err(Failed { not_applied: e.is_connect(), ..Failed::maybe_applied(broken_off(call, e)) })
            }
            Err(_) => Err(Failed::maybe_applied(HubError::new(
                ErrorClass::Busy { retry_after: None },
                format!("{}: the Hub does not answer", call.failure),
            ))),
        }
    }
}

/// A failed try.
struct Failed {
    error: HubError,
    body: Bytes,
    /// The server surely did nothing.
    not_applied: bool,
    /// The token the server refused or took.
    token: Option<String>,
}

impl Failed {
    fn maybe_applied(error: HubError) -> Failed {
        Failed { error, body: Bytes::new(), not_applied: false, token: None }
    }

    fn not_applied(error: HubError) -> Failed {
        Failed { error, body: Bytes::new(), not_applied: true, token: None }
    }
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Refusal {
        Refusal { error: failed.error, body: failed.body }
    }
}

fn bearer(token: &str) -> Result<reqwest::header::HeaderValue, HubError> {
    let mut value = reqwest::header::HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| HubError::sign_in("The Hub's token holds characters no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn redirect_target(response: &Response, from: &Url) -> Option<Url> {
    let moved = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| moved)?;
    from.join(location.to_str().ok()?).ok()
}

async fn read_body(mut response: Response, deadline: Instant, longest: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, response.chunk()).await {
            Ok(Ok(Some(piece))) if body.len() + piece.len() > longest => {
                return Err(BodyError::TooLong);
            }
            Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Err(e)) => return Err(BodyError::Lost(e)),
            Err(_) => return Err(BodyError::Late),
        }
    }
}

enum BodyError {
    TooLong,
    Late,
    Lost(reqwest::Error),
}

impl From<reqwest::Error> for BodyError {
    fn from(e: reqwest::Error) -> BodyError {
        BodyError::Lost(e)
    }
}

/// An exchange that ended without a whole answer.
fn broken_off(call: &Call, e: impl Into<BodyError>) -> HubError {
    let busy = ErrorClass::Busy { retry_after: None };
    match e.into() {
        BodyError::TooLong => HubError::broken(format!("{}: the answer is too long", call.failure)),
        BodyError::Late => HubError::new(busy, format!("{}: the Hub is too slow", call.failure)),
        BodyError::Lost(e) => {
            let (class, why) = if e.is_connect() {
                (ErrorClass::Offline, "the Hub can't be reached")
            } else if e.is_timeout() {
                (busy, "the Hub does not answer")
            } else if e.is_builder() {
                (ErrorClass::Rejected, "the request can't be made")
            } else {
                (ErrorClass::Offline, "the connection broke")
            };
            HubError::new(class, format!("{}: {why}", call.failure)).caused_by(e.without_url())
        }
    }
}

/// The error an unsuccessful answer means, and its body.
async fn refused(call: &Call, response: Response, deadline: Instant) -> (HubError, Bytes) {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = read_body(response, deadline, LONGEST_REFUSAL).await.unwrap_or_default();
    let class = ErrorClass::of_status(status, asked_to_wait(&headers));
    let said = server_words(&headers, &body);
    let what = match &said {
        Some(said) => format!("{}: {said}", call.failure),
        None => format!("{}: {}", call.failure, plain_words(class, status)),
    };
    let mut error = HubError::new(class, what);
    error.status = Some(status);
    error.code = text(&headers, "x-error-code").and_then(ErrorCode::of);
    error.request_id = request_id(&headers);
    if let Some(advice) = special_advice(&headers, said.as_deref()) {
        error = error.with_advice(advice);
    }
    (error, body)
}

fn plain_words(class: ErrorClass, status: u16) -> String {
    match class {
        ErrorClass::SignIn => "the Hub wants you to sign in".to_owned(),
        ErrorClass::Forbidden => "your account may not do this".to_owned(),
        ErrorClass::NotFound => "the Hub knows no such thing".to_owned(),
        ErrorClass::Quota => "there is no room left on the Hub".to_owned(),
        _ if status == 429 => "too many requests".to_owned(),
        ErrorClass::Busy { .. } => format!("the Hub has trouble (HTTP {status})"),
        _ => format!("the Hub answered HTTP {status}"),
    }
}

fn special_advice(headers: &HeaderMap, said: Option<&str>) -> Option<&'static str> {
    if said.is_some_and(|said| said.contains("Access to this resource is disabled")) {
        return Some("The Hub's operators have disabled this bucket; write to them.");
    }
    match text(headers, "x-error-code")? {
        "RepoNotFound" => Some("Check the name, and that the account signed in may see it."),
        "RevisionNotFound" => Some("Check the branch, the tag or the commit behind the @."),
        "GatedRepo" => Some(
            "Open its page on the Hub, signed in as the same account, and accept its terms or ask for access; then try again.",
        ),
        _ => None,
    }
}

/// What the server says, in the places it says it (hub-api.md 2.11).
fn server_words(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(said) = text(headers, "x-error-message") {
        return Some(one_line(said));
    }
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let joined = |value: &serde_json::Value| match value {
        serde_json::Value::String(s) => Some(s.clone()),
        serde_json::Value::Array(list) => {
            let parts: Vec<&str> =
                list.iter().filter_map(|v| v.as_str().or_else(|| v["message"].as_str())).collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        _ => None,
    };
    let said = json["error_description"].as_str().map(str::to_owned);
    said.or_else(|| joined(&json["error"])).or_else(|| joined(&json["errors"])).map(|s| one_line(&s))
}

/// Server text goes into notifications: one line, bounded.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

/// How long the server asks to wait, at most [`LONGEST_WAIT`]: `RateLimit` with nothing left, else `Retry-After` in
/// seconds.
fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let bounded = |seconds: u64| Duration::from_secs(seconds).min(LONGEST_WAIT);
    if let Some(limit) = text(headers, "ratelimit") {
        let field = |key: &str| {
            limit
                .split(';')
                .find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('=')?.trim().parse::<u64>().ok())
        };
        if let (Some(0), Some(reset)) = (field("r"), field("t")) {
            return Some(bounded(reset.saturating_add(1)));
        }
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(bounded(seconds))
}

pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-request-id", "x-amzn-trace-id", "x-amz-cf-id"]
        .iter()
        .find_map(|name| text(headers, name))
        .map(one_line)
}

/// Without quotes and the mark of a weak one.
fn bare_etag(text: &str) -> String {
    text.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(HeaderName::from_static(name))?.to_str().ok()
}

/// The address of the next page: `Link: <…>; rel="next"`.
pub(crate) fn next_page(headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|line| line.split(',')).find_map(|link| {
        let (address, parameters) = link.split_once('>')?;
        let next = parameters.split(';').any(|p| p.trim().replace('"', "") == "rel=next");
        Url::parse(address.trim().strip_prefix('<')?).ok().filter(|_| next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let found =
            next_page(&headers(&[("link", "<http://h/a>; rel=\"prev\", <http://h/b?c=1>; rel=\"next\"")]));
        assert_eq!(found.unwrap().as_str(), "http://h/b?c=1");
        assert!(next_page(&headers(&[("link", "<http://h/a>; rel=\"xet-auth\"")])).is_none());
    }

    #[test]
    fn an_exhausted_rate_limit_says_how_long() {
        let wait = |pairs| asked_to_wait(&headers(pairs)).map(|d| d.as_secs());
        assert_eq!(wait(&[("ratelimit", "\"api\";r=0;t=41")]), Some(42));
        assert_eq!(wait(&[("ratelimit", "\"api\";r=5;t=41"), ("retry-after", "3")]), Some(3));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
        let day = Some(24 * 60 * 60);
        assert_eq!(wait(&[("retry-after", "18446744073709551615")]), day);
        assert_eq!(wait(&[("ratelimit", "\"api\";r=0;t=18446744073709551615")]), day);
    }

    #[test]
    fn the_servers_words_are_found_wherever_they_stand() {
        let none = HeaderMap::new();
        assert_eq!(server_words(&headers(&[("x-error-message", "no\tway")]), b"{}").unwrap(), "no way");
        assert_eq!(server_words(&none, br#"{"error":["a","b"]}"#).unwrap(), "a; b");
        assert_eq!(server_words(&none, br#"{"errors":[{"message":"m"}]}"#).unwrap(), "m");
        assert_eq!(server_words(&none, br#"{"error":"e","error_description":"d"}"#).unwrap(), "d");
        assert_eq!(server_words(&none, b"<html>"), None);
    }
}
