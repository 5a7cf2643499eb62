//! What a request says beside its body: [`UploadOptions`], [`PartOptions`], [`CompleteOptions`] and
//! [`ObjectOptions`].

use crate::values::checksum::Algorithms;
use crate::{
    Checksum, ChecksumAlgorithm, Checksums, ContentMd5, Numbering, ObjectETag, Result, Upload,
    UploadId,
};

/// What an upload is initiated with. Bytes alone are its metadata.
///
/// ```
/// use partstore::{ChecksumAlgorithm, UploadOptions};
/// let options = UploadOptions::new().metadata("color=red").checksum(ChecksumAlgorithm::Crc64Nvme);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadOptions {
    pub(crate) metadata: Vec<u8>,
    pub(crate) wanted: Algorithms,
    pub(crate) composite: Algorithms,
}

impl UploadOptions {
    /// Makes options of an upload without metadata, whose parts get only the store's own checksums.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the metadata that the object will have. The store does not read it.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Vec<u8>>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Computes this checksum of each part, beside the store's own. If it [combines], the object gets that
    /// of all its bytes (S3's `FULL_OBJECT`). Otherwise it gets the [composite](Self::composite) one.
    ///
    /// It costs a pass over the bytes while the processor has them in its cache. What is not asked for costs
    /// nothing. CRC-32 and CRC-64/XZ are always computed.
    ///
    /// [combines]: ChecksumAlgorithm::combines
    #[must_use]
    pub fn checksum(mut self, algorithm: ChecksumAlgorithm) -> Self {
        self.wanted = self.wanted.with(algorithm);
        if !algorithm.combines() {
            self.composite = self.composite.with(algorithm);
        }
        self
    }

    /// Computes this checksum of each part. The object gets the checksum of the parts' checksums (S3's
    /// `COMPOSITE`). It gets that of all its bytes, too, if the checksum [combines].
    ///
    /// CRC-64/XZ and CRC-64/NVME have no composite form, as in S3: initiating the upload is refused with
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument).
    ///
    /// [combines]: ChecksumAlgorithm::combines
    #[must_use]
    pub fn composite(mut self, algorithm: ChecksumAlgorithm) -> Self {
        self.wanted = self.wanted.with(algorithm);
        self.composite = self.composite.with(algorithm);
        self
    }
}

impl From<&[u8]> for UploadOptions {
    fn from(metadata: &[u8]) -> Self {
        Self::new().metadata(metadata)
    }
}

impl<const N: usize> From<&[u8; N]> for UploadOptions {
    fn from(metadata: &[u8; N]) -> Self {
        Self::new().metadata(metadata.as_slice())
    }
}

impl From<&Vec<u8>> for UploadOptions {
    fn from(metadata: &Vec<u8>) -> Self {
        Self::new().metadata(metadata.as_slice())
    }
}

impl From<Vec<u8>> for UploadOptions {
    fn from(metadata: Vec<u8>) -> Self {
        Self::new().metadata(metadata)
    }
}

/// What a request declares about one body. All of it is optional.
///
/// ```
/// use partstore::PartOptions;
/// let options = PartOptions::new().content_length(0).content_md5("1B2M2Y8AsgTpgAmY7PhCfg==")?;
/// assert_eq!(PartOptions::new().content_md5("not base64").unwrap_err().code(), "InvalidDigest");
/// # let _ = options;
/// # Ok::<(), partstore::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartOptions {
    pub(crate) length: Option<u64>,
    pub(crate) declared: Checksums,
    pub(crate) wanted: Algorithms,
}

impl PartOptions {
    /// Declares nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the body's length, bytes: `Content-Length`, or `x-amz-decoded-content-length`. A body of
    /// another length is refused ([R8](crate::rules#r8)).
    #[must_use]
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Declares the body's MD5 by the text of a `Content-MD5` header. A body with another MD5 is refused
    /// ([R7](crate::rules#r7)).
    ///
    /// # Errors
    /// [`Error::InvalidDigest`](crate::Error::InvalidDigest) if the text is not base64 of 16 bytes
    /// ([R6](crate::rules#r6)).
    pub fn content_md5(self, base64: &str) -> Result<Self> {
        let md5 = base64.parse::<ContentMd5>()?;
        Ok(self.md5(*md5.as_bytes()))
    }

    /// Declares the body's MD5 as 16 bytes. A body with another MD5 is refused ([R7](crate::rules#r7)).
    #[must_use]
    pub fn md5(self, md5: [u8; 16]) -> Self {
        self.checksum(Checksum::Md5(md5))
    }

    /// Declares the body's CRC-32 (ISO-HDLC, S3's `CRC32`). A body with another one is refused
    /// ([R7](crate::rules#r7)).
    #[must_use]
    pub fn crc32(self, crc: u32) -> Self {
        self.checksum(Checksum::Crc32(crc))
    }

    /// Declares the body's CRC-64/XZ (COS's `x-cos-hash-crc64ecma`). A body with another one is refused
    /// ([R7](crate::rules#r7)).
    #[must_use]
    pub fn crc64(self, crc: u64) -> Self {
        self.checksum(Checksum::Crc64Xz(crc))
    }

