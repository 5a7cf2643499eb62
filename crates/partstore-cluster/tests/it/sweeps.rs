//! Sweeps of very much. A call of the database has 20 seconds, so none may grow with what there is to do.

use std::time::Duration;

use partstore_contract::support::{bytes, free_options, lines, number, race};

use crate::support::{Bytes, ClusterEngine, case, sql};

/// More than a sweep may change in one call.
const PARTS: usize = 2500;

/// From now on, a statement fails that changes more than 1000 rows of what is doomed, or removes more than 1000 tokens.
fn refuse_large_statements(schema: &str) {
    sql::run(&format!(
        "CREATE FUNCTION {schema}.few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF (SELECT count(*) FROM changed) > 1000 THEN RAISE EXCEPTION 'one statement changes %', (SELECT count(*) FROM changed); END IF;
           RETURN NULL; END $$;
         CREATE TRIGGER inserted AFTER INSERT ON {schema}.doomed REFERENCING NEW TABLE AS changed EXECUTE FUNCTION {schema}.few();
         CREATE TRIGGER updated AFTER UPDATE ON {schema}.doomed REFERENCING NEW TABLE AS changed EXECUTE FUNCTION {schema}.few();
         CREATE TRIGGER deleted AFTER DELETE ON {schema}.doomed REFERENCING OLD TABLE AS changed EXECUTE FUNCTION {schema}.few();
         CREATE TRIGGER finished AFTER DELETE ON {schema}.tokens REFERENCING OLD TABLE AS changed EXECUTE FUNCTION {schema}.few()"
    ));
}

fn many_parts_are_swept(keep: Duration) {
    let engine = ClusterEngine::new(Bytes::memory());
    let cluster = engine.bytes.cluster(&engine.schema).keep_removed(keep);
    let store = cluster.open(free_options()).unwrap();
    refuse_large_statements(&engine.schema);
    let upload = store.initiate_upload("key").unwrap();
    race(8, |thread| {
        for at in (1 + thread..=PARTS).step_by(8) {
            let at = u32::try_from(at).unwrap();
            store
                .put_part(&upload, number(at), bytes(at.into(), 100))
                .unwrap();
        }
    });
    // Each refusal dooms a name that it took.
    let gone = store.initiate_upload("gone").unwrap();
    store.abort_upload(&gone).unwrap();
    let other = store.initiate_upload("other").unwrap();
    let part = store.put_part(&other, number(1), b"body".to_vec());
    let list = lines(&[part.unwrap()]);
    race(8, |_| {
        for _ in 0..PARTS / 8 {
            store
                .complete_upload_replacing(&other, &list, &gone)
                .unwrap_err();
        }
    });
    store.abort_upload(&upload).unwrap();
    if !keep.is_zero() {
        assert_eq!(store.sweep().unwrap().blobs, 0);
        std::thread::sleep(keep);
    }
    assert_eq!(store.sweep().unwrap().blobs, PARTS as u64);
    assert_eq!(store.stats().unwrap().garbage, 0);
    assert_eq!(engine.stored(), [b"body"]);
    // The schema is for other tests, too.
    sql::run(&format!("DROP FUNCTION {}.few CASCADE", engine.schema));
}

#[test]
fn no_call_of_a_sweep_grows_with_what_there_is_to_sweep() {
    case(|| many_parts_are_swept(Duration::ZERO));
}

#[test]
fn no_call_of_a_sweep_that_keeps_what_is_removed_grows_either() {
    case(|| many_parts_are_swept(Duration::from_secs(5)));
}
