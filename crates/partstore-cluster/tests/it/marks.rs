//! The mark of a bucket: no server takes another bucket than the store's.

use partstore::{Error, Result, Scope};
use partstore_cluster::Cluster;
use partstore_contract::Engine;
use partstore_contract::support::{bytes, free_options, race, read_object};

use crate::support::{Bytes, ClusterEngine, blob_files, case, sql};

fn kinds() -> [Bytes; 2] {
    [Bytes::files(), Bytes::memory()]
}

/// Runs with a store of each kind, and the same database with other bytes.
fn on_each_kind(run: fn(&ClusterEngine, &ClusterEngine)) {
    for kind in kinds() {
        let engine = ClusterEngine::new(kind);
        let other = engine.with_bytes(&engine.bytes.beside());
        run(&engine, &other);
    }
}

#[track_caller]
fn opens(cluster: &Cluster) {
    cluster.open(free_options()).unwrap().close().unwrap();
}

#[track_caller]
fn assert_foreign<T>(result: Result<T>) {
    let error = result.map(drop).unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
}

#[track_caller]
fn assert_no_store(cluster: &Cluster) {
    let error = cluster.open(free_options()).map(drop).unwrap_err();
    assert!(matches!(error, Error::NoSuchStore { .. }), "{error}");
}

/// Neither opening nor reconciling takes it.
#[track_caller]
fn assert_refused(cluster: &Cluster) {
    assert_foreign(cluster.open(free_options()));
    assert_foreign(cluster.reconcile());
    assert_foreign(cluster.clone().foreign_bytes(true).reconcile());
}

#[test]
fn another_bucket_is_refused_and_nothing_is_made_there() {
    case(|| {
        for kind in kinds() {
            let engine = ClusterEngine::new(kind);
            // Also before the first blob.
            opens(&engine.cluster());
            let other = engine.with_bytes(&engine.bytes.beside());
            assert_refused(&other.cluster());
            if let Bytes::Files(directory) = &other.bytes {
                assert!(partstore_contract::files(directory.path()).is_empty());
            }
            let store = engine.open(free_options()).unwrap();
            let object = store.put_object("key", bytes(1, 1000)).unwrap().upload;
            assert_refused(&other.cluster());
            assert!(read_object(&store, &object) == bytes(1, 1000));
            assert!(store.verify(Scope::Everything).unwrap().is_clean());
        }
    });
}

/// As servers of before have left it.
fn forget_mark(engine: &ClusterEngine) {
    sql::run(&format!("UPDATE {}.store SET mark = NULL", engine.schema));
}

#[test]
fn a_store_without_a_mark_gets_one_where_its_blobs_are() {
    case(|| {
        on_each_kind(|engine, other| {
            let store = engine.open(free_options()).unwrap();
            store.put_object("key", bytes(1, 1000)).unwrap();
            store.close().unwrap();
            forget_mark(engine);
            assert_refused(&other.cluster());
            opens(&engine.cluster());
            assert_refused(&other.cluster());
            let report = engine.cluster().reconcile().unwrap();
            assert_eq!((report.stored, report.doomed, report.foreign), (1, 0, 0));
        });
    });
}

#[test]
fn a_store_without_a_mark_takes_no_bucket_that_lacks_some_of_its_blobs() {
    case(|| {
        on_each_kind(|engine, other| {
            for (of, at) in [(engine, 1), (other, 2)] {
                forget_mark(engine);
                let cluster = of.cluster().adopt_bucket(true);
                let store = cluster.open(free_options()).unwrap();
                store.put_object("key", bytes(at, 1000)).unwrap();
                store.put_object(format!("{at}"), bytes(at, 1000)).unwrap();
                store.close().unwrap();
            }
            forget_mark(engine);
            assert_refused(&engine.cluster());
            assert_refused(&other.cluster());
            // Also if all of them were found damaged.
            sql::run(&format!(
                "UPDATE {}.blobs SET damaged = true",
                engine.schema
            ));
            assert_refused(&engine.with_bytes(&engine.bytes.beside()).cluster());
        });
    });
}

#[test]
fn a_bucket_with_the_bytes_of_another_store_is_refused() {
    case(|| {
        for kind in kinds() {
            let engine = ClusterEngine::new(kind.clone());
            let second = ClusterEngine::new(kind);
            opens(&engine.cluster());
            // Also when it has nothing but a mark.
            assert_refused(&second.cluster());
            let store = engine.open(free_options()).unwrap();
            store.put_object("key", bytes(1, 1000)).unwrap();
            assert_refused(&second.cluster());
            // Or no mark, as servers of before have left it.
            let third = ClusterEngine::new(engine.bytes.beside());
            engine.copy_bytes_to(&third.bytes);
            assert_eq!((third.stored().len(), third.marks()), (1, 0));
            assert_refused(&third.cluster());

            store.close().unwrap();

            // What is adopted is the other's from then on, and never of both.
            let adopted = second.cluster().adopt_bucket(true);
            opens(&adopted);
            opens(&second.cluster());
            assert_refused(&engine.cluster());
            assert_eq!(second.marks(), 1);
        }
    });
}

