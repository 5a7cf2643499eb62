//! The suite that the crate `object_store` has for stores, by its client of S3, and what the suite lacks.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::integration;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Error, ObjectStore, ObjectStoreExt, WriteMultipart};
use reqwest::Method;

use crate::bytes::{MIB, body, large};
use crate::server::Server;

fn configured(server: &Server) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_endpoint(format!("http://{}", server.address))
        .with_allow_http(true)
        .with_region("local")
        .with_access_key_id("id")
        .with_secret_access_key("secret")
        .with_bucket_name("bucket")
}

/// A server with its bucket, and a client of it.
async fn connected(
    configure: impl FnOnce(AmazonS3Builder) -> AmazonS3Builder,
) -> Option<(Server, AmazonS3)> {
    let server = Server::start()?;
    let root = configured(&server).build().unwrap();
    let url = root
        .signed_url(Method::PUT, &Path::default(), Duration::from_mins(1))
        .await
        .unwrap();
    let created = reqwest::Client::new().put(url).send().await.unwrap();
    assert!(created.status().is_success(), "{created:?}");
    let client = configure(configured(&server)).build().unwrap();
    Some((server, client))
}

#[tokio::test]
async fn objects_are_put_listed_copied_and_removed() {
    let Some((_server, client)) = connected(|client| client).await else {
        return;
    };
    integration::put_get_delete_list(&client).await;
    integration::list_with_offset_exclusivity(&client).await;
    integration::get_opts(&client).await;
    integration::list_uses_directories_correctly(&client).await;
    integration::list_with_delimiter(&client).await;
    integration::rename_and_copy(&client).await;
    integration::stream_get(&client).await;
    integration::put_get_attributes(&client).await;
    integration::list_paginated(&client, &client).await;
}

#[tokio::test]
async fn uploads_go_in_parts_in_any_order() {
    let Some((_server, client)) = connected(|client| client).await else {
        return;
    };
    integration::multipart(&client, &client).await;
    integration::multipart_with_opts(&client, &client).await;
    integration::multipart_put_part_out_of_order(&client, &client).await;
    integration::multipart_race_condition(&client, true).await;
    integration::multipart_out_of_order(&client).await;
}

#[tokio::test]
async fn conditions_hold_for_puts() {
    let Some((_server, client)) = connected(|client| client).await else {
        return;
    };
    integration::put_opts(&client, true).await;
}

#[tokio::test]
async fn bodies_may_be_unsigned_and_have_checksums() {
    let Some((server, client)) = connected(|client| client.with_unsigned_payload(true)).await
    else {
        return;
    };
    integration::put_get_delete_list(&client).await;
    for checksum in [Checksum::SHA256, Checksum::CRC64NVME] {
        let client = configured(&server).with_checksum_algorithm(checksum);
        integration::put_get_delete_list(&client.build().unwrap()).await;
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let Some((server, client)) = connected(|client| client).await else {
        return;
    };
    let nowhere = configured(&server)
        .with_bucket_name("nowhere")
        .build()
        .unwrap();
    for client in [client, nowhere] {
        let error = client.get(&Path::from("absent")).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}

/// Sends bytes as its writer does, in parts.
async fn write(client: &AmazonS3, path: &Path, bytes: &[u8]) {
    let upload = client.put_multipart(path).await.unwrap();
    let mut writer = WriteMultipart::new(upload);
    for piece in bytes.chunks(MIB) {
        writer.wait_for_capacity(4).await.unwrap();
        writer.write(piece);
    }
    writer.finish().await.unwrap();
}

async fn read(client: &AmazonS3, path: &Path) -> Vec<u8> {
    let got = client.get(path).await.unwrap();
    got.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_comes_back() {
    let Some((_server, client)) = connected(|client| client).await else {
        return;
    };
    let (path, bytes) = (Path::from("large"), body(large(), 1));
    write(&client, &path, &bytes).await;
    assert!(read(&client, &path).await == bytes);
    let range = client.get_range(&path, 10..20).await.unwrap();
    assert_eq!(range[..], bytes[10..20]);
}

#[tokio::test]
async fn an_upload_ends_well_over_a_kill() {
    let Some((mut server, client)) = connected(|client| client).await else {
        return;
    };
    let (path, bytes) = (Path::from("killed"), body(96 * MIB, 2));
    let writing = tokio::spawn({
        let (client, path, bytes) = (client.clone(), path.clone(), bytes.clone());
        async move { write(&client, &path, &bytes).await }
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.crash();
    }
    writing.await.unwrap();
    server.crash();
    assert!(read(&client, &path).await == bytes);
}

#[tokio::test]
async fn a_listing_of_2500_keys_and_their_removal() {
    let Some((_server, client)) = connected(|client| client).await else {
        return;
    };
    let mut keys: Vec<_> = (0..2500)
        .map(|at| Path::from(format!("{}/{at:04}", at % 5)))
        .collect();
    let puts = stream::iter(keys.clone()).map(|key| {
        let client = client.clone();
        async move { client.put(&key, "".into()).await }
    });
    let _: Vec<_> = puts.buffer_unordered(32).try_collect().await.unwrap();
    keys.sort();
    let listed: Vec<_> = client.list(None).try_collect().await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|one| one.location).collect();
    assert_eq!(listed, keys);
    let rolled = client.list_with_delimiter(None).await.unwrap();
    assert_eq!(rolled.common_prefixes.len(), 5);
    let gone = stream::iter(keys.into_iter().map(Ok)).boxed();
    let gone: Vec<_> = client.delete_stream(gone).try_collect().await.unwrap();
    assert_eq!(gone.len(), 2500);
    assert_eq!(client.list(None).count().await, 0);
}

#[tokio::test]
async fn presigned_requests_and_a_wrong_key() {
    let Some((server, client)) = connected(|client| client).await else {
        return;
    };
    let path = Path::from("a b+ü");
    let minute = Duration::from_mins(1);
    let http = reqwest::Client::new();
    let put = client.signed_url(Method::PUT, &path, minute).await.unwrap();
    let put = http.put(put).body("bytes").send().await.unwrap();
    assert_eq!(put.status(), 200);
    let get = client.signed_url(Method::GET, &path, minute).await.unwrap();
    let got = http.get(get).send().await.unwrap();
    assert_eq!(got.text().await.unwrap(), "bytes");
    let wrong = configured(&server).with_secret_access_key("wrong");
    let error = wrong.build().unwrap().get(&path).await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
}
