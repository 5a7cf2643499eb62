//! What a salvage gave back of a damaged store, and what not.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{DamagedFile, PartNumber, Upload, UploadId};

/// What an open with [`Options::salvage`](crate::Options::salvage) gave back of a damaged store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Where the old files are: journal, snapshot and index as they were, blobs that no part refers to any
    /// more, and `lost.txt`, the list of what is lost. Nothing reads it again: remove it when nobody needs it.
    pub aside: PathBuf,
    /// The files that were damaged. Empty when an earlier open had done the work and was cut short at its end.
    pub damaged: Vec<DamagedFile>,
    /// What cannot be given back. Empty when an earlier open had done the work: `lost.txt` has it.
    pub lost: Vec<Loss>,
}

impl SalvageReport {
    pub(crate) fn of(aside: &Path, damaged: Vec<DamagedFile>, lost: Vec<Loss>) -> Self {
        Self {
            aside: aside.to_owned(),
            damaged,
            lost,
        }
    }
}

/// Something that a salvage could not give back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Batches of the journal, both ends included, that were durable and do not read. What they changed is as
    /// it was before them, or as the index has it: uploads and parts may be missing, older than they were,
    /// or back after they were removed.
    Batches {
        /// The oldest.
        first: u64,
        /// The newest.
        last: u64,
    },
    /// Everything behind a batch, if there was anything: the journal's end is missing or does not read, and
    /// nothing tells how long it was. Damage there cannot be told from a write that a crash tore, which was
    /// never acknowledged.
    End {
        /// The newest batch that is left, 0 for none.
        after: u64,
    },
    /// Rows of a snapshot. What other rows tell of them is given back; what nothing else tells of is missing
    /// and not in this list.
    Rows {
        /// The snapshot, where it was.
        path: PathBuf,
        /// Where they were, bytes from its start.
        offset: u64,
        /// How much does not read, bytes; 0 when the file does not open.
        len: u64,
    },
    /// The row of an upload, and with it its key, its metadata and whether it was completed. Its parts are
    /// those of an open upload under another key.
    Upload {
        /// Its id.
        id: UploadId,
        /// The parts that are left.
        parts: Vec<PartNumber>,
        /// The upload that they belong to now; `None` when there are no parts.
        given_back: Option<Upload>,
    },
    /// An object whose parts do not add up to it. It is an open upload again: put the missing parts and
    /// complete it.
    Object {
        /// The upload.
        upload: Upload,
        /// How many parts it had.
        expected: u16,
        /// The parts that are left.
        parts: Vec<PartNumber>,
    },
    /// The bytes of a part, or its row. A part whose row is left is listed and its bytes are
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob): putting them again repairs it.
    Part {
        /// The upload; its key is empty if that is lost, too.
        upload: Upload,
        /// The part.
        number: PartNumber,
    },
    /// When a part was put. Its row was made again from its reference and its bytes; it has the time of the
    /// upload's initiation.
    StoredAt {
        /// The upload.
        upload: Upload,
        /// The part.
        number: PartNumber,
    },
    /// Metadata of an upload: it has none now, or, if the row that tells its length is lost, as much of it as
    /// was found.
    Metadata {
        /// The upload.
        upload: Upload,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parts: &[PartNumber]| {
            let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
            parts.join(",")
        };
        match self {
            Self::Batches { first, last } => write!(f, "batches {first} to {last} of the journal"),
            Self::End { after } => write!(f, "what was behind batch {after} of the journal"),
            Self::Rows { path, offset, len } => {
                let path = path.display();
                write!(f, "rows in {len} bytes at byte {offset} of {path}")
            }
            Self::StoredAt { upload, number } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "when part {number} of {key:?} {id} was put")
            }
            Self::Upload {
                id,
                parts,
                given_back,
            } => {
                let key = given_back.as_ref().map_or("", |upload| upload.key());
                let parts = list(parts);
                write!(f, "upload {id}: its key; parts {parts} are under {key:?}")
            }
            Self::Object {
                upload,
                expected,
                parts,
            } => {
                let (key, id, parts) = (upload.key(), upload.id(), list(parts));
                write!(
                    f,
                    "object {key:?} {id}: of {expected} parts {parts} are left"
                )
            }
            Self::Part { upload, number } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "part {number} of {key:?} {id}")
            }
            Self::Metadata { upload } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "metadata of {key:?} {id}")
            }
        }
    }
}
