//! Changes made elsewhere: the bucket's live feed (hub-api.md 2.8), kept open, resumed, and replaced by
//! looking at the bucket's revision where there is no feed.
//!
//! First use: take `updated_at` from [`Bucket::info`], list what matters, then watch from
//! [`Resume::Since`] that instant. The feed may tell what the listing showed already; applying a change
//! twice must be harmless. The feed is best effort: it makes news quick, `Relist` makes them complete.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rand::Rng;
use reqwest::Response;
use serde::{Deserialize, Deserializer};

use crate::bucket::Bucket;
use crate::error::HubError;
use crate::http::Call;
use crate::server_events::{EventParser, ServerEvent};
use crate::tree::{milliseconds, possible_size};

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// After this point of the feed.
    Cursor(String),
    /// After this `updated_at` of the bucket, as the Hub wrote it.
    Since(String),
    /// With what comes from now on.
    Live,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// These files changed. Keep `resume`: watching from there tells what comes after.
    Changes { changes: Vec<RemoteChange>, resume: Resume },
    /// All that happened before was told.
    CaughtUp { resume: Resume },
    /// Something changed and it can't be said what: list again.
    Relist { why: String, resume: Resume },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteChange {
    pub path: String,
    pub kind: ChangeKind,
    /// What is absent in an update did not change.
    pub size: Option<u64>,
    pub xet_hash: Option<String>,
    pub uploaded_at_ms: Option<i64>,
    pub mtime_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Add,
    Update,
    Delete,
}

/// News without an end. An error says that the Hub can't be heard now; the stream goes on by itself,
/// after a wait. Dropping it closes the feed.
pub type Watch = BoxStream<'static, Result<News, HubError>>;

/// How long a Hub without a feed is not asked for one again.
const NO_FEED_FOR: Duration = Duration::from_secs(15 * 60);

impl Bucket {
    /// Watches the bucket from `resume` on.
    pub fn watch(&self, resume: Resume) -> Watch {
        stream::unfold(Watching::new(self.clone(), resume), |mut watching| async move {
            let news = watching.next().await;
            Some((news, watching))
        })
        .boxed()
    }
}

struct Watching {
    bucket: Bucket,
    resume: Resume,
    told: VecDeque<Result<News, HubError>>,
    feed: Option<Feed>,
    /// It was open at least once.
    opened: bool,
    /// Failures since the feed last worked.
    failures: u32,
    /// Until then the revision is looked at instead.
    no_feed_until: Option<Instant>,
    /// The revision last seen, while polling.
    revision: Option<String>,
}

/// An open feed.
struct Feed {
    response: Response,
    parser: EventParser,
}

impl Watching {
    fn new(bucket: Bucket, resume: Resume) -> Watching {
        let revision = match &resume {
            Resume::Since(revision) => Some(revision.clone()),
            _ => None,
        };
        let told = VecDeque::new();
        Watching {
            bucket,
            resume,
            told,
            feed: None,
            opened: false,
            failures: 0,
            no_feed_until: None,
            revision,
        }
    }

    async fn next(&mut self) -> Result<News, HubError> {
        loop {
            if let Some(news) = self.told.pop_front() {
                return news;
            }
            if let Some(feed) = &mut self.feed {
                let silence = self.bucket.state.http.config.limits.feed_silence;
                match feed.events(silence).await {
                    Ok(events) => self.hear(events).await,
                    Err(error) => self.lost(error),
                }
            } else if self.bucket.is_read_only() {
                self.follow().await;
            } else if self.no_feed_until.is_some_and(|until| Instant::now() < until) {
                self.look(self.bucket.state.http.config.limits.feed_poll).await;
            } else {
                self.no_feed_until = None;
                self.open().await;
            }
        }
    }

