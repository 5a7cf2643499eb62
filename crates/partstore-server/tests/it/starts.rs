//! How a server starts: its options, its keys, its address, its threads; and what it reads again at SIGHUP.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, Request};
use crate::fixture::{Server, until};
use crate::process;
use crate::skipped::skipped;

/// Starts one that is to fail at once, and gives what it said.
#[track_caller]
fn fails(data: &Path, listen: &str, args: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = process::command(data, listen);
    command.args(args).envs(environment.iter().copied());
    let mut started = command.stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while started.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            started.kill().unwrap();
        }
        sleep(Duration::from_millis(5));
    }
    let Output {
        status,
        stdout,
        stderr,
    } = started.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(stdout.is_empty(), "it listened: {said}");
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

fn keys_file(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
    file
}

#[test]
fn half_a_key_pair_does_not_start() {
    for pair in [("", "secret"), ("AKIDexample", ""), ("", "")] {
        let data = tempfile::tempdir().unwrap();
        let pair = [
            ("PARTSTORE_SECRET_ID", pair.0),
            ("PARTSTORE_SECRET_KEY", pair.1),
        ];
        fails(data.path(), "127.0.0.1:0", &[], &pair);
        fails(data.path(), "127.0.0.1:0", &[], &pair[..1]);
    }
    for text in ["", "AKIDexample\n", "a b c\n", "a b\na c\n"] {
        let data = tempfile::tempdir().unwrap();
        let file = keys_file(text, 0o600);
        let path = file.path().to_str().unwrap();
        let said = fails(data.path(), "127.0.0.1:0", &["--keys", path], &[]);
        assert!(said.contains(path), "{said}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let file = keys_file("AKIDexample secret\n", 0o640);
    let path = file.path().to_str().unwrap();
    let said = fails(data.path(), "127.0.0.1:0", &["--keys", path], &[]);
    assert!(said.contains("640") && said.contains("chmod"), "{said}");
    let said = fails(data.path(), "127.0.0.1:0", &["--keys", "/nonexistent"], &[]);
    assert!(said.contains("/nonexistent"), "{said}");
}

#[test]
fn an_address_that_is_taken_is_named_and_leaves_no_store() {
    let taken = Server::start(&[]);
    let address = taken.address.to_string();
    for address in [address.as_str(), "nohost.invalid:1", "127.0.0.1"] {
        let data = tempfile::tempdir().unwrap();
        let said = fails(&data.path().join("store"), address, &[], &[]);
        assert!(said.contains(address), "{said}");
        assert!(!data.path().join("store").exists());
    }
}

#[test]
fn a_server_listens_at_a_name() {
    let data = tempfile::tempdir().unwrap();
    let mut command = process::command(data.path(), "localhost:0");
    let (mut process, address) = process::start(&mut command);
    assert!(address.ip().is_loopback());
    process.kill().unwrap();
    process.wait().unwrap();
}

fn access(server: &Server, id: &str) -> Vec<String> {
    let authorization = format!(
        "q-sign-algorithm=sha1&q-ak={id}&q-sign-time=1;99999999999&q-key-time=1;99999999999\
         &q-header-list=host&q-url-param-list=&q-signature={}",
        "0".repeat(40)
    );
    let request = Request::new("GET", "/bucket/").header("Authorization", authorization);
    request.send(server).elements("Code")
}

#[test]
fn a_hangup_reads_the_keys_again() {
    let file = keys_file("old secret\n", 0o600);
    let mut server = Server::start(&["--keys", file.path().to_str().unwrap()]);
    assert_eq!(access(&server, "old"), ["SignatureDoesNotMatch"]);
    assert_eq!(access(&server, "new"), ["InvalidAccessKeyId"]);
    fs::write(file.path(), "# rotated\nnew other\n").unwrap();
    server.signal(Signal::HUP);
    until("reloaded", || server.log().contains("reloaded"));
    assert_eq!(access(&server, "old"), ["InvalidAccessKeyId"]);
    assert_eq!(access(&server, "new"), ["SignatureDoesNotMatch"]);
    // One that is wrong changes nothing.
    fs::write(file.path(), "new\n").unwrap();
    server.signal(Signal::HUP);
    until("not reloaded", || server.log().contains("not reloaded"));
    assert_eq!(access(&server, "new"), ["SignatureDoesNotMatch"]);
    assert!(!server.log().contains("other"), "a secret in the log");
    server.stop();
}

#[test]
fn options_come_from_a_file_too() {
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), "max-body = 10\n# quiet\nlog = \"warn\"\n").unwrap();
    let config = config.path().to_str().unwrap();
    let server = Server::start(&["--config", config]);
    Request::new("PUT", "/bucket/").send(&server).ok();
    Request::new("PUT", "/bucket/short")
        .body(*b"0123456789")
        .send(&server)
        .ok();
    let long = Request::new("PUT", "/bucket/long")
        .body(*b"0123456789a")
        .send(&server);
    assert_eq!(
        (long.status, &*long.elements("Code")[0]),
        (400, "EntityTooLarge")
    );
    assert!(!server.log().contains("INFO"), "{}", server.log());
    let data = tempfile::tempdir().unwrap();
    fails(
        data.path(),
        "127.0.0.1:0",
        &["--config", "/nonexistent"],
        &[],
    );
}

/// A user of its own, because the limit of threads counts those of a user, and root has none.
const USER: u32 = 54_321;

fn limited(threads: u32, data: &Path, binary: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args([
        "-s",
        "KILL",
        "40",
        "setpriv",
        "--clear-groups",
        &format!("--reuid={USER}"),
        "prlimit",
    ]);
    command.arg(format!("--nproc={threads}")).arg(binary);
    command
        .arg("--data")
        .arg(data)
        .args(["--cos", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// However few threads there may be, a server that says that it listens also answers, and another one ends.
#[test]
fn a_server_without_threads_does_not_listen() {
    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = shared.path().join("server");
    fs::copy(process::BINARY, &binary).unwrap();
    let data = shared.path().join("data");
    fs::create_dir(&data).unwrap();
    let owned = std::os::unix::fs::chown(&data, Some(USER), None).is_ok();
    let tried = limited(64, &data, Path::new("true")).status();
    if !owned || !tried.is_ok_and(|status| status.success()) {
        skipped("the limit of threads needs root, setpriv and prlimit");
        return;
    }
    let mut listened = 0;
    for threads in [1, 2, 3, 4, 5, 6, 9, 12, 15, 24] {
        let mut server = limited(threads, &data, &binary).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        if let Some(address) = line.trim().strip_prefix("listening on ") {
            listened += 1;
            let mut client = Client::to(address.parse().unwrap());
            client.send(Request::new("PUT", "/bucket/").bytes());
            let status = client.answer().status;
            assert!([200, 409].contains(&status), "{threads}: {status}");
        }
        // It passes the signal on.
        let _ = kill_process(Pid::from_child(&server), Signal::TERM);
        let ended = server.wait().unwrap();
        assert!(ended.code().is_some(), "{threads}: it hangs");
    }
    assert!(listened > 0, "no limit was enough");
    assert!(listened < 10, "no limit was too low");
}
