//! [`Options`] of a store and [`PartOptions`] of one part: what a caller chooses.

use std::time::Duration;

use crate::{ContentMd5, MAX_KEY_LEN, PartNumber, Result};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// The limits and habits of a store.
///
/// [`cos`](Options::cos) (the default) follows Tencent COS, [`s3`](Options::s3) Amazon S3; every
/// limit can be changed. None of this is written to the directory: a store may be opened with other
/// options each time.
///
/// ```
/// use partstore::{Options, PageLimit};
/// let options = Options::s3().max_part_size(100 << 20).page_limit(PageLimit::Refuse);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) min_part_size: u64,
    pub(crate) min_size_at: MinimumAt,
    pub(crate) max_part_size: u64,
    pub(crate) max_part_number: PartNumber,
    pub(crate) max_key_len: usize,
    pub(crate) numbering: Numbering,
    pub(crate) page_limit: PageLimit,
    pub(crate) max_metadata_len: usize,
    pub(crate) headroom: u64,
    pub(crate) index_cache: u64,
    pub(crate) background: Background,
    pub(crate) expire_after: Option<Duration>,
    pub(crate) journal: JournalOptions,
    pub(crate) making: Making,
    pub(crate) salvaging: Salvaging,
    /// Permissions of files.
    pub(crate) mode: u32,
}

/// What opening does where there is no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Making {
    /// It makes one.
    Allowed,
    /// It fails.
    Refused,
}

/// Where the smallest part size is enforced ([R4](crate::rules#r4)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MinimumAt {
    /// When the upload is completed, for every listed part but the last. What COS and S3 do: at put
    /// time nobody knows which part will be the last.
    Complete,
    /// When the upload is completed, and already when a part is put: for clients that never send a
    /// smaller last part.
    Put,
}

/// Which part numbers a completion may list ([R23](crate::rules#r23)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Numbering {
    /// Each number is one above the one before (COS). The first may be any.
    Consecutive,
    /// Numbers ascend, gaps are allowed (S3).
    Ascending,
}

/// What a page length over 1,000 gets ([R16](crate::rules#r16)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageLimit {
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) (COS).
    Refuse,
    /// A page of 1,000 (S3).
    Clamp,
}

/// Who does the store's housekeeping: sweeping, snapshots, expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// One thread named `partstore`, as soon as there is something to do.
    Thread,
    /// The host, by calling [`maintain`](crate::PartStore::maintain).
    Host,
}

/// Whether an open gives back what can be proven of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Salvaging {
    Refused,
    Allowed,
}

/// When the journal moves on. Small values make snapshots and segment changes frequent, for tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalOptions {
    /// Size of a segment file, bytes.
    pub segment_len: u64,
    /// The journal is never rewritten as a snapshot while it is shorter than this, bytes.
    pub snapshot_at: u64,
    /// A fold of the journal writes rows out to a run when they take more than this, bytes.
    pub spill_at: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self::cos()
    }
}

impl Options {
    /// COS: parts of 1 MiB to 5 GiB, completed with consecutive numbers; page lengths over 1,000
    /// are refused.
    #[must_use]
    pub fn cos() -> Self {
        Self {
            min_part_size: MIB,
            min_size_at: MinimumAt::Complete,
            max_part_size: 5 * GIB,
            max_part_number: PartNumber::MAX,
            max_key_len: MAX_KEY_LEN,
            numbering: Numbering::Consecutive,
            page_limit: PageLimit::Refuse,
            max_metadata_len: 8 * 1024,
            headroom: 64 * MIB,
            index_cache: 32 * MIB,
            background: Background::Thread,
            expire_after: None,
            journal: JournalOptions {
                segment_len: 8 * MIB,
                snapshot_at: 64 * MIB,
                spill_at: 16 * 1024 * 1024,
            },
            making: Making::Allowed,
            salvaging: Salvaging::Refused,
            mode: 0o600,
        }
    }

    /// S3: parts of 5 MiB to 5 GiB, completed with gaps allowed; page lengths over 1,000 are
    /// clamped.
    #[must_use]
    pub fn s3() -> Self {
        Self {
            min_part_size: 5 * MIB,
            numbering: Numbering::Ascending,
            page_limit: PageLimit::Clamp,
            ..Self::cos()
        }
    }

    /// The smallest part but the last of a completion, bytes, inclusive; 0 allows any ([R4](crate::rules#r4)).
    #[must_use]
    pub fn min_part_size(mut self, bytes: u64) -> Self {
        self.min_part_size = bytes;
        self
    }

    /// Where [`min_part_size`](Self::min_part_size) is enforced. Default [`MinimumAt::Complete`].
    #[must_use]
    pub fn min_part_size_at(mut self, at: MinimumAt) -> Self {
        self.min_size_at = at;
        self
    }

    /// The largest part, bytes, inclusive ([R3](crate::rules#r3)). Default 5 GiB.
    #[must_use]
    pub fn max_part_size(mut self, bytes: u64) -> Self {
        self.max_part_size = bytes;
        self
    }

    /// The largest part number, inclusive ([R1](crate::rules#r1)). Default, and the most, 10,000.
    #[must_use]
    pub fn max_part_number(mut self, number: PartNumber) -> Self {
        self.max_part_number = number;
        self
    }

    /// The longest object key, bytes, inclusive: `1..=1024`, larger values are taken as 1024, the
    /// default.
    #[must_use]
    pub fn max_key_len(mut self, bytes: usize) -> Self {
        self.max_key_len = bytes.min(MAX_KEY_LEN);
        self
    }

    /// Which part numbers a completion may list.
    #[must_use]
    pub fn numbering(mut self, numbering: Numbering) -> Self {
        self.numbering = numbering;
        self
    }

