//! The log: what it says of a request, and that it never costs an answer.

use std::io::Read;
use std::process::Stdio;

use crate::client::{Answer, Client, Request};
use crate::fixture::{Server, until};
use crate::process;

#[test]
fn each_request_has_a_line_with_all_that_is_known_of_it() {
    let server = Server::start(&["--log-format", "json"]);
    Request::new("PUT", "/bucket/").send(&server).ok();
    Request::new("PUT", "/bucket/a%20b")
        .body(*b"hello")
        .send(&server)
        .ok();
    let got = Request::new("GET", "/bucket/a%20b").send(&server).ok();
    let absent = Request::new("GET", "/bucket/absent").send(&server);
    let line = |method: &str, key: &str| {
        let (method, key) = (
            format!("\"method\":\"{method}\""),
            format!("\"key\":\"{key}\""),
        );
        let log = server.log();
        let found = log
            .lines()
            .find(|line| line.contains(&method) && line.contains(&key));
        found.unwrap_or_default().to_owned()
    };
    until("the lines", || !line("GET", "absent").is_empty());
    let id = |answer: &Answer| answer.header("x-cos-request-id").unwrap().to_owned();
    for (line, parts) in [
        (
            line("PUT", "a b"),
            vec!["\"status\":200".into(), "\"bytes_in\":5".into()],
        ),
        (
            line("GET", "a b"),
            vec![
                "\"bytes_out\":5".into(),
                "\"bucket\":\"bucket\"".into(),
                id(&got),
            ],
        ),
        (
            line("GET", "absent"),
            vec![
                "\"status\":404".into(),
                "\"code\":\"NoSuchKey\"".into(),
                "\"client\":\"127.0.0.1:".into(),
                "\"ms\":".into(),
                id(&absent),
            ],
        ),
    ] {
        for part in parts {
            assert!(line.contains(&part), "{part} in {line}");
        }
    }
}

#[test]
fn rust_log_says_what_is_logged() {
    let server = Server::start_in(&["--log", "debug"], &[("RUST_LOG", "info,access=off")]);
    Request::new("GET", "/bucket/key").send(&server);
    assert!(server.log().contains("opened"));
    assert!(!server.log().contains("GET"), "{}", server.log());
}

/// A server whose stderr is a pipe.
struct Piped {
    process: std::process::Child,
    address: std::net::SocketAddr,
    _data: tempfile::TempDir,
}

impl Piped {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = process::command(data.path(), "127.0.0.1:0");
        let (process, address) = process::start(command.stderr(Stdio::piped()));
        Self {
            process,
            address,
            _data: data,
        }
    }

    /// Sends so many requests that their lines fill a pipe and the queue.
    fn fill(&self) {
        let mut client = Client::to(self.address);
        for _ in 0..6000 {
            client.send(Request::new("GET", "/bucket/key").bytes());
            assert_eq!(client.answer().status, 404);
        }
    }

    fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_reader_of_the_log_who_has_left_costs_no_answer() {
    let mut server = Piped::start();
    drop(server.process.stderr.take());
    server.fill();
    server.terminate();
}

#[test]
fn a_reader_of_the_log_who_sleeps_costs_no_answer_and_learns_what_was_dropped() {
    let mut server = Piped::start();
    server.fill();
    let mut log = server.process.stderr.take().unwrap();
    let mut said = String::new();
    until("the report", || {
        let mut some = [0; 8192];
        let read = log.read(&mut some).unwrap();
        said += &String::from_utf8_lossy(&some[..read]);
        said.contains("were dropped")
    });
    server.terminate();
}
