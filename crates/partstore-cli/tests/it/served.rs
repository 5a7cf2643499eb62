//! `ls` and `where` at a running server: what is printed is what the command prints of the directory, once the server has
//! stopped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use partstore::{
    CompleteOptions, CompletedPart, Condition, Key, Numbering, PartNumber, PartStore, Quota,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::backup::{answer, answering};
use crate::cluster::OnCluster;
use crate::fixture::{Fixture, PROGRAM, Ran, noise};
use crate::verify::blob_of;

/// The program of the server: `PARTSTORE_SERVER`, or else one that is built now.
fn server_program() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(given) = std::env::var_os("PARTSTORE_SERVER") {
            return given.into();
        }
        let built = PathBuf::from(PROGRAM).with_file_name("partstore-server");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "partstore-server"]);
        if built.parent().is_some_and(|dir| dir.ends_with("release")) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        built
    })
}

/// A running server of a fixture's store.
struct Server {
    process: Child,
    /// Where it is asked.
    admin: String,
    /// Where objects are read and written.
    protocol: String,
}

impl Server {
    fn start(fixture: &Fixture) -> Self {
        Self::start_on(&["--data", fixture.store().to_str().unwrap()])
    }

    fn start_on(store: &[&str]) -> Self {
        let mut command = Command::new(server_program());
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(store);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut admin, mut protocol) = (None, None);
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let address = line.strip_prefix("listening on ").unwrap_or_default();
            match address.split_once(' ') {
                Some((address, "for the admin")) => admin = Some(address.to_owned()),
                _ => protocol = Some(address.to_owned()),
            }
            if admin.is_some() && protocol.is_some() {
                break;
            }
        }
        Self {
            process,
            admin: admin.unwrap(),
            protocol: protocol.unwrap(),
        }
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A namespace that is a bucket of the server.
const BUCKET: &str = "photos-1250000000";

/// Keys that a URL, a line or a terminal could garble.
const KEYS: [&str; 9] = [
    "plain",
    "a b+c&d=e?f#g%2Fh",
    "日本/語",
    "dir/one",
    "dir/two",
    "line\nbreak\u{1b}[31m",
    "\"quoted\"\\",
    "%",
    "ü",
];

fn some_of_all(store: &PartStore) {
    let films = Quota::new().bytes(1 << 30).keys(70);
    store.create_namespace("films & more", films).unwrap();
    for (number, key) in (1..).zip(KEYS) {
        let body = noise(1000, u64::from(number) % 3);
        store.put_object(key, body.clone()).unwrap();
        store.put_object(("films & more", key), body).unwrap();
        let upload = store.initiate_upload(key).unwrap();
        let number = PartNumber::new(number).unwrap();
        store.put_part(&upload, number, noise(1000, 1)).unwrap();
        store.initiate_upload(("films & more", key)).unwrap();
    }
}

/// An object of more parts than a page has. The id of an open upload of as many.
fn with_many_parts(store: &PartStore) -> (String, String) {
    let upload = |key: &str| {
        let upload = store.initiate_upload(key).unwrap();
        let put = |number: u32| {
            let number = PartNumber::new(number).unwrap();
            let part = store.put_part(&upload, number, "same").unwrap();
            CompletedPart::new(number, part.etag)
        };
        let parts: Vec<_> = (1..=1001).map(|number| put(number * 2)).collect();
        (upload, parts)
    };
    let (open, _) = upload("open");
    let (whole, parts) = upload("whole");
    let options = CompleteOptions::new().make_current(Condition::Always);
    let options = options.min_part_size(1).numbering(Numbering::Ascending);
    store
        .complete_upload_with(&whole, &parts, &options)
        .unwrap();
    (open.id().to_string(), whole.id().to_string())
}

/// Runs commands at a server, stops it, and runs them on the directory. Gives what they have printed.
fn both_ways(fixture: &Fixture, commands: &[Vec<&str>]) -> Vec<String> {
    let server = Server::start(fixture);
    let asked = |args: &Vec<&str>, more: &[&str]| {
        let mut args = args.clone();
        args.extend(more);
        let ran = fixture.run(args);
        (ran.code, ran.text(), ran.stderr)
    };
    let at_server = ["--server", &server.admin];
    let there: Vec<_> = commands
        .iter()
        .map(|args| asked(args, &at_server))
        .collect();
    server.stop();
    let here: Vec<_> = commands.iter().map(|args| asked(args, &[])).collect();
    for ((args, here), there) in commands.iter().zip(&here).zip(&there) {
        assert_eq!(here, there, "{args:?}");
    }
    here.into_iter().map(|(_, text, _)| text).collect()
}

