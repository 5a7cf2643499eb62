//! The connection to the database is cut at each message of each verb. A token makes the verb happen once: it answers
//! `Ok` when the database is back, and leaves what one execution leaves.

use std::time::Duration;

use partstore::{
    CompleteOptions, Condition, Error, Key, ObjectOptions, Part, PartStore, Quota, Result, Upload,
};
use partstore_cluster::Cluster;
use partstore_contract::Engine;
use partstore_contract::support::{bytes, free_options, lines, number, read_part};

use crate::support::proxy::{Cut, Proxy, Then};
use crate::support::{Bytes, ClusterEngine, Servers, assert_tidy, case, later, sql};

/// One call, in a namespace of its own.
struct Verb {
    name: &'static str,
    /// What exists before.
    given: fn(&PartStore, &Place) -> Given,
    call: fn(&PartStore, &Place, &Given) -> Result<()>,
}

/// A namespace, and the bytes that are used there.
struct Place {
    namespace: String,
    seed: u64,
}

#[derive(Default)]
struct Given {
    upload: Option<Upload>,
    parts: Vec<Part>,
}

impl Given {
    fn upload(&self) -> &Upload {
        self.upload.as_ref().unwrap()
    }
}

impl Place {
    fn new(namespace: &str, seed: u64) -> Self {
        Self {
            namespace: namespace.to_owned(),
            seed,
        }
    }

    fn key(&self, key: &str) -> Key {
        Key::new(&self.namespace, key)
    }

    fn body(&self, at: u64) -> Vec<u8> {
        bytes(self.seed * 8 + at, 600)
    }

    /// The bodies by name, so that places with other bytes compare.
    fn label(&self, found: &[u8]) -> String {
        let known = (0..8).find(|at| self.body(*at) == found);
        known.map_or_else(
            || format!("{} other bytes", found.len()),
            |at| format!("body {at}"),
        )
    }
}

fn nothing(_: &PartStore, _: &Place) -> Given {
    Given::default()
}

/// An upload with part 1, which is body 0.
fn an_upload(store: &PartStore, place: &Place) -> Given {
    let upload = store.initiate_upload(place.key("key")).unwrap();
    let part = store.put_part(&upload, number(1), place.body(0)).unwrap();
    Given {
        upload: Some(upload),
        parts: vec![part],
    }
}

/// An upload, and another object under its key.
fn an_upload_over_an_object(store: &PartStore, place: &Place) -> Given {
    store.put_object(place.key("key"), place.body(1)).unwrap();
    an_upload(store, place)
}

fn an_object(store: &PartStore, place: &Place) -> Given {
    let object = store.put_object(place.key("key"), place.body(0)).unwrap();
    Given {
        upload: Some(object.upload),
        parts: Vec::new(),
    }
}

fn complete(store: &PartStore, given: &Given, options: &CompleteOptions) -> Result<()> {
    let done = store.complete_upload_with(given.upload(), &lines(&given.parts), options);
    done.map(drop)
}

const UPLOADS: [Verb; 7] = [
    Verb {
        name: "initiate",
        given: nothing,
        call: |store, place, _| store.initiate_upload(place.key("key")).map(drop),
    },
    Verb {
        name: "put_part, new",
        given: an_upload,
        call: |store, place, given| {
            store
                .put_part(given.upload(), number(2), place.body(2))
                .map(drop)
        },
    },
    Verb {
        name: "put_part, stored",
        given: an_upload,
        call: |store, place, given| {
            store
                .put_part(given.upload(), number(2), place.body(0))
                .map(drop)
        },
    },
    Verb {
        name: "put_part, replacing",
        given: an_upload,
        call: |store, place, given| {
            store
                .put_part(given.upload(), number(1), place.body(2))
                .map(drop)
        },
    },
    Verb {
        name: "abort",
        given: an_upload,
        call: |store, _, given| store.abort_upload(given.upload()),
    },
    Verb {
        name: "rename_upload",
        given: an_upload,
        call: |store, place, given| {
            store
                .rename_upload(given.upload(), place.key("other"))
                .map(drop)
        },
    },
    Verb {
        name: "copy_part",
        given: an_upload,
        call: |store, _, given| {
            let source = store.open_part(given.upload(), number(1))?;
            store
                .copy_part(&source, given.upload(), number(2))
                .map(drop)
        },
    },
];

