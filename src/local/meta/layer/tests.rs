//! Layers as files: what is written reads back, and what is damaged reads the same or not at all.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the files of these tests are small"
)]

use std::collections::BTreeMap;
use std::ops::Bound;

use super::left::Left;
use super::*;
use crate::going::{Closing, Going};
use crate::local::file::{self, Dir, Handle, Place};
use crate::local::format::layer::{FOOTER_LEN, Span};
use crate::local::format::mutation::{MAX_KEY_LEN, MAX_VALUE_LEN, Tree};
use crate::local::format::record;
use crate::local::format::tally::Tally;
use crate::local::meta::rows::Row;
use crate::{DamagedFile, Result};

const SPAN: Span = Span {
    after: 3,
    through: 17,
};

type Rows = BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>;

struct Scratch {
    _dir: tempfile::TempDir,
    place: Place,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Dir::open(dir.path(), 0o600).unwrap().at("layer");
        Self { _dir: dir, place }
    }

    fn holding(rows: &Rows) -> Self {
        let scratch = Self::new();
        write(&scratch.place, rows);
        scratch
    }

    fn bytes(&self) -> Vec<u8> {
        file::read(&self.place).unwrap()
    }

    fn become_bytes(&self, bytes: &[u8]) {
        file::remove(&self.place).unwrap();
        let handle = Handle::create_new(&self.place).unwrap();
        handle.write_at(bytes, 0).unwrap();
    }
}

fn tally_of(rows: &Rows) -> Tally {
    let mut tally = Tally::default();
    for ((tree, key), value) in rows {
        if let Some(value) = value {
            tally.add_row(*tree, key, value);
        }
    }
    tally
}

fn write(place: &Place, rows: &Rows) {
    let mut writer = LayerWriter::create(place, SPAN, rows.len() as u64).unwrap();
    for ((tree, key), value) in rows {
        writer.push(*tree, key, value.as_deref()).unwrap();
    }
    writer.finish(&tally_of(rows)).unwrap();
}

/// Sealed values, keys that share long beginnings, and a removal now and then.
fn some_rows(count: u32) -> Rows {
    let trees = [Tree::Uploads, Tree::Parts, Tree::Refs, Tree::Usage];
    let row = |n: u32| {
        let tree = trees[n as usize * trees.len() / count as usize];
        let key = [b"the same for all ".as_slice(), &n.to_be_bytes()].concat();
        let value = record::seal(tree, &key, &vec![n as u8; 10 + n as usize % 90]);
        ((tree, key), (n % 7 != 3).then_some(value))
    };
    (0..count).map(row).collect()
}

fn rows_of(mut scan: LayerScan) -> Result<Rows> {
    let mut rows = Rows::new();
    while let Some(Row { tree, key, value }) = scan.next()? {
        assert!(
            rows.last_key_value()
                .is_none_or(|(last, _)| *last < (tree, key.clone()))
        );
        rows.insert((tree, key), value);
    }
    Ok(rows)
}

fn checked(layer: &Layer) -> Vec<DamagedFile> {
    let closing = Closing::default();
    let mut found = Vec::new();
    layer.check(&Going::until(&closing), &mut found).unwrap();
    found
}

/// Asks everything, and compares it with the rows. An answer may be an error.
fn ask(layer: &Layer, rows: &Rows, failed: &mut u32) {
    let mut meet = |damage: Error| {
        assert!(damage.tells_of_damage(), "{damage}");
        *failed += 1;
    };
    for ((tree, key), value) in rows {
        match layer.get(*tree, key) {
            Ok(said) => assert_eq!(said.as_ref(), Some(value)),
            Err(damage) => meet(damage),
        }
        for absent in [
            [key.as_slice(), b"x"].concat(),
            key[..key.len() - 1].to_vec(),
        ] {
            match layer.get(*tree, &absent) {
                Ok(said) => assert_eq!(said, rows.get(&(*tree, absent)).cloned()),
                Err(damage) => meet(damage),
            }
        }
    }
    match rows_of(layer.all()) {
        Ok(all) => assert_eq!(all, *rows),
        Err(damage) => meet(damage),
    }
    for tree in Tree::ALL {
        let of_tree: Rows = rows
            .clone()
            .into_iter()
            .filter(|(row, _)| row.0 == tree)
            .collect();
        match layer.last_key(tree) {
            Ok(last) => assert_eq!(last.as_ref(), of_tree.keys().last().map(|row| &row.1)),
            Err(damage) => meet(damage),
        }
        match rows_of(layer.scan(tree, Bound::Unbounded)) {
            Ok(all) => assert_eq!(all, of_tree),
            Err(damage) => meet(damage),
        }
    }
}

