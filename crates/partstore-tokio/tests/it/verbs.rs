//! The other calls, closing, and executors.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::TryStreamExt;
use partstore::{
    CompleteOptions, CompletedPart, Condition, Error, Key, ListKeys, ObjectOptions, Options,
    PartNumber, Quota, Scope,
};
use partstore_tokio::{AsyncOptions, AsyncPartStore};

use crate::fixture::{Fixture, body, read};

#[tokio::test]
async fn an_upload_goes_from_its_begin_to_an_object_under_another_key() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    store
        .create_namespace("bucket", Quota::new())
        .await
        .unwrap();
    let upload = store
        .initiate_upload(Key::new("bucket", "a"))
        .await
        .unwrap();
    let first = store
        .put_part(&upload, PartNumber::MIN, body(1000))
        .await
        .unwrap();
    let source = store.open_part(&upload, PartNumber::MIN).await.unwrap();
    let second = PartNumber::new(2).unwrap();
    let second = store.copy_part(source, &upload, second).await.unwrap();
    let parts: Vec<_> = store.parts(&upload).try_collect().await.unwrap();
    assert_eq!(parts, [first.clone(), second.clone()]);

    let list = [&first, &second].map(CompletedPart::from);
    let options = CompleteOptions::new().make_current(Condition::Always);
    let object = store
        .complete_upload_with(&upload, list, options)
        .await
        .unwrap();
    let source = store.open_object(&object.upload).await.unwrap();
    let copy = store.copy_object(source, Key::new("bucket", "b"), ObjectOptions::new());
    assert_eq!(copy.await.unwrap().size, 2000);
    let keys: Vec<_> = store
        .keys(Key::new("bucket", ""))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        keys.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
        ["a", "b"]
    );

    assert!(
        store
            .remove_key(Key::new("bucket", "a"), Condition::Always)
            .await
            .unwrap()
    );
    let page = store
        .list_keys(ListKeys::new().namespace("bucket"))
        .await
        .unwrap();
    assert_eq!(page.keys.len(), 1);
    assert!(store.verify(Scope::Everything).await.unwrap().is_clean());
    assert_eq!(store.namespace("bucket").await.unwrap().usage.keys, 1);
}

#[tokio::test]
async fn listings_go_on_behind_the_first_page() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    for number in 0..1050 {
        store
            .initiate_upload(format!("key/{number:04}"))
            .await
            .unwrap();
    }
    let uploads: Vec<_> = store.uploads("key/").try_collect().await.unwrap();
    assert_eq!(uploads.len(), 1050);
    assert_eq!(uploads[1049].upload.key(), "key/1049");
}

#[tokio::test]
async fn closing_waits_for_no_thread_and_ends_what_is_long() {
    let Fixture { store, dir } = Fixture::new(AsyncOptions::new().threads(1));
    store.put_object("key", body(1000)).await.unwrap();
    let (release, until) = mpsc::channel::<()>();
    let handle = store.clone();
    let holding = tokio::spawn(async move {
        let hold = move |_: &partstore::PartStore| {
            let _ = until.recv();
        };
        handle.run(hold).await;
    });
    tokio::task::yield_now().await;
    let closed = tokio::time::timeout(Duration::from_secs(30), store.close()).await;
    closed.expect("close waits for a thread").unwrap();
    drop(release);
    holding.await.unwrap();
    assert!(matches!(store.stats().await, Err(Error::Closed)));

    let again = AsyncPartStore::open(dir.path(), Options::cos(), AsyncOptions::new())
        .await
        .unwrap();
    let bytes = again.get_key("key", ..).await.unwrap();
    assert!(read(bytes).await.unwrap() == body(1000));
    again.close().await.unwrap();
}

#[tokio::test]
async fn a_panic_goes_to_the_task_that_awaits_it_and_the_pool_works_on() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new().threads(1));
    let handle = store.clone();
    let panics = tokio::spawn(async move {
        let call = |_: &partstore::PartStore| -> partstore::Result<()> { panic!("on purpose") };
        handle.run(call).await
    });
    assert!(panics.await.unwrap_err().is_panic());
    store.stats().await.unwrap();
}

#[test]
fn futures_need_no_runtime() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new());
    futures_executor::block_on(async {
        store.put_object("key", "bytes").await.unwrap();
        let bytes = store.get_key("key", ..).await.unwrap();
        assert_eq!(read(bytes).await.unwrap(), b"bytes");
    });
}
