//! The filter: a Bloom filter in pages. It says of most rows that a layer does not have that it has none,
//! and a question reads one page. It never says so of a row that the layer has.

use super::{SEAL_LEN, Salt, sip};
use crate::local::format::mutation::Tree;

pub(crate) const PAGE_LEN: usize = 4096;
const BITS_PER_ROW: u64 = 10;
/// How many bits of its page a row sets. With ten bits for each row, one of 100 answers is a needless
/// "perhaps".
const BITS_SET: u32 = 6;
const BITS_IN_PAGE: u64 = ((PAGE_LEN - SEAL_LEN) * 8) as u64;

/// How many pages a filter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub pages: u64,
}

/// Where a filter has a row: its page, and the bits in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub page: u64,
    first: u32,
    step: u32,
}

impl Filter {
    /// A filter for so many rows, at most.
    pub(crate) fn for_rows(rows: u64) -> Self {
        let bits = rows.saturating_mul(BITS_PER_ROW);
        Self {
            pages: bits.div_ceil(BITS_IN_PAGE).max(1),
        }
    }

    /// Where a row is. The salt makes places that no client can foresee.
    pub(crate) fn probe(self, salt: Salt, tree: Tree, key: &[u8]) -> Probe {
        let hash = sip::hash([salt.0, salt.0.rotate_left(32) ^ tree as u64], key);
        let [high, low] = halves(hash);
        let [mixed, _] = halves(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Probe {
            page: (u64::from(high) * self.pages) >> 32,
            first: low,
            // An odd step meets different bits.
            step: mixed | 1,
        }
    }
}

impl Probe {
    /// Sets the row's bits in its page.
    pub(crate) fn set(self, page: &mut [u8]) {
        for (byte, bit) in self.bits() {
            if let Some(byte) = page.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// Whether the page has all of the row's bits.
    pub(crate) fn is_set(self, page: &[u8]) -> bool {
        let mut bits = self.bits();
        bits.all(|(byte, bit)| page.get(byte).is_none_or(|byte| byte & bit != 0))
    }

    /// A byte of the page and a bit in there, for each bit.
    fn bits(self) -> impl Iterator<Item = (usize, u8)> {
        (0..BITS_SET).map(move |n| {
            let mixed = self.first.wrapping_add(n.wrapping_mul(self.step));
            let bit = (u64::from(mixed) * BITS_IN_PAGE) >> 32;
            let byte = usize::try_from(bit / 8).unwrap_or_default();
            (byte, 1 << (bit % 8))
        })
    }
}

/// The upper and the lower half.
fn halves(word: u64) -> [u32; 2] {
    [word >> 32, word & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or_default())
}
