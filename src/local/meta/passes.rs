//! [`in_passes`]: does the work of a [`Fold`](super::fold::Fold) without files, for a disk that has no room
//! for runs.

use std::collections::BTreeMap;

use super::fold::Sink;
use crate::Result;
use crate::local::format::mutation::{Mutation, Tree};

/// The rows of a pass may take so many bytes. In memory they take about twice as much.
const LEAST: u64 = 16 * 1024 * 1024;
/// Or they may take this fraction of what is read, so that not many more passes than this are needed.
const SHARE: u64 = 64;
/// Estimate of what a row costs in memory beside its key and value, bytes.
const ROW_OVERHEAD: usize = 64;

/// It passes on each mutation, oldest first.
pub(crate) type Read<'a> =
    dyn FnMut(&mut dyn FnMut(&Mutation<'_>) -> Result<()>) -> Result<()> + 'a;

/// How many bytes of rows a pass may hold for a truth of `len` bytes.
pub(crate) fn budget(len: u64) -> usize {
    usize::try_from(LEAST.max(len / SHARE)).unwrap_or(usize::MAX)
}

/// Passes the last that was said of each row to `sink`, by tree and key. Everything is read once for each `budget`
/// bytes of rows. Each reading keeps only the rows of the next range.
pub(crate) fn in_passes(budget: usize, read: &mut Read<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let mut from = Some((Tree::Uploads, Vec::new()));
    while let Some(start) = from.take() {
        let mut pass = Pass {
            budget,
            from: start,
            below: None,
            rows: BTreeMap::new(),
            bytes: 0,
        };
        read(&mut |mutation| {
            pass.add(mutation);
            Ok(())
        })?;
        for ((tree, key), value) in &pass.rows {
            sink(*tree, key, value.as_deref())?;
        }
        from = pass.below;
    }
    Ok(())
}

type Key = (Tree, Vec<u8>);

struct Pass {
    budget: usize,
    /// The first key of its range.
    from: Key,
    /// The first key behind the range. `None` if the range has no end.
    below: Option<Key>,
    rows: BTreeMap<Key, Option<Vec<u8>>>,
    bytes: usize,
}

impl Pass {
    fn add(&mut self, mutation: &Mutation<'_>) {
        let place = (mutation.tree, mutation.key);
        let is_behind = |key: &Key| (key.0, key.1.as_slice()) <= place;
        if !is_behind(&self.from) || self.below.as_ref().is_some_and(is_behind) {
            return;
        }
        let (key, value) = (
            (mutation.tree, mutation.key.to_vec()),
            mutation.value.map(<[u8]>::to_vec),
        );
        self.bytes += size(&key, value.as_ref());
        if let Some(before) = self.rows.insert(key.clone(), value) {
            self.bytes -= size(&key, before.as_ref());
        }
        // At least one row is kept, so each pass makes progress.
        while self.bytes > self.budget && self.rows.len() > 1 {
            let Some((key, value)) = self.rows.pop_last() else {
                return;
            };
            self.bytes -= size(&key, value.as_ref());
            self.below = Some(key);
        }
    }
}

fn size((_, key): &Key, value: Option<&Vec<u8>>) -> usize {
    key.len() + value.map_or(0, Vec::len) + ROW_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (Tree, Vec<u8>, Option<Vec<u8>>);

    fn rows(budget: usize) -> (Vec<Row>, u32) {
        let mut passes = 0;
        let mut read = |visit: &mut dyn FnMut(&Mutation<'_>) -> Result<()>| {
            passes += 1;
            (0..600_u32).try_for_each(|at| {
                let key = (at * 7 % 199).to_be_bytes();
                let value = at.to_be_bytes();
                visit(&Mutation {
                    tree: Tree::ALL[at as usize % Tree::ALL.len()],
                    key: &key,
                    value: (at % 5 != 0).then_some(&value),
                })
            })
        };
        let mut rows = Vec::new();
        in_passes(budget, &mut read, &mut |tree, key, value| {
            rows.push((tree, key.to_vec(), value.map(<[u8]>::to_vec)));
            Ok(())
        })
        .unwrap();
        (rows, passes)
    }

    #[test]
    fn the_rows_are_the_same_in_however_many_passes() {
        let (all, passes) = rows(usize::MAX);
        assert!(passes == 1 && all.is_sorted() && all.len() > 100);
        for (budget, least) in [(20_000, 2), (1000, 40), (0, 500)] {
            let (again, passes) = rows(budget);
            assert_eq!(again, all);
            assert!(passes >= least, "{budget}: {passes}");
        }
    }
}
