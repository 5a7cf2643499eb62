//! Opens the store: never makes one by accident, and never changes what its server relies on.

use std::env;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use partstore::{Background, Error, Options, PartStore};
use partstore_cluster::Cluster;

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::interrupt;

/// The format that this program makes of older ones.
const NEWEST_FORMAT: u32 = 4;
/// Connections to a cluster's database.
const CONNECTIONS: usize = 6;

/// The store that the command line names.
#[derive(Clone, Copy)]
pub enum Named<'a> {
    Directory(&'a Path),
    Cluster {
        catalog: &'a str,
        blobs: &'a str,
        place: &'a Place,
    },
}

/// Without a password.
impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Cluster { blobs, place, .. } => {
                write!(f, "a database, schema {}, and {blobs}", place.schema)
            }
        }
    }
}

impl Named<'_> {
    /// A text that is the same wherever the command runs.
    pub fn whole(&self) -> String {
        match self {
            Self::Directory(path) => {
                // What is restored under the same name is another directory.
                let number = fs::metadata(path).map_or(0, |found| found.ino());
                let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
                format!("{}, inode {number}", path.display())
            }
            Self::Cluster { catalog, .. } => format!("{self}, {}", without_password(catalog)),
        }
    }

    /// Its format, if it is a directory and that can be told.
    pub fn format(&self) -> Option<u32> {
        match self {
            Self::Directory(path) => partstore_reports::format_of(path),
            Self::Cluster { .. } => None,
        }
    }
}

/// The host and the name of a database, of either form of its address.
fn without_password(catalog: &str) -> String {
    if let Some((_, host)) = catalog.rsplit_once('@') {
        return host.to_owned();
    }
    let words = catalog.split_whitespace();
    let words = words.filter(|word| !word.starts_with("password"));
    words.collect::<Vec<_>>().join(" ")
}

pub fn named(place: &Place) -> Done<Named<'_>> {
    let usage = |line: &str| Err(Failure::Usage(line.into()));
    match (&place.store, &place.catalog, &place.blobs) {
        (Some(_), Some(_), _) => usage(
            "a directory and a database are named; name one of them, or unset PARTSTORE_STORE or PARTSTORE_CATALOG",
        ),
        (Some(path), None, _) => Ok(Named::Directory(path)),
        (None, Some(catalog), Some(blobs)) => Ok(Named::Cluster {
            catalog,
            blobs,
            place,
        }),
        (None, Some(_), None) => {
            usage("a database is named, and no bucket; say --blobs ADDRESS, or set PARTSTORE_BLOBS")
        }
        (None, None, _) => usage(
            "no store is named; say --store DIR, or set PARTSTORE_STORE; a cluster has --catalog and --blobs",
        ),
    }
}

/// The directory of the store, for what a cluster has no part of.
pub fn directory(place: &Place) -> Done<&Path> {
    match named(place)? {
        Named::Directory(path) => Ok(path),
        Named::Cluster { .. } => Err(Failure::Usage(
            "this works on the directory of a store; a cluster is kept safe by its database's backups and its bucket's \
             versions, and `partstore reconcile` and `partstore verify` say what a restore lacks"
                .into(),
        )),
    }
}

/// Refuses `--read-only` of what changes something, or is no directory.
pub fn refuse_read_only(place: &Place, line: &str) -> Done {
    if place.read_only {
        return Err(Failure::Usage(line.into()));
    }
    Ok(())
}

const CHANGES: &str = "this command changes the store; leave --read-only out";
const NO_DIRECTORY: &str =
    "--read-only is for a directory; of a cluster, what does not change it needs no such thing";

/// Opens the store. If `create`, one is made where none exists.
pub fn open(place: &Place, create: bool) -> Done<PartStore> {
    match named(place)? {
        Named::Directory(path) => open_directory(place, path, create),
        cluster @ Named::Cluster { .. } => {
            refuse_read_only(place, NO_DIRECTORY)?;
            let cluster = addressed(&cluster)?.create(create);
            cluster.open(options()).map_err(of_cluster)
        }
    }
}

