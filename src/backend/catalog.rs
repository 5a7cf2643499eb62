//! [`Catalog`]: keeps what is known of uploads, parts, objects and namespaces.

use std::path::Path;
use std::time::Duration;

use super::completing::Completing;
use super::hold::{HeldObject, HeldPart, Hold, PartsFrom};
use super::rows::{Names, NewBlob, NewObject, NewUpload, PartRow, Renaming, StoredBlob};
#[cfg(doc)]
use crate::PartStore;
use crate::going::Going;
use crate::values::checksum::Algorithms;
use crate::{
    BackupReport, Condition, ContentHash, Error, Key, KeyPage, Namespace, NamespacePage, Object,
    ObjectPage, ObjectPart, Part, PartNumber, PartPage, Quota, Result, Scope, Stats, SweepReport,
    Transfer, Upload, UploadId, UploadInfo, UploadPage, VerifyReport,
};

/// Says whether an engine still answers. Calls that wait for others ask it now and then.
///
/// # Errors
/// [`Error::Index`](crate::Error::Index) if it does not.
pub type Watch = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// What became of a [checkpoint](Catalog::checkpoint).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// It was made.
    Taken,
    /// It would gain nothing now.
    NotDue,
    /// It has no room now. It is tried again later.
    NoRoom,
}

