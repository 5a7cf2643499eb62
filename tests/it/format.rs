//! Stores of every format open, with all that they hold.
//!
//! A fixture is made once, by the version that introduces a format, and never again:
//! `PARTSTORE_WRITE_FIXTURE=tests/fixtures/format-1-salt cargo test --test it format`.

use std::path::Path;

use partstore::{ListObjects, ListUploads, PartStore, Scope, Upload};

use crate::fixture::{bytes, copy_tree, free_options, lines, number, read_object, read_part};

const LARGE: usize = 300 * 1024;

/// Before journal segments had salts.
#[test]
fn a_store_of_format_1_opens_with_all_that_it_holds() {
    opens_with_all_that_it_holds("format-1");
}

#[test]
fn a_store_of_format_1_with_salts_opens_with_all_that_it_holds() {
    if let Some(to) = std::env::var_os("PARTSTORE_WRITE_FIXTURE") {
        write_format_1(Path::new(&to));
    }
    opens_with_all_that_it_holds("format-1-salt");
}

fn opens_with_all_that_it_holds(fixture: &str) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    copy_tree(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(fixture),
        &root,
    );
    let store = free_options().open(&root).unwrap();

    assert!(
        store.stats().unwrap().snapshot_seq > 0,
        "the fixture holds a snapshot"
    );
    let page = store.list_uploads(&ListUploads::new()).unwrap();
    let [open] = page.uploads.as_slice() else {
        panic!("one open upload, got {page:?}")
    };
    assert_eq!(
        (open.upload.key(), open.metadata.as_slice()),
        ("open/файл", &bytes(9, 5000)[..])
    );
    assert_eq!(read_part(&store, &open.upload, number(1)), bytes(2, 100));
    assert_eq!(read_part(&store, &open.upload, number(2)), b"");
    assert_eq!(
        read_part(&store, &open.upload, number(10_000)),
        vec![b'x'; LARGE]
    );

    let objects = store
        .list_objects(&ListObjects::new().limit(10))
        .unwrap()
        .objects;
    let [object] = objects.as_slice() else {
        panic!("one object, got {objects:?}")
    };
    assert_eq!(object.upload.key(), "object");
    assert_eq!(
        object.etag.to_string(),
        "431ca930dd968ebb96fb4a92392d9d0a-2"
    );
    let whole = [vec![b'x'; LARGE], bytes(3, 1000)].concat();
    assert_eq!(read_object(&store, &object.upload), whole);
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
}

fn write_format_1(to: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let store = free_options()
        .headroom(0)
        .journal_sizes(8192, 16 * 1024)
        .open(&root)
        .unwrap();
    let done = store.initiate_upload("object").unwrap();
    let first = store.put_part(&done, number(3), vec![b'x'; LARGE]).unwrap();
    let second = store.put_part(&done, number(4), bytes(3, 1000)).unwrap();
    store.put_part(&done, number(7), "not listed").unwrap();
    store
        .complete_upload(&done, &lines(&[first, second]))
        .unwrap();
    let open = store
        .initiate_upload_with("open/файл", &bytes(9, 5000))
        .unwrap();
    store.put_part(&open, number(1), bytes(1, 100)).unwrap();
    rewrite_until_snapshot(&store, &open);
    store.put_part(&open, number(1), bytes(2, 100)).unwrap();
    store.put_part(&open, number(2), "").unwrap();
    store
        .put_part(&open, number(10_000), vec![b'x'; LARGE])
        .unwrap();
    store.sweep().unwrap();
    store.close().unwrap();
    // As after a crash: the index is no part of the format.
    std::fs::remove_dir_all(root.join("meta/index")).unwrap();
    std::fs::remove_file(root.join("meta/CLEAN")).unwrap();
    copy_tree(&root, to);
}

fn rewrite_until_snapshot(store: &PartStore, upload: &Upload) {
    while !store.maintain().unwrap().snapshot {
        store.put_part(upload, number(1), bytes(1, 100)).unwrap();
    }
}
