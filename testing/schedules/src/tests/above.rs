//! What is above the engines: the steps of a put, a copy and a reader, on an engine whose verbs are atomic. So
//! whatever goes wrong here is wrong on every engine.

use parking_lot::schedule;

use harness::{check, join, task};
use partstore::{Background, Options, PartStore, Scope};
use partstore_memory::Memory;

use super::store::{number, parts, put, read};
use super::swept::{abort_task, sweep_task};

const X: &[u8] = b"some bytes";

fn open() -> (Memory, PartStore) {
    let memory = Memory::new();
    let options = Options::s3().min_part_size(0).background(Background::Host);
    let store = memory.open(options).unwrap();
    (memory, store)
}

/// After a sweep so many blobs are kept, each once, and all is well.
fn assert_kept(memory: &Memory, store: &PartStore, blobs: usize) {
    schedule::pause(|| {
        store.sweep().unwrap();
        assert_eq!(memory.contents().len(), blobs);
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    });
}

/// The put finds the blob of another upload's part, which goes in the meantime.
#[test]
fn a_blob_that_a_put_builds_on_is_not_swept() {
    check(1500, || {
        let (memory, store) = open();
        let upload = store.initiate_upload("kept").unwrap();
        let gone = store.initiate_upload("gone").unwrap();
        put(&store, &gone, 1, X).unwrap();
        let (putting, to) = (store.clone(), upload.clone());
        let done = join([
            task(move || put(&putting, &to, 1, X).is_ok()),
            abort_task(&store, &gone),
            sweep_task(&store),
        ]);
        assert_eq!(done, [true; 3]);
        assert_eq!(read(store.open_part(&upload, number(1)).unwrap()), X);
        assert_kept(&memory, &store, 1);
    });
}

/// Of new bytes that two put at the same time, one copy is kept.
#[test]
fn of_equal_bytes_of_two_puts_one_copy_is_kept() {
    check(1500, || {
        let (memory, store) = open();
        let upload = store.initiate_upload("key").unwrap();
        let putting = |at| {
            let (store, upload) = (store.clone(), upload.clone());
            task(move || put(&store, &upload, at, X).is_ok())
        };
        let done = join([putting(1), putting(2), sweep_task(&store)]);
        assert_eq!(done, [true; 3]);
        assert_eq!(parts(&store, &upload).len(), 2);
        assert_kept(&memory, &store, 1);
    });
}

/// A body whose upload is aborted before its commit leaves nothing.
#[test]
fn a_put_that_is_refused_leaves_nothing() {
    check(1500, || {
        let (memory, store) = open();
        let upload = store.initiate_upload("key").unwrap();
        let (putting, to) = (store.clone(), upload.clone());
        join([
            task(move || put(&putting, &to, 1, X).is_ok()),
            abort_task(&store, &upload),
        ]);
        assert_kept(&memory, &store, 0);
    });
}

/// The source of a copy goes while it is copied.
#[test]
fn a_copy_needs_no_source_any_more() {
    check(1500, || {
        let (memory, store) = open();
        let upload = store.initiate_upload("kept").unwrap();
        let gone = store.initiate_upload("gone").unwrap();
        put(&store, &gone, 1, X).unwrap();
        let source = store.open_part(&gone, number(1)).unwrap();
        let (copying, to) = (store.clone(), upload.clone());
        let done = join([
            task(move || copying.copy_part(&source, &to, number(1)).is_ok()),
            abort_task(&store, &gone),
        ]);
        assert_eq!(done, [true; 2]);
        assert_eq!(read(store.open_part(&upload, number(1)).unwrap()), X);
        assert_kept(&memory, &store, 1);
    });
}

/// A key always has one object while it is put again, and readers read one of them to its end.
#[test]
fn a_key_that_is_put_again_is_read_whole() {
    check(1500, || {
        let (memory, store) = open();
        store.put_object("key", X).unwrap();
        let (putting, reading) = (store.clone(), store.clone());
        let done = join([
            task(move || putting.put_object("key", &b"other bytes"[..]).is_ok()),
            task(move || {
                let bytes = read(reading.open_key("key").unwrap());
                bytes == X || bytes == b"other bytes"
            }),
            sweep_task(&store),
        ]);
        assert_eq!(done, [true; 3]);
        assert_kept(&memory, &store, 1);
    });
}
