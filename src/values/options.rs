//! [`Options`] of a store: what its owner chooses.

use std::path::PathBuf;
use std::time::Duration;

use crate::values::observer::Witness;
use crate::{MAX_KEY_LEN, Observer, PartNumber};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// The limits and habits of a store.
///
/// [`cos`](Options::cos), the default, follows Tencent COS. [`s3`](Options::s3) follows Amazon S3. Every
/// limit can be changed. The directory keeps none of them, so each open may choose other options.
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
    pub(crate) etag: ETagKind,
    pub(crate) page_limit: PageLimit,
    pub(crate) max_metadata_len: usize,
    pub(crate) headroom: u64,
    pub(crate) index_cache: u64,
    pub(crate) body_memory: u64,
    pub(crate) put_by_hash: bool,
    pub(crate) background: Background,
    pub(crate) expire_after: Option<Duration>,
    pub(crate) journal: JournalOptions,
    pub(crate) making: Making,
    pub(crate) salvaging: Salvaging,
    pub(crate) trusts_index: bool,
    /// Where a copy of the metadata is made, if the store is only read.
    pub(crate) read_in: Option<PathBuf>,
    /// Permissions of files.
    pub(crate) mode: u32,
    pub(crate) witness: Witness,
}

/// What an open does where no store exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Making {
    /// It makes one.
    Allowed,
    /// It fails.
    Refused,
}

/// When the smallest part size is enforced ([R4](crate::rules#r4)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MinimumAt {
    /// When the upload is completed, for every listed part but the last. COS and S3 do this, because a put
    /// cannot know which part will be the last.
    Complete,
    /// When the upload is completed, and also when a part is put. This is for clients that never send a
    /// smaller last part.
    Put,
}

/// Which part numbers a completion may list ([R23](crate::rules#r23)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Numbering {
    /// Each number is one above the number before it (COS). The first number is free.
    Consecutive,
    /// Numbers ascend, and gaps are allowed (S3).
    Ascending,
}

/// What the answer to a page length above 1,000 is ([R16](crate::rules#r16)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageLimit {
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) (COS).
    Refuse,
    /// A page of 1,000 (S3).
    Clamp,
}

/// What the ETag of a part is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ETagKind {
    /// The MD5 of its bytes, as most servers have it.
    #[default]
    Md5,
    /// The first 20 bytes of the BLAKE3 hash of its bytes. Both protocols allow an ETag that is not an
    /// MD5. The MD5 is computed only for a body that declares it.
    Opaque,
}

/// Who does the store's housekeeping: sweeps, checkpoints and expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// One thread named `partstore`. It works as soon as there is work to do. What a sweep finds in use it looks for
    /// again after a second, then after two, and so on up to a minute.
    Thread,
    /// The caller, with [`maintain`](crate::PartStore::maintain).
    Host,
}

/// Whether an open of a damaged store gives back what can be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Salvaging {
    Refused,
    Allowed,
}

/// When the journal begins a new segment, and when a layer replaces it. Small values make both frequent,
/// for tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalOptions {
    /// Size of a segment file, bytes.
    pub segment_len: u64,
    /// A layer replaces the journal when so many bytes have been added since the last one.
    pub checkpoint_at: u64,
    /// A fold of the journal writes its rows to a file (a run) when they take more than this, bytes.
    pub spill_at: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self::cos()
    }
}

impl Options {
    /// The rules of COS. Parts have at most 5 GiB, and all but the last at least 1 MiB. Their numbers are
    /// consecutive. A page length above 1,000 is refused.
    #[must_use]
    pub fn cos() -> Self {
        Self {
            min_part_size: MIB,
            min_size_at: MinimumAt::Complete,
            max_part_size: 5 * GIB,
            max_part_number: PartNumber::MAX,
            max_key_len: MAX_KEY_LEN,
            numbering: Numbering::Consecutive,
            etag: ETagKind::Md5,
            page_limit: PageLimit::Refuse,
            max_metadata_len: 8 * 1024,
            headroom: 64 * MIB,
            index_cache: 32 * MIB,
            body_memory: 192 * MIB,
            put_by_hash: false,
            background: Background::Thread,
            expire_after: None,
            journal: JournalOptions {
                segment_len: 8 * MIB,
                checkpoint_at: 16 * MIB,
                spill_at: 16 * 1024 * 1024,
            },
            making: Making::Allowed,
            salvaging: Salvaging::Refused,
            trusts_index: true,
            read_in: None,
            mode: 0o600,
            witness: Witness::default(),
        }
    }

    /// The rules of S3. Parts have at most 5 GiB, and all but the last at least 5 MiB. Gaps between numbers
    /// are allowed. A page length above 1,000 is clamped.
    #[must_use]
    pub fn s3() -> Self {
        Self {
            min_part_size: 5 * MIB,
            numbering: Numbering::Ascending,
            page_limit: PageLimit::Clamp,
            ..Self::cos()
        }
    }

