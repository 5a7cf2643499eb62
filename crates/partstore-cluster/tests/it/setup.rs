//! Opening: what is refused, and what is made.

use partstore::{Error, Options, Scope};
use partstore_cluster::Cluster;
use partstore_contract::Engine;
use partstore_contract::support::{free_options, number, read_part};

use crate::support::{Bytes, ClusterEngine, case, database, fresh_schema, sql};

#[test]
fn tables_are_made_once_also_by_servers_that_open_at_once() {
    case(|| {
        let bytes = Bytes::memory();
        let schema = fresh_schema();
        let opened = partstore_contract::support::race(4, |_| {
            bytes
                .cluster(&schema)
                .open(Options::cos())
                .map(|store| store.close())
        });
        for store in opened {
            store.unwrap().unwrap();
        }
        let steps = sql::query(&format!("SELECT count(*) FROM {schema}.migrations"));
        assert_eq!(steps[0].get::<_, i64>(0), 5);
        sql::run(&format!("DROP SCHEMA {schema} CASCADE"));
    });
}

/// A server of before step 3 works beside this one: what it calls is there, and its rows are understood.
#[test]
fn a_server_of_before_the_last_step_goes_on_with_its_functions() {
    case(|| {
        let (bytes, schema) = (Bytes::files(), fresh_schema());
        let older = |script: &str| sql::run(&script.replace("ps.", &format!("{schema}.")));
        sql::run(&format!("CREATE SCHEMA {schema}"));
        older(include_str!("../../sql/0001-tables.sql"));
        older(include_str!("../../sql/functions-v1.sql"));
        older(
            "CREATE TABLE ps.migrations (number int PRIMARY KEY, needs int NOT NULL, made timestamptz NOT NULL DEFAULT now());
             INSERT INTO ps.migrations (number, needs) VALUES (1, 1), (2, 2);
             SELECT ps.begin_session_v1('\\x0102030405060708', 600000);
             SELECT ps.reserve_v1('\\x0102030405060708', 0, 16)",
        );
        let store = bytes.cluster(&schema).open(free_options()).unwrap();
        let upload = store.initiate_upload("key").unwrap();
        store
            .put_part(&upload, number(1), b"body".to_vec())
            .unwrap();
        // It puts the same bytes as another part.
        older(
            "DO $$ BEGIN PERFORM o_outcome FROM ps.parts p, ps.uploads u,
                 ps.put_parts_v1('\\x0102030405060708', ARRAY[3::bigint], 0::smallint, ARRAY[u.id], ARRAY[u.namespace], ARRAY[u.key], ARRAY[2],
                   ARRAY[p.content], ARRAY[p.size], ARRAY[p.etag], ARRAY[p.sums], ARRAY[NULL::bytea], ARRAY[NULL::bytea], ARRAY[false])
               WHERE u.id = p.upload AND o_outcome = 0;
               IF NOT FOUND THEN RAISE EXCEPTION 'the part was not put'; END IF; END $$",
        );
        assert_eq!(read_part(&store, &upload, number(2)), b"body");
        older("SELECT ps.end_session_v1('\\x0102030405060708', 16)");
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
        store.close().unwrap();
        sql::run(&format!("DROP SCHEMA {schema} CASCADE"));
    });
}

/// The tables had a foreign key for it once. Now only the locks of the verbs keep it from happening.
#[test]
fn a_part_whose_upload_is_gone_is_noticed() {
    case(|| {
        let engine = ClusterEngine::new(Bytes::files());
        let store = engine.open(free_options()).unwrap();
        let upload = store.initiate_upload("key").unwrap();
        store
            .put_part(&upload, number(1), b"body".to_vec())
            .unwrap();
        sql::run(&format!("DELETE FROM {}.uploads", engine.schema));
        let report = store.verify(Scope::Everything).unwrap();
        let found = report.inconsistent.join("\n");
        assert!(
            found.contains("part 1 of upload") && found.contains("no such upload"),
            "{found}"
        );
        store.close().unwrap();
    });
}

/// What two connections at once see behind a pooler in transaction mode: one session.
#[test]
fn a_pooler_that_does_not_keep_sessions_is_refused() {
    case(|| {
        let schema = fresh_schema();
        sql::run(&format!(
            "CREATE SCHEMA {schema}; CREATE FUNCTION {schema}.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 7'"
        ));
        let pooled = format!(
            "{}?options=-c%20search_path={schema},pg_catalog",
            database()
        );
        let bytes = Bytes::memory();
        let opened = bytes.cluster_at(&pooled, &schema).open(Options::cos());
        let refused = opened.unwrap_err();
        assert!(matches!(refused, Error::NotAStore { .. }), "{refused}");
        assert!(refused.to_string().contains("pooler"), "{refused}");
        sql::run(&format!("DROP SCHEMA {schema} CASCADE"));
    });
}

#[test]
fn a_store_that_does_not_exist_is_not_made_by_who_may_not() {
    case(|| {
        let cluster = Bytes::memory().cluster(&fresh_schema()).create(false);
        let refused = cluster.open(Options::cos()).unwrap_err();
        assert!(matches!(refused, Error::NoSuchStore { .. }), "{refused}");
    });
}

#[test]
fn an_old_server_opens_a_newer_schema_only_if_that_says_so() {
    case(|| {
        let engine = ClusterEngine::new(Bytes::memory());
        engine.open(Options::cos()).unwrap().close().unwrap();
        let schema = &engine.schema;
        sql::run(&format!(
            "INSERT INTO {schema}.migrations (number, needs) VALUES (6, 2)"
        ));
        engine.open(Options::cos()).unwrap().close().unwrap();
        sql::run(&format!(
            "INSERT INTO {schema}.migrations (number, needs) VALUES (7, 7)"
        ));
        let refused = engine.open(Options::cos()).unwrap_err();
        assert!(
            matches!(refused, Error::NewerFormat { found: 7, .. }),
            "{refused}"
        );
        sql::run(&format!("DELETE FROM {schema}.migrations WHERE number > 5"));
    });
}

#[test]
fn bad_addresses_are_refused_with_a_reason() {
    case(|| {
        for address in ["nonsense", "http://host/db"] {
            let refused = Cluster::new(address, "file:///tmp")
                .open(Options::cos())
                .unwrap_err();
            assert_eq!(refused.code(), "InvalidArgument", "{refused}");
        }
        for blobs in ["nonsense", "ftp://host/dir"] {
            let refused = Cluster::new(&database(), blobs)
                .open(Options::cos())
                .unwrap_err();
            assert_eq!(refused.code(), "InvalidArgument", "{refused}");
        }
    });
}

#[test]
fn a_database_that_is_away_is_said_to_be() {
    let away = "postgres://nobody@127.0.0.1:1/none?connect_timeout=1";
    let cluster = Cluster::new(away, "file:///tmp").patience(std::time::Duration::from_secs(1));
    let refused = cluster.open(Options::cos()).unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    assert_eq!(refused.http_status(), 503);
}