    /// Declares a checksum of the body. A body with another one is refused ([R7](crate::rules#r7)). The
    /// checksum is computed and kept.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.declared = self.declared.with(checksum);
        self
    }

    /// Computes and keeps this checksum of the body, beside the store's own and those that the upload asks
    /// for. So it can be declared [behind the body](crate::PartWriter::finish_with), as S3's trailers do.
    #[must_use]
    pub fn compute(mut self, algorithm: ChecksumAlgorithm) -> Self {
        self.wanted = self.wanted.with(algorithm);
        self
    }
}

/// What the current object of a key must be, for a call to take place.
///
/// It is checked in the one commit of the call. So of several calls at the same time that want no object,
/// or the same one, exactly one succeeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Anything: the call replaces or removes what it finds.
    #[default]
    Always,
    /// The key has no object (`If-None-Match: *`).
    IfAbsent,
    /// The key has an object with this ETag (`If-Match`).
    IfMatch(ObjectETag),
    /// The key has exactly the object of this upload. It is for a server that has looked at the object and
    /// decided by a rule of its own.
    IfCurrent(UploadId),
}

/// How an upload is completed.
///
/// ```
/// use partstore::{CompleteOptions, Condition};
/// let options = CompleteOptions::new().make_current(Condition::IfAbsent);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompleteOptions {
    /// `None` leaves the key alone.
    pub(crate) current: Option<Condition>,
    pub(crate) replaced: Option<Upload>,
    pub(crate) size: Option<u64>,
    pub(crate) declared: Checksums,
    pub(crate) declared_composite: Checksums,
    pub(crate) numbering: Option<Numbering>,
    pub(crate) min_part_size: Option<u64>,
}

impl CompleteOptions {
    /// Makes options of a completion that leaves the current object of the key alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the object the current one of its key, if the condition holds. The object that was the current
    /// one is removed in the same commit.
    #[must_use]
    pub fn make_current(mut self, condition: Condition) -> Self {
        self.current = Some(condition);
        self
    }

    /// Removes this object in the same commit, whatever its key. The call is refused if it does not exist.
    /// It cannot be combined with [`make_current`](Self::make_current).
    #[must_use]
    pub fn replacing(mut self, object: &Upload) -> Self {
        self.replaced = Some(object.clone());
        self
    }

    /// Sets which numbers may be listed ([R23](crate::rules#r23)). Default: as the store's
    /// [options](crate::Options::numbering) say. It is for a server that speaks several protocols.
    #[must_use]
    pub fn numbering(mut self, numbering: Numbering) -> Self {
        self.numbering = Some(numbering);
        self
    }

    /// Sets the smallest part other than the last, bytes ([R4](crate::rules#r4)). Default: as the store's
    /// [options](crate::Options::min_part_size) say.
    #[must_use]
    pub fn min_part_size(mut self, bytes: u64) -> Self {
        self.min_part_size = Some(bytes);
        self
    }

    /// Declares the size of the object, bytes (`x-amz-mp-object-size`).
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Declares a checksum of all bytes of the object ([`Object::checksums`](crate::Object::checksums)). The
    /// completion is refused if the object has another one, or none of this algorithm.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.declared = self.declared.with(checksum);
        self
    }

    /// Declares a checksum of the parts' checksums ([`Object::composite`](crate::Object::composite)),
    /// without the `-N` of a header. The completion is refused if the object has another one, or none of
    /// this algorithm.
    #[must_use]
    pub fn composite(mut self, checksum: Checksum) -> Self {
        self.declared_composite = self.declared_composite.with(checksum);
        self
    }
}

/// How an object is put or copied as a whole.
///
/// ```
/// use partstore::{Condition, ObjectOptions, PartOptions};
/// let options = ObjectOptions::new()
///     .body(PartOptions::new().content_length(5))
///     .metadata("color=red")
///     .only(Condition::IfAbsent);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    pub(crate) body: PartOptions,
    pub(crate) metadata: Option<Vec<u8>>,
    pub(crate) condition: Condition,
    /// Whether an object of one part gets the ETag of that part.
    pub(crate) whole_etag: bool,
}

impl ObjectOptions {
    /// Makes options that declare nothing, without a condition.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what is declared about the body. A copy has no body, and passes over it.
    #[must_use]
    pub fn body(mut self, declared: PartOptions) -> Self {
        self.body = declared;
        self
    }

    /// Sets the metadata of the object. The store does not read it. Default: none; a copy has that of its
    /// source.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Vec<u8>>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Gives a copy of an object of one part the ETag of that part, as if its bytes had been put as a whole.
    /// Default: the ETag of its source. An object of several parts keeps its ETag.
    #[must_use]
    pub fn whole_etag(mut self) -> Self {
        self.whole_etag = true;
        self
    }

    /// Sets what the current object of the key must be. Default [`Condition::Always`].
    #[must_use]
    pub fn only(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }
}
