//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use partstore::Key;

use crate::output::eprint_line;

/// What the help of the program and its man page end with.
const EXIT_CODES: &str = "\
Exit codes:
  0    done; also when the reader of the output has left
  1    a system call failed, or another failure
  2    the command line is wrong
  3    the key, upload, namespace or hash does not exist
  4    damage was found
  5    the store is open elsewhere
  6    no store is there
  7    the store has another format: a newer one, or an older one without --upgrade
  8    permission is missing
  9    a disk or a quota is full
  10   the database or the bucket does not answer; try again
  130  interrupted by Ctrl-C (143: by SIGTERM)";

/// Where `--server` does not belong.
const ASKED: &str = "--server stands behind info, ls, where, verify, sweep or backup; a server's admin address asks for no keys, so it \
    gives no bytes of objects and changes none: read and write those with a client of S3 or COS, or stop the server and say --store";

/// Looks into a part store, checks it, cleans it up, and copies objects in and out.
///
/// The store is a directory, or a cluster's database and bucket. A directory can be open in one process only: stop
/// its server before you use this on it, or ask the server with --server. A cluster may have any number of servers
/// meanwhile.
#[derive(Parser)]
#[command(name = "partstore", version, after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
    /// Prints JSON: one document, or one line for each row of a listing
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// Which store, and what opening it may change.
#[derive(Group)]
pub struct Place {
    /// The directory of the store. Without it and `--catalog`, it is `PARTSTORE_STORE` in the environment
    #[arg(short, long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Instead of a directory, the address of a cluster's database: `postgres://USER@HOST/NAME`. Without it and `--store`, it
    /// is `PARTSTORE_CATALOG` in the environment; a password may be `PGPASSWORD` there
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub catalog: Option<String>,
    /// Where a cluster's bytes are: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `file:///DIR`.
    /// Keys of a bucket come from the environment
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "PARTSTORE_BLOBS",
        hide_env_values = true
    )]
    pub blobs: Option<String>,
    /// The schema of the database that has the tables
    #[arg(long, global = true, value_name = "NAME", default_value = "partstore")]
    pub schema: String,
    /// A file in PEM with certificates of authorities that may sign the database's, beside the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub catalog_ca: Option<PathBuf>,
    /// Opens a store of an older format, too. It becomes one of the newest format, which older servers refuse
    #[arg(long, global = true)]
    pub upgrade: bool,
    /// As root, opens a store of another user, too. Files that are made then belong to root
    #[arg(long, global = true)]
    pub as_root: bool,
    /// Changes nothing of the directory: a snapshot, a store without the right to write. Its journal and rows are copied to
    /// TMPDIR meanwhile
    #[arg(long, global = true, conflicts_with = "upgrade")]
    pub read_only: bool,
}

impl Place {
    /// What the command line does not say is taken from the environment.
    fn or_of_environment(mut self) -> Self {
        if self.store.is_none() && self.catalog.is_none() {
            self.store = env::var_os("PARTSTORE_STORE").map(PathBuf::from);
            self.catalog = env::var("PARTSTORE_CATALOG").ok();
        }
        self
    }
}

impl Args {
    /// The command line, or the end of the process if it is wrong.
    pub fn read() -> Self {
        let mut args = Self::try_parse().unwrap_or_else(|error| refuse(&error));
        args.place = args.place.or_of_environment();
        args
    }
}

/// Ends the process.
fn refuse(error: &clap::Error) -> ! {
    let argument = error.get(ContextKind::InvalidArg);
    if argument != Some(&ContextValue::String("--server".to_owned())) {
        error.exit();
    }
    eprint_line(ASKED);
    std::process::exit(2)
}

