//! [`Stack`]: where rows are. The newest changes are in an [`Index`], and all others in [`Layer`]s below it.
//!
//! A question asks the index first, then the layers, the newest first. What answers first counts. Between
//! them lies a second index while its changes are being written to a layer.
//!
//! Whoever asks takes a [`View`]: it keeps its files while others are put in their place.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::index::{Index, SaidVisit};
use super::layer::{Layer, LayerScan};
use super::rows::Row;
use crate::local::format::mutation::{Batch, Tree};
use crate::local::format::tally::Tally;
use crate::sync::{Mutex, RwLock};
use crate::{Error, Result};

/// It is called with key and value of each row.
pub(crate) type RowVisit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>> + 'a;

/// How many rows of an index are taken at once, at first and at most.
const FEW: usize = 4;
const MANY: usize = 256;

/// An index, and the sum over all rows.
pub(super) struct Built {
    pub index: Index,
    pub tally: Tally,
    /// Damage of the layers that was met. The sum is wrong then.
    pub damage: Option<Error>,
}

pub(super) struct Stack {
    view: RwLock<Arc<View>>,
    /// The sum over all rows.
    tally: Mutex<Tally>,
}

/// What the stack was made of at one moment.
#[derive(Clone)]
pub(super) struct View {
    /// It gets all changes. `None` once the stack is closed.
    newest: Option<Arc<Index>>,
    /// It gets no more changes, and becomes a layer.
    frozen: Option<Arc<Index>>,
    /// The newest first.
    layers: Vec<Layer>,
}

impl Stack {
    /// `tally` is the sum over all rows.
    pub(super) fn new(index: Index, layers: Vec<Layer>, tally: Tally) -> Self {
        let view = View {
            newest: Some(Arc::new(index)),
            frozen: None,
            layers,
        };
        Self {
            view: RwLock::new(Arc::new(view)),
            tally: Mutex::new(tally),
        }
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    pub(super) fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    /// Applies a batch, as [`Index::apply`] does. The caller ensures that nothing is frozen meanwhile. Returns
    /// the damage that was met. The batch is applied all the same; only the sum over all rows lacks what it
    /// should have been told.
    pub(super) fn apply(&self, batch: &Batch) -> Result<Option<Error>> {
        let (view, damage) = (self.view(), RefCell::new(None));
        let below = |tree, key: &[u8]| unless_damaged(view.below_newest(tree, key), &damage);
        let change = view.newest()?.apply(batch, &below)?;
        self.tally.lock().add(&change);
        Ok(damage.into_inner())
    }

    /// Puts an empty index above the one that gets no more changes. The caller ensures that none is on its
    /// way, and that none is frozen already.
    pub(super) fn freeze(&self, empty: Index) {
        let mut view = self.view.write();
        *view = Arc::new(View {
            frozen: view.newest.clone(),
            newest: Some(Arc::new(empty)),
            layers: view.layers.clone(),
        });
    }

    /// Puts a layer below the indexes, which have all of its rows, or newer ones.
    pub(super) fn underlay(&self, layer: Layer) {
        let mut view = self.view.write();
        let mut layers = vec![layer];
        layers.extend(view.layers.iter().cloned());
        *view = Arc::new(View {
            layers,
            ..View::clone(&view)
        });
    }

    /// Takes out the frozen index, of which the layers have all rows.
    pub(super) fn thaw(&self) {
        let before = {
            let mut view = self.view.write();
            let thawed = View {
                frozen: None,
                ..View::clone(&view)
            };
            std::mem::replace(&mut *view, Arc::new(thawed))
        };
        if let Some(frozen) = &before.frozen {
            frozen.replaced();
        }
        // sled takes some time to end. Nobody waits for that.
        drop(before);
    }

    /// Puts one layer in place of those that it was merged of.
    pub(super) fn merged(&self, merged: Layer) {
        let mut view = self.view.write();
        let span = merged.span();
        let mut layers = view.layers.clone();
        layers.retain(|layer| {
            let part = layer.span();
            part.through <= span.after || part.after >= span.through
        });
        layers.push(merged);
        layers.sort_unstable_by_key(|layer| std::cmp::Reverse(layer.span().through));
        *view = Arc::new(View {
            layers,
            ..View::clone(&view)
        });
    }

    /// Takes the indexes out. Nobody may ask any more.
    pub(super) fn close(&self) -> Result<Index> {
        let mut view = self.view.write();
        let index = Arc::new(View {
            newest: None,
            frozen: None,
            layers: view.layers.clone(),
        });
        let before = std::mem::replace(&mut *view, index);
        let index = View::clone(&before).newest.and_then(|index| {
            drop(before);
            Arc::into_inner(index)
        });
        index.ok_or(Error::Closed)
    }
}

impl View {
    pub(super) fn newest(&self) -> Result<&Arc<Index>> {
        self.newest.as_ref().ok_or(Error::Closed)
    }

