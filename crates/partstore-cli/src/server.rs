//! What is asked of a running server, at its `--admin` address.

use std::path::Path;

use serde_json::Value;

use crate::failure::{Done, Failure};

/// A page of another site cannot send this header unasked, so no browser takes backups by accident.
const HEADER: &str = "x-partstore";

/// Has the server take a backup into a directory of its machine. Returns its report.
pub fn back_up(address: &str, into: &Path, transfer: &str) -> Done<Value> {
    let Some(into) = into.to_str() else {
        return Err(Failure::Usage(format!(
            "{} is not UTF-8, so a server cannot be told of it",
            into.display()
        )));
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let sent = agent
        .post(format!("http://{address}/backup"))
        .query("into", into)
        .query("transfer", transfer)
        .header(HEADER, "backup")
        .send_empty();
    let failed = |error: ureq::Error| {
        Failure::Server(format!(
            "the server at {address} did not answer: {error}; check that it runs with --admin {address} and --backups"
        ))
    };
    let mut answer = sent.map_err(failed)?;
    let body = answer.body_mut().read_to_string().map_err(failed)?;
    if !answer.status().is_success() {
        let (status, said) = (answer.status(), body.trim());
        return Err(Failure::Server(format!(
            "the server at {address} took no backup: {status}: {said}"
        )));
    }
    serde_json::from_str(&body).map_err(|error| {
        Failure::Server(format!("the server at {address} gave no report: {error}"))
    })
}