#[derive(Subcommand)]
pub enum Command {
    /// Says what the store holds, namespace by namespace, and what opening it found
    Info(Ask),
    /// Lists namespaces, keys, uploads, parts or objects
    Ls {
        /// The --admin address of the server that has the store open. It is asked, and the store is not opened
        #[arg(long, global = true, value_name = "HOST:PORT")]
        server: Option<String>,
        /// Default: namespaces
        #[command(subcommand)]
        what: Option<Listing>,
    },
    /// Reads everything and compares it with its checksums
    Verify(Verify),
    /// Removes the bytes of blobs that nothing refers to
    Sweep(Sweep),
    /// Of a cluster whose database was restored: finds what the bucket has and no row names, and leaves it to the sweeps
    Reconcile {
        /// Also if the database knows none of what the bucket has, which may be the bytes of another database
        #[arg(long)]
        yes: bool,
    },
    /// Aborts uploads that were begun too long ago
    Expire(Expire),
    /// Shows or sets what a namespace may hold
    Quota(SetQuota),
    /// Writes the object of a key to a file, or to stdout
    Get(Get),
    /// Makes a file, or stdin, the object of a key
    Put(Put),
    /// Removes the object of a key
    Rm {
        #[command(flatten)]
        object: Name,
    },
    /// Aborts an open upload. Its parts are removed
    Abort {
        #[command(flatten)]
        object: Name,
        /// The id of the upload: `ls uploads` lists it
        id: String,
    },
    /// Writes one object to a file, or all objects of a namespace to a directory, durably
    Export(Export),
    /// Puts the files of a directory. What is already there is left out
    Import(Import),
    /// Takes a backup: the store as of one moment, in a directory that has many such states
    Backup(Backup),
    /// Makes a store of a backup, in the directory that --store names, and verifies it
    Restore(Restore),
    /// Copies a directory's namespaces, keys and objects into the cluster of --catalog and --blobs, and compares them
    Migrate(Migrate),
    /// Lists the states in a directory of backups, or removes old ones
    Backups(ListBackups),
    /// Says where the bytes of a blob are, and who refers to them
    Where {
        /// The BLAKE3 hash, 64 hex digits: the name of a file in `blobs/`
        hash: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Opens a store whose journal or layers are damaged, and gives back what can be proven
    Salvage {
        /// Really does it. Without this, only says whether it is needed
        #[arg(long)]
        yes: bool,
    },
    /// Makes the query index anew from the journal and its layers, while no server has the store open
    RebuildIndex,
    /// Prints the completions of a shell
    Completions { shell: Shell },
    /// Prints the man page
    Man {
        /// Writes the pages of all commands to this directory instead
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// What a user can do while a server has the store open, instead of stopping it.
    pub fn beside_server(&self) -> Option<&'static str> {
        match self {
            Self::Verify(Verify {
                resume: Some(_), ..
            }) => Some(
                "without --resume say --server HOST:PORT, the --admin address of the server; or say --read-only of a snapshot of its file system",
            ),
            Self::Info(_)
            | Self::Ls { .. }
            | Self::Where { .. }
            | Self::Verify(_)
            | Self::Backup(_) => Some(
                "say --server HOST:PORT, the --admin address of the server; or say --read-only of a snapshot of its file system",
            ),
            Self::Sweep(_) => Some("say --server HOST:PORT, the --admin address of the server"),
            Self::Get(_) | Self::Export(_) => Some(
                "use a client of S3 or COS at the server; or say --read-only of a snapshot of its file system",
            ),
            Self::Put(_) | Self::Rm { .. } | Self::Abort { .. } | Self::Import(_) => {
                Some("use a client of S3 or COS at the server")
            }
            Self::Migrate(_) => Some("say --read-only of a snapshot of its file system"),
            _ => None,
        }
    }
}

/// Who is asked instead of opening the store.
#[derive(Group)]
pub struct Ask {
    /// The --admin address of the server that has the store open. It is asked, and the store is not opened
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<String>,
}

#[derive(Group)]
pub struct Sweep {
    #[command(flatten)]
    pub ask: Ask,
    /// On a cluster: how long bytes stay after nothing refers to them, as its servers have it
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "server")]
    pub keep_removed: Option<Duration>,
}

/// A key, with its namespace.
#[derive(Group)]
pub struct Name {
    /// The key. One that begins with a dash stands behind `--`
    key: String,
    /// The namespace of the key. Default: the default one, which has no name
    #[arg(short, long, default_value = "", hide_default_value = true)]
    namespace: String,
}