const OBJECTS: [Verb; 5] = [
    Verb {
        name: "complete",
        given: an_upload,
        call: |store, _, given| complete(store, given, &CompleteOptions::new()),
    },
    Verb {
        name: "complete, taking the key",
        given: an_upload_over_an_object,
        call: |store, _, given| {
            let current = CompleteOptions::new().make_current(Condition::Always);
            complete(store, given, &current)
        },
    },
    Verb {
        name: "put_object, if absent",
        given: nothing,
        call: |store, place, _| {
            let absent = ObjectOptions::new().only(Condition::IfAbsent);
            store
                .put_object_with(place.key("key"), place.body(0), &absent)
                .map(drop)
        },
    },
    Verb {
        name: "put_object, replacing",
        given: an_object,
        call: |store, place, _| store.put_object(place.key("key"), place.body(2)).map(drop),
    },
    Verb {
        name: "copy_object",
        given: an_object,
        call: |store, place, given| {
            let source = store.open_object(given.upload())?;
            store
                .copy_object(&source, place.key("other"), &ObjectOptions::new())
                .map(drop)
        },
    },
];

const OTHERS: [Verb; 6] = [
    Verb {
        name: "remove_key",
        given: an_object,
        call: |store, place, _| {
            let had = store.remove_key(place.key("key"), Condition::Always)?;
            assert!(had, "the key had an object");
            Ok(())
        },
    },
    Verb {
        name: "remove_object",
        given: an_object,
        call: |store, _, given| store.remove_object(given.upload()),
    },
    Verb {
        name: "rename_object",
        given: an_object,
        call: |store, place, given| {
            let renamed =
                store.rename_object(given.upload(), place.key("other"), &ObjectOptions::new());
            renamed.map(drop)
        },
    },
    Verb {
        name: "replace_metadata",
        given: an_object,
        call: |store, _, given| store.replace_metadata(given.upload(), b"other").map(drop),
    },
    Verb {
        name: "create_namespace",
        given: nothing,
        call: |store, place, _| {
            store.create_namespace(&format!("{} more", place.namespace), Quota::new())
        },
    },
    Verb {
        name: "sweep",
        given: |store, place| {
            let given = an_upload(store, place);
            store.abort_upload(given.upload()).unwrap();
            given
        },
        call: |store, _, _| store.sweep().map(drop),
    },
];

/// Everything that a namespace holds, as lines that do not depend on ids, times and bytes.
fn state(store: &PartStore, place: &Place) -> Vec<String> {
    let space = store.namespace(&place.namespace).unwrap();
    let mut lines = vec![format!("{:?}", space.usage)];
    for entry in store.keys(place.key("")) {
        let key = entry.unwrap().key;
        let mut object = store.open_key(place.key(&key)).unwrap();
        let mut found = Vec::new();
        std::io::Read::read_to_end(&mut object, &mut found).unwrap();
        let metadata = object.object().metadata.len();
        lines.push(format!("{key}: {}, {metadata}", place.label(&found)));
    }
    for upload in store.uploads(place.key("")) {
        let upload = upload.unwrap().upload;
        lines.push(format!("upload of {}", upload.key()));
        for part in store.parts(&upload) {
            let part = part.unwrap().number;
            let found = read_part(store, &upload, part);
            lines.push(format!("  {part}: {}", place.label(&found)));
        }
    }
    let more = store.namespace(&format!("{} more", place.namespace));
    lines.push(format!("another namespace: {}", more.is_ok()));
    lines
}

/// Opens a store that may have too little patience for the first try.
fn open(cluster: &Cluster) -> PartStore {
    let opened = (0..100).find_map(|_| cluster.open(free_options()).ok());
    opened.expect("the database can be reached")
}

/// One store behind a proxy, and one beside it, which sees the truth.
struct Bench {
    proxy: Proxy,
    cut: PartStore,
    servers: Servers,
    places: u64,
}

