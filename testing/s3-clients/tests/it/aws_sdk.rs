//! The SDK of AWS, with its own defaults.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    MetadataDirective, ObjectIdentifier,
};
use aws_sdk_s3::{Client, error};

use crate::bytes::{MIB, body, large};
use crate::server::Server;

const BUCKET: &str = "bucket";
/// What tools of AWS send in a part.
const PART: usize = 8 * MIB;
const ODD_KEYS: [&str; 11] = [
    "a b",
    "a+b",
    "a%20b",
    "ü/ñ/日本",
    "a//b",
    "//a",
    "dir/",
    "a/../b",
    "'\"<&>",
    "x=1&y=2?#",
    ".",
];

fn configured(server: &Server, secret: &str) -> Builder {
    // Without TLS, which the SDK would bring along.
    let http = aws_smithy_http_client::Builder::new().build_http();
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(format!("http://{}", server.address))
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("id", secret, None, None, "test"))
        .force_path_style(true)
}

fn client(server: &Server) -> Client {
    Client::from_conf(configured(server, "secret").build())
}

async fn connected() -> Option<(Server, Client)> {
    let server = Server::start()?;
    let client = client(&server);
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    Some((server, client))
}

async fn put(client: &Client, key: &str, bytes: &[u8]) -> String {
    let body = ByteStream::from(bytes.to_vec());
    let put = client.put_object().bucket(BUCKET).key(key).body(body);
    put.send().await.unwrap().e_tag.unwrap()
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    got.unwrap().body.collect().await.unwrap().to_vec()
}

/// The code and status of a refusal.
fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, error::SdkError<E>>,
) -> (String, u16) {
    let error = answer.unwrap_err();
    let status = error.raw_response().unwrap().status().as_u16();
    (error.code().unwrap_or_default().to_owned(), status)
}

#[tokio::test]
async fn small_and_empty_objects_come_back_with_their_metadata() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    for len in [0, 1, 1000, 300_000] {
        let bytes = body(len, len);
        let put = client.put_object().bucket(BUCKET).key("key");
        let put = put.content_type("a/b").metadata("color", "red");
        let put = put.body(ByteStream::from(bytes.clone())).send().await;
        let put = put.unwrap();
        assert_eq!(get(&client, "key").await, bytes);
        let head = client.head_object().bucket(BUCKET).key("key").send().await;
        let head = head.unwrap();
        assert_eq!(head.content_length, Some(len.try_into().unwrap()));
        assert_eq!(head.content_type.as_deref(), Some("a/b"));
        assert_eq!(head.metadata.unwrap()["color"], "red");
        assert_eq!(head.e_tag, put.e_tag);
    }
}

/// The parts of an upload, some at a time.
async fn put_parts(client: &Client, (key, upload): (&str, &str), bytes: &[u8]) {
    for (at, group) in bytes.chunks(4 * PART).enumerate() {
        let parts = group.chunks(PART).enumerate();
        let sent: Vec<_> = parts
            .map(|(beside, part)| {
                let number = i32::try_from(4 * at + beside + 1).unwrap();
                let put = client.upload_part().bucket(BUCKET).key(key);
                let put = put.upload_id(upload).part_number(number);
                let body = ByteStream::from(part.to_vec());
                tokio::spawn(put.body(body).send())
            })
            .collect();
        for part in sent {
            part.await.unwrap().unwrap();
        }
    }
}

/// Completes an upload with the parts that the server lists.
async fn complete(client: &Client, (key, upload): (&str, &str)) {
    let mut listed = CompletedMultipartUpload::builder();
    let pages = client.list_parts().bucket(BUCKET).key(key);
    let mut pages = pages
        .upload_id(upload)
        .max_parts(10)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for part in page.unwrap().parts() {
            let part = CompletedPart::builder()
                .set_part_number(part.part_number)
                .set_e_tag(part.e_tag.clone())
                .set_checksum_crc32(part.checksum_crc32.clone());
            listed = listed.parts(part.build());
        }
    }
    let complete = client.complete_multipart_upload().bucket(BUCKET).key(key);
    let complete = complete.upload_id(upload).multipart_upload(listed.build());
    complete.send().await.unwrap();
}