impl Name {
    pub fn key(&self) -> Key {
        Key::new(&self.namespace, &self.key)
    }
}

/// The keys of a namespace that begin with a prefix.
#[derive(Group)]
pub struct Keys {
    /// Only keys that begin with this
    #[arg(default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// The namespace. Default: the default one, which has no name
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// Shows what is equal up to this text as one line, as a directory is
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub delimiter: String,
}

#[derive(Subcommand)]
pub enum Listing {
    /// All namespaces, with what they hold
    Namespaces,
    /// The keys of a namespace, with their current objects
    Keys(Keys),
    /// The open uploads of a namespace
    Uploads(Keys),
    /// The parts of a key's object, or of the upload or object with an id
    Parts {
        #[command(flatten)]
        object: Name,
        /// The id of an upload or object under this key
        #[arg(long)]
        id: Option<String>,
    },
    /// All objects of all namespaces, also those that no key finds
    Objects,
}

#[derive(Group)]
pub struct Verify {
    #[command(flatten)]
    pub ask: Ask,
    /// Reads the journal, the layers and the index only, and no blob
    #[arg(long)]
    pub metadata: bool,
    /// Reads at most so many bytes a second. K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES_PER_SECOND", value_parser = bytes)]
    pub rate: Option<u64>,
    /// Keeps in a file how far it has come. If the file is there, goes on from there. It is removed at the end
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub resume: Option<PathBuf>,
}

#[derive(Group)]
pub struct Expire {
    /// How old: 7d, 36h, 90min
    #[arg(value_parser = humantime::parse_duration)]
    pub age: Duration,
    /// Only uploads of this namespace
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Only uploads of the namespace whose keys begin with this
    #[arg(long)]
    pub prefix: Option<String>,
}

#[derive(Group)]
pub struct SetQuota {
    /// The namespace. An empty one names the default one
    pub namespace: String,
    /// Sets the most bytes, and leaves the other limit as it is. K, M and G are powers of 1024
    #[arg(long, value_parser = bytes)]
    pub bytes: Option<u64>,
    /// Sets the most keys, and leaves the other limit as it is
    #[arg(long)]
    pub keys: Option<u64>,
    /// Removes both limits
    #[arg(long, conflicts_with_all = ["bytes", "keys"])]
    pub none: bool,
}

#[derive(Group)]
pub struct Get {
    #[command(flatten)]
    pub object: Name,
    /// The file. `-` is stdout
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Only these bytes: `0-99` are the first hundred, `100-` all but these
    #[arg(long, value_name = "FIRST-LAST", value_parser = range)]
    pub range: Option<(u64, Option<u64>)>,
    /// Replaces the file if it exists
    #[arg(long)]
    pub force: bool,
}

#[derive(Group)]
pub struct Put {
    #[command(flatten)]
    pub object: Name,
    /// The file. `-` is stdin
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Makes the store and the namespace if they do not exist
    #[arg(long)]
    pub create: bool,
}

#[derive(Group)]
pub struct Export {
    /// The key. With --all: the directory
    pub key: String,
    /// The file
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub file: Option<PathBuf>,
    /// Exports all objects of the namespace to a directory. A key with `/` is a file in a subdirectory
    #[arg(long)]
    pub all: bool,
    /// With --all, only keys that begin with this
    #[arg(long, requires = "all", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// The namespace. Default: the default one, which has no name
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// Replaces files that exist. With --all, a file that has the object's bytes is left as it is
    #[arg(long)]
    pub force: bool,
}

#[derive(Group)]
pub struct Import {
    /// The directory. The path of a file below it is its key
    pub dir: PathBuf,
    /// The namespace. Default: the default one, which has no name
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// What each key begins with, before the path of the file
    #[arg(long, default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// How many files are put at a time
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// The names are as `export --all` wrote them: `%2F` is a `/`
    #[arg(long)]
    pub escaped: bool,
    /// Makes the store and the namespace if they do not exist
    #[arg(long)]
    pub create: bool,
}