    /// Sets the smallest size of a listed part other than the last, bytes, inclusive
    /// ([R4](crate::rules#r4)). 0 allows any size. Default 1 MiB ([`cos`](Self::cos)) or 5 MiB
    /// ([`s3`](Self::s3)).
    #[must_use]
    pub fn min_part_size(mut self, bytes: u64) -> Self {
        self.min_part_size = bytes;
        self
    }

    /// Sets when [`min_part_size`](Self::min_part_size) is enforced. Default [`MinimumAt::Complete`].
    #[must_use]
    pub fn min_part_size_at(mut self, at: MinimumAt) -> Self {
        self.min_size_at = at;
        self
    }

    /// Sets the largest size of a part, bytes, inclusive ([R3](crate::rules#r3)). Default 5 GiB.
    #[must_use]
    pub fn max_part_size(mut self, bytes: u64) -> Self {
        self.max_part_size = bytes;
        self
    }

    /// Sets the largest part number, inclusive ([R1](crate::rules#r1)). Default 10,000, which is also the
    /// most.
    #[must_use]
    pub fn max_part_number(mut self, number: PartNumber) -> Self {
        self.max_part_number = number;
        self
    }

    /// Sets the longest object key, bytes, inclusive: `1..=1024`. Larger values count as 1024. Default
    /// 1024.
    #[must_use]
    pub fn max_key_len(mut self, bytes: usize) -> Self {
        self.max_key_len = bytes.min(MAX_KEY_LEN);
        self
    }

    /// Sets which part numbers a completion may list ([R23](crate::rules#r23)). Default
    /// [`Numbering::Consecutive`] ([`cos`](Self::cos)) or [`Numbering::Ascending`] ([`s3`](Self::s3)).
    #[must_use]
    pub fn numbering(mut self, numbering: Numbering) -> Self {
        self.numbering = numbering;
        self
    }

    /// Sets what the ETags of new parts are. Default [`ETagKind::Md5`]. Parts keep the ETags that they were
    /// put with.
    #[must_use]
    pub fn etag(mut self, kind: ETagKind) -> Self {
        self.etag = kind;
        self
    }

    /// Sets what the answer to a page length above 1,000 is. Default [`PageLimit::Refuse`]
    /// ([`cos`](Self::cos)) or [`PageLimit::Clamp`] ([`s3`](Self::s3)).
    #[must_use]
    pub fn page_limit(mut self, limit: PageLimit) -> Self {
        self.page_limit = limit;
        self
    }

    /// Sets the longest metadata of an upload, bytes, inclusive: `0..=65_536`. Larger values count as
    /// 65,536. Default 8 KiB.
    #[must_use]
    pub fn max_metadata_len(mut self, bytes: usize) -> Self {
        self.max_metadata_len = bytes.min(64 * 1024);
        self
    }

    /// Sets how much of the disk bodies leave free for the journal and the index, bytes. Default 64 MiB.
    ///
    /// A body that would leave less is refused with [`Error::StorageFull`](crate::Error::StorageFull).
    #[must_use]
    pub fn headroom(mut self, bytes: u64) -> Self {
        self.headroom = bytes;
        self
    }

    /// Sets the memory for the pages of the query index, bytes, at least 1 MiB. Default 32 MiB. The process
    /// uses two to four times as much for the index.
    #[must_use]
    pub fn index_cache(mut self, bytes: u64) -> Self {
        self.index_cache = bytes.max(MIB);
        self
    }

    /// Sets the memory of all incoming bodies together, bytes, at least 3 MiB. Default 192 MiB. Each body beyond
    /// has 8 KiB.
    ///
    /// Two thirds are buffers of 2 MiB, which large bodies need to be written at the speed of the disk.
    #[must_use]
    pub fn body_memory(mut self, bytes: u64) -> Self {
        self.body_memory = bytes.max(3 * MIB);
        self
    }

    /// Allows [`put_part_by_hash`](crate::PartStore::put_part_by_hash). Default: it is refused.
    ///
    /// Whoever may call it gets any stored bytes of which they know the hash. So allow it only to callers who are
    /// trusted to have the bytes, such as your own servers, and never pass on a hash that a client has named.
    #[must_use]
    pub fn put_by_hash(mut self) -> Self {
        self.put_by_hash = true;
        self
    }

    /// Sets who does the housekeeping. Default [`Background::Thread`].
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Makes the housekeeping abort uploads that were initiated longer ago than this and are not completed
    /// ([R33](crate::rules#r33)). [`expire_uploads`](crate::PartStore::expire_uploads) says how their age
    /// is found. Default: never.
    #[must_use]
    pub fn expire_uploads_after(mut self, age: Duration) -> Self {
        self.expire_after = Some(age);
        self
    }

