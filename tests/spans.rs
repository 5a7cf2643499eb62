//! With the feature `tracing`, calls and what they wait for are spans.

use std::sync::{Arc, Mutex};

use partstore::{Background, Options, PartNumber};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The names of the spans of the store, in the order in which they began, with what they are in.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: Vec<&'static str>,
    entered: Vec<u64>,
    /// A span and the one around it.
    seen: Vec<(&'static str, Option<&'static str>)>,
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "partstore"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().unwrap();
        let around = state
            .entered
            .last()
            .map(|id| state.names[usize::try_from(*id).unwrap() - 1]);
        let name = span.metadata().name();
        state.names.push(name);
        state.seen.push((name, around));
        Id::from_u64(state.names.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }
}

/// All on this thread.
#[test]
fn calls_are_spans_and_groups_are_inside_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::cos().background(Background::Host);
    let store = options.open(dir.path().join("data")).unwrap();
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        let upload = store.initiate_upload("key").unwrap();
        let part = store.put_part(&upload, PartNumber::MIN, "bytes").unwrap();
        store.complete_upload(&upload, &[(&part).into()]).unwrap();
        store.remove_object(&upload).unwrap();
        store.sweep().unwrap();
    });
    let seen = std::mem::take(&mut spans.0.lock().unwrap().seen);
    let expected = [
        ("initiate", None),
        ("group", Some("initiate")),
        ("put_part", None),
        ("group", Some("put_part")),
        ("complete", None),
        ("group", Some("complete")),
        ("remove_object", None),
        ("group", Some("remove_object")),
        ("sweep", None),
        ("group", Some("sweep")),
    ];
    assert_eq!(seen, expected);
}