#[test]
fn a_server_lists_what_the_directory_lists() {
    let fixture = Fixture::new();
    let (open, whole) = fixture.with(|store| {
        some_of_all(store);
        with_many_parts(store)
    });
    let mut commands = vec![
        vec!["ls"],
        vec!["ls", "namespaces"],
        vec!["ls", "objects"],
        vec!["ls", "parts", "whole"],
        vec!["ls", "parts", "whole", "--id", &whole],
        vec!["ls", "parts", "open", "--id", &open],
        vec!["ls", "parts", "other", "--id", &open],
        vec!["ls", "parts", "plain", "--id", "no id"],
        vec!["ls", "parts", "nothing"],
        vec!["ls", "keys", "-n", "nowhere"],
    ];
    for of in ["keys", "uploads"] {
        commands.extend([
            vec!["ls", of],
            vec!["ls", of, "-d", "/"],
            vec!["ls", of, "dir/"],
            vec!["ls", of, "a b+c&d=", "--delimiter", "%2F"],
            vec!["ls", of, "-n", "films & more"],
            vec!["ls", of, "no such prefix"],
        ]);
    }
    for key in KEYS {
        commands.push(vec!["ls", "parts", key]);
        commands.push(vec!["ls", "parts", key, "-n", "films & more"]);
    }
    let json = commands
        .iter()
        .map(|args| [&["--json"], &args[..]].concat());
    let commands: Vec<_> = commands.iter().cloned().chain(json).collect();
    let printed = both_ways(&fixture, &commands);
    let lines = |args: &[&str]| {
        let at = commands.iter().position(|command| command == args);
        printed[at.unwrap()].lines().count()
    };
    // One object is the server's own.
    assert_eq!(lines(&["ls", "keys"]), KEYS.len() + 2);
    assert_eq!(lines(&["ls", "keys", "dir/"]), 2);
    assert_eq!(lines(&["--json", "ls", "uploads", "-d", "/"]), KEYS.len());
    assert_eq!(lines(&["ls", "parts", "whole"]), 1001);
    assert_eq!(
        lines(&["--json", "ls", "parts", "open", "--id", &open]),
        1001
    );
    assert_eq!(lines(&["ls", "parts", "nothing"]), 0);
}

#[test]
fn a_server_says_where_bytes_are_as_the_command_says_it_of_the_directory() {
    let fixture = Fixture::new();
    fixture.with(some_of_all);
    let (whole, _) = blob_of(&fixture, KEYS[0]);
    let (damaged, file) = blob_of(&fixture, "日本/語");
    std::fs::write(file, noise(1000, 9)).unwrap();
    let none = "0".repeat(64);
    let mut commands = Vec::new();
    for hash in [&whole[..], &damaged, &none, "no hash"] {
        commands.push(vec!["where", hash]);
        commands.push(vec!["--json", "where", hash]);
    }
    let printed = both_ways(&fixture, &commands);
    assert!(printed[0].contains(": whole\n"), "{}", printed[0]);
    assert!(
        printed[0].contains("of the upload \"plain\"")
            && printed[0].contains("of the object \"plain\""),
        "{}",
        printed[0]
    );
    assert!(printed[2].contains(": damaged\n"), "{}", printed[2]);
    assert_eq!(printed[4], "");
}

#[test]
fn a_server_of_a_cluster_says_what_the_command_says_beside_it() {
    let Some(on) = OnCluster::new() else { return };
    on.with(some_of_all);
    let blobs = format!("file://{}", on.blobs().display());
    let server = Server::start_on(&[
        "--catalog",
        &on.address,
        "--schema",
        &on.schema,
        "--blobs",
        &blobs,
    ]);
    let hash = |seed| blake3::hash(&noise(1000, seed)).to_hex().to_string();
    let (whole, none) = (hash(1), hash(7));
    let commands: [&[&str]; 8] = [
        &["ls"],
        &["ls", "keys", "-d", "/"],
        &["ls", "uploads", "-n", "films & more"],
        &["ls", "objects"],
        &["ls", "parts", KEYS[1]],
        &["ls", "keys", "-n", "nowhere"],
        &["where", &whole],
        &["where", &none],
    ];
    for args in commands {
        let beside = on.run(args);
        let asked = on
            .fixture
            .run([args, &["--server", &server.admin]].concat());
        let said = |ran: &Ran| (ran.code, ran.text(), ran.stderr.clone());
        assert_eq!(said(&beside), said(&asked), "{args:?}");
        assert_eq!(beside.code == Some(0), !beside.text().is_empty());
    }
    server.stop();
}

