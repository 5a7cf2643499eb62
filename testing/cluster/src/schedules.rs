//! Schedules made by hand: one call naps at a chosen place of a function, and another comes between.

use std::io::Read;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use partstore::{
    CompleteOptions, CompletedPart, Condition, Key, ObjectOptions, Part, PartNumber, PartStore,
    Quota, Result, Scope, Upload,
};

use crate::functions::{FUNCTIONS, with_change};
use crate::sabotage::Sabotage;
use crate::server::{Place, files_below};
use crate::sql;

/// A function, and the text before which it naps.
type Napping = (&'static str, &'static str);

/// One schedule: where something naps, and what is done. It answers what is wrong.
pub struct Schedule {
    pub name: &'static str,
    naps: Option<Napping>,
    play: fn(&Stage) -> Option<String>,
}

/// Two servers of one store.
pub struct Stage {
    place: Place,
    one: PartStore,
    two: PartStore,
}

const LEASE: Duration = Duration::from_secs(6);
const NAP: &str = "  IF (SELECT count(*) FROM pg_sleep(0.8)) < 0 THEN NULL; END IF;\n";
const COMMITS_A_PART: Napping = ("put_parts_v2", "  WITH put AS (");
const BEGINS_TO_PUT: Napping = ("put_parts_v2", "  WITH used AS (");
const HAS_LOCKED_THE_KEY: Napping = ("put_object_v2", "  FOR c IN SELECT");

pub const ALL: &[Schedule] = &[
    Schedule {
        name: "a completion comes while a part is put",
        naps: Some(COMMITS_A_PART),
        play: completed_while_put,
    },
    Schedule {
        name: "an abort comes while a part is put",
        naps: Some(COMMITS_A_PART),
        play: aborted_while_put,
    },
    Schedule {
        name: "a put comes while a completion has looked",
        naps: Some((
            "complete_v1",
            "  IF p_replaced IS NOT NULL THEN\n    SELECT",
        )),
        play: put_while_completed,
    },
    Schedule {
        name: "a put comes while a completion is made",
        naps: Some(("complete_v1", "  UPDATE ps.uploads SET completed")),
        play: put_while_completed,
    },
    Schedule {
        name: "two completions",
        naps: Some((
            "complete_v1",
            "  IF p_replaced IS NOT NULL THEN\n    SELECT",
        )),
        play: two_completions,
    },
    Schedule {
        name: "an upload ends before its part is committed",
        naps: Some(BEGINS_TO_PUT),
        play: completed_while_put,
    },
    Schedule {
        name: "a put comes while an upload is removed",
        naps: Some(("drop_v1", "  DELETE FROM ps.uploads")),
        play: put_while_aborted,
    },
    Schedule {
        name: "two objects for a key that has none",
        naps: Some(HAS_LOCKED_THE_KEY),
        play: two_objects,
    },
    Schedule {
        name: "an object comes before the key is locked",
        naps: Some(("put_object_v2", "  l_old := ps.lock_key_v1")),
        play: two_objects,
    },
    Schedule {
        name: "a key is removed while its object is replaced",
        naps: Some(HAS_LOCKED_THE_KEY),
        play: removed_while_replaced,
    },
    Schedule {
        name: "a sweep comes while a blob is referred to",
        naps: Some(COMMITS_A_PART),
        play: swept_while_put,
    },
    Schedule {
        name: "a blob is being removed when it is wanted back",
        naps: Some(BEGINS_TO_PUT),
        play: removing_while_put,
    },
    Schedule {
        name: "two objects for a quota of one",
        naps: Some(HAS_LOCKED_THE_KEY),
        play: over_the_quota,
    },
    Schedule {
        name: "a namespace is removed while an object is put",
        naps: Some(HAS_LOCKED_THE_KEY),
        play: removed_namespace,
    },
    Schedule {
        name: "two objects for the object that a key has",
        naps: Some(HAS_LOCKED_THE_KEY),
        play: two_replacements,
    },
    Schedule {
        name: "two servers put the same new bytes",
        naps: Some(BEGINS_TO_PUT),
        play: same_bytes,
    },
    Schedule {
        name: "two parts for a quota of one",
        naps: Some(COMMITS_A_PART),
        play: parts_over_the_quota,
    },
    Schedule {
        name: "a part is replaced, by one of damaged bytes, and more of them come",
        naps: None,
        play: replaced_and_repaired,
    },
    Schedule {
        name: "a put comes again, and one is refused",
        naps: None,
        play: tokens_of_puts,
    },
    Schedule {
        name: "a sweep comes while a blob is locked",
        naps: None,
        play: swept_while_locked,
    },
    Schedule {
        name: "a row loses what it refers to",
        naps: None,
        play: foreign_keys,
    },
    Schedule {
        name: "a server reads what another removes",
        naps: None,
        play: |stage| read_while_removed(stage, &stage.two),
    },
    Schedule {
        name: "a server reads what it removes",
        naps: None,
        play: |stage| read_while_removed(stage, &stage.one),
    },
    Schedule {
        name: "a lease is over",
        naps: None,
        play: lease_is_over,
    },
];

