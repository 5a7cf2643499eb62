//! [`PartStore`]: uploads, parts and objects. This layer alone sees both stores, and owns the order of their steps.

mod ages;
mod answers;
mod complete;
mod copy;
mod directory;
mod engine;
mod housekeeping;
mod list;
mod pages;
mod put;
mod read;
mod receiving;
mod release;
mod shared;
mod writer;

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use read::{ObjectReader, PartReader};
pub use writer::PartWriter;

use engine::Engine;
use release::Which;
use shared::Shared;

use crate::going::{Going, Reached};
use crate::id::check_key;
use crate::meta::{Change, Claim, UploadRecord, UploadState};
use crate::part::Slot;
use crate::sync::JoinHandle;
use crate::sync::Mutex;
use crate::verify::Verify;
use crate::{
    Background, CompletedPart, Error, ListObjects, ListParts, ListUploads, MaintenanceReport,
    Object, ObjectPage, Options, Part, PartNumber, PartOptions, PartPage, Progress, RecoveryReport,
    Result, Scope, Stats, SweepReport, Upload, UploadInfo, UploadPage, VerifyReport, clock,
};

/// A store of multipart uploads in one directory.
///
/// Clones are handles to the same store; all calls may come from any thread at any time. Each
/// answers when its result is durable. The last handle to go closes the store;
/// [`close`](Self::close) does so at once and says how it went.
#[derive(Clone)]
pub struct PartStore {
    handle: Arc<StoreHandle>,
}

struct StoreHandle {
    shared: Arc<Shared>,
    recovery: RecoveryReport,
    housekeeping: Mutex<Option<JoinHandle<()>>>,
    /// How closing ended, once it has.
    outcome: Mutex<Option<Result<()>>>,
}

