//! What `partstore --server` asks besides a backup: `GET /info.json`, `/ls.json` and `/where.json`, `POST /verify` and
//! `/sweep`. The answers are what the command prints as JSON of a store that it has opened itself.
//!
//! Nothing here removes or changes what somebody refers to, and nothing gives bytes of an object, because the admin address
//! asks for no keys. What takes long ends soon after its client has left.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::http::request::Parts;
use partstore::{PartStore, Progress, Result, Scope};
use partstore_reports::{Kind, Listing, Verified};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::backup::said;
use super::guard::{self, Refusal};
use super::{Admin, Answer, answer, text};

/// How soon what waits sees that its client has left.
const STEP: Duration = Duration::from_millis(200);

/// `GET /info.json`: the store in numbers, and what opening it found.
pub async fn info(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    let (place, data) = (admin.place.clone(), admin.data.clone());
    let asked = admin.ask(move |store| {
        let (stats, namespaces) = (store.stats()?, partstore_reports::namespaces(store)?);
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
    let alone = match alone(&admin.working, "a verify or sweep is under way") {
        Ok(alone) => alone,
        Err(refusal) => return refused(refusal),
    };
    tracing::info!(?scope, rate, "a verify begins");
    let (began, left) = (Instant::now(), CancellationToken::new());
    let _awaited = left.clone().drop_guard();
    let hold_back = move |progress: Progress| {
        // Until the end of the call, which may come after that of its future.
        let _ = &alone;
        hold_back(progress.done, rate, began, &left)
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
    let alone = match alone(&admin.working, "a verify or sweep is under way") {
        Ok(alone) => alone,
        Err(refusal) => return refused(refusal),
    };
    let going = move |_| {
        let _ = &alone;
        ControlFlow::Continue(())
    };
    let asked = admin.store.sweep_with(going).await;
    of_report(asked.map(|report| partstore_reports::sweep(&report)))
}

/// `GET /ls.json`: a page of a listing. Its query is a [`Listing`].
pub async fn list(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    match Listing::of_query(request.uri.query().unwrap_or_default()) {
        Ok(listing) => of_question(&admin.store.run(move |store| listing.page(store)).await),
        Err(error) => refused((StatusCode::BAD_REQUEST, error.to_string())),
    }
}

/// `GET /where.json?hash=HEX`: where the bytes of a hash are, and which parts have them.
pub async fn locate(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    let asked = request.uri.query().and_then(|it| it.strip_prefix("hash="));
    let Some(hash) = asked.and_then(partstore_reports::parse_hash) else {
        return refused((StatusCode::BAD_REQUEST, "only hash=HEX_OF_BLAKE3".into()));
    };
    // It looks at all parts.
    let alone = match alone(&admin.searching, "a search for a blob is under way") {
        Ok(alone) => alone,
        Err(refusal) => return refused(refusal),
    };
    let (at, left) = (admin.at.clone(), CancellationToken::new());
    let _awaited = left.clone().drop_guard();
    let search = move |store: &PartStore| {
        let _alone = alone;
        partstore_reports::whereabouts(store, at.borrow(), &hash, &|| !left.is_cancelled())
    };
    of_question(&admin.store.run(search).await)
}

/// What may run only once at a time.
fn alone(
    one: &Arc<Mutex<()>>,
    under_way: &str,
) -> std::result::Result<OwnedMutexGuard<()>, Refusal> {
    let alone = Arc::clone(one).try_lock_owned();
    alone.map_err(|_| (StatusCode::CONFLICT, under_way.to_owned()))
}

/// Sleeps until so many bytes may have been read, or the client has left.
fn hold_back(
    done: u64,
    rate: Option<u64>,
    began: Instant,
    left: &CancellationToken,
) -> ControlFlow<()> {
    let pause = || rate.map(|rate| partstore_reports::pause(done, rate, began.elapsed()));
    while let Some(pause) = pause().filter(|pause| !pause.is_zero()) {
        if left.is_cancelled() {
            return ControlFlow::Break(());
        }
        thread::sleep(pause.min(STEP));
    }
    ControlFlow::Continue(())
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

/// What the store says of a question, so that the command can say it as if it had asked the store itself.
fn of_question(said: &Result<impl Serialize>) -> Answer {
    let (status, json) = match said {
        Ok(said) => (StatusCode::OK, serde_json::to_vec(said)),
        Err(error) => {
            let refusal = partstore_reports::Refusal::new(error);
            let status = match refusal.kind {
                Kind::Argument => StatusCode::BAD_REQUEST,
                Kind::Missing => StatusCode::NOT_FOUND,
                Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Kind::Damaged | Kind::Other => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, serde_json::to_vec(&refusal))
        }
    };
    match json {
        Ok(json) => answer(status, "application/json", json),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn as_answer(value: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verify_waits_until_its_rate_allows_more_or_its_client_has_left() {
        let (now, left) = (Instant::now(), CancellationToken::new());
        assert!(hold_back(u64::MAX, None, now, &left).is_continue());
        assert!(hold_back(0, Some(1), now, &left).is_continue());
        let slow = {
            let left = left.clone();
            thread::spawn(move || hold_back(1 << 40, Some(1), now, &left))
        };
        left.cancel();
        assert!(slow.join().unwrap().is_break());
        // What is allowed goes on.
        let ago = now.checked_sub(Duration::from_secs(1)).unwrap();
        assert!(hold_back(1000, Some(1000), ago, &left).is_continue());
    }
}
