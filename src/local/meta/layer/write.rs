//! [`LayerWriter`]: writes a layer from front to back.

use crate::local::file::{Handle, Place};
use crate::local::format::layer::{
    BlockWriter, Filter, Footer, Header, IndexWriter, PAGE_LEN, SEAL_LEN, Salt, Span,
};
use crate::local::format::mutation::{Mutation, Tree};
use crate::local::format::tally::Tally;
use crate::{Error, Result};

const BUFFER_LEN: usize = 256 * 1024;

/// Writes a layer. Its rows count only after [`finish`](Self::finish). Memory: the filter, 1.25 bytes for
/// each row that it was announced, and the block index.
pub(crate) struct LayerWriter {
    handle: Handle,
    header: Header,
    /// Bytes that are not written yet, and where they begin.
    buffer: Vec<u8>,
    offset: u64,
    block: BlockWriter,
    index: IndexWriter,
    filter: Filter,
    pages: Vec<u8>,
    /// The row before.
    last: Option<(Tree, Vec<u8>)>,
    rows: u64,
    removals: u64,
}

impl LayerWriter {
    /// Begins a layer of these batches. `most_rows` is how many rows it may get, with removals. If it gets
    /// more, its filter answers "perhaps" more often.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StorageFull`], [`Error::NoRandomness`].
    pub(crate) fn create(place: &Place, span: Span, most_rows: u64) -> Result<Self> {
        let header = Header {
            span,
            salt: new_salt()?,
        };
        let filter = Filter::for_rows(most_rows);
        let pages = usize::try_from(filter.pages).unwrap_or(usize::MAX);
        Ok(Self {
            handle: Handle::create_new(place)?,
            header,
            buffer: header.encode(),
            offset: 0,
            block: BlockWriter::default(),
            index: IndexWriter::default(),
            filter,
            pages: vec![0; pages.saturating_mul(PAGE_LEN)],
            last: None,
            rows: 0,
            removals: 0,
        })
    }

    /// Adds a row (`Some`) or a removal (`None`).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StorageFull`].
    ///
    /// # Panics
    /// If the row is not above the one before.
    pub(crate) fn push(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let last = self.last.as_ref().map(|(tree, key)| (*tree, &**key));
        assert!(last < Some((tree, key)), "rows that do not ascend");
        let row = Mutation { tree, key, value };
        if !self.block.has_room_for(&row) {
            self.end_block()?;
        }
        if self.block.is_empty() {
            self.begin_block(&row);
        }
        self.block.push(&row);
        self.note_in_filter(&row);
        self.remember(&row);
        self.rows += 1;
        self.removals += u64::from(value.is_none());
        Ok(())
    }

    /// Bytes that were written so far.
    pub(crate) fn written(&self) -> u64 {
        self.offset
    }

    /// Makes them durable, so that one sync of all bytes has less to do.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn sync_written(&self) -> Result<()> {
        self.handle.sync_data()
    }

    /// Writes the rest. The file is whole, but not durable. `tally` is the sum over all rows of the store
    /// after the layer's newest batch.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::StorageFull`].
    pub(crate) fn finish(mut self, tally: &Tally) -> Result<Handle> {
        self.end_block()?;
        let filter = self.position();
        self.write_filter(filter)?;
        let index = self.position();
        let blocks = self.index.blocks();
        let entries = std::mem::take(&mut self.index);
        entries.finish(self.header.salt, index, &mut self.buffer);
        let footer = Footer {
            header: self.header,
            filter,
            index,
            end: self.position(),
            blocks,
            rows: self.rows,
            removals: self.removals,
            tally: *tally,
        };
        self.buffer.extend(footer.encode());
        self.write_out()?;
        Ok(self.handle)
    }
}

impl LayerWriter {
    /// Where the next byte is in the file.
    fn position(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    fn begin_block(&mut self, first: &Mutation<'_>) {
        let before = self.last.as_ref().map(|(tree, key)| (*tree, &**key));
        self.index.begin_block((first.tree, first.key), before);
    }

    fn end_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let (salt, offset) = (self.header.salt, self.position());
        let len = self.block.finish(salt, offset, &mut self.buffer);
        self.index.end_block(len);
        if self.buffer.len() >= BUFFER_LEN {
            self.write_out()?;
        }
        Ok(())
    }

    fn note_in_filter(&mut self, row: &Mutation<'_>) {
        let probe = self.filter.probe(self.header.salt, row.tree, row.key);
        let page = usize::try_from(probe.page).unwrap_or(usize::MAX);
        if let Some(page) = self.pages.chunks_exact_mut(PAGE_LEN).nth(page) {
            probe.set(page);
        }
    }

    fn remember(&mut self, row: &Mutation<'_>) {
        let last = self.last.get_or_insert((row.tree, Vec::new()));
        last.0 = row.tree;
        last.1.clear();
        last.1.extend_from_slice(row.key);
    }

    /// Seals the pages and writes them. They begin at `offset`.
    fn write_filter(&mut self, offset: u64) -> Result<()> {
        self.write_out()?;
        let mut pages = std::mem::take(&mut self.pages);
        for (place, page) in (offset..)
            .step_by(PAGE_LEN)
            .zip(pages.chunks_exact_mut(PAGE_LEN))
        {
            let (bits, seal) = page.split_at_mut(PAGE_LEN - SEAL_LEN);
            seal.copy_from_slice(&self.header.salt.seal(place, bits));
        }
        self.handle.write_at(&pages, offset)?;
        self.offset += pages.len() as u64;
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        self.handle.write_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn new_salt() -> Result<Salt> {
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|cause| Error::NoRandomness {
        cause: cause.to_string(),
    })?;
    Ok(Salt(u64::from_ne_bytes(salt)))
}
