//! Parts: put, copied, listed and read.

use std::io::Read;

use bytes::Bytes;

use super::{PartReader, PartStore, PartWriter, copy, list, pages, put, read};
use crate::values::part::Slot;
#[cfg(doc)]
use crate::{Error, Options};
use crate::{ListParts, Part, PartNumber, PartOptions, PartPage, Result, Upload};

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
    /// On `Ok` content, name and metadata are durable, and the part is the one under its number: a
    /// part that was there is replaced ([R11](crate::rules#r11)). On `Err` nothing has changed; only after
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
    /// [`Error::InvalidPartNumber`] above [`Options::max_part_number`] ([R1](crate::rules#r1));
    /// [`Error::EntityTooLarge`] above the maximum ([R3](crate::rules#r3)); [`Error::NoSuchUpload`] when the upload is
    /// not open, or has another key ([R9](crate::rules#r9), [R10](crate::rules#r10)); [`Error::IncompleteBody`] when the body is not
    /// as long as declared ([R8](crate::rules#r8)); [`Error::BadDigest`] when a declared digest is not the body's
    /// ([R7](crate::rules#r7)); [`Error::EntityTooSmall`] with [`MinimumAt::Put`](crate::MinimumAt::Put);
    /// [`Error::StorageFull`]; [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`], [`Error::Io`].
    pub fn put_part_with(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: impl Into<Bytes>,
        options: PartOptions,
    ) -> Result<Part> {
        self.change(|engine| put::put_bytes(engine, Slot { upload, number }, body.into(), &options))
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
    /// [`Error::InvalidPartNumber`] above [`Options::max_part_number`] ([R1](crate::rules#r1));
    /// [`Error::EntityTooLarge`] when the declared length is above the maximum ([R3](crate::rules#r3));
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key ([R9](crate::rules#r9));
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
    /// [`Options::max_part_number`] ([R1](crate::rules#r1)); [`Error::EntityTooLarge`] when the part is above the maximum
    /// ([R3](crate::rules#r3)), which may have been lowered since it was put; [`Error::NoSuchUpload`] when `upload`
    /// is not open, or has another key ([R9](crate::rules#r9), [R10](crate::rules#r10)); [`Error::EntityTooSmall`] with
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
        self.change(|engine| copy::copy(engine, source, Slot { upload, number }))
    }

    /// Lists a page of the parts of an open upload, ascending ([R15](crate::rules#r15), [R16](crate::rules#r16)). [`parts`](Self::parts) lists all.
    ///
    /// # Cost
    /// One range of the index: under a microsecond a part.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key ([R18](crate::rules#r18));
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

    /// Opens a part of an open upload for verified reading.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key;
    /// [`Error::NoSuchPart`]; [`Error::DamagedBlob`] when its file is missing or too short;
    /// [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`].
    pub fn open_part(&self, upload: &Upload, number: PartNumber) -> Result<PartReader> {
        read::open_part(&*self.engine()?, upload, number)
    }
}
