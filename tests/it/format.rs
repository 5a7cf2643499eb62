//! Stores of every format open, with all that they hold.
//!
//! A fixture is made once, by the version that introduces a format, and never again:
//! `PARTSTORE_WRITE_FIXTURE=tests/fixtures/format-4 cargo test --test it format`.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use partstore::{
    ChecksumAlgorithm, CompleteOptions, Condition, ETagKind, Error, IndexRecovery, ListObjects,
    ListUploads, ObjectOptions, PartStore, Quota, Scope, Upload, UploadOptions,
};

use crate::fixture::{
    bytes, copy_tree, files, free_options, lines, number, read_object, read_part, remove_indexes,
};

const LARGE: usize = 300 * 1024;

/// Before journal segments had salts.
#[test]
fn a_store_of_format_1_opens_with_all_that_it_holds() {
    opens_with_all_that_it_holds("format-1");
}

#[test]
fn a_store_of_format_1_with_salts_opens_with_all_that_it_holds() {
    opens_with_all_that_it_holds("format-1-salt");
}

fn opens_with_all_that_it_holds(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    copy_tree(&fixture(name), &root);
    let store = free_options().open(&root).unwrap();

    assert!(
        store.stats().unwrap().checkpoint_seq > 0,
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

    // The store is of the newest format now. It knows what it holds, and old rows serve new calls.
    let format = std::fs::read_to_string(root.join("FORMAT")).unwrap();
    assert_eq!(format, "partstore format\n4\n");
    let usage = store.namespace("").unwrap().usage;
    let parts = 2 * LARGE as u64 + 100 + 1000;
    assert_eq!((usage.keys, usage.objects), (0, 1));
    assert_eq!((usage.bytes, usage.open_uploads), (parts, 1));
    store
        .make_current(&object.upload, Condition::IfAbsent)
        .unwrap();
    let source = store.open_key("object").unwrap();
    store
        .copy_object(&source, "copy", &ObjectOptions::new())
        .unwrap();
    store.close().unwrap();
    let store = free_options().open(&root).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(store.namespace("").unwrap().usage.keys, 2);
    let found = store.object_by_key("object").unwrap();
    assert_eq!(found.upload, object.upload);
    assert_eq!(read_object(&store, &found.upload), whole);
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
}

/// Whatever a crash in the middle of the first open leaves: the next one finds all of it.
#[test]
fn an_upgrade_that_is_cut_off_is_done_by_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    for step in 0..3 {
        let root = dir.path().join(format!("data-{step}"));
        copy_tree(&fixture("format-1-salt"), &root);
        match step {
            // Killed before the new format was durable.
            0 => std::fs::write(root.join("FORMAT.tmp"), "partstore for").unwrap(),
            // Killed when it was, and nothing else.
            1 => std::fs::write(root.join("FORMAT"), "partstore format\n4\n").unwrap(),
            // Killed when the sums were written: they are not added twice.
            _ => {
                let store = free_options().open(&root).unwrap();
                let killed = dir.path().join("killed");
                copy_tree(&root, &killed);
                drop(store);
                std::fs::remove_dir_all(&root).unwrap();
                std::fs::rename(&killed, &root).unwrap();
            }
        }
        let store = free_options().open(&root).unwrap();
        let usage = store.namespace("").unwrap().usage;
        assert_eq!((usage.objects, usage.open_uploads), (1, 1), "{step}");
        assert_eq!(usage.bytes, 2 * LARGE as u64 + 100 + 1000);
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    }
}

/// With keys, namespaces and a quota.
#[test]
fn a_store_of_format_2_opens_with_all_that_it_holds() {
    has_keys_and_namespaces("format-2");
}

/// With layers.
#[test]
fn a_store_of_format_3_opens_with_all_that_it_holds() {
    has_keys_and_namespaces("format-3");
}