    /// The newest first.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.newest()?.get(tree, key)? {
            Some(said) => Ok(said),
            None => self.below_newest(tree, key),
        }
    }

    fn below_newest(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let frozen = self.frozen.as_ref();
        match frozen.map(|frozen| frozen.get(tree, key)).transpose()? {
            Some(Some(said)) => Ok(said),
            _ => get_in(&self.layers, tree, key),
        }
    }

    /// Passes the rows from `from` on to `visit`, ascending, until it breaks.
    pub(super) fn scan(
        &self,
        tree: Tree,
        from: Bound<&[u8]>,
        visit: &mut RowVisit<'_>,
    ) -> Result<()> {
        self.scan_within(tree, (&[], from), visit)
    }

    /// As [`scan`](Self::scan), for the rows whose keys have a prefix. `from` is not below it. Behind the
    /// prefix not even a mark is read, of which a great many may lie there.
    pub(super) fn scan_within(
        &self,
        tree: Tree,
        (prefix, from): (&[u8], Bound<&[u8]>),
        visit: &mut RowVisit<'_>,
    ) -> Result<()> {
        if self.layers.is_empty() && self.frozen.is_none() {
            let visit: &mut SaidVisit<'_> = &mut |key, value| match value {
                _ if !key.starts_with(prefix) => Ok(ControlFlow::Break(())),
                Some(value) => visit(key, value),
                None => Ok(ControlFlow::Continue(())),
            };
            return self.newest()?.scan(tree, from, visit);
        }
        let indexes = [Some(self.newest()?), self.frozen.as_ref()];
        let indexes = indexes.into_iter().flatten();
        let mut sources: Vec<Source> = indexes
            .map(|index| Source::of_index(index, tree, from))
            .collect::<Result<_>>()?;
        for layer in &self.layers {
            sources.push(Source::of_layer(layer, tree, from)?);
        }
        merge(sources, prefix, visit)
    }

    /// No row of the tree has a greater key.
    pub(super) fn last_key(&self, tree: Tree) -> Result<Option<Vec<u8>>> {
        let mut last = self.newest()?.last_key(tree)?;
        if let Some(frozen) = &self.frozen {
            last = last.max(frozen.last_key(tree)?);
        }
        for layer in &self.layers {
            last = last.max(layer.last_key(tree)?);
        }
        Ok(last)
    }
}

/// The row, or none if the block that may have it is damaged. The damage is left in `met`.
pub(super) fn unless_damaged(
    row: Result<Option<Vec<u8>>>,
    met: &RefCell<Option<Error>>,
) -> Result<Option<Vec<u8>>> {
    match row {
        Err(damage @ Error::Damaged { .. }) => {
            met.replace(Some(damage));
            Ok(None)
        }
        row => row,
    }
}

/// The row that layers have, the newest first.
pub(super) fn get_in(layers: &[Layer], tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
    for layer in layers {
        if let Some(said) = layer.get(tree, key)? {
            return Ok(said);
        }
    }
    Ok(None)
}

