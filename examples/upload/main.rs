//! Uploads a real file in parts, the way a storage server would, and checks that it comes back.
//!
//! The file is cut into parts, which several threads put in shuffled order. One part is replaced. One
//! body is refused because it does not have its `Content-MD5`. Half-way the store is closed and opened
//! again, and the rest is resumed from what the store lists. Then the upload is completed, and the
//! object is read back and compared with the file.
//!
//! ```sh
//! cargo run --release --example upload -- FILE
//! ```
//!
//! The exit status is 0 only if the object has the bytes of the file.

mod args;
mod client;
mod place;
mod show;
mod source;
mod table;

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use partstore::{Object, PartNumber, PartStore};

use args::Args;
use client::{Client, shuffled};
use place::Place;
use show::Progress;
use source::Source;
use table::Outcome;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upload: {}", show::in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // Its errors print their causes themselves.
    let Some(args) = Args::parse().map_err(|error| error.to_string())? else {
        println!("{}", args::HELP);
        return Ok(());
    };
    let progress = Progress::new();
    let source = match &args.file {
        Some(path) => Source::open(path, args.part_size)?,
        None => Source::make(args.part_size, &progress)?,
    };
    let place = Place::choose(&args)?;
    let outcome = upload(&args, &source, &place.store, &progress)?;
    progress.clear();
    outcome.print(&place.store, place.fate);
    Ok(())
}

/// The whole job, from opening the store to an object that was read back.
fn upload(args: &Args, source: &Source, dir: &Path, progress: &Progress) -> Result<Outcome> {
    let numbers = shuffled(&source.numbers()?);
    let (now, later) = numbers.split_at(numbers.len().div_ceil(2));

    let store = PartStore::open(dir)?;
    let bytes_before = bytes_on_disk(&store)?;
    let upload = store.initiate_upload(&source.key)?;
    progress.say(format_args!("initiated {} {}", upload.key(), upload.id()));
    let client = |store| Client {
        store,
        upload: &upload,
        source,
        threads: args.threads,
        progress,
    };
    progress.begin("putting", source.size);
    let ((), first_half) = timed(|| client(&store).put_all(now))?;
    progress.say(format_args!("put {} of {} parts", now.len(), numbers.len()));
    change_one(&client(&store), now)?;
    store.close()?;

    // From here on only the upload is known, as in another process.
    let store = PartStore::open(dir)?;
    let recovery = store.recovery().clone();
    let missing = client(&store).missing(&numbers)?;
    progress.say(format_args!(
        "reopened; {} parts are missing",
        missing.len()
    ));
    if missing != later {
        return Err("the store lists other parts than it acknowledged".into());
    }
    let ((), second_half) = timed(|| client(&store).put_all(&missing))?;
    let object = client(&store).complete()?;
    progress.say(format_args!("completed {}", object.upload.key()));
    let (digest, read_time) = timed(|| read_back(&store, &object, progress))?;
    if digest != digest_of(&mut source.whole())? {
        return Err("the object does not have the bytes of the file".into());
    }
    let stored_bytes = bytes_on_disk(&store)?.saturating_sub(bytes_before);
    store.close()?;
    Ok(Outcome {
        object,
        stored_bytes,
        put_time: first_half + second_half,
        read_time,
        digest,
        recovery,
    })
}

/// Replaces one of the stored parts, and sends a damaged body for it.
fn change_one(client: &Client<'_>, there: &[PartNumber]) -> Result<()> {
    let number = there.first().copied().unwrap_or(PartNumber::MIN);
    let [other, again] = client.replace(number)?;
    let (was, is) = (other.etag, again.etag);
    client.progress.say(format_args!(
        "replaced part {number}: ETag {was}, then {is}"
    ));
    let refusal = client.send_damaged(number)?;
    let (status, code) = (refusal.http_status(), refusal.code());
    client.progress.say(format_args!(
        "a damaged part {number} got {status} {code}; the part is as it was"
    ));
    Ok(())
}

/// Reads the whole object. Every block is checked before the reader gives it out.
fn read_back(store: &PartStore, object: &Object, progress: &Progress) -> Result<blake3::Hash> {
    progress.begin("reading back", object.size);
    let reader = store.open_object(&object.upload)?;
    digest_of(&mut progress.reads(reader))
}

fn digest_of(reader: &mut dyn Read) -> Result<blake3::Hash> {
    Ok(blake3::Hasher::new().update_reader(reader)?.finalize())
}

/// Bytes of all blobs that something refers to.
fn bytes_on_disk(store: &PartStore) -> Result<u64> {
    store.sweep()?;
    Ok(store.stats()?.blob_bytes)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed()))
}
