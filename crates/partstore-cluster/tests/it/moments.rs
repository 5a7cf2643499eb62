//! A database that is restored with `pg_basebackup` and its archived log to one moment, and a bucket that is restored to
//! another: `reconcile` and `verify` say what does not fit, and the rest is whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use partstore::{Condition, PartStore, Scope, Upload};
use partstore_cluster::Cluster;
use partstore_contract::copy_tree;
use partstore_contract::support::{bytes, free_options, lines, number, read_object};

use crate::support::own::Own;
use crate::support::{blob_files, case, sql};

const LEN: usize = 90_000;

/// A store whose database archives its log, and copies of its bucket.
struct Past {
    own: Own,
    dir: tempfile::TempDir,
    /// Keys that were put while the database's files were copied.
    meanwhile: usize,
    upload: Upload,
}

/// The bodies of the past.
const OLD: u64 = 1;
const GONE: u64 = 2;
const REPLACED: u64 = 3;
const PART: u64 = 4;
const NEW: u64 = 5;
const REPLACING: u64 = 6;
const SECOND_PART: u64 = 7;

fn body(seed: u64) -> Vec<u8> {
    bytes(seed, LEN)
}

fn hash(seed: u64) -> String {
    blake3::hash(&body(seed)).to_hex().to_string()
}

fn put(store: &PartStore, key: &str, seed: u64) {
    store.put_object(key, body(seed)).unwrap();
}

impl Past {
    /// Of the two moments `a` and `b`, the database has restore points, and the bucket was copied right behind each.
    fn new() -> Self {
        let own = Own::new("past");
        let dir = tempfile::tempdir().unwrap();
        let address = own.start_archived();
        let store = cluster(&address, &dir.path().join("now"))
            .open(free_options())
            .unwrap();
        let meanwhile = put_during(&store, || own.base_backup());

        put(&store, "old", OLD);
        put(&store, "gone", GONE);
        put(&store, "replaced", REPLACED);
        let upload = store.initiate_upload("uploaded").unwrap();
        store.put_part(&upload, number(1), body(PART)).unwrap();
        mark(&address, "a");
        copy_tree(&dir.path().join("now"), &dir.path().join("a"));

        put(&store, "new", NEW);
        put(&store, "replaced", REPLACING);
        store
            .put_part(&upload, number(2), body(SECOND_PART))
            .unwrap();
        let parts: Vec<_> = store.parts(&upload).map(Result::unwrap).collect();
        store.complete_upload(&upload, &lines(&parts)).unwrap();
        store.remove_key("gone", Condition::Always).unwrap();
        store.sweep().unwrap();
        store.sweep().unwrap();
        mark(&address, "b");
        copy_tree(&dir.path().join("now"), &dir.path().join("b"));
        store.close().unwrap();
        Self {
            own,
            dir,
            meanwhile,
            upload,
        }
    }

    /// The store of the database at one moment, and of the bucket at another.
    fn restored(&self, database: &str, bucket: &str) -> Restored {
        let (own, address) = self.own.restore(database);
        let bucket_dir = self.dir.path().join(format!("{database} with {bucket}"));
        copy_tree(&self.dir.path().join(bucket), &bucket_dir);
        let cluster = cluster(&address, &bucket_dir).create(false);
        let store = cluster.open(free_options()).unwrap();
        Restored {
            store,
            cluster,
            bucket: bucket_dir,
            _own: own,
        }
    }
}

struct Restored {
    store: PartStore,
    cluster: Cluster,
    bucket: PathBuf,
    _own: Own,
}

impl Restored {
    /// The bytes that `verify` misses, and the keys that it names with them.
    fn missing(&self) -> BTreeSet<(String, String)> {
        let report = self.store.verify(Scope::Everything).unwrap();
        assert!(report.inconsistent.is_empty(), "{report:?}");
        let named = report.damaged.iter().flat_map(|blob| {
            let keys = blob.parts.iter().map(|(upload, _)| upload.key().to_owned());
            keys.map(|key| (blob.hash.to_string(), key))
        });
        named.collect()
    }