impl PartStore {
    /// Opens the store at `path` with [`Options::cos`].
    ///
    /// # Errors
    /// As for [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::cos().open(path)
    }

    pub(crate) fn open_with(path: &Path, options: Options) -> Result<Self> {
        let (background, expire_after) = (options.background, options.expire_after);
        let engine = Engine::open(path, options)?;
        let recovery = engine.recovery.clone();
        let shared = Shared::new(engine);
        let housekeeping = match background {
            Background::Thread => Some(housekeeping::start(&shared, expire_after)?),
            Background::Host => None,
        };
        // There may be garbage from before, or orphans after a crash.
        shared.wake();
        Ok(Self {
            handle: Arc::new(StoreHandle {
                shared,
                recovery,
                housekeeping: Mutex::new(housekeeping),
                outcome: Mutex::default(),
            }),
        })
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.handle.recovery
    }

    /// Initiates an upload without metadata. See
    /// [`initiate_upload_with`](Self::initiate_upload_with).
    ///
    /// # Errors
    /// As for [`initiate_upload_with`](Self::initiate_upload_with).
    pub fn initiate_upload(&self, key: &str) -> Result<Upload> {
        self.initiate_upload_with(key, &[])
    }

    /// Initiates an upload under `key`, with opaque `metadata` that the object will have.
    ///
    /// On `Ok` the upload is durable. A key may have any number of uploads at the same time.
    ///
    /// # Cost
    /// One sync of the journal, shared with concurrent calls.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the key is empty or holds a NUL; [`Error::KeyTooLong`] above
    /// [`Options::max_key_len`]; [`Error::MetadataTooLarge`] above [`Options::max_metadata_len`];
    /// [`Error::StorageFull`]; [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::NoRandomness`];
    /// [`Error::Index`], [`Error::Io`].
    pub fn initiate_upload_with(&self, key: &str, metadata: &[u8]) -> Result<Upload> {
        let engine = self.engine()?;
        check_key(key, engine.options.max_key_len)?;
        engine.check_metadata(metadata)?;
        engine.room.check(metadata.len() as u64)?;
        engine.ages.note(engine.ids.newest());
        let upload = Upload::new(key, engine.ids.next()?);
        let record = UploadRecord {
            key: key.to_owned(),
            initiated_ms: clock::now_ms(),
            metadata_len: u32::try_from(metadata.len()).unwrap_or(u32::MAX),
            state: UploadState::Open,
        };
        let mut change = Change::default();
        change.initiate(upload.id(), &record, metadata);
        let ticket = {
            // Nobody else can ask for it yet; `verify` does.
            let _whole = engine.locks.lock(upload.id())?;
            engine.meta.commit(&change, Claim::Growth)?
        };
        engine.meta.wait(ticket)?;
        Ok(upload)
    }

    /// Puts a part whose bytes are in memory. See [`put_part_with`](Self::put_part_with).
    ///
    /// # Errors
    /// As for [`put_part_with`](Self::put_part_with).
    pub fn put_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl Into<Bytes>,
    ) -> Result<Part> {
        self.put_part_with(upload, number, body, PartOptions::new())
    }

    /// Puts a part whose bytes are in memory, and checks what was declared about them.
    ///
    /// On `Ok` content, name and metadata are durable, and the part is the one under its number: a
    /// part that was there is replaced (R11). On `Err` nothing has changed; only after
    /// [`Error::Poisoned`] and [`Error::Index`] it takes opening the store again to know. Of
    /// concurrent puts to one number the last commit wins.
    ///
    /// # Cost
    /// One pass over the bytes for the digests, one for the write. One sync of the file, one of its
    /// directory, one of the journal, which concurrent parts share. Bytes that are stored
    /// already are not written again; the first time that this process meets them it syncs and reads
    /// their file, to see that it is sound. The body is copied once on its way to the disk.
    ///
    /// # Errors
    /// [`Error::InvalidPartNumber`] above [`Options::max_part_number`] (R1);
    /// [`Error::EntityTooLarge`] above the maximum (R3); [`Error::NoSuchUpload`] when the upload is
    /// not open, or has another key (R9, R10); [`Error::IncompleteBody`] when the body is not
    /// as long as declared (R8); [`Error::BadDigest`] when a declared digest is not the body's
    /// (R7); [`Error::EntityTooSmall`] with [`MinimumAt::Put`](crate::MinimumAt::Put);
    /// [`Error::StorageFull`]; [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`], [`Error::Io`].
    pub fn put_part_with(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl Into<Bytes>,
        options: PartOptions,
    ) -> Result<Part> {
        let engine = self.engine()?;
        let part = put::put_bytes(&engine, Slot { upload, number }, body.into(), &options)?;
        self.handle.shared.notice_work(&engine);
        Ok(part)
    }

    /// Puts a part whose bytes come from a reader, to its end. What holds, costs and fails is as
    /// for [`part_writer`](Self::part_writer) and [`PartWriter::finish`].
    ///
    /// # Errors
    /// As for [`PartWriter::finish`]; [`Error::BodyUnreadable`] when the reader fails.
    pub fn put_part_from(
        &self,
        upload: &Upload,
        number: PartNumber,
        mut body: impl Read,
        options: PartOptions,
    ) -> Result<Part> {
        let mut writer = self.part_writer(upload, number, options)?;
        writer.copy_from(&mut body)?;
        writer.finish()
    }

    /// Begins to receive a part as a stream. All that can be refused before the body is refused
    /// here, so a server calls this before it answers `Expect: 100-continue`.
    ///
    /// A body holds room on the disk as it arrives, up to 16 MiB ahead: one that sends nothing holds none.
    /// So it may still be refused with [`Error::StorageFull`] when others have filled the disk before its
    /// last byte came.
    ///
    /// Memory: at most 2 MiB, whatever the part's size; 192 MiB for all bodies of the store, and 8 KiB for
    /// each beyond some 320.
    ///
    /// # Errors
    /// [`Error::InvalidPartNumber`] above [`Options::max_part_number`] (R1);
    /// [`Error::EntityTooLarge`] when the declared length is above the maximum (R3);
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key (R9);
    /// [`Error::StorageFull`] when the declared length, with what other bodies have reserved,
    /// would take the [headroom](Options::headroom); [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`];
    /// [`Error::Index`], [`Error::Io`].
    pub fn part_writer(
        &self,
        upload: &Upload,
        number: PartNumber,
        options: PartOptions,
    ) -> Result<PartWriter> {
        PartWriter::open(&self.handle.shared, Slot { upload, number }, options)
    }

    /// Puts the part that `source` reads under `number` of `upload`, without copying a byte: the new part
    /// refers to the same blob. For "Upload Part - Copy", and, part by part into a new upload, "Put
    /// Object - Copy".
    ///
    /// The source is the part as it was when `source` was opened, wherever that stands and whatever
    /// became of it since; a copy of a part onto itself is fine. The new part has its size, ETag,
    /// content and checksums, and a `stored_at` of its own. What holds on `Ok` and on `Err`, and
    /// among concurrent puts, is as for [`put_part_with`](Self::put_part_with). (A range of a part is
    /// other bytes: [`put_part_from`](Self::put_part_from) takes them from the reader.)
    ///
    /// # Cost
    /// One sync of the journal, shared with concurrent calls. The first time that this process meets the
    /// blob it is synced and read, to see that it is sound.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `source` was opened by another store, or by this one before
    /// it was closed and opened again; [`Error::InvalidPartNumber`] above
    /// [`Options::max_part_number`] (R1); [`Error::EntityTooLarge`] when the part is above the maximum
    /// (R3), which may have been lowered since it was put; [`Error::NoSuchUpload`] when `upload`
    /// is not open, or has another key (R9, R10); [`Error::EntityTooSmall`] with
    /// [`MinimumAt::Put`](crate::MinimumAt::Put); [`Error::DamagedBlob`] when the stored bytes are
    /// not what was acknowledged, as only a put of the bytes themselves repairs them;
    /// [`Error::StorageFull`] when the disk has no more than the [headroom](Options::headroom) left;
    /// [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`],
    /// [`Error::Io`].
    pub fn copy_part(
        &self,
        source: &PartReader,
        upload: &Upload,
        number: PartNumber,
    ) -> Result<Part> {
        let engine = self.engine()?;
        let part = copy::copy(&engine, source, Slot { upload, number })?;
        self.handle.shared.notice_work(&engine);
        Ok(part)
    }

    /// Lists a page of the parts of an open upload, ascending (R15, R16). [`parts`](Self::parts) lists all.
    ///
    /// # Cost
    /// One range of the index: under a microsecond a part.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key (R18);
    /// [`Error::InvalidArgument`] for a limit of 0, or above 1,000 with
    /// [`PageLimit::Refuse`](crate::PageLimit::Refuse); [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`].
    pub fn list_parts(&self, upload: &Upload, query: &ListParts) -> Result<PartPage> {
        list::parts(&*self.engine()?, upload, query)
    }

    /// All parts of an open upload, ascending, fetched in pages of 1,000 as they are asked for.
    ///
    /// Parts that are put in the meantime are listed if their numbers are still ahead. After an error the
    /// iterator ends.
    ///
    /// # Errors
    /// As for [`list_parts`](Self::list_parts).
    pub fn parts(&self, upload: &Upload) -> impl Iterator<Item = Result<Part>> {
        pages::parts(self, upload)
    }

    /// Lists a page of the open uploads by key, then by initiation (R32). [`uploads`](Self::uploads) lists all.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a limit of 0, or above 1,000 with
    /// [`PageLimit::Refuse`](crate::PageLimit::Refuse); [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`].
    pub fn list_uploads(&self, query: &ListUploads) -> Result<UploadPage> {
        list::uploads(&*self.engine()?, query)
    }

    /// All open uploads whose keys begin with `prefix`, by key, then by initiation, fetched in pages of
    /// 1,000 as they are asked for. After an error the iterator ends.
    ///
    /// # Errors
    /// As for [`list_uploads`](Self::list_uploads).
    pub fn uploads(&self, prefix: &str) -> impl Iterator<Item = Result<UploadInfo>> {
        pages::uploads(self, prefix)
    }

    /// Tells of one open upload.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when it is not open, or has another key (R9); [`Error::Closed`];
    /// [`Error::Index`], [`Error::DamagedRow`].
    pub fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        let engine = self.engine()?;
        let record = engine.open_record(upload)?;
        answers::upload(&engine, upload, &record)
    }

    /// Completes an upload to an object of the listed parts, in their order. Parts that are not
    /// listed are dropped.
    ///
    /// On `Ok` the object is durable and readable. The same call again answers the same, from any
    /// thread and after a restart (R25, R26). On `Err` the upload is as it was (R27); only after
    /// [`Error::Poisoned`] and [`Error::Index`] it takes opening the store again to know.
    ///
    /// # Cost
    /// About a microsecond a part, whatever its size: no byte of a part is read or moved (R29). One
    /// sync of the journal.
    ///
    /// # Errors
    /// [`Error::EmptyPartList`] (R19); [`Error::NoSuchUpload`] when the upload does not exist under
    /// this key, or was completed with another list (R9, R25); [`Error::InvalidPartOrder`] when
    /// numbers do not ascend (R21); [`Error::InvalidPart`] when a part was never put, has
    /// another ETag now (R22), or follows a gap with
    /// [`Numbering::Consecutive`](crate::Numbering::Consecutive) (R23); [`Error::EntityTooSmall`]
    /// when a part but the last is below the minimum (R4); [`Error::StorageFull`];
    /// [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`],
    /// [`Error::Io`].
    pub fn complete_upload(&self, upload: &Upload, parts: &[CompletedPart]) -> Result<Object> {
        let engine = self.engine()?;
        let object = complete::complete(&engine, upload, parts, None)?;
        self.handle.shared.notice_work(&engine);
        Ok(object)
    }

    /// Completes an upload, and removes the object that it takes the place of, in one commit: after a
    /// crash at any moment exactly one of the two is there.
    ///
    /// What holds on `Ok` and on `Err` is as for [`complete_upload`](Self::complete_upload). Readers of
    /// the replaced object go on, and bytes that the new object has, too, stay. Of concurrent calls that
    /// replace one object exactly one does; the others get [`Error::NoSuchObject`] and their uploads
    /// stay open, so this is a compare-and-swap of what a server believes to be current. A
    /// [listing](Self::list_objects) that goes on meanwhile may show both objects, or neither if the
    /// new one's upload is the older one.
    ///
    /// The list alone makes a completion the same: once the upload is completed, in whichever way, the same
    /// list again answers the same and removes nothing, whatever `replaced` names and whether that is
    /// there or not (R25, R26).
    ///
    /// # Cost
    /// About a microsecond a part of the upload (R29), and for each part of the replaced object what
    /// [removing](Self::remove_object) it costs. One sync of the journal.
    ///
    /// # Errors
    /// As for [`complete_upload`](Self::complete_upload); when nothing of that refuses it
    /// [`Error::NoSuchObject`] when there is no object from `replaced` under its key: it was removed
    /// or replaced, or is an open upload, as `upload` itself is.
    pub fn complete_upload_replacing(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        replaced: &Upload,
    ) -> Result<Object> {
        let engine = self.engine()?;
        let object = complete::complete(&engine, upload, parts, Some(replaced))?;
        self.handle.shared.notice_work(&engine);
        Ok(object)
    }

    /// Aborts an open upload: it and its parts are gone, durably. Bodies that are still being
    /// received get [`Error::NoSuchUpload`] when they finish (R31).
    ///
    /// # Cost
    /// One sync of the journal, and 12 to 28 us of a processor a part: three rows of it change, at places of
    /// the index that have nothing to do with each other. Where the index is larger than
    /// [its cache](Options::index_cache) they are read from the disk. Works on a full disk.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key;
    /// [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::StorageFull`] when not even the spare
    /// journal segment has room; [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`].
    pub fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.release(upload, Which::Open)
    }

    /// Removes an object: it and its parts are gone, durably. Readers that are open go on reading.
    ///
    /// # Cost
    /// As for [`abort_upload`](Self::abort_upload).
    ///
    /// # Errors
    /// [`Error::NoSuchObject`] when there is none from this upload under this key; else as for
    /// [`abort_upload`](Self::abort_upload).
    pub fn remove_object(&self, object: &Upload) -> Result<()> {
        self.release(object, Which::Completed)
    }

    fn release(&self, upload: &Upload, which: Which) -> Result<()> {
        let engine = self.engine()?;
        release::release(&engine, upload, which)?;
        self.handle.shared.notice_work(&engine);
        Ok(())
    }

    /// Aborts all uploads that were initiated longer ago than `older_than` and not completed. Gives
    /// their number (R33).
    ///
    /// The age of an upload is that by the host's clock, but at most what a clock that nobody sets has
    /// counted since the upload was initiated, or since the store was opened, beyond the age that it
    /// had then. So a clock that jumps ahead while the store is open ends no upload early. One that is ahead
    /// when the store is opened does, and so does one that was behind when an upload was initiated, once
    /// the store has been opened again.
    ///
    /// # Errors
    /// As for [`abort_upload`](Self::abort_upload), but for [`Error::NoSuchUpload`].
    pub fn expire_uploads(&self, older_than: Duration) -> Result<u64> {
        let engine = self.engine()?;
        let going = Going::until(&engine.closing);
        let mut expired = 0;
        let done = release::expire(&engine, older_than, &going).map(|number| expired = number);
        going.conclude(done)?;
        self.handle.shared.notice_work(&engine);
        Ok(expired)
    }

    /// Opens a part of an open upload for verified reading.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key;
    /// [`Error::NoSuchPart`]; [`Error::DamagedBlob`] when its file is missing or too short;
    /// [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`].
    pub fn open_part(&self, upload: &Upload, number: PartNumber) -> Result<PartReader> {
        read::open_part(&*self.engine()?, upload, number)
    }

    /// Tells of an object. It is named by the key and id of its upload, [`Object::upload`].
    ///
    /// # Errors
    /// [`Error::NoSuchObject`] when there is none from this upload under this key;
    /// [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`].
    pub fn object(&self, object: &Upload) -> Result<Object> {
        let engine = self.engine()?;
        let record = engine
            .record(object)?
            .ok_or_else(|| object.object_not_found())?;
        answers::object(&engine, object, &record)
    }

    /// Lists a page of the objects, in the order in which their uploads were initiated.
    /// [`objects`](Self::objects) lists all.
    ///
    /// Which object is the current one of a key is the server's to record. This is for a server that
    /// compares its record with what is here, after a crash between a completion and the record.
    ///
    /// # Cost
    /// Some microseconds for each object, and for each open upload that is passed over.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a limit of 0, or above 1,000 with
    /// [`PageLimit::Refuse`](crate::PageLimit::Refuse); [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`].
    pub fn list_objects(&self, query: &ListObjects) -> Result<ObjectPage> {
        list::objects(&*self.engine()?, query)
    }

    /// All objects, in the order in which their uploads were initiated, fetched in pages of 1,000 as they
    /// are asked for. After an error the iterator ends.
    ///
    /// # Errors
    /// As for [`list_objects`](Self::list_objects).
    pub fn objects(&self) -> impl Iterator<Item = Result<Object>> {
        pages::objects(self)
    }

    /// Opens an object for verified reading, whole, at any place, or by part.
    ///
    /// # Cost
    /// About a microsecond a part. Files are opened as they are read.
    ///
    /// # Errors
    /// As for [`object`](Self::object).
    pub fn open_object(&self, object: &Upload) -> Result<ObjectReader> {
        ObjectReader::open(&self.handle.shared, object)
    }

    /// Removes every blob that nothing refers to and nobody uses (I7). After an unclean open this
    /// finds what a crash left in `blobs/`, too. The housekeeping does it by itself.
    ///
    /// A file is removed only when the journal and the snapshot confirm what the index says: that nothing
    /// refers to it. A file that cannot be removed keeps none of the others; the call answers with the
    /// first such failure, and the next sweep tries again.
    ///
    /// # Cost
    /// One read of the journal and the snapshot for each 65,536 blobs that may be removed: about 2 s for
    /// 1,000,000 parts. One sync of the journal and up to 256 of directories for each 256 blobs removed.
    /// Some 200 bytes of memory for each of 65,536 blobs.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; [`Error::Closed`]; [`Error::StorageFull`]; [`Error::Index`], also when the
    /// index denies a reference that the journal knows: the store has stopped, nothing was removed, and
    /// opening it again rebuilds the index; [`Error::Damaged`] when the journal or the snapshot is not
    /// what was written; [`Error::DamagedRow`], [`Error::Io`].
    pub fn sweep(&self) -> Result<SweepReport> {
        self.sweep_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`sweep`](Self::sweep) does, tells `progress` how far it has come, and ends early when that
    /// breaks: the report says so and counts what was removed before. The next sweep does the rest.
    ///
    /// What is counted is blobs: those that may be removed, and, after an unclean open, all. It is called
    /// at the beginning, at least once for each 256 blobs and some thousand records read, and at the end.
    ///
    /// It may make any other call, but [`close`](Self::close), `sweep`, `maintain` and `verify`, which would
    /// wait for this one. Closing waits for it to return, and asks it no more.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep).
    pub fn sweep_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<SweepReport> {
        let engine = self.engine()?;
        let going = Going::telling(&engine.closing, &mut progress);
        let mut report = SweepReport::default();
        let swept = engine.sweep(&going).map(|swept| report = swept);
        report.cut_short = going.conclude(swept)? == Reached::CutShort;
        Ok(report)
    }

    /// Does one round of housekeeping: expires uploads, sweeps, and takes a snapshot when the
    /// journal has grown long. For hosts that chose [`Background::Host`]; with
    /// [`Background::Thread`] it is harmless.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep); [`Error::Damaged`] when a journal segment does not read.
    pub fn maintain(&self) -> Result<MaintenanceReport> {
        self.maintain_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`maintain`](Self::maintain) does, tells `progress` how far it has come, and ends early when
    /// that breaks: the report says so. A snapshot that is broken off changes nothing.
    ///
    /// What is counted are the blobs of the sweep, as for [`sweep_with`](Self::sweep_with): nothing is done
    /// while uploads expire, and all while the snapshot is taken. `progress` is called in all three steps,
    /// and may call what it may there.
    ///
    /// # Errors
    /// As for [`maintain`](Self::maintain).
    pub fn maintain_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<MaintenanceReport> {
        let engine = self.engine()?;
        let going = Going::telling(&engine.closing, &mut progress);
        let mut report = MaintenanceReport::default();
        let done = housekeeping::round(&engine, &going).map(|done| report = done);
        report.cut_short = going.conclude(done)? == Reached::CutShort;
        Ok(report)
    }

    /// Reads what is on disk and compares it with its checksums, and records with each other, while
    /// the store is in use. Damaged files and blobs are listed, not returned as errors.
    ///
    /// # Cost
    /// About 13 us of a processor a part; with [`Scope::Everything`] one read of all blobs.
    ///
    /// # Errors
    /// [`Error::Closed`], also when the store is closed in the meantime; [`Error::Index`],
    /// [`Error::DamagedRow`], [`Error::Io`].
    pub fn verify(&self, scope: Scope) -> Result<VerifyReport> {
        self.verify_with(scope, |_| ControlFlow::Continue(()))
    }

    /// Does what [`verify`](Self::verify) does, tells `progress` how far it has come, and ends early when
    /// that breaks: the report says so and has what was found before.
    ///
    /// What is counted is bytes: of the journal, the snapshot and the records, and with
    /// [`Scope::Everything`] of the blobs. What is added in the meantime is not counted. `progress` is called
    /// at the beginning, for each journal segment, for 256 records at the most, for each 256 KiB of a blob,
    /// and at the end.
    ///
    /// It may make any other call, but [`close`](Self::close), `sweep`, `maintain` and `verify`, which would
    /// wait for this one. Closing waits for it to return, and asks it no more.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with(
        &self,
        scope: Scope,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        let engine = self.engine()?;
        let Engine {
            meta,
            blobs,
            pins,
            locks,
            closing,
            ..
        } = &*engine;
        let going = Going::telling(closing, &mut progress);
        let verify = Verify {
            meta,
            blobs,
            pins,
            locks,
            going: &going,
        };
        let mut report = VerifyReport::default();
        let verified = verify.run(scope, &mut report);
        report.cut_short = going.conclude(verified)? == Reached::CutShort;
        Ok(report)
    }

    /// The store in numbers.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Io`] when the file system does not tell its free space.
    pub fn stats(&self) -> Result<Stats> {
        self.handle.shared.check_process()?;
        let background_failure = self.handle.shared.failure.lock().clone();
        Ok(Stats {
            background_failure,
            ..self.engine()?.stats()?
        })
    }

    /// Closes the store. From the moment that this begins every other call gets [`Error::Closed`] at once,
    /// on every handle, also writers that are not finished.
    ///
    /// Calls that are under way are waited for, and none of them takes long: `verify`, sweeps, expiry and
    /// snapshots, and puts and copies of long parts end with [`Error::Closed`] within a second or two, and
    /// leave nothing behind that a sweep does not remove. A system call that is under way is waited for. So
    /// are callbacks, such as that of [`verify_with`](Self::verify_with).
    ///
    /// Whoever else closes the store, at the same time or later, is told the same when it is closed.
    ///
    /// On `Ok` the next open is a quick one. On `Err` everything acknowledged is durable all the
    /// same, and the next open rebuilds the index. [`Error::Damaged`] is another matter: the store is
    /// closed as on `Ok`, and the next open writes the damaged files anew from the index.
    ///
    /// An index that does not answer is given up after 30 s and 1 s for each 4 MiB of its files. Then
    /// [`Error::Index`] is the answer, and threads that hang inside stay until the process ends.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; [`Error::Index`], [`Error::Io`] when the index could not be written
    /// out; [`Error::StorageFull`] when it had no room, not even that of the ballast;
    /// [`Error::Damaged`] when journal or snapshot were found damaged
    /// ([`Stats::damaged_files`]).
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    fn engine(&self) -> Result<crate::sync::MappedRwLockReadGuard<'_, Engine>, Error> {
        self.handle.shared.engine()
    }
}

