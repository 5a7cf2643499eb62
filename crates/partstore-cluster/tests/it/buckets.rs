//! A bucket that fails: what was acknowledged stays, what was refused leaves nothing, and damage is told from a network
//! that fails.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use partstore::{Error, PartOptions, PartStore, Result, Upload};
use partstore_cluster::Cluster;
use partstore_contract::support::{bytes, free_options, number, read_object};

use crate::support::faulty::{Fault, FaultyStore, Op};
use crate::support::{
    Bytes, ClusterEngine, Servers, assert_tidy, case, database, is_mark, later, sql,
};

/// A store on a faulty bucket.
struct Bench {
    faulty: Arc<FaultyStore>,
    memory: Arc<InMemory>,
    servers: Servers,
}

impl Bench {
    fn new() -> Self {
        let memory = Arc::new(InMemory::new());
        let bytes = Bytes::Bucket(Arc::clone(&memory) as _, "parts".to_owned());
        let engine = ClusterEngine::new(bytes);
        let faulty = FaultyStore::on(&memory);
        Self {
            servers: Servers {
                stores: vec![open(&faulty, &engine)],
                engine,
            },
            faulty,
            memory,
        }
    }

    fn store(&self) -> &PartStore {
        &self.servers.stores[0]
    }

    /// Another server.
    fn open(&self) -> PartStore {
        open(&self.faulty, &self.servers.engine)
    }

    fn memory(&self) -> &Arc<InMemory> {
        &self.memory
    }

    fn objects(&self) -> Vec<Path> {
        let listed = self.memory().list(None).try_collect::<Vec<_>>();
        let listed = listed.now_or_never().unwrap().unwrap();
        let paths = listed.into_iter().map(|object| object.location);
        paths.filter(|path| !is_mark(path)).collect()
    }

    /// A day later this many objects are stored, and nothing else.
    fn assert_stored(&self, count: usize) {
        for _ in 0..2 {
            self.store().sweep().unwrap();
            later(&self.servers.engine.schema);
            self.store().sweep().unwrap();
        }
        assert_eq!(self.objects().len(), count);
        assert_eq!(self.faulty.open_uploads(), 0);
        let doomed = format!("SELECT count(*) FROM {}.doomed", self.servers.engine.schema);
        assert_eq!(sql::query(&doomed)[0].get::<_, i64>(0), 0);
        assert_tidy(&self.servers);
    }
}

fn open(faulty: &Arc<FaultyStore>, engine: &ClusterEngine) -> PartStore {
    let cluster = Cluster::with_storage(&database(), Arc::clone(faulty) as _, "parts");
    // So a read gives up soon.
    let cluster = cluster.patience(Duration::from_secs(1));
    cluster.schema(&engine.schema).open(free_options()).unwrap()
}

