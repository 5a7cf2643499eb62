//! `--admin`: health, figures and status. The page itself is looked at by Chromium, in `tests/cos/node/page.test.cjs`.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::calls::{BUCKET, MIB, bytes, delete, get, initiate, put, put_part, server};
use crate::client::{Answer, Client, Request};
use crate::damage::damage;
use crate::fixture::{Server, until};

/// An address that nobody has. Its port lies below those that the system gives to connections and to who asks for any, so that
/// none of the other tests gets it before the server does.
fn free_address() -> SocketAddr {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id().wrapping_mul(97) + tried) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A server, and the address of its admin.
pub fn watched(more: &[&str]) -> (Server, SocketAddr) {
    let address = free_address();
    let named = address.to_string();
    let server = server(&[&["--admin", &named], more].concat());
    until("the admin listens", || {
        std::net::TcpStream::connect(address).is_ok()
    });
    (server, address)
}

fn ask_with(admin: SocketAddr, method: &str, path: &str) -> Answer {
    let mut client = Client::to(admin);
    // The client knows lengths in the spelling of COS only.
    let request = Request::new(method, path).header("Connection", "close");
    client.send(request.bytes());
    client.answer_to(method)
}

fn ask(admin: SocketAddr, path: &str) -> Answer {
    ask_with(admin, "GET", path)
}

fn status(admin: SocketAddr) -> Value {
    serde_json::from_str(ask(admin, "/status.json").ok().text()).unwrap()
}

/// A figure of `/metrics`: the sum over all labels that hold `labels`.
fn figure(admin: SocketAddr, name: &str, labels: &str) -> f64 {
    let answer = ask(admin, "/metrics").ok();
    let of_name = answer.text().lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(labels))
    });
    of_name
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn a_server_that_works_is_live_and_ready() {
    let (_server, admin) = watched(&[]);
    assert_eq!(ask(admin, "/health/live").ok().text(), "live\n");
    assert_eq!(ask(admin, "/health/ready").ok().text(), "ready\n");
    assert_eq!(ask(admin, "/health").ok().text(), "ready\n");
    assert_eq!(status(admin)["trouble"], Value::Null);
}

#[test]
fn a_server_whose_disk_is_full_is_live_and_not_ready() {
    // The disk has less.
    let headroom = (1u64 << 60).to_string();
    let (_server, admin) = watched(&["--headroom", &headroom]);
    assert_eq!(ask(admin, "/health/live").status, 200);
    let answer = ask(admin, "/health/ready");
    assert_eq!(answer.status, 503);
    assert!(answer.text().starts_with("not ready: the disk is full"));
    assert!(status(admin)["trouble"].as_str().unwrap().contains("full"));
}

#[test]
fn figures_are_what_was_sent_and_stored() {
    let (server, admin) = watched(&[]);
    let received_before = figure(admin, "partstore_received_bytes_total", "");
    // The server keeps some of its own.
    let before = ["partstore_objects", "partstore_part_bytes"].map(|name| figure(admin, name, ""));
    put(&server, "one", &bytes(MIB, 1)).ok();
    put(&server, "same", &bytes(MIB, 1)).ok();
    put(&server, "two", &bytes(1000, 2)).ok();
    get(&server, "one").ok();
    assert_eq!(get(&server, "nothing").status, 404);
    initiate(&server, "open");
    delete(&server, "two");

    // A line of an answer is written when its client has it.
    until("the removal is counted", || {
        let labels = "method=\"DELETE\"";
        (figure(admin, "partstore_requests_total", labels) - 1.0).abs() < 0.1
    });
    let is = |name: &str, labels: &str, right: usize| {
        let figure = figure(admin, name, labels);
        let right = f64::from(u32::try_from(right).unwrap());
        assert!(
            (figure - right).abs() < 0.1,
            "{name}: {figure}, not {right}"
        );
    };
    is(
        "partstore_requests_total",
        "method=\"GET\",status=\"4xx\"",
        1,
    );
    is("partstore_request_seconds_count", "method=\"GET\"", 2);
    is("partstore_open_uploads", "", 1);
    is("partstore_requests_under_way", "", 0);
    is("partstore_up", "", 1);
    // What the store has told.
    is("partstore_put_bytes_total", "bytes=\"known\"", MIB);
    is("partstore_put_seconds_count", "bytes=\"known\"", 1);
    is("partstore_put_bytes_total", "bytes=\"repaired\"", 0);
    is("partstore_outcomes_unknown_total", "", 0);
    let at_least = |name: &str, labels: &str, least: f64| {
        let figure = figure(admin, name, labels);
        assert!(figure >= least, "{name}: {figure}, not {least}");
    };
    for (of, least) in [("journal", 5.0), ("blob", 2.0), ("directory", 2.0)] {
        at_least(
            "partstore_sync_seconds_count",
            &format!("of=\"{of}\""),
            least,
        );
    }
    at_least("partstore_group_changes_sum", "", 5.0);
    at_least("partstore_group_changes_bucket", "le=\"1\"", 1.0);
    at_least("partstore_next_sweep_timestamp_seconds", "", 1e9);
    at_least("partstore_oldest_upload_age_seconds", "", 1e-3);
    is("partstore_stopped", "", 0);
    let stored = ["partstore_objects", "partstore_part_bytes"].map(|name| figure(admin, name, ""));
    assert!(
        (stored[0] - before[0] - 2.0).abs() < 0.1,
        "{before:?}, {stored:?}"
    );
    assert!(
        (stored[1] - before[1] - 2_097_152.0).abs() < 0.1,
        "{before:?}, {stored:?}"
    );
    let received = figure(admin, "partstore_received_bytes_total", "") - received_before;
    let sent = f64::from(u32::try_from(2 * MIB + 1000).unwrap());
    assert!((received - sent).abs() < 0.1, "{received}, not {sent}");
    assert!(figure(admin, "partstore_sent_bytes_total", "") >= 1_048_576.0);
    assert!(figure(admin, "partstore_free_bytes", "") > 0.0);
}

