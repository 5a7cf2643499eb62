//! The command line, and the file of options that it may name.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use crate::Failure;
use crate::log::Format;

/// A server that keeps objects in a part store, for the clients of S3 and of Tencent COS.
#[derive(Parser, Debug)]
#[command(name = "partstore-server", version, args_override_self = true)]
pub struct Args {
    /// The directory of the store; made when it is not there
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "catalog",
        conflicts_with = "catalog"
    )]
    pub data: Option<PathBuf>,

    /// Instead of a directory of this machine's own: the address of a database for what is known of uploads and objects,
    /// `postgres://USER@HOST/NAME`. `PARTSTORE_CATALOG` and `PGPASSWORD` in the environment may say it, too. Any number of
    /// servers may have the same
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "blobs",
        conflicts_with = "data"
    )]
    pub catalog: Option<String>,

    /// Where the bytes are, with `--catalog`: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`,
    /// or `file:///DIR`, which all servers mount. `PARTSTORE_BLOBS` in the environment may say it, too. Keys of a bucket
    /// come from the environment
    #[arg(long, value_name = "ADDRESS", requires = "catalog")]
    pub blobs: Option<String>,

    /// Makes this bucket the store's alone, whatever is there: its contents were lost, or copied without the store's mark.
    /// Without this such a one is refused, because it is another or not mounted. Stop all other servers first, and say it
    /// once, never in a file of options
    #[arg(long, requires = "catalog")]
    pub adopt_bucket: bool,

    /// The schema of the database that has the tables
    #[arg(long, value_name = "NAME", default_value = "partstore")]
    pub schema: String,

    /// How long other servers leave to this one what it reads, when they hear nothing from it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub lease: Duration,

    /// How long bytes stay in the bucket after nothing refers to them: longer than a backup of the database is old when it
    /// is restored
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub keep_removed: Duration,

    /// A file in PEM with certificates of authorities that may sign the database's, beside the system's
    #[arg(long, value_name = "FILE")]
    pub catalog_ca: Option<PathBuf>,

    /// A file of options, a line each: `name = value`, or `name` alone; the command line replaces them
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Fails when there is no store yet, instead of making one: for when its file system is not mounted
    #[arg(long)]
    pub must_exist: bool,

    /// Where to listen for the protocol of COS, as HOST:PORT; with port 0 the system chooses one, which the first line
    /// of the output says [default, without --s3: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS", alias = "listen")]
    pub cos: Option<String>,

    /// Where to listen for the protocol of S3, as HOST:PORT. It needs key pairs. Without `--cos` nobody listens for that
    /// of COS then
    #[arg(long, value_name = "ADDRESS")]
    pub s3: Option<String>,

    /// A file of key pairs, a line each: `ID SECRET`. Nobody but its owner may read it. `PARTSTORE_SECRET_ID` and
    /// `PARTSTORE_SECRET_KEY` in the environment are one more pair. Without any pair every request is allowed
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// A domain of the server's own, such as storage.example.com: the labels before it are a bucket, and without them the
    /// path begins with one. May be given several times
    #[arg(long, value_name = "NAME")]
    pub domain: Vec<String>,

    /// An origin whose pages may use every bucket, such as `https://example.com` or `*`. May be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,

    /// The region of buckets, where their host names none
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub region: String,

    /// The most connections at a time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// The longest body, bytes; longer ones are refused
    #[arg(long, value_name = "BYTES", default_value_t = 5 << 30)]
    pub max_body: u64,

    /// What a connection buffers of what comes in, bytes. A head that is a few times as long is refused
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 10, value_parser = clap::value_parser!(u32).range(16_384..=16_777_216))]
    pub max_head: u32,

    /// An address for those who run the server: `/health`, `/metrics` and a page. It asks for no keys, and shows names
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,

    /// Backups may be taken below this directory, by `partstore backup --server` at the --admin address
    #[arg(
        long,
        value_name = "DIR",
        requires = "admin",
        conflicts_with = "catalog"
    )]
    pub backups: Option<PathBuf>,

    /// How long a client may be silent in the middle of a body, or take nothing of an answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub patience: Duration,

    /// How long requests may take to end when the server is told to stop
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub grace: Duration,

    /// Bytes of the disk that bodies leave free; what would take more is refused with 503
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub headroom: u64,

    /// Memory of all bodies that come in, bytes; bodies beyond are written in small pieces
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub body_memory: u64,

    /// Uploads that were initiated longer ago than this, and not completed, are aborted
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub expire: Option<Duration>,

    /// How long a day of a lifecycle rule is; shorter ones are for tests. The rules are done 24 times in each
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    pub lifecycle_day: Duration,

    /// What is logged, such as `warn`, or `info,access=off`; the same as `RUST_LOG`, which comes first [default: info]
    #[arg(long, value_name = "LEVELS")]
    pub log: Option<String>,

    /// How lines of the log are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
}