/// A store of the newest format, with blobs in short blocks.
#[test]
fn a_store_of_format_4_opens_with_all_that_it_holds() {
    if let Some(to) = std::env::var_os("PARTSTORE_WRITE_FIXTURE") {
        write_format_4(Path::new(&to));
    }
    has_keys_and_namespaces("format-4");
}

/// Of formats 3 and 4, blobs with several blocks: one that a layer has, and one that the journal has.
const BLOBS: [(&str, usize); 2] = [("in a layer", 300 * 1024), ("in the journal", 90_000)];

/// Each 32 KiB differ from the others.
fn blob(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at >> 15).to_le_bytes()[0]).collect()
}

/// Reads a byte of a blob, whose other bytes may be damaged.
fn byte_of(store: &PartStore, key: &str, at: u64) -> Result<u8, String> {
    let mut reader = store.open_key(key).unwrap();
    let mut byte = [0];
    reader.seek(SeekFrom::Start(at)).unwrap();
    reader
        .read_exact(&mut byte)
        .map(|()| byte[0])
        .map_err(|error| Error::from_io(error).unwrap().to_string())
}

/// A damaged byte spoils its block and no other. Blocks have this length.
fn assert_blocks(store: &PartStore, root: &Path, block: u64) {
    assert_blocks_of(store, root, block, &BLOBS);
}

fn assert_blocks_of(store: &PartStore, root: &Path, block: u64, blobs: &[(&str, usize)]) {
    for &(key, len) in blobs {
        let object = store.object_by_key(key).unwrap();
        assert_eq!(read_object(store, &object.upload), blob(len));
        let placed = store.open_key(key).unwrap().part_at(0).unwrap().unwrap();
        let name = placed.part.content.to_string();
        let file = root.join("blobs").join(&name[..2]).join(&name);
        let sound = std::fs::read(&file).unwrap();
        let mut bytes = sound.clone();
        let damaged = 70_000;
        bytes[damaged] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let at = damaged as u64 / block;
        for byte in [0, 40_000, 65_535, 65_536, 89_999] {
            let read = byte_of(store, key, byte);
            if byte / block == at {
                let reason = format!("block {at} of {block} bytes");
                assert!(read.unwrap_err().contains(&reason), "{reason}");
            } else {
                let byte = usize::try_from(byte).unwrap();
                assert_eq!(read, Ok(sound[byte]), "byte {byte} of {key}");
            }
        }
        let report = store.verify(Scope::Everything).unwrap();
        let found: Vec<_> = report.damaged.iter().map(|blob| blob.hash).collect();
        assert_eq!(found, [placed.part.content]);
        // The same bytes repair it.
        store.put_object("again", blob(len)).unwrap();
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
    }
}

