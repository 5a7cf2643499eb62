//! Exports an object or a part: its bytes become a file, by whatever is the cheapest way that the file system has.

use std::ops::ControlFlow;
use std::path::Path;

use super::ahead::{open_in_order, read_all};
use super::places::Places;
use super::session::Session;
use crate::backend::{Handed, Hold, LONG_BLOCK, Source, StoredBlob, Verified};
use crate::going::{Going, Reached};
use crate::local::file::Outside;
use crate::{ContentHash, Error, ExportOptions, ExportReport, ObjectPart, Part, Progress, Result};

/// Bytes that are compared at a time, at most.
const LONGEST: usize = 8 * LONG_BLOCK;

/// Exports all parts of a reader.
pub(super) fn export(
    places: &Places,
    path: &Path,
    options: ExportOptions,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<ExportReport> {
    let session = &*places.shared().session()?;
    let going = Going::telling(&session.closing, &mut progress);
    let size = places.size();
    let mut export = Export {
        session,
        hold: places.hold(),
        options,
        file: begin(session, path, options)?,
        going: &going,
        report: ExportReport {
            bytes: size,
            verified: true,
            ..ExportReport::default()
        },
    };
    let brought = export.bring(places.all_in(session), size);
    let Export { file, report, .. } = export;
    // Nothing of an export that has ended early keeps its name.
    let published = brought.and_then(|()| file.publish());
    Ok(match going.conclude(published)? {
        Reached::End => report,
        Reached::CutShort => ExportReport {
            cut_short: true,
            ..ExportReport::default()
        },
    })
}

/// Prepares the file, which must not be one of the store's.
fn begin(session: &Session, path: &Path, options: ExportOptions) -> Result<Outside> {
    if session.blobs.owns_path(path)? {
        return Err(Error::InvalidArgument {
            argument: "path",
            found: path.display().to_string(),
            expected: "a path outside of the store's directory",
        });
    }
    Outside::at(path, options.replaces)
}

struct Export<'a, 'g> {
    session: &'a Session,
    hold: &'a Hold,
    options: ExportOptions,
    file: Outside,
    /// It counts bytes.
    going: &'a Going<'g>,
    report: ExportReport,
}

impl Export<'_, '_> {
    fn bring(&mut self, parts: impl Iterator<Item = Result<ObjectPart>>, size: u64) -> Result<()> {
        self.going.expect(size)?;
        let mut is_made = false;
        for placed in parts {
            let ObjectPart { part, offset, .. } = placed?;
            if !is_made {
                is_made = true;
                if part.size == size && self.link(&part)? {
                    continue;
                }
                self.file.create()?;
            }
            self.bring_part(&part, offset)?;
        }
        if !is_made {
            self.file.create()?;
        }
        self.going.check()
    }

    /// Gives the part's own file a second name, if that is allowed and possible.
    fn link(&mut self, part: &Part) -> Result<bool> {
        if !self.options.links || part.size == 0 {
            return Ok(false);
        }
        let (content, size) = (&part.content, part.size);
        let blob = self.session.catalog.blob(content, self.hold)?;
        if !self.session.blobs.link(content, &blob, self.file.place())? {
            return Ok(false);
        }
        self.file.linked()?;
        if self.verify((content, &blob), 0)? {
            self.report.linked = size;
            return Ok(true);
        }
        self.file.discard();
        Ok(false)
    }

    fn bring_part(&mut self, part: &Part, offset: u64) -> Result<()> {
        let (content, size) = (&part.content, part.size);
        if size == 0 {
            return Ok(());
        }
        let blob = self.session.catalog.blob(content, self.hold)?;
        let into = (self.file.fd()?, offset);
        // Where the first part is shared, a copy shares, too. Elsewhere a copy that is then read is no better than a
        // read and a write.
        let copies = self.options.unverified || self.report.shared > 0;
        let copies = copies.then_some(self.going);
        let blobs = &self.session.blobs;
        match blobs.hand_over(content, &blob, into, copies)? {
            Handed::Nothing => {}
            handed if self.verify((content, &blob), offset)? => {
                match handed {
                    Handed::Shared => self.report.shared += size,
                    _ => self.report.copied += size,
                }
                return Ok(());
            }
            Handed::Shared | Handed::Copied => {}
        }
        self.write((content, blob), offset)
    }

    /// Whether what lies in the file is what was stored. If it is not, the part is read from the store, which then
    /// knows whether its blob is damaged, or only what came of it.
    fn verify(&mut self, part: (&ContentHash, &StoredBlob), offset: u64) -> Result<bool> {
        if self.options.unverified {
            self.report.verified = false;
            self.going.advance(part.1.crcs.size)?;
            return Ok(true);
        }
        match self.compare(part, offset) {
            Ok(()) => Ok(true),
            Err(Error::DamagedBlob { .. } | Error::Io { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Compares what lies in the file with what was stored.
    fn compare(&self, (content, blob): (&ContentHash, &StoredBlob), offset: u64) -> Result<()> {
        let size = blob.crcs.size;
        let source = InFile {
            file: &self.file,
            offset,
            content: *content,
        };
        let mut memory = vec![0; fitting(size, LONGEST).max(LONG_BLOCK)];
        let mut advance = |bytes| self.going.advance(bytes);
        Verified::new(source, &blob.crcs).check_all(content, &mut memory, &mut advance)
    }

    /// Reads the part, and writes it.
    fn write(&self, (content, blob): (&ContentHash, StoredBlob), offset: u64) -> Result<()> {
        let mut reader = open_in_order(self.session, content, blob)?;
        let mut hasher = blake3::Hasher::new();
        let mut position = 0;
        loop {
            let mut buffer = self.session.buffers.buffer_of(LONGEST);
            let space = buffer.space();
            let len = read_all(&mut *reader, position, space, 0)?;
            let bytes = space.get(..len).unwrap_or_default();
            if bytes.is_empty() {
                return compare(&hasher, content);
            }
            hasher.update(bytes);
            self.file.write_at(bytes, offset + position)?;
            position += len as u64;
            self.going.advance(len as u64)?;
        }
    }
}

fn fitting(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).map_or(most, |bytes| bytes.min(most))
}

/// # Errors
/// [`Error::DamagedBlob`].
fn compare(hasher: &blake3::Hasher, content: &ContentHash) -> Result<()> {
    if hasher.finalize().as_bytes() == content.as_bytes() {
        Ok(())
    } else {
        Err(damaged(content, "its bytes do not have its hash"))
    }
}

fn damaged(content: &ContentHash, reason: &str) -> Error {
    Error::DamagedBlob {
        hash: *content,
        reason: reason.to_owned(),
    }
}

/// The bytes of a part in the file that was made.
struct InFile<'a> {
    file: &'a Outside,
    offset: u64,
    content: ContentHash,
}

impl Source for InFile<'_> {
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()> {
        self.file.read_at(into, self.offset + position)
    }

    fn damaged(&self, reason: &str) -> Error {
        damaged(&self.content, reason)
    }
}
