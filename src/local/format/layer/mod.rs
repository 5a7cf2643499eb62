//! Layers: the newest rows of some batches, sorted, in a file that answers questions.
//!
//! ```text
//! header, 36 bytes:  magic [u8; 8] | after u64 | through u64 | salt u64 | CRC-32 of all before u32
//! blocks:            length of the mutations u32 | mutations | seal u32
//! filter:            pages of 4096 bytes: bits | seal u32
//! block index:       for each block: tree u8 | length u16 | separator | block length u32; then seal u32
//! footer, 236 bytes: magic [u8; 8] | after u64 | through u64 | salt u64
//!                    | places of filter, block index and footer u64 each | blocks u64 | rows u64
//!                    | removals u64 | tally [152] | seal u32
//! ```
//!
//! A *seal* is a CRC-32 of the file's salt, of the place in the file where the sealed bytes begin, and of
//! these bytes. So bytes that come from another file, or from another place in this one, do not count. The
//! salt is random. So no client can choose rows that look like a block, or that fill one page of the filter.
//!
//! Mutations ascend by tree and key, within a block and from block to block. A removal is a mutation, too.

mod block;
mod filter;
mod index;
mod sip;

pub(crate) use block::{BlockWriter, LONGEST_BLOCK, ROWS_AT, len_of, rows_of};
pub(crate) use filter::{Filter, PAGE_LEN};
pub(crate) use index::{BlockIndex, IndexWriter, Stretch};

use super::cursor::Cursor;
use super::mutation::Tree;
use super::tally::Tally;

const MAGIC: [u8; 8] = *b"PSlayr\x01\n";
const FOOTER_MAGIC: [u8; 8] = *b"PSlend\x01\n";
pub(crate) const HEADER_LEN: usize = 36;
pub(crate) const FOOTER_LEN: usize = 8 + 9 * 8 + TALLY_LEN + SEAL_LEN;
pub(crate) const SEAL_LEN: usize = 4;
/// Hash, rows of each tree, and four sums.
const TALLY_LEN: usize = Tally::LEN;

/// Which batches a layer has the rows of: `after + 1 ..= through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub after: u64,
    pub through: u64,
}

/// What distinguishes the bytes of one layer from those of any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(pub u64);

impl Salt {
    /// The seal of bytes that begin at this place.
    pub(crate) fn seal(self, offset: u64, bytes: &[u8]) -> [u8; SEAL_LEN] {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_be_bytes());
        hasher.update(&offset.to_be_bytes());
        hasher.update(bytes);
        hasher.finalize().to_be_bytes()
    }

    /// The bytes before a seal. `None` if it does not fit them and the place.
    pub(crate) fn unseal(self, offset: u64, sealed: &[u8]) -> Option<&[u8]> {
        let (bytes, seal) = sealed.split_last_chunk()?;
        (*seal == self.seal(offset, bytes)).then_some(bytes)
    }
}

/// What a layer's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub span: Span,
    pub salt: Salt,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for field in [self.span.after, self.span.through, self.salt.0] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    /// `None` if this is no header.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        let mut cursor = Cursor::new(fields);
        let is_header =
            cursor.array()? == MAGIC && u32::from_be_bytes(*crc) == crc32fast::hash(fields);
        let span = Span {
            after: cursor.u64()?,
            through: cursor.u64()?,
        };
        let salt = Salt(cursor.u64()?);
        (is_header && cursor.is_empty()).then_some(Self { span, salt })
    }
}

/// Where the parts of a layer are, and what its rows add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The same as at the start of the file. If one of the two is damaged, a salvage has the other.
    pub header: Header,
    /// Where the filter begins, which is where the blocks end.
    pub filter: u64,
    /// Where the block index begins, which is where the filter ends.
    pub index: u64,
    /// Where the footer begins, which is where the block index ends.
    pub end: u64,
    pub blocks: u64,
    /// Rows, with removals.
    pub rows: u64,
    pub removals: u64,
    /// The sum over all rows of the store after the newest batch.
    pub tally: Tally,
}

impl Footer {
    fn fields(&self) -> [u64; 9] {
        let Header { span, salt } = self.header;
        let head = [span.after, span.through, salt.0];
        let places = [self.filter, self.index, self.end];
        let counts = [self.blocks, self.rows, self.removals];
        let mut fields = [0; 9];
        let all = head.into_iter().chain(places).chain(counts);
        fields.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        fields
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = FOOTER_MAGIC.to_vec();
        for field in self.fields() {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(self.tally.encode());
        bytes.extend(self.header.salt.seal(self.end, &bytes));
        bytes
    }

    /// Reads the footer that begins at this place. `None` if any byte differs from what
    /// [`encode`](Self::encode) writes, or the places do not fit each other.
    pub(crate) fn decode(offset: u64, bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let is_footer = cursor.array()? == FOOTER_MAGIC;
        let footer = Self {
            header: Header {
                span: Span {
                    after: cursor.u64()?,
                    through: cursor.u64()?,
                },
                salt: Salt(cursor.u64()?),
            },
            filter: cursor.u64()?,
            index: cursor.u64()?,
            end: cursor.u64()?,
            blocks: cursor.u64()?,
            rows: cursor.u64()?,
            removals: cursor.u64()?,
            tally: Tally::decode(&mut cursor, Tree::ALL.len())?,
        };
        let is_whole = footer.header.salt.unseal(offset, bytes).is_some();
        let fits = is_footer && footer.end == offset && footer.is_in_order();
        (is_whole && fits && cursor.rest().len() == SEAL_LEN).then_some(footer)
    }

    fn is_in_order(&self) -> bool {
        let pages = self.index.checked_sub(self.filter);
        HEADER_LEN as u64 <= self.filter
            && pages.is_some_and(|len| len > 0 && len % PAGE_LEN as u64 == 0)
            && self.index <= self.end
            && self.removals <= self.rows
    }

    /// The filter's pages.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            pages: self.index.saturating_sub(self.filter) / PAGE_LEN as u64,
        }
    }
}