/// Salvage reads rows of format 3 as well, and the blobs of those keep their long blocks.
#[test]
fn salvaged_blobs_of_format_3_keep_their_long_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let (mut salvaged, mut whole) = (0, BTreeSet::new());
    let all = ["journal", "snapshot"].map(|kind| {
        let names = files(&fixture("format-3-blobs").join("meta").join(kind));
        names.into_iter().map(move |name| format!("{kind}/{name}"))
    });
    let all: Vec<_> = all.into_iter().flatten().collect();
    for (at, file) in all.iter().flat_map(|file| (0..8).map(move |at| (at, file))) {
        let root = dir.path().join("data");
        copy_tree(&fixture("format-3-blobs"), &root);
        let damaged = root.join("meta").join(file);
        let mut bytes = std::fs::read(&damaged).unwrap();
        let place = bytes.len() * at / 8 + 30;
        bytes[place] ^= 1;
        std::fs::write(&damaged, bytes).unwrap();
        if free_options().open(&root).is_err() {
            let store = free_options().salvage().open(&root).unwrap();
            salvaged += 1;
            let found = BLOBS
                .iter()
                .filter(|(key, _)| store.object_by_key(*key).is_ok());
            let found: Vec<_> = found.copied().collect();
            assert_blocks_of(&store, &root, 256 * 1024, &found);
            whole.extend(found);
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
    assert!(
        salvaged >= 2 && whole.len() == BLOBS.len(),
        "{salvaged}, {whole:?}"
    );
}

/// Whatever a crash in the middle of the first open leaves: blobs that are stored keep their long blocks, also when
/// their bytes are put again.
#[test]
fn blobs_of_format_3_keep_their_long_blocks() {
    let dir = tempfile::tempdir().unwrap();
    for step in 0..4 {
        let root = dir.path().join(format!("data-{step}"));
        copy_tree(&fixture("format-3-blobs"), &root);
        match step {
            0 => {}
            // Killed before the new format was durable.
            1 => std::fs::write(root.join("FORMAT.tmp"), "partstore for").unwrap(),
            // Killed when it was, and nothing else.
            2 => std::fs::write(root.join("FORMAT"), "partstore format\n4\n").unwrap(),
            // Killed behind the first put.
            _ => {
                let store = free_options().open(&root).unwrap();
                store.put_object("new", blob(100_000)).unwrap();
                let killed = dir.path().join("killed");
                copy_tree(&root, &killed);
                drop(store);
                std::fs::remove_dir_all(&root).unwrap();
                std::fs::rename(&killed, &root).unwrap();
            }
        }
        let store = free_options().open(&root).unwrap();
        for (key, len) in BLOBS {
            let held = store.object_by_key(key).unwrap();
            let again = store.put_object("again", blob(len)).unwrap();
            assert_eq!((again.etag, &again.checksums), (held.etag, &held.checksums));
        }
        assert_blocks(&store, &root, 256 * 1024);
        // What is stored from now on has short ones.
        for (key, _) in BLOBS {
            store.remove_key(key, Condition::Always).unwrap();
        }
        store.remove_key("again", Condition::Always).unwrap();
        store.sweep().unwrap();
        for (key, len) in BLOBS {
            store.put_object(key, blob(len)).unwrap();
        }
        assert_blocks(&store, &root, 32 * 1024);
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
        store.close().unwrap();
    }
}

#[test]
fn blobs_of_format_4_have_short_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    copy_tree(&fixture("format-4"), &root);
    let store = free_options().open(&root).unwrap();
    assert_blocks(&store, &root, 32 * 1024);
}

/// Each state between two steps of writing the snapshot of format 2 to a layer.
#[test]
fn a_snapshot_that_was_half_written_to_a_layer_is_written_by_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    copy_tree(&fixture("format-2"), &done);
    drop(free_options().open(&done).unwrap());
    let layers = files(&done.join("meta/snapshot"));
    let [name] = Vec::from_iter(&layers)[..] else {
        panic!("one layer in place of the snapshot: {layers:?}");
    };
    let layer = std::fs::read(done.join("meta/snapshot").join(name)).unwrap();
    for step in 0..3 {
        let root = dir.path().join(format!("cut-{step}"));
        copy_tree(&fixture("format-2"), &root);
        std::fs::write(root.join("FORMAT"), "partstore format\n4\n").unwrap();
        let to = root.join("meta/snapshot");
        match step {
            0 => {}
            1 => std::fs::write(to.join("layer.tmp"), &layer[..layer.len() / 2]).unwrap(),
            _ => std::fs::write(to.join(name), &layer).unwrap(),
        }
        assert_keys_and_namespaces(&root);
        assert_eq!(files(&to), layers, "step {step}");
    }
}

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures").join(name)
}

fn has_keys_and_namespaces(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    copy_tree(&fixture(name), &root);
    assert_keys_and_namespaces(&root);
}

