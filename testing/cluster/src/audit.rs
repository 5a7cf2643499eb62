//! What is left of a store when all its servers are dead: read once more, verified, swept, and emptied.

use std::collections::BTreeSet;
use std::time::Duration;

use partstore::{PartStore, Scope};

use crate::log::Log;
use crate::server::{Client, Job, Place, name};
use crate::sql;

/// Reads all that is left into the log of the job, so that the history has to explain it. Then removes it.
/// Answers what is wrong.
pub fn audit(job: &Job) -> Vec<String> {
    let place = &job.place;
    forget_the_dead(place);
    let store = match place.open() {
        Ok(store) => store,
        Err(error) => return vec![format!("the store does not open: {error}")],
    };
    let mut wrong = sweep(place, &store);
    let log = Log::create(&job.log);
    let client = Client::new(job, &store, &log, 0);
    for (upload, _) in (0..).zip(&job.uploads) {
        if client.list(upload).is_some() {
            client.read_parts(upload);
        }
    }
    let keys = (0..job.uploads.len() as u64).map(crate::history::key_of);
    let keys: BTreeSet<_> = keys.collect();
    for key in &keys {
        client.read_key(*key);
    }
    wrong.extend(untidy(place, &store));
    for upload in &job.uploads {
        let _ = store.abort_upload(upload);
    }
    for key in keys {
        let _ = store.remove_key(name(key).as_str(), partstore::Condition::Always);
    }
    wrong.extend(sweep(place, &store));
    wrong.extend(untidy(place, &store));
    let left = files(place);
    if !left.is_empty() {
        wrong.push(format!("the empty store has {} files", left.len()));
    }
    let closed = store.close().err();
    wrong.extend(closed.map(|error| format!("the store does not close: {error}")));
    wrong
}

/// As if the leases of killed servers were over.
fn forget_the_dead(place: &Place) {
    let over = "UPDATE ps.sessions SET expires = now() - interval '1 second'";
    sql::run(&place.database, &place.schema, over).unwrap();
}

/// Sweeps until nothing is left to do. What killed servers had taken is waited for as if a minute had passed.
fn sweep(place: &Place, store: &PartStore) -> Vec<String> {
    for _ in 0..3 {
        if let Err(error) = store.sweep() {
            return vec![format!("the sweep fails: {error}")];
        }
        let passed = "UPDATE ps.doomed SET again = now() - interval '1 second' WHERE again < now() + interval '1 hour'";
        sql::run(&place.database, &place.schema, passed).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    Vec::new()
}

/// What does not agree: rows with each other, rows with files, and what no sweep will ever find.
fn untidy(place: &Place, store: &PartStore) -> Vec<String> {
    let mut wrong = Vec::new();
    match store.verify(Scope::Everything) {
        Ok(report) if report.is_clean() => {}
        Ok(report) => wrong.push(format!("{report:?}")),
        Err(error) => wrong.push(format!("verify fails: {error}")),
    }
    let count = |what: &str, query: &str| {
        let rows = sql::query(&place.database, &place.schema, query);
        let count: i64 = rows[0].get(0);
        (count > 0).then(|| format!("{count} {what}"))
    };
    wrong.extend(count("rows of garbage", "SELECT count(*) FROM ps.garbage"));
    wrong.extend(count(
        "blobs that are damaged",
        "SELECT count(*) FROM ps.blobs WHERE damaged",
    ));
    // The second pass over names that may be written late comes a day later.
    wrong.extend(count("doomed names", "SELECT count(*) FROM ps.doomed WHERE late OR again IS NULL OR again < now() + interval '1 hour'"));
    wrong.extend(count(
        "sessions too many",
        "SELECT count(*) - 1 FROM ps.sessions",
    ));
    wrong.extend(count(
        "keys without object",
        "SELECT count(*) FROM ps.keys WHERE object IS NULL",
    ));
    wrong.extend(count("parts of no upload", "SELECT count(*) FROM ps.parts p WHERE NOT EXISTS (SELECT 1 FROM ps.uploads WHERE id = p.upload)"));
    wrong.extend(count("parts of no blob", "SELECT count(*) FROM ps.parts p WHERE NOT EXISTS (SELECT 1 FROM ps.blobs WHERE content = p.content)"));
    let named = sql::query(&place.database, &place.schema, "SELECT name FROM ps.blobs");
    let named: BTreeSet<_> = named.iter().map(|row| text_of(row.get(0))).collect();
    let found = files(place);
    let (lost, leaked) = (
        named.difference(&found).count(),
        found.difference(&named).count(),
    );
    if lost + leaked > 0 {
        wrong.push(format!(
            "{lost} blobs have no file, and {leaked} files have no blob"
        ));
    }
    wrong
}

/// The name of a file, as the store makes it of a name.
fn text_of(name: &[u8]) -> String {
    format!("{}-{}", hex::encode(&name[..8]), hex::encode(&name[8..]))
}

fn files(place: &Place) -> BTreeSet<String> {
    let names = place.blob_files().into_iter();
    names
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}