#[derive(Group)]
pub struct Migrate {
    /// The directory of the store, which no server has open meanwhile. Nothing of it is changed
    pub dir: PathBuf,
    /// Makes the cluster equal to the directory: replaces objects that differ, and removes keys that only the cluster has
    #[arg(long)]
    pub mirror: bool,
    #[command(flatten)]
    pub leaves: Leaves,
    /// How many objects, and how many parts, are put at a time
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Makes the tables of the cluster if the database has none
    #[arg(long)]
    pub create: bool,
}

/// What a migration may leave behind, because only an id names it.
#[derive(Group)]
pub struct Leaves {
    /// Leaves open uploads behind. Without this, a store that has some is refused
    #[arg(long = "skip-uploads")]
    pub uploads: bool,
    /// Leaves objects behind that are not the current ones of a key. Without this, a store that has some is refused
    #[arg(long = "skip-keyless")]
    pub keyless: bool,
}

/// How files get into a backup, or out of it.
#[derive(Clone, Copy, ValueEnum)]
pub enum Transfer {
    /// Shares their bytes (reflink), else links them (hard link), else copies them
    Fastest,
    /// Shares their bytes, else copies them
    Apart,
    /// Copies all files, and compares blobs with their hashes
    Copy,
}

impl Transfer {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fastest => "fastest",
            Self::Apart => "apart",
            Self::Copy => "copy",
        }
    }
}

impl From<Transfer> for partstore::Transfer {
    fn from(transfer: Transfer) -> Self {
        match transfer {
            Transfer::Fastest => Self::Fastest,
            Transfer::Apart => Self::Apart,
            Transfer::Copy => Self::Copy,
        }
    }
}

#[derive(Group)]
pub struct Backup {
    /// The directory of backups. It is made if it is missing
    pub into: PathBuf,
    /// How files get there
    #[arg(long, default_value = "fastest")]
    pub transfer: Transfer,
    /// Afterwards keeps so many of the newest states, and removes the others
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// The --admin address of the server that has the store open. It takes the backup, into a directory of its machine
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<String>,
}

impl Backup {
    /// How many states are kept.
    pub fn keep(&self) -> Option<usize> {
        self.keep.and_then(|keep| keep.try_into().ok())
    }
}

#[derive(Group)]
pub struct Restore {
    /// The directory of backups
    pub from: PathBuf,
    /// The number of the state. Default: the newest
    #[arg(long)]
    pub state: Option<u64>,
    /// How files get out of it
    #[arg(long, default_value = "apart")]
    pub transfer: Transfer,
    /// Does not read the restored store through
    #[arg(long)]
    pub no_verify: bool,
}

#[derive(Group)]
pub struct ListBackups {
    /// The directory of backups
    pub backups: PathBuf,
    /// Keeps so many of the newest states, removes the others, and what no kept state has
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Reads all states and blobs, and compares them with their hashes
    #[arg(long, conflicts_with = "keep")]
    pub verify: bool,
}

impl ListBackups {
    /// How many states are kept.
    pub fn keep(&self) -> Option<usize> {
        self.keep.and_then(|keep| keep.try_into().ok())
    }
}

/// A number of bytes such as `64M`.
fn bytes(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text:?} is no number of bytes: write 1000000, 64M or 2G");
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = match unit.to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(refuse()),
    };
    let number = digits.parse::<u64>().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(refuse)
}

/// The first byte, and the last one, inclusive.
fn range(text: &str) -> Result<(u64, Option<u64>), String> {
    let refuse = || format!("{text:?} is no range: write 0-99 or 100-");
    let (first, last) = text.split_once('-').ok_or_else(refuse)?;
    let first = first.parse().map_err(|_| refuse())?;
    let last = match last {
        "" => None,
        last => Some(last.parse().map_err(|_| refuse())?),
    };
    if last.is_some_and(|last| last < first) {
        return Err(refuse());
    }
    Ok((first, last))
}
