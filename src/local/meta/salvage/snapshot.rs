//! What is left of a damaged snapshot: every row that proves itself, before and behind the damage.

use super::super::rows::Row;
use super::super::window::Window;
use crate::Result;
use crate::local::file::{Handle, Place};
use crate::local::format::mutation::Tree;
use crate::local::format::mutation::{HEADER_LEN as ROW_HEADER_LEN, Header};
use crate::local::format::record;
use crate::local::format::rows::{END, HEADER_LEN, TRAILER_LEN};

/// Passes every whole row to `visit`, in order. Returns the places of the others: from which byte to which.
///
/// A row's value has a checksum over tree, key and fields. If one does not fit, the next row is searched
/// for at the place where this one says that it ends. After that it is searched for byte by byte. It must
/// be above the row before the damage.
pub(super) fn rows_left(
    place: &Place,
    visit: &mut dyn FnMut(Row) -> Result<()>,
) -> Result<Vec<(u64, u64)>> {
    let handle = match Handle::open_read(place) {
        Err(error) if error.tells_of_damage() => return Ok(vec![(0, 0)]),
        handle => handle?,
    };
    let mut bytes = Window::over(handle)?;
    let mut last: Option<(Tree, Vec<u8>)> = None;
    let mut holes = Vec::new();
    let mut at = HEADER_LEN as u64;
    while !bytes.is_end(at) {
        if let Some((row, end)) = bytes.row_at(at) {
            last = Some((row.tree, row.key.clone()));
            visit(row)?;
            at = end;
            continue;
        }
        let next = bytes.row_behind(at, last.as_ref());
        holes.push((at, next.unwrap_or(bytes.len)));
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(holes)
}

impl Window {
    /// The row at a place, if a whole one is there, and where it ends.
    fn row_at(&mut self, at: u64) -> Option<(Row, u64)> {
        let (tree, key_len, end) = self.header_at(at)?;
        let body = self.slice(at + ROW_HEADER_LEN as u64, end)?;
        let (key, value) = body.split_at_checked(key_len)?;
        record::unseal(tree, key, value)?;
        let row = Row {
            tree,
            key: key.to_vec(),
            value: Some(value.to_vec()),
        };
        Some((row, end))
    }

    /// Where the next row, or the end, is after a place without one.
    fn row_behind(&mut self, at: u64, last: Option<&(Tree, Vec<u8>)>) -> Option<u64> {
        let claimed = self.header_at(at).map(|(_, _, end)| end);
        if let Some(end) = claimed.filter(|end| self.row_at(*end).is_some() || self.is_end(*end)) {
            return Some(end);
        }
        (at + 1..self.len).find(|place| {
            let above = |(row, _): (Row, u64)| {
                last.is_none_or(|(tree, key)| (row.tree, &row.key) > (*tree, key))
            };
            self.row_at(*place).is_some_and(above)
        })
    }

    fn is_end(&mut self, at: u64) -> bool {
        let end = at + TRAILER_LEN as u64;
        end == self.len && self.slice(at, end).and_then(<[u8]>::first) == Some(&END)
    }

    /// Tree and length of the key of a row, and where it ends.
    fn header_at(&mut self, at: u64) -> Option<(Tree, usize, u64)> {
        let header = Header::decode(self.slice(at, at + ROW_HEADER_LEN as u64)?)?;
        let end = at + (ROW_HEADER_LEN + header.body_len()) as u64;
        let is_put = header.value_len.is_some();
        (is_put && end <= self.len).then_some((header.tree, header.key_len, end))
    }
}