fn assert_keys_and_namespaces(root: &Path) {
    let store = free_options().open(root).unwrap();
    let namespace = store.namespace("bucket/ü").unwrap();
    assert_eq!(namespace.quota, Quota::new().bytes(1_000_000).keys(10));
    assert_eq!((namespace.usage.keys, namespace.usage.objects), (2, 3));
    assert_eq!(
        (namespace.usage.bytes, namespace.usage.open_uploads),
        (3317, 1)
    );
    let put = store.object_by_key(("bucket/ü", "put")).unwrap();
    assert_eq!(put.metadata, bytes(4, 3500));
    assert_eq!(put.etag.to_string(), "7a7c0d5f36f662d104bfd5f046888376");
    assert_eq!(read_object(&store, &put.upload), bytes(5, 100));
    let completed = store.object_by_key(("bucket/ü", "completed")).unwrap();
    let sha256 = completed.composite.get(ChecksumAlgorithm::Sha256).unwrap();
    assert_eq!(
        sha256.to_hex(),
        "241bbe5cd4b0742518007d2469ca90f81b1c12485870b52bdacbcbf58e9ee8ee"
    );
    assert!(
        completed
            .checksums
            .get(ChecksumAlgorithm::Crc64Nvme)
            .is_some()
    );
    assert_eq!(read_object(&store, &completed.upload), bytes(6, 2000));
    let opaque = store.object_by_key("opaque").unwrap();
    assert_eq!(opaque.etag.to_string().len(), 40);
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
}

fn write_format_4(to: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let options = free_options().headroom(0).journal_sizes(8192, 16 * 1024);
    let store = options.clone().open(&root).unwrap();
    store
        .create_namespace("bucket/ü", Quota::new().bytes(1_000_000).keys(10))
        .unwrap();
    store.create_namespace("gone", Quota::new()).unwrap();
    store.remove_namespace("gone").unwrap();
    let with = ObjectOptions::new().metadata(bytes(4, 3500));
    store
        .put_object_with(("bucket/ü", "put"), bytes(5, 100), &with)
        .unwrap();
    let wanted = UploadOptions::new()
        .checksum(ChecksumAlgorithm::Crc64Nvme)
        .checksum(ChecksumAlgorithm::Sha256);
    let upload = store
        .initiate_upload_with(("bucket/ü", "completed"), wanted)
        .unwrap();
    let (first, second) = (
        bytes(6, 2000)[..1500].to_vec(),
        bytes(6, 2000)[1500..].to_vec(),
    );
    let parts = [
        store.put_part(&upload, number(1), first).unwrap(),
        store.put_part(&upload, number(2), second).unwrap(),
    ];
    let current = CompleteOptions::new().make_current(Condition::IfAbsent);
    store
        .complete_upload_with(&upload, &lines(&parts), &current)
        .unwrap();
    let aside = store.initiate_upload(("bucket/ü", "aside")).unwrap();
    let part = store.put_part(&aside, number(1), bytes(7, 1000)).unwrap();
    store.complete_upload(&aside, &lines(&[part])).unwrap();
    let open = store.initiate_upload(("bucket/ü", "open")).unwrap();
    store.put_part(&open, number(3), bytes(8, 217)).unwrap();
    rewrite_until_snapshot(&store, &open);
    store.close().unwrap();
    let store = options.etag(ETagKind::Opaque).open(&root).unwrap();
    put_blobs(&store, &open);
    store.put_part(&open, number(1), "").unwrap();
    store.put_object("opaque", bytes(9, 10)).unwrap();
    store.sweep().unwrap();
    store.close().unwrap();
    // As after a crash: the index is no part of the format.
    remove_indexes(&root);
    std::fs::remove_file(root.join("meta/CLEAN")).unwrap();
    copy_tree(&root, to);
}

fn put_blobs(store: &PartStore, open: &Upload) {
    for (at, (key, len)) in BLOBS.into_iter().enumerate() {
        store.put_object(key, blob(len)).unwrap();
        if at == 0 {
            rewrite_until_snapshot(store, open);
        }
    }
}

fn rewrite_until_snapshot(store: &PartStore, upload: &Upload) {
    while !store.maintain().unwrap().checkpoint {
        store.put_part(upload, number(1), bytes(1, 100)).unwrap();
    }
}