    /// Opens the feed, after the wait that earlier failures ask for.
    async fn open(&mut self) {
        tokio::time::sleep(self.backoff()).await;
        match self.request().await {
            Ok(response) => {
                self.feed = Some(Feed { response, parser: EventParser::default() });
                // Heard before, and no point to go on from: what came in between is unknown.
                if self.opened && self.resume == Resume::Live {
                    self.relist("the feed was interrupted").await;
                }
                self.opened = true;
            }
            Err(error) if error.status == Some(400) && self.resume != Resume::Live => {
                // The resume point means nothing to the Hub.
                self.relist("the Hub does not know this point of the feed").await;
            }
            Err(error) if matches!(error.status, Some(401 | 403 | 404 | 501)) => {
                tracing::info!("no change feed on {}: {error}", self.bucket.name());
                self.no_feed_until = Some(Instant::now() + NO_FEED_FOR);
            }
            Err(error) => {
                if let Some(asked) = error.retry_after() {
                    tokio::time::sleep(asked.min(Duration::from_secs(300))).await;
                }
                self.failed(error);
            }
        }
    }

    async fn request(&self) -> Result<Response, HubError> {
        let mut url = self.bucket.url("/events")?;
        match &self.resume {
            Resume::Cursor(cursor) => drop(url.query_pairs_mut().append_pair("cursor", cursor)),
            Resume::Since(instant) => drop(url.query_pairs_mut().append_pair("since", instant)),
            Resume::Live => {}
        }
        let failure = format!("Watching {} for changes failed", self.bucket.name());
        self.bucket.state.http.open(Call::get(url, failure).accept("text/event-stream")).await
    }

    async fn hear(&mut self, events: Vec<ServerEvent>) {
        for event in events {
            match Heard::of(&event) {
                Some(Heard::Changes { changes, cursor }) => {
                    self.move_on(cursor);
                    let changes = changes.into_iter().map(RemoteChange::from).collect();
                    self.told.push_back(Ok(News::Changes { changes, resume: self.resume.clone() }));
                }
                Some(Heard::Ready { cursor }) => {
                    self.failures = 0;
                    self.move_on(cursor);
                    self.told.push_back(Ok(News::CaughtUp { resume: self.resume.clone() }));
                }
                Some(Heard::Reset { reason }) => {
                    self.feed = None;
                    self.relist(&reason).await;
                    return;
                }
                Some(Heard::Reconnect { cursor }) => {
                    self.move_on(cursor);
                    self.feed = None;
                    return;
                }
                None => tracing::debug!(name = event.name, "an event of the feed that is not known"),
            }
        }
    }

    fn move_on(&mut self, cursor: Option<String>) {
        if let Some(cursor) = cursor {
            self.resume = Resume::Cursor(cursor);
        }
    }

    /// What was missed can't be told: the new beginning is the bucket as it is now.
    async fn relist(&mut self, why: &str) {
        match self.bucket.info().await {
            Ok(info) => {
                self.resume = info.updated_at.clone().map_or(Resume::Live, Resume::Since);
                self.revision = info.updated_at;
                let why = why.to_owned();
                self.told.push_back(Ok(News::Relist { why, resume: self.resume.clone() }));
            }
            // Tried again: the resume point is still the old one.
            Err(error) => self.failed(error),
        }
    }

    /// One look at a repo's branch; never again at what cannot move.
    async fn follow(&mut self) {
        if self.bucket.commit().is_some_and(|commit| commit.frozen) {
            std::future::pending::<()>().await;
        }
        self.look(self.bucket.state.http.config.limits.repo_poll).await;
    }

    /// One look at the bucket's revision, after the wait between two.
    async fn look(&mut self, pause: Duration) {
        let pause = pause.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::time::sleep(pause).await;
        match self.bucket.info().await {
            Ok(info) if info.updated_at == self.revision => {}
            Ok(info) => {
                let first = self.revision.is_none() && self.resume == Resume::Live;
                self.resume = info.updated_at.clone().map_or(Resume::Live, Resume::Since);
                self.revision = info.updated_at;
                if !first {
                    let why = "the bucket changed".to_owned();
                    self.told.push_back(Ok(News::Relist { why, resume: self.resume.clone() }));
                }
            }
            Err(error) => self.told.push_back(Err(error)),
        }
    }

