//! The protocol's calls, as a correct client makes them, and what every refusal must be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::Deserialize;

use crate::client::{Answer, Request};
use crate::fixture::Server;

pub const BUCKET: &str = "photos-1250000000";
/// The smallest part that may stand before another.
pub const MIB: usize = 1024 * 1024;

/// A server with a bucket.
pub fn server(args: &[&str]) -> Server {
    let server = Server::start(args);
    Request::new("PUT", format!("/{BUCKET}")).send(&server).ok();
    server
}

/// The path of an object in a URL.
pub fn path(key: &str) -> String {
    format!("/{BUCKET}/{key}")
}

pub fn part_path(key: &str, upload: &str, number: impl std::fmt::Display) -> String {
    format!("/{BUCKET}/{key}?partNumber={number}&uploadId={upload}")
}

pub fn initiate(server: &Server, key: &str) -> String {
    let request = Request::new("POST", path(key) + "?uploads");
    request.send(server).ok().elements("UploadId").remove(0)
}

pub fn put_part(server: &Server, (key, upload): (&str, &str), number: u32, body: &[u8]) -> Answer {
    Request::new("PUT", part_path(key, upload, number))
        .body(body)
        .send(server)
}

/// Number, ETag and size of each part.
pub fn parts(server: &Server, (key, upload): (&str, &str)) -> Vec<(u32, String, usize)> {
    let listed = Request::new("GET", path(key) + "?uploadId=" + upload)
        .send(server)
        .ok();
    let numbers = listed.elements("PartNumber").into_iter();
    let etags = listed.elements("ETag").into_iter();
    let sizes = listed.elements("Size").into_iter();
    numbers
        .zip(etags)
        .zip(sizes)
        .map(|((number, etag), size)| (number.parse().unwrap(), etag, size.parse().unwrap()))
        .collect()
}

pub fn list_of(parts: &[(u32, &str)]) -> String {
    let line = |(number, etag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let lines: String = parts.iter().map(line).collect();
    format!("<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>")
}

pub fn completion((key, upload): (&str, &str), list: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", path(key) + "?uploadId=" + upload).body(list)
}

pub fn put(server: &Server, key: &str, body: &[u8]) -> Answer {
    Request::new("PUT", path(key)).body(body).send(server)
}

pub fn get(server: &Server, key: &str) -> Answer {
    Request::new("GET", path(key)).send(server)
}

/// Removes an object.
#[track_caller]
pub fn delete(server: &Server, key: &str) {
    let deleted = Request::new("DELETE", path(key)).send(server);
    assert_eq!(deleted.status, 204, "{}", deleted.text());
}

/// The request to remove all objects of a list.
pub fn deletion(list: &str) -> Request {
    Request::new("POST", format!("/{BUCKET}?delete"))
        .header("Content-MD5", content_md5(list))
        .body(list)
}

/// The request to copy an object to an object or a part.
pub fn copy(server: &Server, source: &str, target: String) -> Request {
    let source = format!("{}{}", server.address, path(source));
    Request::new("PUT", target).header("x-cos-copy-source", source)
}

/// Makes an object from parts with these bodies.
pub fn put_parts(server: &Server, key: &str, bodies: &[Vec<u8>]) {
    let id = initiate(server, key);
    for (number, body) in (1..).zip(bodies) {
        put_part(server, (key, &id), number, body).ok();
    }
    let etags: Vec<_> = bodies.iter().map(|body| etag(body)).collect();
    let list: Vec<_> = (1..).zip(etags.iter().map(String::as_str)).collect();
    completion((key, &id), list_of(&list)).send(server).ok();
}

/// An upload with one part, `part`, and the part's ETag.
pub fn upload(server: &Server, key: &str) -> (String, String) {
    let id = initiate(server, key);
    let answer = put_part(server, (key, &id), 1, b"part").ok();
    (id, answer.header("ETag").unwrap().to_owned())
}

/// A server with an object `key`, and an [`upload`] of the same name.
pub fn filled() -> (Server, String) {
    let server = server(&[]);
    put(&server, "key", b"object").ok();
    let (id, _) = upload(&server, "key");
    (server, id)
}

/// Bytes that no other seed gives.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// As the protocol writes it.
pub fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(bytes)))
}

/// As clients write it.
pub fn content_md5(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Error {
    code: String,
    message: String,
    resource: String,
    request_id: String,
    trace_id: String,
}

/// Asserts that an answer is a refusal, in the form that every client understands.
#[track_caller]
pub fn assert_refused(answer: &Answer, (status, code): (u16, &str)) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    let error: Error =
        quick_xml::de::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(error.code, code, "{text}");
    for filled in [&error.message, &error.resource, &error.trace_id] {
        assert!(!filled.is_empty(), "{text}");
    }
    let id = answer.header("x-cos-request-id").unwrap();
    assert_eq!(error.request_id, id);
    assert!(!id.is_empty());
    assert_eq!(answer.header("Content-Type"), Some("application/xml"));
}
