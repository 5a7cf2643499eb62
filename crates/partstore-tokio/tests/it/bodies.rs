//! Bodies that come in.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use partstore::{
    Checksum, ChecksumAlgorithm, Checksums, Error, ObjectOptions, PartNumber, PartOptions,
};
use partstore_tokio::AsyncOptions;

use crate::fixture::{Fixture, body, items, read, silent_after};

#[tokio::test]
async fn a_stream_of_any_items_becomes_the_object() {
    let fixture = Fixture::new(AsyncOptions::new().batch_len(100_000));
    for (len, item) in [
        (0, 1),
        (1, 1),
        (99_999, 7),
        (100_000, 50_000),
        (1_234_567, 17_000),
    ] {
        let stream = items(&body(len), item);
        let put = fixture
            .store
            .put_object_stream("key", stream, ObjectOptions::new());
        assert_eq!(put.await.unwrap().size, len as u64);
        let bytes = fixture.store.get_key("key", ..).await.unwrap();
        assert_eq!(bytes.remaining(), len as u64);
        assert!(
            read(bytes).await.unwrap() == body(len),
            "{len} bytes of {item}"
        );
    }
}

#[tokio::test]
async fn a_reader_becomes_a_part_and_an_object() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    let (bytes, number) = (body(2_000_001), PartNumber::new(3).unwrap());
    let upload = store.initiate_upload("key").await.unwrap();
    let part = store.put_part_reader(&upload, number, &bytes[..], PartOptions::new());
    assert_eq!(part.await.unwrap().size, 2_000_001);
    let read_back = store.get_part(&upload, number, ..).await.unwrap();
    assert!(read(read_back).await.unwrap() == bytes);

    let options = ObjectOptions::new();
    store
        .put_object_reader("other", &bytes[..], options)
        .await
        .unwrap();
    let read_back = store.get_key("other", ..).await.unwrap();
    assert!(read(read_back).await.unwrap() == bytes);
}

#[tokio::test]
async fn the_error_of_a_stream_is_told_and_leaves_nothing() {
    let fixture = Fixture::new(AsyncOptions::new().batch_len(1000));
    let broken =
        items(&body(10_500), 500).chain(stream::iter([Err(io::ErrorKind::BrokenPipe.into())]));
    let put = fixture
        .store
        .put_object_stream("key", broken, ObjectOptions::new());
    match put.await.unwrap_err() {
        Error::BodyUnreadable { received, source } => {
            assert_eq!(received, 10_500);
            assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
        }
        other => panic!("{other}"),
    }
    // At once, without waiting for a thread.
    let stats = fixture.store.stats().await.unwrap();
    assert_eq!((stats.staged_bodies, stats.blobs, stats.objects), (0, 0, 0));
    assert_eq!(fixture.staged_files(), 0);
}

#[tokio::test]
async fn an_error_of_another_type_is_the_source() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    let broken = stream::iter([Err::<Bytes, _>("the client has left")]);
    let error = store
        .put_object_stream("key", broken, ObjectOptions::new())
        .await
        .unwrap_err();
    assert!(
        error.one_line().contains("the client has left"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_body_is_refused_before_it_is_asked_for() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    let upload = store.initiate_upload("key").await.unwrap();
    store.abort_upload(&upload).await.unwrap();
    let never = stream::poll_fn(|_| -> std::task::Poll<Option<io::Result<Bytes>>> {
        panic!("the body was asked for")
    });
    let put = store.put_part_stream(&upload, PartNumber::MIN, never, PartOptions::new());
    assert!(matches!(put.await, Err(Error::NoSuchUpload { .. })));
}

#[tokio::test]
async fn a_body_above_its_length_is_refused_while_the_stream_is_silent() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new().batch_len(1000));
    let upload = store.initiate_upload("key").await.unwrap();
    let options = PartOptions::new().content_length(999);
    let put = store.put_part_stream(&upload, PartNumber::MIN, silent_after(body(1000)), options);
    let error = put.await.unwrap_err();
    assert!(matches!(error, Error::IncompleteBody { .. }), "{error}");
}

#[tokio::test]
async fn pieces_and_a_checksum_behind_them_make_one_body() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new().batch_len(1000));
    let declare = |crc| Checksums::new().with(Checksum::Crc32(crc));
    let options = || {
        let computed = PartOptions::new().compute(ChecksumAlgorithm::Crc32);
        ObjectOptions::new().body(computed)
    };
    let received = async || {
        let writer = store.object_writer("key", options()).await?;
        let writer = writer.write_from(items(&body(700), 7)).await?;
        let writer = writer.write_from_reader(&b"and more"[..]).await?;
        assert_eq!(writer.received(), 708);
        Ok::<_, Error>(writer)
    };
    let wrong = received().await.unwrap().finish_with(declare(1)).await;
    assert!(matches!(wrong, Err(Error::BadDigest { .. })), "{wrong:?}");
    let object = received().await.unwrap().finish().await.unwrap();
    let crc = object.checksums.crc32().unwrap();
    let right = received().await.unwrap().finish_with(declare(crc)).await;
    assert_eq!(right.unwrap().size, 708);
    let bytes = store.get_key("key", ..).await.unwrap();
    assert_eq!(
        read(bytes).await.unwrap(),
        [&body(700)[..], b"and more"].concat()
    );
}
