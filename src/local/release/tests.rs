//! Holds that only the engine's own modules can take, and a release that is stopped halfway.

use std::path::Path;
use std::sync::Arc;

use crate::backend::{Algorithms, Catalog, Location, NewBlob, NewUpload, PartRow, StoredBlob};
use crate::buffers::Buffers;
use crate::going::{Closing, Going};
use crate::local::engine::Engine;
use crate::local::format::mutation::Tree;
use crate::values::blocks::BlockCrcs;
use crate::{Background, Checksums, ContentHash, ETag, Key, Options, PartNumber, Upload};

fn open(path: &Path) -> Engine {
    let options = Options::cos().min_part_size(0).background(Background::Host);
    let buffers = Arc::new(Buffers::with(0));
    let opened = Engine::open(path, &options, &Closing::default(), &buffers);
    opened.unwrap().0
}

/// An open upload with so many parts, of 10 bytes each. Their blobs have rows only.
fn filled(engine: &Engine, parts: usize) -> Upload {
    let none = NewUpload {
        metadata: &[],
        wanted: Algorithms::default(),
        composite: Algorithms::default(),
    };
    let upload = engine.initiate(&Key::from("key"), &none).unwrap();
    for at in 1..=u32::try_from(parts).unwrap() {
        let body = at.to_be_bytes();
        let part = PartRow {
            size: 10,
            etag: ETag::from_md5([0; 16]),
            content: ContentHash::from_bytes(*blake3::hash(&body).as_bytes()),
            checksums: Checksums::new(),
        };
        let crcs = BlockCrcs {
            size: 10,
            crcs: vec![0],
        };
        let blob = NewBlob {
            stored: StoredBlob {
                location: Location::default(),
                crcs,
            },
            repairs: false,
        };
        let number = PartNumber::new(at).unwrap();
        engine
            .commit_part(&upload, number, &part, Some(&blob))
            .unwrap();
    }
    upload
}

fn release(engine: &Engine, going: &Going<'_>) {
    engine.release(going).run().unwrap();
}

fn release_all(engine: &Engine) {
    release(engine, &Going::until(&Closing::default()));
}

/// Rows of parts, of references, of tombstones and of garbage.
fn rows(engine: &Engine) -> [u64; 4] {
    let tally = engine.meta.tally();
    [Tree::Parts, Tree::Refs, Tree::Tombstones, Tree::Garbage].map(|tree| tally.rows_of(tree))
}

#[cfg(not(shuttle))]
mod alone {
    use std::ops::ControlFlow;

    use super::super::GROUP;
    use super::*;

    #[test]
    fn what_is_held_is_released_when_the_last_hold_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        for parts in [1, GROUP + 1] {
            let upload = filled(&engine, parts);
            let holds = [0, 1].map(|_| {
                let _whole = engine.locks.lock(upload.id()).unwrap();
                engine.held.hold(upload.id(), 1)
            });
            let garbage = rows(&engine)[3];
            engine.abort(&upload).unwrap();
            assert_eq!(engine.abort(&upload).unwrap_err().code(), "NoSuchUpload");
            let count = parts as u64;
            for hold in holds {
                release_all(&engine);
                assert_eq!(rows(&engine), [count, count, 1, garbage]);
                drop(hold);
            }
            release_all(&engine);
            assert_eq!(rows(&engine)[..3], [0, 0, 0]);
            assert!(rows(&engine)[3] >= count);
        }
    }

    #[test]
    fn a_release_that_is_stopped_goes_on_after_an_open() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        let upload = filled(&engine, 2 * GROUP + 1);
        engine.abort(&upload).unwrap();
        let (closing, mut asked) = (Closing::default(), 0);
        let mut tell = |_| {
            asked += 1;
            if asked > 1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        release(&engine, &Going::telling(&closing, &mut tell));
        let (left, group) = (GROUP as u64 + 1, GROUP as u64);
        assert_eq!(rows(&engine), [left, left, 1, group]);
        let tombstone = engine.meta.tombstone(upload.id()).unwrap().unwrap();
        assert_eq!((tombstone.parts, tombstone.bytes), (left, 10 * left));
        engine.close().unwrap();
        let engine = open(dir.path());
        release_all(&engine);
        assert_eq!(rows(&engine), [0, 0, 0, 2 * group + 1]);
    }
}

/// Whoever holds an upload finds all of its parts (I4).
#[cfg(shuttle)]
mod schedules {
    use harness::{check, join, task};
    use parking_lot::schedule;

    use super::*;

    #[test]
    fn a_held_upload_keeps_its_parts_while_it_ends() {
        check(1500, || {
            let (engine, upload) = schedule::pause(|| {
                let engine = Arc::new(open(Path::new("/data")));
                let upload = filled(&engine, 2);
                (engine, upload)
            });
            let holding = {
                let (engine, upload) = (Arc::clone(&engine), upload.clone());
                task(move || {
                    let id = upload.id();
                    let hold = {
                        let _whole = engine.locks.lock(id).unwrap();
                        let lives = engine.meta.upload(id).unwrap().is_some();
                        lives.then(|| engine.held.hold(id, 2))
                    };
                    for number in [1, 2].map(|number| PartNumber::new(number).unwrap()) {
                        let part = engine.meta.part(id, number).unwrap();
                        assert!(hold.is_none() || part.is_some(), "held, and lost");
                    }
                })
            };
            let ending = {
                let (engine, upload) = (Arc::clone(&engine), upload.clone());
                task(move || {
                    engine.abort(&upload).unwrap();
                    release_all(&engine);
                })
            };
            join([holding, ending]);
            schedule::pause(|| release_all(&engine));
            assert_eq!(rows(&engine), [0, 0, 0, 2]);
        });
    }
}