impl Schedule {
    /// Plays it on a store of its own.
    pub fn play(&self, database: &str, sabotage: Option<&Sabotage>) -> Option<String> {
        let scratch = tempfile::tempdir().unwrap();
        let schema = format!("schedule_{}_{}", std::process::id(), fastrand::u64(..));
        let place = Place {
            database: database.to_owned(),
            schema: schema.clone(),
            files: scratch.path().join("files"),
        };
        place.open().unwrap().close().unwrap();
        let functions = self.naps.map_or_else(
            || FUNCTIONS.to_owned(),
            |(function, before)| {
                with_change(FUNCTIONS, function, before, &format!("{NAP}{before}"))
            },
        );
        let functions =
            sabotage.map_or_else(|| functions.clone(), |sabotage| sabotage.apply(&functions));
        sql::run(database, &schema, &functions).unwrap();
        let open = || place.open_with(LEASE).unwrap();
        let (one, two) = (open(), open());
        let stage = Stage { place, one, two };
        let wrong = (self.play)(&stage).or_else(|| stage.untidy(scratch.path()));
        // Heartbeats would be in the way of the removal.
        let closed = stage.one.close().and(stage.two.close());
        sql::run(database, "", &format!("DROP SCHEMA {schema} CASCADE")).unwrap();
        wrong.or_else(|| {
            closed
                .err()
                .map(|error| format!("a server does not close: {error}"))
        })
    }
}

impl Stage {
    /// Calls one, and a little later the other.
    fn both<A: Send, B>(
        &self,
        one: impl FnOnce(&PartStore) -> A + Send,
        two: impl FnOnce(&PartStore) -> B,
    ) -> (A, B) {
        scope(|scope| {
            let first = scope.spawn(|| one(&self.one));
            sleep(Duration::from_millis(300));
            let second = two(&self.two);
            (first.join().unwrap(), second)
        })
    }

    fn untidy(&self, scratch: &Path) -> Option<String> {
        if let Err(error) = self.sweep() {
            return Some(format!("the sweep fails: {error}"));
        }
        let report = match self.two.verify(Scope::Everything) {
            Ok(report) => report,
            Err(error) => return Some(format!("verify fails: {error}")),
        };
        if !report.is_clean() {
            return Some(format!("{report:?}"));
        }
        let count = |query: &str| -> i64 {
            sql::query(&self.place.database, &self.place.schema, query)[0].get(0)
        };
        let lost = "SELECT (SELECT count(*) FROM ps.parts p WHERE NOT EXISTS (SELECT 1 FROM ps.uploads WHERE id = p.upload))
            + (SELECT count(*) FROM ps.parts p WHERE NOT EXISTS (SELECT 1 FROM ps.blobs WHERE content = p.content))";
        if count(lost) > 0 {
            return Some("a part has no upload or no blob".to_owned());
        }
        let begun = Instant::now();
        loop {
            let files = files_below(&scratch.join("files")).len();
            let blobs = count("SELECT count(*) FROM ps.blobs");
            if i64::try_from(files) == Ok(blobs) {
                return None;
            }
            if begun.elapsed() > 4 * LEASE {
                return Some(format!("{blobs} blobs have {files} files"));
            }
            // A server that stood still for too long has another lease. What the one before had goes when that is over.
            sleep(LEASE / 4);
            if let Err(error) = self.sweep() {
                return Some(format!("a later sweep fails: {error}"));
            }
        }
    }