    /// Sweeps until the bucket has so many blobs. The servers of before the restore have leases, which end.
    fn sweep_to(&self, files: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        let count = || blob_files(&self.bucket).len();
        while count() != files {
            assert!(Instant::now() < until, "{} files", count());
            self.store.sweep().unwrap();
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn cluster(database: &str, bucket: &Path) -> Cluster {
    let bytes = format!(
        "file://{}",
        bucket.display().to_string().replace(' ', "%20")
    );
    Cluster::new(database, &bytes).lease(Duration::from_secs(2))
}

/// Puts objects until the call has returned, and says how many.
fn put_during(store: &PartStore, call: impl FnOnce()) -> usize {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let putting = scope.spawn(|| {
            let mut count = 0;
            while count < 5 || !done.load(Ordering::Relaxed) {
                put(store, &format!("meanwhile/{count}"), 1000 + count);
                count += 1;
            }
            count
        });
        call();
        done.store(true, Ordering::Relaxed);
        usize::try_from(putting.join().unwrap()).unwrap()
    })
}

/// Gives this moment of the database a name, and waits until the log has gone to the archive.
fn mark(address: &str, name: &str) {
    sql::run_at(
        address,
        &format!("SELECT pg_create_restore_point('{name}')"),
    );
    let wal = "SELECT pg_walfile_name(pg_switch_wal())";
    let file: String = sql::query_at(address, wal)[0].get(0);
    let archived = format!("SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= '{file}'");
    let until = Instant::now() + Duration::from_secs(20);
    while sql::query_at(address, &archived).is_empty() {
        assert!(Instant::now() < until, "the log is not archived");
        thread::sleep(Duration::from_millis(50));
    }
}

fn pairs<const N: usize>(of: [(u64, &str); N]) -> BTreeSet<(String, String)> {
    of.map(|(seed, key)| (hash(seed), key.to_owned())).into()
}

fn assert_reads(store: &PartStore, key: &str, seeds: &[u64]) {
    let object = store.object_by_key(key).unwrap();
    assert_is(store, &object.upload, seeds);
}

fn assert_is(store: &PartStore, object: &Upload, seeds: &[u64]) {
    let whole: Vec<u8> = seeds.iter().flat_map(|seed| body(*seed)).collect();
    assert!(read_object(store, object) == whole, "{object:?}");
}

#[test]
fn halves_of_different_moments_are_told_apart_and_put_right() {
    case(|| {
        let past = Past::new();
        let kept = past.meanwhile;

        // Both of the same moment: the database first, then the bucket, as the documentation says.
        let same = past.restored("a", "a");
        assert_eq!(same.cluster.reconcile().unwrap().doomed, 0);
        assert!(same.missing().is_empty());
        same.sweep_to(kept + 4);
        for (key, seed) in [("old", OLD), ("gone", GONE), ("replaced", REPLACED)] {
            assert_reads(&same.store, key, &[seed]);
        }
        assert!(same.store.object_by_key("new").is_err());
        drop(same);

        // An older database: what was removed since has no bytes, and what was stored since has no row.
        let older = past.restored("a", "b");
        older.cluster.reconcile().unwrap();
        assert_eq!(
            older.missing(),
            pairs([(GONE, "gone"), (REPLACED, "replaced")])
        );
        older.sweep_to(kept + 2);
        assert_reads(&older.store, "old", &[OLD]);
        assert_reads(&older.store, "meanwhile/0", &[1000]);
        // The same bytes put it right, and an upload that was open goes on.
        put(&older.store, "gone again", GONE);
        assert_reads(&older.store, "gone", &[GONE]);
        let parts: Vec<_> = older
            .store
            .parts(&past.upload)
            .map(Result::unwrap)
            .collect();
        older
            .store
            .complete_upload(&past.upload, &lines(&parts))
            .unwrap();
        assert_is(&older.store, &past.upload, &[PART]);
        assert_eq!(older.missing(), pairs([(REPLACED, "replaced")]));
        drop(older);

        // An older bucket: what was stored since is missing, and what was removed since is there once more.
        let newer = past.restored("b", "a");
        newer.cluster.reconcile().unwrap();
        let missing = [
            (NEW, "new"),
            (REPLACING, "replaced"),
            (SECOND_PART, "uploaded"),
        ];
        assert_eq!(newer.missing(), pairs(missing));
        newer.sweep_to(kept + 2);
        assert_reads(&newer.store, "old", &[OLD]);
        for (seed, _) in missing {
            put(&newer.store, "again", seed);
        }
        assert!(newer.missing().is_empty());
        assert_is(&newer.store, &past.upload, &[PART, SECOND_PART]);
        assert!(newer.store.object_by_key("gone").is_err());
    });
}