async fn begin(client: &Client, key: &str) -> String {
    let begun = client.create_multipart_upload().bucket(BUCKET).key(key);
    begun.send().await.unwrap().upload_id.unwrap()
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_comes_back() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    let bytes = body(large(), 1);
    let upload = begin(&client, "large").await;
    put_parts(&client, ("large", &upload), &bytes).await;
    complete(&client, ("large", &upload)).await;
    assert!(get(&client, "large").await == bytes);
    let part = client.get_object().bucket(BUCKET).key("large");
    let part = part.part_number(2).send().await.unwrap();
    let parts = i32::try_from(large().div_ceil(PART)).unwrap();
    assert_eq!(part.parts_count, Some(parts));
    let part = part.body.collect().await.unwrap().to_vec();
    assert!(part == bytes[PART..2 * PART]);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_kill() {
    let Some((mut server, _)) = connected().await else {
        return;
    };
    let retries = RetryConfig::standard().with_max_attempts(10);
    let client = Client::from_conf(configured(&server, "secret").retry_config(retries).build());
    let bytes = body(12 * PART, 2);
    let upload = begin(&client, "key").await;
    let putting = tokio::spawn({
        let (client, upload, bytes) = (client.clone(), upload.clone(), bytes.clone());
        async move { put_parts(&client, ("key", &upload), &bytes).await }
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.crash();
    }
    putting.await.unwrap();
    server.crash();
    // Another process knows only what the server lists.
    let client = self::client(&server);
    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await;
    let uploads = uploads.unwrap();
    let [listed] = uploads.uploads() else {
        panic!("{uploads:?}");
    };
    assert_eq!(listed.upload_id(), Some(&*upload));
    complete(&client, ("key", &upload)).await;
    server.crash();
    assert!(get(&client, "key").await == bytes);
}

#[tokio::test]
async fn ranges() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    let bytes = body(1000, 3);
    put(&client, "key", &bytes).await;
    let asked = |range: &str| {
        let get = client.get_object().bucket(BUCKET).key("key");
        get.range(range).send()
    };
    for (range, wanted) in [
        ("bytes=0-0", 0..1),
        ("bytes=10-19", 10..20),
        ("bytes=990-", 990..1000),
        ("bytes=-5", 995..1000),
        ("bytes=900-5000", 900..1000),
    ] {
        let got = asked(range).await.unwrap().body.collect().await.unwrap();
        assert_eq!(got.to_vec(), bytes[wanted], "{range}");
    }
    let refused = refusal(asked("bytes=1000-").await);
    assert_eq!(refused, ("InvalidRange".to_owned(), 416));
}

#[tokio::test]
async fn copies() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    let bytes = body(1000, 4);
    put(&client, "a +ü", &bytes).await;
    let source = "bucket/a%20%2B%C3%BC";
    let copy = client.copy_object().bucket(BUCKET).key("b");
    copy.copy_source(source).send().await.unwrap();
    assert_eq!(get(&client, "b").await, bytes);
    let copy = client.copy_object().bucket(BUCKET).key("b");
    let copy = copy.copy_source("bucket/b").metadata("color", "blue");
    let copy = copy.metadata_directive(MetadataDirective::Replace);
    copy.send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("b").send().await;
    assert_eq!(head.unwrap().metadata.unwrap()["color"], "blue");
    let upload = begin(&client, "c").await;
    let copy = client.upload_part_copy().bucket(BUCKET).key("c");
    let copy = copy.upload_id(&upload).part_number(1).copy_source(source);
    copy.copy_source_range("bytes=10-19").send().await.unwrap();
    complete(&client, ("c", &upload)).await;
    assert_eq!(get(&client, "c").await, bytes[10..20]);
}

#[tokio::test]
async fn a_listing_of_2500_keys_and_their_removal() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    let mut keys: Vec<_> = (0..2500).map(|at| format!("{}/{at:04}", at % 5)).collect();
    for group in keys.chunks(32) {
        let sent = group.iter().map(|key| {
            let put = client.put_object().bucket(BUCKET).key(key);
            tokio::spawn(put.body(ByteStream::from_static(b"")).send())
        });
        for put in sent.collect::<Vec<_>>() {
            put.await.unwrap().unwrap();
        }
    }
    keys.sort();
    let listing = client.list_objects_v2().bucket(BUCKET);
    let mut pages = listing.clone().into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(
            page.unwrap()
                .contents
                .unwrap()
                .into_iter()
                .map(|one| one.key.unwrap()),
        );
    }
    assert_eq!(found, keys);
    let rolled = listing.clone().delimiter("/").send().await.unwrap();
    let prefixes: Vec<_> = rolled
        .common_prefixes()
        .iter()
        .map(|one| one.prefix().unwrap())
        .collect();
    assert_eq!(prefixes, ["0/", "1/", "2/", "3/", "4/"]);
    let under = listing.clone().prefix("3/").send().await.unwrap();
    assert_eq!(under.key_count, Some(500));
    for group in keys.chunks(1000) {
        let keys = group
            .iter()
            .map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
        let delete = Delete::builder().set_objects(Some(keys.collect())).build();
        let delete = client
            .delete_objects()
            .bucket(BUCKET)
            .delete(delete.unwrap());
        let deleted = delete.send().await.unwrap();
        assert_eq!(
            (deleted.deleted().len(), deleted.errors().len()),
            (group.len(), 0)
        );
    }
    assert_eq!(listing.send().await.unwrap().key_count, Some(0));
}

