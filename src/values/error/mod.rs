//! [`Error`]: what can go wrong in a call. Each error has the protocol's code and HTTP status.

mod answers;

use std::io;
use std::path::PathBuf;

pub use answers::ErrorKind;

use crate::{ContentHash, ETag, Key, PartNumber};

/// A `Result` whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call was refused or failed.
///
/// [`code`](Error::code) and [`http_status`](Error::http_status) give what a COS or S3 server answers, so
/// your server maps nothing by hand. [`kind`](Error::kind) says what the caller can do.
///
/// The text says what happened and, if one exists, the remedy. It leaves out the underlying error, which is
/// the [`source`](std::error::Error::source); [`one_line`](Error::one_line) gives both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part number is not an integer in `1..=10_000` ([R1](crate::rules#r1)).
    #[error("Part number must be an integer between 1 and 10000, inclusive; got {found:?}")]
    InvalidPartNumber {
        /// What was given.
        found: String,
    },

    /// Another argument is out of its range.
    #[error("{argument} must be {expected}; got {found:?}")]
    InvalidArgument {
        /// The name of the argument.
        argument: &'static str,
        /// What was given.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },

    /// An object key is longer than [`Options::max_key_len`](crate::Options::max_key_len), at most 1024
    /// bytes.
    #[error("the key is {length} bytes long; at most {maximum} are allowed")]
    KeyTooLong {
        /// Length of the key, bytes.
        length: usize,
        /// The largest length, bytes, inclusive.
        maximum: usize,
    },

    /// The metadata given at initiation is longer than
    /// [`Options::max_metadata_len`](crate::Options::max_metadata_len).
    #[error("the metadata is {length} bytes long; at most {maximum} are allowed")]
    MetadataTooLarge {
        /// Length of the metadata, bytes.
        length: usize,
        /// The largest length, bytes, inclusive.
        maximum: usize,
    },

    /// A part is larger than the maximum. Its declared length says so, or the bytes that were received
    /// ([R3](crate::rules#r3)).
    #[error("the part has at least {proposed} bytes; at most {maximum} are allowed")]
    EntityTooLarge {
        /// The declared length, or the bytes that had been received when the body was refused.
        proposed: u64,
        /// The largest part, bytes, inclusive.
        maximum: u64,
    },

    /// A listed part other than the last is smaller than the minimum ([R4](crate::rules#r4)). With
    /// [`MinimumAt::Put`](crate::MinimumAt::Put) this is the answer for any part.
    #[error("part {number} has {size} bytes; every part but the last needs at least {minimum}")]
    EntityTooSmall {
        /// The part.
        number: PartNumber,
        /// Its ETag. `None` when the part was refused before it was stored.
        etag: Option<ETag>,
        /// Its size, bytes.
        size: u64,
        /// The smallest size, bytes, inclusive.
        minimum: u64,
    },

    /// A `Content-MD5` is not the base64 form of 16 bytes ([R6](crate::rules#r6)).
    #[error("Content-MD5 is not the base64 form of a 16 byte digest: {found:?}")]
    InvalidDigest {
        /// What was given.
        found: String,
    },

    /// The body's digest differs from the declared one ([R7](crate::rules#r7)). The previous part is
    /// unchanged.
    #[error("{algorithm} of the body is {found}, but {expected} was declared; send the body again")]
    BadDigest {
        /// Which digest: `Content-MD5`, `CRC-32` or `CRC-64`.
        algorithm: &'static str,
        /// The declared digest, lower-case hex.
        expected: String,
        /// The digest of what was received, lower-case hex.
        found: String,
    },

    /// The body is shorter or longer than declared ([R8](crate::rules#r8)). The previous part is unchanged.
    #[error("{received} bytes of the body were received, but {declared} were declared")]
    IncompleteBody {
        /// The declared length, bytes.
        declared: u64,
        /// The bytes that had been received when the body was refused.
        received: u64,
    },

    /// The reader of the body failed before the body's end. The previous part is unchanged.
    #[error("the body could not be read after {received} bytes; send it again")]
    BodyUnreadable {
        /// The bytes that had been received before that.
        received: u64,
        /// The reader's own error.
        source: io::Error,
    },

    /// No open upload has this id under this key ([R9](crate::rules#r9)). The id may be malformed, unknown
    /// or another key's; the upload may have been completed, aborted or expired. All of them get this
    /// answer.
    #[error(
        "the upload {id} does not exist under this key; it may have been completed, aborted or expired"
    )]
    NoSuchUpload {
        /// The id, as given.
        id: String,
    },

    /// No completed upload has this id under this key.
    #[error("the upload {id} has no object under the key {key:?}")]
    NoSuchObject {
        /// The key.
        key: String,
        /// The upload's id.
        id: String,
    },

    /// The key has no current object.
    #[error("the key {key} has no object")]
    NoSuchKey {
        /// The key.
        key: Key,
    },

    /// The condition of a call does not hold: the key has an object, has none, or has another one.
    #[error("the key {key} does not meet the condition of the request; look at it again")]
    PreconditionFailed {
        /// The key.
        key: Key,
    },

    /// No namespace has this name.
    #[error("the namespace {name:?} does not exist")]
    NoSuchNamespace {
        /// The name.
        name: String,
    },

    /// A namespace with this name exists.
    #[error("the namespace {name:?} exists")]
    NamespaceExists {
        /// The name.
        name: String,
    },

    /// A namespace that is to be removed has keys, objects or open uploads.
    #[error("the namespace {name:?} is not empty; remove its objects and abort its uploads first")]
    NamespaceNotEmpty {
        /// The name.
        name: String,
    },

    /// The call would exceed the [quota](crate::Quota) of its namespace. Nothing was stored. Removing and
    /// aborting still work, and make room.
    #[error(
        "the namespace {namespace:?} would have {proposed} {what}, and its quota is {maximum}; remove objects, abort uploads, or raise the quota"
    )]
    QuotaExceeded {
        /// The name of the namespace.
        namespace: String,
        /// What is limited: `bytes` or `keys`.
        what: &'static str,
        /// How many there would be.
        proposed: u64,
        /// The quota, inclusive.
        maximum: u64,
    },

    /// The upload or object has no part with this number.
    #[error("the upload {id} has no part {number}")]
    NoSuchPart {
        /// The upload's id.
        id: String,
        /// The number.
        number: PartNumber,
    },

    /// The list of a completion is empty ([R19](crate::rules#r19)).
    #[error("a completion must list at least one part")]
    EmptyPartList,

    /// A listed part cannot be used: it does not exist, has another ETag now, or follows a gap where none
    /// is allowed ([R20](crate::rules#r20), [R22](crate::rules#r22), [R23](crate::rules#r23)).
    #[error("part {number} of the completion cannot be used: {reason}")]
    InvalidPart {
        /// The number, as given.
        number: String,
        /// The ETag, as given.
        etag: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The list of a completion is not strictly ascending ([R21](crate::rules#r21)).
    #[error("part {number} follows part {previous}; list the parts in ascending order, each once")]
    InvalidPartOrder {
        /// The number before.
        previous: PartNumber,
        /// The number that does not ascend.
        number: PartNumber,
    },

    /// The disk is full, or the quota on it is used up. Nothing was stored. Aborting and sweeping still
    /// work, and make room.
    #[error("the disk has no room at {path}{}; abort or expire uploads, or add space", shortfall(*needed, *available))]
    StorageFull {
        /// Where room was wanted.
        path: PathBuf,
        /// How many bytes were wanted, headroom included. 0 when the kernel refused a write.
        needed: u64,
        /// How many bytes were available. 0 when the kernel refused a write.
        available: u64,
    },

    /// Another process, or another [`PartStore`](crate::PartStore) of this process, has opened the
    /// directory.
    #[error("the store at {path} is already open; close it there first")]
    StoreLocked {
        /// The directory.
        path: PathBuf,
    },

    /// The directory holds something that is not a store.
    #[error("{path} is not a part store: {reason}; name an empty directory or an existing store")]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What was found.
        reason: String,
    },

    /// The directory was written by a newer version of this crate.
    #[error(
        "the store at {path} has format {found}, but this version reads up to {supported}; upgrade partstore"
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },

    /// A file of the journal or of a layer does not hold what was written there. Nothing was changed.
    ///
    /// When an open answers this, no index proves what the file held. A running store that has found its
    /// own files damaged answers this to every call that would change something. So nothing more depends on
    /// them. Close it and open it again: it then writes them anew from the index.
    #[error(
        "{path} is damaged at byte {offset}: {reason}; close the store and open it again; if that is refused, restore the file from a backup or use Options::salvage"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, bytes from its start.
        offset: u64,
        /// What is wrong.
        reason: String,
    },

    /// A row of the query index does not hold what was written there.
    #[error(
        "a row of the index is damaged (tree {tree}, key {key}); close the store, remove meta/index, and open the store again"
    )]
    DamagedRow {
        /// The tree.
        tree: &'static str,
        /// The key, lower-case hex.
        key: String,
    },

    /// A blob does not hold the bytes that were acknowledged ([I5](crate::rules#i5)). Other blobs are not
    /// affected.
    #[error("the blob {hash} is damaged: {reason}; put the same bytes again to repair it")]
    DamagedBlob {
        /// The blob: the name of its file below `blobs/`.
        hash: ContentHash,
        /// What is wrong.
        reason: String,
    },

    /// No store exists at the path, and [`Options::must_exist`](crate::Options::must_exist) forbids to make
    /// one.
    #[error("no part store exists at {path}; check that its file system is mounted")]
    NoSuchStore {
        /// The directory.
        path: PathBuf,
    },

    /// The store was opened to be [only read](crate::Options::read_only). Nothing was changed.
    #[error(
        "the store was opened to be read only; open it without Options::read_only to change it"
    )]
    ReadOnly,

    /// The directory of backups has no such state.
    #[error("the backups at {path} have no {}", match state {
        Some(state) => format!("state {state}"),
        None => "whole state".to_owned(),
    })]
    NoSuchState {
        /// The directory of backups.
        path: PathBuf,
        /// The number that was asked for. `None` for the newest.
        state: Option<u64>,
    },

    /// The engine takes no backups. One on a database and a bucket is backed up with their own tools.
    #[error("this store is backed up with the tools of its database and its bucket")]
    NoBackup,

    /// The directory of the open store was moved or replaced, or its lock is lost. So the store has stopped
    /// ([I8](crate::rules#i8)). Everything acknowledged is in the directory that was opened.
    #[error(
        "the store at {path} lost its directory: {reason}; close it and open it where it is now"
    )]
    Displaced {
        /// Where the directory was when it was opened.
        path: PathBuf,
        /// What happened.
        reason: String,
    },

    /// This process was forked from one that had opened a store. It can use neither that store nor open
    /// another.
    #[error(
        "the process that forked this one had opened a store; use stores there, or start a program (exec)"
    )]
    Forked,

    /// An earlier write or sync failed, so the store acknowledges nothing more ([I8](crate::rules#i8)).
    #[error("the store stopped after a failure ({cause}); close it and open it again")]
    Poisoned {
        /// The failure.
        cause: String,
    },

    /// The store was closed.
    #[error("the store is closed")]
    Closed,

    /// The query index failed, has lost rows, or does not answer. The store has stopped. The journal is
    /// whole, so the next open rebuilds the index. Threads inside an index that does not answer cannot be
    /// stopped: in that case end the process before you open the store again.
    #[error("the query index failed: {cause}; close the store and open it again")]
    Index {
        /// What sled said, or what was found.
        cause: String,
    },

    /// The database or the object store of a [shared engine](crate::backend) does not answer, or this
    /// process lost its lease there. The call has changed nothing. Send it again.
    #[error("the store's database or bucket cannot be used now: {cause}; send the request again")]
    Unavailable {
        /// What happened.
        cause: String,
    },

    /// The database of a [shared engine](crate::backend) took a change, and stayed away before it said
    /// whether it had made it. Look, then send the request again if it is still wanted.
    #[error("it is not known whether the change was made: {cause}; look before you send it again")]
    OutcomeUnknown {
        /// What happened.
        cause: String,
    },

    /// The operating system gave no random bytes for an upload id.
    #[error("the operating system gave no random bytes: {cause}")]
    NoRandomness {
        /// What it said.
        cause: String,
    },

    /// A system call failed.
    #[error("{op} {path} failed")]
    Io {
        /// The call.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl Error {
    /// Returns the `Error` inside an [`io::Error`] that a writer or reader of this crate returned.
    ///
    /// `Read`, `Write` and `Seek` can only return an `io::Error`. This call gives back the error that it
    /// was made from.
    ///
    /// # Errors
    /// The `io::Error` itself, if it did not come from this crate.
    pub fn from_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<Self>()
    }

    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::EntityTooLarge { .. } | Self::IncompleteBody { .. } => {
                io::ErrorKind::InvalidInput
            }
            Self::StorageFull { .. } => io::ErrorKind::StorageFull,
            Self::DamagedBlob { .. } => io::ErrorKind::InvalidData,
            Self::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// The same error once more, for a caller that is told later. The variants that no call tells twice
    /// become [`Poisoned`](Self::Poisoned), with their text.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::EntityTooLarge { proposed, maximum } => Self::EntityTooLarge {
                proposed: *proposed,
                maximum: *maximum,
            },
            Self::IncompleteBody { declared, received } => Self::IncompleteBody {
                declared: *declared,
                received: *received,
            },
            Self::StorageFull {
                path,
                needed,
                available,
            } => Self::StorageFull {
                path: path.clone(),
                needed: *needed,
                available: *available,
            },
            Self::Damaged {
                path,
                offset,
                reason,
            } => Self::Damaged {
                path: path.clone(),
                offset: *offset,
                reason: reason.clone(),
            },
            Self::Displaced { path, reason } => Self::Displaced {
                path: path.clone(),
                reason: reason.clone(),
            },
            Self::Index { cause } => Self::Index {
                cause: cause.clone(),
            },
            Self::Poisoned { cause } => Self::Poisoned {
                cause: cause.clone(),
            },
            Self::Unavailable { cause } => Self::Unavailable {
                cause: cause.clone(),
            },
            Self::OutcomeUnknown { cause } => Self::OutcomeUnknown {
                cause: cause.clone(),
            },
            Self::Io { op, path, source } => Self::Io {
                op,
                path: path.clone(),
                source: source
                    .raw_os_error()
                    .map_or_else(|| source.kind().into(), io::Error::from_raw_os_error),
            },
            Self::Closed => Self::Closed,
            Self::Forked => Self::Forked,
            other => Self::Poisoned {
                cause: other.one_line(),
            },
        }
    }

    /// Returns one line with the text of this error and of all its [sources](std::error::Error::source),
    /// outermost first, for logs and reports.
    ///
    /// ```
    /// let error = partstore::PartStore::open("/dev/null/store").unwrap_err();
    /// assert!(error.one_line().contains("/dev/null"));
    /// ```
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            line = format!("{line}: {cause}");
            next = cause.source();
        }
        line
    }
}

fn shortfall(needed: u64, available: u64) -> String {
    match needed {
        0 => " (the file system refused a write)".to_owned(),
        _ => format!(": {needed} bytes needed, {available} available"),
    }
}
