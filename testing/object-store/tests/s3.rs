//! The suite that the crate `object_store` has for stores, by its client of S3, against the server.
//!
//! `PARTSTORE_SERVER` names the program. Without it, the tests say that they are skipped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::integration;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Error, ObjectStoreExt};
use reqwest::Method;
use tempfile::TempDir;

/// A running server, with a bucket.
struct Server {
    process: Child,
    address: String,
    _directory: TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("PARTSTORE_SERVER") else {
            eprintln!("skipped: PARTSTORE_SERVER does not name the server's program");
            return None;
        };
        // Which one is the same to clients without TLS, but they begin with none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(PathBuf::from(program))
            .args(["--cos", "127.0.0.1:0", "--s3", "127.0.0.1:0", "--data"])
            .arg(directory.path())
            .env("PARTSTORE_SECRET_ID", "id")
            .env("PARTSTORE_SECRET_KEY", "secret")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = address(process.stdout.take().unwrap());
        Some(Self {
            process,
            address,
            _directory: directory,
        })
    }

    fn client(&self) -> AmazonS3Builder {
        AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.address))
            .with_allow_http(true)
            .with_region("local")
            .with_access_key_id("id")
            .with_secret_access_key("secret")
            .with_bucket_name("bucket")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the server listens for S3, which its second line says.
fn address(output: ChildStdout) -> String {
    let mut lines = BufReader::new(output).lines();
    let line = lines.nth(1).unwrap().unwrap();
    let address = line.strip_prefix("listening on ").unwrap();
    address.split_whitespace().next().unwrap().to_owned()
}

/// A server with its bucket, and a client of it.
async fn connected(
    configure: impl FnOnce(AmazonS3Builder) -> AmazonS3Builder,
) -> Option<(Server, AmazonS3)> {
    let server = Server::start()?;
    let root = server.client().build().unwrap();
    let url = root
        .signed_url(Method::PUT, &Path::default(), Duration::from_secs(60))
        .await
        .unwrap();
    let created = reqwest::Client::new().put(url).send().await.unwrap();
    assert!(created.status().is_success(), "{created:?}");
    let client = configure(server.client()).build().unwrap();
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
        let client = server.client().with_checksum_algorithm(checksum);
        integration::put_get_delete_list(&client.build().unwrap()).await;
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let Some((server, client)) = connected(|client| client).await else {
        return;
    };
    let nowhere = server.client().with_bucket_name("nowhere").build().unwrap();
    for client in [client, nowhere] {
        let error = client.get(&Path::from("absent")).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}
