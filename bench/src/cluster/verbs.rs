//! How long single verbs take, and how many transactions each of them is.

use std::time::Instant;

use partstore::{CompletedPart, ListParts, PartNumber, PartStore, Result, Upload};
use partstore_bench::bodies::body;
use partstore_bench::{at_once, median};

use super::postgres::Postgres;
use super::{Clustered, Report, Schema, open};

const PARTS: u32 = 10_000;
const PUTTERS: u32 = 16;
/// Calls whose transactions are counted together.
const CALLS: u32 = 100;

pub fn measure(clustered: &Clustered, postgres: &Postgres, report: &Report) -> Result<()> {
    let mut times = [const { Vec::new() }; 6];
    for _ in 0..clustered.load.rounds {
        for (all, took) in times.iter_mut().zip(once(clustered, postgres)?) {
            all.push(took * 1e3);
        }
    }
    let names = [
        "`open` of a store that is there",
        "`list_parts`, a page of 1,000",
        "`complete_upload` of 10,000 parts",
        "the same completion again",
        "`remove_object` of 10,000 parts",
        "`sweep` of 10,000 blobs",
    ];
    for (name, times) in names.into_iter().zip(times) {
        report.say(name, format!("{:.1} ms", median(times)));
    }
    count(clustered, postgres, report)
}

/// Seconds that each of the verbs took.
fn once(clustered: &Clustered, postgres: &Postgres) -> Result<[f64; 6]> {
    let (schema, dir) = (Schema::fresh(postgres), clustered.directory());
    let cluster = schema.in_directory(dir.path());
    open(&cluster)?.close()?;
    let (store, opened) = timed(|| open(&cluster))?;
    let upload = store.initiate_upload("key")?;
    at_once(PUTTERS, |thread| put_some(&store, &upload, thread + 1))?;
    let mut pages = Vec::new();
    for after in (0..PARTS).step_by(1000).skip(1) {
        let query = ListParts::new().marker(after).limit(1000);
        let (page, took) = timed(|| store.list_parts(&upload, &query))?;
        assert_eq!(page.parts.len(), 1000);
        pages.push(took);
    }
    let parts = all(&store, &upload)?;
    let (_, completed) = timed(|| store.complete_upload(&upload, &parts))?;
    let (_, again) = timed(|| store.complete_upload(&upload, &parts))?;
    let ((), removed) = timed(|| store.remove_object(&upload))?;
    let (_, swept) = timed(|| store.sweep())?;
    store.close()?;
    Ok([opened, median(pages), completed, again, removed, swept])
}

fn put_some(store: &PartStore, upload: &Upload, first: u32) -> Result<()> {
    for number in (first..=PARTS).step_by(PUTTERS as usize) {
        store.put_part(upload, PartNumber::new(number)?, body(64, number.into()))?;
    }
    Ok(())
}

/// What a client says of the parts that it completes.
fn all(store: &PartStore, upload: &Upload) -> Result<Vec<CompletedPart>> {
    let (mut all, mut query) = (Vec::new(), ListParts::new().limit(1000));
    loop {
        let page = store.list_parts(upload, &query)?;
        all.extend(page.parts.iter().map(CompletedPart::from));
        let Some(next) = page.next else {
            return Ok(all);
        };
        query = ListParts::new().marker(next.get().into()).limit(1000);
    }
}

/// Transactions of each verb, by the database's own count. One call is one statement, so one round trip, too.
fn count(clustered: &Clustered, postgres: &Postgres, report: &Report) -> Result<()> {
    let (schema, dir) = (Schema::fresh(postgres), clustered.directory());
    let cluster = schema.in_directory(dir.path());
    let counted = |call: &dyn Fn(&PartStore, u32) -> Result<()>| -> Result<f64> {
        let before = transactions(postgres);
        let store = open(&cluster)?;
        for at in 0..CALLS {
            call(&store, at)?;
        }
        store.close()?;
        Ok(transactions(postgres) - before)
    };
    open(&cluster)?.close()?;
    let none = counted(&|_, _| Ok(()))?;
    let say = |name: &str, all: f64| {
        let each = (all - none) / f64::from(CALLS);
        report.say(&format!("transactions of {name}"), format!("{each:.2}"));
    };
    let store = open(&cluster)?;
    let upload = store.initiate_upload("key")?;
    let number = |at| PartNumber::new(at + 1);
    let initiated = counted(&|store, at| store.initiate_upload(format!("{at}")).map(drop))?;
    say("`initiate_upload`", initiated);
    let put = |seed: u32| {
        let upload = &upload;
        move |store: &PartStore, at: u32| {
            let body = body(64, (seed + at).into());
            store.put_part(upload, number(at)?, body).map(drop)
        }
    };
    say("`put_part` of new bytes", counted(&put(0))?);
    say("`put_part` of bytes that are stored", counted(&put(0))?);
    let list = |store: &PartStore, _| store.list_parts(&upload, &ListParts::new()).map(drop);
    say("`list_parts`", counted(&list)?);
    let whole = counted(&|store, at| whole_upload(store, at, true))?;
    let without = counted(&|store, at| whole_upload(store, at, false))?;
    say("`complete_upload`", none + whole - without);
    store.close()
}

fn whole_upload(store: &PartStore, at: u32, completes: bool) -> Result<()> {
    let upload = store.initiate_upload(format!("whole {at}"))?;
    let part = store.put_part(
        &upload,
        PartNumber::new(1)?,
        body(64, (at + 1_000_000).into()),
    )?;
    if completes {
        store.complete_upload(&upload, &[CompletedPart::from(&part)])?;
    }
    Ok(())
}

/// A connection that ends hands its count in.
fn transactions(postgres: &Postgres) -> f64 {
    std::thread::sleep(std::time::Duration::from_millis(500));
    postgres.number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
}

fn timed<T>(call: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let began = Instant::now();
    let answer = call()?;
    Ok((answer, began.elapsed().as_secs_f64()))
}
