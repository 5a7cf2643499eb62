//! Several servers on one database, with their bytes in a directory, and in a bucket of this server's own S3.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::calls::{
    BUCKET, MIB, bytes, completion, etag, get, initiate, list_of, parts, path, put_part, server,
};
use crate::client::Request;
use crate::fixture::{KEYS, Server};
use crate::process;
use crate::skipped::skipped;

/// The address of a database, and the name of a schema that nobody else uses.
fn database() -> Option<(String, String)> {
    static COUNTED: AtomicU32 = AtomicU32::new(0);
    let Ok(address) = std::env::var("PARTSTORE_PG") else {
        skipped("PARTSTORE_PG does not name a PostgreSQL database");
        return None;
    };
    let at = COUNTED.fetch_add(1, Ordering::Relaxed);
    Some((address, format!("served_{}_{at}", std::process::id())))
}

fn start(
    (address, schema): &(String, String),
    blobs: &str,
    environment: &[(&str, &str)],
) -> Server {
    let args = [
        "--catalog",
        address,
        "--schema",
        schema,
        "--blobs",
        blobs,
        "--lease",
        "5s",
    ];
    Server::start_in(&args, environment)
}

/// A part that is put through one server is listed, read and completed through another, also when the first one is
/// killed in the meantime.
fn takes_turns(mut one: Server, two: &Server) {
    Request::new("PUT", format!("/{BUCKET}")).send(&one).ok();
    let upload = initiate(&one, "key");
    let bodies = [bytes(12 * MIB, 1), bytes(1000, 2)];
    put_part(&one, ("key", &upload), 1, &bodies[0]).ok();
    put_part(two, ("key", &upload), 2, &bodies[1]).ok();
    assert_eq!(parts(two, ("key", &upload)), parts(&one, ("key", &upload)));
    one.kill();
    let etags = [etag(&bodies[0]), etag(&bodies[1])];
    let list = list_of(&[(1, &etags[0]), (2, &etags[1])]);
    completion(("key", &upload), list.clone()).send(two).ok();
    one.restart();
    assert!(get(&one, "key").ok().body == bodies.concat());
    let range = Request::new("GET", path("key")).header("Range", "bytes=12582900-12582999");
    let middle = range.send(&one);
    assert_eq!(middle.status, 206);
    assert!(middle.body == bodies.concat()[12_582_900..=12_582_999]);
    // The answer may have been lost: who asks again gets it.
    completion(("key", &upload), list).send(&one).ok();
    let deleted = Request::new("DELETE", path("key")).send(&one);
    assert_eq!(deleted.status, 204);
    assert_eq!(get(two, "key").status, 404);
    one.stop();
}

#[test]
fn servers_with_a_shared_directory_take_turns() {
    let Some(store) = database() else { return };
    let directory = tempfile::tempdir().unwrap();
    let blobs = format!("file://{}", directory.path().display());
    let two = start(&store, &blobs, &[]);
    takes_turns(start(&store, &blobs, &[]), &two);
}

#[test]
fn servers_with_a_bucket_of_another_server_take_turns() {
    let Some(store) = database() else { return };
    let bucket = Bucket::start();
    let endpoint = format!("http://{}", bucket.address);
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", KEYS.0),
        ("AWS_SECRET_ACCESS_KEY", KEYS.1),
        ("AWS_REGION", "local"),
    ];
    let blobs = format!("s3://{BUCKET}/parts/of/a/store");
    let two = start(&store, &blobs, &environment);
    takes_turns(start(&store, &blobs, &environment), &two);
}

#[test]
fn a_server_with_another_directory_does_not_start_unless_it_is_told_to() {
    let Some((catalog, schema)) = database() else {
        return;
    };
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let args = |of: &tempfile::TempDir| {
        let blobs = format!("file://{}", of.path().display());
        [
            "--catalog",
            &catalog,
            "--schema",
            &schema,
            "--blobs",
            &blobs,
        ]
        .map(str::to_owned)
    };
    let run = |of, more: &[&str]| {
        let args = args(of);
        let args = args.iter().map(String::as_str).chain(more.iter().copied());
        Server::start_in(&args.collect::<Vec<_>>(), &[]).stop();
    };
    let refused = |of| {
        let mut command = Command::new(process::BINARY);
        let ran = command
            .args(args(of))
            .args(["--cos", "127.0.0.1:0"])
            .output()
            .unwrap();
        assert!(!ran.status.success());
        String::from_utf8(ran.stderr).unwrap()
    };
    run(&one, &[]);
    let said = refused(&other);
    assert!(
        said.contains("it is another") && said.contains("--adopt-bucket"),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
    run(&other, &["--adopt-bucket"]);
    refused(&one);
    run(&other, &[]);
}

#[test]
fn a_database_without_blobs_is_refused() {
    let refused = Command::new(process::BINARY)
        .args(["--catalog", "postgres://host/name"])
        .output();
    let refused = refused.unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("--blobs"), "{said}");
}

/// A server of S3 with a bucket, on a directory of its own.
struct Bucket {
    process: Child,
    address: SocketAddr,
    _data: Server,
}

impl Bucket {
    fn start() -> Self {
        let mut first = server(&[]);
        first.stop();
        let mut command = Command::new(process::BINARY);
        command
            .arg("--data")
            .arg(first.data())
            .args(["--s3", "127.0.0.1:0"]);
        command
            .env("PARTSTORE_SECRET_ID", KEYS.0)
            .env("PARTSTORE_SECRET_KEY", KEYS.1);
        let (process, address) = process::start(command.stdout(std::process::Stdio::piped()));
        Self {
            process,
            address,
            _data: first,
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
