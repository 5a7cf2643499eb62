//! [`Tally`]: the sum over all rows. It is kept up to date as rows change, and compared when an index is
//! opened (I9).

use super::cursor::Cursor;
use super::mutation::Tree;
use super::record::{self, BlobHead, PartRecord, Tombstone};

/// Sums over all rows. Their order does not matter, so any thread may add and subtract rows one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Rows by tree.
    pub rows: [u64; Tree::ALL.len()],
    /// Keys and values, bytes.
    pub bytes: u64,
    /// Sum of a 128 bit hash of each row. Two indexes with the same sum hold the same rows.
    pub hash: u128,
    /// Blobs (a large one has several rows).
    pub blobs: u64,
    /// Sizes of the blobs, bytes.
    pub blob_bytes: u64,
    /// Sizes of the parts, bytes. `blob_bytes` would be the same without deduplication.
    pub part_bytes: u64,
    /// What tombstones stand for: parts whose upload or object has ended.
    pub ended_parts: u64,
    /// Sizes of those, bytes. `part_bytes` has them, too.
    pub ended_bytes: u64,
}

/// How many sums older stores had: the first ones.
const SUMS_BEFORE_TOMBSTONES: usize = 4;

impl Tally {
    /// Numbers beside those of rows.
    const SUMS: usize = 6;
    /// Bytes of a tally.
    pub(crate) const LEN: usize = 16 + (Tree::ALL.len() + Self::SUMS) * 8;

    fn of_row(tree: Tree, key: &[u8], value: &[u8]) -> Self {
        let mut tally = Self {
            bytes: (key.len() + value.len()) as u64,
            ..Self::default()
        };
        tally.hash = hash(tree, key, value);
        if let Some(count) = tally.rows.get_mut(tree.at()) {
            *count = 1;
        }
        let fields = record::unseal(tree, key, value);
        match tree {
            Tree::Parts => {
                tally.part_bytes = fields
                    .and_then(PartRecord::decode)
                    .map_or(0, |part| part.size);
            }
            Tree::Blobs if key.ends_with(&[0, 0]) => {
                tally.blobs = 1;
                tally.blob_bytes = fields
                    .and_then(BlobHead::decode)
                    .map_or(0, |(head, _)| head.size);
            }
            Tree::Tombstones => {
                let left = fields.and_then(Tombstone::decode).unwrap_or_default();
                (tally.ended_parts, tally.ended_bytes) = (left.parts, left.bytes);
            }
            _ => {}
        }
        tally
    }

    pub(crate) fn add_row(&mut self, tree: Tree, key: &[u8], value: &[u8]) {
        self.add(&Self::of_row(tree, key, value));
    }

    pub(crate) fn subtract_row(&mut self, tree: Tree, key: &[u8], value: &[u8]) {
        self.combine(
            &Self::of_row(tree, key, value),
            u64::wrapping_sub,
            u128::wrapping_sub,
        );
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add, u128::wrapping_add);
    }

    fn combine(&mut self, other: &Self, op: fn(u64, u64) -> u64, wide: fn(u128, u128) -> u128) {
        for (mine, theirs) in self.counters().into_iter().zip(other.clone().counters()) {
            *mine = op(*mine, *theirs);
        }
        self.hash = wide(self.hash, other.hash);
    }

    fn counters(&mut self) -> impl IntoIterator<Item = &mut u64> {
        let Self {
            rows,
            bytes,
            hash: _,
            blobs,
            blob_bytes,
            part_bytes,
            ended_parts,
            ended_bytes,
        } = self;
        rows.iter_mut().chain([
            bytes,
            blobs,
            blob_bytes,
            part_bytes,
            ended_parts,
            ended_bytes,
        ])
    }

    pub(crate) fn rows_of(&self, tree: Tree) -> u64 {
        self.rows.get(tree.at()).copied().unwrap_or_default()
    }

    pub(crate) fn total_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    pub(crate) fn encode(mut self) -> Vec<u8> {
        let mut bytes = self.hash.to_be_bytes().to_vec();
        bytes.extend(
            self.counters()
                .into_iter()
                .flat_map(|counter| counter.to_be_bytes()),
        );
        bytes
    }

    /// Reads the tally of a store whose rows were in the first `trees` trees.
    pub(crate) fn decode(cursor: &mut Cursor<'_>, trees: usize) -> Option<Self> {
        let mut tally = Self {
            hash: cursor.array().map(u128::from_be_bytes)?,
            ..Self::default()
        };
        for rows in tally.rows.iter_mut().take(trees) {
            *rows = cursor.u64()?;
        }
        let sums = if trees == Tree::ALL.len() {
            Self::SUMS
        } else {
            SUMS_BEFORE_TOMBSTONES
        };
        let all = tally.counters().into_iter();
        for counter in all.skip(Tree::ALL.len()).take(sums) {
            *counter = cursor.u64()?;
        }
        Some(tally)
    }
}

fn hash(tree: Tree, key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[tree as u8]);
    hasher.update(&u64::try_from(key.len()).unwrap_or_default().to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    let digest = hasher.finalize();
    let half = digest
        .as_bytes()
        .first_chunk::<16>()
        .copied()
        .unwrap_or_default();
    u128::from_be_bytes(half)
}