    /// One stamps, the other learns of it, and then it is taken.
    fn sweep(&self) -> Result<()> {
        for store in [&self.one, &self.two, &self.one] {
            store.sweep()?;
        }
        Ok(())
    }
}

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

fn put(store: &PartStore, upload: &Upload, at: u32, body: &[u8]) -> Result<Part> {
    store.put_part(upload, number(at), body.to_vec())
}

fn wrong(is_wrong: bool, what: &str) -> Option<String> {
    is_wrong.then(|| what.to_owned())
}

fn reads(store: &PartStore, upload: &Upload, body: &[u8]) -> bool {
    let mut read = Vec::new();
    store
        .open_object(upload)
        .is_ok_and(|mut reader| reader.read_to_end(&mut read).is_ok() && read == body)
}

fn completed_while_put(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    let list = [CompletedPart::from(
        &put(&stage.one, &upload, 1, b"old").unwrap(),
    )];
    let (_, completed) = stage.both(
        |one| put(one, &upload, 1, b"new"),
        |two| two.complete_upload(&upload, &list),
    );
    wrong(
        completed.is_ok() && !reads(&stage.two, &upload, b"old"),
        "the object has other bytes than its list",
    )
}

fn aborted_while_put(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    let (_, aborted) = stage.both(
        |one| put(one, &upload, 1, b"body"),
        |two| two.abort_upload(&upload),
    );
    aborted.err().map(|error| error.to_string())
}

fn put_while_completed(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    let list = [CompletedPart::from(
        &put(&stage.one, &upload, 1, b"old").unwrap(),
    )];
    let (completed, _) = stage.both(
        |one| one.complete_upload(&upload, &list),
        |two| put(two, &upload, 1, b"new"),
    );
    wrong(
        completed.is_ok() && !reads(&stage.two, &upload, b"old"),
        "the object has other bytes than its list",
    )
}

fn two_completions(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    let parts = [
        put(&stage.one, &upload, 1, b"1").unwrap(),
        put(&stage.one, &upload, 2, b"2").unwrap(),
    ];
    let list = parts.map(|part| CompletedPart::from(&part));
    let options = CompleteOptions::new();
    let (one, two) = stage.both(
        |one| one.complete_upload_with(&upload, &list, &options),
        |two| two.complete_upload_with(&upload, &list[..1], &options),
    );
    wrong(
        one.is_ok() == two.is_ok(),
        "not one of two completions was made",
    )
}

fn put_while_aborted(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    put(&stage.one, &upload, 1, b"old").unwrap();
    let (aborted, put) = stage.both(
        |one| one.abort_upload(&upload),
        |two| put(two, &upload, 2, b"new"),
    );
    wrong(
        aborted.is_ok() && put.is_ok() && stage.two.open_part(&upload, number(2)).is_ok(),
        "an aborted upload has a part",
    )
}

fn two_objects(stage: &Stage) -> Option<String> {
    let options = ObjectOptions::new().only(Condition::IfAbsent);
    let (one, two) = stage.both(
        |one| one.put_object_with("key", b"one".to_vec(), &options),
        |two| two.put_object_with("key", b"two".to_vec(), &options),
    );
    wrong(one.is_ok() == two.is_ok(), "not one of two objects was put")
}

fn removed_while_replaced(stage: &Stage) -> Option<String> {
    stage.one.put_object("key", b"first".to_vec()).unwrap();
    let (put, removed) = stage.both(
        |one| one.put_object("key", b"second".to_vec()),
        |two| two.remove_key("key", Condition::Always),
    );
    let lost = put.is_ok()
        && removed.is_ok_and(|had| had)
        && stage.one.objects().count() > 0
        && stage.one.object_by_key("key").is_err();
    wrong(lost, "an object has lost its key")
}

fn swept_while_put(stage: &Stage) -> Option<String> {
    let (first, second) = (
        stage.two.initiate_upload("first").unwrap(),
        stage.two.initiate_upload("second").unwrap(),
    );
    put(&stage.two, &first, 1, b"body").unwrap();
    stage.two.abort_upload(&first).unwrap();
    let (put, _) = stage.both(|one| put(one, &second, 1, b"body"), PartStore::sweep);
    put.err().map(|error| error.to_string())
}

