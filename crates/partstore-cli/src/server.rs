//! [`Server`]: what is asked of a running server, at its `--admin` address.

use std::path::Path;

use partstore::ContentHash;
use partstore_reports::{Kind, Listing, Page, Refusal};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Response, StatusCode, header::CONTENT_TYPE};

use crate::args::Verify;
use crate::failure::{Done, Failure};

/// A page of another site cannot send this header unasked, so no browser asks by accident.
const HEADER: &str = "x-partstore";
/// The longest report that is read, bytes. The longest page of a listing is below 8 MiB.
const LONGEST: u64 = 1 << 30;

/// A running server.
pub struct Server<'a> {
    address: &'a str,
    agent: ureq::Agent,
}

/// What is asked: what was not done if there is no answer, and what the server needs for it beside `--admin`.
#[derive(Clone, Copy)]
struct Asked<'a> {
    path: &'a str,
    undone: &'a str,
    needs: &'a str,
}

impl<'a> Server<'a> {
    pub fn at(address: &'a str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The address is one of this network.
            .proxy(None);
        let agent = config.build().into();
        Self { address, agent }
    }

    /// Has it take a backup into a directory of its machine. Returns its report.
    pub fn back_up(&self, into: &Path, transfer: &str) -> Done<Value> {
        let Some(into) = into.to_str() else {
            return Err(Failure::Usage(format!(
                "{} is not UTF-8, so a server cannot be told of it",
                into.display()
            )));
        };
        let asked = Asked {
            path: "/backup",
            undone: "took no backup",
            needs: " and --backups",
        };
        self.post(asked, &[("into", into), ("transfer", transfer)])
    }

    /// Asks for the store in numbers.
    pub fn info(&self) -> Done<Value> {
        self.get("/info.json", "said nothing of its store", "")
    }

    /// Has it read everything and compare. Returns its report.
    pub fn verify(&self, verify: &Verify) -> Done<Value> {
        let asked = Asked {
            path: "/verify",
            undone: "verified nothing",
            needs: "",
        };
        let rate = verify.rate.map(|rate| rate.to_string());
        let mut query = Vec::new();
        if verify.metadata {
            query.push(("scope", "metadata"));
        }
        if let Some(rate) = &rate {
            query.push(("rate", rate));
        }
        self.post(asked, &query)
    }

    /// Has it sweep. Returns its report.
    pub fn sweep(&self) -> Done<Value> {
        let asked = Asked {
            path: "/sweep",
            undone: "swept nothing",
            needs: "",
        };
        self.post(asked, &[])
    }

    /// Asks for a page of a listing.
    pub fn list(&self, listing: &Listing) -> Done<Page> {
        let query = listing.to_query();
        let query = query.map_err(|error| Failure::Usage(error.to_string()))?;
        self.get("/ls.json", "listed nothing", &query)
    }

    /// Asks where the bytes of a hash are.
    pub fn locate(&self, hash: &ContentHash) -> Done<Value> {
        self.get("/where.json", "searched nothing", &format!("hash={hash}"))
    }

    fn get<T: DeserializeOwned>(&self, path: &str, undone: &str, query: &str) -> Done<T> {
        let asked = Asked {
            path,
            undone,
            needs: "",
        };
        let url = format!("http://{}{path}?{query}", self.address);
        let sent = self.agent.get(url).header(HEADER, "yes").call();
        self.read(asked, sent)
    }

    fn post(&self, asked: Asked<'_>, query: &[(&str, &str)]) -> Done<Value> {
        let url = format!("http://{}{}", self.address, asked.path);
        let request = self.agent.post(url).query_pairs(query.iter().copied());
        self.read(asked, request.header(HEADER, "yes").send_empty())
    }

    /// Reads a report, or why there is none.
    fn read<T: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        sent: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Done<T> {
        let (address, needs) = (self.address, asked.needs);
        let failed = |error: ureq::Error| {
            Failure::Server(format!(
                "the server at {address} did not answer: {error}; check that it runs with --admin {address}{needs}"
            ))
        };
        let mut answer = sent.map_err(failed)?;
        let body = answer.body_mut().with_config().limit(LONGEST);
        let body = body.read_to_string().map_err(failed)?;
        if !answer.status().is_success() {
            return Err(self.refused(asked, &answer, &body));
        }
        serde_json::from_str(&body).map_err(|error| {
            Failure::Server(format!(
                "the server at {address} gave no report: {error}; check that it has this address as --admin, and is of this version"
            ))
        })
    }

    /// What the store says is said as if this process had opened it.
    fn refused(&self, asked: Asked<'_>, answer: &Response<ureq::Body>, body: &str) -> Failure {
        let (address, undone) = (self.address, asked.undone);
        if let Ok(Refusal { error, kind }) = serde_json::from_str(body) {
            return match kind {
                Kind::Argument => Failure::Usage(error),
                Kind::Missing => Failure::Missing(error),
                Kind::Damaged => Failure::Damage(error),
                Kind::Unavailable => Failure::Unavailable(error),
                Kind::Other => Failure::Server(error),
            };
        }
        let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE));
        let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
        let said = body.trim().lines().next().unwrap_or_default();
        Failure::Server(match status {
            _ if !is_text => format!(
                "what answers at {address} is no admin address of a server: {status}; name the one that it has as --admin"
            ),
            StatusCode::NOT_FOUND if said.contains("/health") => format!(
                "the server at {address} {undone}: it is of another version, and has no {}",
                asked.path
            ),
            _ => format!("the server at {address} {undone}: {status}: {said}"),
        })
    }
}