#[test]
fn the_status_has_what_is_stored_and_what_is_open() {
    let (server, admin) = watched(&[]);
    let before = status(admin);
    put(&server, "one", &bytes(MIB, 1)).ok();
    let key = "dir/<b> &ü";
    let upload = initiate(&server, "dir/%3Cb%3E%20%26%C3%BC");
    for number in [1, 7] {
        put_part(
            &server,
            ("dir/%3Cb%3E%20%26%C3%BC", &upload),
            number,
            &bytes(MIB, number.into()),
        )
        .ok();
    }
    let status = status(admin);
    let store = &status["store"];
    let more = |name: &str| store[name].as_u64().unwrap() - before["store"][name].as_u64().unwrap();
    assert_eq!((more("keys"), more("parts")), (1, 3));
    let uploads = store["uploads"].as_array().unwrap();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0]["key"], key);
    assert_eq!(uploads[0]["namespace"], BUCKET);
    assert_eq!(
        (&uploads[0]["parts"], &uploads[0]["bytes"]),
        (&2.into(), &(2 * MIB).into())
    );
    assert_eq!(store["more_uploads"], false);
    let spaces = store["namespaces"].as_array().unwrap();
    let bucket = spaces.iter().find(|space| space["name"] == BUCKET).unwrap();
    // Parts of open uploads count.
    assert_eq!(bucket["bytes"], 3 * MIB);
    assert_eq!(bucket["open_uploads"], 1);
}

/// It is named on the page, and counted.
#[test]
fn a_blob_that_is_found_damaged_is_named() {
    let (server, admin) = watched(&[]);
    let body = bytes(MIB, 1);
    put(&server, "one", &body).ok();
    let found = |admin| status(admin)["since_start"]["damage"].clone();
    assert_eq!(found(admin), Value::Array(Vec::new()));
    let hash = damage(&server, &body, 1000);
    get(&server, "one");
    let named = found(admin);
    let line = named[0].as_str().unwrap();
    assert!(line.starts_with(&format!("blob {hash}: ")), "{line}");
    let counted = figure(admin, "partstore_damage_found_total", "of=\"blob\"");
    assert!((counted - 1.0).abs() < 0.1, "{counted}");
}

/// Spans of five seconds.
#[test]
fn the_last_minutes_have_what_came_in() {
    let (server, admin) = watched(&[]);
    put(&server, "one", &bytes(MIB, 1)).ok();
    until("a span has ended", || {
        let status = status(admin);
        let spans = status["spans"].as_array().unwrap().iter();
        let sum =
            |of: fn(&Value) -> &Value| spans.clone().filter_map(|span| of(span).as_u64()).sum();
        let received: u64 = sum(|span| &span["received_bytes"]);
        let writes: u64 = sum(|span| &span["writes"]["count"]);
        received == 1 << 20 && writes >= 1
    });
}

