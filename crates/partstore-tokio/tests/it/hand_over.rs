//! Bytes from and to files.

use std::fs::{self, File};

use partstore::{CompletedPart, Error, ExportOptions, Options, PartNumber, PartOptions};
use partstore_tokio::AsyncPartStore;

use crate::fixture::body;

#[tokio::test]
async fn bytes_come_from_a_file_by_their_hash_and_go_to_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let options = Options::cos().min_part_size(0).put_by_hash();
    let store = AsyncPartStore::new(options.open(at("data")).unwrap()).unwrap();
    let bytes = body(3_000_000);
    fs::write(at("source"), &bytes).unwrap();

    let upload = store.initiate_upload("key").await.unwrap();
    let [first, second] = [1, 2].map(|number| PartNumber::new(number).unwrap());
    let source = File::open(at("source")).unwrap();
    let part = store.put_part_from_file(&upload, first, source, PartOptions::new());
    let part = part.await.unwrap();
    let known = store.put_part_by_hash(&upload, second, part.content, PartOptions::new());
    let known = known.await.unwrap().unwrap();
    assert_eq!((known.size, known.etag), (part.size, part.etag));
    let unknown = partstore::ContentHash::from_bytes([7; 32]);
    let unknown = store.put_part_by_hash(&upload, second, unknown, PartOptions::new());
    assert!(unknown.await.unwrap().is_none());

    let export = store.export_part(&upload, first, at("part"), ExportOptions::new());
    assert_eq!(export.await.unwrap().bytes, 3_000_000);
    assert_eq!(fs::read(at("part")).unwrap(), bytes);
    let list = [&part, &known].map(CompletedPart::from);
    let object = store.complete_upload(&upload, list).await.unwrap().upload;
    let export = store.export_object(&object, at("object"), ExportOptions::new());
    assert_eq!(export.await.unwrap().bytes, 6_000_000);
    assert_eq!(
        fs::read(at("object")).unwrap(),
        [&bytes[..], &bytes].concat()
    );
    let again = store.export_object(&object, at("object"), ExportOptions::new());
    assert!(matches!(again.await, Err(Error::Io { .. })));
    store.close().await.unwrap();
}

/// What is whole has its name, and nothing else is left.
#[tokio::test]
async fn an_export_whose_future_is_dropped_leaves_no_half_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::cos().open(dir.path().join("data")).unwrap();
    let store = AsyncPartStore::new(store).unwrap();
    let bytes = body(64 << 20);
    let object = store.put_object("key", bytes.clone()).await.unwrap().upload;
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    for micros in [0, 100, 1_000, 10_000] {
        let export =
            store.export_object(&object, out.join(micros.to_string()), ExportOptions::new());
        let patience = std::time::Duration::from_micros(micros);
        let _ = tokio::time::timeout(patience, export).await;
    }
    // An export that had begun has ended by then.
    store.close().await.unwrap();
    for entry in fs::read_dir(&out).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(!name.contains("partial"), "{name}");
        assert!(fs::read(entry.path()).unwrap() == bytes, "{name}");
    }
}
