//! The file that is uploaded, cut into parts. No more than a block of it is ever in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use md5::{Digest, Md5};
use partstore::{ETag, PartNumber};

use crate::Result;
use crate::show::{Progress, size as in_words};

/// Bytes that are made when no file is named.
const MADE_BYTES: u64 = 256 * 1024 * 1024;
/// Of so many parts in a row that are made, the last has the bytes of the first.
const REPEAT_EVERY: u64 = 4;

/// The file, open for reading by any number of threads.
pub struct Source {
    /// What it is called in the store.
    pub key: String,
    /// Its size, bytes.
    pub size: u64,
    file: File,
    part_size: u64,
    parts: u32,
}

impl Source {
    pub fn open(path: &Path, part_size: u64) -> Result<Self> {
        let named = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(named)?;
        let about = file.metadata().map_err(named)?;
        if !about.is_file() {
            return Err(format!("{}: not a regular file", path.display()).into());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::new(file, about.len(), &name, part_size)
    }

    /// Makes bytes that do not compress, in an unnamed file. Every fourth part repeats an earlier
    /// one.
    pub fn make(part_size: u64, progress: &Progress) -> Result<Self> {
        let mut file = tempfile::tempfile()?;
        progress.begin("making", MADE_BYTES);
        let mut made = 0;
        for part in 0..MADE_BYTES.div_ceil(part_size) {
            let repeats = part % REPEAT_EVERY == REPEAT_EVERY - 1;
            let seed = if repeats {
                part + 1 - REPEAT_EVERY
            } else {
                part
            };
            let bytes = blake3::Hasher::new()
                .update(&seed.to_be_bytes())
                .finalize_xof()
                .take(part_size.min(MADE_BYTES - made));
            made += io::copy(&mut progress.reads(bytes), &mut file)?;
        }
        file.flush()?;
        Self::new(file, made, "made-for-the-occasion.bin", part_size)
    }

    fn new(file: File, size: u64, name: &str, part_size: u64) -> Result<Self> {
        // An empty file is one empty part, because a completion lists at least one.
        let parts = size.div_ceil(part_size).max(1);
        let most = u64::from(PartNumber::MAX.get());
        if parts > most {
            let (size, wanted) = (in_words(size), in_words(part_size));
            return Err(format!(
                "{name}: {size} take {parts} parts of {wanted}, but an upload has at most {most}; \
                 choose a larger --part-size"
            )
            .into());
        }
        Ok(Self {
            key: format!("example/{name}"),
            size,
            file,
            part_size,
            parts: u32::try_from(parts)?,
        })
    }

    /// The numbers of the parts: 1 and up.
    pub fn numbers(&self) -> Result<Vec<PartNumber>> {
        let numbers = (1..=self.parts).map(PartNumber::new);
        Ok(numbers.collect::<partstore::Result<_>>()?)
    }

    /// The bytes of one part.
    pub fn part(&self, number: PartNumber) -> Slice<'_> {
        let at = u64::from(number.get() - 1) * self.part_size;
        Slice {
            file: &self.file,
            at,
            end: self.size.min(at + self.part_size),
        }
    }

    /// The ETag that a store must answer for this part: the MD5 of its bytes.
    pub fn etag(&self, number: PartNumber) -> Result<ETag> {
        let mut part = self.part(number);
        let (mut md5, mut block) = (Md5::new(), vec![0; 256 * 1024]);
        loop {
            let len = part.read(&mut block)?;
            if len == 0 {
                return Ok(ETag::from_md5(md5.finalize().into()));
            }
            md5.update(&block[..len]);
        }
    }

    /// All of it.
    pub fn whole(&self) -> Slice<'_> {
        Slice {
            file: &self.file,
            at: 0,
            end: self.size,
        }
    }
}

/// Some bytes of the file, as a reader with a place of its own.
pub struct Slice<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Slice<'_> {
    /// Bytes that are left to read.
    pub fn len(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.len()).map_or(into.len(), |left| left.min(into.len()));
        let read = self.file.read_at(&mut into[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
