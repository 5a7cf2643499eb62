//! What `partstore --server` asks is asked by no browser: neither by a page of another site, nor by one whose name has
//! been made to lead here.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use hyper::header::HOST;
use hyper::http::request::Parts;

/// A page of another site cannot send this header unasked.
const HEADER: &str = "x-partstore";

/// The status, and why.
pub type Refusal = (StatusCode, String);

pub fn check(request: &Parts) -> Result<(), Refusal> {
    let refuse = |why: &str| Err((StatusCode::FORBIDDEN, why.to_owned()));
    if !request.headers.contains_key(HEADER) {
        return refuse("the header x-partstore is missing");
    }
    if !is_addressed(request) {
        return refuse("the Host must be an IP address or localhost");
    }
    Ok(())
}

/// Whether the client has named an address. A page of another site, whose name has been made to lead here, has not.
fn is_addressed(request: &Parts) -> bool {
    let host = request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    host.is_some_and(|host| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        name == "localhost" || host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
    })
}
