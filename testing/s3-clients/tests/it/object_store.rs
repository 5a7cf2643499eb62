//! The suite that the crate `object_store` has for stores, by its client of S3.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::integration;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Error, ObjectStoreExt};
use reqwest::Method;

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