impl Args {
    /// What the command line says, and the file that it names. Ends the process when it only asks for help.
    pub fn parse_all() -> Result<Self, Failure> {
        Ok(Self::of_process()?.unwrap_or_else(|error| error.exit()))
    }

    /// The same again, of a process that goes on.
    pub fn parse_again() -> Result<Self, Failure> {
        Ok(Self::of_process()??)
    }

    fn of_process() -> Result<clap::error::Result<Self>, Failure> {
        Self::read(std::env::args_os(), &|name| std::env::var_os(name))
    }

    fn read(
        line: impl Iterator<Item = OsString>,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<clap::error::Result<Self>, Failure> {
        let mut line: Vec<_> = line.collect();
        if let Some(path) = named_config(&line) {
            let options = options_of(&path)?;
            // What stands later replaces what stands before, so the command line comes last.
            line.splice(1..1, options);
        }
        if !line.iter().any(|word| names(word, "--data")) {
            for (variable, option) in [
                ("PARTSTORE_CATALOG", "--catalog"),
                ("PARTSTORE_BLOBS", "--blobs"),
            ] {
                // As if it stood in front of all, so anything replaces it.
                if let Some(address) = environment(variable) {
                    line.splice(1..1, [OsString::from(option), address]);
                }
            }
        }
        Ok(Self::try_parse_from(line))
    }
}

/// The file that `--config` names. The whole line cannot be parsed yet: the file may have what it lacks.
fn named_config(line: &[OsString]) -> Option<PathBuf> {
    let mut named = None;
    let mut words = line.iter().skip(1);
    while let Some(word) = words.next() {
        if word == "--config" {
            named = words.next().map(PathBuf::from);
        } else if let Some(path) = word
            .to_str()
            .and_then(|word| word.strip_prefix("--config="))
        {
            named = Some(path.into());
        }
    }
    named
}

/// Whether a word of a command line is an option with this name.
fn names(word: &OsStr, option: &str) -> bool {
    let word = word.to_string_lossy();
    word.strip_prefix(option)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The lines of a file, as words of a command line.
fn options_of(path: &Path) -> Result<Vec<OsString>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the config {} cannot be read: {error}", path.display()))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| option_of(line).into()).collect())
}

fn option_of(line: &str) -> String {
    match line.split_once('=') {
        Some((name, value)) => {
            let value = value.trim();
            let bare = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            format!("--{}={}", name.trim(), bare.unwrap_or(value))
        }
        None => format!("--{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Args {
        parse_with(line, &|_| None)
    }

    fn parse_with(line: &[&str], environment: &dyn Fn(&str) -> Option<OsString>) -> Args {
        let line = ["partstore-server"].iter().chain(line).map(OsString::from);
        Args::read(line, environment).unwrap().unwrap()
    }

    #[test]
    fn the_environment_names_a_cluster_where_the_command_line_names_nothing() {
        let environment = |name: &str| match name {
            "PARTSTORE_CATALOG" => Some("postgres://one".into()),
            "PARTSTORE_BLOBS" => Some("file:///one".into()),
            _ => None,
        };
        for (line, catalog, blobs) in [
            (&[][..], Some("postgres://one"), Some("file:///one")),
            (
                &["--blobs", "s3://two"],
                Some("postgres://one"),
                Some("s3://two"),
            ),
            (
                &["--catalog=postgres://two"],
                Some("postgres://two"),
                Some("file:///one"),
            ),
            (&["--data", "three"], None, None),
        ] {
            let args = parse_with(line, &environment);
            assert_eq!(
                (args.catalog.as_deref(), args.blobs.as_deref()),
                (catalog, blobs)
            );
        }
    }

    #[test]
    fn the_command_line_replaces_the_config() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let lines = "# where\ndata = /srv/parts\n\ncos = \"localhost:1\"\nmust-exist\ngrace=5s\n";
        std::fs::write(&path, lines).unwrap();
        let config = format!("--config={}", path.display());
        let args = parse(&["--cos", "localhost:2", &config]);
        assert_eq!(args.data.as_deref(), Some(Path::new("/srv/parts")));
        assert_eq!(args.cos.as_deref(), Some("localhost:2"));
        assert!(args.must_exist);
        assert_eq!(args.grace, Duration::from_secs(5));
    }
}
