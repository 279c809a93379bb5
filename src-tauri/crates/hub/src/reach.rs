//! Whether a server can be reached at all: for a diagnosis, not for work. No token is sent, any answer counts.

use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use url::Url;

use crate::bucket::Bucket;
use crate::error::HubError;
use crate::http::Call;
use crate::hub::Hub;
use crate::xet::Scope;

/// A server that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Scheme, host and port; no path, which could hold a signature.
    pub origin: String,
    /// From the question to the head of the answer, with the connection's set-up.
    pub took: Duration,
    /// The server's clock, to the second.
    pub date: Option<SystemTime>,
}

impl Hub {
    /// Asks the Hub for anything. Ends within the connect and request deadlines; nothing is tried again.
    ///
    /// # Errors
    /// `Offline` when nobody answers.
    pub async fn reach(&self) -> Result<Reached, HubError> {
        let url = self.http.url("/")?;
        reach(&self.http, url, "The Hub was not reached").await
    }
}

impl Bucket {
    /// Asks the storage of this bucket's bytes for anything; the Hub is asked first where that is.
    ///
    /// # Errors
    /// The Hub's, when it names no storage; `Offline` when nobody answers there.
    pub async fn reach_storage(&self) -> Result<Reached, HubError> {
        let address = self.state.xet.token(Scope::Read).await?.address;
        let url = Url::parse(&address)
            .map_err(|e| HubError::broken("The storage's address makes no sense").caused_by(e))?;
        reach(&self.state.http, url, "The storage was not reached").await
    }

    /// Opens the bucket's live feed and closes it again.
    ///
    /// # Errors
    /// The Hub's; without a feed its status is 401, 403, 404 or 501.
    pub async fn reach_feed(&self) -> Result<(), HubError> {
        let failure = format!("Watching {} for changes failed", self.name());
        let call = Call::get(self.url("/events")?, failure).accept("text/event-stream");
        self.state.http.open(call).await.map(drop)
    }
}

async fn reach(http: &crate::http::Http, url: Url, failure: &str) -> Result<Reached, HubError> {
    let origin = url.origin().ascii_serialization();
    let begun = Instant::now();
    let headers = http.knock(&Call::new(Method::HEAD, url, failure)).await?;
    let date = headers.get("date").and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| chrono::DateTime::parse_from_rfc2822(text).ok()).map(SystemTime::from);
    Ok(Reached { origin, took: begun.elapsed(), date })
}