#[tokio::test]
async fn presigned_requests() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    let valid = || PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let put = client.put_object().bucket(BUCKET).key("a b");
    let put = put
        .metadata("color", "red")
        .presigned(valid())
        .await
        .unwrap();
    let http = reqwest::Client::new();
    let mut request = http.put(put.uri()).body("bytes");
    for (name, value) in put.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
    let got = client.get_object().bucket(BUCKET).key("a b");
    let got = got.presigned(valid()).await.unwrap();
    let answer = http.get(got.uri()).send().await.unwrap();
    assert_eq!(answer.headers()["x-amz-meta-color"], "red");
    assert_eq!(answer.text().await.unwrap(), "bytes");
    let forged = got.uri().replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    assert_eq!(http.get(forged).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn odd_keys() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    for key in ODD_KEYS {
        put(&client, key, key.as_bytes()).await;
    }
    let listed = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    let listed: Vec<_> = listed
        .contents()
        .iter()
        .map(|one| one.key().unwrap())
        .collect();
    let mut sorted = ODD_KEYS.to_vec();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);
    for key in ODD_KEYS {
        assert_eq!(get(&client, key).await, key.as_bytes());
        let delete = client.delete_object().bucket(BUCKET).key(key);
        delete.send().await.unwrap();
    }
    let left = client
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(left.key_count, Some(0));
}

#[tokio::test]
async fn checksums_of_every_kind() {
    let Some((_server, client)) = connected().await else {
        return;
    };
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let put = client.put_object().bucket(BUCKET).key("key");
        let put = put.checksum_algorithm(algorithm.clone());
        let put = put
            .body(ByteStream::from(body(99, 5)))
            .send()
            .await
            .unwrap();
        let got = client.get_object().bucket(BUCKET).key("key");
        let got = got
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap();
        let pairs = [
            (&put.checksum_crc32, &got.checksum_crc32),
            (&put.checksum_crc32_c, &got.checksum_crc32_c),
            (&put.checksum_crc64_nvme, &got.checksum_crc64_nvme),
            (&put.checksum_sha1, &got.checksum_sha1),
            (&put.checksum_sha256, &got.checksum_sha256),
        ];
        assert!(pairs.iter().all(|(put, got)| put == got), "{algorithm}");
        assert!(pairs.iter().any(|(put, _)| put.is_some()), "{algorithm}");
        // The SDK compares while it reads.
        assert_eq!(got.body.collect().await.unwrap().to_vec(), body(99, 5));
    }
    let wrong = client.put_object().bucket(BUCKET).key("wrong");
    let wrong = wrong.checksum_crc32("AAAAAA==");
    let wrong = wrong.body(ByteStream::from_static(b"bytes")).send().await;
    assert_eq!(refusal(wrong), ("BadDigest".to_owned(), 400));
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("wrong")
        .send()
        .await;
    assert!(head.unwrap_err().into_service_error().is_not_found());
}

#[tokio::test]
async fn a_wrong_key_gets_nothing() {
    let Some((server, client)) = connected().await else {
        return;
    };
    put(&client, "key", b"bytes").await;
    let wrong = Client::from_conf(configured(&server, "wrong").build());
    let got = wrong.get_object().bucket(BUCKET).key("key").send().await;
    assert_eq!(refusal(got), ("SignatureDoesNotMatch".to_owned(), 403));
    let missing = client
        .get_object()
        .bucket(BUCKET)
        .key("missing")
        .send()
        .await;
    assert!(missing.unwrap_err().into_service_error().is_no_such_key());
}
