//! Bytes that go out.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use futures_util::StreamExt;
use partstore::{CompletedPart, Error, ObjectOptions, PartNumber};
use partstore_tokio::AsyncOptions;

use crate::fixture::{Fixture, body, items, read};

#[tokio::test]
async fn a_range_is_what_it_names() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new().read_len(1000));
    let bytes = body(300_000);
    let object = store.put_object("key", bytes.clone()).await.unwrap();
    let of = async |from: Bound<u64>, to: Bound<u64>| {
        let stream = store.get_object(&object.upload, (from, to)).await.unwrap();
        read(stream).await.unwrap()
    };
    assert!(of(Unbounded, Unbounded).await == bytes);
    assert!(of(Included(262_143), Included(262_145)).await == bytes[262_143..=262_145]);
    assert!(of(Excluded(0), Excluded(5000)).await == bytes[1..5000]);
    assert!(of(Included(299_999), Included(u64::MAX)).await == bytes[299_999..]);
    assert!(of(Included(300_000), Unbounded).await.is_empty());
    assert!(of(Included(u64::MAX), Unbounded).await.is_empty());
    assert!(of(Included(9), Excluded(3)).await.is_empty());
}

#[tokio::test]
async fn an_object_of_parts_is_read_across_them_and_by_part() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    let upload = store.initiate_upload("key").await.unwrap();
    let mut list = Vec::new();
    for number in 1..=3 {
        let bytes = body(100_000 + number);
        let number = PartNumber::new(u32::try_from(number).unwrap()).unwrap();
        list.push(CompletedPart::from(
            &store.put_part(&upload, number, bytes).await.unwrap(),
        ));
    }
    let object = store.complete_upload(&upload, list).await.unwrap();
    let whole = [body(100_001), body(100_002), body(100_003)].concat();
    let across = store
        .get_object(&object.upload, 99_990..200_100)
        .await
        .unwrap();
    assert!(read(across).await.unwrap() == whole[99_990..200_100]);
    let reader = store.open_object(&object.upload).await.unwrap();
    let (reader, parts) = reader.with_parts().await.unwrap();
    assert_eq!((reader.size(), parts.len()), (300_006, 3));
    let second = reader.into_part(PartNumber::new(2).unwrap()).await.unwrap();
    assert_eq!(second.part().size, 100_002);
    assert!(read(second.into_stream(..)).await.unwrap() == body(100_002));
}

#[tokio::test]
async fn damage_is_told_before_the_first_byte_and_ends_the_stream() {
    let fixture = Fixture::new(AsyncOptions::new().read_len(1000));
    fixture.store.put_object("key", body(5000)).await.unwrap();
    damage_blobs(fixture.dir.path());
    let bytes = fixture.store.get_key("key", ..).await.unwrap();
    let begun = bytes.begun().await;
    assert!(matches!(begun, Err(Error::DamagedBlob { .. })), "{begun:?}");
    let mut bytes = fixture.store.get_key("key", ..).await.unwrap();
    assert!(matches!(
        bytes.next().await,
        Some(Err(Error::DamagedBlob { .. }))
    ));
    assert!(bytes.next().await.is_none());
    assert_eq!(fixture.quiet().await.pinned_blobs, 0);
}

fn damage_blobs(dir: &std::path::Path) {
    for shard in std::fs::read_dir(dir.join("blobs")).unwrap() {
        for blob in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            let path = blob.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[17] ^= 1;
            let mut permissions = std::fs::metadata(&path).unwrap().permissions();
            #[expect(clippy::permissions_set_readonly_false, reason = "a file of the test")]
            permissions.set_readonly(false);
            std::fs::set_permissions(&path, permissions).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

/// So a server knows that nothing is held when it has the last byte, and not only when its client took it.
#[tokio::test]
async fn with_the_last_piece_the_reader_is_gone() {
    let fixture = Fixture::new(AsyncOptions::new().read_len(1000));
    let store = &fixture.store;
    store.put_object("key", body(1500)).await.unwrap();
    let mut bytes = store.get_key("key", ..).await.unwrap();
    assert_eq!(bytes.next().await.unwrap().unwrap().len(), 1000);
    assert_eq!(store.stats().await.unwrap().pinned_blobs, 1);
    assert_eq!(bytes.next().await.unwrap().unwrap().len(), 500);
    assert_eq!(store.stats().await.unwrap().pinned_blobs, 0);
    assert!(bytes.next().await.is_none());
}

#[tokio::test]
async fn what_a_call_decides_opens_or_refuses_a_body() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    let put = |key: &'static str| {
        store.writer_by(move |store| match store.object_by_key(key) {
            Ok(_) => Err("it exists"),
            Err(_) => Ok(store.object_writer(key, ObjectOptions::new()).unwrap()),
        })
    };
    let writer = put("key").await.unwrap();
    let writer = writer.write_from(items(&body(1000), 300)).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(put("key").await.unwrap_err(), "it exists");
    let get = |least: u64| {
        store.reader_by(move |store| {
            let reader = store.open_key("key").map_err(|_| "it is missing")?;
            let size = reader.object().size;
            (size >= least).then_some(reader).ok_or("it is too short")
        })
    };
    let reader = get(1000).await.unwrap();
    assert!(read(reader.into_stream(..)).await.unwrap() == body(1000));
    assert_eq!(get(1001).await.unwrap_err(), "it is too short");
}
