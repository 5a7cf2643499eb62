//! [`Failure`]: why a command failed, its exit code, and the line that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use partstore::Error;
use partstore_reports::Kind;

use crate::interrupt;

pub type Done<T = ()> = Result<T, Failure>;

/// Why a command failed.
pub enum Failure {
    /// What the store said.
    Store(Error),
    /// What a directory of backups said.
    Backups(Error),
    /// A system call on a file that is not the store's.
    File {
        op: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Whoever read stdout has left.
    OutputClosed,
    /// The command line is right by itself, and wrong here.
    Usage(String),
    /// Something that was named does not exist.
    Missing(String),
    /// Damage was found. The report has said where.
    Damage(String),
    /// What was named does not belong together.
    Refused(String),
    /// Another process has the store open.
    InUse(String),
    /// The store has an older format.
    OlderFormat(String),
    /// This user should not open the store.
    Permission(String),
    /// A running server was asked, and did not do it.
    Server(String),
    /// A running server was asked, and its database or bucket does not answer.
    Unavailable(String),
    /// Part of the work was not done. The report has said what.
    Incomplete(String),
    /// Ctrl-C, or another signal that ends a process.
    Interrupted,
}

impl Failure {
    pub fn file(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            op,
            path: path.to_owned(),
            source,
        }
    }

    /// What the README and the help list.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Server(_) | Self::Incomplete(_) => 1,
            Self::Usage(_) => 2,
            Self::Missing(_) => 3,
            Self::Damage(_) => 4,
            Self::InUse(_) => 5,
            Self::Refused(_) => 6,
            Self::OlderFormat(_) => 7,
            Self::Permission(_) => 8,
            Self::Unavailable(_) => 10,
            Self::Interrupted => interrupt::exit_code(),
            Self::File { source, .. } => code_of_io(source),
            Self::Backups(error) if is_no_directory(error) => 6,
            Self::Store(error) | Self::Backups(error) => code_of(error),
        }
    }

    /// The same, with what else can be done while a server has the store open.
    pub fn beside_server(self, instead: Option<&str>) -> Self {
        match (self, instead) {
            (Self::Store(error @ Error::StoreLocked { .. }), Some(instead)) => {
                Self::InUse(format!("{}, or {instead}", line_of(&error)))
            }
            (failure, _) => failure,
        }
    }

    /// One line. Empty if nobody needs to be told.
    pub fn line(&self) -> String {
        match self {
            Self::OutputClosed => String::new(),
            Self::Usage(line)
            | Self::Missing(line)
            | Self::Damage(line)
            | Self::Refused(line)
            | Self::InUse(line)
            | Self::OlderFormat(line)
            | Self::Permission(line)
            | Self::Server(line)
            | Self::Unavailable(line)
            | Self::Incomplete(line) => line.clone(),
            Self::Interrupted => {
                "interrupted; the store is whole, and the same command can be run again".into()
            }
            Self::File { op, path, source } => {
                let what = format!("cannot {op} {}: {source}", path.display());
                with_remedy(what, code_of_io(source))
            }
            Self::Store(error) => line_of(error),
            Self::Backups(error) => line_of_backups(error),
        }
    }
}

fn code_of(error: &Error) -> u8 {
    match Kind::of(error) {
        Kind::Argument => 2,
        Kind::Missing => 3,
        Kind::Damaged => 4,
        Kind::Unavailable => 10,
        Kind::Other => match error {
            Error::ReadOnly => 2,
            Error::StoreLocked { .. } => 5,
            Error::NoSuchStore { .. } | Error::NotAStore { .. } => 6,
            Error::NewerFormat { .. } => 7,
            Error::StorageFull { .. } | Error::QuotaExceeded { .. } => 9,
            Error::Io { source, .. } | Error::BodyUnreadable { source, .. } => code_of_io(source),
            _ => 1,
        },
    }
}

fn code_of_io(error: &io::Error) -> u8 {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
    match error.kind() {
        PermissionDenied => 8,
        StorageFull | QuotaExceeded | FileTooLarge => 9,
        _ => 1,
    }
}

/// What the library says is for programs that link it. These lines are for people at a shell.
fn line_of(error: &Error) -> String {
    match error {
        Error::StorageFull { path, .. } if is_of_a_view(path) => format!(
            "there is no room at {} for a copy of the store's rows; set TMPDIR to a directory that has it",
            path.display()
        ),
        Error::ReadOnly => "this command changes the store; leave --read-only out".to_owned(),
        Error::StoreLocked { path } => format!(
            "the store at {} is open in another process, most likely its server; stop that first, then run this again",
            path.display()
        ),
        Error::NoSuchStore { path } => format!(
            "no part store exists at {}; check the path, and that its file system is mounted",
            path.display()
        ),
        Error::NotAStore { path, reason } => format!(
            "{} is not a part store: {reason}; name the directory that the server has as --data",
            path.display()
        ),
        Error::NewerFormat {
            path,
            found,
            supported,
        } => format!(
            "the store at {} has format {found}, and this program reads up to {supported}; install a newer partstore-cli",
            path.display()
        ),
        Error::Damaged {
            path,
            offset,
            reason,
        } => format!(
            "{} is damaged at byte {offset}: {reason}; restore it from a backup, or see what `partstore salvage` says",
            path.display()
        ),
        error => with_remedy(error.one_line(), code_of(error)),
    }
}

/// Whether it is of the copy that `--read-only` makes.
fn is_of_a_view(path: &Path) -> bool {
    let mut names = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    names.any(|name| name.starts_with("partstore-reads-"))
}

/// The same, where a directory of backups was named, and not a store.
fn line_of_backups(error: &Error) -> String {
    match error {
        Error::StoreLocked { path } => format!(
            "the backups at {} are in use by another process, such as a backup that is being taken; run this again when it has ended",
            path.display()
        ),
        Error::NoSuchStore { path } => format!(
            "no backups exist at {}; check the path, and that its file system is mounted",
            path.display()
        ),
        Error::NotAStore { path, reason } => format!(
            "{} cannot be used: {reason}; name the directory that was given to `partstore backup`, or for a first backup an empty one",
            path.display()
        ),
        Error::NewerFormat {
            path,
            found,
            supported,
        } => format!(
            "the backups at {} have format {found}, and this program reads up to {supported}; install a newer partstore-cli",
            path.display()
        ),
        Error::Io { path, .. } if is_no_directory(error) => format!(
            "{} is not a directory; name the directory that was given to `partstore backup`",
            path.display()
        ),
        error => line_of(error),
    }
}

fn is_no_directory(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory)
}

fn with_remedy(what: String, code: u8) -> String {
    match code {
        8 => format!(
            "{what}; run this as the user who owns it, or look at it with --read-only if you may read it"
        ),
        _ => what,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // A body that ended because of a signal is not at fault.
            Error::BodyUnreadable { .. } if interrupt::is_set() => Self::Interrupted,
            error => Self::Store(error),
        }
    }
}

/// What the exit code says when some of many failed.
pub fn conclude(failed: u64, damaged: bool, what: &str) -> Done {
    match (failed, damaged) {
        (0, _) => Ok(()),
        (_, true) => Err(Failure::Damage(format!(
            "{failed} {what}, some because they are damaged"
        ))),
        (_, false) => Err(Failure::Incomplete(format!(
            "{failed} {what}; the lines above say why"
        ))),
    }
}
