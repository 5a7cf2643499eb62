//! [`ErrorKind`], the protocol's codes and the HTTP statuses: what a server makes of an error.

use super::Error;

/// What the caller of a failed call can do about it: [`Error::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Send another request. This one is wrong, or its upload, part or object does not exist. The store is
    /// well.
    Request,
    /// Send the same request again. It did not arrive whole, or met a failure that may pass.
    Retry,
    /// Make room on the disk or in the namespace, then send the request again. Add space, raise the quota,
    /// or abort and expire uploads.
    Room,
    /// Close the store and open it again. It has stopped, and nothing acknowledged is lost.
    Reopen,
    /// Something stored is damaged. Putting the same bytes again repairs a blob. Closing the store and
    /// opening it repairs its own files, if the index proves what they held. Otherwise restore them from a
    /// backup, or open the store with [`Options::salvage`](crate::Options::salvage).
    Restore,
    /// The store cannot be opened, or used, in this way. The message says what to change.
    Setup,
}

impl Error {
    /// Returns what the caller can do about it.
    ///
    /// ```
    /// use partstore::{ErrorKind, PartNumber};
    /// let error = PartNumber::new(0).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Request);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidPartNumber { .. }
            | Self::InvalidArgument { .. }
            | Self::KeyTooLong { .. }
            | Self::MetadataTooLarge { .. }
            | Self::EntityTooLarge { .. }
            | Self::EntityTooSmall { .. }
            | Self::InvalidDigest { .. }
            | Self::NoSuchUpload { .. }
            | Self::NoSuchObject { .. }
            | Self::NoSuchPart { .. }
            | Self::NoSuchKey { .. }
            | Self::PreconditionFailed { .. }
            | Self::NoSuchNamespace { .. }
            | Self::NamespaceExists { .. }
            | Self::NamespaceNotEmpty { .. }
            | Self::EmptyPartList
            | Self::InvalidPart { .. }
            | Self::InvalidPartOrder { .. } => ErrorKind::Request,
            Self::BadDigest { .. }
            | Self::IncompleteBody { .. }
            | Self::BodyUnreadable { .. }
            | Self::NoRandomness { .. }
            | Self::Unavailable { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Io { .. } => ErrorKind::Retry,
            Self::StorageFull { .. } | Self::QuotaExceeded { .. } => ErrorKind::Room,
            Self::Displaced { .. }
            | Self::Poisoned { .. }
            | Self::Closed
            | Self::Index { .. }
            | Self::DamagedRow { .. } => ErrorKind::Reopen,
            Self::Damaged { .. } | Self::DamagedBlob { .. } => ErrorKind::Restore,
            Self::StoreLocked { .. }
            | Self::NotAStore { .. }
            | Self::NoSuchStore { .. }
            | Self::NoSuchState { .. }
            | Self::NoBackup
            | Self::ReadOnly
            | Self::NewerFormat { .. }
            | Self::Forked => ErrorKind::Setup,
        }
    }

    /// Returns the protocol's error code, such as `"NoSuchUpload"`.
    ///
    /// The codes are those of the error tables of COS and S3. What these do not have (a locked store, a
    /// damaged file) is `InternalError`. What may pass by itself is `ServiceUnavailable`; clients send such
    /// requests again.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code_and_status().0
    }

    /// Returns the HTTP status that belongs to [`code`](Self::code).
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.code_and_status().1
    }

    fn code_and_status(&self) -> (&'static str, u16) {
        match self {
            Self::InvalidPartNumber { .. } | Self::InvalidArgument { .. } => {
                ("InvalidArgument", 400)
            }
            Self::KeyTooLong { .. } => ("KeyTooLong", 400),
            Self::MetadataTooLarge { .. } => ("MetadataTooLarge", 400),
            Self::EntityTooLarge { .. } => ("EntityTooLarge", 400),
            Self::EntityTooSmall { .. } => ("EntityTooSmall", 400),
            Self::InvalidDigest { .. } => ("InvalidDigest", 400),
            Self::BadDigest { .. } => ("BadDigest", 400),
            Self::IncompleteBody { .. } | Self::BodyUnreadable { .. } => ("IncompleteBody", 400),
            Self::NoSuchUpload { .. } => ("NoSuchUpload", 404),
            Self::NoSuchObject { .. } | Self::NoSuchKey { .. } => ("NoSuchKey", 404),
            Self::PreconditionFailed { .. } => ("PreconditionFailed", 412),
            Self::NoSuchNamespace { .. } => ("NoSuchBucket", 404),
            Self::NamespaceExists { .. } => ("BucketAlreadyExists", 409),
            Self::NamespaceNotEmpty { .. } => ("BucketNotEmpty", 409),
            Self::QuotaExceeded { .. } => ("QuotaExceeded", 403),
            Self::NoSuchPart { .. } => ("InvalidPartNumber", 416),
            Self::EmptyPartList => ("MalformedXML", 400),
            Self::InvalidPart { .. } => ("InvalidPart", 400),
            Self::InvalidPartOrder { .. } => ("InvalidPartOrder", 400),
            Self::StorageFull { .. }
            | Self::StoreLocked { .. }
            | Self::Poisoned { .. }
            | Self::Displaced { .. }
            | Self::Unavailable { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Closed => ("ServiceUnavailable", 503),
            Self::ReadOnly => ("MethodNotAllowed", 405),
            Self::NotAStore { .. }
            | Self::NoSuchStore { .. }
            | Self::NoSuchState { .. }
            | Self::NoBackup
            | Self::Forked
            | Self::NewerFormat { .. }
            | Self::Damaged { .. }
            | Self::DamagedRow { .. }
            | Self::DamagedBlob { .. }
            | Self::Index { .. }
            | Self::NoRandomness { .. }
            | Self::Io { .. } => ("InternalError", 500),
        }
    }
}
