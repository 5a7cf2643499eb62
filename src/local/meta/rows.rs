//! Row files: sorted rows in a file of their own. A row file is whole, or counts as nothing.
//!
//! A snapshot of formats 1 and 2 is a row file. So is a run of a [`Fold`](super::fold::Fold) whose rows did not fit in memory.
//!
//! The bytes are those of [`format::rows`](crate::local::format::rows).

use crate::local::file::{Handle, Place};
use crate::local::format::mutation::{HEADER_LEN as ROW_HEADER_LEN, Header, Mutation, Tree};
use crate::local::format::rows::{self, END, HEADER_LEN, TRAILER_LEN};
use crate::{Error, Result};

const BUFFER_LEN: usize = 256 * 1024;
/// How many bytes of a consumed file are freed at a time.
const GIVE_BACK: u64 = 1024 * 1024;

/// What one place says of a row. `None`: nothing, so an older place counts. `Some(None)`: it was removed.
pub(crate) type Said = Option<Option<Vec<u8>>>;

/// A row of a row file. `value` is `None` for a removed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub tree: Tree,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Row {
    /// Whether both have the same tree and key.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.tree, &self.key) == (other.tree, &other.key)
    }

    pub(crate) fn as_mutation(&self) -> Mutation<'_> {
        Mutation {
            tree: self.tree,
            key: &self.key,
            value: self.value.as_deref(),
        }
    }
}

/// Writes a row file. Its rows count only after [`finish`](RowWriter::finish).
pub(crate) struct RowWriter {
    handle: Handle,
    buffer: Vec<u8>,
    offset: u64,
    rows: u64,
    hasher: crc32fast::Hasher,
}

impl RowWriter {
    pub(crate) fn create(place: &Place, seq: u64) -> Result<Self> {
        let handle = Handle::create_new(place)?;
        let hasher = crc32fast::Hasher::new();
        let mut writer = Self {
            handle,
            buffer: Vec::with_capacity(BUFFER_LEN),
            offset: 0,
            rows: 0,
            hasher,
        };
        writer.buffer.extend_from_slice(&rows::header(seq));
        Ok(writer)
    }

    pub(crate) fn push(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        Mutation { tree, key, value }.encode(&mut self.buffer);
        self.rows += 1;
        if self.buffer.len() >= BUFFER_LEN {
            self.write_out()
        } else {
            Ok(())
        }
    }

    /// Writes the trailer. The file is whole, but not durable.
    pub(crate) fn finish(mut self) -> Result<Handle> {
        self.write_out()?;
        let trailer = rows::trailer(self.rows, self.hasher.finalize());
        self.handle.write_at(&trailer, self.offset)?;
        Ok(self.handle)
    }

    fn write_out(&mut self) -> Result<()> {
        self.hasher.update(&self.buffer);
        self.handle.write_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a row file from front to back. Its rows count only if it ends without an error.
pub(crate) struct RowReader {
    handle: Handle,
    len: u64,
    /// The place of the buffer's first unread byte in the file.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
    rows: u64,
    hasher: crc32fast::Hasher,
    seq: u64,
    /// Up to where the file has freed its disk space. `None` for a file that is kept.
    given_back: Option<u64>,
}

impl RowReader {
    /// # Errors
    /// [`Error::Damaged`] if the header cannot be read.
    pub(crate) fn open(place: &Place) -> Result<Self> {
        Self::over(Handle::open_read(place)?)
    }

    /// Opens a file that is read once and then removed. The disk space of what was read is freed in the
    /// meantime, if the file system can do that.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn consume(place: &Place) -> Result<Self> {
        let mut reader = Self::over(Handle::open_write(place)?)?;
        reader.given_back = Some(0);
        Ok(reader)
    }

    fn over(handle: Handle) -> Result<Self> {
        let len = handle.len()?;
        let hasher = crc32fast::Hasher::new();
        let mut reader = Self {
            handle,
            len,
            offset: 0,
            buffer: Vec::new(),
            at: 0,
            rows: 0,
            hasher,
            seq: 0,
            given_back: None,
        };
        let header = reader.take(HEADER_LEN)?;
        reader.seq =
            rows::seq_of(&header).ok_or_else(|| reader.damaged("the header cannot be read"))?;
        Ok(reader)
    }

    /// The newest batch that the rows hold.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns the next row, or `None` after the last.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file does not hold what was written.
    pub(crate) fn next(&mut self) -> Result<Option<Row>> {
        if self.peek()? == END {
            return self.check_trailer().map(|()| None);
        }
        let header = self.take(ROW_HEADER_LEN)?;
        let header =
            Header::decode(&header).ok_or_else(|| self.damaged("a row cannot be decoded"))?;
        let key = self.take(header.key_len)?;
        let value = header.value_len.map(|len| self.take(len)).transpose()?;
        self.rows += 1;
        let tree = header.tree;
        Ok(Some(Row { tree, key, value }))
    }

    fn check_trailer(&mut self) -> Result<()> {
        let hasher = self.hasher.clone();
        let trailer = self.take(TRAILER_LEN)?;
        let expected = rows::trailer(self.rows, hasher.finalize());
        if *trailer == expected && self.offset == self.len {
            Ok(())
        } else {
            Err(self.damaged("the checksum is wrong"))
        }
    }

    fn peek(&mut self) -> Result<u8> {
        self.fill(1)?;
        self.buffer
            .get(self.at)
            .copied()
            .ok_or_else(|| self.damaged("the file ends early"))
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        self.fill(len)?;
        let taken = self.buffer.get(self.at..self.at + len).map(<[u8]>::to_vec);
        let taken = taken.ok_or_else(|| self.damaged("the file ends early"))?;
        self.hasher.update(&taken);
        self.at += len;
        self.offset += len as u64;
        Ok(taken)
    }

    /// Reads until the buffer has at least `len` unread bytes, or the file ends.
    fn fill(&mut self, len: usize) -> Result<()> {
        let unread = self.buffer.len() - self.at;
        if unread >= len {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.give_back();
        let from = self.offset + unread as u64;
        let more = usize::try_from(self.len.saturating_sub(from))
            .unwrap_or(BUFFER_LEN)
            .min(BUFFER_LEN.max(len));
        self.buffer.resize(unread + more, 0);
        match self.buffer.get_mut(unread..) {
            Some(space) => self.handle.read_at(space, from),
            None => Ok(()),
        }
    }

    fn give_back(&mut self) {
        let read = self.offset - self.offset % GIVE_BACK;
        if let Some(from) = self.given_back.filter(|from| *from < read) {
            // A file system that cannot do it is not asked again.
            let given = self.handle.give_back(from, read);
            self.given_back = given.is_ok().then_some(read);
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::Damaged {
            path: self.handle.path(),
            offset: self.offset,
            reason: reason.to_owned(),
        }
    }
}