impl Bench {
    fn new(patience: Duration) -> Self {
        let engine = ClusterEngine::new(Bytes::memory());
        let proxy = Proxy::new();
        let cluster = engine.bytes.cluster_at(&proxy.database(), &engine.schema);
        let truth = engine.open(free_options()).unwrap();
        Self {
            cut: open(&cluster.patience(patience)),
            servers: Servers {
                engine,
                stores: vec![truth],
            },
            proxy,
            places: 0,
        }
    }

    fn truth(&self) -> &PartStore {
        &self.servers.stores[0]
    }

    fn place(&mut self, verb: &Verb) -> (Place, Given) {
        self.places += 1;
        let place = Place::new(&format!("place {}", self.places), self.places);
        let truth = self.truth();
        truth
            .create_namespace(&place.namespace, Quota::new())
            .unwrap();
        let given = (verb.given)(truth, &place);
        (place, given)
    }

    /// What one execution leaves, and what none leaves.
    fn uncut(&mut self, verb: &Verb) -> (Vec<String>, Vec<String>) {
        let (place, given) = self.place(verb);
        let before = state(self.truth(), &place);
        (verb.call)(self.truth(), &place, &given).unwrap();
        (before, state(self.truth(), &place))
    }

    /// A call that is cut, and what it leaves. `None` if it ends before the cut.
    fn run(&mut self, verb: &Verb, cut: Cut, then: Then) -> Option<(Result<()>, Vec<String>)> {
        let (place, given) = self.place(verb);
        self.proxy.arm(cut, then);
        let done = (verb.call)(&self.cut, &place, &given);
        self.proxy
            .heal()
            .then(|| (done, state(self.truth(), &place)))
    }

    /// A day later, and with the session behind the proxy ended, nothing is left that no row names.
    fn assert_tidy(self) {
        drop(self.cut.close());
        // If little patience kept it from saying so.
        sql::run(&format!(
            "UPDATE {}.sessions SET expires = now() - interval '1 second'",
            self.servers.engine.schema
        ));
        later(&self.servers.engine.schema);
        assert_tidy(&self.servers);
        later(&self.servers.engine.schema);
        assert_tidy(&self.servers);
        let doomed = sql::query(&format!(
            "SELECT count(*) FROM {}.doomed",
            self.servers.engine.schema
        ));
        assert_eq!(doomed[0].get::<_, i64>(0), 0);
    }
}

/// The cuts of one kind, until a call ends before the cut.
fn cuts() -> [fn(usize) -> Cut; 5] {
    [
        |at| Cut::Asked { at, half: false },
        |at| Cut::Asked { at, half: true },
        |at| Cut::Answered { at, half: false },
        |at| Cut::Answered { at, half: true },
        |reply| Cut::Lost { reply },
    ]
}

fn each_is_done_once(verbs: &[Verb]) {
    let mut bench = Bench::new(Duration::from_secs(30));
    for verb in verbs {
        let (_, after) = bench.uncut(verb);
        for cut in cuts() {
            for at in 0.. {
                let Some((done, left)) = bench.run(verb, cut(at), Then::Back) else {
                    break;
                };
                let of = (verb.name, cut(at));
                assert!(done.is_ok(), "{of:?}: {done:?}");
                assert_eq!(left, after, "{of:?}");
            }
        }
    }
    bench.assert_tidy();
}

fn each_says_what_is_known(verbs: &[Verb]) {
    let mut bench = Bench::new(Duration::from_millis(100));
    for verb in verbs {
        let (before, after) = bench.uncut(verb);
        for cut in [cuts()[0], cuts()[4]] {
            for at in 0.. {
                let Some((done, left)) = bench.run(verb, cut(at), Then::Away) else {
                    break;
                };
                let of = (verb.name, cut(at));
                match done {
                    Ok(()) => assert_eq!(left, after, "{of:?}"),
                    Err(Error::Unavailable { .. }) if before != after => {
                        assert_eq!(left, before, "{of:?}: nothing was said to be changed");
                    }
                    Err(Error::Unavailable { .. }) => {}
                    Err(Error::OutcomeUnknown { .. }) => {
                        assert!([&before, &after].contains(&&left), "{of:?}: {left:?}");
                    }
                    Err(other) => panic!("{of:?}: {other}"),
                }
            }
        }
    }
    bench.assert_tidy();
}

