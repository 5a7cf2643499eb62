//! Connections that the database ends, too few of them, and a database that crashes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use partstore::{CompleteOptions, Condition, Key, PartStore, Upload};
use partstore_contract::support::{Random, bytes, free_options, lines, number, read_object};

use crate::support::own::Own;
use crate::support::proxy::Proxy;
use crate::support::{Bytes, ClusterEngine, Servers, assert_tidy, case, later, sql};

/// Few contents, so that servers put and remove the same ones.
fn body(random: &mut Random) -> Vec<u8> {
    let seed = random.below(6);
    bytes(seed as u64, 500 + seed)
}

/// Uploads of one thread until the time is over. Each call must succeed. Returns the objects that must exist.
fn work(store: &PartStore, thread: usize, until: Instant) -> Vec<(Upload, Vec<u8>)> {
    let mut random = Random::new(thread as u64);
    let mut kept = Vec::new();
    for round in 0.. {
        if Instant::now() > until {
            break;
        }
        let own = format!("thread {thread}, round {round}");
        let key = if random.below(2) == 0 {
            own
        } else {
            "shared".to_owned()
        };
        let upload = store.initiate_upload(Key::new("", &key)).unwrap();
        let bodies = [body(&mut random), body(&mut random)];
        let put =
            |at: u32, body: &Vec<u8>| store.put_part(&upload, number(at), body.clone()).unwrap();
        put(1, &bodies[1]);
        let parts = [put(1, &bodies[0]), put(2, &bodies[1])];
        if random.below(3) == 0 {
            store.abort_upload(&upload).unwrap();
            continue;
        }
        let current = CompleteOptions::new().make_current(Condition::Always);
        let object = store
            .complete_upload_with(&upload, &lines(&parts), &current)
            .unwrap();
        match random.below(4) {
            _ if key == "shared" => {}
            0 => store.remove_object(&object.upload).unwrap(),
            _ => kept.push((object.upload, bodies.concat())),
        }
        if random.below(8) == 0 {
            store.sweep().unwrap();
        }
    }
    kept
}

fn work_all(stores: &[PartStore], threads: usize, length: Duration) -> Vec<(Upload, Vec<u8>)> {
    let until = Instant::now() + length;
    thread::scope(|scope| {
        let work = |at| scope.spawn(move || work(&stores[at % stores.len()], at, until));
        let working: Vec<_> = (0..threads).map(work).collect();
        let kept = working.into_iter().map(|thread| thread.join().unwrap());
        kept.flatten().collect()
    })
}

fn assert_kept(servers: &Servers, kept: &[(Upload, Vec<u8>)]) {
    assert!(!kept.is_empty());
    for (object, body) in kept {
        assert!(read_object(&servers.stores[0], object) == *body);
    }
    assert_tidy(servers);
    later(&servers.engine.schema);
    assert_tidy(servers);
}

#[test]
fn verbs_succeed_while_the_database_ends_connections() {
    case(|| {
        let proxy = Proxy::new();
        let engine = ClusterEngine::new(Bytes::memory());
        let cluster = engine.bytes.cluster_at(&proxy.database(), &engine.schema);
        let stores: Vec<_> = (0..3)
            .map(|_| cluster.open(free_options()).unwrap())
            .collect();
        let is_over = AtomicBool::new(false);
        let kept = thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random::new(1);
                while !is_over.load(Ordering::Relaxed) {
                    let ports = proxy.ports();
                    let recent = &ports[ports.len().saturating_sub(12)..];
                    let port = random.pick(recent).unwrap();
                    sql::query(&format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = {port}"
                    ));
                }
            });
            let kept = work_all(&stores, 6, Duration::from_secs(6));
            is_over.store(true, Ordering::Relaxed);
            kept
        });
        assert_kept(&Servers { engine, stores }, &kept);
    });
}

#[test]
fn many_threads_share_four_connections() {
    case(|| {
        let engine = ClusterEngine::new(Bytes::memory());
        let cluster = engine.bytes.cluster(&engine.schema).connections(4);
        let stores = vec![cluster.open(free_options()).unwrap()];
        let kept = work_all(&stores, 64, Duration::from_secs(3));
        assert_kept(&Servers { engine, stores }, &kept);
    });
}

#[test]
fn a_put_waits_for_a_lock_and_then_succeeds() {
    case(|| {
        let servers = Servers::new(1, Bytes::memory());
        let store = &servers.stores[0];
        let uploads: Vec<_> = (0..8)
            .map(|_| store.initiate_upload("key").unwrap())
            .collect();
        let schema = &servers.engine.schema;
        thread::scope(|scope| {
            scope.spawn(|| {
                sql::run(&format!(
                    "BEGIN; SELECT 1 FROM {schema}.uploads FOR UPDATE; SELECT pg_sleep(1); ROLLBACK"
                ));
            });
            thread::sleep(Duration::from_millis(200));
            for (at, upload) in uploads.iter().enumerate() {
                let body = bytes(at as u64, 100);
                scope.spawn(|| store.put_part(upload, number(1), body).unwrap());
            }
        });
        assert_tidy(&servers);
    });
}

#[test]
fn verbs_succeed_while_the_database_crashes_and_starts_again() {
    case(|| {
        let own = Own::new("crashes");
        let database = own.start();
        let bytes = Bytes::memory();
        let cluster = bytes.cluster_at(&database, "crashes");
        let stores: Vec<_> = (0..3)
            .map(|_| cluster.open(free_options()).unwrap())
            .collect();
        let kept = thread::scope(|scope| {
            let own = &own;
            scope.spawn(move || {
                for _ in 0..3 {
                    thread::sleep(Duration::from_millis(1200));
                    own.run("stop", &["immediate"]);
                    own.start();
                }
            });
            work_all(&stores, 6, Duration::from_secs(6))
        });
        for (object, body) in &kept {
            assert!(read_object(&stores[0], object) == *body);
        }
        for store in stores.iter().chain(&stores) {
            store.sweep().unwrap();
        }
        let report = stores[0].verify(partstore::Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert!(!kept.is_empty());
        drop(stores);
    });
}