    /// What a page length over 1,000 gets.
    #[must_use]
    pub fn page_limit(mut self, limit: PageLimit) -> Self {
        self.page_limit = limit;
        self
    }

    /// The longest metadata of an upload, bytes, inclusive: `0..=65_536`, larger values are taken
    /// as 65,536. Default 8 KiB.
    #[must_use]
    pub fn max_metadata_len(mut self, bytes: usize) -> Self {
        self.max_metadata_len = bytes.min(64 * 1024);
        self
    }

    /// Room on the disk that bodies leave free for the journal and the index, bytes. Default 64
    /// MiB.
    ///
    /// A body that would go below is refused with
    /// [`Error::StorageFull`](crate::Error::StorageFull).
    #[must_use]
    pub fn headroom(mut self, bytes: u64) -> Self {
        self.headroom = bytes;
        self
    }

    /// Memory for the pages of the query index, bytes, at least 1 MiB. Default 32 MiB; the process
    /// uses two to four times as much for it.
    #[must_use]
    pub fn index_cache(mut self, bytes: u64) -> Self {
        self.index_cache = bytes.max(MIB);
        self
    }

    /// Who does the housekeeping. Default [`Background::Thread`].
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Aborts uploads that were initiated longer ago than this and not completed ([R33](crate::rules#r33)), as part of
    /// the housekeeping. How their age is told: [`expire_uploads`](crate::PartStore::expire_uploads).
    /// Default: never.
    #[must_use]
    pub fn expire_uploads_after(mut self, age: Duration) -> Self {
        self.expire_after = Some(age);
        self
    }

    /// Refuses to make a new store: [`open`](Self::open) answers
    /// [`Error::NoSuchStore`](crate::Error::NoSuchStore) where there is none. For a server whose store
    /// exists: it must not go on in an empty directory when the file system is not mounted, or has lost the
    /// store. Default: a store is made.
    #[must_use]
    pub fn must_exist(mut self) -> Self {
        self.making = Making::Refused;
        self
    }

    /// Permissions of the files that the store makes: `0o000..=0o777`, higher bits are passed over. Its
    /// owner can always read and write them. Default `0o600`.
    ///
    /// Directories get the same, and may be searched by whom their files may be read by: `0o700` by
    /// default. The process's umask takes bits away as usual. Files and directories that exist stay as they
    /// are, and so do those that sled makes in `meta/index/`, which only the directory's permissions guard.
    #[must_use]
    pub fn mode(mut self, bits: u32) -> Self {
        self.mode = bits & 0o777 | 0o600;
        self
    }

    /// Gives back all that can still be proven when an ordinary open answers
    /// [`Error::Damaged`](crate::Error::Damaged). An undamaged store opens as without this, and so does one
    /// that its index proves.
    ///
    /// Proof are the whole frames of the journal before and behind the damage, the whole rows of the snapshot
    /// and of the index, and the bytes of blobs, which have their hash for a name. Of two proofs the newer
    /// counts. What is not proven whole is never given as whole: an object that lacks parts is an open upload
    /// again. [`RecoveryReport::salvaged`](crate::RecoveryReport::salvaged) lists what is lost.
    ///
    /// Nothing is removed: the old journal, snapshot and index, and blobs that no part refers to any more,
    /// are moved to `meta/salvaged-<batch>/`. It takes room for a snapshot and a segment. A salvage that is cut
    /// short is finished, or begun again, by the next open.
    #[must_use]
    pub fn salvage(mut self) -> Self {
        self.salvaging = Salvaging::Allowed;
        self
    }

    /// Size of a journal segment and the journal's length at which a snapshot replaces it, bytes.
    /// Not part of the API: for tests that want both to change often.
    #[doc(hidden)]
    #[must_use]
    pub fn journal_sizes(mut self, segment_len: u64, snapshot_at: u64) -> Self {
        self.journal = JournalOptions {
            segment_len: segment_len.max(4096),
            snapshot_at,
            ..self.journal
        };
        self
    }

    /// How many bytes of rows are folded in memory before they go to a file. Not part of the API: for
    /// tests that want many such files.
    #[doc(hidden)]
    #[must_use]
    pub fn fold_in_memory(mut self, bytes: usize) -> Self {
        self.journal.spill_at = bytes;
        self
    }
}

/// What a request declares about one part's body. All of it is optional.
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
    pub(crate) md5: Option<ContentMd5>,
    pub(crate) crc32: Option<u32>,
    pub(crate) crc64: Option<u64>,
}

impl PartOptions {
    /// Declares nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the body's length, bytes (`Content-Length`, or `x-amz-decoded-content-length`). A
    /// body of another length is refused ([R8](crate::rules#r8)).
    #[must_use]
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Declares the body's MD5 by the text of a `Content-MD5` header. Another body is refused ([R7](crate::rules#r7)).
    ///
    /// # Errors
    /// [`Error::InvalidDigest`](crate::Error::InvalidDigest) unless it is base64 of 16 bytes ([R6](crate::rules#r6)).
    pub fn content_md5(mut self, base64: &str) -> Result<Self> {
        self.md5 = Some(base64.parse()?);
        Ok(self)
    }

    /// Declares the body's MD5 as 16 bytes.
    #[must_use]
    pub fn md5(mut self, md5: [u8; 16]) -> Self {
        self.md5 = Some(md5.into());
        self
    }

    /// Declares the body's CRC-32 (ISO-HDLC, S3's `CRC32`).
    #[must_use]
    pub fn crc32(mut self, crc: u32) -> Self {
        self.crc32 = Some(crc);
        self
    }

    /// Declares the body's CRC-64/XZ (COS's `x-cos-hash-crc64ecma`).
    #[must_use]
    pub fn crc64(mut self, crc: u64) -> Self {
        self.crc64 = Some(crc);
        self
    }
}
