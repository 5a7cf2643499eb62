//! Stores of many kinds, each of which lists the same to the reader, the library and the program.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, thread};

use partstore::{
    Background, ChecksumAlgorithm, CompleteOptions, CompletedPart, Condition, ETagKind, Event,
    ObjectOptions, Options, PartNumber, PartOptions, PartStore, Quota, Upload, UploadOptions,
};

use super::{Bench, has_python, layers, listed, options, read_whole};
use crate::fixture::{copy_dir, noise};

pub fn number(at: u32) -> PartNumber {
    PartNumber::new(at).unwrap()
}

/// Puts a part of so many bytes.
fn put(store: &PartStore, upload: &Upload, at: u32, len: usize) -> CompletedPart {
    let part = store
        .put_part(upload, number(at), noise(len, u64::from(at)))
        .unwrap();
    CompletedPart::new(part.number, part.etag)
}

/// Parts `1..=count` of one byte, at the same time.
fn put_many(store: &PartStore, upload: &Upload, count: u32) -> Vec<CompletedPart> {
    let mut parts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|first| {
                scope.spawn(move || {
                    let mine = (1..=count).skip(first).step_by(16);
                    mine.map(|at| put(store, upload, at, 1)).collect::<Vec<_>>()
                })
            })
            .collect();
        let parts = threads.into_iter().map(|thread| thread.join().unwrap());
        parts.flatten().collect()
    });
    parts.sort_by_key(|part| part.number);
    parts
}

pub fn complete(store: &PartStore, upload: &Upload, parts: &[CompletedPart]) {
    let current = CompleteOptions::new().make_current(Condition::Always);
    store.complete_upload_with(upload, parts, &current).unwrap();
}

/// What an object may be: whole, empty, of all checksums, with an opaque ETag, in a namespace, without a key.
fn put_objects(store: &PartStore) {
    store
        .create_namespace("films/ü", Quota::new().bytes(1 << 30).keys(70))
        .unwrap();
    // Then the default one has rows, too.
    store.set_quota("", Quota::new().keys(1_000)).unwrap();
    store.create_namespace("empty", Quota::new()).unwrap();
    for (at, len) in [0, 1, 100, 32_768, 32_769, 300_000, 9 << 20]
        .into_iter()
        .enumerate()
    {
        store
            .put_object(format!("whole {at}"), noise(len, 7))
            .unwrap();
        store
            .put_object(
                ("films/ü", format!("d/{at}\u{1f600}\n").as_str()),
                noise(len, 7),
            )
            .unwrap();
    }
    let all = ChecksumAlgorithm::ALL.iter();
    let body = all.fold(PartOptions::new(), |body, each| body.compute(*each));
    let wanting = ObjectOptions::new().body(body).metadata(noise(10_000, 1));
    store
        .put_object_with("all checksums", noise(70_000, 8), &wanting)
        .unwrap();
    let whole = ObjectOptions::new().whole_etag();
    store.put_object_with("whole etag", "x", &whole).unwrap();
}

/// Uploads in all states, with what becomes of them.
fn put_uploads(store: &PartStore) {
    let composite = UploadOptions::new()
        .checksum(ChecksumAlgorithm::Crc32c)
        .checksum(ChecksumAlgorithm::Sha1)
        .checksum(ChecksumAlgorithm::Crc64Nvme)
        .composite(ChecksumAlgorithm::Crc32c)
        .composite(ChecksumAlgorithm::Sha1)
        .metadata(noise(3_001, 2));
    let upload = store
        .initiate_upload_with(("films/ü", "composite"), composite.clone())
        .unwrap();
    let parts = [1, 2, 5, 9].map(|at| put(store, &upload, at, 40_000 * at as usize));
    // Part 2 is replaced, and part 5 is not listed.
    let second = put(store, &upload, 2, 3);
    complete(store, &upload, &[parts[0], second, parts[3]]);

    let open = store.initiate_upload_with("open", composite).unwrap();
    for (at, len) in [(1, 0), (2, 1), (10_000, 300_000)] {
        put(store, &open, at, len);
    }
    store.initiate_upload("open without parts").unwrap();
    let renamed = store.initiate_upload("renamed").unwrap();
    put(store, &renamed, 3, 9);
    store.rename_upload(&renamed, ("films/ü", "to")).unwrap();

    // More than 64 parts have marks.
    let many = store.initiate_upload("many").unwrap();
    let parts = put_many(store, &many, 200);
    complete(store, &many, &parts);
    let stride = store.initiate_upload("as many as one mark has").unwrap();
    let parts = put_many(store, &stride, 64);
    complete(store, &stride, &parts);
    // Its key gets another object in the end; this one has none.
    let aside = store.initiate_upload("many").unwrap();
    let parts = put_many(store, &aside, 3);
    store.complete_upload(&aside, &parts).unwrap();
}

