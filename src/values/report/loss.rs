//! What a salvage gave back of a damaged store, and what it could not give back.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{DamagedFile, PartNumber, Upload, UploadId};

/// What an open with [`Options::salvage`](crate::Options::salvage) gave back of a damaged store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Where the old files are: the journal, the layers and the index as they were, and blobs that no
    /// part refers to any more. The file `lost.txt` lists what is lost. The store does not read them again:
    /// remove the directory when nobody needs it.
    pub aside: PathBuf,
    /// The files that were damaged. Empty if an earlier open had done the work and was interrupted at its
    /// end.
    pub damaged: Vec<DamagedFile>,
    /// What could not be given back. Empty if an earlier open had done the work: `lost.txt` lists it.
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
    /// Batches of the journal, both ends included, that were durable and cannot be read. What they changed
    /// is as it was before them, or as the index has it. So uploads and parts may be missing or older than
    /// they were, and removed ones may exist again.
    Batches {
        /// The oldest.
        first: u64,
        /// The newest.
        last: u64,
    },
    /// Everything behind a batch, if anything was there. The journal's end is missing or cannot be read,
    /// and nothing says how long it was. Such damage looks the same as a write that a crash tore, which was
    /// never acknowledged.
    End {
        /// The newest batch that is left. 0 for none.
        after: u64,
    },
    /// Rows of a layer. What other rows say about them is given back. The rest is missing, and not in
    /// this list.
    Rows {
        /// The path at which the layer was.
        path: PathBuf,
        /// Where they were, bytes from its start.
        offset: u64,
        /// How many bytes cannot be read. 0 when the file cannot be opened.
        len: u64,
    },
    /// The row of an upload, with its key, its metadata and whether it was completed. Its parts now belong
    /// to an open upload under another key.
    Upload {
        /// Its id.
        id: UploadId,
        /// The parts that are left.
        parts: Vec<PartNumber>,
        /// The upload that the parts belong to now. `None` when no parts are left.
        given_back: Option<Upload>,
    },
    /// An object whose parts do not add up to it. It is an open upload again. Put the missing parts and
    /// complete it.
    Object {
        /// The upload.
        upload: Upload,
        /// How many parts it had.
        expected: u16,
        /// The parts that are left.
        parts: Vec<PartNumber>,
    },
    /// The bytes of a part, or its row. A part that has its row is listed, and reading it answers
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob). Putting the bytes again repairs it.
    Part {
        /// The upload. Its key is empty if that is lost, too.
        upload: Upload,
        /// The part.
        number: PartNumber,
    },
    /// The time at which a part was put. Its row was made again from its reference and its bytes, with the
    /// time of the upload's initiation.
    StoredAt {
        /// The upload.
        upload: Upload,
        /// The part.
        number: PartNumber,
    },
    /// The name of a namespace, and its quota. What it holds is in a namespace with this name now.
    Namespace {
        /// The new name.
        name: String,
    },
    /// Metadata of an upload. It has none now. If the row with its length is lost, it has as much as was
    /// found.
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
            Self::Namespace { name } => write!(f, "the name of a namespace that is {name:?} now"),
            Self::Metadata { upload } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "metadata of {key:?} {id}")
            }
        }
    }
}