#[test]
fn each_verb_of_uploads_that_is_cut_is_done_once() {
    case(|| each_is_done_once(&UPLOADS));
}

#[test]
fn each_verb_of_objects_that_is_cut_is_done_once() {
    case(|| each_is_done_once(&OBJECTS));
}

#[test]
fn each_other_verb_that_is_cut_is_done_once() {
    case(|| each_is_done_once(&OTHERS));
}

#[test]
fn a_verb_whose_database_stays_away_says_that_nothing_changed_or_that_nobody_knows() {
    case(|| each_says_what_is_known(&UPLOADS));
    case(|| each_says_what_is_known(&OBJECTS));
    case(|| each_says_what_is_known(&OTHERS));
}

#[test]
fn an_attempt_that_arrives_late_changes_nothing_behind_the_one_in_its_place() {
    case(|| {
        for at in (0..).step_by(5) {
            let bench = Bench::new(Duration::from_secs(30));
            bench.proxy.arm(Cut::Late { at }, Then::Back);
            // The first call of a store reserves tokens, too. A request has five messages.
            let object = bench.cut.put_object("key", b"body".to_vec()).unwrap();
            if !bench.proxy.heal() {
                break;
            }
            // The tokens that were used are forgotten.
            bench.cut.sweep().unwrap();
            bench.proxy.release();
            let found = bench.truth().object_by_key("key").unwrap();
            assert_eq!(found.upload, object.upload);
            bench.assert_tidy();
        }
    });
}

#[test]
fn a_verb_that_was_refused_does_not_happen_when_its_first_attempt_arrives() {
    case(|| {
        let mut bench = Bench::new(Duration::from_secs(30));
        for at in 0.. {
            let place = bench.place(&OBJECTS[0]);
            let (place, given) = (&place.0, &place.1);
            complete(bench.truth(), given, &CompleteOptions::new()).unwrap();
            bench
                .truth()
                .put_object(place.key("key"), place.body(1))
                .unwrap();
            bench.proxy.arm(Cut::Late { at }, Then::Back);
            let refused = bench.cut.make_current(given.upload(), Condition::IfAbsent);
            assert_eq!(refused.unwrap_err().code(), "PreconditionFailed");
            if !bench.proxy.heal() {
                break;
            }
            bench
                .truth()
                .remove_key(place.key("key"), Condition::Always)
                .unwrap();
            bench.proxy.release();
            let found = bench.truth().object_by_key(place.key("key"));
            assert_eq!(found.unwrap_err().code(), "NoSuchKey", "{at}");
        }
        bench.assert_tidy();
    });
}

#[test]
fn a_put_whose_answer_and_then_lease_are_lost_is_not_said_to_be_refused() {
    case(|| {
        for reply in 0.. {
            let mut bench = Bench::new(Duration::from_secs(30));
            let (place, given) = bench.place(&UPLOADS[1]);
            bench.proxy.arm(Cut::Lost { reply }, Then::Away);
            let put = std::thread::scope(|scope| {
                let put = scope.spawn(|| (UPLOADS[1].call)(&bench.cut, &place, &given));
                while !bench.proxy.has_cut() && !put.is_finished() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                sql::run(&format!(
                    "UPDATE {}.sessions SET expires = now() - interval '1 second'",
                    bench.servers.engine.schema
                ));
                bench.truth().sweep().unwrap();
                (bench.proxy.heal(), put.join().unwrap())
            });
            let is_put = bench.truth().parts(given.upload()).count() == 2;
            match put {
                (false, Ok(())) => break,
                (_, Ok(())) => assert!(is_put),
                (_, Err(Error::Unavailable { .. })) => assert!(!is_put, "reply {reply}"),
                (_, Err(Error::OutcomeUnknown { .. })) => {}
                (_, Err(other)) => panic!("reply {reply}: {other}"),
            }
            bench.assert_tidy();
        }
    });
}