    fn lost(&mut self, error: HubError) {
        self.feed = None;
        // A feed that worked is opened again without a word; the second failure in a row is told.
        if self.failures == 0 {
            self.failures = 1;
        } else {
            self.failed(error);
        }
    }

    fn failed(&mut self, error: HubError) {
        self.failures += 1;
        self.told.push_back(Err(error));
    }

    fn backoff(&self) -> Duration {
        let limits = &self.bucket.state.http.config.limits;
        let whole = match self.failures {
            0 => return Duration::ZERO,
            1 => limits.feed_backoff / 10,
            n => limits.feed_backoff.saturating_mul(1 << (n - 2).min(10)).min(limits.feed_longest_backoff),
        };
        whole.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

impl Feed {
    /// The next events; an error when the feed ended, broke, or was silent for too long.
    async fn events(&mut self, silence: Duration) -> Result<Vec<ServerEvent>, HubError> {
        let lost = |why: &str| HubError::offline(format!("The feed of changes ended: {why}"));
        match tokio::time::timeout(silence, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let mut events = Vec::new();
                let taken = self.parser.push(&bytes, &mut events);
                taken.map_err(|_| HubError::broken("The feed of changes sends an event without an end"))?;
                Ok(events)
            }
            Ok(Ok(None)) => Err(lost("the Hub closed it")),
            Ok(Err(e)) => Err(lost("the connection broke").caused_by(e.without_url())),
            Err(_) => Err(lost("nothing came for too long")),
        }
    }
}

/// An event, understood.
enum Heard {
    Changes { changes: Vec<WireChange>, cursor: Option<String> },
    Ready { cursor: Option<String> },
    Reset { reason: String },
    Reconnect { cursor: Option<String> },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireEvent {
    cursor: Option<String>,
    changes: Vec<WireChange>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireChange {
    path: String,
    op: ChangeKind,
    #[serde(default, deserialize_with = "possible_size_if_any")]
    size: Option<u64>,
    xet_hash: Option<String>,
    uploaded_at: Option<String>,
    mtime: Option<String>,
}

fn possible_size_if_any<'de, D: Deserializer<'de>>(wire: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Size(#[serde(deserialize_with = "possible_size")] u64);
    Ok(Option::<Size>::deserialize(wire)?.map(|size| size.0))
}

impl Heard {
    /// `None` for an event that is not known. One that is known and not understood means that something
    /// was missed.
    fn of(event: &ServerEvent) -> Option<Heard> {
        if !matches!(event.name.as_str(), "changes" | "ready" | "reset" | "reconnect") {
            return None;
        }
        let Ok(wire) = serde_json::from_str::<WireEvent>(&event.data) else {
            return Some(Heard::Reset { reason: format!("a “{}” event is not understood", event.name) });
        };
        Some(match event.name.as_str() {
            "changes" => Heard::Changes { changes: wire.changes, cursor: wire.cursor },
            "ready" => Heard::Ready { cursor: wire.cursor },
            "reconnect" => Heard::Reconnect { cursor: wire.cursor },
            _ => Heard::Reset { reason: wire.reason.unwrap_or_else(|| "the Hub asks for it".to_owned()) },
        })
    }
}

impl From<WireChange> for RemoteChange {
    fn from(wire: WireChange) -> RemoteChange {
        let time = |text: Option<String>| text.as_deref().and_then(milliseconds);
        RemoteChange {
            path: wire.path,
            kind: wire.op,
            size: wire.size,
            xet_hash: wire.xet_hash,
            uploaded_at_ms: time(wire.uploaded_at),
            mtime_ms: time(wire.mtime),
        }
    }
}