/// The verbs of an upload's life. [The module](super) has what holds for all of them.
///
/// A verb fails with [`Error::NoSuchUpload`] if an open upload is meant, and none has this id under this key
/// ([R9](crate::rules#r9)). In the same way it fails with [`Error::NoSuchObject`] for objects, and with
/// [`Error::NoSuchNamespace`]. Any verb may fail because the engine fails: [`Error::Index`],
/// [`Error::DamagedRow`], [`Error::Io`], and for changes [`Error::Poisoned`], [`Error::Damaged`] and
/// [`Error::StorageFull`]. Verbs that only free space succeed when the disk is full, if they can.
///
/// What a client says was checked before: keys and namespaces have an allowed length and no NUL, metadata are
/// not too long, and limits of pages are in their range.
pub trait Catalog: Send + Sync + 'static {
    /// Passes if the engine can still make changes. It is asked before a body is received.
    ///
    /// # Errors
    /// [`Error::Poisoned`], [`Error::Damaged`].
    fn check(&self) -> Result<()>;

    /// Returns what tells whether the engine still answers. By default it always does.
    fn watch(&self) -> Watch {
        Box::new(|| Ok(()))
    }

    /// Closes it. No call is under way. Holds and blob readers may still exist, and end later.
    ///
    /// # Errors
    /// As for [`PartStore::close`].
    fn close(self: Box<Self>) -> Result<()>;

    // Uploads

    /// Makes a new upload with a new id, which is greater than those before.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`].
    fn initiate(&self, key: &Key, new: &NewUpload<'_>) -> Result<Upload>;

    /// Returns an open upload.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`].
    fn upload(&self, upload: &Upload) -> Result<UploadInfo>;

    /// Passes if a part of so many bytes may be put now. Returns the checksums that the upload wants of it.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::QuotaExceeded`].
    fn admit_part(&self, upload: &Upload, bytes: u64) -> Result<Algorithms>;

    /// Makes a part the one under its number, if the upload is still open ([R10](crate::rules#r10),
    /// [R11](crate::rules#r11)). The part that had the number is gone. `blob` is the part's, if it was
    /// published for it; otherwise the catalog knows a blob with this hash. The caller holds it in both
    /// cases.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::QuotaExceeded`].
    fn commit_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        part: &PartRow,
        blob: Option<&NewBlob>,
    ) -> Result<Part>;

    /// Makes an object of an upload, as [`Completing`] says when it has seen the parts. If the upload was
    /// completed before by the [same list](Completing::identity), answers the same, and changes nothing.
    ///
    /// In the same step the object becomes the current one of its key, if there is a
    /// [condition](Completing::condition) and it holds. The object that was the current one, or that is
    /// [replaced](Completing::replaced), is removed, and so are the parts that are not listed.
    ///
    /// # Errors
    /// - [`Error::NoSuchUpload`]: also if it was completed by another list.
    /// - [`Error::PreconditionFailed`], [`Error::NoSuchKey`]: the condition does not hold.
    /// - Those of [`Completing::judge`].
    /// - [`Error::NoSuchObject`]: the object to be replaced does not exist.
    /// - [`Error::QuotaExceeded`]: the namespace may not have one more key.
    fn complete(&self, upload: &Upload, completing: &Completing<'_>) -> Result<Object>;

    /// Removes an open upload with its parts.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`].
    fn abort(&self, upload: &Upload) -> Result<()>;

    /// Removes the open uploads that were initiated longer ago than `age`, until `going` says no. Returns
    /// their number. An engine says which clock counts. It asks `spare` about each of them right before it
    /// removes it, and leaves those of which a part is being received.
    ///
    /// # Errors
    /// Only the engine's own.
    fn expire(
        &self,
        age: Duration,
        spare: &dyn Fn(UploadId) -> bool,
        going: &Going<'_>,
    ) -> Result<u64>;

    /// Gives an open upload another key. It keeps its id.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::NoSuchNamespace`], [`Error::QuotaExceeded`].
    fn rename_upload(&self, upload: &Upload, key: &Key) -> Result<Upload>;

    // Objects

    /// Passes if an object of so many bytes may be put under a key now.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`], [`Error::PreconditionFailed`], [`Error::NoSuchKey`],
    /// [`Error::QuotaExceeded`].
    fn admit_object(&self, key: &Key, condition: Condition, bytes: u64) -> Result<()>;

    /// Makes a new object, with a new id, the current one of a key, if the condition holds. The object that
    /// was the current one is removed.
    ///
    /// # Errors
    /// As for [`admit_object`](Self::admit_object).
    fn commit_object(&self, key: &Key, condition: Condition, new: &NewObject<'_>)
    -> Result<Object>;

    /// Makes an object the current one of its key, if the condition holds. The object that was the current
    /// one is removed, if it is another.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], [`Error::PreconditionFailed`], [`Error::NoSuchKey`],
    /// [`Error::QuotaExceeded`].
    fn make_current(&self, object: &Upload, condition: Condition) -> Result<()>;

    /// Replaces the metadata of an object.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`].
    fn replace_metadata(&self, object: &Upload, metadata: &[u8]) -> Result<Object>;

    /// Gives an object another key, and makes it the current one of that key. It keeps its id. Its old key
    /// has no current object afterwards, if this one was that.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], and as for [`admit_object`](Self::admit_object).
    fn rename_object(&self, object: &Upload, key: &Key, renaming: &Renaming<'_>) -> Result<Object>;

    /// Removes an object with its parts. If it is the current one of its key, the key has none afterwards.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`].
    fn remove_object(&self, object: &Upload) -> Result<()>;

    /// Removes the current object of a key, if the condition holds. Says whether the key had one.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`], [`Error::PreconditionFailed`], [`Error::NoSuchKey`].
    fn remove_key(&self, key: &Key, condition: Condition) -> Result<bool>;

    /// Returns an object.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`].
    fn object(&self, object: &Upload) -> Result<Object>;

    /// Returns the current object of a key.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::NoSuchNamespace`].
    fn object_by_key(&self, key: &Key) -> Result<Object>;

    // Blobs

    /// Holds the blob with this hash, and returns what is known of it. The hold also keeps a blob that is
    /// published later, so a caller takes it before the bytes are written.
    ///
    /// # Errors
    /// Only the engine's own.
    fn look_up(&self, content: &ContentHash) -> Result<(Hold, Option<StoredBlob>)>;

    /// Looks up the blob of a body that is about to be stored, and holds it. If the body is in memory, `bytes` is its size.
    /// An engine whose commit finds equal bytes by itself may answer that nothing is known. It then also answers for
    /// whether the blob that its commit relies on is sound.
    ///
    /// # Errors
    /// As for [`look_up`](Self::look_up).
    fn look_up_for_body(
        &self,
        content: &ContentHash,
        bytes: Option<u64>,
    ) -> Result<(Hold, Option<StoredBlob>)> {
        let _ = bytes;
        self.look_up(content)
    }

    /// Returns what is known of a blob that the hold keeps.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`] if nothing is.
    fn blob(&self, content: &ContentHash, hold: &Hold) -> Result<StoredBlob>;

    /// Says whether this catalog has given this hold, since it was opened.
    fn owns(&self, hold: &Hold) -> bool;

    /// Says that a blob was published, or may have been, and that the verb which was to refer to it was
    /// refused. A sweep checks it. The caller still holds it.
    fn uncommitted(&self, content: &ContentHash);

    /// Returns a part of an open upload, and holds its blob.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`], [`Error::NoSuchPart`].
    fn hold_part(&self, upload: &Upload, number: PartNumber) -> Result<HeldPart>;

    /// Returns an object with its first parts, or all, and holds the blobs of all.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`].
    fn hold_object(&self, object: &Upload) -> Result<HeldObject>;

    /// Returns the current object of a key in the same way.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::NoSuchNamespace`].
    fn hold_key(&self, key: &Key) -> Result<HeldObject>;

    /// Returns parts of a held object as they were when it was held, whatever became of it since: at least one
    /// and at most `most`, in order, with their places. None if it has none there. An object whose parts were
    /// all returned with its hold is not asked for, so by default there are none.
    ///
    /// # Errors
    /// Only the engine's own.
    fn held_parts(&self, hold: &Hold, from: PartsFrom, most: usize) -> Result<Vec<ObjectPart>> {
        let _ = (hold, from, most);
        Ok(Vec::new())
    }

    // Listings

    /// Lists the parts of an open upload whose numbers are above `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`].
    fn parts(&self, upload: &Upload, after: u16, limit: usize) -> Result<PartPage>;

    /// Lists open uploads by key, then by id.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`].
    fn uploads(&self, names: &Names<'_>) -> Result<UploadPage>;

    /// Lists keys that have a current object, in the order of their bytes. What is skipped should cost
    /// nothing: neither names before the first, nor those that a common prefix stands for.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`].
    fn keys(&self, names: &Names<'_>) -> Result<KeyPage>;

    /// Lists all objects of all namespaces whose ids are above `after`, by id, at most `limit`.
    ///
    /// # Errors
    /// Only the engine's own.
    fn objects(&self, after: Option<UploadId>, limit: usize) -> Result<ObjectPage>;

    // Namespaces. The one with the empty name always exists, and is not listed.

    /// # Errors
    /// [`Error::NamespaceExists`].
    fn create_namespace(&self, name: &str, quota: Quota) -> Result<()>;

    /// Removes a namespace that holds nothing: no objects and no open uploads.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`], [`Error::NamespaceNotEmpty`].
    fn remove_namespace(&self, name: &str) -> Result<()>;

    /// Sets a quota, which may be below the usage.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`].
    fn set_quota(&self, name: &str, quota: Quota) -> Result<()>;

    /// Returns a namespace with its usage, at a cost that does not grow with what it holds.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`].
    fn namespace(&self, name: &str) -> Result<Namespace>;

    /// Lists namespaces with names above `after`, in the order of their bytes, at most `limit`.
    ///
    /// # Errors
    /// Only the engine's own.
    fn namespaces(&self, after: &str, limit: usize) -> Result<NamespacePage>;

    // Upkeep

    /// Removes the blobs to which no part refers, and which no hold keeps ([I7](crate::rules#i7)), until
    /// `going` says no.
    ///
    /// Catalog and blob store of an engine know each other here: in which order rows and bytes are removed
    /// differs by engine, and is the engine's promise.
    ///
    /// # Errors
    /// The first failure. What can be removed all the same, is.
    fn sweep(&self, going: &Going<'_>) -> Result<SweepReport>;

    /// How long a sweep that no caller asked for should still wait. Zero if it is due.
    fn sweep_rests(&self) -> Duration {
        Duration::ZERO
    }

    /// Says whether a sweep or a checkpoint has something to do.
    fn has_work(&self) -> bool;

    /// Does what keeps the engine quick, if it is due. By default nothing is.
    ///
    /// # Errors
    /// Only the engine's own.
    fn checkpoint(&self, going: &Going<'_>) -> Result<Checkpoint> {
        let _ = going;
        Ok(Checkpoint::NotDue)
    }

    /// Compares what is kept with itself and, with [`Scope::Everything`], the bytes of all blobs with their
    /// hashes. If `going` says no, the report has what was found before.
    ///
    /// Blobs are compared in the order of their hashes, and [`Going::reach`] is told of each when all before it are. With
    /// `behind` those up to it are left out, and all that is no blob.
    ///
    /// # Errors
    /// [`Error::Closed`] if `going` says no.
    fn verify(
        &self,
        scope: Scope,
        behind: Option<&ContentHash>,
        going: &Going<'_>,
        report: &mut VerifyReport,
    ) -> Result<()>;

    /// Takes a backup of the rows as of one moment, with the blobs that they need, in a directory. By default
    /// that is left to the tools of the database and the bucket.
    ///
    /// # Errors
    /// [`Error::NoBackup`] if the engine takes none. [`Error::Closed`] if `going` says no; `report` then has what
    /// was done before.
    fn back_up(
        &self,
        into: &Path,
        transfer: Transfer,
        going: &Going<'_>,
        report: &mut BackupReport,
    ) -> Result<()> {
        let _ = (into, transfer, going, report);
        Err(Error::NoBackup)
    }

    /// Fills in what it knows of the store's numbers.
    ///
    /// # Errors
    /// Only the engine's own.
    fn stats(&self, stats: &mut Stats) -> Result<()>;
}
