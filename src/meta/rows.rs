//! Row files: sorted rows in a file of their own, whole or not at all.
//!
//! A snapshot is a row file, and so is a run of a [`Fold`](super::fold::Fold) that outgrew memory.
//!
//! ```text
//! header, 24 bytes:  magic [u8; 8] | sequence u64 | zero u32 | CRC-32 of the header u32
//! rows, ascending:   op u8 (1 put, 0 remove) | tree u8 | key length u16 | value length u16 | key | value
//! trailer:           op u8 = 0xff | number of rows u64 | CRC-32 of header and rows u32
//! ```

use super::batch::{MAX_KEY_LEN, MAX_VALUE_LEN, Mutation, Tree};
use super::codec::Cursor;
use crate::file::{Handle, Place};
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"PSrows\x01\n";
pub(super) const HEADER_LEN: usize = 24;
pub(super) const ROW_HEADER_LEN: usize = 6;
pub(super) const TRAILER_LEN: usize = 13;
const REMOVE: u8 = 0;
pub(super) const PUT: u8 = 1;
pub(super) const END: u8 = 0xff;
const BUFFER_LEN: usize = 256 * 1024;
/// How much of a file that is consumed is given back at a time, bytes.
const GIVE_BACK: u64 = 1024 * 1024;

/// A row of a row file; `value` is `None` for a row that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub tree: Tree,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Row {
    /// Whether both are at one place: of the same tree, under the same key.
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

/// Writes a row file. Nothing in it counts before [`finish`](RowWriter::finish).
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
        writer.buffer.extend_from_slice(&MAGIC);
        writer.buffer.extend_from_slice(&seq.to_be_bytes());
        writer.buffer.extend_from_slice(&[0; 4]);
        let crc = crc32fast::hash(&writer.buffer);
        writer.buffer.extend_from_slice(&crc.to_be_bytes());
        Ok(writer)
    }

    pub(crate) fn push(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        let bytes = value.unwrap_or_default();
        self.buffer
            .extend_from_slice(&[if value.is_some() { PUT } else { REMOVE }, tree as u8]);
        self.buffer.extend_from_slice(&len(key));
        self.buffer.extend_from_slice(&len(bytes));
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(bytes);
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
        let mut trailer = vec![END];
        trailer.extend_from_slice(&self.rows.to_be_bytes());
        trailer.extend_from_slice(&self.hasher.finalize().to_be_bytes());
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

/// Reads a row file from front to back. What it gave counts only when it ends without an error.
pub(crate) struct RowReader {
    handle: Handle,
    len: u64,
    /// Where the buffer's first unread byte stands in the file.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
    rows: u64,
    hasher: crc32fast::Hasher,
    seq: u64,
    /// Up to where the file has given its disk back; `None` for one that stays.
    given_back: Option<u64>,
}

impl RowReader {
    /// # Errors
    /// [`Error::Damaged`] when the header does not read.
    pub(crate) fn open(place: &Place) -> Result<Self> {
        Self::over(Handle::open_read(place)?)
    }

    /// Opens a file that is read once and then removed: the disk below what was read is given back
    /// meanwhile, where the file system can do that.
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
            seq_of_header(&header).ok_or_else(|| reader.damaged("the header does not read"))?;
        Ok(reader)
    }

    /// The newest batch that the rows hold.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// The next row, or `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file does not hold what was written.
    pub(crate) fn next(&mut self) -> Result<Option<Row>> {
        if self.peek()? == END {
            return self.check_trailer().map(|()| None);
        }
        let header = self.take(ROW_HEADER_LEN)?;
        let (op, tree, key_len, value_len) =
            row_header(&header).ok_or_else(|| self.damaged("a row does not decode"))?;
        let key = self.take(key_len)?;
        let value = self.take(value_len)?;
        self.rows += 1;
        Ok(Some(Row {
            tree,
            key,
            value: (op == PUT).then_some(value),
        }))
    }

    fn check_trailer(&mut self) -> Result<()> {
        let hasher = self.hasher.clone();
        let trailer = self.take(TRAILER_LEN)?;
        let mut cursor = Cursor::new(&trailer);
        let expected = (Some(END), Some(self.rows), Some(hasher.finalize()));
        let whole =
            (cursor.u8(), cursor.u64(), cursor.u32()) == expected && self.offset == self.len;
        if whole {
            Ok(())
        } else {
            Err(self.damaged("the checksum does not fit"))
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

    /// Has at least `len` unread bytes in the buffer, unless the file ends before.
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
            // A file system that can not do it is not asked again.
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

fn seq_of_header(header: &[u8]) -> Option<u64> {
    let (fields, crc) = header.split_last_chunk::<4>()?;
    let mut cursor = Cursor::new(fields);
    let magic = cursor.array::<8>()?;
    let seq = cursor.u64()?;
    (magic == MAGIC && u32::from_be_bytes(*crc) == crc32fast::hash(fields)).then_some(seq)
}

pub(super) fn row_header(header: &[u8]) -> Option<(u8, Tree, usize, usize)> {
    let mut cursor = Cursor::new(header);
    let (op, tree) = (cursor.u8()?, Tree::from_number(cursor.u8()?)?);
    let (key_len, value_len) = (usize::from(cursor.u16()?), usize::from(cursor.u16()?));
    let sound = match op {
        PUT => key_len <= MAX_KEY_LEN && value_len <= MAX_VALUE_LEN,
        REMOVE => key_len <= MAX_KEY_LEN && value_len == 0,
        _ => false,
    };
    sound.then_some((op, tree, key_len, value_len))
}
