//! A deterministic stand-in for the network: content is a function of hash and offset, every call is
//! counted, and latency, failures and pauses come when a test says so.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hub::HubError;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::content::source::Source;

/// What happens to one fetch.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    pub latency: Duration,
    /// Fails after this many bytes.
    pub fail_after: Option<u64>,
    /// Ends, without an error, after this many bytes.
    pub end_after: Option<u64>,
    /// Waits for `Network::gate` after this many bytes.
    pub pause_after: Option<u64>,
}

#[derive(Default)]
pub struct Network {
    /// For the next fetches, one each; then `usual`.
    pub coming: Mutex<VecDeque<Weather>>,
    pub usual: Mutex<Weather>,
    pub calls: Mutex<Vec<(String, Range<u64>)>>,
    pub bytes: AtomicU64,
    pub now: AtomicUsize,
    pub most_at_once: AtomicUsize,
    gate: Gate,
}

struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Gate(Arc::new(Semaphore::new(0)))
    }
}

/// Pieces the network sends, of a length that fits no block.
const PIECE: u64 = 50_000;

impl Network {
    pub fn with_latency(milliseconds: u64) -> Arc<Network> {
        let network = Network::default();
        network.usual.lock().latency = Duration::from_millis(milliseconds);
        Arc::new(network)
    }

    pub fn next(&self, weather: Weather) {
        self.coming.lock().push_back(weather);
    }

    /// Lets every paused fetch go on, now and later.
    pub fn open_gate(&self) {
        self.gate.0.close();
    }

    pub fn call_count(&self) -> usize {
        self.calls.lock().len()
    }

    pub fn bytes_sent(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

pub struct Wire(pub Arc<Network>);

impl Source for Wire {
    fn fetch(&self, hash: &str, size: u64, range: Range<u64>) -> BoxStream<'static, Result<Bytes, HubError>> {
        assert!(range.start < range.end && range.end <= size, "asked for {range:?} of {size}");
        let network = self.0.clone();
        network.calls.lock().push((hash.to_owned(), range.clone()));
        let weather = network.coming.lock().pop_front().unwrap_or_else(|| network.usual.lock().clone());
        let line =
            Line { _on: OnLine::new(&network), hash: hash.to_owned(), at: range.start, range, weather };
        stream::unfold(line, move |line| send_piece(network.clone(), line)).boxed()
    }
}

struct Line {
    _on: OnLine,
    hash: String,
    at: u64,
    range: Range<u64>,
    weather: Weather,
}

async fn send_piece(network: Arc<Network>, mut line: Line) -> Option<(Result<Bytes, HubError>, Line)> {
    let sent = line.at - line.range.start;
    if sent == 0 && !line.weather.latency.is_zero() {
        tokio::time::sleep(line.weather.latency).await;
    }
    if line.weather.pause_after.is_some_and(|after| sent >= after) {
        let _ = network.gate.0.acquire().await;
        line.weather.pause_after = None;
    }
    if line.weather.fail_after.is_some_and(|after| sent >= after) {
        line.at = line.range.end;
        line.weather = Weather::default();
        return Some((Err(HubError::offline("The line broke.")), line));
    }
    if line.at == line.range.end || line.weather.end_after.is_some_and(|after| sent >= after) {
        return None;
    }
    let stops = [line.weather.fail_after, line.weather.end_after, line.weather.pause_after];
    let stop = stops.into_iter().flatten().map(|after| line.range.start + after).min().unwrap_or(u64::MAX);
    let end = (line.at + PIECE).min(line.range.end).min(stop.max(line.at + 1));
    let piece = content(&line.hash, line.at..end);
    network.bytes.fetch_add(end - line.at, Ordering::SeqCst);
    line.at = end;
    tokio::task::yield_now().await;
    Some((Ok(piece), line))
}

struct OnLine(Arc<Network>);

impl OnLine {
    fn new(network: &Arc<Network>) -> OnLine {
        let now = network.now.fetch_add(1, Ordering::SeqCst) + 1;
        network.most_at_once.fetch_max(now, Ordering::SeqCst);
        OnLine(network.clone())
    }
}

impl Drop for OnLine {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The hash of test content number `seed`.
pub fn hash(seed: u64) -> String {
    format!("{seed:016x}").repeat(4)
}

/// The bytes `range` of the content `hash`: no two eight-byte words of it, or of two contents, are alike.
pub fn content(hash: &str, range: Range<u64>) -> Bytes {
    let seed = u64::from_str_radix(&hash[..16], 16).unwrap();
    let word =
        |number: u64| (number ^ seed.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let words = range.start / 8..range.end.div_ceil(8);
    let first = words.start * 8;
    let bytes: Vec<u8> = words.flat_map(word).collect();
    Bytes::from(bytes).slice((range.start - first) as usize..(range.end - first) as usize)
}