fn assert_unavailable<T>(result: Result<T>) {
    let error = result.map(drop).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

fn read(store: &PartStore, object: &Upload, from: u64) -> Result<Vec<u8>> {
    let mut reader = store.open_object(object)?;
    let mut found = Vec::new();
    reader.seek(SeekFrom::Start(from)).unwrap();
    match reader.read_to_end(&mut found) {
        Ok(_) => Ok(found),
        Err(error) => Err(Error::from_io(error).unwrap()),
    }
}

#[test]
fn an_open_whose_mark_is_not_written_in_time_fails_and_the_next_one_leaves_one_mark() {
    case(|| {
        let memory = Arc::new(InMemory::new());
        let engine =
            ClusterEngine::new(Bytes::Bucket(Arc::clone(&memory) as _, "parts".to_owned()));
        let faulty = FaultyStore::on(&memory);
        let cluster = Cluster::with_storage(&database(), Arc::clone(&faulty) as _, "parts");
        let cluster = cluster
            .patience(Duration::from_secs(1))
            .schema(&engine.schema);
        for fault in [Fault::Stalls, Fault::Before, Fault::After] {
            faulty.fail(Op::Put, 0, fault);
            assert_unavailable(cluster.open(free_options()));
        }
        assert_eq!(engine.marks(), 0, "the answer to the last one was lost");
        cluster.open(free_options()).unwrap().close().unwrap();
        assert_eq!(engine.marks(), 1);
        faulty.fail_all(Op::Delete, Fault::Before, None);
        cluster.open(free_options()).unwrap().close().unwrap();
    });
}

#[test]
fn a_put_that_fails_leaves_nothing_whether_or_not_it_was_stored() {
    case(|| {
        let bench = Bench::new();
        for (at, fault) in [Fault::Before, Fault::After].into_iter().enumerate() {
            let body = bytes(at as u64, 1000);
            bench.faulty.fail(Op::Put, 0, fault);
            assert_unavailable(bench.store().put_object("key", body.clone()));
            let object = bench
                .store()
                .put_object("key", body.clone())
                .unwrap()
                .upload;
            bench.assert_stored(1);
            assert!(read_object(bench.store(), &object) == body);
        }
    });
}

#[test]
fn a_put_that_arrives_behind_the_sweep_is_removed_a_day_later() {
    case(|| {
        let bench = Bench::new();
        bench.faulty.fail(Op::Put, 0, Fault::Late);
        assert_unavailable(bench.store().put_object("key", b"body".to_vec()));
        let object = bench.store().put_object("key", b"body".to_vec()).unwrap();
        bench.store().sweep().unwrap();
        bench.faulty.release();
        bench.store().sweep().unwrap();
        assert_eq!(bench.objects().len(), 2, "the day is not over");
        bench.assert_stored(1);
        assert!(read_object(bench.store(), &object.upload) == b"body");
    });
}

#[test]
fn an_object_that_is_lost_or_cut_short_is_damaged_until_its_bytes_are_put_again() {
    case(|| {
        let bench = Bench::new();
        let body = bytes(1, 600_000);
        let object = bench
            .store()
            .put_object("key", body.clone())
            .unwrap()
            .upload;
        let other = bench.open();
        for len in [None, Some(0), Some(1), Some(262_144), Some(599_999)] {
            // Both servers have found it sound before.
            other.put_object("other", body.clone()).unwrap();
            let [path] = bench.objects().try_into().unwrap();
            match len {
                None => bench
                    .memory()
                    .delete(&path)
                    .now_or_never()
                    .unwrap()
                    .unwrap(),
                Some(len) => {
                    let put = bench.memory().put(&path, body[..len].to_vec().into());
                    put.now_or_never().unwrap().map(drop).unwrap();
                }
            }
            for from in [599_000, 0] {
                let damaged = read(bench.store(), &object, from).unwrap_err();
                assert!(
                    matches!(damaged, Error::DamagedBlob { .. }),
                    "{len:?}, {from}: {damaged}"
                );
            }
            assert_eq!(bench.store().stats().unwrap().damaged_blobs, 1);
            other.put_object("again", body.clone()).unwrap();
            assert!(read(bench.store(), &object, 0).unwrap() == body);
            other.sweep().unwrap();
            bench.assert_stored(1);
        }
    });
}

#[test]
fn a_read_goes_on_where_the_bucket_broke_off() {
    case(|| {
        let bench = Bench::new();
        let body = bytes(1, 600_000);
        let object = bench
            .store()
            .put_object("key", body.clone())
            .unwrap()
            .upload;
        for at in [0, 1, 262_144, 300_000, 599_999] {
            for says in [true, false] {
                bench.faulty.fail(Op::Get, 0, Fault::BreaksOff { at, says });
                assert!(read(bench.store(), &object, 0).unwrap() == body);
            }
        }
        for fault in [Fault::Before, Fault::Stalls] {
            bench.faulty.fail(Op::Get, 0, fault);
            assert!(read(bench.store(), &object, 0).unwrap() == body);
        }
    });
}

#[test]
fn a_bucket_that_cannot_be_read_is_away_and_has_lost_nothing() {
    case(|| {
        let bench = Bench::new();
        let body = bytes(1, 600_000);
        let object = bench
            .store()
            .put_object("key", body.clone())
            .unwrap()
            .upload;
        let says = true;
        let breaks_off = |says| Fault::BreaksOff { at: 1000, says };
        for fault in [
            breaks_off(says),
            breaks_off(!says),
            Fault::Before,
            Fault::Stalls,
        ] {
            bench.faulty.fail_all(Op::Get, fault, None);
            assert_unavailable(read(bench.store(), &object, 290_000));
            bench.faulty.fail_all(Op::Head, Fault::Before, None);
            assert_unavailable(read(bench.store(), &object, 290_000));
            bench.faulty.heal();
            assert_eq!(bench.store().stats().unwrap().damaged_blobs, 0);
            assert!(read(bench.store(), &object, 0).unwrap() == body);
        }
        bench.assert_stored(1);
    });
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_removal() {
    case(|| {
        for fault in [Fault::Before, Fault::After] {
            let bench = Bench::new();
            for at in 0..5 {
                let object = bench.store().put_object("key", bytes(at, 100)).unwrap();
                if at == 4 {
                    bench.store().remove_object(&object.upload).unwrap();
                }
            }
            let stays = bench.objects().swap_remove(2);
            bench
                .faulty
                .fail_all(Op::Delete, fault, Some(stays.clone()));
            assert_unavailable(bench.store().sweep());
            if fault == Fault::Before {
                assert_eq!(bench.objects(), [stays]);
            }
            bench.faulty.heal();
            bench.assert_stored(0);
        }
    });
}

const PIECES: usize = 4;

fn long_body() -> Vec<u8> {
    bytes(7, (PIECES - 1) * (5 << 20) + 1000)
}

#[test]
fn a_long_body_that_fails_at_any_step_leaves_neither_object_nor_upload() {
    case(|| {
        let bench = Bench::new();
        let body = long_body();
        let pieces = (0..PIECES).map(|at| (Op::Piece, at));
        for (op, at) in [(Op::Create, 0), (Op::Complete, 0)]
            .into_iter()
            .chain(pieces)
        {
            for fault in [Fault::Before, Fault::After] {
                // Nobody has been told of an upload whose id was lost. A rule of the bucket aborts it.
                if (op, fault) == (Op::Create, Fault::After) {
                    continue;
                }
                bench.faulty.fail(op, at, fault);
                assert_unavailable(bench.store().put_object("key", body.clone()));
                bench.faulty.heal();
                bench.assert_stored(0);
            }
        }
        bench.faulty.fail_all(Op::Abort, Fault::Before, None);
        bench.faulty.fail(Op::Piece, 1, Fault::Before);
        assert_unavailable(bench.store().put_object("key", body.clone()));
        assert_unavailable(bench.store().sweep());
        bench.faulty.heal();
        let object = bench
            .store()
            .put_object("key", body.clone())
            .unwrap()
            .upload;
        bench.assert_stored(1);
        assert!(read_object(bench.store(), &object) == body);
    });
}

#[test]
fn a_long_body_that_is_given_up_or_whose_server_is_killed_leaves_nothing() {
    case(|| {
        for is_killed in [false, true] {
            let bench = Bench::new();
            let upload = bench.store().initiate_upload("key").unwrap();
            let options = PartOptions::new();
            let mut writer = bench
                .store()
                .part_writer(&upload, number(1), options)
                .unwrap();
            bench.faulty.fail_all(Op::Piece, Fault::Stalls, None);
            writer.write_all(&long_body()[..12 << 20]).unwrap();
            assert_eq!(bench.faulty.open_uploads(), 1);
            if is_killed {
                std::mem::forget(writer);
                sql::run(&format!(
                    "UPDATE {}.sessions SET expires = now() - interval '1 second'",
                    bench.servers.engine.schema
                ));
                bench.open().sweep().unwrap();
            } else {
                drop(writer);
                bench.store().sweep().unwrap();
            }
            assert_eq!(bench.faulty.open_uploads(), 0);
            bench.store().abort_upload(&upload).unwrap();
            bench.assert_stored(0);
        }
    });
}
