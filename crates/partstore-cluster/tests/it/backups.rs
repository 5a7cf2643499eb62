//! A database that was restored from a backup, beside bytes as they are now.

use partstore::{Condition, Options};
use partstore_contract::Engine;
use partstore_contract::support::{bytes, free_options};

use crate::support::{Bytes, ClusterEngine, case};

/// The store of now, with the database of before.
fn restored(now: &ClusterEngine, before: &ClusterEngine) -> ClusterEngine {
    before.with_bytes(&now.bytes)
}

#[test]
fn what_a_restored_database_does_not_know_is_found_by_reconcile_and_removed() {
    case(|| {
        for kind in [Bytes::files(), Bytes::memory()] {
            let engine = ClusterEngine::new(kind);
            let store = engine.open(free_options()).unwrap();
            store.put_object("old", bytes(1, 1000)).unwrap();
            let backup = engine.copy();
            // Of a server that was open then, the backup has the names that it gave later, too.
            store.close().unwrap();
            let store = engine.open(free_options()).unwrap();
            store.put_object("new", bytes(2, 1000)).unwrap();
            store.close().unwrap();
            let engine = restored(&engine, &backup);
            let store = engine.open(free_options()).unwrap();
            store.sweep().unwrap();
            assert_eq!(engine.stored().len(), 2, "no sweep can find it");
            let report = engine.cluster().reconcile().unwrap();
            assert_eq!((report.stored, report.doomed, report.foreign), (2, 1, 0));
            assert_eq!(store.sweep().unwrap().orphans, 1);
            assert_eq!(engine.stored().len(), 1);
            assert_eq!(engine.cluster().reconcile().unwrap().doomed, 0);
            let read = store.open_key("old").unwrap();
            assert_eq!(read.object().size, 1000);
        }
    });
}

#[test]
fn what_was_removed_after_a_backup_is_found_by_verify_unless_it_was_kept() {
    case(|| {
        for (kept, damaged) in [(3600, 0), (0, 1)] {
            let engine = ClusterEngine::new(Bytes::files());
            let keep = std::time::Duration::from_secs(kept);
            let store = engine
                .cluster()
                .keep_removed(keep)
                .open(free_options())
                .unwrap();
            store.put_object("key", bytes(1, 1000)).unwrap();
            let backup = engine.copy();
            store.remove_key("key", Condition::Always).unwrap();
            store.sweep().unwrap();
            store.close().unwrap();
            let engine = restored(&engine, &backup);
            let store = engine.open(Options::cos()).unwrap();
            let report = store.verify(partstore::Scope::Everything).unwrap();
            assert_eq!(report.damaged.len(), damaged, "{report:?}");
        }
    });
}