#[test]
fn only_reads_of_what_there_is_are_answered() {
    let (_server, admin) = watched(&[]);
    assert_eq!(ask(admin, "/nothing").status, 404);
    let refused = ask_with(admin, "DELETE", "/status.json");
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let page = ask(admin, "/").ok();
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    assert!(page.text().contains("<title>partstore</title>"));
    assert_eq!(ask_with(admin, "HEAD", "/").status, 200);
}

#[test]
fn clients_that_take_all_connections_leave_room_for_the_admin() {
    let (server, admin) = watched(&["--max-connections", "2"]);
    let _idle: Vec<_> = (0..4).map(|_| Client::connect(&server)).collect();
    assert_eq!(ask(admin, "/health").status, 200);
}

/// Asks for a backup as `partstore backup --server` does.
fn back_up(admin: SocketAddr, query: &str, header: Option<&str>) -> Answer {
    let mut client = Client::to(admin);
    let mut request = Request::new("POST", format!("/backup?{query}"))
        .header("Connection", "close")
        .header("Content-Length", "0");
    if let Some(name) = header {
        request = request.header(name, "backup");
    }
    client.send(request.bytes());
    client.answer_to("POST")
}

#[test]
fn a_backup_is_taken_while_the_server_works_and_what_is_restored_has_the_same_objects() {
    let scratch = tempfile::tempdir().unwrap();
    let allowed = scratch.path().join("backups");
    let (server, admin) = watched(&["--backups", allowed.to_str().unwrap()]);
    put(&server, "one", &bytes(MIB, 1)).ok();
    let into = format!("into={}/daily%20one", allowed.display());
    for state in [1, 2] {
        let report: Value =
            serde_json::from_str(back_up(admin, &into, Some("x-partstore")).ok().text()).unwrap();
        assert_eq!(report["state"], state);
        assert_eq!(report["damaged_blobs"], serde_json::json!([]));
        put(&server, "two", &bytes(MIB, 2)).ok();
    }
    let backups = partstore::Backups::open(allowed.join("daily one")).unwrap();
    for (state, objects) in [(1, 1), (2, 2)] {
        let to = scratch.path().join(format!("restored {state}"));
        backups
            .restore(Some(state), &to, partstore::Transfer::Copy)
            .unwrap();
        let store = partstore::Options::cos().open(&to).unwrap();
        assert!(
            store
                .verify(partstore::Scope::Everything)
                .unwrap()
                .is_clean()
        );
        let stored: Vec<_> = ["one", "two"]
            .iter()
            .filter(|key| store.object_by_key((BUCKET, **key)).is_ok())
            .collect();
        assert_eq!(stored.len(), objects);
    }
    get(&server, "two").ok();
}

#[test]
fn backups_go_nowhere_else_and_not_without_being_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let allowed = scratch.path().join("backups");
    let (_server, admin) = watched(&["--backups", allowed.to_str().unwrap()]);
    let root = allowed.display().to_string();
    let refusals = [
        (format!("into={root}/a"), None, 403),
        (format!("into={root}/a"), Some("origin"), 403),
        (
            format!("into={root}/../elsewhere"),
            Some("x-partstore"),
            403,
        ),
        (format!("into={root}-other"), Some("x-partstore"), 403),
        ("into=backups/a".to_owned(), Some("x-partstore"), 403),
        ("into=".to_owned(), Some("x-partstore"), 403),
        (String::new(), Some("x-partstore"), 400),
        ("into=%FF".to_owned(), Some("x-partstore"), 400),
        (
            format!("into={root}/a&transfer=move"),
            Some("x-partstore"),
            400,
        ),
    ];
    for (query, header, status) in refusals {
        let answer = back_up(admin, &query, header);
        assert_eq!(answer.status, status, "{query} {}", answer.text());
        assert!(answer.text().ends_with('\n'));
    }
    assert!(!allowed.exists());
    // Something else is there.
    std::fs::create_dir_all(allowed.join("letters")).unwrap();
    std::fs::write(allowed.join("letters/letter"), "dear").unwrap();
    let answer = back_up(admin, &format!("into={root}/letters"), Some("x-partstore"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("letter"), "{}", answer.text());
    assert_eq!(ask_with(admin, "GET", "/backup").status, 404);
    let (_server, without) = watched(&[]);
    let answer = back_up(without, &format!("into={root}/a"), Some("x-partstore"));
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("--backups"), "{}", answer.text());
}

/// Asks as `partstore --server` does.
pub fn ask_as_command(admin: SocketAddr, method: &str, path: &str) -> Answer {
    let mut client = Client::to(admin);
    let request = Request::new(method, path)
        .header("Connection", "close")
        .header("x-partstore", "yes");
    client.send(request.bytes());
    client.answer_to(method)
}