/// Copies, renames, removals and aborts.
fn change(store: &PartStore) {
    let source = store.open_key("whole 5").unwrap();
    let copied = ObjectOptions::new().metadata("copied");
    store
        .copy_object(&source, ("films/ü", "copy"), &copied)
        .unwrap();
    store
        .copy_object(&source, "whole 1", &ObjectOptions::new())
        .unwrap();
    drop(source);
    let upload = store.initiate_upload("of copies").unwrap();
    let many = store.open_key("many").unwrap();
    let part = many.part(number(70)).unwrap();
    let copy = store.copy_part(&part, &upload, number(1)).unwrap();
    complete(
        store,
        &upload,
        &[CompletedPart::new(copy.number, copy.etag)],
    );

    let object = store.object_by_key("whole 4").unwrap();
    store
        .rename_object(
            &object.upload,
            ("films/ü", "renamed"),
            &ObjectOptions::new(),
        )
        .unwrap();
    store.remove_key("whole 2", Condition::Always).unwrap();
    let few = store.initiate_upload("aborted").unwrap();
    put(store, &few, 1, 77);
    store.abort_upload(&few).unwrap();
    let many = store.initiate_upload("aborted").unwrap();
    put_many(store, &many, 40);
    store.abort_upload(&many).unwrap();
}

#[test]
fn the_reader_lists_what_the_library_and_the_program_list() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    let ((), read) = bench.with(&options(), |_| ());
    assert_eq!(read["blobs"].as_array().unwrap().len(), 0);
    bench.with(&options(), put_objects);
    bench.with(&options().etag(ETagKind::Opaque), |store| {
        put_uploads(store);
        store.put_object("opaque", noise(100_000, 4)).unwrap();
    });
    bench.with(&options(), put_uploads);
    bench.with(&options(), change);
    let (sweep, read) = bench.with(&options(), |store| store.sweep().unwrap());
    assert!(!sweep.cut_short && read["left_parts"].as_array().unwrap().is_empty());
    bench.compare_with_program(&read);
    // Nothing was changed by that.
    let again = read_whole(&bench.root());
    for what in ["namespaces", "keys", "uploads", "objects", "parts", "blobs"] {
        assert_eq!(again[what], read[what]);
    }
}

/// What has ended leaves rows until a sweep releases them. They are of no upload.
#[test]
fn the_reader_tells_what_has_ended_from_what_exists() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    let quiet = options().background(Background::Host);
    let ((), read) = bench.with(&quiet, |store| {
        let upload = store.initiate_upload("k").unwrap();
        let parts = put_many(store, &upload, 100);
        complete(store, &upload, &parts);
        store.remove_key("k", Condition::Always).unwrap();
    });
    assert_eq!(read["left_parts"].as_array().unwrap().len(), 100);
    assert_eq!(read["parts"].as_array().unwrap().len(), 0);
    let (_, read) = bench.with(&quiet, |store| store.sweep().unwrap());
    assert_eq!(read["left_parts"].as_array().unwrap().len(), 0);
    assert_eq!(read["blobs"].as_array().unwrap().len(), 0);
}