    /// Refuses to make a new store. Where none exists, [`open`](Self::open) answers
    /// [`Error::NoSuchStore`](crate::Error::NoSuchStore). Default: a store is made.
    ///
    /// Use this in a server whose store exists. If the file system is not mounted, or has lost the store,
    /// the server must not continue in an empty directory.
    #[must_use]
    pub fn must_exist(mut self) -> Self {
        self.making = Making::Refused;
        self
    }

    /// Sets the permissions of the files that the store makes: `0o000..=0o777`. Higher bits are ignored.
    /// The owner can always read and write the files. Default `0o600`.
    ///
    /// Directories get the same permissions, and whoever may read their files may also search them: `0o700`
    /// by default. The umask of the process removes bits as usual. Existing files and directories keep
    /// their permissions. sled makes the files in `meta/index/` with its own; only the permissions of the
    /// directory protect them.
    #[must_use]
    pub fn mode(mut self, bits: u32) -> Self {
        self.mode = bits & 0o777 | 0o600;
        self
    }

    /// Makes the index anew from the journal and the layers, whatever there is of it. Nothing is lost by that, and no
    /// open needs it: an index that is not proven is made anew anyway. It is for somebody who distrusts the disk or the
    /// index's file. [`RecoveryReport::index`](crate::RecoveryReport::index) says that it was done.
    #[must_use]
    pub fn rebuild_index(mut self) -> Self {
        self.trusts_index = false;
        self
    }

    /// Gives back all that can still be proven, when an ordinary open answers
    /// [`Error::Damaged`](crate::Error::Damaged). An undamaged store opens as usual. So does a damaged one
    /// if its index proves what the files held.
    ///
    /// These are proof: the whole frames of the journal before and behind the damage; the whole rows of the
    /// layers and of the index; and the bytes of blobs, whose name is their hash. Of two proofs the newer
    /// one counts. Nothing is given back as whole unless all of it is proven: an object that lacks parts
    /// becomes an open upload again. [`RecoveryReport::salvaged`](crate::RecoveryReport::salvaged) lists
    /// what is lost.
    ///
    /// Nothing is removed. The old journal, layers and index are moved to `meta/salvaged-<batch>/`, and
    /// so are blobs that no part refers to any more. A salvage needs room for a layer of all rows and a segment. If
    /// it is interrupted, the next open finishes it or begins it again.
    #[must_use]
    pub fn salvage(mut self) -> Self {
        self.salvaging = Salvaging::Allowed;
        self
    }

    /// Only reads a store that exists. Nothing of it is changed, so its file system may be mounted read-only, and this user
    /// may lack the right to write.
    ///
    /// Use this for a snapshot that the file system has made of a running store, for a copy, or to look before a repair. As
    /// any open does, it answers [`Error::StoreLocked`](crate::Error::StoreLocked) if a process has the store open. While it
    /// is open here, others may read it, too, and nobody can open it otherwise.
    ///
    /// The journal, the layers and a proven index are copied to a new directory below `scratch`, which must exist, outside of
    /// the store. They take about 400 bytes a part, and some 300 MiB more. They are opened there, and repaired there if they
    /// must be. The close removes them; a kill leaves them, as `partstore-view-<16 hex digits>`. Errors about metadata name
    /// files of the copy. Every change answers [`Error::ReadOnly`](crate::Error::ReadOnly), and there is no housekeeping.
    /// Backups are copies or reflinks.
    ///
    /// It is for the embedded engine: [`open_on`](Self::open_on) refuses it.
    #[must_use]
    pub fn read_only(mut self, scratch: impl Into<PathBuf>) -> Self {
        self.read_in = Some(scratch.into());
        self
    }

    /// Makes the store tell this observer what it does. Default: nobody is told, and nothing is measured.
    ///
    /// A second observer replaces the first.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.witness = Witness::of(observer);
        self
    }

    /// Returns what an [engine](crate::backend) tells its own events to.
    #[must_use]
    pub fn witness(&self) -> Witness {
        self.witness.clone()
    }

    /// Sets the size of a journal segment, and how much is added to the journal before a layer replaces it, bytes.
    /// Not part of the API: for tests that want both to change often.
    #[doc(hidden)]
    #[must_use]
    pub fn journal_sizes(mut self, segment_len: u64, checkpoint_at: u64) -> Self {
        self.journal = JournalOptions {
            segment_len: segment_len.max(4096),
            checkpoint_at,
            ..self.journal
        };
        self
    }

    /// Sets how many bytes of rows a fold keeps in memory before it writes them to a file. Not part of the
    /// API: for tests that want many such files.
    #[doc(hidden)]
    #[must_use]
    pub fn fold_in_memory(mut self, bytes: usize) -> Self {
        self.journal.spill_at = bytes;
        self
    }
}
