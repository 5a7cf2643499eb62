//! What is left of a damaged layer: whole blocks, and between them the rows that prove themselves.

use super::super::rows::Row;
use super::super::window::Window;
use crate::Result;
use crate::local::file::{Handle, Place};
use crate::local::format::cursor::Cursor;
use crate::local::format::layer::{
    FOOTER_LEN, Footer, HEADER_LEN, Header, LONGEST_BLOCK, ROWS_AT, Salt, Span, len_of, rows_of,
};
use crate::local::format::mutation::{HEADER_LEN as ROW_HEADER_LEN, Mutation, Tree};
use crate::local::format::record;

/// What is known of a damaged layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// The batches whose rows it had, if header or footer can be read.
    pub span: Option<Span>,
    /// The places of damaged blocks: from which byte to which. Rows and removals may be missing there.
    pub holes: Vec<(u64, u64)>,
}

/// Passes what is left of a layer to `visit`, in order.
///
/// A whole block is believed, with its removals. Of a damaged one each row is believed that proves itself:
/// its value has a checksum over tree, key and fields. A removal has none. The row must also be between its
/// neighbours, so a row inside a value of another one seldom counts.
///
/// # Errors
/// Those of `visit`. [`Error::Io`](crate::Error::Io) if the file cannot be opened for a reason of another kind.
pub(crate) fn rows_left(place: &Place, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<Left> {
    let handle = match Handle::open_read(place) {
        Err(error) if error.tells_of_damage() => {
            let (span, holes) = (None, vec![(0, 0)]);
            return Ok(Left { span, holes });
        }
        handle => handle?,
    };
    let mut bytes = Window::over(handle)?;
    let (header, footer) = (bytes.header(), bytes.footer());
    let known = header.or(footer.map(|footer| footer.header));
    let mut search = Search {
        salt: known.map(|known| known.salt),
        end: footer.map_or(bytes.len, |footer| footer.filter),
        bytes,
        last: None,
    };
    let mut holes = search.run(visit)?;
    if footer.is_none() && holes.is_empty() {
        // Nothing says that the last block found is the last one.
        holes.push((search.end, search.end));
    }
    let span = known.map(|known| known.span);
    Ok(Left { span, holes })
}

struct Search {
    bytes: Window,
    /// Without it no block can be told from other bytes.
    salt: Option<Salt>,
    /// Where blocks end.
    end: u64,
    /// The row that was passed on last.
    last: Option<(Tree, Vec<u8>)>,
}

impl Search {
    fn run(&mut self, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<Vec<(u64, u64)>> {
        let mut holes = Vec::new();
        let mut at = HEADER_LEN as u64;
        while at < self.end {
            if let Some((rows, end)) = self.block_at(at) {
                rows.into_iter().try_for_each(|row| self.pass(row, visit))?;
                at = end;
                continue;
            }
            let (hole_end, above) = self.next_block(at);
            self.pass_rows_in((at, hole_end), above, visit)?;
            holes.push((at, hole_end));
            at = hole_end;
        }
        Ok(holes)
    }

    fn pass(&mut self, row: Row, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        self.last = Some((row.tree, row.key.clone()));
        visit(row)
    }

    /// The rows of the whole block at a place, and where it ends.
    fn block_at(&mut self, at: u64) -> Option<(Vec<Row>, u64)> {
        let salt = self.salt?;
        let start = self.bytes.slice(at, (at + ROWS_AT as u64).min(self.end))?;
        let len = len_of(start)?;
        let end = at + len as u64;
        let block = self.bytes.slice(at, end).filter(|_| end <= self.end)?;
        let mut cursor = Cursor::new(rows_of(salt, at, block)?);
        let mut rows = Vec::new();
        while !cursor.is_empty() {
            rows.push(owned(&Mutation::decode(&mut cursor)?));
        }
        Some((rows, end))
    }

    /// Where the next whole block begins, and with which row. Otherwise the end of the blocks.
    fn next_block(&mut self, at: u64) -> (u64, Option<Row>) {
        if self.salt.is_none() {
            return (self.end, None);
        }
        for place in at + 1..self.end {
            if let Some((rows, _)) = self.block_at(place) {
                return (place, rows.into_iter().next());
            }
        }
        (self.end, None)
    }

    /// Passes on the rows in a hole that prove themselves and are below row `above`.
    fn pass_rows_in(
        &mut self,
        (mut at, end): (u64, u64),
        above: Option<Row>,
        visit: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let above = above.map(|row| (row.tree, row.key));
        while at < end {
            match self.row_at(at, end) {
                Found::Row(row, behind) => {
                    let place = Some((row.tree, row.key.clone()));
                    if self.last < place && (above.is_none() || place < above) {
                        self.pass(row, visit)?;
                        at = behind;
                    } else {
                        at += 1;
                    }
                }
                // What this row says of its end is believed if a row is there that proves itself.
                Found::Claim(behind) if matches!(self.row_at(behind, end), Found::Row(..)) => {
                    at = behind;
                }
                Found::Claim(_) | Found::Nothing => at += 1,
            }
        }
        Ok(())
    }

    fn row_at(&mut self, at: u64, end: u64) -> Found {
        let longest = LONGEST_BLOCK as u64;
        let Some(bytes) = self.bytes.slice(at, end.min(at + longest)) else {
            return Found::Nothing;
        };
        let mut cursor = Cursor::new(bytes);
        let Some(row) = Mutation::decode(&mut cursor) else {
            return Found::Nothing;
        };
        let behind =
            at + (ROW_HEADER_LEN + row.key.len() + row.value.map_or(0, <[u8]>::len)) as u64;
        let proof = row
            .value
            .and_then(|value| record::unseal(row.tree, row.key, value));
        match proof {
            Some(_) => Found::Row(owned(&row), behind),
            None => Found::Claim(behind),
        }
    }
}

/// What is at a place of a hole.
enum Found {
    /// A row that proves itself, and where it ends.
    Row(Row, u64),
    /// Something with the form of a row or of a removal, and where it would end.
    Claim(u64),
    Nothing,
}

fn owned(row: &Mutation<'_>) -> Row {
    Row {
        tree: row.tree,
        key: row.key.to_vec(),
        value: row.value.map(<[u8]>::to_vec),
    }
}

impl Window {
    fn header(&mut self) -> Option<Header> {
        Header::decode(self.slice(0, HEADER_LEN as u64)?)
    }

    fn footer(&mut self) -> Option<Footer> {
        let offset = self.len.checked_sub(FOOTER_LEN as u64)?;
        Footer::decode(offset, self.slice(offset, self.len)?)
    }
}
