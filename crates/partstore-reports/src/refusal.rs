//! [`Refusal`]: why a question has no answer.

use partstore::Error;
use serde::{Deserialize, Serialize};

/// What a server answers where it cannot say what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One line, as the store says it.
    pub error: String,
    /// What sort of error it is.
    pub kind: Kind,
}

/// Errors that a program tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The question is wrong.
    Argument,
    /// What was named does not exist.
    Missing,
    /// Damage was found.
    Damaged,
    /// The database or the bucket does not answer.
    Unavailable,
    /// Something else.
    Other,
}

impl Refusal {
    /// Says what the store said.
    #[must_use]
    pub fn new(error: &Error) -> Self {
        Self {
            error: error.one_line(),
            kind: Kind::of(error),
        }
    }
}

impl Kind {
    /// The sort of an error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NoSuchKey { .. }
            | Error::NoSuchUpload { .. }
            | Error::NoSuchObject { .. }
            | Error::NoSuchPart { .. }
            | Error::NoSuchNamespace { .. }
            | Error::NoSuchState { .. } => Self::Missing,
            Error::InvalidArgument { .. } | Error::KeyTooLong { .. } => Self::Argument,
            Error::Damaged { .. } | Error::DamagedBlob { .. } | Error::DamagedRow { .. } => {
                Self::Damaged
            }
            Error::Unavailable { .. } => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

/// What is said of a cluster that does not open, to somebody at a command line. `None` if the store's own words do.
#[must_use]
pub fn of_cluster(error: &Error) -> Option<String> {
    const CHECK: &str = "check --catalog, --schema and --blobs";
    match error {
        Error::NoSuchStore { path } => Some(format!(
            "no server of this version has made a store at {}; {CHECK}, or start a server first that may make what is missing",
            path.display()
        )),
        Error::NotAStore { path, reason } => {
            // The name of a schema is quoted.
            let is_bucket = !path.to_string_lossy().starts_with('"');
            let adopt = "; `partstore-server --adopt-bucket` makes it this store's, and takes it from any other";
            Some(format!(
                "{}: {reason}; {CHECK}{}",
                path.display(),
                if is_bucket { adopt } else { "" }
            ))
        }
        Error::Io { op, path, source } => Some(format!(
            "cannot {op} {}: {source}; check rights and keys, and that it exists",
            path.display()
        )),
        _ => None,
    }
}
