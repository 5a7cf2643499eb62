//! Opens the store that the command line names: in a directory, or on a database and a bucket.

use std::path::Path;
use std::time::Duration;

use partstore::Options;
use partstore_cluster::Cluster;
use partstore_tokio::{AsyncOptions, AsyncPartStore};

use crate::Failure;
use crate::admin::Told;
use crate::args::Args;

/// Threads on which calls of the store may block. Each waits for the disk or the database at times, and calls that wait
/// together share a sync.
const STORE_THREADS: usize = 64;
/// Bytes that all bodies gather, before their batches become short. Eight bodies gather freely. Thousands that are silent
/// keep that much.
const GATHERED: usize = 8 << 20;
/// Connections to the database.
const CONNECTIONS: usize = 24;

/// Opens it, and logs what opening did. `told` is told what the store does.
pub async fn open(args: &Args, told: Option<Told>) -> Result<AsyncPartStore, Failure> {
    let mut options = Options::cos()
        .headroom(args.headroom)
        .body_memory(args.body_memory)
        .max_part_size(args.max_body);
    if let Some(age) = args.expire {
        options = options.expire_uploads_after(age);
    }
    if let Some(told) = told {
        options = options.observer(told);
    }
    match (&args.data, &args.catalog, &args.blobs) {
        (_, Some(catalog), Some(blobs)) => open_cluster(args, catalog, blobs, options),
        (Some(data), ..) => open_directory(args, data, options).await,
        _ => Err("either --data, or --catalog and --blobs are needed".into()),
    }
}

/// Where the store is, for a person. An address may have a password, which is not shown.
pub fn place(args: &Args) -> String {
    match (&args.data, &args.blobs) {
        (Some(data), _) => data.display().to_string(),
        (None, Some(blobs)) => format!("a database, schema {}, and {blobs}", args.schema),
        (None, None) => String::new(),
    }
}

/// How old an append's upload is, at least, that a start may take for one which a crash has left. With a directory of
/// its own there is no other server whose append it might be.
pub fn age_of_leftovers(args: &Args) -> Duration {
    match args.catalog {
        Some(_) => Duration::from_hours(24),
        None => Duration::ZERO,
    }
}

async fn open_directory(
    args: &Args,
    data: &Path,
    mut options: Options,
) -> Result<AsyncPartStore, Failure> {
    if args.must_exist {
        options = options.must_exist();
    }
    let store = AsyncPartStore::open(data, options, threads()).await?;
    let recovery = store.recovery();
    tracing::info!(data = %data.display(), created = recovery.created, index = ?recovery.index, "opened");
    if recovery.created {
        tracing::warn!("there was no store here, so a new one was made; --must-exist refuses that");
    }
    for path in &recovery.foreign {
        tracing::warn!(path = %path.display(), "not the store's, left alone");
    }
    Ok(store)
}

fn open_cluster(
    args: &Args,
    catalog: &str,
    blobs: &str,
    options: Options,
) -> Result<AsyncPartStore, Failure> {
    let mut cluster = Cluster::new(catalog, blobs)
        .schema(&args.schema)
        .lease(args.lease)
        .keep_removed(args.keep_removed)
        .connections(CONNECTIONS)
        .create(!args.must_exist)
        .adopt_bucket(args.adopt_bucket);
    if let Some(path) = &args.catalog_ca {
        cluster = cluster.root_certificates(path);
    }
    if args.adopt_bucket {
        tracing::warn!(
            blobs,
            "this bucket becomes the store's, whatever it has; leave --adopt-bucket out next time"
        );
    }
    let store = cluster.open(options).map_err(|error| {
        let said = partstore_reports::of_cluster(&error);
        said.unwrap_or_else(|| error.one_line())
    })?;
    tracing::info!(blobs, schema = args.schema, "opened");
    Ok(AsyncPartStore::new_with(store, threads())?)
}

fn threads() -> AsyncOptions {
    AsyncOptions::new()
        .threads(STORE_THREADS)
        .gather_len(GATHERED)
}