impl Options {
    /// Opens the store at `path`, which is created when it is absent or an empty directory.
    ///
    /// On `Ok` the store is whole and this process has it alone.
    /// [`PartStore::recovery`] says what opening did.
    ///
    /// # Cost
    /// After a clean close one scan of the index and one of the journal: about 5 us of a processor a part.
    /// After anything else the index is rebuilt: about 20 us.
    ///
    /// # Errors
    /// [`Error::StoreLocked`] when it is open already;
    /// [`Error::NotAStore`] when the directory holds something else, or is none;
    /// [`Error::Forked`] in a forked child of a process that had opened a store;
    /// [`Error::NoSuchStore`] when there is no store and it [must exist](Self::must_exist);
    /// [`Error::NewerFormat`] when a newer version wrote it;
    /// [`Error::Damaged`] when the journal or the snapshot is not what was
    /// written, and no index that was closed with them proves what it was
    /// ([`salvage`](Options::salvage) gives back what it can);
    /// [`Error::StorageFull`] when there is no room for the
    /// index or a journal segment; [`Error::Io`] when a system call fails.
    pub fn open(self, path: impl AsRef<Path>) -> Result<PartStore> {
        PartStore::open_with(path.as_ref(), self)
    }
}

impl StoreHandle {
    fn close(&self) -> Result<()> {
        self.shared.check_process()?;
        self.shared.stop();
        // Held until the store is closed: who comes second answers only then.
        let mut outcome = self.outcome.lock();
        if outcome.is_none() {
            *outcome = Some(self.close_first());
        }
        match &*outcome {
            Some(Err(error)) => Err(error.again()),
            _ => Ok(()),
        }
    }

    fn close_first(&self) -> Result<()> {
        if let Some(thread) = self.housekeeping.lock().take() {
            self.shared.wait_for_end()?;
            // A panic there has been printed, and has no bearing on what is durable.
            let _ = thread.join();
        }
        let engine = self.shared.take_engine()?;
        engine.map_or(Err(Error::Closed), Engine::close)
    }
}

impl Drop for StoreHandle {
    fn drop(&mut self) {
        if self.shared.check_process().is_err() {
            // Nothing of it may be closed or written here: it stays for as long as this process does.
            std::mem::forget(Arc::clone(&self.shared));
        }
        // Nobody is left to be told: without a marker the next open rebuilds the index.
        let _ = self.close();
    }
}

impl std::fmt::Debug for PartStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartStore")
            .field("recovery", self.recovery())
            .finish_non_exhaustive()
    }
}
