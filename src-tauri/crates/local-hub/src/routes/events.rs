//! The live change feed (hub-api.md 2.8), as server-sent events: what is replayed comes before `ready`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::accounts::Caller;
use crate::clock::from_iso;
use crate::feed::News;
use crate::hub::Hub;
use crate::hub_error::{HubError, HubResult};
use crate::page::query;
use crate::store::{Bucket, ChangeSet};

const PING: Duration = Duration::from_secs(30);

/// `GET /api/buckets/{ns}/{name}/events`
pub async fn events(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Path((ns, name)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
) -> HubResult<Response> {
    let bucket = hub.readable(&caller, &ns, &name)?;
    // Listening begins before the past is read, so nothing falls between.
    let news = hub.feed.listen();
    let last = hub.store.last_seq()?;
    let query = query(&uri);
    let resume = resume_point(&hub, &query)?;
    let stream = match past(&hub, &bucket, resume)? {
        None => Stream { queue: VecDeque::from([event("reset", &json!({"reason": "expired"}))]), live: None },
        Some(sets) => {
            // What came between listening and reading is in both; the past has it.
            let seen = sets.last().map_or(last, |set| set.seq.max(last));
            let mut queue: VecDeque<String> = sets.iter().map(changes).collect();
            queue.push_back(event("ready", &json!({"cursor": seen.to_string()})));
            Stream { queue, live: Some(Live { news, bucket: bucket.key, seen }) }
        }
    };
    let body = stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok::<_, std::io::Error>(text), stream))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(body)).into_response())
}

enum Resume {
    Cursor(u64),
    Since(i64),
    Live,
}

fn resume_point(hub: &Hub, query: &std::collections::BTreeMap<String, String>) -> HubResult<Resume> {
    if let Some(cursor) = query.get("cursor") {
        let seq = cursor.parse().map_err(|_| HubError::bad_request("Invalid cursor"))?;
        if seq > hub.store.last_seq()? {
            return Err(HubError::bad_request("Invalid cursor"));
        }
        return Ok(Resume::Cursor(seq));
    }
    match query.get("since") {
        Some(since) => {
            Ok(Resume::Since(from_iso(since).ok_or_else(|| HubError::bad_request("Invalid since"))?))
        }
        None => Ok(Resume::Live),
    }
}

/// What is to be replayed; `None` when the resume point is too old.
fn past(hub: &Hub, bucket: &Bucket, resume: Resume) -> HubResult<Option<Vec<ChangeSet>>> {
    Ok(match resume {
        Resume::Live => Some(Vec::new()),
        Resume::Cursor(seq) if !hub.feed.remembers_seq(seq) => None,
        Resume::Since(at) if !hub.feed.remembers_instant(at) => None,
        Resume::Cursor(seq) => Some(hub.store.changes_after(bucket.key, seq)?),
        Resume::Since(at) => Some(hub.store.changes_since(bucket.key, at)?),
    })
}

/// What one listener still gets.
struct Stream {
    queue: VecDeque<String>,
    /// `None` after the last event: the queue is emptied, then the stream ends.
    live: Option<Live>,
}

struct Live {
    news: Receiver<News>,
    bucket: i64,
    seen: u64,
}

impl Stream {
    async fn next(&mut self) -> Option<String> {
        if let Some(text) = self.queue.pop_front() {
            return Some(text);
        }
        let live = self.live.as_mut()?;
        match tokio::time::timeout(PING, live.next()).await {
            Err(_) => Some(": ping\n\n".into()),
            Ok((text, goes_on)) => {
                if !goes_on {
                    self.live = None;
                }
                Some(text)
            }
        }
    }
}

impl Live {
    /// The next event, and whether the stream goes on after it.
    async fn next(&mut self) -> (String, bool) {
        loop {
            match self.news.recv().await {
                Ok(News::Changes(set)) if set.bucket == self.bucket && set.seq > self.seen => {
                    return (changes(&set), true);
                }
                Ok(News::Changes(_)) => {}
                Ok(News::Reconnect) => return (event("reconnect", &json!({})), false),
                Err(RecvError::Lagged(_) | RecvError::Closed) => {
                    return (event("reset", &json!({"reason": "lagged"})), false);
                }
            }
        }
    }
}

fn changes(set: &ChangeSet) -> String {
    event("changes", &json!({"cursor": set.seq.to_string(), "changes": set.changes}))
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
