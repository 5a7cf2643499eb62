//! Completing in place of an object: the new one comes and the old one goes in one commit.

use crate::fixture::{
    Fixture, bytes, copy_tree, fast_dir, free_options, lines, race, read_object, refusal,
};
use crate::seen::{Frame, frames, segments};
use partstore::{Error, ListParts, Part, PartStore, Upload};
pub use partstore_contract::cases::replace::{NO_OBJECT, Successor, put_all};
use std::fs;
use std::path::Path;

/// The newest frames of the journal that hold a batch: its segment, and where it stands.
fn newest_batch(root: &Path) -> (std::path::PathBuf, Frame) {
    let of = |path: std::path::PathBuf| {
        let frames = frames(&fs::read(&path).unwrap());
        let newest = frames.into_iter().rfind(|frame| !frame.is_seal);
        newest.map(|frame| (path, frame))
    };
    let all = segments(root).into_iter().filter_map(of);
    all.max_by_key(|(_, frame)| frame.seq).unwrap()
}

/// The point of the call: wherever the journal is cut, one of both is there.
#[test]
fn a_crash_at_any_byte_leaves_exactly_one_of_both() {
    for options in [free_options(), free_options().journal_sizes(4096, 0)] {
        let fixture = Fixture::within(fast_dir(), options.headroom(64 * 1024));
        let old: Vec<Vec<u8>> = (0..30).map(|at| bytes(at, 10)).collect();
        let old: Vec<&[u8]> = old.iter().map(Vec::as_slice).collect();
        let successor = Successor::put(&fixture, &old, &[b"new", &bytes(3, 10)]);
        let before = newest_batch(&fixture.root()).1.seq;
        successor.replace(&fixture.store).unwrap();
        let killed = fixture.killed();
        let (segment, frame) = newest_batch(&killed);
        assert_eq!(frame.seq, before + 1, "it is one batch");
        let whole = fs::read(&segment).unwrap();
        let cuts = (frame.start..frame.end).step_by(97);
        for cut in cuts.chain([frame.end - 1, frame.end]) {
            let copy = killed.with_file_name("cut");
            let _ = fs::remove_dir_all(&copy);
            copy_tree(&killed, &copy);
            let mut left = whole.clone();
            left[cut..].fill(0);
            let is_whole = left[..frame.end] == whole[..frame.end];
            fs::write(copy.join(segment.strip_prefix(&killed).unwrap()), left).unwrap();
            let store = fixture.options.clone().open(&copy).unwrap();
            assert_eq!(
                successor.there(&store),
                (!is_whole, is_whole),
                "cut at {cut}"
            );
            assert_eq!(store.upload(&successor.upload).is_ok(), !is_whole);
            store.sweep().unwrap();
            assert_eq!(successor.there(&store), (!is_whole, is_whole));
            let object = successor.replace(&store).unwrap();
            assert_eq!(
                read_object(&store, &object.upload),
                [&b"new"[..], &bytes(3, 10)].concat()
            );
        }
    }
}

/// Compare-and-swap: when the object is another by now nothing happens.
#[test]
fn without_the_object_to_replace_the_upload_stays_open() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (upload, list) = put_all(&fixture, &[b"new", b"bytes"]);
    let parts = fixture.parts(&upload);
    let there = fixture.complete("key", &[b"there"]).upload;
    let removed = fixture.complete("key", &[b"removed"]).upload;
    store.remove_object(&removed).unwrap();
    let aborted = fixture.initiate("key");
    store.abort_upload(&aborted).unwrap();
    let replaced = Successor::put(&fixture, &[b"first"], &[b"second"]);
    replaced.replace(store).unwrap();
    let absent = [
        Upload::parse("key", &"1".repeat(74)).unwrap(),
        fixture.initiate("key"),
        Upload::new("other", there.id()),
        Upload::new("other", upload.id()),
        upload.clone(),
        removed,
        aborted,
        replaced.old.upload.clone(),
    ];
    store.sweep().unwrap();
    let journal = store.stats().unwrap().journal_bytes;
    for object in &absent {
        let answer = store.complete_upload_replacing(&upload, &list, object);
        let Err(Error::NoSuchObject { key, id }) = &answer else {
            panic!("{object:?}: {answer:?}")
        };
        assert_eq!((&key[..], id), (object.key(), &object.id().to_string()));
        assert_eq!(refusal(answer), NO_OBJECT);
        assert_eq!(fixture.parts(&upload), parts, "{object:?}");
        assert_eq!(refusal(store.object(&upload)), NO_OBJECT);
    }
    assert_eq!(
        store.stats().unwrap().journal_bytes,
        journal,
        "nothing was written"
    );
    store
        .complete_upload_replacing(&upload, &list, &there)
        .unwrap();
    assert_eq!(refusal(store.object(&there)), NO_OBJECT);
    fixture.assert_tidy();
}

/// The largest batch that there is, in segments of the usual size and in small ones.
#[test]
fn an_object_of_10000_parts_is_replaced_with_9999_that_are_not_listed() {
    for options in [free_options(), free_options().journal_sizes(4096, 0)] {
        let mut fixture = Fixture::within(fast_dir(), options);
        let [old, upload] = ["old", "new"].map(|key| fixture.initiate(key));
        race(4, |thread| {
            for at in (1..=10_000).skip(thread).step_by(4) {
                fixture.put(&old, at, &bytes(u64::from(at % 50), 10));
                fixture.put(&upload, at, &bytes(u64::from(at % 70), 10));
            }
        });
        let all = |after| {
            fixture
                .store
                .list_parts(&old, &ListParts::new().marker(after))
                .unwrap()
                .parts
        };
        let listed: Vec<Part> = (0..10).flat_map(|page| all(page * 1000)).collect();
        fixture
            .store
            .complete_upload(&old, &lines(&listed))
            .unwrap();
        let list = lines(&fixture.parts(&upload)[..1]);
        let replacing = |store: &PartStore| store.complete_upload_replacing(&upload, &list, &old);
        let object = replacing(&fixture.store).unwrap();
        let killed = fixture.open_killed();
        assert_eq!(replacing(&killed).unwrap(), object);
        fixture.reopen();
        fixture.store.maintain().unwrap();
        fixture.assert_tidy();
        let stats = fixture.store.stats().unwrap();
        assert_eq!((stats.objects, stats.parts, stats.blobs), (1, 1, 1));
        assert_eq!(read_object(&fixture.store, &upload), bytes(1, 10));
    }
}
