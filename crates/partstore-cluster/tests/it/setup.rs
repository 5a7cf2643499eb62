//! Opening: what is refused, and what is made.

use partstore::{Error, Options};
use partstore_cluster::Cluster;
use partstore_contract::Engine;

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
        assert_eq!(steps[0].get::<_, i64>(0), 3);
        sql::run(&format!("DROP SCHEMA {schema} CASCADE"));
    });
}

#[test]
fn what_a_server_of_before_the_ranges_left_is_removed() {
    case(|| {
        let dir = tempfile::tempdir().unwrap();
        let schema = fresh_schema();
        let tables =
            include_str!("../../sql/0001-tables.sql").replace("ps.", &format!("{schema}."));
        sql::run(&format!(
            "CREATE SCHEMA {schema}; {tables};
             CREATE TABLE {schema}.migrations (number int PRIMARY KEY, needs int NOT NULL, made timestamptz NOT NULL DEFAULT now());
             INSERT INTO {schema}.migrations (number, needs) VALUES (1, 1), (2, 2);
             INSERT INTO {schema}.sessions VALUES ('\\x0102030405060708', now(), 1, 16);
             INSERT INTO {schema}.tokens (session, seq) VALUES ('\\x0102030405060708', 7)"
        ));
        let stored = dir.path().join("07/0102030405060708-0000000000000007");
        std::fs::create_dir(dir.path().join("07")).unwrap();
        std::fs::write(&stored, b"body").unwrap();
        let blobs = format!("file://{}", dir.path().display());
        let cluster = Cluster::new(&database(), &blobs).schema(&schema);
        let store = cluster.open(Options::cos()).unwrap();
        store.sweep().unwrap();
        store.sweep().unwrap();
        assert!(!stored.exists());
        store.close().unwrap();
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
            "INSERT INTO {schema}.migrations (number, needs) VALUES (4, 2)"
        ));
        engine.open(Options::cos()).unwrap().close().unwrap();
        sql::run(&format!(
            "INSERT INTO {schema}.migrations (number, needs) VALUES (5, 5)"
        ));
        let refused = engine.open(Options::cos()).unwrap_err();
        assert!(
            matches!(refused, Error::NewerFormat { found: 5, .. }),
            "{refused}"
        );
        sql::run(&format!("DELETE FROM {schema}.migrations WHERE number > 3"));
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
