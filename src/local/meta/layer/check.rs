//! Reads every byte of a layer while it is in use.

use std::cell::Cell;

use super::open::{Open, read_footer, read_header, read_index};
use super::read::Layer;
use super::{damaged, read_at};
use crate::going::Going;
use crate::local::format::layer::{PAGE_LEN, Stretch};
use crate::{DamagedFile, Result};

/// How many damaged places of one layer are reported. Behind the last of them nothing is read.
const MOST_REPORTED: usize = 16;

impl Layer {
    /// Reads the layer from disk, and adds each damaged block, page and part to `found`.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if `going` says no; what was found before is in `found`.
    /// [`Error::Io`](crate::Error::Io).
    pub(crate) fn check(&self, going: &Going<'_>, found: &mut Vec<DamagedFile>) -> Result<()> {
        let layer = self.parts();
        let before = found.len();
        found.extend(DamagedFile::met_by(&|| layer.check_frame())?);
        let rows = Cell::new(0);
        let pages = layer.footer.filter().pages;
        let blocks = 0..layer.index.len();
        let checks = blocks.map(Piece::Block).chain((0..pages).map(Piece::Page));
        for piece in checks {
            let read = Cell::new(0);
            found.extend(DamagedFile::met_by(&|| {
                layer.check_piece(piece, &read, &rows)
            })?);
            if found.len() >= before + MOST_REPORTED {
                return Ok(());
            }
            going.advance_a_little(read.get())?;
        }
        let is_whole = found.len() == before;
        found.extend(is_whole.then(|| layer.check_count(rows.get())).flatten());
        Ok(())
    }
}

/// A piece with a seal of its own.
#[derive(Clone, Copy)]
enum Piece {
    Block(usize),
    Page(u64),
}

impl Open {
    /// Header, footer and block index must still be what was read when the layer was opened.
    fn check_frame(&self) -> Result<()> {
        let header = read_header(&self.handle)?;
        let footer = read_footer(&self.handle, header)?;
        let index = read_index(&self.handle, &footer)?;
        if footer == self.footer && index == self.index {
            return Ok(());
        }
        Err(damaged(
            &self.handle.path(),
            0,
            "the layer has become another one",
        ))
    }

    /// Adds to `read` the bytes of the piece, and to `rows` its rows.
    fn check_piece(&self, piece: Piece, read: &Cell<u64>, rows: &Cell<u64>) -> Result<()> {
        match piece {
            Piece::Block(block) => {
                let Some(Stretch { len, .. }) = self.index.block(block) else {
                    return Ok(());
                };
                read.set(len as u64);
                let count = self.check_block(block)?;
                rows.set(rows.get() + count);
                Ok(())
            }
            Piece::Page(page) => {
                read.set(PAGE_LEN as u64);
                self.check_page(page)
            }
        }
    }

    /// Returns the number of rows. They must ascend, and the block index must lead to each.
    fn check_block(&self, block: usize) -> Result<u64> {
        let mut rows = 0;
        let mut last = None;
        let mut is_in_order = true;
        self.visit(block, &mut |row| {
            let at = Some((row.tree, row.key.to_vec()));
            is_in_order &= last < at;
            is_in_order &= rows > 0 || self.index.block_of(row.tree, row.key) == Some(block);
            last = at;
            rows += 1;
        })?;
        is_in_order &=
            last.is_some_and(|(tree, key)| self.index.block_of(tree, &key) == Some(block));
        if is_in_order {
            return Ok(rows);
        }
        let offset = self.index.block(block).map_or(0, |block| block.offset);
        Err(damaged(
            &self.handle.path(),
            offset,
            "the rows of a block are not in order",
        ))
    }

    fn check_page(&self, page: u64) -> Result<()> {
        let offset = self.footer.filter + page * PAGE_LEN as u64;
        let mut bytes = [0; PAGE_LEN];
        read_at(&self.handle, &mut bytes, offset)?;
        match self.salt().unseal(offset, &bytes) {
            Some(_) => Ok(()),
            None => Err(damaged(
                &self.handle.path(),
                offset,
                "a page of the filter is damaged",
            )),
        }
    }

    fn check_count(&self, rows: u64) -> Option<DamagedFile> {
        (rows != self.footer.rows).then(|| {
            let reason = format!("the layer has {rows} rows instead of {}", self.footer.rows);
            DamagedFile::of(&damaged(&self.handle.path(), self.footer.end, &reason))
        })
    }
}