/// Checkpoints of the size that stores have, then small ones. Metadata makes journals long.
#[test]
fn the_reader_lists_what_checkpoints_and_merges_have_left() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    let plain = Options::s3().max_metadata_len(64 << 10);
    bench.with(&plain, |store| {
        thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || (0..90).for_each(|at| initiate_or_abort(store, thread, at)));
            }
        });
    });
    assert!(!layers(&bench.root()).is_empty());

    let merges = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&merges);
    let count = move |event: &Event| {
        told.fetch_add(
            matches!(event, Event::Merge { .. }).into(),
            Ordering::SeqCst,
        );
    };
    let each = options()
        .journal_sizes(4096, 0)
        .background(Background::Host);
    let kept = bench.fixture.path("kept");
    fs::create_dir(&kept).unwrap();
    let ((), read) = bench.with(&each.observer(count), |store| {
        for at in 0..20 {
            (0..3).for_each(|thread| initiate_or_abort(store, thread, at));
            assert!(store.maintain().unwrap().checkpoint);
            copy_dir(&bench.root().join("meta/snapshot"), &kept);
        }
    });
    assert!(merges.load(Ordering::SeqCst) > 0);
    let counting = layers(&bench.root());

    // As after kills before merged layers were removed: the longest ones count.
    copy_dir(&kept, &bench.root().join("meta/snapshot"));
    assert!(layers(&bench.root()).len() > counting.len());
    let again = read_whole(&bench.root());
    for what in ["layers", "uploads"] {
        assert_eq!(again[what], read[what], "{what}");
    }
    bench.with(&options(), |store| {
        store.expire_uploads(Duration::ZERO).unwrap()
    });
    assert!(layers(&bench.root()).len() <= counting.len() + 1);
}

/// Two of three uploads do not stay.
fn initiate_or_abort(store: &PartStore, thread: u64, at: u64) {
    let metadata = noise(60_000, thread * 1_000 + at);
    let options = UploadOptions::new().metadata(metadata);
    let key = format!("key {}", thread + at % 20);
    let upload = store.initiate_upload_with(key, options).unwrap();
    if !at.is_multiple_of(3) {
        store.abort_upload(&upload).unwrap();
    }
}

/// A process that is killed leaves a torn end, or none. Either way the next open lists what the reader finds before.
#[test]
fn the_reader_lists_what_a_killed_process_has_left() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    let files = bench.fixture.path("files");
    fs::create_dir(&files).unwrap();
    for at in 0..1_000 {
        fs::write(
            files.join(format!("file {at}")),
            noise(1 + at % 40_000, at as u64),
        )
        .unwrap();
    }
    for round in 1..4 {
        let name = format!("round {round}");
        let args = ["import", "files", "-n", &name, "--create", "--jobs", "4"];
        let mut child = bench.fixture.spawn(args);
        // Some are acknowledged, and others are on their way.
        let clean = bench.root().join("meta/CLEAN");
        while objects_begun(&bench.root()) < 40 * round || clean.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let killed = bench.fixture.path(format!("killed {round}"));
        copy_dir(&bench.root(), &killed);
        let read = read_whole(&killed);
        assert_eq!(read["closed"], false);
        let copy = options()
            .read_only(bench.fixture.dir.path())
            .open(&killed)
            .unwrap();
        listed::assert_same(&read, &listed::by_library(&copy));
        copy.close().unwrap();
        let store = options().open(bench.root()).unwrap();
        listed::assert_same(&read, &listed::by_library(&store));
        store.close().unwrap();
        assert!(!read["keys"].as_array().unwrap().is_empty());
        let ((), read) = bench.with(&options(), |_| ());
        assert_eq!(read["closed"], true);
    }
}

/// Directories of blobs, of which each begins with one.
fn objects_begun(root: &Path) -> usize {
    fs::read_dir(root.join("blobs")).map_or(0, Iterator::count)
}

#[test]
fn the_reader_lists_what_older_formats_have_become() {
    if !has_python() {
        return;
    }
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    for name in crate::fixture::names(Path::new(fixtures)) {
        let bench = Bench::new();
        copy_dir(&Path::new(fixtures).join(&name), &bench.root());
        let before = match name.as_str() {
            "format-1" | "format-1-salt" | "format-2" => None,
            _ => Some(read_whole(&bench.root())),
        };
        let ((), read) = bench.with(&options(), |_| ());
        assert_eq!(
            (read["format"].as_u64(), read["closed"].as_bool()),
            (Some(4), Some(true))
        );
        for what in ["keys", "uploads", "objects", "parts", "blobs"] {
            let rows = read[what].as_array().unwrap();
            assert!(!rows.is_empty() || what == "keys", "{name}: {what}");
            if let Some(before) = &before {
                assert_eq!(&read[what], &before[what], "{name}: {what}");
            }
        }
        bench.compare_with_program(&read);
        // Rows of the old form beside those of the new one.
        bench.with(&options(), put_objects);
        bench.with(&options(), put_uploads);
    }
}