/// Opens the store to remove what nothing refers to. The servers of a cluster may leave that for some time, which only
/// they know.
pub fn open_to_sweep(place: &Place, keep_removed: Option<Duration>) -> Done<PartStore> {
    refuse_read_only(place, CHANGES)?;
    match (named(place)?, keep_removed) {
        (Named::Directory(path), None) => open_directory(place, path, false),
        (Named::Directory(_), Some(_)) => Err(Failure::Usage(
            "--keep-removed is for a cluster; a directory keeps nothing that was removed".into(),
        )),
        (Named::Cluster { .. }, None) => Err(Failure::Usage(
            "say --keep-removed as the servers of the cluster have it: 0s, if they have none"
                .into(),
        )),
        (cluster, Some(keep)) => {
            let cluster = addressed(&cluster)?.create(false).keep_removed(keep);
            cluster.open(options()).map_err(of_cluster)
        }
    }
}

/// Opens the cluster that the command line names, for more than one thing at a time.
pub fn open_cluster(
    place: &Place,
    create: bool,
    connections: usize,
    options: Options,
) -> Done<PartStore> {
    let cluster = cluster(place)?.create(create);
    let opened = cluster.connections(connections).open(options);
    opened.map_err(of_cluster)
}

/// The cluster that the command line names.
pub fn cluster(place: &Place) -> Done<Cluster> {
    if place.store.is_none() && place.catalog.is_none() {
        return Err(no_cluster());
    }
    Ok(addressed(&named(place)?)?.create(false))
}

fn no_cluster() -> Failure {
    let line = "this works on a cluster; say --catalog and --blobs, or set PARTSTORE_CATALOG and PARTSTORE_BLOBS";
    Failure::Usage(line.into())
}

fn addressed(named: &Named<'_>) -> Done<Cluster> {
    let Named::Cluster {
        catalog,
        blobs,
        place,
    } = named
    else {
        return Err(no_cluster());
    };
    // This one works on one thing at a time, and the database has few connections to give.
    let cluster = Cluster::new(catalog, blobs)
        .schema(&place.schema)
        .connections(CONNECTIONS);
    Ok(match &place.catalog_ca {
        Some(path) => cluster.root_certificates(path),
        None => cluster,
    })
}

/// What the library says of directories does not help here.
pub fn of_cluster(error: Error) -> Failure {
    match (partstore_reports::of_cluster(&error), &error) {
        (Some(line), Error::Io { source, .. }) => match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Failure::Permission(line)
            }
            _ => Failure::Incomplete(line),
        },
        (Some(line), _) => Failure::Refused(line),
        (None, _) => error.into(),
    }
}

/// Opens the store in a directory.
pub fn open_directory(place: &Place, path: &Path, create: bool) -> Done<PartStore> {
    if place.read_only {
        return Ok(options().read_only(scratch()?).open(path)?);
    }
    check(place, path)?;
    let options = if create {
        options()
    } else {
        options().must_exist()
    };
    Ok(options.open(path)?)
}

/// A directory for what is made meanwhile, which goes when this process ends.
fn scratch() -> Done<PathBuf> {
    let below = match env::var_os("TMPDIR") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => PathBuf::from("/tmp"),
    };
    let path = below.join(format!("partstore-reads-{}", process::id()));
    // It is noted first: a signal may come at any moment.
    interrupt::half_made(&path);
    let made = DirBuilder::new().mode(0o700).create(&path);
    made.map_err(Failure::file("make", &path))?;
    Ok(path)
}

/// What a server's store allows, this allows, too. Each command does its housekeeping itself.
pub fn options() -> Options {
    Options::s3().background(Background::Host)
}

/// Refuses what opening would change without a word: the format, and the owner of files.
pub fn check(place: &Place, path: &Path) -> Done {
    refuse_read_only(place, CHANGES)?;
    if !place.as_root {
        check_owner(path)?;
    }
    match partstore_reports::format_of(path) {
        Some(format) if format < NEWEST_FORMAT && !place.upgrade => {
            Err(Failure::OlderFormat(format!(
                "the store at {} has format {format}, and opening it makes it one of format {NEWEST_FORMAT}, which older servers refuse; \
                 say --upgrade if its server is new enough",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Root may open every store, and would leave files that its server cannot write.
fn check_owner(path: &Path) -> Done {
    let is_root = rustix::process::geteuid().is_root();
    let owner = fs::metadata(path).map_or(0, |found| found.uid());
    if is_root && owner != 0 {
        return Err(Failure::Permission(format!(
            "the store at {} belongs to the user {owner}, and files that root makes there would be root's; \
             run this as that user (sudo -u '#{owner}' partstore ...), or say --as-root",
            path.display()
        )));
    }
    Ok(())
}
