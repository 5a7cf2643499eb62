//! What `partstore --server` asks besides a backup: `GET /info.json`, `POST /verify` and `POST /sweep`. The answers are
//! what the command prints as JSON of a store that it has opened itself.
//!
//! Nothing here removes or changes what somebody refers to, because the admin address asks for no keys.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::http::request::Parts;
use partstore::{ListNamespaces, Namespace, PartStore, Progress, Result, Scope};
use partstore_reports::Verified;
use serde_json::Value;

use super::backup::said;
use super::guard::{self, Refusal};
use super::{Admin, Answer, answer, text};

/// The store may be told to close in the meantime.
const MOST_HELD_BACK: Duration = Duration::from_millis(200);

/// `GET /info.json`: the store in numbers, and what opening it found.
pub async fn info(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    let (place, data) = (admin.place.clone(), admin.data.clone());
    let asked = admin.ask(move |store| {
        let (stats, namespaces) = (store.stats()?, namespaces(store)?);
        let format = data.as_deref().and_then(partstore_reports::format_of);
        Ok(partstore_reports::info(
            (&place, format),
            store.recovery(),
            &stats,
            &namespaces,
        ))
    });
    match asked.await {
        Ok(info) => as_answer(&info),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

/// `POST /verify`: reads everything, or with `scope=metadata` no blob, and with `rate=N` at most so many bytes a second.
pub async fn verify(admin: &Admin, request: &Parts) -> Answer {
    let (scope, rate) = match guard::check(request).and_then(|()| scope_and_rate(request)) {
        Ok(asked) => asked,
        Err(refusal) => return refused(refusal),
    };
    let Ok(_alone) = admin.working.try_lock() else {
        return text(StatusCode::CONFLICT, "a verify or sweep is under way\n");
    };
    let began = Instant::now();
    let hold_back = move |progress: Progress| {
        let earliest = rate.map_or(0, |rate| {
            u128::from(progress.done) * 1_000_000 / u128::from(rate)
        });
        let early = earliest.saturating_sub(began.elapsed().as_micros());
        let early = Duration::from_micros(u64::try_from(early).unwrap_or(u64::MAX));
        thread::sleep(early.min(MOST_HELD_BACK));
        ControlFlow::Continue(())
    };
    let asked = admin.store.verify_with(scope, hold_back).await;
    of_report(asked.map(|report| {
        let mut verified = Verified::default();
        verified.add(&report);
        verified.as_json(report.cut_short)
    }))
}

/// `POST /sweep`: removes the bytes of blobs that nothing refers to.
pub async fn sweep(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    let Ok(_alone) = admin.working.try_lock() else {
        return text(StatusCode::CONFLICT, "a verify or sweep is under way\n");
    };
    let asked = admin.store.sweep().await;
    of_report(asked.map(|report| partstore_reports::sweep(&report)))
}

fn scope_and_rate(request: &Parts) -> std::result::Result<(Scope, Option<u64>), Refusal> {
    let (mut scope, mut rate) = (Scope::Everything, None);
    let query = request.uri.query().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("scope", "everything")) => scope = Scope::Everything,
            Some(("scope", "metadata")) => scope = Scope::Metadata,
            Some(("rate", bytes)) if bytes.parse().is_ok_and(|rate: u64| rate > 0) => {
                rate = bytes.parse().ok();
            }
            _ => {
                let why = "only scope=everything or metadata, and rate=BYTES_PER_SECOND";
                return Err((StatusCode::BAD_REQUEST, why.to_owned()));
            }
        }
    }
    Ok((scope, rate))
}

fn refused((status, why): Refusal) -> Answer {
    text(status, format!("{why}\n"))
}

fn of_report(report: Result<Value>) -> Answer {
    match report {
        Ok(report) => as_answer(&report),
        Err(error) => {
            let said = said(&error);
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{said}\n"))
        }
    }
}

fn as_answer(value: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", value.to_string())
}

/// All of them, after the default one.
fn namespaces(store: &PartStore) -> Result<Vec<Namespace>> {
    let mut found = vec![store.namespace("")?];
    let mut query = ListNamespaces::new();
    loop {
        let page = store.list_namespaces(&query)?;
        found.extend(page.namespaces);
        match page.next {
            Some(next) => query = ListNamespaces::new().after(next),
            None => return Ok(found),
        }
    }
}