#[test]
fn a_layer_answers_what_was_written() {
    let rows = some_rows(3000);
    let scratch = Scratch::holding(&rows);
    let layer = Layer::open(&scratch.place).unwrap();
    assert_eq!(layer.span(), SPAN);
    assert_eq!(layer.rows(), 3000);
    assert_eq!(layer.tally(), tally_of(&rows));
    let removals = rows.values().filter(|value| value.is_none()).count();
    assert_eq!(layer.removals(), removals as u64);
    assert!(layer.memory_bytes() < 3000, "{}", layer.memory_bytes());
    assert_eq!(layer.len_bytes(), scratch.bytes().len() as u64);
    let mut failed = 0;
    ask(&layer, &rows, &mut failed);
    assert_eq!(failed, 0);
    assert_eq!(checked(&layer), []);
}

#[test]
fn a_scan_begins_where_it_is_told() {
    let rows = some_rows(2000);
    let scratch = Scratch::holding(&rows);
    let layer = Layer::open(&scratch.place).unwrap();
    for (tree, key) in rows.keys().step_by(23) {
        let behind = [key.as_slice(), b"x"].concat();
        for start in [
            Bound::Included(key.as_slice()),
            Bound::Excluded(key.as_slice()),
            Bound::Included(behind.as_slice()),
        ] {
            let from = (start.map(|key| (*tree, key.to_vec())), Bound::Unbounded);
            let expected = rows.range(from).filter(|(row, _)| row.0 == *tree);
            let expected: Rows = expected
                .map(|(row, value)| (row.clone(), value.clone()))
                .collect();
            assert_eq!(rows_of(layer.scan(*tree, start)).unwrap(), expected);
        }
    }
}

#[test]
fn an_empty_layer_says_nothing() {
    let scratch = Scratch::holding(&Rows::new());
    let layer = Layer::open(&scratch.place).unwrap();
    assert_eq!(layer.get(Tree::Parts, b"").unwrap(), None);
    ask(&layer, &Rows::new(), &mut 0);
    assert_eq!(checked(&layer), []);
}

#[test]
fn the_filter_denies_most_rows_that_are_not_there() {
    let row = |n: u32| {
        (
            (Tree::Refs, [[7; 70].as_slice(), &n.to_be_bytes()].concat()),
            None,
        )
    };
    let rows: Rows = (0..20_000).map(row).collect();
    let scratch = Scratch::holding(&rows);
    let layer = Layer::open(&scratch.place).unwrap();
    let perhaps = |rows: Rows| {
        let keys = rows.into_keys();
        keys.filter(|(tree, key)| layer.parts().may_have(*tree, key))
            .count()
    };
    assert_eq!(perhaps(rows.clone()), 20_000);
    let needless = perhaps((20_000..120_000).map(row).collect());
    assert!((300..2000).contains(&needless), "{needless} of 100,000");
}

#[test]
fn rows_of_any_length_are_kept() {
    let long = |tree, first: u8, value: usize| {
        let key = [&[first][..], &[0xff; MAX_KEY_LEN - 1]].concat();
        ((tree, key), Some(vec![first; value]))
    };
    let rows: Rows = (0..=255)
        .map(|first| long(Tree::Keys, first, MAX_VALUE_LEN))
        .chain([
            ((Tree::Uploads, Vec::new()), Some(Vec::new())),
            ((Tree::Keys, Vec::new()), None),
            ((Tree::Usage, vec![0]), Some(Vec::new())),
        ])
        .collect();
    let scratch = Scratch::holding(&rows);
    let layer = Layer::open(&scratch.place).unwrap();
    assert_eq!(rows_of(layer.all()).unwrap(), rows);
    for ((tree, key), value) in &rows {
        assert_eq!(layer.get(*tree, key).unwrap().as_ref(), Some(value));
    }
    assert_eq!(layer.last_key(Tree::Uploads).unwrap(), Some(Vec::new()));
    assert_eq!(checked(&layer), []);
}

#[test]
#[should_panic(expected = "do not ascend")]
fn rows_that_do_not_ascend_are_refused() {
    let scratch = Scratch::new();
    let mut writer = LayerWriter::create(&scratch.place, SPAN, 2).unwrap();
    writer.push(Tree::Parts, b"b", None).unwrap();
    let _ = writer.push(Tree::Parts, b"b", Some(b"c"));
}