pub fn report(admin: SocketAddr, method: &str, path: &str) -> Value {
    serde_json::from_str(ask_as_command(admin, method, path).ok().text()).unwrap()
}

#[test]
fn a_server_says_what_its_store_holds_as_the_command_says_it() {
    let (server, admin) = watched(&[]);
    put(&server, "one", &bytes(MIB, 1)).ok();
    put(&server, "two", &bytes(MIB, 1)).ok();
    initiate(&server, "three");
    let info = report(admin, "GET", "/info.json");
    // One object is the server's own, and has no bytes.
    assert_eq!(info["objects"], 3);
    assert_eq!(info["part_bytes"], 2 * MIB);
    assert_eq!(info["blob_bytes"], MIB);
    assert_eq!(info["open_uploads"], 1);
    assert_eq!(info["open"]["repaired"], serde_json::json!([]));
    assert!(info["format"].is_u64());
    let of_bucket = &info["namespaces"][1];
    assert_eq!(of_bucket["namespace"], BUCKET);
    assert_eq!(of_bucket["keys"], 2);
}

#[test]
fn a_server_verifies_and_names_what_is_damaged() {
    let (server, admin) = watched(&[]);
    let body = bytes(MIB, 1);
    put(&server, "whole", &bytes(MIB, 2)).ok();
    put(&server, "broken", &body).ok();
    assert_eq!(report(admin, "POST", "/verify")["clean"], true);
    let hash = damage(&server, &body, 5);
    let metadata = report(admin, "POST", "/verify?scope=metadata");
    assert_eq!(
        (&metadata["clean"], &metadata["bytes"]),
        (&true.into(), &0.into())
    );
    let found = report(admin, "POST", "/verify?rate=1000000000");
    assert_eq!(found["clean"], false);
    assert_eq!(found["damaged_blobs"][0]["hash"], hash);
    assert_eq!(found["damaged_blobs"][0]["parts"][0]["key"], "broken");
    for wrong in ["rate=0", "rate=fast", "scope=all", "into=/"] {
        let answer = ask_as_command(admin, "POST", &format!("/verify?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[test]
fn a_server_sweeps_when_it_is_asked() {
    let (server, admin) = watched(&[]);
    put(&server, "stays", &bytes(MIB, 1)).ok();
    put(&server, "goes", &bytes(MIB, 2)).ok();
    delete(&server, "goes");
    let mut removed = 0;
    // Its own housekeeping may come first.
    until("the blob is removed", || {
        removed += report(admin, "POST", "/sweep")["removed_blobs"]
            .as_u64()
            .unwrap();
        report(admin, "GET", "/info.json")["blob_bytes"] == MIB
    });
    assert!(removed <= 1, "{removed}");
    assert_eq!(get(&server, "stays").ok().body, bytes(MIB, 1));
}

#[test]
fn no_browser_makes_a_server_work_or_learns_what_it_holds() {
    let scratch = tempfile::tempdir().unwrap();
    let (_server, admin) = watched(&["--backups", scratch.path().to_str().unwrap()]);
    let backup = format!("/backup?into={}/a", scratch.path().display());
    let search = format!("/where.json?hash={}", "0".repeat(64));
    let asked = [
        ("GET", "/info.json"),
        ("GET", "/ls.json?of=keys"),
        ("GET", &search),
        ("POST", "/verify"),
        ("POST", "/sweep"),
        ("POST", &backup),
    ];
    for (method, path) in asked {
        // A page of another site cannot send the header.
        assert_eq!(ask_with(admin, method, path).status, 403, "{path}");
        for host in [
            "evil.example",
            "evil.example:9002",
            "127.0.0.1.evil.example",
            "localhost.evil",
        ] {
            let mut client = Client::to(admin);
            let request = Request::new(method, path)
                .header("Connection", "close")
                .header("x-partstore", "yes")
                .header("Host", host);
            client.send(request.bytes());
            let answer = client.answer_to(method);
            assert_eq!(answer.status, 403, "{path} {host}");
            let allowed = answer
                .headers
                .iter()
                .any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control"));
            assert!(!allowed, "{answer:?}");
        }
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    // Looking is no work.
    assert_eq!(ask_as_command(admin, "GET", "/sweep").status, 404);
    assert_eq!(ask_as_command(admin, "GET", "/verify").status, 404);
    assert_eq!(ask_as_command(admin, "POST", "/ls.json").status, 405);
    assert_eq!(ask_as_command(admin, "POST", &search).status, 405);
}