/// As if the server that wants it back had lost its lease.
fn removing_while_put(stage: &Stage) -> Option<String> {
    let (first, second) = (
        stage.two.initiate_upload("first").unwrap(),
        stage.two.initiate_upload("second").unwrap(),
    );
    put(&stage.two, &first, 1, b"body").unwrap();
    stage.two.abort_upload(&first).unwrap();
    let (put, ()) = stage.both(
        |one| put(one, &second, 1, b"body"),
        |two| {
            two.sweep().unwrap();
            let taken = "UPDATE ps.doomed SET removing = true, again = now() - interval '1 second'";
            sql::run(&stage.place.database, &stage.place.schema, taken).unwrap();
        },
    );
    wrong(
        put.is_ok()
            && sql::query(
                &stage.place.database,
                &stage.place.schema,
                "SELECT 1 FROM ps.doomed WHERE removing",
            )
            .is_empty(),
        "it was taken back all the same",
    )
}

fn over_the_quota(stage: &Stage) -> Option<String> {
    stage
        .one
        .create_namespace("small", Quota::new().keys(1))
        .unwrap();
    let object =
        |store: &PartStore, key| store.put_object(Key::new("small", key), b"body".to_vec());
    let (one, two) = stage.both(|one| object(one, "one"), |two| object(two, "two"));
    wrong(
        one.is_ok() && two.is_ok(),
        "the namespace has more keys than its quota",
    )
}

fn removed_namespace(stage: &Stage) -> Option<String> {
    stage.one.create_namespace("brief", Quota::new()).unwrap();
    let (put, removed) = stage.both(
        |one| one.put_object(Key::new("brief", "key"), b"body".to_vec()),
        |two| two.remove_namespace("brief"),
    );
    wrong(
        put.is_ok() && removed.is_ok(),
        "the object has no namespace",
    )
}

fn read_while_removed(stage: &Stage, remover: &PartStore) -> Option<String> {
    let body = vec![7; 300_000];
    let object = stage.one.put_object("key", body.clone()).unwrap().upload;
    let mut reader = stage.one.open_object(&object).unwrap();
    remover.remove_object(&object).unwrap();
    // One stamps, all learn of it, and then it is taken.
    for store in [remover, &stage.two, &stage.one, remover] {
        store.sweep().unwrap();
    }
    let mut read = Vec::new();
    let read = reader.read_to_end(&mut read).map(|_| read);
    wrong(
        !read.is_ok_and(|read| read == body),
        "what is read was removed",
    )
}

fn lease_is_over(stage: &Stage) -> Option<String> {
    let over = "UPDATE ps.sessions SET expires = now() - interval '1 second'";
    sql::run(&stage.place.database, &stage.place.schema, over).unwrap();
    sleep(Duration::from_millis(1500));
    let alive = sql::query(
        &stage.place.database,
        &stage.place.schema,
        "SELECT 1 FROM ps.sessions WHERE expires > now()",
    );
    wrong(!alive.is_empty(), "a lease that was over is back")
}

/// Both would replace the same object.
fn two_replacements(stage: &Stage) -> Option<String> {
    let first = stage.one.put_object("key", b"first".to_vec()).unwrap();
    let options = ObjectOptions::new().only(Condition::IfMatch(first.etag));
    let (one, two) = stage.both(
        |one| one.put_object_with("key", b"one".to_vec(), &options),
        |two| two.put_object_with("key", b"two".to_vec(), &options),
    );
    wrong(
        one.is_ok() == two.is_ok(),
        "not one of two replacements was made",
    )
}

/// Both store them, and one name is left over.
fn same_bytes(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    let (one, two) = stage.both(
        |one| put(one, &upload, 1, b"body"),
        |two| put(two, &upload, 2, b"body"),
    );
    one.and(two).err().map(|error| error.to_string())
}

