//! Parts: put, copied, listed and read.

use std::io::Read;
#[cfg(not(shuttle))]
use std::{ops::ControlFlow, os::fd::AsFd, path::Path};

use bytes::Bytes;

use super::{PartReader, PartStore, PartWriter, copy, pages, put, stored};
#[cfg(not(shuttle))]
use crate::local::file::Foreign;
use crate::spans::span;
use crate::values::part::Slot;
use crate::{
    ContentHash, ListParts, Part, PartNumber, PartOptions, PartPage, Result, Upload, rules,
};
#[cfg(doc)]
use crate::{Error, Options};
#[cfg(not(shuttle))]
use crate::{ExportOptions, ExportReport};

impl PartStore {
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
    /// On `Ok` content, name and metadata are durable. The part is now the one under its number, and the
    /// part that had the number before is replaced ([R11](crate::rules#r11)). On `Err` nothing has changed.
    /// Only after [`Error::Poisoned`] and [`Error::Index`] the store must be opened again to know. Of
    /// concurrent puts to one number, the last commit wins.
    ///
    /// # Cost
    /// One pass over the bytes for the digests, one for the write. Three syncs: the file, its directory and
    /// the journal. Concurrent parts share the journal's sync. The body is copied once on its way to the
    /// disk.
    ///
    /// Bytes that are already stored are not written again. The first time that this process relies on a
    /// stored blob, it also syncs and reads its file once.
    ///
    /// # Errors
    /// - [`Error::InvalidPartNumber`]: the number is above [`Options::max_part_number`]
    ///   ([R1](crate::rules#r1)).
    /// - [`Error::EntityTooLarge`]: the body is above the maximum ([R3](crate::rules#r3)).
    /// - [`Error::NoSuchUpload`]: the upload is not open, or has another key ([R9](crate::rules#r9),
    ///   [R10](crate::rules#r10)).
    /// - [`Error::IncompleteBody`]: the body is not as long as declared ([R8](crate::rules#r8)).
    /// - [`Error::BadDigest`]: a declared digest is not the body's ([R7](crate::rules#r7)).
    /// - [`Error::EntityTooSmall`]: the body is below the minimum, with
    ///   [`MinimumAt::Put`](crate::MinimumAt::Put).
    /// - [`Error::StorageFull`], [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the disk is
    ///   full, or the store has stopped, is damaged or closed.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn put_part_with(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl Into<Bytes>,
        options: PartOptions,
    ) -> Result<Part> {
        let body = body.into();
        let _span = span!(DEBUG, "put_part", upload = %upload.id(), number = number.get(), bytes = body.len());
        self.change(|session| put::put_bytes(session, Slot { upload, number }, body, &options))
    }

    /// Puts a part whose bytes come from a reader, which is read to its end. Results and costs are those of
    /// [`part_writer`](Self::part_writer) and [`PartWriter::finish`].
    ///
    /// # Errors
    /// As for [`part_writer`](Self::part_writer) and [`PartWriter::finish`], and [`Error::BodyUnreadable`]
    /// if the reader fails.
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

    /// Begins to receive a part as a stream. All that can be refused before the body is refused here. So a
    /// server calls this before it answers `Expect: 100-continue`.
    ///
    /// A body reserves room on the disk as it arrives, up to 16 MiB ahead. A body that sends nothing
    /// reserves none. So a body may still be refused with [`Error::StorageFull`] later, if others have
    /// filled the disk before its last byte came.
    ///
    /// Memory: at most 2 MiB, whatever the part's size. All bodies of the store together have at most 192
    /// MiB, and 8 KiB for each beyond some 320.
    ///
    /// # Errors
    /// - [`Error::InvalidPartNumber`]: the number is above [`Options::max_part_number`]
    ///   ([R1](crate::rules#r1)).
    /// - [`Error::EntityTooLarge`]: the declared length is above the maximum ([R3](crate::rules#r3)).
    /// - [`Error::NoSuchUpload`]: the upload is not open, or has another key ([R9](crate::rules#r9)).
    /// - [`Error::StorageFull`]: the declared length, with what other bodies have reserved, does not fit
    ///   above the [headroom](Options::headroom).
    /// - [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the store has stopped, is damaged or
    ///   closed.
    /// - [`Error::Index`], [`Error::Io`]: the index or a system call failed.
    pub fn part_writer(
        &self,
        upload: &Upload,
        number: PartNumber,
        options: PartOptions,
    ) -> Result<PartWriter> {
        PartWriter::open(&self.handle.shared, Slot { upload, number }, options)
    }

    /// Puts a part of all bytes of a file, from its first to its last. Where the file system shares bytes (a reflink:
    /// btrfs, xfs), none is written. Elsewhere the file is read as [`put_part_from`](Self::put_part_from) reads it.
    ///
    /// The file is the caller's before and after, and its position stays where it is. Who writes to it later does not
    /// change the part. Without a reflink, who writes to it meanwhile makes a mixture of it.
    ///
    /// # Cost
    /// One read of the file for the digests, and the syncs of [`put_part_with`](Self::put_part_with). Without a reflink
    /// also the write.
    ///
    /// # Errors
    /// As for [`put_part_with`](Self::put_part_with), and [`Error::BodyUnreadable`] if the file cannot be read.
    #[cfg(not(shuttle))]
    pub fn put_part_from_file(
        &self,
        upload: &Upload,
        number: PartNumber,
        file: impl AsFd,
        options: PartOptions,
    ) -> Result<Part> {
        let (slot, file) = (Slot { upload, number }, file.as_fd());
        let shared = self.change(|session| stored::put_file(session, slot, file, &options));
        match shared? {
            Some(part) => Ok(part),
            None => self.put_part_from(upload, number, Foreign::new(file), options),
        }
    }

    /// Puts a part of bytes that are stored already, by their BLAKE3 hash. `None` if they are not, or are damaged: then
    /// the caller sends them.
    ///
    /// It is refused unless [`Options::put_by_hash`] allows it, which says who may be allowed. The part has the size,
    /// ETag and checksums of the bytes, which are read for them. What `options` declare is checked.
    ///
    /// `Ok` and `Err` mean the same as for [`put_part_with`](Self::put_part_with), also among concurrent puts.
    ///
    /// # Cost
    /// One read of the blob, and all digests of it. The first time that this process relies on the blob, it also syncs
    /// and reads its file once. One sync of the journal.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the options of the store do not allow it.
    /// - As for [`put_part_with`](Self::put_part_with).
    pub fn put_part_by_hash(
        &self,
        upload: &Upload,
        number: PartNumber,
        content: &ContentHash,
        options: PartOptions,
    ) -> Result<Option<Part>> {
        let slot = Slot { upload, number };
        self.change(|session| stored::put_by_hash(session, slot, content, &options))
    }

    /// Where the bytes of a BLAKE3 hash are, for those who look at a disk or a bucket: a path below the store's directory, or
    /// a name below the bucket's prefix. `None` if no blob has the hash. It is not said that the bytes are whole.
    ///
    /// # Cost
    /// One row.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Poisoned`], [`Error::DamagedRow`], [`Error::Index`], [`Error::Unavailable`].
    pub fn blob_name(&self, content: &ContentHash) -> Result<Option<String>> {
        let session = self.session()?;
        let (_hold, blob) = session.catalog.look_up(content)?;
        Ok(blob.map(|blob| session.blobs.name_of(content, &blob)))
    }

    /// Puts the part that `source` reads under `number` of `upload`. No byte is copied: the new part refers
    /// to the same blob. This is "Upload Part - Copy". For "Put Object - Copy", copy each part into a new
    /// upload.
    ///
    /// The source is the part as it was when `source` was opened. It may be anywhere in this store, and may
    /// have been replaced or removed since. A part may be copied onto itself. The new part has its size,
    /// ETag, content and checksums, and its own `stored_at`. A checksum that the upload
    /// [asks for](crate::UploadOptions::checksum), and that the source lacks, is computed.
    ///
    /// `Ok` and `Err` mean the same as for [`put_part_with`](Self::put_part_with), also among concurrent
    /// puts. A range of a part is other bytes: [`put_part_from`](Self::put_part_from) takes them from the
    /// reader.
    ///
    /// # Cost
    /// One sync of the journal, shared with concurrent calls. The first time that this process relies on
    /// the blob, it also syncs and reads its file once. Checksums that the source lacks cost one more read.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: another store opened `source`, or this one did before it was closed
    ///   and opened again.
    /// - [`Error::InvalidPartNumber`]: the number is above [`Options::max_part_number`]
    ///   ([R1](crate::rules#r1)).
    /// - [`Error::EntityTooLarge`]: the part is above the maximum ([R3](crate::rules#r3)), which may have
    ///   been lowered since it was put.
    /// - [`Error::NoSuchUpload`]: `upload` is not open, or has another key ([R9](crate::rules#r9),
    ///   [R10](crate::rules#r10)).
    /// - [`Error::EntityTooSmall`]: the part is below the minimum, with
    ///   [`MinimumAt::Put`](crate::MinimumAt::Put).
    /// - [`Error::DamagedBlob`]: the stored bytes are not those that were acknowledged. Only a put of the
    ///   bytes themselves repairs them.
    /// - [`Error::StorageFull`]: the disk has no more than the [headroom](Options::headroom) left.
    /// - [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the store has stopped, is damaged or
    ///   closed.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn copy_part(
        &self,
        source: &PartReader,
        upload: &Upload,
        number: PartNumber,
    ) -> Result<Part> {
        let _span = span!(DEBUG, "copy_part", upload = %upload.id(), number = number.get());
        self.change(|session| copy::copy(session, source, Slot { upload, number }))
    }

    /// Lists a page of the parts of an open upload, ascending ([R15](crate::rules#r15), [R16](crate::rules#r16)). [`parts`](Self::parts) lists all.
    ///
    /// # Cost
    /// One range of the index: less than a microsecond a part.
    ///
    /// # Errors
    /// - [`Error::NoSuchUpload`]: the upload is not open, or has another key ([R18](crate::rules#r18)).
    /// - [`Error::InvalidArgument`]: the limit is 0, or above 1,000 with
    ///   [`PageLimit::Refuse`](crate::PageLimit::Refuse).
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn list_parts(&self, upload: &Upload, query: &ListParts) -> Result<PartPage> {
        let session = self.session()?;
        let limit = rules::page_len(&session.options, "max-parts", query.limit)?;
        let after = u16::try_from(query.marker).unwrap_or(u16::MAX);
        session.catalog.parts(upload, after, limit)
    }

    /// Lists all parts of an open upload, ascending. It fetches pages of 1,000 as the entries are asked
    /// for.
    ///
    /// Parts that are put in the meantime are listed if their numbers come later. After an error the
    /// iterator ends.
    ///
    /// # Errors
    /// As for [`list_parts`](Self::list_parts).
    pub fn parts(&self, upload: &Upload) -> impl Iterator<Item = Result<Part>> {
        pages::parts(self, upload)
    }

    /// Opens a part of an open upload for verified reading.
    ///
    /// # Errors
    /// - [`Error::NoSuchUpload`]: the upload is not open, or has another key.
    /// - [`Error::NoSuchPart`]: the upload has no part with this number.
    /// - [`Error::DamagedBlob`]: the file of its blob is missing or too short.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn open_part(&self, upload: &Upload, number: PartNumber) -> Result<PartReader> {
        let _span = span!(DEBUG, "open_part", upload = %upload.id(), number = number.get());
        PartReader::open(&self.handle.shared, upload, number)
    }

    /// Makes a file of a part of an open upload. See [`export_object`](Self::export_object).
    ///
    /// # Errors
    /// As for [`open_part`](Self::open_part) and [`export_object`](Self::export_object).
    #[cfg(not(shuttle))]
    pub fn export_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        path: impl AsRef<Path>,
        options: ExportOptions,
    ) -> Result<ExportReport> {
        let reader = self.open_part(upload, number)?;
        reader.export(path, options, |_| ControlFlow::Continue(()))
    }
}