/// Passes the rows of layers, the newest first, whose keys have a prefix, as [`View::scan_within`] does.
pub(super) fn scan_in(
    layers: &[Layer],
    tree: Tree,
    prefix: &[u8],
    visit: &mut RowVisit<'_>,
) -> Result<()> {
    let sources = layers.iter();
    let sources = sources.map(|layer| Source::of_layer(layer, tree, Bound::Included(prefix)));
    merge(sources.collect::<Result<_>>()?, prefix, visit)
}

/// Merges sources, the newest first, as far as keys have the prefix. Of equal keys the newest counts.
fn merge(mut sources: Vec<Source>, prefix: &[u8], visit: &mut RowVisit<'_>) -> Result<()> {
    loop {
        let rows = sources.iter().enumerate();
        let rows = rows.filter_map(|(at, source)| Some((&source.next.as_ref()?.key, at)));
        let Some((_, newest)) = rows.min().filter(|(key, _)| key.starts_with(prefix)) else {
            return Ok(());
        };
        let Some(row) = sources
            .get_mut(newest)
            .and_then(|source| source.next.take())
        else {
            return Ok(());
        };
        for source in &mut sources {
            let is_same = source.next.as_ref().is_none_or(|next| next.key == row.key);
            if is_same {
                source.advance()?;
            }
        }
        let visited = match &row.value {
            Some(value) => visit(&row.key, value)?,
            None => ControlFlow::Continue(()),
        };
        if visited.is_break() {
            return Ok(());
        }
    }
}

/// Rows of one tree, ascending.
struct Source {
    rows: Rows,
    next: Option<Row>,
}

enum Rows {
    Index(IndexRows),
    Layer(LayerScan),
    End,
}

impl Source {
    fn of_index(index: &Arc<Index>, tree: Tree, from: Bound<&[u8]>) -> Result<Self> {
        Self::begin(Rows::Index(IndexRows {
            index: Arc::clone(index),
            tree,
            from: Some(from.map(<[u8]>::to_vec)),
            taken: VecDeque::new(),
            at_once: FEW,
        }))
    }

    fn of_layer(layer: &Layer, tree: Tree, from: Bound<&[u8]>) -> Result<Self> {
        Self::begin(Rows::Layer(layer.scan(tree, from)))
    }

    fn begin(rows: Rows) -> Result<Self> {
        let mut source = Self { rows, next: None };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = match &mut self.rows {
            Rows::Index(rows) => rows.next()?,
            Rows::Layer(rows) => rows.next()?,
            Rows::End => None,
        };
        if self.next.is_none() {
            self.rows = Rows::End;
        }
        Ok(())
    }
}

/// Rows of an index, some at a time, because others change it meanwhile.
struct IndexRows {
    index: Arc<Index>,
    tree: Tree,
    /// Where the next ones are. `None` behind the last.
    from: Option<Bound<Vec<u8>>>,
    taken: VecDeque<Row>,
    at_once: usize,
}

impl IndexRows {
    fn next(&mut self) -> Result<Option<Row>> {
        if self.taken.is_empty() {
            self.take_more()?;
        }
        Ok(self.taken.pop_front())
    }

    fn take_more(&mut self) -> Result<()> {
        let Some(from) = self.from.take() else {
            return Ok(());
        };
        let (tree, taken, at_once) = (self.tree, &mut self.taken, self.at_once);
        let from = from.as_ref().map(Vec::as_slice);
        self.index.scan(tree, from, &mut |key, value| {
            let (key, value) = (key.to_vec(), value.map(<[u8]>::to_vec));
            taken.push_back(Row { tree, key, value });
            Ok(if taken.len() < at_once {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        if taken.len() == at_once {
            let last = taken.back().map(|row| row.key.clone());
            self.from = last.map(Bound::Excluded);
        }
        self.at_once = (2 * at_once).min(MANY);
        Ok(())
    }
}
