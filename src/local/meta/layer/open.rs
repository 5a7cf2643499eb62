//! An open layer, and how its pieces are read.

use super::{damaged, read_at};
use crate::local::file::{Handle, Place};
use crate::local::format::cursor::Cursor;
use crate::local::format::layer::{
    self, BlockIndex, FOOTER_LEN, Footer, HEADER_LEN, Header, PAGE_LEN, Salt, Stretch,
};
use crate::local::format::mutation::{Mutation, Tree};
use crate::{Error, Result};

/// An open layer: the file, and what of it is in memory.
#[derive(Debug)]
pub(super) struct Open {
    pub handle: Handle,
    pub footer: Footer,
    pub index: BlockIndex,
}

impl Open {
    /// Reads header, footer and block index.
    pub(super) fn at(place: &Place) -> Result<Self> {
        let handle = Handle::open_read(place)?;
        let header = read_header(&handle)?;
        let footer = read_footer(&handle, header)?;
        let index = read_index(&handle, &footer)?;
        Ok(Self {
            handle,
            footer,
            index,
        })
    }

    pub(super) fn salt(&self) -> Salt {
        self.footer.header.salt
    }

    /// Whether a row may exist. A page of the filter that cannot be read denies nothing.
    pub(super) fn may_have(&self, tree: Tree, key: &[u8]) -> bool {
        let probe = self.footer.filter().probe(self.salt(), tree, key);
        let offset = self.footer.filter + probe.page * PAGE_LEN as u64;
        let mut page = [0; PAGE_LEN];
        if self.handle.read_at(&mut page, offset).is_err() {
            return true;
        }
        let bits = self.salt().unseal(offset, &page);
        bits.is_none_or(|bits| probe.is_set(bits))
    }

    /// Passes each row of a block to `visit`, in order.
    pub(super) fn visit(&self, block: usize, visit: &mut dyn FnMut(Mutation<'_>)) -> Result<()> {
        let Some(Stretch { offset, len }) = self.index.block(block) else {
            return Ok(());
        };
        let mut bytes = vec![0; len];
        read_at(&self.handle, &mut bytes, offset)?;
        let mut rows = Cursor::new(self.rows_of(offset, &bytes)?);
        while !rows.is_empty() {
            visit(Mutation::decode(&mut rows).ok_or_else(|| self.damaged_block(offset))?);
        }
        Ok(())
    }

    /// The mutations of a block that begins at this place, as bytes.
    pub(super) fn rows_of<'a>(&self, offset: u64, block: &'a [u8]) -> Result<&'a [u8]> {
        let rows = layer::rows_of(self.salt(), offset, block);
        rows.ok_or_else(|| self.damaged_block(offset))
    }

    pub(super) fn damaged_block(&self, offset: u64) -> Error {
        damaged(&self.handle.path(), offset, "a block of rows is damaged")
    }
}

pub(super) fn read_header(handle: &Handle) -> Result<Header> {
    let mut bytes = [0; HEADER_LEN];
    read_at(handle, &mut bytes, 0)?;
    let header = Header::decode(&bytes);
    header.ok_or_else(|| damaged(&handle.path(), 0, "the layer's header cannot be read"))
}

pub(super) fn read_footer(handle: &Handle, header: Header) -> Result<Footer> {
    let len = handle.len()?;
    let unreadable = || damaged(&handle.path(), len, "the layer's footer cannot be read");
    let offset = len.checked_sub(FOOTER_LEN as u64).ok_or_else(unreadable)?;
    let mut bytes = [0; FOOTER_LEN];
    read_at(handle, &mut bytes, offset)?;
    let footer = Footer::decode(offset, &bytes);
    footer
        .filter(|footer| footer.header == header)
        .ok_or_else(unreadable)
}

pub(super) fn read_index(handle: &Handle, footer: &Footer) -> Result<BlockIndex> {
    let offset = footer.index;
    let unreadable = || damaged(&handle.path(), offset, "the block index cannot be read");
    let len = usize::try_from(footer.end - offset).map_err(|_| unreadable())?;
    let mut bytes = vec![0; len];
    read_at(handle, &mut bytes, offset)?;
    BlockIndex::decode(footer, &bytes).ok_or_else(unreadable)
}
