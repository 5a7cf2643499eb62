//! What arrives late: calls of the database that were sent again, puts that are overtaken, answers to a server that has lost its
//! lease.

use std::io::Read;
use std::thread::{scope, sleep};
use std::time::Duration;

use partstore::{Error, Key, Quota};
use partstore_contract::Engine;
use partstore_contract::support::{bytes, free_options, number, read_part};

use crate::support::{Bytes, ClusterEngine, Servers, assert_tidy, case, sql};

#[test]
fn tokens_that_are_reserved_again_when_they_are_used_doom_nothing() {
    case(|| {
        let mut servers = Servers::new(2, Bytes::files());
        let schema = servers.engine.schema.clone();
        let first = servers.stores.remove(0);
        let upload = first.initiate_upload("key").unwrap();
        first
            .put_part(&upload, number(1), b"body".to_vec())
            .unwrap();
        // Its used tokens are deleted by then.
        first.sweep().unwrap();
        sql::run(&format!(
            "SELECT {schema}.reserve_v1(id, 0, 16) FROM {schema}.sessions"
        ));
        first.close().unwrap();
        let second = &servers.stores[0];
        second.sweep().unwrap();
        assert_eq!(read_part(second, &upload, number(1)), b"body");
        assert_tidy(&servers);
    });
}

/// Functions of which a put of this many bytes naps for so many seconds, between the row of its blob and its own.
fn with_a_nap(schema: &str, size: usize, seconds: u32) -> String {
    let functions = include_str!("../../sql/functions-v2.sql");
    let place = "  WITH put AS (INSERT INTO ps.parts";
    assert_eq!(functions.matches(place).count(), 1);
    let nap =
        format!("  IF {size} = ANY (p_size) THEN PERFORM pg_sleep({seconds}); END IF;\n{place}");
    let functions = functions.replace(place, &nap);
    functions.replace("ps.", &format!("{schema}."))
}

#[test]
fn puts_go_on_beside_one_whose_transaction_hangs() {
    case(|| {
        let servers = Servers::new(1, Bytes::files());
        let store = &servers.stores[0];
        let upload = store.initiate_upload("key").unwrap();
        let size = 5000;
        sql::run(&with_a_nap(&servers.engine.schema, size, 5));
        scope(|scope| {
            let hangs = scope.spawn(|| store.put_part(&upload, number(1), bytes(1, size)));
            sleep(Duration::from_millis(300));
            for at in 2..5 {
                let put = store.put_part(&upload, number(at), bytes(at.into(), 100));
                put.unwrap();
            }
            assert!(!hangs.is_finished());
            hangs.join().unwrap().unwrap();
        });
        assert_eq!(store.parts(&upload).count(), 4);
        assert_tidy(&servers);
    });
}

#[test]
fn a_put_that_is_overtaken_and_then_refused_has_changed_nothing() {
    case(|| {
        let servers = Servers::new(2, Bytes::files());
        let [one, two] = [0, 1].map(|at| &servers.stores[at]);
        let size = 5000;
        sql::run(&with_a_nap(&servers.engine.schema, size, 1));
        one.create_namespace("small", Quota::default()).unwrap();
        let upload = one.initiate_upload(Key::new("small", "key")).unwrap();
        scope(|scope| {
            let refused = scope.spawn(|| one.put_part(&upload, number(1), bytes(1, size)));
            sleep(Duration::from_millis(300));
            two.put_part(&upload, number(1), b"body".to_vec()).unwrap();
            two.set_quota("small", Quota::default().bytes(100)).unwrap();
            let refused = refused.join().unwrap().unwrap_err();
            assert!(matches!(refused, Error::QuotaExceeded { .. }), "{refused}");
        });
        assert_eq!(read_part(two, &upload, number(1)), b"body");
        assert_tidy(&servers);
        assert_eq!(servers.engine.stored().len(), 1);
    });
}

#[test]
fn puts_that_wait_for_a_lock_do_not_hold_others() {
    case(|| {
        let servers = Servers::new(1, Bytes::files());
        let store = &servers.stores[0];
        let [locked, free] = ["locked", "free"].map(|key| store.initiate_upload(key).unwrap());
        let schema = &servers.engine.schema;
        // Until the others are done.
        let lock = format!(
            "DO $$ BEGIN PERFORM 1 FROM {schema}.uploads WHERE key = 'locked' FOR UPDATE;
             WHILE (SELECT count(*) FROM {schema}.parts p JOIN {schema}.uploads u ON u.id = p.upload WHERE u.key = 'free') < 8 LOOP
               PERFORM pg_sleep(0.05);
             END LOOP; END $$"
        );
        scope(|scope| {
            scope.spawn(|| sql::run(&lock));
            sleep(Duration::from_millis(500));
            for at in 1..=8 {
                let locked = &locked;
                scope.spawn(move || {
                    let put = store.put_part(locked, number(at), bytes(at.into(), 5000));
                    put.unwrap();
                });
            }
            sleep(Duration::from_millis(100));
            for at in 1..=8 {
                let put = store.put_part(&free, number(at), bytes(u64::from(at) + 100, 5000));
                put.unwrap();
            }
        });
        assert_eq!(store.parts(&locked).count(), 8);
        assert_tidy(&servers);
    });
}

#[test]
fn a_put_of_a_server_that_is_taken_for_dead_is_made_before_its_names_are_doomed() {
    case(|| {
        let servers = Servers::new(2, Bytes::files());
        let [one, two] = [0, 1].map(|at| &servers.stores[at]);
        let schema = &servers.engine.schema;
        let size = 5000;
        let upload = one.initiate_upload("key").unwrap();
        sql::run(&with_a_nap(schema, size, 1));
        scope(|scope| {
            let put = scope.spawn(|| one.put_part(&upload, number(1), bytes(1, size)));
            sleep(Duration::from_millis(300));
            sql::run(&format!(
                "UPDATE {schema}.sessions SET expires = now() - interval '1 second'"
            ));
            two.sweep().unwrap();
            put.join().unwrap().unwrap();
        });
        assert_eq!(read_part(two, &upload, number(1)), bytes(1, size));
        assert_tidy(&servers);
    });
}

#[test]
fn a_lease_that_is_renewed_too_late_is_over() {
    case(|| {
        let engine = ClusterEngine::new(Bytes::files());
        let late = engine.bytes.cluster(&engine.schema);
        let late = late
            .lease(Duration::from_secs(2))
            .open(free_options())
            .unwrap();
        let object = late.put_object("key", bytes(1, 600_000)).unwrap().upload;
        let mut reader = late.open_object(&object).unwrap();
        let schema = &engine.schema;
        // Its heartbeat waits for this lock from before the lease is over, until others have removed what it reads.
        let locked = format!(
            "BEGIN; SELECT 1 FROM {schema}.sessions FOR UPDATE; SELECT pg_sleep(3.5); COMMIT"
        );
        scope(|scope| {
            scope.spawn(|| sql::run(&locked));
            sleep(Duration::from_millis(2500));
            let other = engine.open(free_options()).unwrap();
            other.remove_object(&object).unwrap();
            assert_eq!(other.sweep().unwrap().blobs, 1);
        });
        sleep(Duration::from_millis(200));
        let mut read = Vec::new();
        let broken = reader.read_to_end(&mut read).unwrap_err();
        let broken = Error::from_io(broken).unwrap();
        assert!(matches!(broken, Error::Unavailable { .. }), "{broken}");
    });
}