fn parts_over_the_quota(stage: &Stage) -> Option<String> {
    let quota = Quota::new().bytes(6);
    stage.one.create_namespace("small", quota).unwrap();
    let upload = stage.one.initiate_upload(Key::new("small", "key")).unwrap();
    let (one, two) = stage.both(
        |one| put(one, &upload, 1, b"1234"),
        |two| put(two, &upload, 2, b"5678"),
    );
    wrong(
        one.is_ok() && two.is_ok(),
        "the namespace has more bytes than its quota",
    )
}

fn replaced_and_repaired(stage: &Stage) -> Option<String> {
    let (upload, other) = (
        stage.one.initiate_upload("key").unwrap(),
        stage.one.initiate_upload("other").unwrap(),
    );
    put(&stage.one, &upload, 1, b"old").unwrap();
    put(&stage.one, &other, 1, b"new").unwrap();
    put(&stage.one, &other, 2, b"more").unwrap();
    for file in stage.place.blob_files() {
        std::fs::write(file, b"").unwrap();
    }
    // This server has not looked at them yet.
    let list = [(1, "new"), (2, "more")]
        .map(|(at, body)| put(&stage.two, &upload, at, body.as_bytes()).unwrap())
        .map(|part| CompletedPart::from(&part));
    stage.two.abort_upload(&other).unwrap();
    let completed = stage.two.complete_upload(&upload, &list);
    wrong(
        completed.is_err() || !reads(&stage.two, &upload, b"newmore"),
        "the parts have not the bytes that were put last",
    )
}

/// As if answers were lost: the same token comes again, for another number. And one of no upload.
fn tokens_of_puts(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    put(&stage.one, &upload, 1, b"body").unwrap();
    let again = |token: &str, upload: &str| {
        let call = format!(
            "SELECT o_outcome FROM ({token}) t, ps.parts p,
               ps.put_parts_v2(t.session, ARRAY[t.seq], 0::smallint, ARRAY[{upload}], ARRAY[''::bytea], ARRAY['key'::bytea], ARRAY[2],
                 ARRAY[p.content], ARRAY[p.size], ARRAY[p.etag], ARRAY[p.sums], ARRAY[NULL::bytea], ARRAY[NULL::bytea], ARRAY[false], ARRAY[false], true)"
        );
        sql::query(&stage.place.database, &stage.place.schema, &call)
    };
    let unused =
        "SELECT session, seq FROM ps.tokens WHERE answer IS NULL ORDER BY seq DESC LIMIT 1";
    again(unused, "'\\x00'::bytea");
    let used = "SELECT 1 FROM ps.tokens t WHERE answer IS NOT NULL AND seq > (SELECT min(seq) + 8 FROM ps.tokens)";
    if !sql::query(&stage.place.database, &stage.place.schema, used).is_empty() {
        return Some("a token is used, though its put was refused".to_owned());
    }
    let used =
        "SELECT session, seq FROM ps.tokens WHERE answer IS NOT NULL ORDER BY seq DESC LIMIT 1";
    again(used, "p.upload");
    wrong(
        stage.one.open_part(&upload, number(2)).is_ok(),
        "a put has happened twice",
    )
}

/// Whoever locks it may change nothing in the end.
fn swept_while_locked(stage: &Stage) -> Option<String> {
    let upload = stage.one.initiate_upload("key").unwrap();
    put(&stage.one, &upload, 1, b"body").unwrap();
    stage.one.abort_upload(&upload).unwrap();
    let locks = "BEGIN; SELECT 1 FROM ps.blobs FOR KEY SHARE; SELECT pg_sleep(0.8); ROLLBACK";
    let (locked, _) = stage.both(
        |_| sql::run(&stage.place.database, &stage.place.schema, locks),
        PartStore::sweep,
    );
    locked.err().map(|error| error.to_string())
}

/// What the verbs never do, the engine refuses.
fn foreign_keys(stage: &Stage) -> Option<String> {
    stage.one.put_object("key", b"body".to_vec()).unwrap();
    let changes = [
        "UPDATE ps.parts SET content = ''",
        "UPDATE ps.keys SET object = ''",
    ];
    let (database, schema) = (&stage.place.database, &stage.place.schema);
    let made = changes.map(|change| sql::run(database, schema, change).is_ok());
    wrong(made.contains(&true), "a row refers to nothing")
}
