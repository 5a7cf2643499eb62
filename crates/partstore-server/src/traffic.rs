//! [`Traffic`]: what requests have brought and taken, and what the store has written and synced for them, since the start
//! and in the last minutes.

use std::array;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::{Method, StatusCode};
use metrics::{counter, histogram};
use parking_lot::Mutex;
use serde::Serialize;
/// How long a span of the last minutes is.
pub const SPAN: Duration = Duration::from_secs(5);
/// So many spans are kept: ten minutes.
const SPANS: usize = 120;
/// Steps of the times that are told apart, for each factor of two.
const STEPS: u32 = 4;
const STEPS_IN_ALL: usize = 128;

/// What all requests share. The admin's own are not counted.
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    under_way: AtomicU64,
    now: [Current; 2],
    commits: Current,
    /// Changes of those commits.
    changes: AtomicU64,
    syncs: [Current; 4],
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    last: VecDeque<Span>,
    /// Bytes until the last span's end.
    received: u64,
    sent: u64,
}

/// The requests, commits or syncs of a kind in the span that has not ended.
struct Current {
    failed: AtomicU64,
    /// How many took how long.
    times: [AtomicU64; STEPS_IN_ALL],
}

/// What requests are, for a person who looks at their times.
#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

/// What the store has synced.
#[derive(Clone, Copy)]
pub enum Sync {
    Journal,
    Blob,
    Directory,
    Layer,
}

/// Some seconds.
#[derive(Clone, Serialize)]
pub struct Span {
    /// Its end, seconds since 1970.
    at: u64,
    received_bytes: u64,
    sent_bytes: u64,
    reads: Times,
    writes: Times,
    /// Groups of changes that became durable together, and how many changes they had.
    commits: Times,
    changes: u64,
    syncs: Syncs,
}

#[derive(Clone, Serialize)]
struct Syncs {
    journal: Times,
    blob: Times,
    directory: Times,
    layer: Times,
}