/// Calls at the same time share syncs.
fn put_many(store: &PartStore, keys: u32, key: impl Fn(u32) -> Key + Sync) {
    let key = &key;
    thread::scope(|scope| {
        for at in 0..32 {
            scope.spawn(move || {
                for number in (at..keys).step_by(32) {
                    store.put_object(key(number), "x").unwrap();
                }
            });
        }
    });
}

#[test]
fn the_longest_keys_are_listed_page_after_page() {
    let fixture = Fixture::new();
    // In a URL each takes three bytes, and in JSON six.
    let prefix = "\u{1}".repeat(1_000);
    let key = |number: u32| format!("{prefix}{number:024}");
    fixture.with(|store| put_many(store, 1_100, |number| Key::new("", key(number))));
    let printed = both_ways(
        &fixture,
        &[
            vec!["ls", "keys", &prefix],
            vec!["--json", "ls", "keys", &prefix, "-d", "9"],
        ],
    );
    assert_eq!(printed[0].lines().count(), 1_100);
    assert!(printed[1].lines().any(|line| line.contains("\"prefix\"")));
}

#[test]
fn a_long_listing_is_whole_and_in_order_while_others_put_and_remove() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        store.create_namespace(BUCKET, Quota::new()).unwrap();
        put_many(store, 5_000, |number| {
            Key::new(BUCKET, format!("k{number:05}"))
        });
    });
    let server = Server::start(&fixture);
    let mut child = fixture.spawn(["ls", "keys", "-n", BUCKET, "--server", &server.admin]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.ends_with("  k00000"), "{first}");
    // Keys that are behind the page, or before it.
    for key in ["k04999", "k00000"] {
        let request = format!(
            "DELETE /{BUCKET}/{key} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            server.protocol
        );
        let mut client = TcpStream::connect(&server.protocol).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 204 "), "{answer}");
    }
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.is_sorted_by_key(|line| line.rsplit(' ').next().unwrap().to_owned()));
    assert!(rest.len() >= 4_998, "{}", rest.len());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    server.stop();
}

#[test]
fn a_server_that_goes_away_in_the_middle_is_no_end_of_a_listing() {
    let fixture = Fixture::without_store();
    let page = r#"{"rows":[{"namespace":"","key":"first","size":1}],"next":"first"}"#;
    let (address, server) = answering(answer("200 OK", page));
    let ran = fixture.run(["ls", "keys", "--server", &address]);
    let said = ran.fails(1);
    assert!(said.contains("did not answer"), "{said}");
    // What was told is printed.
    assert_eq!(ran.text().lines().count(), 1);
    server.join().unwrap();

    let cut = answer("200 OK", page).replace("\"next\"", "\"ne");
    let (address, server) = answering(cut);
    let ran = fixture.run(["ls", "keys", "--server", &address]);
    assert!(ran.fails(1).contains("did not answer"), "{ran:?}");
    assert_eq!(ran.text(), "");
    server.join().unwrap();
}

#[test]
fn what_is_no_admin_address_is_said_so() {
    let fixture = Fixture::new();
    let server = Server::start(&fixture);
    let hash = "0".repeat(64);
    let commands: [&[&str]; 5] = [
        &["ls"],
        &["ls", "uploads", "-d", "/"],
        &["where", &hash],
        &["info"],
        &["sweep"],
    ];
    for args in commands {
        let ask = |address: &str| {
            fixture
                .run([args, &["--server", address]].concat())
                .fails(1)
        };
        let said = ask(&server.protocol);
        assert!(said.contains("is no admin address"), "{args:?} {said}");
        // Nobody listens.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let said = ask(&address);
        assert!(said.contains("runs with --admin"), "{args:?} {said}");
    }
    // One that is older than the question.
    let paths = "/, /health, /health/live, /health/ready, /metrics, /status.json\n";
    let (address, older) = answering(answer("404 Not Found", paths));
    let said = fixture.run(["ls", "--server", &address]).fails(1);
    assert!(
        said.contains("another version") && said.contains("/ls.json"),
        "{said}"
    );
    older.join().unwrap();
    server.stop();
}