#[test]
fn no_changed_byte_changes_an_answer() {
    let rows = some_rows(60);
    let scratch = Scratch::holding(&rows);
    let whole = scratch.bytes();
    let layer = Layer::open(&scratch.place).unwrap();
    let footer = layer.parts().footer;
    let filter = footer.filter as usize..footer.index as usize;
    for at in 0..whole.len() {
        if filter.contains(&at) && at % 61 != 0 {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        scratch.become_bytes(&bytes);
        let mut failed = 0;
        match Layer::open(&scratch.place) {
            Ok(layer) => {
                ask(&layer, &rows, &mut failed);
                assert_eq!(failed == 0, filter.contains(&at), "at {at}");
                assert_ne!(checked(&layer), [], "at {at}");
            }
            Err(damage) => assert!(damage.tells_of_damage() && !filter.contains(&at)),
        }
    }
}

#[test]
fn no_shorter_file_is_a_layer() {
    let scratch = Scratch::holding(&some_rows(60));
    let whole = scratch.bytes();
    for len in 0..whole.len() {
        scratch.become_bytes(&whole[..len]);
        let damage = Layer::open(&scratch.place).unwrap_err();
        assert!(damage.tells_of_damage(), "{damage}");
    }
}

#[test]
fn blocks_of_another_place_or_file_do_not_count() {
    let row = |n: u32| ((Tree::Parts, n.to_be_bytes().to_vec()), Some(vec![7; 50]));
    let rows: Rows = (0..1000).map(row).collect();
    let scratch = Scratch::holding(&rows);
    let other = Scratch::holding(&rows);
    let whole = scratch.bytes();
    let layer = Layer::open(&scratch.place).unwrap();
    let stretch = |block| {
        let block = layer.parts().index.block(block).unwrap();
        block.offset as usize..block.offset as usize + block.len
    };
    assert_eq!(stretch(0).len(), stretch(1).len());
    let mut exchanged = whole.clone();
    exchanged[stretch(0)].copy_from_slice(&whole[stretch(1)]);
    exchanged[stretch(1)].copy_from_slice(&whole[stretch(0)]);
    let mut foreign = whole.clone();
    foreign[stretch(1)].copy_from_slice(&other.bytes()[stretch(1)]);
    for (bytes, damaged) in [(exchanged, 2), (foreign, 1)] {
        scratch.become_bytes(&bytes);
        let layer = Layer::open(&scratch.place).unwrap();
        assert_eq!(checked(&layer).len(), damaged);
        ask(&layer, &rows, &mut 0);
    }
}

#[test]
fn what_damage_leaves_is_what_was_written() {
    let rows = some_rows(1000);
    let scratch = Scratch::holding(&rows);
    let whole = scratch.bytes();
    for at in (0..whole.len())
        .step_by(1511)
        .chain([0, whole.len() - FOOTER_LEN])
    {
        let mut bytes = whole.clone();
        let end = bytes.len().min(at + 200);
        bytes[at..end].fill(0x55);
        scratch.become_bytes(&bytes);
        let (left, found) = left(&scratch.place);
        assert_eq!(left.span, Some(SPAN));
        assert!(left.holes.len() <= 1);
        assert!(
            found
                .iter()
                .all(|(row, value)| rows.get(row) == Some(value))
        );
        if left.holes.is_empty() {
            assert_eq!(found, rows);
        }
        // Puts outside of the damaged bytes are found, wherever their block is.
        let puts = |rows: &Rows| rows.values().filter(|value| value.is_some()).count();
        assert!(puts(&found) + 6 >= puts(&rows), "at {at}: {}", found.len());
    }
}

#[test]
fn a_removal_in_a_damaged_block_is_not_believed() {
    let rows = some_rows(40);
    let scratch = Scratch::holding(&rows);
    let mut bytes = scratch.bytes();
    let seal = Layer::open(&scratch.place).unwrap().parts().footer.filter as usize - 1;
    bytes[seal] ^= 1;
    scratch.become_bytes(&bytes);
    let (left, found) = left(&scratch.place);
    let puts: Rows = rows
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .collect();
    assert_eq!(found, puts);
    assert_eq!(left.holes.len(), 1);
}

fn left(place: &Place) -> (Left, Rows) {
    let mut found = Rows::new();
    let left = rows_left(place, &mut |row| {
        found.insert((row.tree, row.key), row.value);
        Ok(())
    });
    (left.unwrap(), found)
}
