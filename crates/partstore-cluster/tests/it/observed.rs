//! What an observer is told of a cluster.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use partstore::{Background, Event, Options, PartStore, PutKind, Remote};
use partstore_cluster::Cluster;
use partstore_contract::support::{bytes, free_options, number, race};

use crate::support::proxy::{Cut, Proxy, Then};
use crate::support::{Bytes, Servers, case};

/// Everything that was told, and how many changes those were.
#[derive(Clone, Default)]
struct Told {
    events: Arc<Mutex<Vec<Event>>>,
    changes: Arc<AtomicU64>,
}

impl Told {
    fn open(&self, cluster: &Cluster, options: Options) -> PartStore {
        let told = self.clone();
        let note = move |event: &Event| {
            if let Event::Group { changes, .. } = event {
                told.changes.fetch_add(*changes, Ordering::Relaxed);
            }
            told.events.lock().unwrap().push(event.clone());
        };
        cluster.open(options.observer(note)).unwrap()
    }

    /// What was told since this was called last, as far as it is meant.
    fn take<T>(&self, meant: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        events.iter().filter_map(meant).collect()
    }
}

/// Waits a little, which is not what was waited for.
fn nap() -> bool {
    std::thread::sleep(Duration::from_millis(1));
    false
}

fn put(event: &Event) -> Option<(u64, PutKind)> {
    match event {
        Event::Put { bytes, kind, .. } => Some((*bytes, *kind)),
        _ => None,
    }
}

fn sent(event: &Event) -> Option<(Remote, u64, bool)> {
    match event {
        Event::Request {
            to,
            bytes,
            answered,
            ..
        } => Some((*to, *bytes, *answered)),
        _ => None,
    }
}

#[test]
fn puts_transactions_and_what_is_sent_to_the_bucket_are_told() {
    case(|| {
        let servers = Servers::new(0, Bytes::memory());
        let told = Told::default();
        let store = told.open(&servers.engine.cluster(), free_options());
        let upload = store.initiate_upload("key").unwrap();
        // Longer than what is put at once: pieces of 5 MiB.
        let body = bytes(1, 12 << 20);
        told.take(|_| Some(()));
        store.put_part(&upload, number(1), body.clone()).unwrap();
        let requests = told.take(sent);
        let to_bucket = requests.iter().filter(|(to, ..)| *to == Remote::Bucket);
        let lengths: Vec<_> = to_bucket.map(|(_, bytes, _)| *bytes).collect();
        assert_eq!(lengths.iter().sum::<u64>(), 12 << 20);
        assert!(lengths.contains(&(5 << 20)), "{lengths:?}");
        let to_database = requests.iter().filter(|(to, ..)| *to == Remote::Database);
        assert!(to_database.count() >= 1 && requests.iter().all(|(.., answered)| *answered));

        store.put_part(&upload, number(2), body).unwrap();
        assert_eq!(told.take(put), [(12 << 20, PutKind::Known)]);
        race(8, |at| {
            let at = u32::try_from(at + 3).unwrap();
            store.put_part(&upload, number(at), bytes(u64::from(at), 100))
        });
        // A group is told behind the answers to its puts.
        let all_are_told = || told.changes.load(Ordering::Relaxed) >= 10;
        let _ = (0..10_000).any(|_| all_are_told() || nap());
        assert_eq!(told.changes.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn an_unknown_outcome_is_told_as_often_as_it_is_answered() {
    case(|| {
        let servers = Servers::new(0, Bytes::memory());
        let (proxy, told) = (Proxy::new(), Told::default());
        let engine = &servers.engine;
        let cluster = engine.bytes.cluster_at(&proxy.database(), &engine.schema);
        let cluster = cluster.patience(Duration::from_millis(100));
        let store = told.open(&cluster, free_options().background(Background::Host));
        let upload = store.initiate_upload("key").unwrap();
        let mut unknown = Vec::new();
        // Each reply is lost once, until the call needs no more of them.
        for reply in 0.. {
            proxy.arm(Cut::Lost { reply }, Then::Away);
            let answer = store.put_part(&upload, number(1), bytes(reply as u64, 100));
            if !proxy.heal() {
                break;
            }
            if let Err(partstore::Error::OutcomeUnknown { cause }) = answer {
                unknown.push(cause);
            }
        }
        assert!(!unknown.is_empty());
        let failed = told.events.lock().unwrap().iter().filter_map(sent).count();
        assert!(failed > 0);
        let told = told.take(|event| match event {
            Event::OutcomeUnknown { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        assert_eq!(told, unknown);
    });
}
