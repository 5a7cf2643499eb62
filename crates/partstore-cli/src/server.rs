//! What is asked of a running server, at its `--admin` address.

use std::path::Path;

use serde_json::Value;

use crate::args::Verify;
use crate::failure::{Done, Failure};

/// A page of another site cannot send this header unasked, so no browser asks by accident.
const HEADER: &str = "x-partstore";

/// Has the server take a backup into a directory of its machine. Returns its report.
pub fn back_up(address: &str, into: &Path, transfer: &str) -> Done<Value> {
    let Some(into) = into.to_str() else {
        return Err(Failure::Usage(format!(
            "{} is not UTF-8, so a server cannot be told of it",
            into.display()
        )));
    };
    let asked = agent().post(format!("http://{address}/backup"));
    let asked = asked.query("into", into).query("transfer", transfer);
    let sent = asked.header(HEADER, "backup").send_empty();
    read(address, sent, ("took no backup", " and --backups"))
}

/// Asks for the store in numbers.
pub fn info(address: &str) -> Done<Value> {
    let asked = agent().get(format!("http://{address}/info.json"));
    let sent = asked.header(HEADER, "info").call();
    read(address, sent, ("said nothing of its store", ""))
}

/// Has the server read everything and compare. Returns its report.
pub fn verify(address: &str, verify: &Verify) -> Done<Value> {
    let mut asked = agent().post(format!("http://{address}/verify"));
    if verify.metadata {
        asked = asked.query("scope", "metadata");
    }
    if let Some(rate) = verify.rate {
        asked = asked.query("rate", rate.to_string());
    }
    let sent = asked.header(HEADER, "verify").send_empty();
    read(address, sent, ("verified nothing", ""))
}

/// Has the server sweep. Returns its report.
pub fn sweep(address: &str) -> Done<Value> {
    let asked = agent().post(format!("http://{address}/sweep"));
    let sent = asked.header(HEADER, "sweep").send_empty();
    read(address, sent, ("swept nothing", ""))
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.build().into()
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// Reads a report, or why there is none: what was not done, and what the server needs beside `--admin`.
fn read(address: &str, sent: Sent, (undone, needs): (&str, &str)) -> Done<Value> {
    let failed = |error: ureq::Error| {
        Failure::Server(format!(
            "the server at {address} did not answer: {error}; check that it runs with --admin {address}{needs}"
        ))
    };
    let mut answer = sent.map_err(failed)?;
    let body = answer.body_mut().read_to_string().map_err(failed)?;
    if !answer.status().is_success() {
        let (status, said) = (answer.status(), body.trim());
        return Err(Failure::Server(format!(
            "the server at {address} {undone}: {status}: {said}"
        )));
    }
    serde_json::from_str(&body).map_err(|error| {
        Failure::Server(format!("the server at {address} gave no report: {error}"))
    })
}
