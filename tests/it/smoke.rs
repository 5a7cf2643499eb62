use partstore::*;
use std::io::{Read, Write};

#[test]
fn the_life_of_an_upload() {
    let dir = tempfile::tempdir().unwrap();
    let store = PartStore::open(dir.path().join("data")).unwrap();
    assert!(store.recovery().created);
    let upload = store
        .initiate_upload_with("bucket/video.mp4", b"meta")
        .unwrap();
    let n = |n| PartNumber::new(n).unwrap();
    let a = vec![b'a'; 3 << 20];
    let p1 = store.put_part(&upload, n(1), a.clone()).unwrap();
    let mut w = store
        .part_writer(&upload, n(2), PartOptions::new().content_length(5))
        .unwrap();
    w.write_all(b"hello").unwrap();
    let p2 = w.finish().unwrap();
    store.put_part(&upload, n(3), a.clone()).unwrap();
    assert_eq!(store.list_parts(&upload, 0, 1000).unwrap().parts.len(), 3);
    assert_eq!(store.stats().unwrap().blobs, 2);
    store.close().unwrap();
    assert_eq!(store.stats().unwrap_err().code(), "ServiceUnavailable");
    let store = PartStore::open(dir.path().join("data")).unwrap();
    println!("{:?}", store.recovery());
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    let list: Vec<_> = [&p1, &p2].into_iter().map(CompletedPart::from).collect();
    let object = store.complete_upload(&upload, &list).unwrap();
    assert_eq!(store.complete_upload(&upload, &list).unwrap(), object);
    let mut reader = store.open_object(&object.upload).unwrap();
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert_eq!(all, [a.as_slice(), b"hello"].concat());
    let copy = dir.path().join("copy");
    std::process::Command::new("cp")
        .arg("-a")
        .arg(dir.path().join("data"))
        .arg(&copy)
        .status()
        .unwrap();
    let other = PartStore::open(&copy).unwrap();
    println!("{:?}", other.recovery());
    assert_eq!(other.object(&object.upload).unwrap(), object);
    assert!(other.verify(Scope::Everything).unwrap().is_clean());
    println!("{:?}", other.stats().unwrap());
    drop(reader);
    store.remove_object(&object.upload).unwrap();
    println!("{:?}", store.sweep().unwrap());
    let s = store.stats().unwrap();
    assert_eq!((s.blobs, s.parts, s.index_rows), (0, 0, 0), "{s:?}");
}