/// What ended in a span, of one kind.
#[derive(Clone, Default, Serialize)]
struct Times {
    count: u64,
    /// Requests that the server has failed: 5xx.
    failed: u64,
    /// Milliseconds for half of them, and for 99 of 100. They are right to a fifth. Those of a request go from its head
    /// to the last byte of the answer.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Traffic {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            now: array::from_fn(|_| Current::new()),
            commits: Current::new(),
            changes: AtomicU64::new(0),
            syncs: array::from_fn(|_| Current::new()),
            spans: Mutex::default(),
        })
    }

    pub fn begins(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    pub fn receives(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn sends(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request has been answered to its end, or its client has left.
    pub fn ends(
        &self,
        (protocol, method): (&'static str, &Method),
        status: StatusCode,
        took: Duration,
    ) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let kind = Kind::of(method);
        if let Some(now) = self.now.get(kind as usize) {
            if status.is_server_error() {
                now.failed.fetch_add(1, Ordering::Relaxed);
            }
            now.count(took);
        }
        let method = known(method);
        let class = class(status);
        counter!("partstore_requests_total", "protocol" => protocol, "method" => method, "status" => class)
            .increment(1);
        histogram!("partstore_request_seconds", "protocol" => protocol, "method" => method)
            .record(took.as_secs_f64());
    }

    /// So many changes became durable together.
    pub fn commits(&self, changes: u64, took: Duration) {
        self.commits.count(took);
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }

    pub fn syncs(&self, kind: Sync, took: Duration) {
        if let Some(syncs) = self.syncs.get(kind as usize) {
            syncs.count(took);
        }
    }

    /// Bytes that came in and went out since the start.
    pub fn bytes(&self) -> (u64, u64) {
        let bytes = [&self.received, &self.sent].map(|bytes| bytes.load(Ordering::Relaxed));
        (bytes[0], bytes[1])
    }

    /// Requests whose answer has not ended.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The last minutes, the oldest span first.
    pub fn last_minutes(&self) -> Vec<Span> {
        self.spans.lock().last.iter().cloned().collect()
    }

    /// Ends a span. Whoever keeps the traffic calls it every [`SPAN`].
    pub fn end_span(&self) {
        let (received, sent) = self.bytes();
        let [reads, writes] = self.now.each_ref().map(Current::take);
        let commits = self.commits.take();
        let changes = self.changes.swap(0, Ordering::Relaxed);
        let [journal, blob, directory, layer] = self.syncs.each_ref().map(Current::take);
        let mut spans = self.spans.lock();
        let span = Span {
            at: unix_seconds(SystemTime::now()),
            received_bytes: received - spans.received,
            sent_bytes: sent - spans.sent,
            reads,
            writes,
            commits,
            changes,
            syncs: Syncs {
                journal,
                blob,
                directory,
                layer,
            },
        };
        (spans.received, spans.sent) = (received, sent);
        if spans.last.len() == SPANS {
            spans.last.pop_front();
        }
        spans.last.push_back(span);
    }
}

impl Current {
    fn new() -> Self {
        Self {
            failed: AtomicU64::new(0),
            times: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn count(&self, took: Duration) {
        if let Some(times) = self.times.get(step_of(took)) {
            times.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What it has counted, which is then counted anew.
    fn take(&self) -> Times {
        let times = self
            .times
            .each_ref()
            .map(|times| times.swap(0, Ordering::Relaxed));
        let count: u64 = times.iter().sum();
        Times {
            count,
            failed: self.failed.swap(0, Ordering::Relaxed),
            p50_ms: reached(&times, count.div_ceil(2)),
            p99_ms: reached(&times, (count * 99).div_ceil(100)),
        }
    }
}

/// The longest time of the `count` shortest ones, milliseconds.
fn reached(times: &[u64; STEPS_IN_ALL], count: u64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    let mut so_far = 0;
    let step = times.iter().position(|times| {
        so_far += times;
        so_far >= count
    })?;
    Some(micros_of(step) / 1e3)
}

/// Times have steps of 2^(1/4), from a microsecond on.
fn step_of(took: Duration) -> usize {
    let micros = took.as_secs_f64() * 1e6;
    let step = (micros.max(1.0).log2() * f64::from(STEPS)).ceil();
    (0..STEPS_IN_ALL - 1)
        .find(|at| f64::from(u32::try_from(*at).unwrap_or(u32::MAX)) >= step)
        .unwrap_or(STEPS_IN_ALL - 1)
}

fn micros_of(step: usize) -> f64 {
    let step = f64::from(u32::try_from(step).unwrap_or(u32::MAX));
    (step / f64::from(STEPS)).exp2()
}

impl Kind {
    fn of(method: &Method) -> Self {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
            Self::Read
        } else {
            Self::Write
        }
    }
}

/// Whole seconds since 1970.
pub fn unix_seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Clients may send any method.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_times_of_its_requests() {
        let traffic = Traffic::new();
        for ms in 1..=100 {
            traffic.begins();
            let took = Duration::from_millis(ms);
            traffic.ends(("COS", &Method::PUT), StatusCode::OK, took);
        }
        traffic.begins();
        let failed = StatusCode::SERVICE_UNAVAILABLE;
        traffic.ends(("S3", &Method::GET), failed, Duration::ZERO);
        traffic.receives(7);
        for changes in [1, 3] {
            traffic.commits(changes, Duration::from_millis(2));
            traffic.syncs(Sync::Blob, Duration::from_millis(4));
        }
        traffic.end_span();
        traffic.receives(5);
        traffic.end_span();

        let spans = traffic.last_minutes();
        let received: Vec<_> = spans.iter().map(|span| span.received_bytes).collect();
        assert_eq!(received, [7, 5]);
        let (reads, writes) = (&spans[0].reads, &spans[0].writes);
        assert_eq!((reads.count, reads.failed), (1, 1));
        assert_eq!((writes.count, writes.failed), (100, 0));
        let near = |ms: Option<f64>, right: f64| (1.0..1.2).contains(&(ms.unwrap() / right));
        assert!(near(writes.p50_ms, 50.0), "{:?}", writes.p50_ms);
        assert!(near(writes.p99_ms, 99.0), "{:?}", writes.p99_ms);
        assert_eq!((spans[0].commits.count, spans[0].changes), (2, 4));
        assert!(near(spans[0].commits.p50_ms, 2.0));
        let syncs = &spans[0].syncs;
        assert_eq!((syncs.blob.count, syncs.journal.count), (2, 0));
        assert!(near(syncs.blob.p99_ms, 4.0));
        assert_eq!(spans[1].writes.p50_ms, None);
        assert_eq!((spans[1].commits.count, spans[1].changes), (0, 0));
        assert_eq!(traffic.under_way(), 0);
    }

    #[test]
    fn ten_minutes_are_kept() {
        let traffic = Traffic::new();
        for _ in 0..2 * SPANS {
            traffic.end_span();
        }
        assert_eq!(traffic.last_minutes().len(), SPANS);
    }

    #[test]
    fn the_longest_times_are_one() {
        assert_eq!(step_of(Duration::ZERO), 0);
        assert_eq!(step_of(Duration::MAX), STEPS_IN_ALL - 1);
    }
}