/// Two databases of one dump say the same of all, until one of them adopts its bucket.
#[test]
fn the_copy_of_a_store_that_has_adopted_its_bucket_does_not_pass_for_it() {
    case(|| {
        for kind in kinds() {
            let engine = ClusterEngine::new(kind);
            let store = engine.open(free_options()).unwrap();
            store.put_object("key", bytes(1, 1000)).unwrap();
            let copy = engine.copy();
            let adopted = copy.cluster().adopt_bucket(true);
            opens(&adopted);
            assert_refused(&copy.with_bytes(&engine.bytes).cluster());
            assert_refused(&engine.with_bytes(&copy.bytes).cluster());
            assert_eq!(copy.cluster().reconcile().unwrap().doomed, 0);
            opens(&engine.cluster());
            assert!(store.verify(Scope::Everything).unwrap().is_clean());
        }
    });
}

#[test]
fn no_bucket_is_adopted_while_the_store_is_open_or_where_none_may_be_made() {
    case(|| {
        let engine = ClusterEngine::new(Bytes::files());
        let other = engine.with_bytes(&engine.bytes.beside());
        let adopting = other.cluster().adopt_bucket(true);
        let store = engine.open(free_options()).unwrap();
        let error = adopting.open(free_options()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        store.close().unwrap();
        assert_no_store(&adopting.clone().create(false));
        assert_eq!(other.marks(), 0);
        opens(&engine.cluster());
        opens(&adopting);
        assert_refused(&engine.cluster());
    });
}

#[test]
fn a_store_of_before_with_nothing_but_doomed_names_is_opened() {
    case(|| {
        for kind in kinds() {
            let engine = ClusterEngine::new(kind);
            let keep = std::time::Duration::from_secs(3600);
            let store = engine.cluster().keep_removed(keep).open(free_options());
            let store = store.unwrap();
            let object = store.put_object("key", bytes(1, 1000)).unwrap().upload;
            store.remove_object(&object).unwrap();
            for _ in 0..3 {
                store.sweep().unwrap();
            }
            store.close().unwrap();
            assert_eq!(engine.stored().len(), 1);
            forget_mark(&engine);
            opens(&engine.cluster());
        }
    });
}

#[test]
fn of_two_new_stores_that_are_opened_at_once_one_takes_the_bucket_at_most() {
    case(|| {
        for kind in kinds() {
            for _ in 0..5 {
                let bytes = kind.beside();
                let engines = [(); 2].map(|()| ClusterEngine::new(bytes.clone()));
                let opened = race(2, |at| {
                    let store = engines[at].cluster().open(free_options())?;
                    store.close()
                });
                assert!(opened.iter().any(Result::is_err), "both");
                assert_eq!(
                    engines[0].marks(),
                    opened.iter().filter(|one| one.is_ok()).count()
                );
            }
        }
    });
}

#[test]
fn who_makes_no_store_marks_no_bucket() {
    case(|| {
        on_each_kind(|engine, other| {
            opens(&engine.cluster());
            forget_mark(engine);
            assert_no_store(&other.cluster().create(false));
            assert_eq!(other.marks(), 0);
            opens(&engine.cluster());
        });
    });
}

#[test]
fn a_bucket_is_adopted_when_that_is_asked_for() {
    case(|| {
        on_each_kind(|engine, other| {
            let store = engine.open(free_options()).unwrap();
            store.put_object("key", bytes(1, 1000)).unwrap();
            store.close().unwrap();
            let adopted = other.cluster().adopt_bucket(true);
            let store = adopted.open(free_options()).unwrap();
            let report = store.verify(Scope::Everything).unwrap();
            assert_eq!(report.damaged.len(), 1, "{report:?}");
            store.put_object("again", bytes(1, 1000)).unwrap();
            assert!(store.verify(Scope::Everything).unwrap().is_clean());
            store.close().unwrap();
            assert_refused(&engine.cluster());
            opens(&other.cluster());
        });
    });
}

#[test]
fn of_two_buckets_that_are_opened_at_once_one_becomes_the_stores() {
    case(|| {
        for kind in kinds() {
            for _ in 0..5 {
                let engine = ClusterEngine::new(kind.beside());
                let clusters = [&engine.bytes, &engine.bytes.beside()]
                    .map(|bytes| engine.with_bytes(bytes).cluster());
                let opened = race(6, |thread| {
                    let store = clusters[thread % 2].open(free_options())?;
                    store.close()
                });
                let is_own = clusters[0].open(free_options()).is_ok();
                for (thread, opened) in opened.into_iter().enumerate() {
                    if (thread % 2 == 0) == is_own {
                        opened.unwrap();
                    } else {
                        assert_foreign(opened);
                    }
                }
                assert_ne!(is_own, clusters[1].open(free_options()).is_ok());
                assert_eq!(engine.marks(), usize::from(is_own));
            }
        }
    });
}

#[test]
fn a_directory_that_was_emptied_or_is_not_mounted_is_refused() {
    case(|| {
        let engine = ClusterEngine::new(Bytes::files());
        let Bytes::Files(directory) = &engine.bytes else {
            panic!("there are no files");
        };
        opens(&engine.cluster());
        assert!(blob_files(directory.path()).is_empty());
        let aside = directory.path().with_extension("aside");
        std::fs::rename(directory.path(), &aside).unwrap();
        assert_refused(&engine.cluster());
        assert!(!directory.path().exists());
        std::fs::create_dir(directory.path()).unwrap();
        assert_refused(&engine.cluster());
        std::fs::remove_dir(directory.path()).unwrap();
        std::fs::rename(&aside, directory.path()).unwrap();
        // A copy may lack what is empty.
        std::fs::remove_dir(directory.path().join("07")).unwrap();
        let store = engine.open(free_options()).unwrap();
        for at in 0..600 {
            store.put_object("key", bytes(at, 10)).unwrap();
        }
    });
}
